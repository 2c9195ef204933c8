//! Runs that train more than a denoiser, from outside: interrupted they go on to the same bits, and what they make is sound.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use langevin_engine::Checkpoint;
use serde_json::Value;
use support::{command, langevin, write_tones};

const VDM: &str = r#"
[model.objective]
schedule = { kind = "vdm", gamma_min = -8.0, gamma_max = 6.0 }
param = { kind = "v" }
weight = { kind = "likelihood" }
times = { kind = "low_discrepancy" }
learned_schedule = { hidden = 16 }
"#;
const TWO_STAGES: &str = r#"
[model.objective]
schedule = { kind = "vp", beta_min = 0.1, beta_max = 20.0 }
param = { kind = "eps" }
weight = { kind = "simple" }
times = { kind = "uniform" }
[model.latent]
dim = 3
hidden = 16
layers = 1
vae_steps = 60
"#;
const JOINT: &str = r#"
[model.latent]
dim = 3
hidden = 16
layers = 1
vae_steps = 60
joint = true
"#;

fn config(model: &str, steps: u32) -> String {
    format!(
        r#"
name = "tones"
domain = "audio"
seed = 3
[model]
kind = "prior"
width = 16
hidden = 24
blocks = 1
{model}
[model.sampling]
grid = "lambda"
steps = 6
guidance = 1.5
[model.codec]
n_fft = 256
window = 160
hop = 64
mels = 12
frames = 10
components = 6
griffin_lim = 4
[train]
steps = {steps}
batch = 8
micro_batch = 4
learning_rate = 2e-3
final_rate = 1.0
warmup = 10
weight_decay = 0.05
ema = 0.9
validate_every = 50
save_every = 250
log_every = 10
"#
    )
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

fn done(args: &[&str]) -> String {
    let run = langevin(args);
    assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
    run.stdout
}

/// Trains a model whole, and once more interrupted: the same files. What it has learned generates.
fn trains_resumes_and_generates(model: &str, lower: &str) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let [data, file, whole, run, clips] = ["data", "c.toml", "whole", "run", "clips"].map(|name| folder.path().join(name));
    write_tones(&data);
    fs::write(&file, config(model, 300)).unwrap();
    let args = |run| ["train", "audio", "--data", text(&data), "--config", text(&file), "--quiet", "--threads", "2", "-o", run];
    done(&args(text(&whole)));
    let lines = |run: &Path| -> Vec<Value> {
        let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let of = |name: &str| -> Vec<f64> { lines(&whole).iter().filter_map(|line| line.get(name)?.as_f64()).collect() };
    let (scores, named) = (of("validation"), of(lower));
    assert!(scores.len() == 6 && scores[5] < scores[0] && named[5] < named[0], "it learns: {scores:?}, {lower} {named:?}");

    let mut child = command(&args(text(&run))).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let started = Instant::now();
    // Step 80 of 300 or a little later: past the first stage.
    while lines(&run).iter().filter_map(|line| line["step"].as_u64()).max().unwrap_or(0) < 80 {
        assert!(started.elapsed() < Duration::from_secs(60) && child.try_wait().expect("runs").is_none(), "training did not get going");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill exists").success());
    let ended = child.wait_with_output().expect("ends");
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stderr));
    done(&["train", "audio", "--data", text(&data), "--resume", text(&run), "--quiet", "--threads", "1"]);
    for file in ["metrics.jsonl", "model.safetensors", "state.safetensors"] {
        assert!(fs::read(run.join(file)).unwrap() == fs::read(whole.join(file)).unwrap(), "{file} differs from that of the whole run");
    }

    let model = whole.join("model.safetensors");
    let told = done(&[
        "gen",
        "audio",
        "--checkpoint",
        text(&model),
        "--label",
        "low",
        "-n",
        "2",
        "--duration",
        "0.25",
        "-o",
        text(&clips),
        "--json",
    ]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    for clip in told["clips"].as_array().expect("a list") {
        assert!((clip["seconds"].as_f64().unwrap() - 0.25).abs() < 2e-3 && clip["rms"].as_f64() > Some(0.01), "{clip}");
    }
}

#[test]
fn a_learned_schedule() {
    trains_resumes_and_generates(VDM, "loss_square");
}

#[test]
fn an_autoencoder_and_then_a_diffusion() {
    trains_resumes_and_generates(TWO_STAGES, "reconstruction");
}

#[test]
fn an_autoencoder_with_its_diffusion() {
    trains_resumes_and_generates(&format!("{VDM}{JOINT}"), "reconstruction");
}

/// Weight decay and momentum would go on moving an autoencoder whose gradient is zero, under a diffusion that relies on its code.
#[test]
fn the_autoencoder_of_two_stages_stays_to_the_bit() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let data = folder.path().join("data");
    write_tones(&data);
    let after = |steps: u32| {
        let [file, run] = ["toml", "run"].map(|name| folder.path().join(format!("{steps}.{name}")));
        // Only the last step is validated, so that its weights are the best.
        fs::write(&file, config(TWO_STAGES, steps).replace("validate_every = 50", "validate_every = 1000")).unwrap();
        done(&["train", "audio", "--data", text(&data), "--config", text(&file), "--quiet", "--threads", "2", "-o", text(&run)]);
        Checkpoint::read(&run.join("model.safetensors")).expect("trained").tensors
    };
    let (early, late) = (after(61), after(150));
    let same = |part: &str| early.iter().filter(|(name, _)| name.starts_with(part)).all(|(name, tensor)| late[name] == *tensor);
    assert!(early.keys().any(|name| name.starts_with("model.vae.")) && same("model.vae."), "the autoencoder moved");
    assert!(!same("model.output"), "the diffusion did not");
}
