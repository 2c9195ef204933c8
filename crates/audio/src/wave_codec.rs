//! Clips to frames that a network can diffuse, and back: an orthonormal MDCT, companding, a scale for each band.
//!
//! With the MDCT's coefficient `c` of band `k`, `y = s_k sign(c) |c|^p`: quiet coefficients come nearer to loud ones, and all bands get the
//! same standard deviation. Noise that is left in `y` is heard with the power `1 / p`, so what is small sounds smaller still.

use std::ops::Range;

use langevin_nn::Constant;
use rayon::prelude::*;

use crate::{
    Error, Result,
    config::WaveCodecConfig,
    mdct::Mdct,
    mel::{Energy, MelBank},
    stft::Stft,
};

/// Bands of the MDCT, and samples between frames.
pub const BANDS: usize = 64;
/// Least standard deviation of a band before scaling: a band that is silent in training is not blown up.
const LEAST: f64 = 1e-4;

/// Most that a round of matching mel energies changes a band, nepers.
const MOST_GAIN: f32 = 1.4;

/// The trained codec of waveforms.
#[derive(Clone, Debug)]
pub struct WaveCodec {
    config: WaveCodecConfig,
    mdct: Mdct,
    stft: Stft,
    bank: MelBank,
    /// Factor of each band.
    scale: Vec<f32>,
    /// Mean and standard deviation of each mel band, `[mels, mels]`.
    mel: Vec<f32>,
}

impl WaveCodec {
    fn untrained(config: &WaveCodecConfig) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            mdct: Mdct::new(BANDS),
            stft: Stft::new(config.n_fft, config.window, BANDS)?,
            bank: MelBank::new(config.rate, config.n_fft, config.mels, 0.0, config.rate as f32 / 2.0, Energy::Magnitude)?,
            scale: vec![1.0; BANDS],
            mel: [vec![0.0; config.mels], vec![1.0; config.mels]].concat(),
        })
    }

    /// Fits the scales to training clips at the standard loudness.
    ///
    /// # Errors
    /// [`Error::TooFew`] without clips; clips that are empty or not finite.
    pub fn fit(config: &WaveCodecConfig, sigma_data: f64, clips: &[Vec<f32>]) -> Result<Self> {
        if clips.is_empty() {
            return Err(Error::TooFew { what: "training clips", got: 0, want: 1 });
        }
        let mut codec = Self::untrained(config)?;
        let of_clip = |clip: &Vec<f32>| Ok((codec.encode(clip), codec.log_mel(clip)?));
        let seen: Vec<(Vec<f32>, Vec<f32>)> = clips.par_iter().map(of_clip).collect::<Result<_>>()?;
        let bands = moments(BANDS, seen.iter().map(|s| s.0.as_slice()));
        let mels = moments(config.mels, seen.iter().map(|s| s.1.as_slice()));
        // The mean of a coefficient is zero by symmetry.
        codec.scale = bands.iter().map(|(mean, std)| (sigma_data / mean.hypot(*std).max(LEAST)) as f32).collect();
        codec.mel = mels.iter().map(|m| m.0 as f32).chain(mels.iter().map(|m| m.1.max(LEAST) as f32)).collect();
        Ok(codec)
    }

    /// The codec of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Constant`] when an array is missing, has another shape than the config says, or holds no scale.
    pub fn from_constants(config: &WaveCodecConfig, constants: &[Constant]) -> Result<Self> {
        let get = |name: &'static str, len: usize| {
            let found =
                constants.iter().find(|c| c.name == name).ok_or_else(|| Error::Constant { name, problem: "is missing".to_owned() })?;
            if found.values.len() != len {
                return Err(Error::Constant { name, problem: format!("has {} numbers, but {len} are needed", found.values.len()) });
            }
            Ok(found.values.clone())
        };
        let (scale, mel) = (get("scale", BANDS)?, get("mel", 2 * config.mels)?);
        for (name, values) in [("scale", &scale[..]), ("mel", &mel[config.mels..])] {
            if values.iter().any(|s| !(*s > 0.0 && s.is_finite())) {
                return Err(Error::Constant { name, problem: "holds a number that is not positive".to_owned() });
            }
        }
        Ok(Self { scale, mel, ..Self::untrained(config)? })
    }

    /// The arrays a checkpoint keeps.
    pub fn constants(&self) -> Vec<Constant> {
        let constant = |name: &str, shape: &[usize], values: &[f32]| Constant {
            name: name.to_owned(),
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        vec![constant("mel", &[2, self.config.mels], &self.mel), constant("scale", &[BANDS], &self.scale)]
    }

    /// Its config.
    pub const fn config(&self) -> &WaveCodecConfig {
        &self.config
    }

    /// Frames of a clip of `samples` samples; frame `t` is centred on sample `64 t`.
    pub const fn frames(&self, samples: usize) -> usize {
        self.mdct.frames(samples)
    }

    /// Coefficients of a clip at the standard loudness, shape `[frames, 64]`.
    pub fn encode(&self, samples: &[f32]) -> Vec<f32> {
        let mut frames = self.mdct.forward(samples);
        let power = self.config.compand as f32;
        for frame in frames.chunks_exact_mut(BANDS) {
            for (c, scale) in frame.iter_mut().zip(&self.scale) {
                *c = scale * c.abs().powf(power).copysign(*c);
            }
        }
        frames
    }

    /// The clip of `samples` samples with these coefficients.
    pub fn decode(&self, frames: &[f32], samples: usize) -> Vec<f32> {
        let power = (1.0 / self.config.compand) as f32;
        let mut frames = frames.to_vec();
        for frame in frames.chunks_exact_mut(BANDS) {
            for (c, scale) in frame.iter_mut().zip(&self.scale) {
                *c = (c.abs() / scale).powf(power).copysign(*c);
            }
        }
        self.mdct.inverse(&frames, samples)
    }

    /// Makes some frames agree with the samples of a clip outside a range: what the frames sound like there is replaced by the clip, within the
    /// range it stays. `frames`, shape `[frames, 64]`, are those of the whole clip; only those that hear the range change.
    pub fn mend(&self, frames: &mut [f32], clip: &[f32], range: &Range<usize>) {
        let Range { start: first, end } = heard(range);
        let end = end.min(frames.len() / BANDS);
        // From one frame before, whose block needs no other, to one after; beyond the clip is silence.
        let count = end - first + 2;
        let frame = |t: isize| {
            let at = usize::try_from(t).ok().and_then(|t| frames.chunks_exact(BANDS).nth(t));
            at.map_or_else(|| vec![0.0; BANDS], <[f32]>::to_vec)
        };
        let around: Vec<f32> = (0..count).flat_map(|t| frame(first as isize - 1 + t as isize)).collect();
        let mut heard = self.decode(&around, (count - 1) * BANDS);
        for (i, value) in heard.iter_mut().enumerate() {
            let at = (first * BANDS + i) as isize - BANDS as isize;
            let at = usize::try_from(at).ok();
            if !at.is_some_and(|at| range.contains(&at)) {
                *value = at.and_then(|at| clip.get(at)).copied().unwrap_or(0.0);
            }
        }
        let again = self.encode(&heard);
        frames[first * BANDS..end * BANDS].copy_from_slice(&again[BANDS..(end - first + 1) * BANDS]);
    }

    /// Log-mel magnitudes (natural logarithm) of a clip at the standard loudness, shape `[frames, mels]`: one row for each frame of
    /// [`encode`](Self::encode).
    ///
    /// # Errors
    /// When the clip is empty or not finite.
    pub fn log_mel(&self, samples: &[f32]) -> Result<Vec<f32>> {
        let mut padded = samples.to_vec();
        padded.resize(samples.len().next_multiple_of(BANDS), 0.0);
        self.bank.log_mel(&self.stft.forward(&padded)?.magnitudes(), self.config.floor)
    }

    /// A clip at the standard loudness made to have the mel energies of given rows: its spectrum is multiplied by what each band lacks, which
    /// leaves phases and harmonics, `rounds` times because neighbouring frames overlap. Bands that are silent in both stay so.
    ///
    /// # Errors
    /// When the clip is empty or not finite, or has another number of rows.
    pub fn match_mel(&self, samples: &[f32], mel: &[f32], rounds: usize) -> Result<Vec<f32>> {
        let mut clip = samples.to_vec();
        clip.resize(samples.len().next_multiple_of(BANDS), 0.0);
        let shape = self.bank.bin_shares();
        for _ in 0..rounds {
            let mut spectrum = self.stft.forward(&clip)?;
            let have = self.bank.log_mel(&spectrum.magnitudes(), self.config.floor)?;
            if have.len() != mel.len() {
                return Err(Error::Shape { what: "numbers of the log-mel rows", got: mel.len(), want: have.len() });
            }
            let mels = self.config.mels;
            let rows = have.chunks_exact(mels).zip(mel.chunks_exact(mels));
            for (bins, (have, want)) in spectrum.data.chunks_exact_mut(self.stft.bins()).zip(rows) {
                let gain: Vec<f32> = have.iter().zip(want).map(|(h, w)| (w - h).clamp(-MOST_GAIN, MOST_GAIN).exp()).collect();
                for (bin, shares) in bins.iter_mut().zip(&shape) {
                    *bin *= shares.iter().map(|(band, share)| share * gain[*band]).sum::<f32>();
                }
            }
            clip = self.stft.inverse(&spectrum, clip.len())?;
        }
        clip.truncate(samples.len());
        Ok(clip)
    }

    /// Log-mel rows as the network sees them: zero mean and unit standard deviation in training.
    pub fn normalise_mel(&self, mel: &[f32]) -> Vec<f32> {
        let (mean, std) = self.mel.split_at(self.config.mels);
        let row = |row: &[f32]| row.iter().zip(mean).zip(std).map(|((v, m), s)| (v - m) / s).collect::<Vec<_>>();
        mel.chunks_exact(self.config.mels).flat_map(row).collect()
    }
}

/// The frames that hear some of a range of samples: frame `t` hears `64 (t - 1) .. 64 (t + 1)`. A clip may end before the last one.
pub(crate) fn heard(range: &Range<usize>) -> Range<usize> {
    range.start / BANDS..range.end.div_ceil(BANDS) + 1
}

/// Mean and standard deviation of each of `width` columns.
fn moments<'a>(width: usize, sets: impl Iterator<Item = &'a [f32]>) -> Vec<(f64, f64)> {
    let mut sums = vec![(0f64, 0f64); width];
    let mut count = 0usize;
    for row in sets.flat_map(|set| set.chunks_exact(width)) {
        sums.iter_mut().zip(row).for_each(|(s, v)| (s.0, s.1) = (s.0 + f64::from(*v), s.1 + f64::from(*v).powi(2)));
        count += 1;
    }
    let n = count.max(1) as f64;
    sums.into_iter().map(|(sum, square)| (sum / n, (square / n - (sum / n).powi(2)).max(0.0).sqrt())).collect()
}
