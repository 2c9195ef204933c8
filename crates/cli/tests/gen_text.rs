//! `gen text` with a small model, as a user runs it.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "shared by the test programs")]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde_json::Value;
use support::{
    command, langevin,
    tones::{done, refused, text},
};
use tempfile::TempDir;

const CONFIG: &str = r#"
name = "rhyme"
domain = "text"
seed = 1
[model]
kind = "d3pm"
width = 16
heads = 2
layers = 1
hidden = 24
context = 32
tokenizer = { kind = "char27" }
blocks = [{ size = 0, share = 0.5 }, { size = 1, share = 0.2 }, { size = 4, share = 0.3 }]
[train]
steps = 60
batch = 8
micro_batch = 4
learning_rate = 1e-2
warmup = 5
validate_every = 30
save_every = 60
"#;

/// Two labels of rhymes and a network that has seen them for a second.
struct Rhymes {
    folder: TempDir,
}

impl Rhymes {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn model(&self) -> String {
        text(&self.at("run/model.safetensors")).to_owned()
    }
}

static RHYMES: LazyLock<Rhymes> = LazyLock::new(|| {
    let rhymes = Rhymes { folder: tempfile::tempdir().unwrap() };
    for (label, line) in [("cats", "the cat sat on the mat and "), ("dogs", "a dog ran over the hill to ")] {
        fs::create_dir_all(rhymes.at("corpus").join(label)).unwrap();
        fs::write(rhymes.at("corpus").join(label).join("a.txt"), line.repeat(40)).unwrap();
    }
    fs::write(rhymes.at("rhymes.toml"), CONFIG).unwrap();
    let (corpus, config, run) = (rhymes.at("corpus"), rhymes.at("rhymes.toml"), rhymes.at("run"));
    done(&["train", "text", "--corpus", text(&corpus), "--config", text(&config), "-o", text(&run), "--quiet", "--threads", "2"]);
    rhymes
});

fn with<'a>(model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["gen", "text", "--checkpoint", model], more].concat()
}

fn printed(more: &[&str]) -> String {
    done(&with(&RHYMES.model(), &[more, &["--quiet"]].concat())).stdout
}

#[test]
fn a_text_depends_on_its_number_only() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&folder.path().join(name)).to_owned();
    for method in [&["--length", "40"][..], &["--length", "70", "--block", "4"], &["--infill", "the [MASK] _at", "--temperature", "1"]] {
        let whole = printed(&[method, &["-n", "6", "--seed", "3", "--threads", "1"]].concat());
        assert_eq!(whole.lines().count(), 6);
        assert_ne!(whole.lines().next(), whole.lines().nth(1));
        assert_eq!(printed(&[method, &["-n", "6", "--seed", "3", "--threads", "3"]].concat()), whole);
        assert_eq!(printed(&[method, &["-n", "1", "--seed", "3", "--threads", "4"]].concat()), whole.split_inclusive('\n').next().unwrap());
        assert_ne!(printed(&[method, &["-n", "6", "--seed", "4"]].concat()), whole);
        let mut merge = vec!["merge".to_owned()];
        for k in [1, 0] {
            let (part, shard) = (at(&format!("part{k}")), format!("{k}/2"));
            printed(&[method, &["-n", "6", "--seed", "3", "--shard", &shard, "-o", &part, "--force"]].concat());
            merge.push(part);
        }
        merge.extend(["-o".to_owned(), at("all"), "--force".to_owned(), "--quiet".to_owned()]);
        done(&merge.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(fs::read_to_string(at("all")).unwrap(), whole);
        fs::remove_file(at("part0.part.json")).unwrap();
        fs::remove_file(at("part1.part.json")).unwrap();
    }
}

#[test]
fn every_method_writes_the_length_asked_for() {
    for method in [
        &["--steps", "8"][..],
        &["--steps", "auto", "--entropy-bound", "2"],
        &["--order", "confidence", "--temperature", "0.7"],
        &["--order", "l2r", "--top-p", "0.9"],
        &["--remask", "cap", "--remask-share", "0.1", "--steps", "40"],
        &["--remask", "conf"],
        &["--block", "1"],
        &["--block", "4", "--steps", "auto"],
        &["--block", "full", "--label", "Dogs", "--guidance", "2"],
        &["--block", "4", "--label", "cats", "--guidance", "3"],
        &["--prompt", "the cat"],
    ] {
        for length in ["13", "32", "100"] {
            let out = printed(&[method, &["--length", length]].concat());
            assert_eq!(out.trim_end_matches('\n').len(), length.parse::<usize>().unwrap(), "{method:?}: {out}");
            assert!(out.trim_end_matches('\n').bytes().all(|b| b == b' ' || b.is_ascii_lowercase()), "{out}");
            assert!(!method.contains(&"--prompt") || out.starts_with("the cat"), "{out}");
        }
    }
    // What streams is what is written, and what is traced on the way is not in it.
    let plain = printed(&["--length", "90", "--block", "4"]);
    assert_eq!(printed(&["--length", "90", "--block", "4", "--stream"]), plain);
    let traced = done(&with(&RHYMES.model(), &["--length", "20", "--steps", "5", "--trace"]));
    assert_eq!(traced.stdout, printed(&["--length", "20", "--steps", "5"]));
    assert!(traced.stderr.lines().filter(|line| line.contains('_')).count() == 4, "{}", traced.stderr);
}

#[test]
fn what_is_given_stays_and_constraints_hold() {
    let template = "th_ c[MASK:3]at on t_e [MASK:2-4]t";
    for k in 0..4 {
        let seed = k.to_string();
        let out = printed(&["--infill", template, "--seed", &seed]);
        let line = out.trim_end();
        assert!(line.starts_with("th") && line[3..5] == *" c" && line[8..15] == *"at on t" && line.ends_with('t'), "{line}");
        assert!((21..=23).contains(&line.len()), "{line}");
    }
    let vowels = printed(&["--infill", "_____", "--constraint", "1-4:[aeiou]", "--constraint", "5:[^a-y ]", "--temperature", "2"]);
    assert!(vowels[..4].bytes().all(|b| b"aeiou".contains(&b)) && vowels.trim_end().ends_with('z'), "{vowels}");
    let told: Value = serde_json::from_str(&printed(&["--infill", "the __t", "-n", "2", "--temperature", "1", "--json"])).unwrap();
    assert_eq!(told["schema_version"], 1);
    for (k, sample) in told["samples"].as_array().unwrap().iter().enumerate() {
        let confidence: Vec<f64> = sample["confidence"].as_array().unwrap().iter().map(|c| c.as_f64().unwrap()).collect();
        assert_eq!((sample["sample"].as_u64(), sample["evaluations"].as_u64(), confidence.len()), (Some(k as u64), Some(2), 7));
        assert!(confidence[..4] == [1.0; 4] && confidence[4] < 1.0 && confidence[6] == 1.0, "{confidence:?}");
    }
    assert_eq!(printed(&["--infill", "THE C_T!", "--normalise"]).trim_end().len(), "the c_t ".trim_end().len());
}

#[test]
fn many_templates_are_filled_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&folder.path().join(name)).to_owned();
    let tasks: String =
        (0..70).map(|k| format!("{{\"id\": \"t{k}\", \"kind\": \"x\", \"input\": \"the c_t s{}t\"}}\n", "_".repeat(k % 5 + 1))).collect();
    fs::write(at("t.jsonl"), &tasks).unwrap();
    printed(&["--infill-jsonl", &at("t.jsonl"), "-o", &at("o.jsonl")]);
    let out = fs::read_to_string(at("o.jsonl")).unwrap();
    assert_eq!(out.lines().count(), 70);
    for (k, line) in out.lines().enumerate() {
        let filled: Value = serde_json::from_str(line).unwrap();
        let output = filled["output"].as_str().unwrap();
        assert_eq!(filled["id"], format!("t{k}"));
        assert!(output.len() == 11 + k % 5 && output.starts_with("the c") && output.ends_with('t') && !output.contains('_'), "{line}");
    }
    let mut parts = String::new();
    for k in 0..3 {
        let (part, shard) = (at(&format!("p{k}")), format!("{k}/3"));
        printed(&["--infill-jsonl", &at("t.jsonl"), "-o", &part, "--shard", &shard, "--threads", "1"]);
        parts += &fs::read_to_string(part).unwrap();
    }
    assert_eq!(parts, out);
    // A line that is wrong is named and costs nothing else.
    fs::write(
        at("bad.jsonl"),
        "{\"id\": 1, \"input\": \"a_\"}\n{\"id\": 2, \"input\": \"A_\"}\nnonsense\n\n{\"id\": [4], \"input\": \"_b\"}\n",
    )
    .unwrap();
    let run = langevin(&with(&RHYMES.model(), &["--infill-jsonl", &at("bad.jsonl"), "-o", &at("good.jsonl")]));
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stderr.contains("line 2: character 1 ('A')") && run.stderr.contains("line 3: "), "{}", run.stderr);
    assert_eq!(fs::read_to_string(at("good.jsonl")).unwrap().lines().count(), 2);
}

#[test]
fn texts_are_edited_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&folder.path().join(name)).to_owned();
    let clean = "the cat sat on the mat and the cat sat on the mat";
    fs::write(at("a.txt"), format!("{clean}\n")).unwrap();
    let edited = printed(&["--edit", &at("a.txt"), "--strength", "0.2", "-n", "2", "--temperature", "3", "--order", "random"]);
    for line in edited.lines() {
        let changed = line.bytes().zip(clean.bytes()).filter(|(a, b)| a != b).count();
        assert!(line.len() == clean.len() && changed > 0 && changed <= 10, "{line}");
    }
    let run =
        done(&with(&RHYMES.model(), &["--fix", &at("a.txt"), "-o", &at("b.txt"), "--json", "--fix-below", "0.5", "--fix-odds", "1.1"]));
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    let fixed = fs::read_to_string(at("b.txt")).unwrap();
    assert_eq!(fixed.trim_end_matches('\n'), told["text"].as_str().unwrap());
    assert!(fixed.ends_with('\n') && fixed.len() == clean.len() + 1);
    let changes = told["changes"].as_array().unwrap();
    let differs = fixed.bytes().zip(clean.bytes()).enumerate().filter(|(_, (a, b))| a != b).map(|(k, _)| k as u64 + 1).collect::<Vec<_>>();
    assert_eq!(changes.iter().map(|change| change["place"].as_u64().unwrap()).collect::<Vec<_>>(), differs);
    assert_eq!(run.stderr.lines().filter(|line| line.starts_with("place ")).count(), changes.len());
    let prompted = run_with_stdin(&with(&RHYMES.model(), &["--prompt-file", "-", "--length", "20", "-q"]), b"a dog\n");
    assert!(prompted.starts_with("a dog") && prompted.len() == 21, "{prompted}");
}

fn run_with_stdin(args: &[&str], bytes: &[u8]) -> String {
    use std::{io::Write as _, process::Stdio};
    let mut child = command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Chains of classes and models of one block only write, fill and edit, too; what they cannot do they say.
#[test]
fn other_processes_write_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&folder.path().join(name)).to_owned();
    let whole = "blocks = [{ size = 0, share = 1 }]";
    let config = CONFIG.replace("blocks = [{ size = 0, share = 0.5 }, { size = 1, share = 0.2 }, { size = 4, share = 0.3 }]", whole);
    fs::write(at("a.txt"), "the cat sat on the mat\n").unwrap();
    for (kernel, config) in [("uniform", &config), ("absorbing", &config), ("autoregressive", &CONFIG.to_owned())] {
        fs::write(at("c.toml"), config.replace("steps = 60", "steps = 4").replace("validate_every = 30", "validate_every = 4")).unwrap();
        let (corpus, run) = (RHYMES.at("corpus"), at(kernel));
        let chain = if kernel == "autoregressive" { &[][..] } else { &["--chain-steps", "20"] };
        let train = ["train", "text", "--corpus", text(&corpus), "--config", &at("c.toml"), "-o", &run, "--quiet", "--kernel", kernel];
        done(&[&train[..], chain].concat());
        let model = at(&format!("{kernel}/model.safetensors"));
        for (args, length) in
            [(&["--length", "70", "--prompt", "the cat"][..], 70), (&["--infill", "th__cat"], 7), (&["--edit", &at("a.txt")], 22)]
        {
            let args = with(&model, &[args, &["--quiet", "--steps", "7"]].concat());
            let out = done(&args).stdout;
            assert_eq!(out, done(&args).stdout);
            assert!(out.trim_end_matches('\n').len() == length && !out.contains('_'), "{args:?}: {out}");
            assert!(length == 22 || out.starts_with("th"), "{args:?}: {out}");
        }
        if kernel != "autoregressive" {
            for (args, words) in [
                (&["--infill", "a[MASK]b"], "known length"),
                (&["--fix", &at("a.txt")], "chain"),
                (&["--steps", "auto"], "chain"),
                (&["--block", "4"], "full"),
            ] {
                let run = langevin(&with(&model, args));
                assert!(run.code == 1 && run.stderr.contains(words), "{args:?}: {}", run.stderr);
            }
        }
    }
}

#[test]
fn wrong_requests_are_explained_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&folder.path().join(name)).to_owned();
    fs::write(at("empty.txt"), "\n").unwrap();
    fs::write(at("latin1.txt"), b"caf\xe9").unwrap();
    let (model, out) = (RHYMES.model(), at("out.txt"));
    let hole = format!("a{}b", "_".repeat(33));
    for (code, args, words) in [
        (1, &["--prompt", "the Cat"][..], &["character 5 ('C')", "--normalise"][..]),
        (1, &["--infill", "the c_t_D"], &["character 9 ('D')", "--normalise"]),
        (1, &["--label", "birds"], &["cats, dogs", "birds"]),
        (1, &["--infill", &hole], &["33 tokens at place 2", "32"]),
        (1, &["--infill", "a [MASK:40-50] b"], &["50 tokens at place 3", "32"]),
        (1, &["--infill", "a[MASK:x]"], &["character 2", "[MASK:5-20]"]),
        (1, &["--infill", ""], &["empty"]),
        (1, &["--prompt-file", &at("empty.txt")], &["empty.txt", "is empty"]),
        (1, &["--prompt-file", &at("latin1.txt")], &["UTF-8", "byte 4"]),
        (1, &["--edit", &at("none.txt")], &["none.txt"]),
        (1, &["--fix", &at("empty.txt")], &["is empty"]),
        (1, &["--infill-jsonl", &at("empty.txt")], &["holds no template"]),
        (1, &["--prompt", "the cat", "--length", "7"], &["length", "7 tokens of the prompt"]),
        (1, &["--block", "3"], &["full, 1, 4", "3"]),
        (1, &["--constraint", "900:[a]"], &["1 to 256"]),
        (1, &["--infill", "a[MASK]", "--constraint", "1:[a]"], &["gap is open"]),
        (1, &["--steps", "auto", "--remask", "cap"], &["remask"]),
        (2, &["--length", "0"], &["--length"]),
        (2, &["--steps", "0"], &["auto"]),
        (2, &["--guidance", "2"], &["--label"]),
        (2, &["--infill", "a_", "--length", "9"], &["--length"]),
        (2, &["--strength", "0", "--edit", "x"], &["--strength"]),
        (2, &["--trace", "-n", "2"], &["--trace"]),
        (2, &["--stream", "-n", "1"], &["--stream"]),
    ] {
        let args = with(&model, &[args, &["-o", &out]].concat());
        let run = langevin(&args);
        assert_eq!((run.code, run.stdout.as_str()), (code, ""), "{args:?}: {}", run.stderr);
        words.iter().for_each(|word| assert!(run.stderr.contains(word), "{args:?}: '{word}' is not in: {}", run.stderr));
        assert!(!Path::new(&out).exists(), "{args:?} left something behind");
    }
    refused(&["gen", "text", "--checkpoint", "series-base", "-o", &out], Path::new(&out), 1, &["not for text"]);
}
