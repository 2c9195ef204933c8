//! `--likelihood` from outside: one code path for `gen audio` and `eval audio`, and numbers that mean something.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::fs;

use langevin_audio::{WavFormat, encode_wav, read_wav};
use serde_json::Value;
use support::tones::{done, names, refused, text};

/// A number from 0 to 1 for each count.
fn uniform(n: u64) -> f32 {
    let mut x = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 31)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (x >> 40) as f32 / (1 << 24) as f32
}

/// Speech, the same samples in disorder, and white noise of the same loudness.
#[test]
fn speech_is_likelier_than_noise_and_both_commands_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let clips = at("clips");
    done(&["gen", "audio", "--label", "7", "--speaker", "theo", "--duration", "0.3", "-o", text(&at("made")), "--quiet"]);
    fs::create_dir(&clips).unwrap();
    fs::copy(at("made/7_theo_0.wav"), clips.join("7_speech_0.wav")).unwrap();
    let speech = read_wav(&clips.join("7_speech_0.wav"), None).unwrap().0.samples;
    let mut order: Vec<usize> = (0..speech.len()).collect();
    order.sort_by(|a, b| uniform(*a as u64).total_cmp(&uniform(*b as u64)));
    let size = (speech.iter().map(|v| v * v).sum::<f32>() / speech.len() as f32).sqrt() * 12f32.sqrt();
    let shuffled: Vec<f32> = order.iter().map(|k| speech[*k]).collect();
    let white: Vec<f32> = (0..speech.len() as u64).map(|n| size * (uniform(n + 77_777) - 0.5)).collect();
    for (name, clip) in [("7_shuffled_0.wav", shuffled), ("7_white_0.wav", white)] {
        fs::write(clips.join(name), encode_wav(&clip, 8000, WavFormat::Float32, || 0.5).unwrap()).unwrap();
    }
    let how = ["--likelihood", text(&clips), "--ode-steps", "6", "--quiet"];
    let told = |command: &str, more: &[&str]| done(&[&[command, "audio"], &how[..], more].concat()).stdout;
    let first = told("gen", &["--json", "--draws", "2", "--threads", "2"]);
    assert_eq!(first, told("eval", &["--json", "--draws", "2", "--threads", "1", "--checkpoint", "audio-wave"]));
    let told_of = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let found = told_of(&first);
    let of = |k: usize, key: &str| found["recordings"][k][key].as_f64().unwrap();
    assert_eq!(found["recordings"][1]["file"], "7_speech_0.wav");
    let [shuffled, speech, white] = [0, 1, 2].map(|k| of(k, "bits_per_dim"));
    assert!(speech + 0.5 < shuffled && speech + 0.5 < white, "{found}");
    for k in 0..3 {
        let nats = of(k, "bits_per_dim") * of(k, "numbers") * std::f64::consts::LN_2;
        assert!((nats / of(k, "nats") - 1.0).abs() < 1e-9 && of(k, "standard_error") > 0.0, "{found}");
        assert!((of(k, "bits_per_sample") * of(k, "samples") / of(k, "bits_per_dim") / of(k, "numbers") - 1.0).abs() < 1e-9);
    }
    // Another seed draws other noise; one draw has no error; a label is given to the network.
    let seeded = told_of(&told("gen", &["--json", "--draws", "2", "--seed", "9"]));
    let apart = (seeded["recordings"][1]["nats"].as_f64().unwrap() - of(1, "nats")).abs();
    assert!(apart > 1e-3 && apart < 12.0 * of(1, "standard_error").max(30.0), "{apart}");
    let given = told_of(&told("gen", &["--json", "--draws", "1", "--label", "7"]));
    assert!(given["recordings"][1]["standard_error"].is_null() && given["label"] == "7", "{given}");
    let single = told_of(&told("gen", &["--json", "--draws", "1"]));
    assert!(given["recordings"][1]["nats"] != single["recordings"][1]["nats"]);
    let table = told("gen", &["--draws", "2"]);
    assert!(table.starts_with("bits a number") && table.contains("7_white_0.wav") && table.contains("all 3"), "{table}");
    assert_eq!(names(folder.path()), ["clips", "made"], "nothing is written");

    let dry = told_of(&told("gen", &["--dry-run", "--json"]));
    assert_eq!((&dry["recordings"], &dry["network_evaluations"]), (&3.into(), &(4 * 6 * 4 * 3).into()), "{dry}");
}

#[test]
fn what_has_no_likelihood_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let no = at("no");
    fs::write(at("x.wav"), encode_wav(&[0.1; 200], 8000, WavFormat::Pcm16, || 0.5).unwrap()).unwrap();
    fs::write(at("broken.wav"), b"RIFF").unwrap();
    let (clip, broken) = (at("x.wav"), at("broken.wav"));
    let ask = |more: &[&str], code: i32, words: &[&str]| {
        refused(&[&["gen", "audio", "--likelihood", text(&clip)], more].concat(), &no, code, words);
    };
    ask(&["-o", text(&no)], 2, &["--likelihood", "--output"]);
    ask(&["-n", "3"], 2, &["--likelihood", "-n"]);
    ask(&["--steps", "3"], 2, &["--steps"]);
    ask(&["--label", "zebra"], 1, &["'zebra'", "0, 1, 2"]);
    ask(&["--checkpoint", "audio-digits", "--draws", "2"], 2, &["--draws", "prior"]);
    ask(&["--checkpoint", "audio-judge"], 1, &["audio-judge", "a judge"]);
    ask(&["--checkpoint", "audio-digits"], 1, &["x.wav"]);
    refused(&["gen", "audio", "--likelihood", text(&broken)], &no, 1, &["broken.wav"]);
    refused(&["gen", "audio", "--likelihood", text(&no)], &no, 1, &["no"]);
    refused(&["gen", "audio", "--draws", "3", "-o", text(&no)], &no, 2, &["--likelihood"]);
    refused(&["gen", "audio"], &no, 2, &["--output"]);
}
