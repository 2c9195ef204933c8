//! The judge at work: labels, speakers and embeddings of clips.

use burn::tensor::{Device, Tensor, TensorData, activation::softmax};

use crate::{
    Error, Result,
    config::JudgeConfig,
    loudness,
    mel::{Energy, MelBank},
    model::JudgeNet,
    stft::Stft,
};

/// Clips to the judge's images: log-mel bands of 25 ms windows every 10 ms, a fixed number of frames.
#[derive(Debug)]
pub(super) struct JudgeFrontend {
    config: JudgeConfig,
    stft: Stft,
    bank: MelBank,
}

impl JudgeFrontend {
    /// Value of silence in an image.
    pub(super) const SILENCE: f32 = -2.0;
    const FLOOR: f32 = 1e-4;

    pub(super) fn new(config: &JudgeConfig) -> Result<Self> {
        let window = config.rate as usize / 40;
        let n_fft = window.next_power_of_two();
        let stft = Stft::new(n_fft, window, config.rate as usize / 100)?;
        let bank = MelBank::new(config.rate, n_fft, config.mels, 50.0, config.rate as f32 * 0.475, Energy::Power)?;
        Ok(Self { config: config.clone(), stft, bank })
    }

    /// The image of a mono clip at the judge's rate, shape `[mels, frames]`, about in `-2..2`, the clip in the middle.
    pub(super) fn image(&self, samples: &[f32]) -> Result<Vec<f32>> {
        let mut samples = samples.to_vec();
        loudness::normalise(&mut samples, self.config.rate);
        let spectrum = self.stft.forward(&samples)?;
        let mel = self.bank.log_mel(&spectrum.magnitudes(), Self::FLOOR)?;
        let (mels, frames) = (self.config.mels, self.config.frames);
        let have = mel.len() / mels;
        let (skip, start) = (have.saturating_sub(frames) / 2, frames.saturating_sub(have) / 2);
        let floor = Self::FLOOR.ln();
        let mut image = vec![Self::SILENCE; mels * frames];
        for (t, row) in mel.chunks(mels).skip(skip).take(frames).enumerate() {
            for (band, value) in row.iter().enumerate() {
                // The floor becomes -2 and each 10 dB of power about 1/2.
                image[band * frames + start + t] = (value - floor) / 4.6 + Self::SILENCE;
            }
        }
        Ok(image)
    }
}

/// A trained judge.
#[derive(Debug)]
pub struct Judge {
    frontend: JudgeFrontend,
    net: JudgeNet,
    device: Device,
}

/// What the judge hears in a clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Number of the most probable label and its probability.
    pub label: (usize, f64),
    /// Number of the most probable speaker and its probability.
    pub speaker: (usize, f64),
    /// Embedding for set metrics.
    pub embedding: Vec<f32>,
}

impl Judge {
    /// A judge from its config and trained network.
    ///
    /// # Errors
    /// When the front end cannot be built.
    pub fn new(config: &JudgeConfig, net: JudgeNet, device: &Device) -> Result<Self> {
        config.vocabulary.check()?;
        Ok(Self { frontend: JudgeFrontend::new(config)?, net, device: device.clone() })
    }

    /// Rate of the clips, hertz.
    pub fn rate(&self) -> u32 {
        self.frontend.config.rate
    }

    /// The judge's own names.
    pub fn vocabulary(&self) -> &crate::config::Vocabulary {
        &self.frontend.config.vocabulary
    }

    /// Judges clips at the judge's rate, in one batch.
    ///
    /// # Errors
    /// When a clip is empty or not finite.
    pub fn judge(&self, clips: &[&[f32]]) -> Result<Vec<Judged>> {
        if clips.is_empty() {
            return Ok(Vec::new());
        }
        let images = clips.iter().map(|clip| self.frontend.image(clip)).collect::<Result<Vec<_>>>()?;
        let shape = [clips.len(), self.frontend.config.mels, self.frontend.config.frames];
        let verdict = self.net.forward(Tensor::from_data(TensorData::new(images.concat(), shape), &self.device));
        let rows = |x: Tensor<2>| -> Result<Vec<Vec<f32>>> {
            let width = x.dims()[1].max(1);
            let values = x.into_data().try_into_vec_as::<f32>().map_err(|e| Error::Device { reason: e.to_string() })?;
            Ok(values.chunks(width).map(<[f32]>::to_vec).collect())
        };
        let (labels, speakers) = (rows(softmax(verdict.labels, 1))?, rows(softmax(verdict.speakers, 1))?);
        let embeddings = rows(verdict.embedding)?;
        let best = |p: &[f32]| p.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or((0, 0.0), |(k, p)| (k, f64::from(*p)));
        let judged = labels.iter().zip(&speakers).zip(embeddings);
        Ok(judged.map(|((l, s), embedding)| Judged { label: best(l), speaker: best(s), embedding }).collect())
    }
}
