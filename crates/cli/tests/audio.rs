//! The audio commands from outside: the same clips whatever is asked for beside them, refusals that leave nothing behind, and a training
//! run that is interrupted and goes on to the same bits.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::{fs, path::Path};

use serde_json::Value;
use support::{
    command, langevin,
    tones::{TONES, Tones, content, done, names, refused, text},
    write_tones,
};

/// `gen audio` from the tones' checkpoint, into `output`, with these arguments.
fn refused_gen(more: &[&str], code: i32, words: &[&str]) {
    let output = TONES.at(&format!("out-{}", more.join("").replace(['/', '.'], "")));
    let checkpoint = TONES.at("run/model.safetensors");
    let args = [&["gen", "audio", "--checkpoint", text(&checkpoint), "-o", text(&output), "--threads", "1"], more].concat();
    refused(&args, &output, code, words);
}

#[test]
fn the_cheapest_way_is_found_or_the_failure_said() {
    let told = done(&["tune", "audio", "--tolerance", "10", "--samples", "8", "--json", "--quiet"]);
    let told: Value = serde_json::from_str(&told.stdout).expect("JSON");
    let (best, all) = (&told["best"], told["within_tolerance"].as_array().expect("a list"));
    assert!(all.len() > 40 && all.iter().all(|t| t["network_evaluations"].as_u64() >= best["network_evaluations"].as_u64()), "{told}");
    assert!(all.iter().all(|t| t["distance"].as_f64().is_some_and(|d| d <= 10.0)));
}

#[test]
fn a_clip_does_not_depend_on_what_is_made_beside_it() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let at = |name: &str| folder.path().join(name);
    let make = |name: &str, more: &[&str]| {
        let output = at(name);
        let args = ["gen", "audio", "--label", "3", "--speaker", "theo", "--seed", "5", "-o", text(&output)];
        done(&[&args, more].concat());
    };
    make("two", &["-n", "2", "--threads", "1"]);
    make("six", &["-n", "6", "--threads", "2"]);
    make("parts", &["-n", "6", "--shard", "0/2"]);
    make("parts", &["-n", "6", "--shard", "1/2", "--threads", "1"]);
    let wav = |folder: &str, row: u32| fs::read(at(folder).join(format!("3_theo_{row}.wav"))).expect("the clip is there");
    for row in 0..6 {
        assert!(wav("parts", row) == wav("six", row), "clip {row} of a part differs");
        assert!(row > 1 || wav("two", row) == wav("six", row), "clip {row} of two differs");
        assert!(row == 0 || wav("six", row) != wav("six", 0), "clips 0 and {row} are one");
    }
    assert_eq!(names(&at("two")), ["3_theo_0.wav", "3_theo_1.wav", "manifest.json"]);
    assert_eq!(names(&at("six")).len(), 7);
    assert_eq!(names(&at("parts")).len(), 6 + 4);

    // The manifests of the parts list, together, what that of the whole lists.
    let manifest = |name: &str| -> Value { serde_json::from_slice(&fs::read(at(name)).expect("there")).expect("JSON") };
    let clips = |name: &str| manifest(name)["clips"].as_array().expect("a list").clone();
    assert_eq!([clips("parts/manifest-0-of-2.json"), clips("parts/manifest-1-of-2.json")].concat(), clips("six/manifest.json"));
    let whole = manifest("six/manifest.json");
    assert_eq!((&whole["schema_version"], &whole["seed"], &whole["checkpoint"]), (&1.into(), &5.into(), &"audio-digits".into()));
    assert_eq!(whole["checkpoint_hash"].as_str().map(str::len), Some(16));
    for (row, clip) in clips("six/manifest.json").iter().enumerate() {
        assert_eq!((&clip["file"], &clip["row"]), (&format!("3_theo_{row}.wav").into(), &row.into()));
        let mut reader = hound::WavReader::open(at("six").join(clip["file"].as_str().unwrap())).expect("a WAV file");
        assert_eq!((reader.spec().sample_rate, reader.spec().channels), (8000, 1));
        let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        assert!((samples.len() as f64 / 8000.0 - clip["seconds"].as_f64().unwrap()).abs() < 1e-9);
        assert!(clip["rms"].as_f64() > Some(0.01) && samples.iter().any(|s| s.abs() > 1000), "clip {row} is silent: {clip}");
        assert!(clip["heard"]["label"].is_string() && clip["heard"]["speaker_confidence"].is_number(), "{clip}");
    }

    // A part that is there is left alone; one of another job is refused.
    let before = content(&at("parts"));
    make("parts", &["-n", "6", "--shard", "1/2"]);
    let other = langevin(&[
        "gen",
        "audio",
        "--label",
        "3",
        "--speaker",
        "theo",
        "--seed",
        "6",
        "-n",
        "6",
        "--shard",
        "1/2",
        "-o",
        text(&at("parts")),
    ]);
    assert!(other.code == 1 && other.stderr.contains("another job"), "{}", other.stderr);
    assert!(content(&at("parts")) == before);
}

#[test]
fn a_dash_is_one_wav_file_on_stdout() {
    let args = ["gen", "audio", "--label", "3", "--speaker", "theo", "--seed", "5", "-o", "-", "--threads", "1"];
    let output = command(&args).output().expect("starts");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.starts_with(b"RIFF") && output.stdout[8..12] == *b"WAVE");
    let reader = hound::WavReader::new(output.stdout.as_slice()).expect("a whole WAV file");
    assert!(reader.len() > 800, "{}", reader.len());
    let many = langevin(&[&args[..], &["-n", "2"]].concat());
    assert!(many.code == 2 && many.stdout.is_empty() && many.stderr.contains("-n"), "{}", many.stderr);
}

#[test]
fn results_are_replaced_by_force_only() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let output = folder.path().join("deep/out");
    let model = TONES.at("run/model.safetensors");
    let args = |seed| ["gen", "audio", "--checkpoint", text(&model), "-n", "3", "-o", text(&output), "--seed", seed, "--threads", "2"];
    done(&args("5"));
    let before = content(&output);
    assert_eq!(before.len(), 4);
    for seed in ["5", "6"] {
        let again = langevin(&args(seed));
        assert!(again.code == 1 && again.stderr.contains("manifest.json") && again.stderr.contains("--force"), "{}", again.stderr);
        assert!(content(&output) == before);
    }
    done(&[&args("5")[..], &["--force"]].concat());
    assert!(content(&output) == before, "the same command gives the same bytes");

    // A clip alone is protected as well.
    fs::remove_file(output.join("manifest.json")).expect("there");
    let again = langevin(&args("5"));
    assert!(again.code == 1 && again.stderr.contains(".wav"), "{}", again.stderr);
    assert!(content(&output) == before[..3]);
}

#[test]
fn a_dry_run_does_nothing() {
    let (output, model) = (TONES.at("dry"), TONES.at("run/model.safetensors"));
    let run = done(&["gen", "audio", "--checkpoint", text(&model), "--label", "low", "-n", "100", "--dry-run", "-o", text(&output)]);
    let told: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((&told["schema_version"], &told["clips"], &told["label"]), (&1.into(), &100.into(), &"low".into()));
    assert!(told["parameters"].as_u64() > Some(1000) && told["network_evaluations"].as_u64() > Some(0));
    let (data, config) = (TONES.at("data"), TONES.at("tones.toml"));
    let run = done(&Tones::train(text(&data), text(&config), &["--dry-run", "-o", text(&output)]));
    assert!(run.stdout.contains("kind = \"prior\"") && run.stdout.contains("\"bob\""), "{}", run.stdout);
    assert!(!output.exists());
}

#[test]
fn wrong_requests_are_refused() {
    refused_gen(&["--label", "zebra"], 1, &["label", "'zebra'", "high", "low"]);
    refused_gen(&["--speaker", "zebra"], 1, &["speaker", "'zebra'", "ann", "bob"]);
    refused_gen(&["--duration", "99"], 1, &["duration", "99"]);
    for n in ["-3", "0", "1.5", "many", "99999999999"] {
        refused_gen(&["-n", n], 2, &["-n", n, "whole number"]);
    }
    refused_gen(&["--steps", "0"], 2, &["--steps", "whole number"]);
    refused_gen(&["--steps", "-1"], 2, &["--steps", "whole number"]);
    for weight in ["nan", "inf", "-1", "x"] {
        refused_gen(&["--guidance", weight], 2, &["--guidance", weight]);
    }
    for seconds in ["nan", "0", "-1", "1e9"] {
        refused_gen(&["--duration", seconds], 2, &["--duration", seconds]);
    }
    refused_gen(&["--solver", "dpmp2m"], 2, &["dpmp2m", "dpmpp2m"]);
    refused_gen(&["--grid", "karas"], 2, &["karas", "karras"]);
    refused_gen(&["--shard", "2/2"], 2, &["2/2"]);
    refused_gen(&["--seed", "-1"], 2, &["--seed"]);
    refused_gen(&["--format", "mp3"], 2, &["mp3", "pcm16"]);
}

#[test]
fn the_shipped_names_are_listed() {
    let output = TONES.at("unknown");
    refused(&["gen", "audio", "--label", "eleven", "-o", text(&output)], &output, 1, &["'eleven'", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"]);
    refused(&["gen", "audio", "--speaker", "zoe", "-o", text(&output)], &output, 1, &["'zoe'", "george", "theo"]);
}

#[test]
fn outputs_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (file, model) = (folder.path().join("file"), TONES.at("run/model.safetensors"));
    fs::write(&file, "mine").expect("writable");
    for output in [file.clone(), file.join("below")] {
        let run = langevin(&["gen", "audio", "--checkpoint", text(&model), "-o", text(&output)]);
        assert!(run.code == 1 && run.stderr.contains(text(&file)), "{}", run.stderr);
    }
    assert_eq!(content(folder.path()), [("file".to_owned(), b"mine".to_vec())]);
    if cfg!(target_os = "linux") {
        for output in ["/proc/langevin/out", "/dev/null/out"] {
            refused(
                &["gen", "audio", "--checkpoint", text(&model), "-o", output],
                Path::new(output),
                1,
                &[output.trim_end_matches("/out")],
            );
        }
    }
}

#[test]
fn checkpoints_that_are_none_are_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let at = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("writable");
        path
    };
    let noise: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let model = fs::read(TONES.at("run/model.safetensors")).expect("trained");
    let output = folder.path().join("out");
    for path in [
        at("empty", b""),
        at("noise", &noise),
        at("half", &model[..model.len() / 2]),
        fs::canonicalize(TONES.at("data/low_ann_0.wav")).expect("there"),
        TONES.at("run/state.safetensors"),
        folder.path().to_owned(),
        folder.path().join("missing"),
    ] {
        refused(&["gen", "audio", "--checkpoint", text(&path), "-o", text(&output)], &output, 1, &[text(&path)]);
        refused(&["train", "audio", "--from", text(&path), "--data", "x", "-o", text(&output)], &output, 1, &[text(&path)]);
        refused(&["eval", "audio", "--checkpoint", text(&path)], &output, 1, &[text(&path)]);
    }
    refused(&["gen", "audio", "--checkpoint", "audio-judge", "-o", text(&output)], &output, 1, &["audio-judge", "not a prior"]);
    refused(&["eval", "audio", "--judge", "audio-digits"], &output, 1, &["audio-digits", "not a judge"]);
}

#[test]
fn a_checkpoint_whose_parts_do_not_fit_is_refused() {
    use langevin_engine::{Checkpoint, checkpoint::Precision};
    let folder = tempfile::tempdir().expect("temporary folder");
    let (path, output) = (folder.path().join("m"), folder.path().join("out"));
    let whole = Checkpoint::read(&TONES.at("run/model.safetensors")).expect("trained");
    let try_one = |change: &dyn Fn(&mut Checkpoint), words: &[&str]| {
        let mut changed = whole.clone();
        change(&mut changed);
        changed.write(&path, Precision::F32).expect("writable");
        refused(&["gen", "audio", "--checkpoint", text(&path), "-o", text(&output)], &output, 1, words);
    };
    for name in whole.tensors.keys() {
        // A checkpoint without moments is one that cannot be sampled by Analytic-DPM, and else whole.
        if name != "codec.score_moments" {
            try_one(&|c| _ = c.tensors.remove(name), &[name.trim_start_matches("codec."), "is missing"]);
        }
        try_one(&|c| c.tensors.get_mut(name).unwrap().shape.push(1), &[name.trim_start_matches("codec."), "has shape"]);
    }
    let set =
        |key: &'static str, value: toml::Value| move |c: &mut Checkpoint| _ = c.header.config.model.insert(key.to_owned(), value.clone());
    try_one(&set("width", 0.into()), &["width", "0"]);
    try_one(&set("width", i64::MAX.into()), &["width"]);
    try_one(&set("blocks", 64.into()), &["blocks", "is missing"]);
    let table = |text: &str| toml::Value::Table(text.parse().expect("a table"));
    try_one(&set("sigma_data", (-1.0).into()), &["sigma_data"]);
    try_one(&set("objective", table("schedule = { kind = 'edm', sigma_min = 1, sigma_max = 0.001 }")), &["sigma_max"]);
    try_one(&set("objective", table("param = { kind = 'edm', sigma_data = 2.0 }")), &["sigma_data = 2", "0.5"]);
    try_one(&set("objective", table("weigth = { kind = 'unit' }")), &["weigth", "did you mean `weight`"]);
    try_one(&set("sampling", table("solver = 'dpmp2m'")), &["dpmp2m"]);
    try_one(&set("sampling", table("steps = 0")), &["steps"]);
    try_one(&|c| c.tensors.get_mut("codec.score_moments").unwrap().values[2] = -1.0, &["score moments"]);
    // JSON has no NaN.
    try_one(&set("drop", f64::NAN.into()), &[text(&path), "null"]);
    try_one(&set("colour", "red".into()), &["colour"]);
    try_one(&set("kind", "picture".into()), &["picture"]);
    try_one(&set("codec", toml::Table::from_iter([("hop".to_owned(), 0.into())]).into()), &["hop"]);
    try_one(&|c| c.header.config.domain = "molecule".to_owned(), &["molecule", "audio"]);
    try_one(&|c| c.tensors.get_mut("codec.duration").unwrap().values[3] = 1e30, &["duration"]);
    try_one(&|c| c.tensors.get_mut("codec.scale").unwrap().values[0] = 0.0, &["scale"]);
}

#[test]
fn training_data_and_configs_that_are_wrong_are_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let at = |name: &str| folder.path().join(name);
    let (config, output, data) = (TONES.at("tones.toml"), at("run"), TONES.at("data"));
    let with =
        |data: &Path, code, words: &[&str]| refused(&Tones::train(text(data), text(&config), &["-o", text(&output)]), &output, code, words);
    fs::create_dir(at("none")).unwrap();
    with(&at("none"), 1, &[text(&at("none")), "no .wav file"]);
    with(&at("missing"), 1, &[text(&at("missing"))]);

    let broken: [(&str, &[u8], &str); 5] = [
        ("low_ann_7.wav", b"", "empty"),
        ("low_ann_8.wav", b"RIFF\x24\0\0\0WAVE", "low_ann_8.wav"),
        ("low_ann_9.wav", &fs::read(data.join("low_ann_0.wav")).unwrap()[..200], "truncated"),
        ("noname.wav", &fs::read(data.join("low_ann_0.wav")).unwrap(), "LABEL_SPEAKER_TAKE"),
        ("low_ann_nan.wav", b"not a sound at all, but long enough to look at", "not a readable WAV"),
    ];
    for (name, bytes, word) in broken {
        let folder = at(name.trim_end_matches(".wav"));
        write_tones(&folder);
        fs::write(folder.join(name), bytes).unwrap();
        with(&folder, 1, &[name, word]);
    }
    // Fewer than a tenth recording to hold out, then fewer clips than components.
    fs::create_dir(at("few")).unwrap();
    for name in ["low_ann_0.wav", "low_bob_0.wav", "high_ann_0.wav"] {
        fs::copy(data.join(name), at("few").join(name)).unwrap();
    }
    with(&at("few"), 1, &["--valid"]);
    let few = Tones::train(text(&data), text(&config), &[]);
    let few: Vec<&str> = few.into_iter().chain(["--valid", "x", "-o", text(&output)]).collect();
    refused(&few, &output, 1, &["x"]);
    let (few, run) = (at("few"), &output);
    let args = ["train", "audio", "--data", text(&few), "--valid", text(&data), "--config", text(&config), "-o", text(run)];
    refused(&args, run, 1, &["components"]);

    let configs = [
        ("", "name"),
        ("name = 3", "name"),
        ("name = 'a'\ndomain = 'audio'\n[model]\nkind = 'picture'", "picture"),
        ("name = 'a'\ndomain = 'molecule'\n[model]\nkind = 'prior'", "molecule"),
        ("name = 'a'\ndomain = 'audio'\n[model]\nkind = 'prior'\nwidht = 3", "widht"),
        ("name = 'a'\ndomain = 'audio'\n[model]\nkind = 'prior'\nwidth = 0", "width"),
        ("name = 'a'\ndomain = 'audio'\n[model]\nkind = 'prior'\n[model.objective]\nlearned_variance = {}", "discrete schedule"),
        (
            "name = 'a'\ndomain = 'audio'\n[model]\nkind = 'prior'\n[model.objective]\nweight = { kind = 'minsnr' }",
            "did you mean `min_snr`",
        ),
        ("name = 'a'\ndomain = 'audio'\n[model]\nkind = 'prior'\n[trian]\nsteps = 1", "did you mean `train`"),
        ("name = 'a'\ndomain = 'audio'\n[model]\nkind = 'prior'\n[train]\nbatch = 0", "train.batch"),
        ("name = 'a'\ndomain = 'audio'\n[model]\nkind = 'prior'\n[train]\nlearning_rate = nan", "train.learning_rate"),
    ];
    for (toml, word) in configs {
        fs::write(at("c.toml"), toml).unwrap();
        refused(&Tones::train(text(&data), text(&at("c.toml")), &["-o", text(run)]), run, 1, &[word]);
    }
    refused(&["train", "audio", "--data", text(&data), "--resume", text(run)], run, 1, &[text(run)]);
    refused(&["train", "audio", "--data", text(&data)], run, 2, &["--output"]);
    refused(&["train", "audio", "--data", text(&data), "-o", text(run), "--steps", "0"], run, 2, &["--steps"]);
}

#[test]
fn a_trained_run_is_protected_and_usable() {
    let run = TONES.at("run");
    assert_eq!(names(&run), ["metrics.jsonl", "model.safetensors", "state.safetensors"]);
    let log = fs::read_to_string(run.join("metrics.jsonl")).expect("there");
    let log: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let scores: Vec<f64> = log.iter().filter_map(|line| line.get("validation")?.as_f64()).collect();
    assert!(scores.len() == 6 && scores[5] < 0.9 * scores[0], "it learns: {scores:?}");

    let before = content(&run);
    let (data, config) = (TONES.at("data"), TONES.at("tones.toml"));
    let again = langevin(&Tones::train(text(&data), text(&config), &["-o", text(&run)]));
    assert!(again.code == 1 && again.stderr.contains("--resume") && again.stderr.contains("--force"), "{}", again.stderr);
    assert!(content(&run) == before);
}

#[test]
fn a_trained_checkpoint_generates() {
    let (model, output) = (TONES.at("run/model.safetensors"), TONES.at("clips"));
    let args =
        ["gen", "audio", "--checkpoint", text(&model), "--label", "low", "-n", "3", "--duration", "0.25", "-o", text(&output), "--json"];
    let told: Value = serde_json::from_str(&done(&args).stdout).expect("JSON");
    assert_eq!(told["schema_version"], 1);
    let clips = told["clips"].as_array().expect("a list");
    assert_eq!(clips.len(), 3);
    for clip in clips {
        assert!(clip["label"] == "low" && ["ann", "bob"].contains(&clip["speaker"].as_str().unwrap()), "{clip}");
        assert!((clip["seconds"].as_f64().unwrap() - 0.25).abs() < 2e-3 && clip["rms"].as_f64() > Some(0.01), "{clip}");
        assert!(clip.get("heard").is_none(), "the judge does not know these names: {clip}");
        assert!(output.join(clip["file"].as_str().unwrap()).is_file());
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_resumes_to_the_same_bits() {
    use std::{
        process::{Command, Stdio},
        time::{Duration, Instant},
    };
    let (data, config, whole, run) = (TONES.at("data"), TONES.at("tones.toml"), TONES.at("run"), TONES.at("stopped"));
    let mut child = command(&Tones::train(text(&data), text(&config), &["-o", text(&run)]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let started = Instant::now();
    // Three lines of the log: step 60 of 600 or a little later.
    while fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |log| log.lines().count()) < 3 {
        assert!(started.elapsed() < Duration::from_secs(30) && child.try_wait().expect("runs").is_none(), "training did not get going");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill exists").success());
    let ended = child.wait_with_output().expect("ends");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{told}");
    assert!(told.contains("--resume") && told.contains(text(&run)), "{told}");
    assert_ne!(fs::read(run.join("state.safetensors")).unwrap(), fs::read(whole.join("state.safetensors")).unwrap());

    done(&["train", "audio", "--data", text(&data), "--resume", text(&run), "--quiet", "--threads", "1"]);
    for file in names(&whole) {
        assert!(fs::read(run.join(&file)).unwrap() == fs::read(whole.join(&file)).unwrap(), "{file} differs from that of the whole run");
    }
    assert_eq!(names(&run), names(&whole));
}

/// The codec of a run that starts from a checkpoint is the checkpoint's, also when the run goes on later: one fitted anew to other
/// recordings would give the network other vectors.
#[test]
fn a_run_from_a_checkpoint_keeps_its_codec_when_resumed() {
    let (data, model, other, run) = (TONES.at("data"), TONES.at("run/model.safetensors"), TONES.at("fewer"), TONES.at("tuned"));
    fs::create_dir_all(&other).unwrap();
    for name in names(&data).iter().filter(|name| name.contains("_ann_")) {
        fs::copy(data.join(name), other.join(name)).unwrap();
    }
    // The score's moments are the network's and not the codec's: they are estimated anew.
    let codec = |path: &Path| {
        let constants = langevin_engine::Checkpoint::read(path).expect("trained").constants();
        constants.into_iter().filter(|c| c.name != "score_moments").collect::<Vec<_>>()
    };
    let last_score = || -> f64 {
        let log = fs::read_to_string(run.join("metrics.jsonl")).expect("there");
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter_map(|line| line.get("validation")?.as_f64()).next_back().expect("validated")
    };
    done(&["train", "audio", "--from", text(&model), "--data", text(&other), "--steps", "260", "--quiet", "-o", text(&run)]);
    assert!(codec(&run.join("model.safetensors")) == codec(&model));
    // The card names both stages.
    let made_by = |path: &Path| langevin_engine::Checkpoint::read(path).expect("trained").header.card.command;
    let (first, both) = (made_by(&model), made_by(&run.join("model.safetensors")));
    assert_eq!(both, format!("{first}\nlangevin train audio --from BEFORE --data TRAIN --valid VALID -o RUN"));
    let before = last_score();
    done(&["train", "audio", "--data", text(&other), "--resume", text(&run), "--steps", "262", "--quiet"]);
    let after = last_score();
    assert!((after / before - 1.0).abs() < 0.1, "two steps on, the score jumps from {before} to {after}");
    assert_eq!(made_by(&run.join("model.safetensors")), both);
    assert!(codec(&run.join("model.safetensors")) == codec(&model));
}
