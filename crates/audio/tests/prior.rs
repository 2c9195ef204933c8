//! The prior from outside: what a sample depends on, what guidance adds up to, and what a request may ask.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

mod support;

use std::ops::ControlFlow;

use burn::{
    module::Module as _,
    tensor::{Device, Tensor},
};
use langevin_audio::{
    Error, TARGET_RMS,
    config::{CodecConfig, PriorConfig},
    loudest_rms,
    model::Conditions,
    task::{Generation, Guidance, Prior, PriorTask, Request, Sound},
};
use langevin_core::{
    Denoiser as _, Level, Philox, State as _,
    noise::{NoiseSource as _, stream},
    recipe::{Objective, Sampling},
};
use langevin_nn::{Sampler as _, Trainable as _, weights};
use support::recordings;

fn task(batch: u32) -> (PriorConfig, PriorTask) {
    task_with(batch, PriorConfig::default().objective)
}

fn task_with(batch: u32, objective: Objective) -> (PriorConfig, PriorTask) {
    let recordings = recordings();
    let codec =
        CodecConfig { n_fft: 256, window: 160, hop: 64, mels: 12, frames: 10, components: 6, griffin_lim: 3, ..CodecConfig::default() };
    let vocabulary = recordings.vocabulary();
    let config = PriorConfig { codec, width: 16, hidden: 24, blocks: 1, vocabulary, objective, ..PriorConfig::default() };
    let task = PriorTask::new(&config, 1, batch, None, &recordings, &recordings).unwrap();
    (config, task)
}

/// A prior whose weights are noise: untrained ones are zero at the output and would hide what the network is told.
fn prior() -> Prior {
    prior_of(task(8))
}

fn prior_of((config, task): (PriorConfig, PriorTask)) -> Prior {
    let device = Device::flex();
    let net = task.init(1, &device);
    let values = weights::layout(&net).into_iter().zip(0..).map(|(slot, k)| {
        let mut values = vec![0f32; slot.len()];
        Philox::new(2).fill(k, 0, stream::INIT, &mut values);
        values.iter_mut().for_each(|v| *v *= 0.2);
        values
    });
    let net = weights::import(net, values.collect());
    let constants = [task.constants(), task.estimates(&net, &device)].concat();
    Prior::new(&config, &constants, net, &device).unwrap()
}

fn request() -> Request {
    Request {
        labels: Vec::new(),
        takes: 1,
        speaker: None,
        guidance: Guidance { label: 1.5, speaker: 1.5 },
        sampling: Sampling { steps: 4, ..Sampling::default() },
        seconds: None,
        seed: 3,
    }
}

/// The sounds of the micro-batch that starts at a row.
fn sounds(prior: &Prior, request: &Request, first: u32) -> Vec<Sound> {
    let generation = Generation::new(prior, request).unwrap();
    let rows = first..first + generation.micro_batch();
    let ControlFlow::Continue(raw) = generation.sample(rows.clone(), &|| ControlFlow::Continue(())) else { panic!("nobody stopped it") };
    rows.zip(raw).map(|(row, raw)| generation.finish(row, raw).unwrap()).collect()
}

#[test]
fn a_sound_is_its_seed_row_and_request() {
    let prior = prior();
    let size = Generation::new(&prior, &request()).unwrap().micro_batch();
    let all: Vec<Sound> = (0..5).flat_map(|k| sounds(&prior, &request(), k * size)).collect();
    let second = size as usize..2 * size as usize;
    assert!(sounds(&prior, &request(), size) == all[second], "the same micro-batch sounds the same again");
    assert_eq!(all.iter().map(|s| s.row).collect::<Vec<_>>(), (0..5 * size).collect::<Vec<_>>());
    for (k, sound) in all.iter().enumerate() {
        assert!(sound.samples.iter().all(|v| v.is_finite()) && (loudest_rms(&sound.samples, 8000) - TARGET_RMS).abs() < 1e-4);
        assert!(all[..k].iter().all(|other| other.samples != sound.samples), "sound {k} is there twice");
        let seconds = sound.samples.len() as f64 / 8000.0;
        assert!((0.1999..=0.4201).contains(&seconds), "durations stay within those of the recordings: {seconds}");
    }
    for name in ["yes", "no", "maybe"] {
        assert!(all.iter().filter(|s| s.label == name).count() >= 3, "{name} is hardly drawn");
    }
    assert!((8..=24).contains(&all.iter().filter(|s| s.speaker == "bob").count()));
    assert!(sounds(&prior, &Request { seed: 4, ..request() }, 0) != all[..size as usize], "another seed sounds different");
}

#[test]
fn what_is_asked_for_is_made() {
    let prior = prior();
    let wanted = Request { labels: vec!["no".into()], speaker: Some("bob".into()), seconds: Some(0.3), ..request() };
    let made = sounds(&prior, &wanted, 0);
    for sound in &made {
        assert_eq!((sound.label.as_str(), sound.speaker.as_str()), ("no", "bob"));
        assert!(sound.samples.len().abs_diff(2400) <= 1, "{}", sound.samples.len());
    }
    let other = sounds(&prior, &Request { labels: vec!["yes".into()], ..wanted }, 0);
    assert!(made.iter().zip(&other).all(|(a, b)| a.samples != b.samples), "the label changes the sound");
}

#[test]
fn requests_that_no_model_can_meet_are_refused() {
    let prior = prior();
    let refused = |request: Request| Generation::new(&prior, &request).unwrap_err();
    for (request, what) in [
        (Request { labels: vec!["perhaps".into()], ..request() }, "label"),
        (Request { speaker: Some("eve".into()), ..request() }, "speaker"),
    ] {
        let error = refused(request);
        assert!(matches!(&error, Error::UnknownCondition { what: w, .. } if *w == what), "{error}");
        assert!(error.to_string().contains("yes") || error.to_string().contains("ann, bob"), "{error}");
    }
    for seconds in [f64::NAN, 0.0, -1.0, 0.1, 99.0, f64::INFINITY] {
        assert!(matches!(refused(Request { seconds: Some(seconds), ..request() }), Error::Setting { .. }), "{seconds}");
    }
    for weight in [f64::NAN, f64::INFINITY, 1e9] {
        for guidance in [Guidance { label: weight, speaker: 1.0 }, Guidance { label: 1.0, speaker: weight }] {
            assert!(matches!(refused(Request { guidance, ..request() }), Error::Setting { .. }), "{guidance:?}");
        }
    }
    assert!(matches!(refused(Request { sampling: Sampling { steps: 0, ..Sampling::default() }, ..request() }), Error::Core(_)));
}

#[test]
fn a_run_can_be_stopped_between_evaluations() {
    let prior = prior();
    let generation = Generation::new(&prior, &request()).unwrap();
    let count = std::cell::Cell::new(0);
    let stop_at = |most: usize| {
        count.set(0);
        generation.sample(0..generation.micro_batch(), &|| {
            count.set(count.get() + 1);
            if count.get() >= most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    };
    assert!(stop_at(2).is_break() && count.get() == 2);
    assert!(stop_at(usize::MAX).is_continue());
    assert_eq!(count.get(), generation.run().nfe(), "every evaluation is told");
}

/// `D = D(-,-) + w_l [D(l,-) - D(-,-)] + w_s [D(l,s) - D(l,-)]`, each term measured with weights that leave one variant.
#[test]
fn guidance_is_the_weighted_sum_of_its_variants() {
    let prior = prior();
    let conditions = Conditions { labels: vec![Some(0), Some(2), None], speakers: vec![Some(1), None, Some(0)] };
    let at = Level::ve(0.7);
    let x = Tensor::<2>::zeros([3, prior.codec.width()], prior.device()).noise_like(&Philox::new(6), 0, stream::PRIOR);
    let estimate = |label: f64, speaker: f64| -> Vec<f32> {
        let denoiser = prior.denoiser(&conditions, Guidance { label, speaker }, &Sampling::default());
        denoiser.denoise(&x, at, 0).into_data().try_into_vec_as::<f32>().unwrap()
    };
    let (none, of_label, of_both) = (estimate(0.0, 0.0), estimate(1.0, 0.0), estimate(1.0, 1.0));
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(distance(&none, &of_label) > 1e-3 && distance(&of_label, &of_both) > 1e-3, "the conditions are heard");
    for (label, speaker) in [(2.0, 2.0), (3.0, 1.0), (1.0, 2.5), (0.0, 1.5), (2.0, 0.0), (0.5, 0.25)] {
        let wanted: Vec<f32> = (0..none.len())
            .map(|k| none[k] + label as f32 * (of_label[k] - none[k]) + speaker as f32 * (of_both[k] - of_label[k]))
            .collect();
        assert!(distance(&estimate(label, speaker), &wanted) < 2e-5, "{label} {speaker}: {}", distance(&estimate(label, speaker), &wanted));
    }
}

#[test]
fn the_loss_of_a_batch_is_the_mean_over_its_cuts() {
    let device = Device::flex();
    let (_, task) = task(8);
    let net = task.init(1, &device);
    let loss = |step, rows| task.loss(&net, step, rows, &device).into_scalar::<f32>();
    let (whole, cut) = (loss(5, 0..8), 0.25 * loss(5, 0..2) + 0.75 * loss(5, 2..8));
    assert!((whole - cut).abs() < 1e-5 * whole, "{whole} {cut}");
    assert_ne!(loss(6, 0..8), whole, "every step has noise of its own");
    // The network starts at zero, where the target of EDM has unit variance.
    let mean = (0..200).map(|step| loss(step, 0..8)).sum::<f32>() / 200.0;
    assert!((0.8..1.2).contains(&mean), "{mean}");

    let rows = task.validation_rows();
    let (all, parts) =
        (task.validate(&net, 0..rows, &device)[0], task.validate(&net, 0..3, &device)[0] + task.validate(&net, 3..rows, &device)[0]);
    assert!((all - parts).abs() < 1e-4 * all && all > 0.0, "{all} {parts}");
}

/// Objectives as a config may name them.
fn objectives() -> Vec<Objective> {
    const LINEAR: &str = r#""schedule": {"kind": "linear", "steps": 100, "beta_start": 0.001, "beta_end": 0.2, "zero_terminal_snr": "#;
    [
        "{}".to_owned(),
        r#"{"schedule": {"kind": "vp", "beta_min": 0.1, "beta_max": 20}, "param": {"kind": "eps"}, "weight": {"kind": "simple"}, "times": {"kind": "uniform"}}"#.to_owned(),
        r#"{"schedule": {"kind": "vp", "beta_min": 0.1, "beta_max": 20}, "param": {"kind": "eps"}, "weight": {"kind": "likelihood"}, "times": {"kind": "log_normal", "p_mean": -0.5, "p_std": 1.3}}"#.to_owned(),
        r#"{"schedule": {"kind": "sub_vp", "beta_min": 0.1, "beta_max": 20}, "param": {"kind": "x0"}, "weight": {"kind": "truncated"}, "times": {"kind": "low_discrepancy"}}"#.to_owned(),
        r#"{"schedule": {"kind": "ve", "sigma_min": 0.01, "sigma_max": 40}, "param": {"kind": "edm", "sigma_data": 0.5}, "weight": {"kind": "min_snr", "gamma": 5}, "times": {"kind": "low_discrepancy"}}"#.to_owned(),
        r#"{"schedule": {"kind": "flow", "shift": 1}, "param": {"kind": "flow"}, "times": {"kind": "logit_normal", "mean": 0, "std": 1}}"#.to_owned(),
        format!(r#"{{{LINEAR}true}}, "param": {{"kind": "v"}}, "weight": {{"kind": "p2", "k": 1, "gamma": 1}}, "times": {{"kind": "uniform"}}}}"#),
        format!(r#"{{{LINEAR}false}}, "param": {{"kind": "eps"}}, "times": {{"kind": "uniform"}}, "importance": {{"bins": 3, "quota": 2}}, "learned_variance": {{}}}}"#),
    ]
    .iter()
    .map(|text| serde_json::from_str::<Objective>(text).unwrap_or_else(|e| panic!("{text}: {e}")))
    .map(|objective| if objective == Objective::default() { PriorConfig::default().objective } else { objective })
    .collect()
}

/// Every objective trains, validates, and its network is sampled by solvers and drivers to finite numbers.
#[test]
fn every_objective_trains_and_samples() {
    let device = Device::flex();
    for objective in objectives() {
        objective.check().unwrap();
        let (config, task) = task_with(8, objective);
        let model = task.init(1, &device).train();
        let loss = task.loss(&model, 3, 0..8, &device.clone().autodiff());
        let gradients = weights::gradients(&model, &loss.backward()).unwrap();
        let norm: f32 = gradients.iter().flatten().map(|g| g * g).sum();
        assert!(norm.is_finite() && norm > 0.0 && loss.into_scalar::<f32>().is_finite(), "{objective:?}");
        assert!(task.validate(&task.init(1, &device), 0..8, &device)[0].is_finite());

        let prior = prior_of((config, task));
        let discrete = objective.schedule.is_discrete();
        let grid = if discrete { "trailing" } else { "linear" };
        for (name, needs_signal) in [
            ("ddim", false),
            ("ddpm", false),
            ("dpmpp2m", false),
            ("ddpm-analytic", true),
            ("pc", true),
            ("adaptive", true),
            ("ddpm-learned", true),
        ] {
            let sampling = Sampling { solver: name.parse().unwrap(), grid: grid.parse().unwrap(), steps: 6, ..Sampling::default() };
            match Generation::new(&prior, &Request { sampling, ..request() }) {
                Ok(_) => {
                    let sampling = Sampling { solver: name.parse().unwrap(), grid: grid.parse().unwrap(), steps: 6, ..Sampling::default() };
                    for sound in sounds(&prior, &Request { sampling, ..request() }, 0) {
                        assert!(sound.samples.iter().all(|v| v.is_finite()), "{name}");
                    }
                }
                // Refused with a reason: no signal at the start of the grid, or no learned variance.
                Err(error) => assert!(needs_signal, "{name}, {objective:?}: {error}"),
            }
        }
    }
}

#[test]
fn importance_is_remembered_in_the_order_of_rows() {
    let device = Device::flex();
    let objective = *objectives().last().unwrap();
    let run = |cuts: &[std::ops::Range<u32>], resume_at: Option<u32>| {
        let (_, mut task) = task_with(8, objective);
        let model = task.init(1, &device);
        let mut losses = Vec::new();
        for step in 0..6 {
            if resume_at == Some(step) {
                let memory = task.memory();
                task = task_with(8, objective).1;
                task.recall(&memory);
            }
            losses.push(
                cuts.iter()
                    .map(|rows| task.loss(&model, step, rows.clone(), &device).into_scalar::<f32>() * rows.len() as f32)
                    .sum::<f32>(),
            );
            task.end_of_step(step);
        }
        (losses, task.memory())
    };
    let whole = run(&[0..4, 4..8], None);
    assert!(whole.1.iter().all(|bin| bin.values.len() == 2), "three bins of two losses are full");
    assert_eq!(run(&[4..8, 0..4], None).1, whole.1, "workers may finish in any order");
    assert_eq!(run(&[0..4, 4..8], Some(4)), whole, "a resumed run goes on as if nothing had happened");
}

/// Outside its interval guidance costs nothing and changes nothing; rescaled estimates have the spread of unguided ones.
#[test]
fn guidance_can_be_limited_and_rescaled() {
    let prior = prior();
    let conditions = Conditions { labels: vec![Some(0), Some(2)], speakers: vec![Some(1), Some(0)] };
    let x = Tensor::<2>::zeros([2, prior.codec.width()], prior.device()).noise_like(&Philox::new(6), 0, stream::PRIOR);
    let estimate = |weight: f64, sigma: f64, sampling: &Sampling| -> Vec<f32> {
        let denoiser = prior.denoiser(&conditions, Guidance { label: weight, speaker: weight }, sampling);
        denoiser.denoise(&x, Level::ve(sigma), 0).into_data().try_into_vec_as::<f32>().unwrap()
    };
    let limited = Sampling { guidance_interval: Some([0.5, 2.0]), ..Sampling::default() };
    assert_eq!(estimate(3.0, 0.1, &limited), estimate(1.0, 0.1, &Sampling::default()));
    assert_eq!(estimate(3.0, 0.7, &limited), estimate(3.0, 0.7, &Sampling::default()));
    assert_ne!(estimate(3.0, 0.7, &limited), estimate(1.0, 0.7, &Sampling::default()));
    let spread = |values: &[f32]| {
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
    };
    let rescaled = Sampling { guidance_rescale: 1.0, ..Sampling::default() };
    let (guided, plain) = (estimate(5.0, 0.7, &rescaled), estimate(1.0, 0.7, &Sampling::default()));
    let width = prior.codec.width();
    for (a, b) in guided.chunks(width).zip(plain.chunks(width)) {
        assert!((spread(a) / spread(b) - 1.0).abs() < 1e-4);
    }
}
