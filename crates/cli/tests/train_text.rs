//! `langevin train text` from outside.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use support::{Run, langevin};

const TINY: &str = "name = 'tiny'\ndomain = 'text'\n[model]\nkind = 'd3pm'\nwidth = 16\nheads = 2\nlayers = 1\nhidden = 16\ncontext = 16\n\
    blocks = [{ size = 0, share = 0.5 }, { size = 4, share = 0.5 }]\n[train]\nsteps = 4\nbatch = 4\nmicro_batch = 2\nvalidate_every = 4\nsave_every = 2\n";
/// The same without blocks, which chains do not have.
const WHOLE: &str = "name = 'tiny'\ndomain = 'text'\n[model]\nkind = 'd3pm'\nwidth = 16\nheads = 2\nlayers = 1\nhidden = 16\ncontext = 16\n\
    blocks = [{ size = 0, share = 1.0 }]\n[train]\nsteps = 2\nbatch = 4\nmicro_batch = 2\nvalidate_every = 2\nsave_every = 2\n";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder of two authors.
fn corpus(folder: &Path) -> PathBuf {
    for (author, words) in [("ann", "the cat sat on the mat "), ("ben", "a dog ran over the hill ")] {
        let to = folder.join("corpus").join(author);
        fs::create_dir_all(&to).unwrap();
        fs::write(to.join("book.txt"), words.repeat(30)).unwrap();
    }
    folder.join("corpus")
}

fn train(folder: &Path, config: &str, to: &str, more: &[&str]) -> Run {
    let (config_file, data, run) = (folder.join("config.toml"), corpus(folder), folder.join(to));
    fs::write(&config_file, config).unwrap();
    let args = ["train", "text", "--corpus", text(&data), "--config", text(&config_file), "-o", text(&run)];
    langevin(&[&args[..], more].concat())
}

fn model(folder: &Path, run: &str) -> Vec<u8> {
    fs::read(folder.join(run).join("model.safetensors")).unwrap()
}

#[test]
fn runs_are_the_same_bytes_for_any_threads_and_know_their_labels() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (run, threads) in [("one", "1"), ("three", "3")] {
        let run = train(folder, TINY, run, &["--threads", threads]);
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    assert_eq!(model(folder, "one"), model(folder, "three"));
    assert!(fs::read_to_string(folder.join("one/metrics.jsonl")).unwrap().contains("bits in blocks of 16"));
    assert_eq!(train(folder, TINY, "one", &[]).code, 1);
    // The labels are in the checkpoint, and the run goes on from it.
    let (made, from) = (folder.join("one/model.safetensors"), folder.join("two"));
    let info = langevin(&["info", text(&made), "--json"]);
    assert!(info.stdout.contains("\"ann\"") && info.stdout.contains("\"ben\""), "{}", info.stdout);
    let data = corpus(folder);
    let further = langevin(&["train", "text", "--corpus", text(&data), "--from", text(&made), "-o", text(&from), "--steps", "1"]);
    assert_eq!(further.code, 0, "{}", further.stderr);
}

#[test]
fn tokenizers_and_processes_are_chosen_by_flags() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (k, flags) in [
        &["--tokenizer", "bpe:262"][..],
        &["--kernel", "autoregressive"],
        &["--kernel", "uniform", "--schedule", "mutual-information", "--chain-steps", "8"],
        &["--kernel", "nearest:3", "--reverse", "d3pm", "--loss", "ce", "--chain-steps", "8"],
        &["--kernel", "mask-and-replace:0.5", "--loss", "hybrid:0.1", "--schedule", "linear:0.05:0.5", "--chain-steps", "8"],
    ]
    .into_iter()
    .enumerate()
    {
        let run = train(folder, WHOLE, &format!("run{k}"), flags);
        assert_eq!(run.code, 0, "{flags:?}: {}", run.stderr);
    }
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let refused = |config: &str, flags: &[&str], code: i32, word: &str| {
        let run = train(folder, config, "run", flags);
        assert!(run.code == code && run.stderr.contains(word), "{flags:?} {}: {}", run.code, run.stderr);
        assert!(!folder.join("run").exists(), "{flags:?}");
    };
    refused(&TINY.replace("heads", "haeds"), &[], 1, "haeds");
    refused(&TINY.replace("size = 4", "size = 5"), &[], 1, "divide context");
    refused(&TINY.replace("context = 16", "context = 1024"), &[], 1, "1024");
    refused(TINY, &["--schedule", "cosine"], 2, "--kernel");
    refused(TINY, &["--kernel", "unifrom"], 1, "uniform");
    refused(TINY, &["--kernel", "gaussian", "--schedule", "mutual-information"], 1, "uniform, absorbing and nearest");
    refused(TINY, &["--tokenizer", "word"], 2, "char27");
    let empty = folder.join("empty.txt");
    fs::write(&empty, "").unwrap();
    let capitals = folder.join("capitals.txt");
    fs::write(&capitals, "the Cat sat").unwrap();
    for (file, word) in [(&empty, "no text"), (&capitals, "character 5"), (&folder.join("nowhere.txt"), "nowhere.txt")] {
        let run = langevin(&["train", "text", "--corpus", text(file), "-o", text(&folder.join("run"))]);
        assert!(run.code == 1 && run.stderr.contains(word), "{}", run.stderr);
    }
}
