//! Training the waveform model: every example is a clip with something known of it, as one of its uses has it.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    NoiseSource as _, Philox,
    loss::{Dsm, corrupt, row_mse},
    noise::stream,
    recipe::Batch,
    schedule::Schedule,
};
use langevin_nn::{Constant, Init, Trainable};
use rayon::prelude::*;

use super::{example, guided::c_noise, train_prior::VALIDATION_SEED, wave::Given};
use crate::{
    Result,
    codec::stretch,
    config::WaveConfig,
    data::Recordings,
    loudness,
    model::{Conditions, FrameNet, GIVEN},
    wave_codec::{BANDS, WaveCodec},
};

/// Uses that are learned, in the order of validation's sums.
const USES: [Learned; 4] = [Learned::Vocode, Learned::Gap, Learned::Bands, Learned::Nothing];
/// Shares of the first three in training; the last has the rest.
const SHARES: [f64; 3] = [0.4, 0.2, 0.2];
/// Share of examples whose label is hidden, and independently whose speaker is, where something else is known.
const HIDDEN_BESIDE_KNOWN: f64 = 0.5;
/// Frames of a gap.
const GAP: Range<usize> = 3..21;
/// Known bands when the upper ones are made.
const CUT: Range<usize> = 16..49;
/// Most noise in the known bands, in units of the scaled coefficients, and the share of examples that has some.
const NOISE: f64 = 0.2;
const NOISY: f64 = 0.5;
/// Gain of a training clip, at most, in nepers either way.
const GAIN: f64 = 0.35;
/// Frames to which the speech prior stretches every clip, and the share of vocoding examples whose mel rows went there and back.
const STRETCHED: usize = 40;
const STRETCHED_SHARE: f64 = 0.3;
/// Samples of a clip below which none are cut off.
const LEAST_TO_SHIFT: usize = 8 * BANDS;

/// What a training example is an example of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Learned {
    /// Mel rows are known and nothing else.
    Vocode,
    /// All but some frames.
    Gap,
    /// The lower bands.
    Bands,
    /// Nothing: label and speaker decide.
    Nothing,
}

/// Streams of an example's draws.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Draw {
    Use = stream::DOMAIN,
    Label,
    Speaker,
    Shift,
    Gain,
    Sign,
    Crop,
    GapLength,
    GapStart,
    Cut,
    Noisy,
    Noise,
    Stretched,
}

/// The random numbers of one example.
#[derive(Clone, Copy)]
struct Dice {
    noise: Philox,
    row: u32,
    step: u32,
}

impl Dice {
    fn uniform(self, draw: Draw) -> f64 {
        self.noise.uniform(self.row, self.step, draw as u32)
    }

    /// A whole number of a range that is not empty.
    fn whole(self, range: Range<usize>, draw: Draw) -> usize {
        range.start + self.noise.below(range.len(), self.row, self.step, draw as u32)
    }
}

/// Clips at the standard loudness with the numbers of their conditions.
#[derive(Debug)]
struct Clips {
    clips: Vec<Vec<f32>>,
    conditions: Vec<(usize, usize)>,
}

impl Clips {
    fn new(config: &WaveConfig, recordings: &Recordings) -> Result<Self> {
        let loud = |clip: &Vec<f32>| {
            let mut clip = clip.clone();
            loudness::normalise(&mut clip, config.codec.rate);
            clip
        };
        Ok(Self { clips: recordings.clips.par_iter().map(loud).collect(), conditions: recordings.numbers(&config.vocabulary)? })
    }
}

/// The waveform model's data and loss.
pub struct WaveTask {
    config: WaveConfig,
    codec: WaveCodec,
    schedule: Box<dyn Schedule + Send + Sync>,
    noise: Philox,
    batch: u32,
    train: Clips,
    valid: Clips,
}

impl std::fmt::Debug for WaveTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaveTask").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Examples of one length, padded.
struct Examples {
    /// `[rows, crop, 64]`.
    x0: Vec<f32>,
    /// 1 where a coefficient is to be learned, same shape.
    unknown: Vec<f32>,
    /// `[rows, crop]`.
    present: Vec<f32>,
    /// `[rows, crop, GIVEN + mels]`.
    given: Vec<f32>,
    conditions: Conditions,
}

impl Examples {
    fn new(rows: usize) -> Self {
        let conditions = Conditions { labels: Vec::with_capacity(rows), speakers: Vec::with_capacity(rows) };
        Self { x0: Vec::new(), unknown: Vec::new(), present: Vec::new(), given: Vec::new(), conditions }
    }
}

impl WaveTask {
    /// Takes the codec of a checkpoint (its constants), or fits one to the training recordings. The config's vocabulary must be filled in.
    ///
    /// # Errors
    /// When a recording cannot be analysed or carries a name that the vocabulary lacks.
    pub fn new(
        config: &WaveConfig,
        seed: u64,
        batch: u32,
        constants: Option<&[Constant]>,
        train: &Recordings,
        valid: &Recordings,
    ) -> Result<Self> {
        let (train, valid) = (Clips::new(config, train)?, Clips::new(config, valid)?);
        let codec = match constants {
            Some(constants) => WaveCodec::from_constants(&config.codec, constants)?,
            None => WaveCodec::fit(&config.codec, config.sigma_data, &train.clips)?,
        };
        let schedule = config.objective.schedule.build()?;
        Ok(Self { config: config.clone(), codec, schedule, noise: Philox::new(seed), batch, train, valid })
    }

    /// Adds a clip as an example of a use.
    fn add(&self, examples: &mut Examples, clip: &[f32], learned: Learned, dice: Dice) {
        let (crop, mels) = (self.config.crop, self.config.codec.mels);
        let encoded = self.codec.encode(clip);
        let all = encoded.len() / BANDS;
        let frames = all.min(crop);
        let first = dice.whole(0..all - frames + 1, Draw::Crop);
        let x0 = &encoded[first * BANDS..(first + frames) * BANDS];
        let mut given = Given { coefficients: x0.to_vec(), ..Given::nothing(frames) };
        match learned {
            Learned::Vocode => {
                // Recordings were read as finite samples, of which each has some.
                let mut mel = self.codec.log_mel(clip).unwrap_or_default();
                mel.resize(all * mels, self.config.codec.floor.ln());
                if dice.uniform(Draw::Stretched) < STRETCHED_SHARE {
                    mel = stretch(&stretch(&mel, mels, STRETCHED), mels, all);
                }
                given.mel = Some(self.codec.normalise_mel(&mel[first * mels..(first + frames) * mels]));
            }
            Learned::Gap => {
                let length = dice.whole(GAP, Draw::GapLength).min(frames.saturating_sub(2).max(1));
                let start = dice.whole(0..frames - length + 1, Draw::GapStart);
                given.known = (0..frames * BANDS).map(|i| !(start..start + length).contains(&(i / BANDS))).collect();
            }
            Learned::Bands => {
                let cut = dice.whole(CUT, Draw::Cut);
                given.known = (0..frames * BANDS).map(|i| i % BANDS < cut).collect();
                if dice.uniform(Draw::Noisy) < NOISY {
                    given.noise = (NOISE * dice.uniform(Draw::Noise)) as f32;
                    let mut noise = vec![0f32; frames * BANDS];
                    dice.noise.fill(dice.row, dice.step, Draw::Noise as u32, &mut noise);
                    given.coefficients.iter_mut().zip(noise).for_each(|(c, z)| *c += given.noise * z);
                }
            }
            Learned::Nothing => {}
        }
        let pad = |values: &mut Vec<f32>, width: usize| values.resize(values.len() + (crop - frames) * width, 0.0);
        examples.x0.extend_from_slice(x0);
        pad(&mut examples.x0, BANDS);
        examples.unknown.extend(given.known.iter().map(|known| f32::from(u8::from(!known))));
        pad(&mut examples.unknown, BANDS);
        examples.present.extend(std::iter::repeat_n(1.0, frames));
        pad(&mut examples.present, 1);
        examples.given.extend(given.rows(mels));
        pad(&mut examples.given, GIVEN + mels);
    }

    /// The weighted error of each row, shape `[rows]`.
    fn errors(&self, model: &FrameNet, examples: Examples, eps: Vec<f32>, batch: &Batch, device: &Device) -> Tensor<1> {
        let (rows, crop) = (batch.levels.len(), self.config.crop);
        let tensor = |values: Vec<f32>| {
            let width = values.len() / (rows * crop);
            Tensor::<3>::from_data(TensorData::new(values, [rows, crop, width]), device)
        };
        let dsm = Dsm { param: self.config.objective.param, weight: self.config.objective.weight };
        let (x0, eps) = (tensor(examples.x0), tensor(eps));
        let target = dsm.targets(x0.clone(), eps.clone(), &batch.levels);
        let inputs: Vec<f32> = batch.levels.iter().map(|&at| c_noise(at)).collect();
        let noisy = dsm.inputs(corrupt(x0, eps, &batch.levels), &batch.levels);
        let present = tensor(examples.present);
        let raw = model.forward(noisy, &inputs, &examples.conditions, tensor(examples.given), Some(&present));
        let weights = Tensor::<1>::from_data(TensorData::new(batch.weights.clone(), [rows]), device);
        row_mse(raw, target, Some(tensor(examples.unknown))) * weights
    }

    /// A training clip cut off, made louder or softer, and turned over at random: a change that leaves what is said and who says it.
    fn varied(clip: &[f32], dice: Dice) -> Vec<f32> {
        let shift = if clip.len() < LEAST_TO_SHIFT { 0 } else { dice.whole(0..BANDS, Draw::Shift) };
        let sign = if dice.uniform(Draw::Sign) < 0.5 { -1.0 } else { 1.0 };
        let gain = sign * (GAIN * (2.0 * dice.uniform(Draw::Gain) - 1.0)).exp() as f32;
        clip[shift..].iter().map(|v| v * gain).collect()
    }
}

impl Trainable for WaveTask {
    type Model = FrameNet;

    fn init(&self, seed: u64, device: &Device) -> FrameNet {
        FrameNet::new(&self.config, &mut Init::new(seed, device))
    }

    fn loss(&self, model: &FrameNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let batch = self.config.objective.draw(&*self.schedule, self.noise, step, rows.clone(), self.batch, None);
        let mut examples = Examples::new(rows.len());
        let mut eps = vec![0f32; rows.len() * self.config.crop * BANDS];
        for (row, eps) in rows.zip(eps.chunks_mut(self.config.crop * BANDS)) {
            let dice = Dice { noise: self.noise, row, step };
            let index = example(self.noise, self.train.clips.len(), self.batch, step, row);
            let mut place = dice.uniform(Draw::Use);
            let passed = |share: &&f64| {
                place -= **share;
                place >= 0.0
            };
            let learned = USES[SHARES.iter().take_while(passed).count()];
            let hidden = if learned == Learned::Nothing { self.config.drop } else { HIDDEN_BESIDE_KNOWN };
            let (label, speaker) = self.train.conditions[index];
            examples.conditions.labels.push((dice.uniform(Draw::Label) >= hidden).then_some(label));
            examples.conditions.speakers.push((dice.uniform(Draw::Speaker) >= hidden).then_some(speaker));
            self.noise.fill(row, step, stream::TRAIN, eps);
            self.add(&mut examples, &Self::varied(&self.train.clips[index], dice), learned, dice);
        }
        self.errors(model, examples, eps, &batch, device).mean()
    }

    fn validation_rows(&self) -> u32 {
        (self.valid.clips.len() * USES.len()) as u32
    }

    /// The loss of every use of every clip, with fixed noise; conditions are shown where nothing else is known.
    fn validate(&self, model: &FrameNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let noise = Philox::new(VALIDATION_SEED);
        let mut batch = Batch { times: Vec::new(), levels: Vec::new(), weights: Vec::new() };
        let mut examples = Examples::new(rows.len());
        let mut eps = vec![0f32; rows.len() * self.config.crop * BANDS];
        let uses = USES.len() as u32;
        for (row, eps) in rows.clone().zip(eps.chunks_mut(self.config.crop * BANDS)) {
            let (clip, learned) = (row / uses, USES[(row % uses) as usize]);
            // The draws of all uses are spread over the levels; which use has which turns from clip to clip.
            let turn = (row + clip) % uses;
            let one = self.config.objective.draw(&*self.schedule, noise, clip, turn..turn + 1, uses, None);
            batch.times.extend(one.times);
            batch.levels.extend(one.levels);
            batch.weights.extend(one.weights);
            noise.fill(row, 0, stream::TRAIN, eps);
            let (label, speaker) = self.valid.conditions[clip as usize];
            let shown = learned == Learned::Nothing;
            examples.conditions.labels.push(shown.then_some(label));
            examples.conditions.speakers.push(shown.then_some(speaker));
            self.add(&mut examples, &self.valid.clips[clip as usize], learned, Dice { noise, row, step: 0 });
        }
        let errors = self.errors(model, examples, eps, &batch, device).into_data();
        let mut sums = vec![0.0; 1 + USES.len()];
        for (row, error) in rows.zip(errors.iter::<f64>()) {
            sums[0] += error;
            // A use has one row in four.
            sums[1 + (row % uses) as usize] += f64::from(uses) * error;
        }
        sums
    }

    fn validation_names(&self) -> &'static [&'static str] {
        &["vocode", "gap", "bands", "nothing"]
    }

    fn constants(&self) -> Vec<Constant> {
        self.codec.constants()
    }
}
