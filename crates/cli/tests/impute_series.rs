//! `langevin impute series` from outside: what is written, and what is said of tables that are wrong.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use support::{Run, command, into_closed_pipe, langevin, run};
use tempfile::TempDir;

/// A folder with one table in it.
struct Place {
    folder: TempDir,
    table: PathBuf,
}

impl Place {
    fn new(table: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.csv");
        fs::write(&path, table).unwrap();
        Self { folder, table: path }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.folder.path()).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn impute(&self, args: &[&str]) -> Run {
        run(command(&["impute", "series", "in.csv"]).args(args).current_dir(self.folder.path()))
    }

    /// The filled table on stdout.
    fn filled(&self, args: &[&str]) -> String {
        let run = self.impute(args);
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        run.stdout
    }
}

/// How a table is written.
#[derive(Clone, Copy)]
struct Style {
    delimiter: &'static str,
    end: &'static str,
    mark: &'static str,
    quotes: bool,
    comma: bool,
}

const PLAIN: Style = Style { delimiter: ",", end: "\n", mark: "", quotes: false, comma: false };

/// Hourly: `a` and `b` with single holes, `c` whole numbers with a gap of five rows; one row has nothing.
fn table(style: Style, rows: usize) -> String {
    let mut text = style.mark.to_owned();
    let mut line = |fields: &[String]| {
        let fields: Vec<String> = fields.iter().map(|f| if style.quotes { format!("\"{f}\"") } else { f.clone() }).collect();
        let _ = write!(text, "{}{}", fields.join(style.delimiter), style.end);
    };
    line(&["time", "a", "b", "c"].map(str::to_owned));
    for row in 0..rows {
        let (t, none) = (row as f64, row == 13);
        let number = |text: String| if style.comma { text.replace('.', ",") } else { text };
        let a = if none || row % 9 == 3 { ["", "NA"][row % 2].to_owned() } else { number(format!("{:.2}", 3.0 * (t / 4.0).sin() + 5.0)) };
        let b = if none || row % 11 == 5 { String::new() } else { number(format!("{:.1}", 30.0 * (t / 4.0).cos() - 50.0)) };
        let c = if none || (20..25).contains(&row) { String::new() } else { (row % 7).to_string() };
        line(&[format!("2020-01-{:02} {:02}:00", 1 + row / 24, row % 24), a, b, c]);
    }
    text
}

fn good() -> String {
    table(PLAIN, 96)
}

/// The good table with one line replaced.
fn with_line(at: usize, line: &str) -> String {
    let text = good();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[at] = line;
    lines.join("\n") + "\n"
}

fn fields(line: &str, delimiter: &str) -> Vec<String> {
    line.trim_start_matches('\u{feff}').split(delimiter).map(|f| f.trim_matches('"').to_owned()).collect()
}

fn number(text: &str) -> f64 {
    text.replace(',', ".").parse().unwrap_or_else(|_| panic!("'{text}' is no number"))
}

const HOLES: [&str; 2] = ["", "NA"];

#[test]
fn wrong_tables_leave_nothing_behind() {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let swapped = {
        let text = good();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.swap(7, 9);
        lines.join("\n")
    };
    let texts = good().replace("2020-01-01 07:00,", "2020-01-01 07:00,x").replace("2020-01-01 09:00,", "2020-01-01 09:00,y");
    let texts = texts.replace("2020-01-01 10:00,", "2020-01-01 10:00,z").replace("2020-01-01 11:00,", "2020-01-01 11:00,w");
    let empty: String = good().lines().enumerate().map(|(n, l)| format!("{l},{}\n", if n == 0 { "d" } else { "" })).collect();
    let ambiguous = "date,x\n01/02/2020,1\n02/02/2020,\n03/02/2020,3\n";
    let comma = good().replace("time,a", "time,\"a\"").replace(",5.00,", ",\"5,00\",").replace(",5.74,", ",\"5,74\",");
    let quoted_comma = table(Style { quotes: true, comma: true, ..PLAIN }, 40);
    let cases: &[(&str, Vec<u8>, &[&str])] = &[
        ("ragged", with_line(7, "2020-01-01 06:00,1.0,2.0").into(), &["row 8", "3 fields", "header has 4"]),
        ("header twice", with_line(0, "time,a,a,c").into(), &["row 1", "columns 2 and 3", "'a'", "rename"]),
        ("text", with_line(7, "2020-01-01 06:00,oops,2.0,1").into(), &["row 8, column 'a'", "'oops'", "--na", "--exclude"]),
        ("texts", texts.into(), &["row 9, column 'a'", "'x", "'y", "'z", "and 1 more"]),
        ("ambiguous dates", ambiguous.into(), &["row 2, column 'date'", "day/month or month/day", "YYYY-MM-DD"]),
        ("unsorted", swapped.into(), &["column 'time'", "lies before", "--sort"]),
        ("time twice", with_line(7, "2020-01-01 05:00,1.0,2.0,3").into(), &["row 8, column 'time'", "row 7", "--dedup"]),
        ("UTF-16", [vec![0xff, 0xfe], wide(&good())].concat(), &["UTF-16", "UTF-8"]),
        ("UTF-16 without mark", wide(&good()), &["UTF-16", "UTF-8"]),
        ("empty column", empty.into(), &["column 'd'", "is empty", "--exclude 'd'"]),
        ("infinite", with_line(8, "2020-01-01 07:00,inf,2.0,1").into(), &["row 9, column 'a'", "'inf' is infinite", "--na"]),
        ("too large", with_line(8, "2020-01-01 07:00,1e999,2.0,1").into(), &["row 9, column 'a'", "infinite"]),
        ("decimal comma here and there", comma.into(), &["column 'a'", "'5,"]),
        ("decimal comma", quoted_comma.into(), &["row 2, column 'a'", "'5,00'", "--decimal ,", "--exclude 'a'"]),
        (
            "a day that is not",
            good().replace("2020-01-02", "2020-02-30").into(),
            &["row 26, column 'time'", "'2020-02-30 00:00' is no time"],
        ),
        (
            "days that are not",
            "time,x\n2020-01-01,1\n2020-13-01,2\n2020-13-02,\n2020-13-03,4\n".into(),
            &["row 3, column 'time'", "'2020-13-01' is no time", "--time-col none"],
        ),
        ("header only", "time,a,b\n".into(), &["row 1", "header"]),
        ("nothing", Vec::new(), &["is empty"]),
        ("blank lines", "\n\n".into(), &["blank lines"]),
        ("no numbers", "time,name\n2020-01-01,u\n2020-01-02,v\n".into(), &["no column of numbers"]),
        ("zero bytes", b"x,y\n1,\0\n2,3\n".to_vec(), &["zero bytes"]),
    ];
    for (name, bytes, says) in cases {
        let place = Place::new(bytes);
        let run = place.impute(&["--method", "ridge", "-o", "out.csv", "--plot", "p.svg", "--json", "r.json", "--mask-out", "m.csv"]);
        assert_eq!(run.code, 1, "{name}: {run:?}");
        assert!(run.stderr.contains("in.csv") && run.stdout.is_empty(), "{name}: {run:?}");
        says.iter().for_each(|said| assert!(run.stderr.contains(said), "{name} should say {said}: {}", run.stderr));
        assert_eq!(place.names(), ["in.csv"], "{name}");
        // A result from before stays as it is.
        fs::write(place.at("out.csv"), "kept").unwrap();
        assert_eq!(place.impute(&["--method", "linear", "-o", "out.csv", "--force"]).code, 1, "{name}");
        assert_eq!((fs::read(place.at("out.csv")).unwrap(), place.names()), (b"kept".to_vec(), vec!["in.csv".into(), "out.csv".into()]));
    }
}

#[test]
fn wrong_settings_leave_nothing_behind() {
    let place = Place::new(good());
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["--columns", "zz"], 1, &["no column 'zz'", "'a', 'b', 'c'"]),
        (&["--exclude", "zz"], 1, &["no column 'zz'"]),
        (&["--time-col", "zz"], 1, &["no column 'zz' (--time-col)"]),
        (&["--id-col", "zz"], 1, &["no column 'zz' (--id-col)"]),
        (&["--max-gap", "nonsense"], 2, &["--max-gap", "7d", "number of rows"]),
        (&["--max-gap", "0"], 2, &["--max-gap", "1 or more"]),
        (&["--max-gap", "-3"], 2, &["--max-gap"]),
        (&["--quantiles", "1.5"], 2, &["--quantiles", "between 0 and 1"]),
        (&["--quantiles", "0.5,0"], 2, &["--quantiles", "'0'"]),
        (&["--bounds", "zz=0:1"], 2, &["no column 'zz'", "a, b, c"]),
        (&["--bounds", "a=2:1"], 2, &["--bounds", "COL=lo:hi"]),
        (&["--backtest", "2"], 2, &["--backtest", "off"]),
        (&["--samples", "1"], 2, &["--samples", "from 2"]),
        (&["--forecast", "99999999999"], 2, &["--forecast", "from 0 to"]),
        (&["--freq", "7h"], 1, &["row 3, column 'time'", "--freq"]),
        (&["--freq", "1 fortnight"], 2, &["--freq"]),
        (&["--method", "rigde"], 2, &["--method", "ridge"]),
        (&["--method", "auto", "--checkpoint", "nowhere.safetensors"], 1, &["nowhere.safetensors"]),
        (&["--mask-out", "./out.csv"], 2, &["two outputs"]),
        (&["--plot", "./in.csv", "--force"], 1, &["is the input"]),
    ];
    for (args, code, says) in cases {
        let run = place.impute(&[&["-o", "out.csv", "--method", "ridge"][..if args[0] == "--method" { 2 } else { 4 }], args].concat());
        assert_eq!(run.code, *code, "{args:?}: {run:?}");
        says.iter().for_each(|said| assert!(run.stderr.contains(said), "{args:?} should say {said}: {}", run.stderr));
        assert_eq!(place.names(), ["in.csv"], "{args:?}");
    }
    let irregular = Place::new("time,x\n2020-01-01 00:00,1\n2020-01-01 00:07,\n2020-01-01 01:00,3\n2020-01-01 02:13,4\n");
    let run = irregular.impute(&["--method", "linear", "--forecast", "3", "-o", "out.csv"]);
    assert!(run.code == 1 && run.stderr.contains("--forecast needs rows at equal steps"), "{run:?}");
    let clockless = Place::new("x\n1\n\n3\n");
    let run = clockless.impute(&["--method", "linear", "--max-gap", "7d", "-o", "out.csv"]);
    assert!(run.code == 1 && run.stderr.contains("number of rows") && clockless.names() == ["in.csv"], "{run:?}");
    let taken = Place::new("x,x_q05\n1,2\n,3\n4,5\n");
    let run = taken.impute(&["--method", "linear", "--quantiles", "0.05", "-o", "out.csv", "--mask-out", "m.csv"]);
    assert!(run.code == 1 && run.stderr.contains("'x_q05' is there already") && taken.names() == ["in.csv"], "{run:?}");
    for (input, says) in [("nowhere.csv", "nowhere.csv"), (".", "is a folder")] {
        let run =
            support::run(command(&["impute", "series", input, "--method", "ridge", "-o", "out.csv"]).current_dir(place.folder.path()));
        assert!(run.code == 1 && run.stderr.contains(says) && place.names() == ["in.csv"], "{run:?}");
    }
}

#[test]
fn the_input_is_never_written_over() {
    let place = Place::new(good());
    fs::create_dir(place.at("below")).unwrap();
    let mut outputs = vec!["in.csv", "./in.csv", "below/../in.csv"];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("in.csv", place.at("link.csv")).unwrap();
        outputs.push("link.csv");
    }
    for output in outputs {
        for flag in ["-o", "--mask-out", "--samples-out", "--plot", "--report"] {
            let run = place.impute(&["--method", "ridge", "--force", flag, output]);
            assert!(run.code == 1 && run.stderr.contains("is the input"), "{flag} {output}: {run:?}");
        }
    }
    assert_eq!(fs::read_to_string(&place.table).unwrap(), good());
    fs::write(place.at("there.csv"), "kept").unwrap();
    let run = place.impute(&["--method", "ridge", "-o", "there.csv"]);
    assert!(run.code == 1 && run.stderr.contains("--force"), "{run:?}");
    assert_eq!(fs::read_to_string(place.at("there.csv")).unwrap(), "kept");
    assert_eq!(place.impute(&["--method", "ridge", "-o", "there.csv", "--force"]).code, 0);
}

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
        let value = if i < 3 || i > 56 || i % 7 == 3 { String::new() } else { format!("{:.2}", (i as f64 / 4.0).sin() + level) };
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
