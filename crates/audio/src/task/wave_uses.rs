//! What a waveform model is asked for, and what it refuses.

use std::{ops::Range, sync::Arc};

use burn::tensor::{Tensor, TensorData};
use langevin_core::{drive::RePaint, recipe::Sampling};

use super::{guided::Guidance, wave::Wave};
use crate::{Error, Result, loudness, wave_codec::BANDS};

/// Longest clip made or changed, seconds.
const LONGEST_SECONDS: f64 = 3600.0;

/// How a waveform model is asked, whatever for.
#[derive(Clone, Debug, PartialEq)]
pub struct WaveRequest {
    /// What is said; hidden from the network when absent.
    pub label: Option<String>,
    /// Who says it; hidden from the network when absent.
    pub speaker: Option<String>,
    /// Guidance weights; without label and speaker there is no guidance.
    pub guidance: Guidance,
    /// How noise becomes a sound; its guidance weight is not read here.
    pub sampling: Sampling,
    /// Seed: with the row, the address of all noise.
    pub seed: u64,
}

/// One sound to make. Clips are mono, at the model's rate unless said otherwise, of any loudness; the result has the loudness of the input.
#[derive(Clone, Debug, PartialEq)]
pub enum WaveUse {
    /// A clip whose log-mel rows are given; [`Wave::vocoding`] makes one of a clip.
    Vocode {
        /// Natural log-mel magnitudes at the standard loudness, as [`WaveCodec::log_mel`](crate::wave_codec::WaveCodec::log_mel) makes them:
        /// shape `[1 + samples / 64 (rounded up), mels]`.
        mel: Arc<[f32]>,
        /// Samples of the clip.
        samples: usize,
        /// Factor of the result; 1 leaves it at the standard loudness.
        gain: f32,
    },
    /// The clip with new samples in a range; all others are returned bit for bit.
    Inpaint {
        /// The clip; samples in the range are not looked at, but must be finite.
        clip: Arc<[f32]>,
        /// Samples to make.
        range: Range<usize>,
        /// RePaint instead of what the network has learned about gaps.
        repaint: Option<RePaint>,
    },
    /// The clip at the model's rate, which is above its own; what its rate could hold stays as it is.
    Upsample {
        /// The clip, at `rate`.
        clip: Arc<[f32]>,
        /// Its rate, hertz.
        rate: u32,
    },
    /// The clip noised for a part of the way and denoised again (SDEdit, Meng et al. 2022).
    Vary {
        /// The clip.
        clip: Arc<[f32]>,
        /// Share of the steps, 0 (the clip, bit for bit) to 1 (a new sound of its length).
        strength: f64,
    },
    /// A clip between two others, both stretched to its length: spherically between the noises that DDIM takes them to (Song et al. 2021). The ends are
    /// the reconstructions of the inputs.
    Interpolate {
        /// The clip at share 0.
        from: Arc<[f32]>,
        /// The clip at share 1.
        to: Arc<[f32]>,
        /// Where between them, 0 to 1.
        share: f64,
    },
    /// A new sound, at the standard loudness.
    Sample {
        /// Its length, seconds.
        seconds: f64,
    },
}

impl Wave {
    /// A clip at the standard loudness with its log-mel rows, ready to be vocoded to its own loudness.
    ///
    /// # Errors
    /// A clip that is empty or not finite.
    pub fn vocoding(&self, clip: &[f32]) -> Result<WaveUse> {
        let (loud, gain) = self.normalised(clip)?;
        Ok(WaveUse::Vocode { mel: self.codec.log_mel(&loud)?.into(), samples: clip.len(), gain: 1.0 / gain })
    }

    /// A clip at the standard loudness, and the factor that brought it there.
    pub(super) fn normalised(&self, clip: &[f32]) -> Result<(Vec<f32>, f32)> {
        if clip.is_empty() {
            return Err(Error::TooFew { what: "samples of the clip", got: 0, want: 1 });
        }
        if let Some(index) = clip.iter().position(|v| !v.is_finite()) {
            return Err(Error::NonFinite { what: "samples of the clip", index });
        }
        let mut loud = clip.to_vec();
        let gain = loudness::normalise(&mut loud, self.config.codec.rate);
        Ok((loud, gain))
    }

    /// Frames as a state of one clip.
    pub(super) fn state(&self, frames: Vec<f32>) -> Tensor<3> {
        let count = frames.len() / BANDS;
        Tensor::from_data(TensorData::new(frames, [1, count, BANDS]), self.device())
    }

    /// Refuses what cannot be made.
    pub(super) fn check(&self, of: &WaveUse) -> Result<()> {
        let within = |name, value: f64, least: f64, most: f64| {
            if (least..=most).contains(&value) { Ok(()) } else { Err(Error::Setting { name, value, least, most }) }
        };
        let rate = f64::from(self.config.codec.rate);
        let sound = |clip: &[f32]| {
            self.normalised(clip)?;
            within("duration in seconds", clip.len() as f64 / rate, 0.0, LONGEST_SECONDS)
        };
        match of {
            WaveUse::Vocode { mel, samples, gain } => {
                let want = self.codec.frames(*samples) * self.config.codec.mels;
                if *samples == 0 || mel.len() != want {
                    return Err(Error::Shape { what: "numbers of the log-mel rows", got: mel.len(), want });
                }
                if let Some(index) = mel.iter().position(|v| !v.is_finite()) {
                    return Err(Error::NonFinite { what: "log-mel rows", index });
                }
                within("gain", f64::from(*gain), 0.0, 1e9)?;
                within("duration in seconds", *samples as f64 / rate, 0.0, LONGEST_SECONDS)
            }
            WaveUse::Inpaint { clip, range, .. } => {
                sound(clip)?;
                if range.is_empty() {
                    return Err(Error::TooFew { what: "samples of the range to fill", got: 0, want: 1 });
                }
                within("end of the range to fill, in samples,", range.end as f64, 1.0, clip.len() as f64)
            }
            WaveUse::Upsample { clip, rate: from } => {
                sound(clip)?;
                within("rate of the clip to up-sample, in hertz,", f64::from(*from), rate / 8.0, rate - 1.0)
            }
            WaveUse::Vary { clip, strength } => {
                sound(clip)?;
                within("strength", *strength, 0.0, 1.0)
            }
            WaveUse::Interpolate { from, to, share } => {
                sound(from)?;
                sound(to)?;
                within("share of an interpolation", *share, 0.0, 1.0)
            }
            WaveUse::Sample { seconds } => within("duration in seconds", *seconds, 1.0 / rate, LONGEST_SECONDS),
        }
    }
}
