//! `langevin impute series` with CSDI, and with its network without conditions, from outside.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use support::{Run, langevin};
use tempfile::TempDir;

const CSDI: &str = "name = 'tiny'\ndomain = 'series'\n[model]\nkind = 'csdi'\nwindow = 12\nlayers = 1\nchannels = 8\nheads = 2\nsteps = 12\n\
    unconditional = false\n[train]\nsteps = 4\nbatch = 4\nmicro_batch = 2\nvalidate_every = 4\nsave_every = 2\n";

/// A folder with a table and a checkpoint of each kind trained on it, made once for all tests here.
static MADE: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("table.csv"), csv(["b", "a"])).unwrap();
    for (name, config) in [("csdi", CSDI.to_owned()), ("free", CSDI.replace("= false", "= true"))] {
        fs::write(at(&format!("{name}.toml")), config).unwrap();
        let (data, config, run) = (at("table.csv"), at(&format!("{name}.toml")), at(name));
        let run = langevin(&["train", "series", "--data", text(&data), "--config", text(&config), "-o", text(&run)]);
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    folder
});

/// Ninety rows with odd spellings, points and a long gap missing from the first column, a gap at the end of the second.
fn csv(names: [&str; 2]) -> String {
    let mut csv = format!("time,{},{}\n", names[0], names[1]);
    for row in 0..90 {
        let t = f64::from(row);
        let b = if row % 17 == 5 || (40..44).contains(&row) { String::new() } else { format!("{:.3}0", 2.0 + (t / 4.0).sin()) };
        let a = if row > 85 { "NA".to_owned() } else { format!("{:+.2}", (t / 9.0).cos()) };
        let _ = writeln!(csv, "{row},{b},{a}");
    }
    csv
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn made(name: &str) -> PathBuf {
    MADE.path().join(name)
}

fn impute(checkpoint: &str, more: &[&str]) -> Run {
    let (table, checkpoint) = (made("table.csv"), made(checkpoint).join("model.safetensors"));
    let args = ["impute", "series", text(&table), "--checkpoint", text(&checkpoint), "--samples", "6"];
    langevin(&[&args[..], more].concat())
}

#[test]
fn holes_are_filled_and_what_was_observed_stays() {
    let before = csv(["b", "a"]);
    for (name, more) in [("csdi", &[][..]), ("csdi", &["--solver", "ddim", "--steps", "5"]), ("free", &["--repaint", "2"])] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut outputs = Vec::new();
        for threads in ["1", "3"] {
            let (out, samples, report) = (at(&format!("{threads}.csv")), at(&format!("{threads}s.csv")), at(&format!("{threads}.json")));
            let files = ["-o", text(&out), "--samples-out", text(&samples), "--report", text(&report), "--threads", threads];
            let run = impute(name, &[more, &files[..], &["--quantiles", "0.1,0.9"]].concat());
            assert_eq!(run.code, 0, "{}", run.stderr);
            assert!(run.stderr.contains("no backtest"), "{}", run.stderr);
            let json: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
            assert!(json["backtest"].is_null() && json["checkpoint"]["name"] == "tiny" && json["samples"] == 6, "{json}");
            // Twelve steps, of which RePaint walks the last ten twice.
            let steps = match (name, more) {
                ("free", _) => 22,
                (_, []) => 12,
                _ => 5,
            };
            assert_eq!((&json["steps"], &json["left"]), (&steps.into(), &0.into()), "{json}");
            outputs.push([fs::read_to_string(out).unwrap(), fs::read_to_string(samples).unwrap()]);
        }
        assert_eq!(outputs[0], outputs[1]);
        let [after, samples] = &outputs[0];
        let mut filled = 0;
        for (before, after) in before.lines().zip(after.lines()).skip(1) {
            let after: Vec<&str> = after.split(',').collect();
            let before: Vec<&str> = before.split(',').collect();
            for (cell, low, high) in [(1, 3, 4), (2, 5, 6)] {
                if before[cell].is_empty() || before[cell] == "NA" {
                    filled += 1;
                    let [low, x, high] = [low, cell, high].map(|k| after[k].parse::<f64>().unwrap());
                    assert!(x.is_finite() && low <= x && x <= high, "{after:?}");
                } else {
                    assert_eq!(after[cell], before[cell]);
                }
            }
        }
        assert_eq!((filled, after.lines().count(), samples.lines().count()), (13, 91, 14));
        // Samples differ, and are what the quantiles are of.
        let cells: Vec<&str> = samples.lines().nth(1).unwrap().split(',').collect();
        assert!(cells.len() == 8 && cells[2] != cells[3], "{cells:?}");
    }
}

#[test]
fn seeds_differ_and_long_gaps_stay_when_asked() {
    let [first, again, other, short] = [&["--seed", "1"][..], &["--seed", "1"], &["--seed", "2"], &["--seed", "1", "--max-gap", "3"]]
        .map(|more| impute("csdi", more).stdout);
    assert_eq!(first, again);
    assert_ne!(first, other);
    let empty: Vec<usize> = short.lines().enumerate().filter(|(_, line)| line.contains(",,")).map(|(n, _)| n - 1).collect();
    assert_eq!(empty, [39, 40, 41, 42, 43]);
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (table, checkpoint) = (folder.path().join("other.csv"), made("csdi").join("model.safetensors"));
    fs::write(&table, csv(["c", "speed"])).unwrap();
    let other = langevin(&["impute", "series", text(&table), "--checkpoint", text(&checkpoint)]);
    assert!(other.code == 1 && other.stderr.contains("c, speed") && other.stderr.contains("trained on: b, a."), "{}", other.stderr);
    assert!(other.stdout.is_empty());
    // A column that the table lacks was never observed.
    fs::write(&table, csv(["b", "speed"])).unwrap();
    let part = langevin(&["impute", "series", text(&table), "--checkpoint", text(&checkpoint), "--samples", "2"]);
    assert!(part.code == 0 && part.stderr.contains("lacks a of the columns"), "{}", part.stderr);
    let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    assert!(part.stdout.lines().all(|line| !cells(line)[1].is_empty()) && part.stdout.ends_with("NA\n"), "{}", part.stdout);
    let given = impute("csdi", &["--repaint", "3"]);
    assert!(given.code == 1 && given.stderr.contains("leave --repaint away"), "{}", given.stderr);
    let free = impute("free", &[]);
    assert!(free.code == 1 && free.stderr.contains("give --repaint"), "{}", free.stderr);
    let both = impute("free", &["--repaint", "3", "--steps", "5"]);
    assert!(both.code == 2 && both.stderr.contains("cannot be used with"), "{}", both.stderr);
    let none = impute("free", &["--repaint", "3", "--method", "linear"]);
    assert!(none.code == 2 && none.stderr.contains("unconditional"), "{}", none.stderr);
    // A column that CSDI does not know stays as it is.
    let wide = csv(["b", "a"]).lines().enumerate().fold(String::new(), |mut all, (n, line)| {
        let cell = if n == 0 {
            "c".to_owned()
        } else if n % 9 == 4 {
            String::new()
        } else {
            n.to_string()
        };
        let _ = writeln!(all, "{line},{cell}");
        all
    });
    fs::write(&table, &wide).unwrap();
    let run = langevin(&["impute", "series", text(&table), "--checkpoint", text(&checkpoint), "--samples", "2"]);
    assert!(run.code == 0 && run.stderr.contains("not trained on c:"), "{}", run.stderr);
    assert!(run.stdout.lines().zip(wide.lines()).all(|(after, before)| after.rsplit(',').next() == before.rsplit(',').next()));
}

#[test]
fn the_shipped_csdi_knows_intensive_care() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("stay.csv");
    // Heart rate and mean pressure are measured every other hour, the temperature once, and nothing else at all.
    let mut csv = "Hour,MAP,HR,Temp\n".to_owned();
    for hour in 0..48 {
        let cell = |seen: bool, value: f64| if seen { value.to_string() } else { String::new() };
        let (rate, pressure) = (f64::from(84 + hour % 7), f64::from(78 + hour % 5));
        let _ = writeln!(csv, "{hour},{},{},{}", cell(hour % 2 == 1, pressure), cell(hour % 2 == 0, rate), cell(hour == 9, 37.1));
    }
    fs::write(&table, &csv).unwrap();
    let args = ["impute", "series", text(&table), "--checkpoint", "csdi", "--seed", "1"];
    let run = langevin(&[&args[..], &["--samples", "4", "--solver", "ddim", "--steps", "8"]].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("CSDI fills as published") && run.stderr.contains("lacks DiasABP, Na, "), "{}", run.stderr);
    let mut filled = [Vec::new(), Vec::new()];
    for (before, after) in csv.lines().zip(run.stdout.lines()).skip(1) {
        let (before, after): (Vec<&str>, Vec<&str>) = (before.split(',').collect(), after.split(',').collect());
        assert!(after.iter().all(|cell| !cell.is_empty()), "{after:?}");
        assert!(before.iter().zip(&after).all(|(before, after)| before.is_empty() || before == after), "{after:?}");
        for (filled, k) in filled.iter_mut().zip([2, 1]) {
            filled.extend(before[k].is_empty().then(|| after[k].parse::<f64>().unwrap()));
        }
    }
    // The stay's own levels, in beats a minute and mmHg, not those of all stays.
    for (filled, level) in filled.iter().zip([87.0, 80.0]) {
        let mean = filled.iter().sum::<f64>() / filled.len() as f64;
        assert!(filled.len() == 24 && (mean - level).abs() < 12.0, "{mean} for {level}");
    }
    let other = folder.path().join("other.csv");
    fs::write(&other, "time,speed\n0,1\n1,\n2,3\n").unwrap();
    let refused = langevin(&["impute", "series", text(&other), "--checkpoint", "csdi"]);
    assert!(refused.code == 1 && refused.stdout.is_empty(), "{refused:?}");
    for part in ["TroponinT", "configs/csdi.toml", "has columns speed"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}
