//! The prior from outside: what a sample depends on, what guidance adds up to, and what a request may ask.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

use std::{ops::ControlFlow, path::PathBuf};

use burn::tensor::{Device, Tensor};
use langevin_audio::{
    Error, Item, TARGET_RMS,
    config::{CodecConfig, PriorConfig},
    data::Recordings,
    loudest_rms,
    model::Conditions,
    task::{Generation, Guidance, Prior, PriorTask, Request, Sound},
};
use langevin_core::{
    Denoiser as _, Level, Philox, State as _,
    grid::Grid,
    noise::{NoiseSource as _, stream},
    solver::Solver,
};
use langevin_nn::{Sampler as _, Trainable as _, weights};

/// Twelve short clips of coloured noise by two speakers.
fn recordings() -> Recordings {
    let noise = Philox::new(4);
    let clip = |k: u32| {
        let mut clip = vec![0f32; 1600 + 160 * k as usize];
        noise.fill(k, 0, stream::DOMAIN, &mut clip);
        let keep = 0.1 * (k % 9) as f32;
        (1..clip.len()).for_each(|n| clip[n] += keep * clip[n - 1]);
        clip.iter_mut().for_each(|v| *v *= 0.1);
        clip
    };
    let item = |k: u32| {
        let (label, speaker) = (["yes", "no", "maybe"][k as usize % 3], ["ann", "bob"][k as usize % 2]);
        Item {
            path: PathBuf::from(format!("{label}_{speaker}_{k}.wav")),
            label: label.into(),
            speaker: speaker.into(),
            take: k.to_string(),
        }
    };
    Recordings { items: (0..12).map(item).collect(), clips: (0..12).map(clip).collect(), notes: Vec::new() }
}

fn task(batch: u32) -> (PriorConfig, PriorTask) {
    let recordings = recordings();
    let codec =
        CodecConfig { n_fft: 256, window: 160, hop: 64, mels: 12, frames: 10, components: 6, griffin_lim: 3, ..CodecConfig::default() };
    let config = PriorConfig { codec, width: 16, hidden: 24, blocks: 1, vocabulary: recordings.vocabulary(), ..PriorConfig::default() };
    let task = PriorTask::new(&config, 1, batch, None, &recordings, &recordings).unwrap();
    (config, task)
}

/// A prior whose weights are noise: untrained ones are zero at the output and would hide what the network is told.
fn prior() -> Prior {
    let (device, (config, task)) = (Device::flex(), task(8));
    let net = task.init(1, &device);
    let values = weights::layout(&net).into_iter().zip(0..).map(|(slot, k)| {
        let mut values = vec![0f32; slot.len()];
        Philox::new(2).fill(k, 0, stream::INIT, &mut values);
        values.iter_mut().for_each(|v| *v *= 0.2);
        values
    });
    let values = values.collect();
    Prior::new(&config, &task.constants(), weights::import(net, values), &device).unwrap()
}

fn request() -> Request {
    Request {
        label: None,
        speaker: None,
        guidance: Guidance { label: 1.5, speaker: 1.5 },
        steps: 4,
        solver: Solver::from_name("dpmpp2m").unwrap(),
        grid: "karras".parse::<Grid>().unwrap(),
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
    let wanted = Request { label: Some("no".into()), speaker: Some("bob".into()), seconds: Some(0.3), ..request() };
    let made = sounds(&prior, &wanted, 0);
    for sound in &made {
        assert_eq!((sound.label.as_str(), sound.speaker.as_str()), ("no", "bob"));
        assert!(sound.samples.len().abs_diff(2400) <= 1, "{}", sound.samples.len());
    }
    let other = sounds(&prior, &Request { label: Some("yes".into()), ..wanted }, 0);
    assert!(made.iter().zip(&other).all(|(a, b)| a.samples != b.samples), "the label changes the sound");
}

#[test]
fn requests_that_no_model_can_meet_are_refused() {
    let prior = prior();
    let refused = |request: Request| Generation::new(&prior, &request).unwrap_err();
    for (request, what) in [
        (Request { label: Some("perhaps".into()), ..request() }, "label"),
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
    assert!(matches!(refused(Request { steps: 0, ..request() }), Error::Core(_)));
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
    assert_eq!(count.get(), generation.plan().nfe(), "every evaluation is told");
}

/// `D = D(-,-) + w_l [D(l,-) - D(-,-)] + w_s [D(l,s) - D(l,-)]`, each term measured with weights that leave one variant.
#[test]
fn guidance_is_the_weighted_sum_of_its_variants() {
    let prior = prior();
    let conditions = Conditions { labels: vec![Some(0), Some(2), None], speakers: vec![Some(1), None, Some(0)] };
    let at = Level::ve(0.7);
    let x = Tensor::<2>::zeros([3, prior.codec.width()], prior.device()).noise_like(&Philox::new(6), 0, stream::PRIOR);
    let estimate = |label: f64, speaker: f64| -> Vec<f32> {
        let denoiser = prior.denoiser(&conditions, Guidance { label, speaker });
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
