//! `langevin impute series --shard` from outside: parts that make the whole, and gaps that blocks cut.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::fs;

use support::{command, run, tables::Place};

/// Hourly rows of some sites, one after another, with holes; no line end at the end.
fn panel(sites: usize, rows: usize) -> String {
    let line = |site: usize, row: usize| {
        let value = |k: usize| {
            if (row * 7 + site + k * 5).is_multiple_of(11) {
                String::new()
            } else {
                format!("{:.2}", ((row + k) as f64 / 4.0).sin() + site as f64)
            }
        };
        format!("s{site},2021-01-{:02} {:02}:00,{},{}", 1 + row / 24, row % 24, value(0), value(1))
    };
    let lines: Vec<String> = (0..sites).flat_map(|site| (0..rows).map(move |row| line(site, row))).collect();
    format!("\u{feff}site,time,x,y\n{}", lines.join("\n"))
}

#[test]
fn parts_make_the_whole() {
    let place = Place::new(panel(5, 70));
    let flags = ["--method", "ridge", "--quantiles", "0.1,0.9", "--forecast", "3", "--seed", "2"];
    let part = |shard: &str, output: &str, more: &[&str]| place.impute(&[&flags[..], &["--shard", shard, "-o", output], more].concat());
    let whole = place.impute(&[&flags[..], &["-o", "whole.csv"]].concat());
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let merge = |parts: &[String], output: &str| run(command(&["merge", "-o", output]).args(parts).current_dir(place.folder.path()));
    for count in [2, 3, 7] {
        let mut parts: Vec<String> = (0..count).map(|k| format!("part{k}of{count}.csv")).collect();
        for (k, output) in parts.iter().enumerate() {
            let run = part(&format!("{k}/{count}"), output, &[]);
            assert_eq!(run.code, 0, "{}", run.stderr);
        }
        parts.reverse();
        let output = format!("merged{count}.csv");
        let run = merge(&parts, &output);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(fs::read(place.at("whole.csv")).unwrap() == fs::read(place.at(&output)).unwrap(), "{count} parts");
    }
    // A part that is there is not made again; another job's is not taken for it; one that is missing is missed.
    assert!(part("0/2", "part0of2.csv", &[]).stderr.contains("already"));
    let other = part("0/2", "part0of2.csv", &["--point", "mean"]);
    assert!(other.code == 1 && other.stderr.contains("another job"), "{}", other.stderr);
    let less = merge(&["part0of3.csv".to_owned(), "part2of3.csv".to_owned()], "less.csv");
    assert!(less.code == 1 && less.stderr.contains("missing"), "{}", less.stderr);
}

#[test]
fn parts_of_mixed_rows_make_the_whole() {
    // Sites that report by turns, one of them late, as rows with two numbers each and as one number a row; blank lines, no line end at the end.
    let value = |t: usize, k: usize| if (t * 7 + k).is_multiple_of(5) { String::new() } else { format!("{}.5", (t + k) % 4) };
    let time = |t: usize| format!("2021-01-{:02} {:02}:00", 1 + t / 24, t % 24);
    let sites = |t: usize| (0..3).filter(move |&site| site < 2 || t > 40);
    let wide: String =
        (0..70).flat_map(|t| sites(t).map(move |s| format!("{},s{s},{},{}\n", time(t), value(t, s), value(t, s + 3)))).collect();
    let long: String = (0..70)
        .flat_map(|t| sites(t).flat_map(move |s| (0..2).map(move |k| format!("{},s{s},v{k},{}\n\n", time(t), value(t, s + k)))))
        .collect();
    let wide = format!("time,site,x,y\n{}", wide.trim_end());
    for (text, forecast) in [(wide, "2"), (format!("time,site,variable,value\n{long}"), "3")] {
        let place = Place::new(text);
        let flags = ["--method", "ridge", "--quantiles", "0.1,0.9", "--forecast", forecast, "--seed", "2"];
        let made = |output: &str, more: &[&str]| {
            let run = place.impute(&[&flags[..], &["-o", output], more].concat());
            assert_eq!(run.code, 0, "{}", run.stderr);
            fs::read(place.at(output)).unwrap()
        };
        let whole = made("whole.csv", &[]);
        for count in [2, 5] {
            let parts: Vec<String> = (0..count).map(|k| format!("part{k}of{count}.csv")).collect();
            let joined = (0..count).flat_map(|k| made(&parts[k], &["--shard", &format!("{k}/{count}")])).collect::<Vec<u8>>();
            assert!(joined == whole, "{count} parts");
            let merge = run(command(&["merge", "-o", &format!("all{count}.csv")]).args(&parts).current_dir(place.folder.path()));
            assert_eq!(merge.code, 0, "{}", merge.stderr);
            assert!(fs::read(place.at(&format!("all{count}.csv"))).unwrap() == whole, "{count} parts merged");
        }
    }
}

#[test]
fn what_has_no_parts_is_refused_and_what_is_complete_is_one() {
    let place = Place::new(panel(2, 30));
    let run = place.impute(&["--method", "linear", "--shard", "0/2"]);
    assert!(run.code == 2 && run.stderr.contains("-o FILE"), "{}", run.stderr);
    let run = place.impute(&["--shard", "0/2", "-o", "o.csv", "--plot", "p.svg"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert_eq!(place.names(), ["in.csv"]);
    let complete = "x,y\n1,2\n3,4\n";
    let place = Place::new(complete);
    for shard in ["0/2", "1/2"] {
        assert_eq!(place.impute(&["--shard", shard, "-o", &format!("{}.csv", &shard[..1])]).code, 0);
    }
    let run = run_merge(&place);
    assert_eq!((run.code, fs::read_to_string(place.at("all.csv")).unwrap().as_str()), (0, complete), "{}", run.stderr);
}

fn run_merge(place: &Place) -> support::Run {
    run(command(&["merge", "0.csv", "1.csv", "-o", "all.csv"]).current_dir(place.folder.path()))
}

#[test]
fn a_gap_that_blocks_cut_is_as_long_as_it_is() {
    // Blocks have 65,536 rows; the gap begins 60 rows before the end of one and is longer than what lies around a block.
    let text: String =
        (0..70_000).map(|t| if (65_476..68_476).contains(&t) || t % 97 == 5 { "\n".to_owned() } else { format!("{}\n", t % 7) }).collect();
    let place = Place::new(format!("x\n{text}"));
    let filled = place.filled(&["--method", "linear", "--backtest", "off", "--max-gap", "2000"]);
    let holes: Vec<usize> = filled.lines().skip(1).enumerate().filter(|(_, line)| line.is_empty()).map(|(row, _)| row).collect();
    assert_eq!((holes.len(), holes.first(), holes.last()), (3000, Some(&65_476), Some(&68_475)));
}
