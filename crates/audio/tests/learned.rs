//! Priors that learn more than a denoiser: the noise schedule (VDM), or an autoencoder whose code is diffused (latent diffusion, LSGM).

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

mod support;

use std::ops::ControlFlow;

use burn::{
    module::Module as _,
    optim::{AdamConfig, GradientsParams},
    tensor::Device,
};
use langevin_audio::{
    ModelConfig,
    config::{CodecConfig, PriorConfig},
    model::PriorNet,
    task::{Generation, Guidance, Prior, PriorTask, Request},
};
use langevin_core::recipe::Sampling;
use langevin_nn::{Sampler as _, Trainable as _, weights};
use support::recordings;

const BATCH: u32 = 24;
const VDM: &str = r#""objective": {"schedule": {"kind": "vdm", "gamma_min": -8, "gamma_max": 6}, "param": {"kind": "v"},
    "weight": {"kind": "likelihood"}, "times": {"kind": "low_discrepancy"}"#;

/// A small prior with some settings, checked.
fn config(settings: &str) -> PriorConfig {
    let codec =
        CodecConfig { n_fft: 256, window: 160, hop: 64, mels: 12, frames: 10, components: 6, griffin_lim: 3, ..CodecConfig::default() };
    let read: PriorConfig = serde_json::from_str(settings).unwrap_or_else(|e| panic!("{settings}: {e}"));
    let config = PriorConfig { codec, width: 16, hidden: 24, blocks: 1, vocabulary: recordings().vocabulary(), ..read };
    ModelConfig::Prior(config.clone()).check().unwrap_or_else(|e| panic!("{settings}: {e}"));
    config
}

fn task(config: &PriorConfig) -> PriorTask {
    PriorTask::new(config, 1, BATCH, None, &recordings(), &recordings()).unwrap()
}

/// Trains from step `first`, in two micro-batches a step; the losses.
fn train(task: &PriorTask, model: PriorNet, steps: std::ops::Range<u32>) -> (PriorNet, Vec<f64>) {
    let device = Device::flex();
    let (mut model, mut losses) = (model.train(), Vec::new());
    let mut adam = AdamConfig::new().init();
    for step in steps {
        let part = |rows| task.loss(&model, step, rows, &device.clone().autodiff());
        let loss = (part(0..BATCH / 2) + part(BATCH / 2..BATCH)) / 2.0;
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = adam.step(2e-3, model, gradients);
        task.end_of_step(step);
        losses.push(f64::from(loss.into_scalar::<f32>()));
    }
    (model.valid(), losses)
}

/// Names and sums of gradients' magnitudes at a step.
fn gradients(task: &PriorTask, model: &PriorNet, step: u32) -> Vec<(String, f32)> {
    let model = model.clone().train();
    let loss = task.loss(&model, step, 0..BATCH, &Device::flex().autodiff());
    let gradients = weights::gradients(&model, &loss.backward()).unwrap();
    weights::layout(&model).into_iter().map(|l| l.name).zip(gradients.iter().map(|g| g.iter().map(|g| g.abs()).sum())).collect()
}

/// Validation score and sums, by row.
fn validate(task: &PriorTask, model: &PriorNet) -> Vec<f64> {
    let rows = task.validation_rows();
    task.validate(model, 0..rows, &Device::flex()).into_iter().map(|sum| sum / f64::from(rows)).collect()
}

fn sounds(config: &PriorConfig, task: &PriorTask, net: PriorNet, seconds: Option<f64>) -> Vec<Vec<f32>> {
    let prior = Prior::new(config, &task.constants(), net, &Device::flex()).unwrap();
    let sampling = Sampling { steps: 6, grid: "lambda".parse().unwrap(), ..Sampling::default() };
    let request = Request {
        labels: Vec::new(),
        takes: 1,
        speaker: None,
        guidance: Guidance { label: 1.5, speaker: 1.5 },
        sampling,
        seconds,
        seed: 3,
    };
    let generation = Generation::new(&prior, &request).unwrap();
    let rows = 0..generation.micro_batch();
    let ControlFlow::Continue(raw) = generation.sample(rows.clone(), &|| ControlFlow::Continue(())) else { panic!("nobody stopped it") };
    rows.zip(raw).map(|(row, raw)| generation.finish(row, raw).unwrap().samples).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn a_learned_schedule_lowers_the_variance_of_the_loss() {
    let config = config(&format!(r#"{{{VDM}, "learned_schedule": {{"hidden": 32}}}}}}"#));
    let task = task(&config);
    let fresh = task.init(1, &Device::flex());
    let (trained, losses) = train(&task, fresh.clone(), 0..400);
    assert!(mean(&losses[300..]) < 0.8 * mean(&losses[..100]), "{} {}", mean(&losses[..100]), mean(&losses[300..]));
    assert_eq!(task.validation_names(), ["loss_square", "straight_square"]);
    let spread = |scores: &[f64]| (scores[1] - scores[0] * scores[0], scores[2] - scores[0] * scores[0]);
    let ((before, straight), scores) = (spread(&validate(&task, &fresh)), validate(&task, &trained));
    assert!((before / straight - 1.0).abs() < 0.05, "the curve starts nearly straight: {before} {straight}");
    let (after, straight) = spread(&scores);
    eprintln!("variance {after}, {straight} on the straight curve");
    assert!(after < 0.8 * straight, "variance {after}, {straight} on the straight curve");
    // Sampling walks the learned curve, between the config's ends.
    let prior = Prior::new(&config, &task.constants(), trained.clone(), &Device::flex()).unwrap();
    let gamma = |t: f64| -2.0 * prior.schedule().level(t).lambda();
    assert!((gamma(0.0) + 8.0).abs() < 1e-4 && (gamma(1.0) - 6.0).abs() < 1e-4 && (gamma(0.5) + 1.0).abs() > 0.2, "{}", gamma(0.5));
    assert!(sounds(&config, &task, trained, None).iter().flatten().all(|v| v.is_finite()));
}

/// What is learned of the losses does not depend on threads or resumption.
#[test]
fn a_learned_schedule_resumes_to_the_same_bits() {
    let config = config(&format!(r#"{{{VDM}, "learned_schedule": {{"hidden": 8}}}}}}"#));
    let (whole, parts) = (task(&config), task(&config));
    let (model, _) = train(&whole, whole.init(1, &Device::flex()), 0..5);
    let _ = train(&parts, parts.init(1, &Device::flex()), 0..5);
    let resumed = task(&config);
    resumed.recall(&parts.memory());
    assert_eq!(resumed.memory(), whole.memory());
    assert_eq!(gradients(&resumed, &model, 5), gradients(&whole, &model, 5));
    let of_gamma = gradients(&whole, &model, 5).into_iter().filter(|(name, _)| name.starts_with("gamma.") && name != "gamma.ends");
    assert!(of_gamma.inspect(|(name, sum)| assert!(*sum > 0.0, "{name} does not learn")).count() == 4);
}

#[test]
fn two_stages_train_the_autoencoder_and_then_leave_it() {
    for objective in [
        r#""objective": {"schedule": {"kind": "vp", "beta_min": 0.1, "beta_max": 20}, "param": {"kind": "eps"}, "times": {"kind": "uniform"}}"#,
        r#""objective": {"schedule": {"kind": "cosine", "steps": 50, "s": 0.008, "max_beta": 0.999}, "param": {"kind": "eps"},
            "times": {"kind": "uniform"}, "learned_variance": {}}"#,
    ] {
        let config = config(&format!(r#"{{{objective}, "latent": {{"dim": 3, "hidden": 16, "layers": 1, "vae_steps": 100, "kl": 0.1}}}}"#));
        let task = task(&config);
        let model = task.init(1, &Device::flex());
        let first = validate(&task, &model);
        let (model, _) = train(&task, model, 0..100);
        let middle = validate(&task, &model);
        assert!(middle[1] < first[1] - 0.1 && middle[1] + middle[2] < first[1] + first[2] - 0.1, "{first:?} {middle:?}");
        let part = |step: u32, of_vae: bool| -> f32 {
            gradients(&task, &model, step).iter().filter(|(name, _)| name.starts_with("vae.") == of_vae).map(|(_, sum)| sum).sum()
        };
        assert!(part(99, true) > 0.0 && part(100, true) == 0.0 && part(100, false) > 0.0);
        assert!(task.trains(99, "vae.log_scale") && !task.trains(100, "vae.log_scale") && task.trains(100, "output.weight"));
        let (model, _) = train(&task, model, 100..250);
        let last = validate(&task, &model);
        assert_eq!(last[1..], middle[1..], "the autoencoder stays");
        // The same autoencoder beside a denoiser that has learned nothing.
        let fresh = weights::export(&task.init(1, &Device::flex())).unwrap();
        let mixed = weights::layout(&model).into_iter().zip(weights::export(&model).unwrap()).zip(fresh);
        let mixed = mixed.map(|((slot, trained), fresh)| if slot.name.starts_with("vae.") { trained } else { fresh }).collect();
        let untrained = validate(&task, &weights::import(model.clone(), mixed));
        assert!(untrained[1..] == last[1..] && last[0] < untrained[0] - 0.03, "the diffusion learns: {untrained:?} {last:?}");
        let sounds = if config.heads() == 2 { Vec::new() } else { sounds(&config, &task, model, Some(0.3)) };
        assert!(sounds.iter().all(|s| s.len().abs_diff(2400) <= 1 && s.iter().all(|v| v.is_finite())));
    }
}

#[test]
fn one_bound_trains_both_networks() {
    for more in ["", r#", "learned_schedule": {"hidden": 8}"#] {
        let config =
            config(&format!(r#"{{{VDM}{more}}}, "latent": {{"dim": 3, "hidden": 16, "layers": 1, "vae_steps": 50, "joint": true}}}}"#));
        let task = task(&config);
        let model = task.init(1, &Device::flex());
        let first = validate(&task, &model);
        let (model, _) = train(&task, model, 0..250);
        let last = validate(&task, &model);
        assert!(last[0] < first[0] - 0.3, "nats per number: {first:?} {last:?}");
        // The score is the bound: reconstruction and divergence from the learned prior.
        assert!((last[0] - last[1] - last[2]).abs() < 1e-6);
        assert_eq!(last.len(), 1 + task.validation_names().len());
        assert!(task.trains(200, "vae.log_scale"));
        let sounds = sounds(&config, &task, model, Some(0.3));
        assert!(sounds.iter().all(|s| s.len().abs_diff(2400) <= 1 && s.iter().all(|v| v.is_finite())));
    }
}

/// In the joint stage the encoder hears the diffusion; before, its gradient is that of its own bound.
#[test]
fn the_encoder_hears_the_diffusion_in_the_joint_stage_only() {
    let of = |joint: bool, step: u32| {
        let config =
            config(&format!(r#"{{{VDM}}}, "latent": {{"dim": 3, "hidden": 16, "layers": 1, "vae_steps": 50, "joint": {joint}}}}}"#));
        let task = task(&config);
        let found = gradients(&task, &task.init(1, &Device::flex()), step);
        found.into_iter().filter(|(name, _)| name.starts_with("vae.encoder")).map(|(_, sum)| sum).sum::<f32>()
    };
    assert_eq!(of(true, 49), of(false, 49));
    assert_eq!(of(false, 50), 0.0);
    assert!(of(true, 50) > 0.0 && of(true, 50) != of(true, 49));
}

#[test]
fn what_cannot_work_is_refused_with_the_reason() {
    let latent = |objective: &str, latent: &str| format!(r#"{{{objective}}}, "latent": {{{latent}}}}}"#);
    let ve = r#""objective": {"schedule": {"kind": "ve", "sigma_min": 0.01, "sigma_max": 40}, "param": {"kind": "x0"}, "weight": {"kind": "likelihood"}, "times": {"kind": "low_discrepancy"}"#;
    let flow = r#""objective": {"schedule": {"kind": "vp_cosine", "s": 0.008}, "param": {"kind": "v"}, "weight": {"kind": "likelihood"}, "times": {"kind": "low_discrepancy"}"#;
    let simple = r#""objective": {"schedule": {"kind": "vp", "beta_min": 0.1, "beta_max": 20}, "param": {"kind": "eps"}, "times": {"kind": "uniform"}"#;
    let edm = r#""objective": {"param": {"kind": "edm", "sigma_data": 0.5}"#;
    let table = r#""objective": {"schedule": {"kind": "cosine", "steps": 50, "s": 0.008, "max_beta": 0.999}, "param": {"kind": "v"}, "weight": {"kind": "likelihood"}, "times": {"kind": "uniform"}"#;
    for (settings, reason) in [
        (latent(simple, r#""joint": true"#), "likelihood"),
        (latent(ve, r#""joint": true"#), "sigma = 40"),
        (latent(flow, r#""joint": true"#), "infinite"),
        (latent(table, r#""joint": true"#), "continuous"),
        (latent(edm, ""), "sigma_data"),
        (latent(VDM, r#""dim": 0"#), "latent.dim"),
        (latent(VDM, r#""vae_steps": 0"#), "latent.vae_steps"),
        (latent(VDM, r#""kl": -1.0"#), "latent.kl"),
        (latent(VDM, r#""depth": 3"#), "depth"),
    ] {
        let read = serde_json::from_str::<PriorConfig>(&settings).map_err(|e| e.to_string());
        let error = read.and_then(|c| ModelConfig::Prior(c).check().map_err(|e| e.to_string())).unwrap_err();
        assert!(error.contains(reason), "{settings}: {error}");
    }
}
