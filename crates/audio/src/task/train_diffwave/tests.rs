use std::ops::ControlFlow;

use langevin_core::recipe::Sampling;
use langevin_nn::{Sampler as _, weights};

use super::{super::diffwave::PART, *};
use crate::{
    Item,
    config::{DiffWaveMel, Vocabulary},
    task::{DiffWave, DiffWaveGeneration, Guidance, WaveRequest, WaveUse},
};

/// Tones of two pitches, by label.
fn recordings() -> Recordings {
    let item = |label: &str| Item { path: format!("{label}_a_0.wav").into(), label: label.into(), speaker: "a".into(), take: "0".into() };
    let tone = |pitch: f64, n: usize| (0..n).map(|i| (0.3 * (pitch * i as f64).sin()) as f32).collect();
    Recordings {
        items: ["high", "low", "low"].map(item).to_vec(),
        clips: vec![tone(0.9, 900), tone(0.2, 700), tone(0.2, 100)],
        notes: Vec::new(),
    }
}

fn config(condition: DiffWaveCondition) -> DiffWaveConfig {
    DiffWaveConfig {
        channels: 8,
        layers: 4,
        cycle: 2,
        condition,
        crop: 250,
        drop: 0.2,
        mel: DiffWaveMel { n_fft: 128, window: 128, mels: 8, strides: [4, 4], ..DiffWaveMel::default() },
        vocabulary: Vocabulary { labels: vec!["high".into(), "low".into()], speakers: vec!["a".into()] },
        ..DiffWaveConfig::default()
    }
}

fn task(config: &DiffWaveConfig) -> DiffWaveTask {
    config.check().unwrap();
    DiffWaveTask::new(config, 3, 4, &recordings(), &recordings()).unwrap()
}

fn model(config: &DiffWaveConfig) -> DiffWave {
    let device = Device::flex();
    DiffWave::new(config, ended(task(config).init(5, &device)), &device).unwrap()
}

/// A network whose last layer is not zero, as in a trained one.
fn ended(net: DiffWaveNet) -> DiffWaveNet {
    let names = weights::layout(&net);
    let mut values = weights::export(&net).unwrap();
    for (layout, values) in names.iter().zip(&mut values).filter(|(layout, _)| layout.name.starts_with("output_projection")) {
        Philox::new(9).fill(layout.len() as u32, 0, 0, values);
        values.iter_mut().for_each(|v| *v *= 0.1);
    }
    weights::import(net, values)
}

#[test]
fn an_untrained_network_predicts_nothing_and_every_parameter_gets_a_gradient() {
    let device = Device::flex().autodiff();
    for condition in [DiffWaveCondition::None, DiffWaveCondition::Label, DiffWaveCondition::Mel] {
        let config = config(condition);
        let task = task(&config);
        let net = task.init(1, &device);
        let loss = task.loss(&net, 0, 0..4, &device);
        // The mean size of standard noise is sqrt(2 / pi).
        let value = loss.clone().into_scalar::<f32>();
        assert!((value - 0.798).abs() < 0.05, "{condition:?}: {value}");
        let net = ended(net);
        let grads = task.loss(&net, 0, 0..4, &device).backward();
        let gradients = weights::gradients(&net, &grads).unwrap();
        for (layout, gradient) in weights::layout(&net).iter().zip(gradients) {
            // The last layer's residual half goes nowhere, but its weights share an array with the skip's.
            assert!(gradient.iter().any(|g| *g != 0.0), "{condition:?}: {} gets no gradient", layout.name);
        }
    }
}

#[test]
fn rows_do_not_depend_on_the_batch_they_are_in() {
    let device = Device::flex();
    for condition in [DiffWaveCondition::None, DiffWaveCondition::Label, DiffWaveCondition::Mel] {
        let config = config(condition);
        let (task, model) = (task(&config), model(&config));
        let one = |rows: Range<u32>| f64::from(task.loss(&model.net, 2, rows, &device).into_scalar::<f32>());
        let parts = (one(0..1) + one(1..2) + one(2..3) + one(3..4)) / 4.0;
        assert!((one(0..4) - parts).abs() < 1e-5, "{condition:?}: {} {parts}", one(0..4));
        let validated = |rows| task.validate(&model.net, rows, &device)[0];
        assert!((validated(0..12) - validated(0..5) - validated(5..12)).abs() < 1e-3);
        assert_eq!(task.validation_rows(), 12);
    }
}

fn made(model: &DiffWave, request: &WaveRequest, uses: Vec<WaveUse>, row: u32) -> Vec<f32> {
    let generation = DiffWaveGeneration::new(model, request, uses).unwrap();
    let ControlFlow::Continue(mut raw) = generation.sample(row..row + 1, &|| ControlFlow::Continue(())) else { panic!("nobody stops it") };
    generation.finish(row, raw.remove(0)).unwrap()
}

fn request(config: &DiffWaveConfig, steps: usize) -> WaveRequest {
    let guidance = Guidance { label: 1.0, speaker: 1.0 };
    WaveRequest { label: None, speaker: None, guidance, sampling: Sampling { steps, ..config.sampling.clone() }, seed: 4 }
}

#[test]
fn the_fast_schedule_is_walked_when_six_steps_are_asked_for() {
    let config = config(DiffWaveCondition::None);
    let model = model(&config);
    let levels = |steps| {
        let run = model.run(&Sampling { steps, ..config.sampling.clone() }).unwrap();
        run.nodes().iter().map(|at| at.alpha.powi(2)).collect::<Vec<_>>()
    };
    let mut left = 1.0;
    let mut want: Vec<f64> = config
        .fast
        .iter()
        .map(|beta| {
            left *= 1.0 - beta;
            left
        })
        .collect();
    want.reverse();
    want.push(1.0);
    let fast = levels(6);
    assert!(fast.len() == 7 && fast.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-9), "{fast:?} {want:?}");
    assert_eq!(levels(50).len(), 51);
    assert!((levels(50)[0] - config.schedule().unwrap().alpha_bar()[49]).abs() < 1e-12);
    // The last step is that of the published algorithm: (x - beta / sqrt(1 - alpha_bar) eps) / sqrt(1 - beta).
    let zero = DiffWaveConfig { zero_terminal_snr: true, ..config };
    let run = super::super::DiffWave::new(&zero, model.net.clone(), &Device::flex()).unwrap().run(&zero.sampling).unwrap();
    assert_eq!(run.nodes()[0].alpha, 0.0);
}

#[test]
fn sounds_are_as_long_as_asked_and_the_same_beside_others() {
    let config = config(DiffWaveCondition::Label);
    let model = model(&config);
    let (plain, uses) = (request(&config, 6), vec![WaveUse::Sample { seconds: 0.05 }; 3]);
    let alone = made(&model, &plain, uses[..2].to_vec(), 1);
    assert_eq!(alone.len(), 400);
    assert_eq!(alone, made(&model, &plain, uses.clone(), 1));
    assert_ne!(alone, made(&model, &plain, uses.clone(), 0));
    let named = WaveRequest { label: Some("low".into()), ..plain.clone() };
    assert_ne!(alone, made(&model, &named, uses.clone(), 1));
    let guided = WaveRequest { guidance: Guidance { label: 3.0, speaker: 1.0 }, ..named.clone() };
    assert_ne!(made(&model, &named, uses.clone(), 1), made(&model, &guided, uses.clone(), 1));
    let refused = |request: &WaveRequest, uses| DiffWaveGeneration::new(&model, request, uses).unwrap_err().to_string();
    assert!(refused(&WaveRequest { label: Some("zebra".into()), ..plain.clone() }, uses.clone()).contains("high, low"));
    assert!(refused(&WaveRequest { speaker: Some("a".into()), ..plain.clone() }, uses).contains("speakers"));
    assert!(refused(&plain, vec![model.vocoding(&[0.1; 300]).unwrap()]).contains("spectrograms"));
    assert!(refused(&plain, vec![WaveUse::Vary { clip: vec![0.0; 9].into(), strength: 0.5 }]).contains("audio-wave"));
}

#[test]
fn a_vocoder_keeps_lengths_and_has_no_seams() {
    let config = config(DiffWaveCondition::Mel);
    let model = model(&config);
    let clip: Vec<f32> = (0..333).map(|i| (i as f32 * 0.4).sin() * 0.01).collect();
    let sound = made(&model, &request(&config, 6), vec![model.vocoding(&clip).unwrap()], 0);
    assert_eq!(sound.len(), 333);
    assert!(sound.iter().all(|v| v.is_finite()));
    // Part by part as at once: 40000 samples are two parts.
    let device = Device::flex();
    let mut values = vec![0.0; 40_000];
    Philox::new(1).fill(0, 0, 0, &mut values);
    let mel = Tensor::<3>::zeros([1, 8, 2500], &device);
    let (x, told) = (Tensor::<2>::from_data(TensorData::new(values, [1, 40_000]), &device), Told::Mel(model.net.stretch(mel)));
    const { assert!(PART < 40_000) };
    let at = Level::vp(0.6);
    let parts = model.output(&x, at, &told);
    let whole = model.net.forward(x, &[DiffWaveConfig::step_of(&config.schedule().unwrap(), at)], &told);
    let apart = (parts - whole).abs().max().into_scalar::<f32>();
    assert!(apart < 1e-5, "{apart}");
}
