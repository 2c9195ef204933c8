//! `langevin train series` from outside.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use support::{Run, langevin};

const RESIDUAL: &str = "name = 'tiny'\ndomain = 'series'\n[model]\nkind = 'residual'\nwindow = 24\nwidth = 8\nhidden = 8\nstate_width = 8\n\
    state_hidden = 8\nheads = 2\nblocks = 2\ncondition = 8\n[train]\nsteps = 4\nbatch = 4\nmicro_batch = 2\nvalidate_every = 4\nsave_every = 2\n";
const CSDI: &str = "name = 'tiny'\ndomain = 'series'\n[model]\nkind = 'csdi'\nwindow = 12\nlayers = 1\nchannels = 8\nheads = 2\nsteps = 10\n\
    [train]\nsteps = 4\nbatch = 4\nmicro_batch = 2\nvalidate_every = 4\nsave_every = 2\n";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A table of two columns, some cells missing.
fn table(folder: &Path) -> PathBuf {
    let mut csv = "time,b,a\n".to_owned();
    for row in 0..400 {
        let t = f64::from(row);
        let b = if row % 37 == 5 { String::new() } else { format!("{:.3}", (t / 4.0).sin()) };
        let _ = writeln!(csv, "{row},{b},{:.3}", (t / 9.0).cos() + 0.3 * (t / 4.0).sin());
    }
    fs::write(folder.join("table.csv"), csv).unwrap();
    folder.join("table.csv")
}

/// Trains with a config into a folder inside of `folder`.
fn train(folder: &Path, config: &str, to: &str, more: &[&str]) -> Run {
    let (config_file, data, run) = (folder.join("config.toml"), table(folder), folder.join(to));
    fs::write(&config_file, config).unwrap();
    let args = ["train", "series", "--data", text(&data), "--config", text(&config_file), "-o", text(&run)];
    langevin(&[&args[..], more].concat())
}

fn model(folder: &Path, run: &str) -> Vec<u8> {
    fs::read(folder.join(run).join("model.safetensors")).unwrap()
}

#[test]
fn runs_are_the_same_bytes_for_any_threads() {
    for config in [RESIDUAL, CSDI] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for (run, threads) in [("one", "1"), ("three", "3")] {
            let run = train(folder, config, run, &["--threads", threads]);
            assert_eq!(run.code, 0, "{}", run.stderr);
        }
        assert_eq!(model(folder, "one"), model(folder, "three"));
        // A folder with a run in it is not written over.
        assert_eq!(train(folder, config, "one", &[]).code, 1);
    }
}

#[test]
fn a_checkpoint_is_trained_further_and_on_synthetic_tables_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_eq!(train(folder, RESIDUAL, "first", &["--synthetic", "8"]).code, 0);
    let (data, from, to) = (table(folder), folder.join("first/model.safetensors"), folder.join("second"));
    let run = langevin(&["train", "series", "--data", text(&data), "--from", text(&from), "-o", text(&to), "--valid", text(&data)]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("400 rows of 2 columns") && run.stderr.contains("best validation score"), "{}", run.stderr);
    assert!(fs::read_to_string(to.join("metrics.jsonl")).unwrap().contains("crps"));
    // CSDI has no columns for made-up tables, and no use for another model's weights.
    let refused = train(folder, CSDI, "third", &["--synthetic", "8"]);
    assert!(refused.code == 2 && refused.stderr.contains("columns"), "{}", refused.stderr);
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let run = folder.join("run");
    let nothing = langevin(&["train", "series", "-o", text(&run)]);
    assert!(nothing.code == 2 && nothing.stderr.contains("--data"), "{}", nothing.stderr);
    let typo = train(folder, &RESIDUAL.replace("heads", "haeds"), "run", &[]);
    assert!(typo.code == 1 && typo.stderr.contains("haeds"), "{}", typo.stderr);
    let odd = train(folder, &RESIDUAL.replace("heads = 2", "heads = 3"), "run", &[]);
    assert!(odd.code == 1 && odd.stderr.contains("multiple of heads"), "{}", odd.stderr);
    let other = train(folder, &RESIDUAL.replace("'series'", "'audio'"), "run", &[]);
    assert!(other.code == 1 && other.stderr.contains("not for series"), "{}", other.stderr);
    let missing = langevin(&["train", "series", "--data", "nowhere.csv", "-o", text(&run)]);
    assert!(missing.code == 1 && missing.stderr.contains("nowhere.csv"), "{}", missing.stderr);
    assert!(!run.exists());
    // The columns of CSDI are read off the data.
    let dry = train(folder, CSDI, "run", &["--dry-run"]);
    assert!(dry.code == 0 && dry.stdout.contains("columns = [\"b\", \"a\"]") && !run.exists(), "{}", dry.stdout);
}
