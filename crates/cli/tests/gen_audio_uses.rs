//! The uses of `gen audio` from outside: recordings in, recordings of the same names out, and nothing where something is wrong.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use langevin_audio::{WavFormat, encode_mel, encode_wav, read_wav, resample};
use langevin_core::drive::jump_list;
use serde_json::Value;
use support::{
    command, langevin,
    tones::{content, done, names, refused, text},
    write_tones,
};
use tempfile::TempDir;

const WAVE: &str = r#"
name = "tiny-wave"
domain = "audio"
seed = 3
[model]
kind = "wave"
width = 16
hidden = 32
blocks = 2
taps = 3
condition = 16
crop = 16
[model.sampling]
solver = "dpmpp2m"
grid = "karras"
steps = 4
guidance = 1.0
[train]
steps = 8
batch = 8
micro_batch = 4
learning_rate = 2e-3
validate_every = 8
save_every = 8
"#;

const DIFFWAVE: &str = r#"
name = "tiny-diffwave"
domain = "audio"
seed = 3
[model]
kind = "diffwave"
channels = 8
layers = 4
cycle = 4
crop = 512
[train]
steps = 4
batch = 4
micro_batch = 2
learning_rate = 2e-4
validate_every = 4
save_every = 4
"#;

/// Tones, and models of waveforms trained on them for a moment, made once.
struct Place {
    folder: TempDir,
}

impl Place {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let place = Place { folder: tempfile::tempdir().unwrap() };
    write_tones(&place.at("tones"));
    fs::create_dir(place.at("three")).unwrap();
    for name in ["high_ann_0.wav", "low_ann_3.wav", "low_bob_5.wav"] {
        fs::copy(place.at("tones").join(name), place.at("three").join(name)).unwrap();
    }
    for (name, config) in [("wave", WAVE), ("diffwave", DIFFWAVE)] {
        let (file, run, data) = (place.at(&format!("{name}.toml")), place.at(name), place.at("tones"));
        fs::write(&file, config).unwrap();
        done(&["train", "audio", "--data", text(&data), "--config", text(&file), "-o", text(&run), "--quiet", "--threads", "2"]);
    }
    place
});

fn model(name: &str) -> String {
    text(&PLACE.at(name).join("model.safetensors")).to_owned()
}

fn one() -> PathBuf {
    PLACE.at("three/low_ann_3.wav")
}

/// The 16-bit samples of a file.
fn integers(path: &Path) -> Vec<i16> {
    hound::WavReader::open(path).unwrap().samples().map(Result::unwrap).collect()
}

fn gen_audio(output: &Path, more: &[&str]) {
    done(&[&["gen", "audio", "-o", text(output), "--quiet"], more].concat());
}

#[test]
fn folders_become_folders_of_the_same_names_and_no_file_knows_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (three, wave, diffwave) = (PLACE.at("three"), model("wave"), model("diffwave"));
    let three = text(&three);
    for (name, arguments) in [
        ("griffin-lim", vec!["--from", three, "--vocoder", "griffin-lim"]),
        ("wave", vec!["--from", three, "--vocoder", "diffusion", "--checkpoint", &wave]),
        ("diffwave", vec!["--from", three, "--vocoder", "diffusion", "--checkpoint", &diffwave, "--steps", "6"]),
        ("gap", vec!["--inpaint", "0.05..0.10", three, "--checkpoint", &wave]),
        ("linear", vec!["--inpaint", "0.05..0.10", three, "--inpaint-method", "linear-prediction"]),
        ("least-squares", vec!["--inpaint", "0.05..0.10", three, "--inpaint-method", "least-squares"]),
        ("varied", vec!["--variations", "1", three, "--checkpoint", &wave]),
    ] {
        gen_audio(&at(name), &[&arguments[..], &["--threads", "2"]].concat());
        assert_eq!(names(&at(name)), ["high_ann_0.wav", "low_ann_3.wav", "low_bob_5.wav", "manifest.json"]);
        for file in names(&PLACE.at("three")) {
            assert_eq!(integers(&at(name).join(&file)).len(), integers(&PLACE.at("three").join(&file)).len(), "{name}: {file}");
        }
        // One thread and one file give the same bytes.
        let (single, source) = (at(&format!("{name}.wav")), one());
        let alone = arguments.iter().map(|a| if *a == three { text(&source) } else { a }).collect::<Vec<_>>();
        gen_audio(&single, &[&alone[..], &["--threads", "1"]].concat());
        assert!(fs::read(&single).unwrap() == fs::read(at(name).join("low_ann_3.wav")).unwrap(), "{name}");
        let manifest: Value = serde_json::from_slice(&fs::read(at(name).join("manifest.json")).unwrap()).unwrap();
        assert_eq!((&manifest["schema_version"], &manifest["clips"][1]["from"][0]), (&1.into(), &"low_ann_3.wav".into()));
        let evaluations = manifest["network_evaluations"].as_u64();
        let expected = match name {
            "griffin-lim" | "linear" | "least-squares" => 0,
            "wave" | "gap" => 3 * 4,
            "diffwave" => 3 * 6,
            // Half of the way of four steps.
            _ => 3 * 2,
        };
        assert_eq!(evaluations, Some(expected), "{name}: {manifest}");
    }
}

#[test]
fn samples_outside_an_inpainted_range_stay_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (wave, source) = (model("wave"), one());
    let before = integers(&source);
    for method in ["diffusion", "repaint", "linear-prediction", "least-squares"] {
        let mut arguments = vec!["--inpaint", "0.05..0.10", text(&source), "--inpaint-method", method];
        if matches!(method, "diffusion" | "repaint") {
            arguments.extend(["--checkpoint", &wave]);
        }
        let output = at(&format!("{method}.wav"));
        gen_audio(&output, &arguments);
        let after = integers(&output);
        assert!(after.len() == before.len() && after[..400] == before[..400] && after[800..] == before[800..], "{method}");
        assert!(after[400..800] != before[400..800], "{method} changed nothing");
    }
    // Every evaluation counts: RePaint goes each stretch of its way up to ten times.
    let told = done(&[
        "gen",
        "audio",
        "--inpaint",
        "0.05..0.10",
        text(&source),
        "--inpaint-method",
        "repaint",
        "--checkpoint",
        &wave,
        "--steps",
        "12",
        "--json",
        "-o",
        text(&at("json.wav")),
    ]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(
        told["network_evaluations"].as_u64(),
        Some(jump_list(12, 10, 10).windows(2).filter(|w| w[1] < w[0]).count() as u64 + 1),
        "{told}"
    );
    // 24 bits stay in floats, and another rate stays its own where no model asks for its own.
    let spec = hound::WavSpec { channels: 1, sample_rate: 11_025, bits_per_sample: 24, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(at("fine.wav"), spec).unwrap();
    (0..4000).for_each(|i: i32| writer.write_sample((i * 7919) % 8_000_000 - 4_000_000).unwrap());
    writer.finalize().unwrap();
    gen_audio(&at("filled.wav"), &["--inpaint", "0.1..0.2", text(&at("fine.wav")), "--inpaint-method", "linear-prediction"]);
    let read = |name: &str| read_wav(&at(name), None).unwrap().0;
    let (before, after) = (read("fine.wav"), read("filled.wav"));
    assert_eq!(after.rate, 11_025);
    assert!(before.samples[..1102] == after.samples[..1102] && before.samples[2206..] == after.samples[2206..]);
}

#[test]
fn no_strength_gives_the_recording_back() {
    let folder = tempfile::tempdir().unwrap();
    let (output, wave, source) = (folder.path().join("out"), model("wave"), one());
    gen_audio(&output, &["--variations", "2", "--strength", "0", text(&source), "--checkpoint", &wave]);
    for k in 0..2 {
        assert_eq!(integers(&output.join(format!("low_ann_3_{k}.wav"))), integers(&source));
    }
    let varied = folder.path().join("varied");
    gen_audio(&varied, &["--variations", "2", "--strength", "1", text(&source), "--checkpoint", &wave]);
    assert!(integers(&varied.join("low_ann_3_0.wav")) != integers(&varied.join("low_ann_3_1.wav")));
}

#[test]
fn what_the_lower_rate_held_stays_when_it_is_raised() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // A chirp over the whole band of 4 kHz, so that every frequency has its share.
    let chirp: Vec<f32> = (0..8000).map(|i| (0.3 * (1.5e-4 * f64::from(i) * f64::from(i)).sin()) as f32).collect();
    fs::write(at("low.wav"), encode_wav(&chirp, 4000, WavFormat::Float32, || 0.5).unwrap()).unwrap();
    let wave = model("wave");
    for (name, more) in [("model", vec!["--checkpoint", &wave]), ("spline", vec!["--upsample-method", "spline"])] {
        let output = at(&format!("{name}.wav"));
        gen_audio(&output, &[&["--upsample", "8000", text(&at("low.wav")), "--format", "f32"], &more[..]].concat());
        let raised = read_wav(&output, None).unwrap().0;
        assert_eq!((raised.rate, raised.samples.len()), (8000, 16_000));
        if name == "spline" {
            continue;
        }
        // Energies of stretches of the low band, away from the ends and from the filter's slope below 2 kHz.
        let back = resample(&raised.samples, 8000, 4000).unwrap();
        for start in (200..6500).step_by(500) {
            let energy = |x: &[f32]| x[start..start + 500].iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
            let apart = 10.0 * (energy(&back) / energy(&chirp)).log10();
            assert!(apart.abs() < 0.1, "{apart} dB from sample {start}");
        }
    }
}

#[test]
fn spectrograms_are_kept_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (wave, source) = (model("wave"), one());
    for (name, more) in [("plain", vec!["--vocoder", "griffin-lim"]), ("model", vec!["--vocoder", "diffusion", "--checkpoint", &wave])] {
        let output = at(&format!("{name}.wav"));
        gen_audio(&output, &[&["--from", text(&source), "--save-mel", "--format", "f32"], &more[..]].concat());
        let again = at(&format!("{name}-again.wav"));
        gen_audio(&again, &[&["--from", text(&output.with_extension("npy")), "--format", "f32"], &more[..]].concat());
        let (first, second) = (read_wav(&output, None).unwrap().0.samples, read_wav(&again, None).unwrap().0.samples);
        // The file says nothing of the recording's loudness and of samples after its last frame.
        assert!(first.len().abs_diff(second.len()) < 64, "{} {}", first.len(), second.len());
        let rms = |x: &[f32]| (x.iter().map(|v| v * v).sum::<f32>() / x.len() as f32).sqrt();
        let gain = rms(&second) / rms(&first);
        let apart: f32 = first.iter().zip(&second).map(|(a, b)| (a * gain - b).powi(2)).sum::<f32>();
        let all: f32 = second.iter().map(|v| v * v).sum();
        assert!(name == "plain" || apart < 0.2 * all, "{name}: {apart} of {all}");
    }
    fs::write(at("single.npy"), encode_mel(&[-3.0; 48], 48).unwrap()).unwrap();
    gen_audio(&at("single.wav"), &["--from", text(&at("single.npy")), "--checkpoint", &wave]);
    assert_eq!(integers(&at("single.wav")).len(), 1);
    // A folder may hold both kinds.
    fs::create_dir(at("mixed")).unwrap();
    fs::copy(&source, at("mixed/a.wav")).unwrap();
    fs::copy(at("plain.npy"), at("mixed/b.npy")).unwrap();
    gen_audio(&at("out"), &["--from", text(&at("mixed")), "--png", "--vocoder", "griffin-lim"]);
    assert_eq!(names(&at("out")), ["a.png", "a.wav", "b.png", "b.wav", "manifest.json"]);
    assert!(fs::read(at("out/b.png")).unwrap().starts_with(b"\x89PNG"));
    fs::copy(at("plain.npy"), at("mixed/a.npy")).unwrap();
    refused(&["gen", "audio", "--from", text(&at("mixed")), "-o", text(&at("no"))], &at("no"), 1, &["a.npy", "a.wav", "rename"]);
}

#[test]
fn new_sounds_and_ways_between_recordings() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (wave, a, b) = (model("wave"), PLACE.at("three/high_ann_0.wav"), PLACE.at("three/low_bob_5.wav"));
    gen_audio(&at("new"), &["--checkpoint", &wave, "--label", "low", "-n", "3", "--duration", "0.2", "--threads", "2"]);
    gen_audio(&at("fewer"), &["--checkpoint", &wave, "--label", "low", "-n", "2", "--duration", "0.2", "--threads", "1"]);
    assert_eq!(names(&at("new")), ["low_any_0.wav", "low_any_1.wav", "low_any_2.wav", "manifest.json"]);
    for k in 0..2 {
        let name = format!("low_any_{k}.wav");
        assert!(fs::read(at("new").join(&name)).unwrap() == fs::read(at("fewer").join(&name)).unwrap());
    }
    assert_eq!(integers(&at("new/low_any_2.wav")).len(), 1600);
    assert!(integers(&at("new/low_any_0.wav")) != integers(&at("new/low_any_1.wav")));

    gen_audio(&at("way"), &["--interpolate", text(&a), text(&b), "-n", "3", "--checkpoint", &wave]);
    let lengths: Vec<usize> = (0..3).map(|k| integers(&at("way").join(format!("high_ann_0_low_bob_5_{k}.wav"))).len()).collect();
    assert_eq!(lengths, [1600, 2000, 2400]);
}

#[test]
fn sentences_and_the_best_of_several_takes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    gen_audio(&at("said"), &["--text", "4 0 7", "--speaker", "theo", "-n", "2", "--png", "--threads", "2"]);
    assert_eq!(names(&at("said")), ["4-0-7_theo_0.png", "4-0-7_theo_0.wav", "4-0-7_theo_1.png", "4-0-7_theo_1.wav", "manifest.json"]);
    gen_audio(&at("once"), &["--text", "4 0 7", "--speaker", "theo", "--threads", "1"]);
    assert!(fs::read(at("once/4-0-7_theo_0.wav")).unwrap() == fs::read(at("said/4-0-7_theo_0.wav")).unwrap());
    let manifest = |name: &str| -> Value { serde_json::from_slice(&fs::read(at(name).join("manifest.json")).unwrap()).unwrap() };
    let (said, evaluations) = (manifest("said"), 16);
    assert_eq!(said["network_evaluations"].as_u64(), Some(3 * evaluations));
    assert_eq!((&said["clips"][0]["label"], &said["clips"][0]["heard"]["label"]), (&"4 0 7".into(), &"4 0 7".into()));
    assert!(said["clips"][0]["seconds"].as_f64() > Some(0.6) && said["text"] == "4 0 7", "{said}");

    let confidence = |name: &str| manifest(name)["clips"][0]["heard"]["label_confidence"].as_f64().unwrap();
    gen_audio(&at("best"), &["--label", "3", "--speaker", "theo", "--best-of", "5"]);
    let best = manifest("best");
    assert_eq!((best["network_evaluations"].as_u64(), best["judge_evaluations"].as_u64()), (Some(5 * evaluations), Some(5)));
    assert_eq!(names(&at("best")), ["3_theo_0.wav", "manifest.json"]);
    // The takes are clips 0..5 of the same seed: none of them is understood better.
    gen_audio(&at("takes"), &["--label", "3", "--speaker", "theo", "-n", "5"]);
    let chosen = fs::read(at("best/3_theo_0.wav")).unwrap();
    let takes: Vec<Vec<i16>> = (0..5).map(|k| integers(&at("takes").join(format!("3_theo_{k}.wav")))).collect();
    let chosen_samples = integers(&at("best/3_theo_0.wav"));
    assert!(takes.iter().any(|take| take.len() == chosen_samples.len()), "{} bytes", chosen.len());
    assert!(confidence("best") > 0.99);

    let no = at("no");
    refused(&["gen", "audio", "--text", "4 zebra", "-o", text(&no)], &no, 1, &["'zebra'", "0, 1, 2, 3"]);
    refused(&["gen", "audio", "--text", " ", "-o", text(&no)], &no, 2, &["no words", "0, 1, 2, 3"]);
    refused(&["gen", "audio", "--text", "4", "--label", "4", "-o", text(&no)], &no, 2, &["--text", "--label"]);
    refused(&["gen", "audio", "--best-of", "0", "-o", text(&no)], &no, 2, &["--best-of"]);
}

#[test]
fn speech_goes_through_the_vocoder_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let wave = model("wave");
    let arguments = ["--label", "3", "--speaker", "theo", "--vocoder", "diffusion", "--vocoder-checkpoint", &wave];
    gen_audio(&at("two"), &[&arguments[..], &["-n", "2", "--threads", "2"]].concat());
    gen_audio(&at("one"), &[&arguments[..], &["--threads", "1"]].concat());
    assert!(fs::read(at("one/3_theo_0.wav")).unwrap() == fs::read(at("two/3_theo_0.wav")).unwrap());
    let manifest: Value = serde_json::from_slice(&fs::read(at("two/manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest["vocoder"]["checkpoint"], &manifest["vocoder_evaluations"]), (&"tiny-wave".into(), &4.into()));
}

#[test]
fn a_dash_is_one_sound() {
    let source = one();
    let output = command(&["gen", "audio", "--from", text(&source), "-o", "-", "--quiet"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(hound::WavReader::new(output.stdout.as_slice()).unwrap().len(), 2080);
    let three = PLACE.at("three");
    for more in [&["--from", text(&three)][..], &["--from", text(&source), "--png"], &["--png"]] {
        let run = langevin(&[&["gen", "audio", "-o", "-"], more].concat());
        assert!(run.code == 2 && run.stdout.is_empty() && run.stderr.contains("-o -"), "{}", run.stderr);
    }
}

#[test]
fn wrong_recordings_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let good = fs::read(one()).unwrap();
    let (out, wave) = (at("out"), model("wave"));
    for (name, bytes, words) in [
        ("empty.wav", &b""[..], &["empty.wav", "0 bytes"][..]),
        ("text.wav", b"not a sound, though long enough to be looked at", &["text.wav", "byte"]),
        ("short.wav", &good[..300], &["short.wav", "truncated at byte 300"]),
        ("missing.npy", b"", &["missing.npy", "0 bytes"]),
        ("wrong.npy", b"also not an array of numbers", &["wrong.npy"]),
    ] {
        // Beside a good one, in a folder.
        let mixed = at(&format!("with-{name}"));
        fs::create_dir(&mixed).unwrap();
        fs::write(mixed.join("good.wav"), &good).unwrap();
        fs::write(mixed.join(name), bytes).unwrap();
        for source in [mixed.join(name), mixed] {
            refused(&["gen", "audio", "--from", text(&source), "-o", text(&out)], &out, 1, words);
        }
    }
    let (source, three) = (one(), PLACE.at("three"));
    for range in ["0.2..0.9", "5..6"] {
        for from in [&source, &three] {
            let arguments = ["gen", "audio", "--inpaint", range, text(from), "--checkpoint", &wave, "-o", text(&out)];
            refused(&arguments, &out, 1, &["not inside", ".wav"]);
        }
    }
    for range in ["0.2..0.1", "1", "a..b"] {
        refused(&["gen", "audio", "--inpaint", range, text(&source), "-o", text(&out)], &out, 2, &["--inpaint", "0.10..0.20"]);
    }
    let plain =
        |more: &[&str], code: i32, words: &[&str]| refused(&[&["gen", "audio", "-o", text(&out)], more].concat(), &out, code, words);
    plain(&["--from", text(&at("nowhere"))], 1, &["nowhere"]);
    plain(&[text(&source)], 2, &["--inpaint", "--from"]);
    plain(&["--inpaint", "0.1..0.2"], 2, &["WAV|DIR"]);
    plain(&["--upsample", "4000", text(&source), "--upsample-method", "spline"], 1, &["8000 Hz", "not below 4000"]);
    plain(&["--upsample", "16000", text(&source), "--checkpoint", &wave], 1, &["tiny-wave", "8000"]);
    plain(&["--from", text(&source), "--inpaint", "0.1..0.2"], 2, &["--from", "--inpaint"]);
    plain(&["--from", text(&source), "-n", "3"], 2, &["-n", "--from"]);
    plain(&["--from", text(&source), "--steps", "3", "--vocoder", "griffin-lim"], 2, &["griffin-lim"]);
    plain(&["--strength", "0.3", text(&source)], 2, &["--variations"]);
    plain(&["--variations", "2", "--strength", "1.5", text(&source)], 2, &["--strength"]);
    plain(&["--interpolate", text(&source), "-n", "2"], 2, &["--interpolate"]);
    plain(&["--interpolate", text(&source), text(&source), "-n", "1"], 2, &["two ends"]);
    plain(&["--variations", "2", text(&source), "--checkpoint", "audio-digits"], 1, &["a prior, not a waveform model"]);
    plain(&["--variations", "2", text(&source), "--checkpoint", &model("diffwave")], 1, &["audio-wave"]);
    plain(&["--variations", "2", text(&source), "--checkpoint", &wave, "--label", "zebra"], 1, &["'zebra'", "high, low"]);
    refused(&["gen", "audio", "--from", text(&three), "-o", text(&at("y.wav"))], &at("y.wav"), 2, &["one file", "3 results"]);
}

/// Ctrl-C leaves whole files and a manifest of them; the same command makes the rest, and the folder is that of one run.
#[cfg(unix)]
#[test]
fn a_stopped_folder_goes_on_where_it_was() {
    use std::{
        process::{Command, Stdio},
        time::{Duration, Instant},
    };
    let folder = tempfile::tempdir().unwrap();
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    let (wave, source) = (model("wave"), one());
    let settings = ["--variations", "24", "--strength", "1", "--steps", "300", text(&source), "--checkpoint", &wave, "--png"];
    let to = |output: &Path, threads: &str| -> Vec<String> {
        let base = ["gen", "audio", "-o", text(output), "--threads", threads];
        [&base[..], &settings].concat().into_iter().map(str::to_owned).collect()
    };
    fn of(args: &[String]) -> Vec<&str> {
        args.iter().map(String::as_str).collect()
    }
    let mut child = command(&of(&to(&stopped, "1"))).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while !stopped.join("low_ann_3_0.wav").exists() {
        assert!(started.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none(), "it did not get going");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(130) && told.contains("of 24 clips") && told.contains("goes on"), "{told}");
    let manifest = |folder: &Path| -> Value { serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap() };
    let listed = manifest(&stopped);
    let mut files: Vec<String> = vec!["manifest.json".into()];
    for clip in listed["clips"].as_array().unwrap() {
        let file = clip["file"].as_str().unwrap();
        files.extend([file.to_owned(), file.replace(".wav", ".png")]);
    }
    files.sort();
    assert!(files.len() < 49 && listed["complete"] == false && names(&stopped) == files, "{listed}");

    let before = content(&stopped);
    let other = langevin(&[&of(&to(&stopped, "1"))[..], &["--seed", "5"]].concat());
    assert!(other.code == 1 && other.stderr.contains("already there") && content(&stopped) == before, "{}", other.stderr);
    let again = done(&of(&to(&stopped, "2")));
    assert!(again.stderr.contains("of 24 clips are already there"), "{}", again.stderr);
    done(&of(&to(&whole, "2")));
    assert!(content(&stopped) == content(&whole) && manifest(&whole)["complete"] == true);
}

#[test]
fn other_rates_and_channels_come_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let spec = hound::WavSpec { channels: 2, sample_rate: 16_000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(at("stereo.wav"), spec).unwrap();
    (0..6400i32).for_each(|i| writer.write_sample(((i / 2 * 321) % 9000) as i16).unwrap());
    writer.finalize().unwrap();
    let run = langevin(&["gen", "audio", "--from", text(&at("stereo.wav")), "-o", text(&at("out.wav"))]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("mixed 2 channels") && run.stderr.contains("resampled 16000 -> 8000"), "{}", run.stderr);
    assert_eq!(integers(&at("out.wav")).len(), 1600);
    // Taken names are protected.
    let before = content(folder.path());
    let again = langevin(&["gen", "audio", "--from", text(&at("stereo.wav")), "-o", text(&at("out.wav"))]);
    assert!(again.code == 1 && again.stderr.contains("--force") && content(folder.path()) == before, "{}", again.stderr);
}

#[test]
fn pairs_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let three = PLACE.at("three");
    gen_audio(&at("made"), &["--inpaint", "0.05..0.10", text(&three), "--inpaint-method", "linear-prediction"]);
    let scores = |more: &[&str]| -> Value {
        let run = done(&[&["eval", "audio", text(&at("made")), "--pairs", text(&three), "--json"], more].concat());
        serde_json::from_str(&run.stdout).unwrap()
    };
    let (all, gap, after) = (scores(&[]), scores(&["--range", "0.05..0.10"]), scores(&["--range", "0.15..0.19"]));
    let distance = |of: &Value| of["scores"]["log_spectral_distance"].as_f64().unwrap();
    assert!(distance(&gap) > distance(&all) && distance(&after) == 0.0, "{gap} {all} {after}");
    assert!(after["scores"]["signal_to_noise"].is_null() && all["scores"]["signal_to_noise"].as_f64() > Some(0.0));
    assert_eq!(all["pairs"].as_array().map(Vec::len), Some(3));
    let high = scores(&["--band", "2000..4000"]);
    assert!(distance(&high) != distance(&all));
    let text_of = done(&["eval", "audio", text(&at("made")), "--pairs", text(&three)]);
    assert!(text_of.stdout.contains("mel-cepstral") && text_of.stdout.contains("dB"), "{}", text_of.stdout);

    fs::copy(one(), at("made/more.wav")).unwrap();
    let none = at("none");
    refused(&["eval", "audio", text(&at("made")), "--pairs", text(&three)], &none, 1, &["more.wav", "not there"]);
    refused(&["eval", "audio", text(&at("made")), "--pairs", text(&one())], &none, 1, &["folder", "file"]);
    refused(&["eval", "audio", "--pairs", text(&three)], &none, 2, &["DIR"]);
    refused(&["eval", "audio", text(&three), "--pairs", text(&three), "--band", "9000..9500"], &none, 1, &[".wav", "hertz"]);
    refused(&["eval", "audio", text(&three), "--pairs", text(&three), "--range", "3..4"], &none, 1, &[".wav", "seconds"]);
}
