//! The waveform model from outside: codec, network, training, and what each use keeps and changes.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

mod support;

use std::{f64::consts::TAU, ops::ControlFlow, sync::Arc};

use burn::{
    module::Module as _,
    optim::{AdamConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData},
};
use langevin_audio::{
    Error, ModelConfig, TARGET_RMS,
    config::{WaveCodecConfig, WaveConfig},
    loudest_rms,
    model::{Conditions, FrameNet, GIVEN},
    resample,
    task::{Given, Guidance, GuidedWave, Wave, WaveDensity, WaveGeneration, WaveRequest, WaveTask, WaveUse},
    wave_codec::{BANDS, WaveCodec},
};
use langevin_core::{
    Denoiser, Level, NoiseSource as _, Philox,
    drive::RePaint,
    likelihood::{Traced, likelihood},
    noise::stream,
    recipe::Sampling,
};
use langevin_nn::{Sampler as _, Trainable as _, weights};
use support::recordings;

const BATCH: u32 = 16;
const MELS: usize = 12;

fn config() -> WaveConfig {
    let codec = WaveCodecConfig { n_fft: 256, window: 160, mels: MELS, ..WaveCodecConfig::default() };
    let vocabulary = recordings().vocabulary();
    let config = WaveConfig { codec, width: 24, hidden: 32, blocks: 3, condition: 16, crop: 24, vocabulary, ..WaveConfig::default() };
    ModelConfig::Wave(config.clone()).check().unwrap();
    config
}

fn task(config: &WaveConfig) -> WaveTask {
    WaveTask::new(config, 1, BATCH, None, &recordings(), &recordings()).unwrap()
}

/// A network whose weights are noise: untrained ones are zero at the output and would hide what the network is told.
fn noisy(task: &WaveTask, size: f32) -> FrameNet {
    let net = task.init(1, &Device::flex());
    let values = weights::layout(&net).into_iter().zip(0..).map(|(slot, k)| {
        let mut values = vec![0f32; slot.len()];
        Philox::new(2).fill(k, 0, stream::INIT, &mut values);
        values.iter_mut().for_each(|v| *v *= size);
        values
    });
    let values = values.collect();
    weights::import(net, values)
}

fn wave() -> Wave {
    wave_of(0.15)
}

fn wave_of(size: f32) -> Wave {
    let config = config();
    let task = task(&config);
    Wave::new(&config, &task.constants(), noisy(&task, size), &Device::flex()).unwrap()
}

fn request() -> WaveRequest {
    WaveRequest {
        label: None,
        speaker: None,
        guidance: Guidance { label: 1.0, speaker: 1.0 },
        sampling: Sampling { steps: 4, ..Sampling::default() },
        seed: 3,
    }
}

/// One row of some uses.
fn make(wave: &Wave, request: &WaveRequest, uses: &[WaveUse], row: u32) -> Vec<f32> {
    let generation = WaveGeneration::new(wave, request, uses.to_vec()).unwrap();
    assert_eq!(generation.micro_batch(), 1);
    let ControlFlow::Continue(raw) = generation.sample(row..row + 1, &|| ControlFlow::Continue(())) else { panic!("nobody stopped it") };
    let made = generation.finish(row, raw.into_iter().next().unwrap()).unwrap();
    assert!(made.iter().all(|v| v.is_finite()));
    made
}

/// Coloured noise of some length, soft.
fn clip(samples: usize) -> Arc<[f32]> {
    let mut clip = vec![0f32; samples];
    Philox::new(9).fill(0, 0, stream::DATA, &mut clip);
    (1..samples).for_each(|n| clip[n] += 0.8 * clip[n - 1]);
    clip.iter().map(|v| v * 0.01).collect()
}

fn uniform(rows: usize) -> Conditions {
    Conditions { labels: vec![Some(1); rows], speakers: vec![None; rows] }
}

fn random<const D: usize>(shape: [usize; D], node: u32) -> Tensor<D> {
    let mut values = vec![0f32; shape.iter().product()];
    Philox::new(5).fill(0, node, stream::DATA, &mut values);
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec_as::<f32>().unwrap()
}

fn close(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < tolerance)
}

#[test]
fn clips_come_back_from_the_codec_and_its_scales_are_those_of_the_data() {
    let clips: Vec<Vec<f32>> = recordings().clips;
    let codec = WaveCodec::fit(&WaveCodecConfig::default(), 0.5, &clips).unwrap();
    let again = WaveCodec::from_constants(codec.config(), &codec.constants()).unwrap();
    let (mut square, mut count) = (vec![0f64; BANDS], 0.0);
    for clip in &clips {
        let frames = again.encode(clip);
        assert_eq!(frames.len(), codec.frames(clip.len()) * BANDS);
        assert_eq!(codec.log_mel(clip).unwrap().len(), codec.frames(clip.len()) * codec.config().mels);
        assert!(close(&codec.decode(&frames, clip.len()), clip, 2e-6));
        frames.chunks(BANDS).for_each(|f| square.iter_mut().zip(f).for_each(|(s, v)| *s += f64::from(*v).powi(2)));
        count += (frames.len() / BANDS) as f64;
    }
    assert!(square.iter().all(|s| ((s / count).sqrt() - 0.5).abs() < 1e-4), "every band has the standard deviation asked for");
    let short = [codec.constants(), vec![]].concat().into_iter().filter(|c| c.name != "scale").collect::<Vec<_>>();
    assert!(matches!(WaveCodec::from_constants(codec.config(), &short), Err(Error::Constant { name: "scale", .. })));
}

#[test]
fn mended_frames_sound_like_the_clip_outside_the_range_and_as_they_did_inside() {
    let sound = clip(2000);
    let codec = WaveCodec::fit(&WaveCodecConfig::default(), 0.5, &[sound.to_vec()]).unwrap();
    for range in [500..900, 0..130, 1800..2000, 700..701, 0..2000] {
        let mut frames = codec.encode(&sound);
        let mut noise = vec![0f32; frames.len()];
        Philox::new(1).fill(0, 0, stream::DATA, &mut noise);
        let hears = |t: usize| t * BANDS + BANDS > range.start && t * BANDS < range.end + BANDS;
        (0..frames.len()).filter(|i| hears(i / BANDS)).for_each(|i| frames[i] = 0.5 * noise[i]);
        let before = codec.decode(&frames, sound.len());
        codec.mend(&mut frames, &sound, &range);
        let after = codec.decode(&frames, sound.len());
        for at in 0..sound.len() {
            let wanted = if range.contains(&at) { before[at] } else { sound[at] };
            assert!((after[at] - wanted).abs() < 1e-5, "{range:?}: sample {at} is {}, not {wanted}", after[at]);
        }
    }
}

#[test]
fn neither_padding_nor_neighbours_change_a_clip() {
    let config = config();
    let net = noisy(&task(&config), 0.15);
    let (short, long) = (20, 31);
    let x = random([2, long, BANDS], 0);
    let given = random([2, long, GIVEN + MELS], 1);
    let present: Vec<f32> = (0..2 * long).map(|i| f32::from(u8::from(i >= long || i < short))).collect();
    let present = Tensor::<3>::from_data(TensorData::new(present, [2, long, 1]), &Device::flex());
    let levels = [0.1, -0.4];
    let both = net.forward(x.clone(), &levels, &uniform(2), given.clone(), Some(&present));
    for (row, frames) in [(0, short), (1, long)] {
        let cut = |x: &Tensor<3>| x.clone().narrow(0, row, 1).narrow(1, 0, frames);
        let alone = net.forward(cut(&x), &levels[row..=row], &uniform(1), cut(&given), None);
        assert!(close(&host(cut(&both)), &host(alone), 2e-5), "row {row}");
    }
}

#[test]
fn long_clips_are_cut_without_seams() {
    let wave = wave();
    let frames = 1200;
    let (given, conditions) = (Given::nothing(frames), uniform(1));
    let x = random([1, frames, BANDS], 3);
    let at = Level::ve(0.7);
    let cut = wave.denoiser(&given, &conditions, request().guidance, &request().sampling).denoise(&x, at, 0);
    // The same estimate from the whole clip at once.
    let c = wave.param().coef(at);
    let rows = Tensor::<3>::from_data(TensorData::new(given.rows(MELS), [1, frames, GIVEN + MELS]), &Device::flex());
    let net = noisy(&task(&wave.config), 0.15);
    let raw = net.forward(x.clone().mul_scalar(c.input), &[(-0.25 * at.lambda()) as f32], &conditions, rows, None);
    let whole = x.mul_scalar(c.skip) + raw.mul_scalar(c.out);
    assert!(close(&host(cut), &host(whole), 1e-4));
}

#[test]
fn a_row_is_its_seed_and_its_use_alone() {
    let wave = wave();
    let uses = [WaveUse::Sample { seconds: 0.2 }, WaveUse::Sample { seconds: 0.2 }, wave.vocoding(&clip(900)).unwrap()];
    let all: Vec<Vec<f32>> = (0..3).map(|row| make(&wave, &request(), &uses, row)).collect();
    assert_eq!((all[0].len(), all[2].len()), (1600, 900));
    assert!(all[0] != all[1], "rows have noise of their own");
    assert!(make(&wave, &request(), &uses[..1], 0) == all[0]);
    assert!(make(&wave, &WaveRequest { seed: 4, ..request() }, &uses, 0) != all[0]);
    let said = WaveRequest { label: Some("no".into()), ..request() };
    assert!(make(&wave, &said, &uses, 0) != all[0], "a label is heard");
    let strongly = WaveRequest { guidance: Guidance { label: 3.0, speaker: 3.0 }, ..said.clone() };
    assert!(make(&wave, &strongly, &uses, 0) != make(&wave, &said, &uses, 0));
    let unguided = WaveRequest { guidance: Guidance { label: 3.0, speaker: 3.0 }, ..request() };
    assert!(make(&wave, &unguided, &uses, 0) == all[0], "without conditions there is nothing to guide towards");
}

#[test]
fn vocoding_hears_its_mel_rows_and_keeps_the_loudness() {
    let wave = wave();
    let WaveUse::Vocode { mel, samples, gain } = wave.vocoding(&clip(900)).unwrap() else { panic!("it is vocoding") };
    assert!((loudest_rms(&clip(900), 8000) * (1.0 / gain) / TARGET_RMS - 1.0).abs() < 1e-4);
    let of = |mel: Arc<[f32]>, gain| make(&wave, &request(), &[WaveUse::Vocode { mel, samples, gain }], 0);
    let made = of(mel.clone(), 1.0);
    assert!(of(mel.iter().map(|v| v + 1.0).collect(), 1.0) != made);
    assert!(close(&of(mel, 0.5), &made.iter().map(|v| 0.5 * v).collect::<Vec<_>>(), 1e-6));
}

#[test]
fn matching_brings_mel_energies_to_those_asked_for() {
    let (sound, other) = (clip(2000), {
        let mut noise = vec![0f32; 2000];
        Philox::new(11).fill(0, 0, stream::DATA, &mut noise);
        noise.iter().enumerate().map(|(n, v)| 0.05 * v * (1.0 + (n as f32 / 300.0).sin())).collect::<Vec<f32>>()
    });
    let codec = WaveCodec::fit(&WaveCodecConfig::default(), 0.5, &[sound.to_vec()]).unwrap();
    let wanted = codec.log_mel(&other).unwrap();
    let distance = |x: &[f32]| -> f32 {
        let have = codec.log_mel(x).unwrap();
        (have.iter().zip(&wanted).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / have.len() as f32).sqrt()
    };
    let matched = codec.match_mel(&sound, &wanted, 3).unwrap();
    assert!(matched.len() == 2000 && distance(&matched) < 0.25 * distance(&sound), "{} {}", distance(&matched), distance(&sound));
    assert!(close(&codec.match_mel(&other, &wanted, 3).unwrap(), &other, 1e-4), "a clip that has them stays");
    assert!(matches!(codec.match_mel(&sound, &wanted[48..], 1), Err(Error::Shape { .. })));
}

#[test]
fn filling_a_gap_leaves_every_other_sample_bit_for_bit() {
    let wave = wave();
    let sound = clip(3000);
    let repaint = RePaint { jump_length: 1, jump_samples: 2, eta: 1.0 };
    for range in [1000..1800, 0..100, 2950..3000, 0..3000] {
        for repaint in [None, Some(repaint)] {
            let of = |clip: Arc<[f32]>| make(&wave, &request(), &[WaveUse::Inpaint { clip, range: range.clone(), repaint }], 0);
            let made = of(sound.clone());
            for at in 0..sound.len() {
                assert!(range.contains(&at) || made[at].to_bits() == sound[at].to_bits(), "{range:?}: sample {at} changed");
            }
            assert!(made[range.clone()] != sound[range.clone()], "{range:?} was filled anew");
        }
    }
}

#[test]
fn what_is_in_a_gap_is_not_looked_at() {
    let wave = wave();
    let range = 1000..1800;
    let with = |inside: f32| {
        let mut sound = clip(3000).to_vec();
        // The loudest stretch lies elsewhere, so that the gain stays.
        sound[2000..].iter_mut().for_each(|v| *v *= 4.0);
        sound[range.clone()].fill(inside);
        make(&wave, &request(), &[WaveUse::Inpaint { clip: sound.into(), range: range.clone(), repaint: None }], 0)
    };
    assert!(close(&with(0.0)[range.clone()], &with(0.01)[range.clone()], 1e-6));
}

#[test]
fn up_sampling_keeps_the_low_band() {
    let wave = wave();
    let low = clip(2000);
    let made = make(&wave, &request(), &[WaveUse::Upsample { clip: low.clone(), rate: 4000 }], 0);
    let plain = resample(&low, 4000, 8000).unwrap();
    assert_eq!(made.len(), plain.len());
    // Power of single frequencies over the middle of the clip.
    let power = |x: &[f32], hertz: f64| {
        let middle = &x[500..3500];
        let sum = |f: fn(f64) -> f64| -> f64 {
            let hann = |n: usize| 0.5 - 0.5 * (TAU * n as f64 / middle.len() as f64).cos();
            middle.iter().enumerate().map(|(n, v)| f64::from(*v) * hann(n) * f(TAU * hertz * n as f64 / 8000.0)).sum()
        };
        sum(f64::cos).powi(2) + sum(f64::sin).powi(2)
    };
    let band = |x: &[f32], from: usize, to: usize| (from..to).step_by(7).map(|h| power(x, h as f64)).sum::<f64>();
    for (from, to) in [(100, 300), (500, 800), (1000, 1400), (1500, 1800)] {
        let change = 10.0 * (band(&made, from, to) / band(&plain, from, to)).log10();
        assert!(change.abs() < 0.1, "{from} to {to} Hz changed by {change} dB");
    }
    assert!(band(&made, 2500, 3900) > 10.0 * band(&plain, 2500, 3900), "there is something above");
}

#[test]
fn variations_begin_at_the_clip() {
    let wave = wave();
    let sound = clip(1500);
    let of = |strength, row| make(&wave, &request(), &vec![WaveUse::Vary { clip: sound.clone(), strength }; 2], row);
    assert!(of(0.0, 1).iter().zip(sound.iter()).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert!(of(0.5, 0) != of(0.5, 1));
    let distance = |x: &[f32]| x.iter().zip(sound.iter()).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
    assert!(distance(&of(0.25, 0)) < distance(&of(1.0, 0)));
}

#[test]
fn the_ends_of_an_interpolation_are_reconstructions() {
    // Inverted steps are found by iteration, which a wild network does not let settle.
    let wave = wave_of(0.03);
    let (a, b, c) = (clip(1500), clip(1100), clip(700));
    let between = |from: &Arc<[f32]>, to: &Arc<[f32]>, share| {
        let of = WaveUse::Interpolate { from: from.clone(), to: to.clone(), share };
        make(&wave, &WaveRequest { sampling: Sampling { steps: 24, ..Sampling::default() }, ..request() }, &[of], 0)
    };
    let start = between(&a, &b, 0.0);
    assert!(close(&start, &between(&a, &c, 0.0), 1e-5) && close(&start, &between(&b, &a, 1.0), 1e-5), "the other end is not heard");
    let power = |x: &mut dyn Iterator<Item = f32>| x.map(|v| v * v).sum::<f32>();
    let error = power(&mut start.iter().zip(a.iter()).map(|(x, y)| x - y)) / power(&mut a.iter().copied());
    assert!(error < 0.01, "DDIM comes back to the clip but for a share of {error} of its power");
    let middle = between(&a, &b, 0.5);
    assert_eq!(middle.len(), 1300);
    assert!(!close(&middle, &a[..1300], 1e-4) && !close(&middle[..1100], &b, 1e-4));
}

#[test]
fn uses_that_no_model_can_meet_are_refused() {
    let wave = wave();
    let refused = |of: WaveUse| WaveGeneration::new(&wave, &request(), vec![of]).unwrap_err();
    let sound = clip(800);
    let nan: Arc<[f32]> = vec![0.1, f32::NAN].into();
    assert!(matches!(refused(WaveUse::Vary { clip: sound.clone(), strength: 1.5 }), Error::Setting { .. }));
    assert!(matches!(refused(WaveUse::Vary { clip: nan.clone(), strength: 0.5 }), Error::NonFinite { index: 1, .. }));
    assert!(matches!(refused(WaveUse::Inpaint { clip: sound.clone(), range: 700..801, repaint: None }), Error::Setting { .. }));
    assert!(matches!(refused(WaveUse::Inpaint { clip: sound.clone(), range: 7..7, repaint: None }), Error::TooFew { .. }));
    assert!(matches!(refused(WaveUse::Upsample { clip: sound.clone(), rate: 8000 }), Error::Setting { .. }));
    assert!(matches!(refused(WaveUse::Sample { seconds: f64::NAN }), Error::Setting { .. }));
    assert!(matches!(refused(WaveUse::Sample { seconds: 0.0 }), Error::Setting { .. }));
    let empty: Arc<[f32]> = Vec::new().into();
    assert!(matches!(refused(WaveUse::Interpolate { from: sound, to: empty, share: 0.5 }), Error::TooFew { .. }));
    let mel = |len: usize, value: f32| WaveUse::Vocode { mel: vec![value; len].into(), samples: 640, gain: 1.0 };
    assert!(matches!(refused(mel(MELS * 10, 0.0)), Error::Shape { .. }));
    assert!(matches!(refused(mel(MELS * 11, f32::INFINITY)), Error::NonFinite { .. }));
    assert!(WaveGeneration::new(&wave, &request(), vec![mel(MELS * 11, 0.0)]).is_ok());
    let unknown = WaveRequest { speaker: Some("eve".into()), ..request() };
    assert!(matches!(WaveGeneration::new(&wave, &unknown, Vec::new()), Err(Error::UnknownCondition { what: "speaker", .. })));
}

#[test]
fn a_run_can_be_stopped() {
    let wave = wave();
    let generation = WaveGeneration::new(&wave, &request(), vec![WaveUse::Sample { seconds: 0.1 }]).unwrap();
    assert!(generation.sample(0..1, &|| ControlFlow::Break(())).is_break());
}

/// An untrained network adds nothing to the skip connection, which is the exact denoiser of a normal distribution.
#[test]
fn the_likelihood_of_an_untrained_model_is_that_of_a_normal() {
    let config = config();
    let task = task(&config);
    let device = Device::flex();
    let wave = Wave::new(&config, &task.constants(), task.init(1, &device), &device).unwrap();
    let sound = &recordings().clips[3];
    let asked = WaveDensity { label: None, speaker: Some(1), steps: 24, seed: 7 };
    let ControlFlow::Continue(found) = wave.likelihood(sound, &asked, (2, 0), &|| ControlFlow::Continue(())).unwrap() else {
        panic!("nothing stops it")
    };
    let mut loud = sound.clone();
    langevin_audio::normalise(&mut loud, 8000);
    let encoded = wave.codec.encode(&loud);
    let mut eps = vec![0f64; encoded.len()];
    Philox::new(7).fill_f64(2, 0, stream::PRIOR, &mut eps);
    let variance = 0.25 + 0.01f64.powi(2);
    let nats = |(x, z): (&f32, f64)| 0.5 * ((f64::from(*x) + 0.01 * z).powi(2) / variance + (TAU * variance).ln());
    let exact: f64 = encoded.iter().zip(eps).map(nats).sum();
    assert_eq!(found.numbers, encoded.len());
    assert!((found.nats / exact - 1.0).abs() < 0.01, "{} not {exact}", found.nats);
    assert!((found.bits_per_number() - exact / encoded.len() as f64 / std::f64::consts::LN_2).abs() < 0.02);
    let stop = wave.likelihood(sound, &asked, (2, 0), &|| ControlFlow::Break(())).unwrap();
    assert!(stop.is_break());
    let unknown = WaveDensity { label: Some(17), ..asked };
    assert!(wave.likelihood(sound, &unknown, (2, 0), &|| ControlFlow::Continue(())).is_err());
}

/// A denoiser of one clip as one of flat rows.
struct Flat<'a>(GuidedWave<'a>);

impl Denoiser<Tensor<2>> for Flat<'_> {
    fn denoise(&self, x: &Tensor<2>, at: Level, node: u32) -> Tensor<2> {
        let [rows, numbers] = x.dims();
        self.0.denoise(&x.clone().reshape([rows, numbers / BANDS, BANDS]), at, node).reshape([rows, numbers])
    }
}

/// Stretch after stretch, a long clip has the likelihood that it has in one piece, and draws differ.
#[test]
fn the_likelihood_of_a_long_clip_is_that_of_one_piece() {
    let wave = wave();
    let sound = clip(70_000);
    let asked = WaveDensity { label: Some(0), speaker: None, steps: 1, seed: 5 };
    let draw = |draw| wave.likelihood(&sound, &asked, (1, draw), &|| ControlFlow::Continue(())).unwrap().continue_value().unwrap();
    let found = draw(1);
    assert!((found.nats - draw(0).nats).abs() > 1e-3 && found == draw(1));

    let mut loud = sound.to_vec();
    langevin_audio::normalise(&mut loud, 8000);
    let encoded = wave.codec.encode(&loud);
    let (mut eps, mut probe) = (vec![0f64; encoded.len()], vec![0f64; encoded.len()]);
    Philox::new(5).fill_f64(1, 2, stream::PRIOR, &mut eps);
    Philox::new(5).fill_f64(1, 3, stream::PRIOR, &mut probe);
    probe.iter_mut().for_each(|v| *v = v.signum());
    let (least, most) = wave.schedule().span();
    let level = |t| wave.schedule().level(t);
    let x: Vec<f64> = encoded.iter().zip(eps).map(|(x, eps)| f64::from(*x) + level(least).sigma * eps).collect();
    let (whole, given) = (wave.differentiable(), Given::nothing(encoded.len() / BANDS));
    let conditions = Conditions { labels: vec![Some(0)], speakers: vec![None] };
    let base = Flat(whole.denoiser(&given, &conditions, request().guidance, &Sampling::default()));
    let device = Device::flex();
    let field = Traced { base, dim: encoded.len(), device: &device };
    let whole = likelihood(&field, wave.schedule(), &x, (least, most), 1, level(most).sigma, Some(&probe)).unwrap();
    assert!(given.frames > 1000 && (found.nats / -whole.log_p[0] - 1.0).abs() < 1e-5, "{} not {}", found.nats, -whole.log_p[0]);
    assert!((found.prior_mismatch - whole.prior_mismatch[0]).abs() < 1e-6 * found.prior_mismatch);
}

#[test]
fn the_loss_is_that_of_its_rows_and_every_parameter_learns() {
    let config = config();
    let task = task(&config);
    let net = noisy(&task, 0.15);
    let device = Device::flex();
    let loss = |rows| f64::from(task.loss(&net, 3, rows, &device).into_scalar::<f32>());
    let parts = (0..BATCH).map(|row| loss(row..row + 1)).sum::<f64>() / f64::from(BATCH);
    assert!((loss(0..BATCH) / parts - 1.0).abs() < 1e-4);
    let model = net.train();
    let loss = task.loss(&model, 3, 0..BATCH, &device.autodiff());
    let gradients = weights::gradients(&model, &loss.backward()).unwrap();
    for (slot, gradient) in weights::layout(&model).into_iter().zip(gradients) {
        assert!(gradient.iter().all(|g| g.is_finite()) && gradient.iter().any(|g| *g != 0.0), "{} does not learn", slot.name);
    }
}

#[test]
fn tones_are_learned_in_a_few_steps() {
    let mut tones = recordings();
    for (k, clip) in tones.clips.iter_mut().enumerate() {
        let hertz = 300.0 + 150.0 * k as f64;
        clip.iter_mut().enumerate().for_each(|(n, v)| *v = (TAU * hertz * n as f64 / 8000.0).sin() as f32);
    }
    let config = config();
    let task = WaveTask::new(&config, 1, BATCH, None, &tones, &tones).unwrap();
    let device = Device::flex();
    let mut model = task.init(1, &device).train();
    let score = |model: &FrameNet| task.validate(&model.valid(), 0..task.validation_rows(), &device);
    let before = score(&model);
    let mut adam = AdamConfig::new().init();
    for step in 0..30 {
        let loss = task.loss(&model, step, 0..BATCH, &device.clone().autodiff());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = adam.step(5e-3, model, gradients);
    }
    let after = score(&model);
    assert_eq!(after.len(), 1 + task.validation_names().len());
    let uses: f64 = after[1..].iter().sum::<f64>() / 4.0;
    assert!((uses / after[0] - 1.0).abs() < 1e-9, "the uses share the rows evenly");
    assert!(after[0] < 0.85 * before[0], "{} after {}", after[0], before[0]);
}
