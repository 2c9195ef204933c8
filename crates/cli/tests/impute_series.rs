//! `langevin impute series` from outside: what is written.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::{fs, path::Path, process::Stdio};

use support::{
    command, into_closed_pipe, langevin, run,
    tables::{HOLES, PLAIN, Place, Style, fields, good, number, table},
};

#[test]
fn what_was_observed_stays_byte_for_byte() {
    let styles = [
        PLAIN,
        Style { delimiter: ";", ..PLAIN },
        Style { delimiter: "\t", ..PLAIN },
        Style { delimiter: "|", end: "\r\n", ..PLAIN },
        Style { quotes: true, ..PLAIN },
        Style { mark: "\u{feff}", ..PLAIN },
        Style { delimiter: ";", comma: true, ..PLAIN },
        Style { delimiter: "\t", comma: true, quotes: true, ..PLAIN },
    ];
    for style in styles {
        let place = Place::new(table(style, 96));
        let before = fs::read_to_string(&place.table).unwrap();
        for method in ["ridge", "linear", "seasonal", "locf", "mean", "kalman"] {
            let after = place.filled(&["--method", method]);
            assert_eq!(before.matches(style.end).count(), after.matches(style.end).count());
            let mut filled = 0;
            for (x, y) in before.split(style.end).zip(after.split(style.end)).take(97) {
                let (old, new): (Vec<_>, Vec<_>) = (x.split(style.delimiter).collect(), y.split(style.delimiter).collect());
                assert_eq!(old.len(), new.len(), "{x} -> {y}");
                for (column, (old, new)) in old.into_iter().zip(new).enumerate() {
                    if !HOLES.contains(&old.trim_matches('"')) {
                        assert_eq!(old, new, "{method}");
                        continue;
                    }
                    filled += 1;
                    let (text, decimals) = (new.trim_matches('"'), [0, 2, 1, 0][column]);
                    assert!(number(text).is_finite() && new.starts_with('"') == style.quotes, "{new}");
                    let written = text.split(if style.comma { ',' } else { '.' }).nth(1).map_or(0, str::len);
                    assert_eq!(written, decimals, "{method}: {new}");
                }
            }
            assert_eq!(filled, 11 + 9 + 5 + 3, "{method}");
        }
    }
}

#[test]
fn small_and_odd_tables_are_filled() {
    let constant: String = (0..50).map(|i| format!("{},{}\n", if i % 4 == 0 { "" } else { "7" }, i % 5)).collect();
    let single: String = (0..50).map(|i| format!("{},{}\n", if i == 20 { "7.5" } else { "" }, i % 5)).collect();
    let wide: String = (0..120)
        .map(|i| {
            (0..70)
                .map(|k| if (i * 7 + k * 3) % 11 == 0 { String::new() } else { format!("{:.2}", f64::from(i + k).sin()) })
                .collect::<Vec<_>>()
                .join(",")
                + "\n"
        })
        .collect();
    let names = (0..70).map(|k| format!("c{k}")).collect::<Vec<_>>().join(",");
    let cases = [
        ("one row".to_owned(), "x,y\n1,2\n".to_owned()),
        ("two rows".to_owned(), "time,x,y\n2020-01-01,1,\n2020-01-02,,3\n".to_owned()),
        ("five rows".to_owned(), "x,y\n1,\n,2\n3,4\n,\n5,6\n".to_owned()),
        ("one column".to_owned(), "x\n1\n\n3\n4\n\n\n7\n".to_owned()),
        ("irregular".to_owned(), "time,x\n2020-01-01 00:00,1\n2020-01-01 00:07,\n2020-01-01 01:00,3\n2020-01-01 02:13,4\n".to_owned()),
        ("constant".to_owned(), format!("x,y\n{constant}")),
        ("one observed".to_owned(), format!("x,y\n{single}")),
        ("seventy columns".to_owned(), format!("{names}\n{wide}")),
    ];
    for (name, text) in cases {
        let place = Place::new(&text);
        for method in ["ridge", "linear", "seasonal", "locf", "mean", "kalman"] {
            let after = place.filled(&["--method", method, "--quantiles", "0.05,0.5,0.95"]);
            for line in after.lines().skip(1) {
                fields(line, ",").iter().skip(usize::from(text.starts_with("time"))).for_each(|f| assert!(number(f).is_finite(), "{name}"));
            }
            assert_eq!(after.lines().count(), text.lines().count(), "{name}");
            if ["constant", "one observed"].contains(&name.as_str()) {
                assert!(
                    after.lines().skip(1).all(|l| number(&fields(l, ",")[0]) == if name == "constant" { 7.0 } else { 7.5 }),
                    "{name}: {after}"
                );
            }
        }
    }
}

#[test]
fn quantiles_are_in_order_and_named() {
    let place = Place::new(good());
    let after = place.filled(&["--method", "ridge", "--quantiles", "0.95,0.05,0.5,0.05"]);
    let header = fields(after.lines().next().unwrap(), ",");
    assert_eq!(header[4..], ["a_q05", "a_q50", "a_q95", "b_q05", "b_q50", "b_q95", "c_q05", "c_q50", "c_q95"]);
    let mut bands = 0;
    for (old, new) in good().lines().zip(after.lines()).skip(1) {
        let (old, new) = (fields(old, ","), fields(new, ","));
        for k in 0..3 {
            let of = |n: usize| number(&new[4 + 3 * k + n]);
            assert!(of(0) <= of(1) && of(1) <= of(2) && of(1) == number(&new[1 + k]), "{new:?}");
            if !HOLES.contains(&old[1 + k].as_str()) {
                assert!((4..7).all(|n| new[n + 3 * k] == old[1 + k]), "{new:?}");
            } else if of(0) < of(2) {
                bands += 1;
            }
        }
    }
    assert!(bands >= 20, "{bands} holes have a band");
}

#[test]
fn threads_change_nothing() {
    let place = Place::new(table(PLAIN, 400));
    let more = ["--method", "ridge", "--quantiles", "0.05,0.95"];
    let one = place.filled(&[&more[..], &["--threads", "1"]].concat());
    assert_eq!(one, place.filled(&[&more[..], &["--threads", "3"]].concat()));
}

/// The columns of a table of text in another order.
fn permuted(text: &str, order: &[usize]) -> String {
    let line = |l: &str| order.iter().map(|&k| fields(l, ",")[k].clone()).collect::<Vec<_>>().join(",") + "\n";
    text.lines().map(line).collect()
}

#[test]
fn columns_in_another_order_are_filled_alike() {
    let (plain, other) = (Place::new(good()), Place::new(permuted(&good(), &[0, 3, 1, 2])));
    for method in ["ridge", "seasonal"] {
        assert_eq!(permuted(&plain.filled(&["--method", method]), &[0, 3, 1, 2]), other.filled(&["--method", method]), "{method}");
    }
}

const RESIDUAL: &str = "name = 'tiny'\ndomain = 'series'\n[model]\nkind = 'residual'\nwindow = 24\nwidth = 8\nhidden = 8\nstate_width = 8\n\
    state_hidden = 8\nheads = 2\nblocks = 2\ncondition = 8\n[train]\nsteps = 4\nbatch = 4\nmicro_batch = 2\nvalidate_every = 4\nsave_every = 2\n";

#[test]
fn a_network_fills_alike_whatever_the_threads_and_the_order_of_columns() {
    let place = Place::new(good());
    fs::write(place.at("tiny.toml"), RESIDUAL).unwrap();
    let trained =
        run(command(&["train", "series", "--synthetic", "8", "--config", "tiny.toml", "-o", "run"]).current_dir(place.folder.path()));
    assert_eq!(trained.code, 0, "{}", trained.stderr);
    let model = place.at("run/model.safetensors");
    let more = ["--checkpoint", model.to_str().unwrap(), "--samples", "6", "--quantiles", "0.05,0.95", "--method"];
    let fill = |place: &Place, more: &[&str], threads| place.filled(&[more, &["--threads", threads]].concat());
    let other = Place::new(permuted(&good(), &[0, 2, 3, 1]));
    for method in ["diffusion", "auto"] {
        let more = [&more[..], &[method]].concat();
        let one = fill(&place, &more, "1");
        assert_eq!(one, fill(&place, &more, "3"), "{method}");
        let order = [0, 2, 3, 1, 6, 7, 8, 9, 4, 5];
        assert_eq!(permuted(&one, &order), fill(&other, &more, "2"), "{method}");
    }
    let more = [&more[..], &["diffusion", "-o", "out.csv", "--samples-out", "s.csv", "--json", "r.json"]].concat();
    let run = place.impute(&more);
    assert!(run.code == 0 && run.stderr.contains("diffusion"), "{}", run.stderr);
    let report = report(&place.at("r.json"));
    assert_eq!((report["samples"].as_u64(), report["checkpoint"]["name"].as_str()), (Some(6), Some("tiny")));
    scored(&place, &good(), "6");
}

fn report(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// `eval series` takes what was written; the truth is the filled table itself.
fn scored(place: &Place, masked: &str, what: &str) {
    let [truth, samples, imputed] = ["out.csv", "s.csv", "out.csv"].map(|name| place.at(name).into_os_string().into_string().unwrap());
    let header = fs::read_to_string(&samples).unwrap().lines().next().unwrap().to_owned();
    assert!(header.starts_with("row,column,s0,s1"), "{header}");
    // Quantile columns are no part of a truth.
    let columns = fields(masked.lines().next().unwrap(), ",").len();
    let plain = permuted(&fs::read_to_string(&truth).unwrap(), &(0..columns).collect::<Vec<_>>());
    fs::write(place.at("truth.csv"), plain).unwrap();
    let truth = place.at("truth.csv").into_os_string().into_string().unwrap();
    let run = langevin(&[
        "eval",
        "series",
        "--truth",
        &truth,
        "--masked",
        place.table.to_str().unwrap(),
        "--imputed",
        &imputed,
        "--samples",
        &samples,
    ]);
    assert!(run.code == 0 && run.stdout.contains("0 left empty"), "{what}: {run:?}");
    assert!(run.stdout.contains("CRPS of samples"), "{what}: {}", run.stdout);
}

/// Two series of very different levels with gaps at the border between them, one behind the other or mixed row by row.
fn panel(mixed: bool) -> String {
    let line = |site: char, i: usize| {
        let level = if site == 'A' { 0.0 } else { 1000.0 };
        let value = if !(3..=56).contains(&i) || i % 7 == 3 { String::new() } else { format!("{:.2}", (i as f64 / 4.0).sin() + level) };
        format!("{site},2020-01-{:02} {:02}:00,{value}\n", 1 + i / 24, i % 24)
    };
    let rows: String = if mixed {
        (0..60).flat_map(|i| [line('A', i), line('B', i)]).collect()
    } else {
        ['A', 'B'].into_iter().flat_map(|site| (0..60).map(move |i| line(site, i))).collect()
    };
    format!("site,time,x\n{rows}")
}

#[test]
fn series_of_a_panel_do_not_see_one_another() {
    for mixed in [false, true] {
        let place = Place::new(panel(mixed));
        for method in ["linear", "locf", "ridge"] {
            let after = place.filled(&["--method", method, "--forecast", "2"]);
            assert_eq!(after.lines().count(), 1 + 124);
            // What stands nearer to a series' own level than to the other's; lines and steps stay within its values.
            let reach = if method == "ridge" { 500.0 } else { 1.01 };
            for line in after.lines().skip(1) {
                let fields = fields(line, ",");
                let level = if fields[0] == "A" { 0.0 } else { 1000.0 };
                assert!((number(&fields[2]) - level).abs() < reach, "{method}: {line}");
            }
        }
    }
}

#[test]
fn samples_are_those_of_the_records_they_name() {
    let long: String = (0..60)
        .flat_map(|i| ["a", "b"].map(|name| (i, name)))
        .map(|(i, name)| {
            let hole = (i + usize::from(name == "b")) % 7 == 3;
            let value = if hole { String::new() } else { format!("{:.2}", (i as f64 / 4.0).sin() + if name == "b" { 9.0 } else { 0.0 }) };
            format!("2020-01-{:02} {:02}:00,{name},{value}\n", 1 + i / 24, i % 24)
        })
        .collect();
    for (what, text) in
        [("wide", good()), ("long", format!("time,variable,value\n{long}")), ("panel", panel(false)), ("mixed", panel(true))]
    {
        let place = Place::new(&text);
        let run = place.impute(&["--method", "linear", "--samples", "8", "--samples-out", "s.csv", "-o", "out.csv", "--force"]);
        assert_eq!(run.code, 0, "{what}: {}", run.stderr);
        scored(&place, &text, what);
        // Samples lie around what is filled into the record that they are said to be of.
        let out: Vec<Vec<String>> = fs::read_to_string(place.at("out.csv")).unwrap().lines().map(|l| fields(l, ",")).collect();
        let samples = fs::read_to_string(place.at("s.csv")).unwrap();
        assert_eq!(
            samples.lines().count() - 1,
            text.lines().flat_map(|l| fields(l, ",")).filter(|f| HOLES.contains(&f.as_str())).count(),
            "{what}"
        );
        for line in samples.lines().skip(1) {
            let fields = fields(line, ",");
            let column = out[0].iter().position(|name| *name == fields[1]).unwrap();
            let filled = number(&out[fields[0].parse::<usize>().unwrap()][column]);
            let values: Vec<f64> = fields[2..].iter().map(|v| number(v)).collect();
            let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
            let slack = 1.0 + 2.0 * (high - low);
            assert!(low - slack <= filled && filled <= high + slack, "{what}: {line}, filled {filled}");
        }
    }
}

#[test]
fn complete_tables_are_copied() {
    let text = "time,x,y\r\n".to_owned() + &(1..21).map(|i| format!("2020-01-{i:02},{i}.50,\"{}\"\r\n", i * 2)).collect::<String>();
    let place = Place::new(&text);
    let run = place.impute(&["-o", "out.csv"]);
    assert!(run.code == 0 && run.stderr.contains("nothing is missing: the table was copied"), "{run:?}");
    assert_eq!(fs::read_to_string(place.at("out.csv")).unwrap(), text);
    fs::remove_file(place.at("out.csv")).unwrap();
    let dry = place.impute(&["-o", "out.csv", "--dry-run", "--method", "ridge"]);
    assert!(dry.code == 0 && place.names() == ["in.csv"], "{dry:?}");
    let run = place.impute(&["--method", "ridge", "-o", "out.csv", "--mask-out", "m.csv", "--plot", "p.svg", "--quantiles", "0.5"]);
    assert_eq!((run.code, place.names().len()), (0, 4), "{run:?}");
    assert!(fs::read_to_string(place.at("m.csv")).unwrap().lines().skip(1).all(|l| l.ends_with(",0,0")));
}

#[test]
fn everything_that_can_be_written_is() {
    let place = Place::new(good());
    let before = good();
    let outputs = ["-o", "out.csv", "--json", "r.json", "--plot", "p.svg", "--mask-out", "m.csv", "--samples-out", "s.csv"];
    let args = [&outputs[..], &["--method", "ridge", "--quantiles", "0.05,0.95", "--samples", "4", "--seed", "3"]].concat();
    let dry = place.impute(&[&args[..], &["--dry-run"]].concat());
    assert!(dry.code == 0 && dry.stderr.contains("28 holes") && place.names() == ["in.csv"], "{dry:?}");
    let run = place.impute(&args);
    assert!(run.code == 0 && run.stdout.is_empty() && run.stderr.contains("filled 28 of 28 holes"), "{run:?}");
    assert_eq!(place.names(), ["in.csv", "m.csv", "out.csv", "p.svg", "r.json", "s.csv"]);

    let report = report(&place.at("r.json"));
    let count = |name: &str| report[name].as_u64();
    assert_eq!((count("schema"), count("filled"), count("left"), count("seed")), (Some(1), Some(28), Some(0), Some(3)));
    let input = |name: &str| report["input"][name].as_u64();
    assert_eq!((input("rows"), input("columns"), input("cells"), input("missing")), (Some(96), Some(3), Some(288), Some(28)));
    assert_eq!(report["input"]["frequency"], "1h");
    let columns: Vec<_> =
        report["columns"].as_array().unwrap().iter().map(|c| (c["name"].as_str().unwrap(), c["filled"].as_u64().unwrap())).collect();
    assert_eq!(columns, [("a", 12), ("b", 10), ("c", 6)]);
    assert!(report["backtest"]["held_out"].as_u64().unwrap() >= 30 && report["seconds"]["total"].as_f64().unwrap() > 0.0);

    let svg = fs::read_to_string(place.at("p.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    let mask = fs::read_to_string(place.at("m.csv")).unwrap();
    for (old, mask) in before.lines().zip(mask.lines()).skip(1) {
        let (old, mask) = (fields(old, ","), fields(mask, ","));
        (1..4).for_each(|k| assert_eq!(mask[k], if HOLES.contains(&old[k].as_str()) { "1" } else { "0" }));
    }
    scored(&place, &before, "ridge");

    // `--json` alone prints the report; with the table on stdout the table wins.
    let printed = place.impute(&["--method", "ridge", "--json", "-o", "other.csv"]);
    let json: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!((json["schema_version"].as_u64(), json["filled"].as_u64()), (Some(1), Some(28)));
}

#[test]
fn standard_streams_are_files_too() {
    let place = Place::new(good());
    let wanted = place.filled(&["--method", "ridge"]);
    let stdin = fs::File::open(&place.table).unwrap();
    let piped = run(command(&["impute", "series", "-", "--method", "ridge", "-q"]).stdin(Stdio::from(stdin)));
    assert_eq!((piped.code, piped.stdout, piped.stderr), (0, wanted, String::new()));
    // More than a pipe holds, without a column of times.
    let long: String = (0..40_000).map(|i| if i % 9 == 4 { ",1\n".to_owned() } else { format!("{}.25,\n", i % 17) }).collect();
    let long = Place::new(format!("x,y\n{long}"));
    let closed = into_closed_pipe(&["impute", "series", long.table.to_str().unwrap(), "--method", "linear", "-q"]);
    assert!(closed.code == 0 && closed.stderr.is_empty(), "{closed:?}");
}

#[test]
fn forecasts_go_on_where_the_table_ends() {
    let place = Place::new(good());
    let (plain, ahead) = (place.filled(&["--method", "ridge"]), place.filled(&["--method", "ridge", "--forecast", "24"]));
    let told = place.impute(&["--method", "ridge", "--forecast", "24"]).stderr;
    assert!(told.contains("filled 100 of 100 holes in 3 columns") && told.contains("24 rows added"), "{told}");
    assert_eq!(ahead.lines().count(), plain.lines().count() + 24);
    for (hour, line) in ahead.lines().skip(97).enumerate() {
        let fields = fields(line, ",");
        assert_eq!(fields[0], format!("2020-01-05 {hour:02}:00"));
        fields[1..].iter().for_each(|f| assert!(number(f).is_finite()));
        assert!(!fields[3].contains('.'), "{line}");
    }
}

#[test]
fn long_gaps_and_bounds_are_heeded() {
    let place = Place::new(good());
    let before = good();
    // `c` misses five rows in a row; all other gaps are single.
    for longest in ["4", "4h", "240min"] {
        let after = place.filled(&["--method", "ridge", "--max-gap", longest]);
        for (row, (old, new)) in before.lines().zip(after.lines()).enumerate().skip(1) {
            let (old, new) = (fields(old, ","), fields(new, ","));
            (1..4).for_each(|k| assert_eq!(new[k] == old[k], !HOLES.contains(&old[k].as_str()) || (k == 3 && (21..26).contains(&row))));
        }
    }
    assert!(!place.filled(&["--method", "ridge", "--max-gap", "5"]).contains(",\n"));
    let named = Place::new(before.replace("2020-01-01 03:00,NA", "2020-01-01 03:00,").replace(":00,,", ":00,NA,"));
    assert!(named.filled(&["--method", "ridge", "--max-gap", "1"]).lines().skip(1).all(|l| !fields(l, ",")[1].is_empty()));

    let bounded = place.filled(&["--method", "ridge", "--bounds", "a=5.494:6.506", "--bounds", "b=:-60", "--quantiles", "0.05,0.95"]);
    for (old, new) in before.lines().zip(bounded.lines()).skip(1) {
        let (old, new) = (fields(old, ","), fields(new, ","));
        if HOLES.contains(&old[1].as_str()) {
            [1, 4, 5].iter().for_each(|&k| assert!((5.494..=6.506).contains(&number(&new[k])), "{new:?}"));
        }
        if HOLES.contains(&old[2].as_str()) {
            [2, 6, 7].iter().for_each(|&k| assert!(number(&new[k]) <= -60.0, "{new:?}"));
        }
    }
    // Nothing below 0 where nothing is, unless that is switched off.
    let counts: String = (0..80).map(|i| format!("{}\n", if i % 4 == 1 { String::new() } else { (i % 3 * (i % 2)).to_string() })).collect();
    let counts = Place::new(format!("n\n{counts}"));
    let lowest = |more: &[&str]| {
        let text = counts.filled(&[&["--method", "linear", "--quantiles", "0.01"], more].concat());
        text.lines().skip(1).map(|l| number(&fields(l, ",")[1])).fold(f64::INFINITY, f64::min)
    };
    assert!(lowest(&[]) == 0.0 && lowest(&["--bounds", "none"]) < 0.0);
}

#[test]
fn the_backtest_can_be_left_out() {
    let place = Place::new(good());
    let run = place.impute(&["--method", "ridge", "--backtest", "off", "--quantiles", "0.05,0.95", "-o", "out.csv", "--json", "r.json"]);
    assert!(run.code == 0 && !run.stderr.contains("held out"), "{run:?}");
    assert!(report(&place.at("r.json"))["backtest"].is_null());
    assert_eq!(place.impute(&["--method", "ridge", "-o", "two.csv", "--json", "s.json"]).code, 0);
    assert!(report(&place.at("s.json"))["backtest"]["methods"].as_array().unwrap().len() == 2);
}

#[test]
fn tokens_that_mean_missing_are_added_to_the_usual_ones() {
    let place = Place::new("x,y\n1,NA\n-9999,2\nn.d.,3\n4,-9999.0\n5,5\n");
    let after = place.filled(&["--method", "linear", "--na", "-9999,n.d."]);
    assert_eq!(after, "x,y\n1,2\n2,2\n3,3\n4,4\n5,5\n");
}
