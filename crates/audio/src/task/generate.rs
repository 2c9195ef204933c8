//! `gen audio`: a request becomes sounds, micro-batch by micro-batch.

use std::ops::{ControlFlow, Range};

use burn::tensor::Tensor;
use langevin_core::{
    Denoiser, Level, Philox, State as _,
    drive::VarianceDenoiser,
    noise::stream,
    recipe::{Run, Sampling},
};
use langevin_nn::Sampler;

use super::{
    guided::Guidance,
    prior::{GuidedPrior, Prior},
};
use crate::{Error, Result, codec::Features, model::Conditions};

/// Samples in a micro-batch. Guidance doubles them to 12 rows, two full tiles of the matrix kernel (6 rows each); larger batches gain
/// little, and a short request pays for rows that it throws away.
const MICRO_BATCH: u32 = 6;
/// Streams of a drawn label and a drawn speaker.
const DRAW: [u32; 2] = [stream::DOMAIN, stream::DOMAIN + 1];

/// What to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What is said, one word after the other: a sentence takes as many samples as it has words. Drawn for each sample when empty.
    pub labels: Vec<String>,
    /// Samples that say the same word in the same voice, of which the caller chooses; 1 where there is no choice.
    pub takes: u32,
    /// Who says it; drawn for each sample when absent.
    pub speaker: Option<String>,
    /// Guidance weights.
    pub guidance: Guidance,
    /// How noise becomes a sound; its guidance weight is the default of the two above and not read here.
    pub sampling: Sampling,
    /// Duration in seconds; drawn with the sound when absent.
    pub seconds: Option<f64>,
    /// Seed.
    pub seed: u64,
}

/// A generated sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// Its number: with the seed, its address.
    pub row: u32,
    /// What was asked to be said.
    pub label: String,
    /// Who was asked to say it.
    pub speaker: String,
    /// Samples at the codec's rate, at the standard loudness; peaks may exceed 1 and are clipped in 16-bit files.
    pub samples: Vec<f32>,
}

/// What makes the sound of features; the number is the sample's row.
pub type Vocode<'a> = dyn Fn(&Features, u32) -> Result<Vec<f32>> + Sync + 'a;

/// A request bound to a prior: the engine's sampler.
pub struct Generation<'a> {
    prior: &'a Prior,
    run: Run,
    sampling: Sampling,
    noise: Philox,
    labels: Vec<usize>,
    takes: u32,
    speaker: Option<usize>,
    guidance: Guidance,
    duration: Option<f32>,
    vocoder: Option<&'a Vocode<'a>>,
}

impl std::fmt::Debug for Generation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation").field("labels", &self.labels).field("run", &self.run).finish_non_exhaustive()
    }
}

impl<'a> Generation<'a> {
    /// Checks a request against a prior.
    ///
    /// # Errors
    /// [`Error::UnknownCondition`], [`Error::Setting`] for a duration or weight out of range, or what the core refuses.
    pub fn new(prior: &'a Prior, request: &Request) -> Result<Self> {
        let vocabulary = &prior.config.vocabulary;
        let labels = request.labels.iter().map(|name| vocabulary.label(name)).collect::<Result<Vec<_>>>()?;
        let speaker = request.speaker.as_deref().map(|name| vocabulary.speaker(name)).transpose()?;
        request.guidance.check()?;
        let (shortest, longest) = prior.codec.seconds();
        if let Some(value) = request.seconds
            && !(shortest..=longest).contains(&value)
        {
            return Err(Error::Setting { name: "duration in seconds", value, least: shortest, most: longest });
        }
        // What a distilled network refuses is the greater of the two weights.
        let guidance = if request.guidance.label == 1.0 { request.guidance.speaker } else { request.guidance.label };
        let sampling = Sampling { guidance, ..request.sampling.clone() };
        let run = prior.run(&sampling)?;
        Ok(Self {
            prior,
            run,
            sampling,
            noise: Philox::new(request.seed),
            labels,
            takes: request.takes.max(1),
            speaker,
            guidance: request.guidance,
            duration: request.seconds.map(|s| prior.codec.duration_coordinate(s)),
            vocoder: None,
        })
    }

    /// The same with another vocoder than the codec's Griffin-Lim.
    #[must_use]
    pub const fn vocoded_by(mut self, vocoder: &'a Vocode<'a>) -> Self {
        self.vocoder = Some(vocoder);
        self
    }

    /// The sampling run, for `--dry-run` and manifests.
    pub const fn run(&self) -> &Run {
        &self.run
    }

    fn conditions(&self, rows: Range<u32>) -> Conditions {
        let vocabulary = &self.prior.config.vocabulary;
        let words = self.labels.len().max(1) as u32;
        let label = |row: u32| {
            let word = row / self.takes;
            match self.labels.get((word % words) as usize) {
                Some(&label) => label,
                None => self.noise.below(vocabulary.labels.len(), word, 0, DRAW[0]),
            }
        };
        let speaker = |row: u32| {
            let sentence = row / self.takes / words;
            self.speaker.unwrap_or_else(|| self.noise.below(vocabulary.speakers.len(), sentence, 0, DRAW[1]))
        };
        Conditions { labels: rows.clone().map(|row| Some(label(row))).collect(), speakers: rows.map(|row| Some(speaker(row))).collect() }
    }
}

impl Sampler for Generation<'_> {
    type Raw = Result<Vec<f32>>;
    type Item = Result<Sound>;

    fn micro_batch(&self) -> u32 {
        MICRO_BATCH
    }

    fn sample(&self, rows: Range<u32>, observe: &dyn Fn() -> ControlFlow<()>) -> ControlFlow<(), Vec<Result<Vec<f32>>>> {
        let conditions = self.conditions(rows.clone());
        let noise = self.noise.rows_from(rows.start);
        let vae = self.prior.vae();
        // The code has no coordinate for the duration: there it is held after decoding.
        let held = if vae.is_none() { self.duration } else { None };
        let denoiser = HoldDuration { base: self.prior.denoiser(&conditions, self.guidance, &self.sampling), value: held };
        let start = Tensor::<2>::zeros([rows.len(), self.prior.config.state()], self.prior.device()).noise_like(&noise, 0, stream::PRIOR);
        let vectors = match self.run.sample(start.mul_scalar(self.run.start()), &denoiser, &noise, observe) {
            Ok(vectors) => vectors?,
            Err(error) => return ControlFlow::Continue(rows.map(|_| Err(error.clone().into())).collect()),
        };
        let vectors = match vae {
            Some(vae) => hold(vae.decode(vectors), self.duration),
            None => vectors,
        };
        let width = self.prior.codec.width();
        let values = vectors.into_data().try_into_vec_as::<f32>().expect("a float tensor converts to f32");
        ControlFlow::Continue(values.chunks(width).map(|row| Ok(row.to_vec())).collect())
    }

    fn finish(&self, row: u32, vector: Result<Vec<f32>>) -> Result<Sound> {
        let features = self.prior.codec.decode(&vector?);
        let conditions = self.conditions(row..row + 1);
        let vocabulary = &self.prior.config.vocabulary;
        let name = |names: &[String], id: Option<usize>| id.map(|id| names[id].clone()).unwrap_or_default();
        Ok(Sound {
            row,
            label: name(&vocabulary.labels, conditions.labels[0]),
            speaker: name(&vocabulary.speakers, conditions.speakers[0]),
            samples: match self.vocoder {
                Some(vocode) => vocode(&features, row)?,
                None => self.prior.codec.frontend().synthesise(&features)?,
            },
        })
    }
}

/// A wanted duration as a hard constraint on the last coordinate of every estimate.
struct HoldDuration<'a> {
    base: GuidedPrior<'a>,
    value: Option<f32>,
}

/// Vectors, shape `[rows, width]`, with their last coordinate set to a value where there is one.
fn hold(x0: Tensor<2>, value: Option<f32>) -> Tensor<2> {
    let Some(value) = value else { return x0 };
    let [rows, width] = x0.dims();
    let wanted = Tensor::full([rows, 1], value, &x0.device());
    x0.slice_assign([0..rows, width - 1..width], wanted)
}

impl Denoiser<Tensor<2>> for HoldDuration<'_> {
    fn denoise(&self, x: &Tensor<2>, at: Level, node: u32) -> Tensor<2> {
        hold(self.base.denoise(x, at, node), self.value)
    }
}

impl VarianceDenoiser<2> for HoldDuration<'_> {
    fn denoise_with_share(&self, x: &Tensor<2>, at: Level, node: u32) -> (Tensor<2>, Option<Tensor<2>>) {
        let (x0, share) = self.base.denoise_with_share(x, at, node);
        (hold(x0, self.value), share)
    }
}
