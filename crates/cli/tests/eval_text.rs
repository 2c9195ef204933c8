//! `langevin eval text` from outside.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use support::langevin;

const MODEL: &str =
    "name = 'tiny'\ndomain = 'text'\n[model]\nkind = 'd3pm'\nwidth = 16\nheads = 2\nlayers = 1\nhidden = 16\ncontext = 16\n";
const TRAIN: &str = "[train]\nsteps = 3\nbatch = 4\nmicro_batch = 2\nvalidate_every = 3\nsave_every = 3\n";
const TEXT: &str = "the cat sat on the mat and the dog ran over the hill ";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A tiny model that was trained for a moment, and its corpus.
fn model(folder: &Path, settings: &str, flags: &[&str]) -> (PathBuf, PathBuf) {
    let (config, corpus, run) = (folder.join("config.toml"), folder.join("corpus.txt"), folder.join("run"));
    fs::write(&config, format!("{MODEL}{settings}{TRAIN}")).unwrap();
    fs::write(&corpus, TEXT.repeat(20)).unwrap();
    let args = ["train", "text", "--corpus", text(&corpus), "--config", text(&config), "-o", text(&run)];
    let run_of = langevin(&[&args[..], flags].concat());
    assert_eq!(run_of.code, 0, "{}", run_of.stderr);
    (run.join("model.safetensors"), corpus)
}

fn json(args: &[&str]) -> Value {
    let run = langevin(&[&["eval", "text", "--json"], args].concat());
    assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn bits_of_a_corpus_beside_a_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let (made, corpus) = model(folder.path(), "blocks = [{ size = 0, share = 0.5 }, { size = 1, share = 0.5 }]\n", &[]);
    let (made, corpus) = (text(&made), text(&corpus));
    let args = ["--corpus", corpus, "--checkpoint", made];
    let found = json(&args);
    let bits = found["bits_per_char"].as_f64().unwrap();
    // A moment of training is near log2 27.
    assert!((3.0..6.0).contains(&bits) && found["standard_error"].as_f64().unwrap() > 0.0, "{found}");
    assert_eq!((found["characters"].as_u64(), found["windows"].as_u64()), (Some(1060), Some(67)));
    assert_eq!((found["bound"].as_str(), found["block"].as_u64()), (Some("nelbo"), Some(16)));
    assert!(found["baseline_bits_per_char"].is_null() && found["steps"].is_null());
    assert_eq!(json(&[&args[..], &["--threads", "1"]].concat()), json(&[&args[..], &["--threads", "3"]].concat()));
    assert_ne!(json(&[&args[..], &["--seed", "7"]].concat())["bits_per_char"], found["bits_per_char"]);

    // Token after token the bound is the exact value, and the baseline knows its own text.
    let l2r = json(&[&args[..], &["--bound", "l2r", "--baseline", corpus, "--limit", "64"]].concat());
    let blocks = json(&[&args[..], &["--bound", "nelbo", "--block", "1", "--limit", "64"]].concat());
    assert_eq!((l2r["block"].as_u64(), l2r["windows"].as_u64()), (Some(1), Some(5)));
    assert!((l2r["bits_per_char"].as_f64().unwrap() - blocks["bits_per_char"].as_f64().unwrap()).abs() < 1e-9);
    assert!(l2r["baseline_bits_per_char"].as_f64().unwrap() < 1.0, "{l2r}");
    // A table of the baseline says the same as its corpus.
    let table = folder.path().join("baseline.bin");
    let args_of = [&args[..], &["--bound", "l2r", "--limit", "64"]].concat();
    assert_eq!(json(&[&args_of[..], &["--baseline", corpus, "--save-baseline", text(&table)]].concat()), l2r);
    assert_eq!(json(&[&args_of[..], &["--baseline", text(&table)]].concat()), l2r);
    let random = json(&[&args[..], &["--bound", "order:random", "--block", "full", "--limit", "all"]].concat());
    assert!((3.0..6.0).contains(&random["bits_per_char"].as_f64().unwrap()), "{random}");

    let run = langevin(&["eval", "text", "--corpus", corpus, "--checkpoint", made, "--baseline", corpus]);
    assert!(run.stdout.contains("bits a character (continuous time") && run.stdout.contains("Kneser-Ney 6-gram"), "{}", run.stdout);
}

#[test]
fn the_shipped_model_has_its_baseline_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.txt");
    let page =
        "it was a fine morning and the old man went down to the river with his dog to see whether the boat had come back in the night ";
    fs::write(&file, page.repeat(3)).unwrap();
    let found = json(&["--corpus", text(&file), "--bound", "l2r"]);
    let [bits, baseline] = ["bits_per_char", "baseline_bits_per_char"].map(|name| found[name].as_f64().unwrap());
    // Both know English: far below log2 27 = 4.75.
    assert!((0.1..3.0).contains(&bits) && (1.0..2.5).contains(&baseline), "{found}");
}

#[test]
fn chains_say_their_steps() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "blocks = [{ size = 0, share = 1.0 }]\n";
    let (made, corpus) = model(folder.path(), settings, &["--kernel", "uniform", "--chain-steps", "8"]);
    let found = json(&["--corpus", text(&corpus), "--checkpoint", text(&made)]);
    assert_eq!(found["steps"].as_u64(), Some(8));
    // A moment of training knows less than that a token is most often as it is seen.
    assert!((4.0..40.0).contains(&found["bits_per_char"].as_f64().unwrap()), "{found}");
    let run = langevin(&["eval", "text", "--corpus", text(&corpus), "--checkpoint", text(&made), "--bound", "l2r"]);
    assert!(run.code == 1 && run.stderr.contains("nelbo of the whole"), "{}", run.stderr);
}

#[test]
fn samples_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("train.txt"), TEXT.repeat(5)).unwrap();
    fs::write(at("samples.txt"), format!("{TEXT}\nx the cat wug on y\n\n")).unwrap();
    let (samples, train) = (at("samples.txt"), at("train.txt"));
    let found = json(&["--samples", text(&samples), "--train", text(&train)]);
    assert_eq!((found["samples"].as_u64(), found["copied"].as_f64()), (Some(2), Some(1.0)));
    let in_words = found["in_words"].as_f64().unwrap();
    assert!(in_words > 0.9 && in_words < 1.0 && found["word_trigram_bits"].as_f64().unwrap() > 0.0, "{found}");
    let run = langevin(&["eval", "text", "--samples", text(&samples)]);
    assert!(run.code == 0 && run.stdout.contains("in known words         -") && run.stdout.contains("repeated triples"), "{}", run.stdout);
    fs::write(&samples, "\n").unwrap();
    let run = langevin(&["eval", "text", "--samples", text(&samples)]);
    assert!(run.code == 1 && run.stderr.contains("holds no samples"), "{}", run.stderr);
}

#[test]
fn filled_gaps_are_scored() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let tasks = "{\"id\": 1, \"kind\": \"some\", \"input\": \"the c_t s_t\", \"gold\": \"the cat sat\"}\n\
        {\"id\": \"b\", \"kind\": \"span\", \"input\": \"the [MASK] sat\", \"gold\": \"the dog sat\"}\n";
    fs::write(at("tasks.jsonl"), tasks).unwrap();
    fs::write(at("out.jsonl"), "{\"id\": 1, \"output\": \"the cut sat\"}\n{\"id\": \"b\", \"output\": \"the cat sat\"}\n").unwrap();
    fs::write(at("train.txt"), TEXT.repeat(5)).unwrap();
    let (tasks, out, train) = (at("tasks.jsonl"), at("out.jsonl"), at("train.txt"));
    let found = json(&["--infilled", text(&out), "--tasks", text(&tasks), "--baseline", text(&train)]);
    let kind = &found["kinds"][0];
    assert_eq!((kind["kind"].as_str(), kind["accuracy"].as_f64(), kind["fixed_kept"].as_f64()), (Some("some"), Some(0.5), Some(1.0)));
    assert_eq!(kind["baseline_accuracy"].as_f64(), Some(1.0));
    assert_eq!((found["kinds"][1]["fixed_kept"].as_f64(), found["kinds"][1]["exact"].as_f64()), (Some(1.0), Some(0.0)));
    fs::write(&out, "{\"id\": 1}\n").unwrap();
    let run = langevin(&["eval", "text", "--infilled", text(&out), "--tasks", text(&tasks)]);
    assert!(run.code == 1 && run.stderr.contains("line 1") && run.stderr.contains("\"output\""), "{}", run.stderr);
    fs::write(&out, "not json\n").unwrap();
    let run = langevin(&["eval", "text", "--infilled", text(&out), "--tasks", text(&tasks)]);
    assert!(run.code == 1 && run.stderr.contains("is no JSON"), "{}", run.stderr);
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (made, corpus) = model(folder.path(), "blocks = [{ size = 0, share = 1.0 }]\n", &[]);
    let at = |name: &str| folder.path().join(name);
    fs::write(at("empty.txt"), "").unwrap();
    fs::write(at("capitals.txt"), "the Cat sat").unwrap();
    let refused = |args: &[&str], code: i32, word: &str| {
        let run = langevin(&[&["eval", "text"], args].concat());
        assert!(run.code == code && run.stderr.contains(word), "{args:?} {}: {}", run.code, run.stderr);
    };
    let (made, corpus) = (text(&made), text(&corpus));
    refused(&["--corpus", text(&at("empty.txt")), "--checkpoint", made], 1, "holds no text");
    refused(&["--corpus", text(&at("capitals.txt")), "--checkpoint", made], 1, "--normalise");
    refused(&["--corpus", corpus, "--checkpoint", made, "--baseline", text(&at("empty.txt"))], 1, "empty.txt");
    refused(&["--corpus", corpus, "--checkpoint", "text-novel"], 1, "neither a file nor a checkpoint");
    refused(&["--corpus", corpus, "--checkpoint", made, "--label", "hardy"], 1, "label");
    refused(&["--corpus", corpus, "--checkpoint", made, "--block", "5"], 1, "divide context");
    fs::write(at("table.bin"), "langevin n-gram 1\nnothing").unwrap();
    refused(&["--corpus", corpus, "--checkpoint", made, "--baseline", text(&at("table.bin"))], 1, "damaged");
    refused(&["--corpus", corpus, "--checkpoint", made, "--baseline", corpus, "--save-baseline", corpus], 1, "already there");
    refused(&["--corpus", corpus, "--bound", "elbo"], 2, "order:random");
    refused(&["--corpus", corpus, "--stratified", "0"], 2, "stratified");
    refused(&["--corpus", corpus, "--limit", "-3"], 2, "or all");
    refused(&[], 2, "--corpus");
    refused(&["--corpus", corpus, "--samples", corpus], 2, "--samples");
    refused(&["--infilled", corpus], 2, "--tasks");
    let run = langevin(&["eval", "text", "--corpus", text(&at("capitals.txt")), "--checkpoint", made, "--normalise"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
}
