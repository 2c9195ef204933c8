//! Clips to vectors and back: loudness, log-mel, a fixed number of frames, principal components, log-duration.
//!
//! The vector's first coordinates are scaled principal components of the time-normalised log-mel spectrogram, its last one is the
//! standardised logarithm of the duration.

use langevin_core::noise::{NoiseSource, Philox, stream};
use langevin_nn::Constant;
use nalgebra::DMatrix;

use crate::{
    Error, Result,
    config::CodecConfig,
    griffin_lim::GriffinLim,
    loudness,
    mel::{Energy, MelBank},
    stft::Stft,
};

/// Updates of the non-negative inversion from mel bands to frequencies; measured: 30 leave 0.3 % of error, more is inaudible.
const MEL_UPDATES: usize = 30;

/// The part of the codec that needs no training: clips to time-normalised log-mel images and back.
#[derive(Clone, Debug)]
pub struct Frontend {
    config: CodecConfig,
    stft: Stft,
    bank: MelBank,
    griffin_lim: GriffinLim,
}

/// A clip as the front end sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Log-mel image, shape `[frames, mels]`.
    pub image: Vec<f32>,
    /// Duration in seconds.
    pub seconds: f64,
}

impl Frontend {
    /// A front end for a checked config.
    ///
    /// # Errors
    /// When the transform or the mel bands cannot be built.
    pub fn new(config: &CodecConfig) -> Result<Self> {
        let stft = Stft::new(config.n_fft, config.window, config.hop)?;
        let bank = MelBank::new(config.rate, config.n_fft, config.mels, 0.0, config.rate as f32 / 2.0, Energy::Magnitude)?;
        let griffin_lim = GriffinLim::new(stft.clone(), config.griffin_lim)?;
        Ok(Self { config: config.clone(), stft, bank, griffin_lim })
    }

    /// Analyses a mono clip at the codec's rate.
    ///
    /// # Errors
    /// When the clip is empty or not finite.
    pub fn analyse(&self, samples: &[f32]) -> Result<Features> {
        let mut samples = samples.to_vec();
        loudness::normalise(&mut samples, self.config.rate);
        let spectrum = self.stft.forward(&samples)?;
        let mel = self.bank.log_mel(&spectrum.magnitudes(), self.config.floor)?;
        let image = stretch(&mel, self.config.mels, self.config.frames);
        Ok(Features { image, seconds: samples.len() as f64 / f64::from(self.config.rate) })
    }

    /// Turns a log-mel image into sound of a duration, at the standard loudness.
    ///
    /// # Errors
    /// When the image is not finite.
    pub fn synthesise(&self, features: &Features) -> Result<Vec<f32>> {
        let (mel, samples) = self.log_mel_of(features);
        let mut sound = self.griffin_lim(&mel, samples)?;
        loudness::normalise(&mut sound, self.config.rate);
        Ok(sound)
    }

    /// The settings.
    pub const fn config(&self) -> &CodecConfig {
        &self.config
    }

    /// Log-mel of a clip at its own loudness and length, shape `[1 + samples / hop, mels]`: what vocoders read.
    ///
    /// # Errors
    /// When the clip is empty or not finite.
    pub fn log_mel(&self, samples: &[f32]) -> Result<Vec<f32>> {
        self.bank.log_mel(&self.stft.forward(samples)?.magnitudes(), self.config.floor)
    }

    /// Log-mel of features at the frames of their duration, shape `[frames, mels]`, and the number of samples that has them.
    pub fn log_mel_of(&self, features: &Features) -> (Vec<f32>, usize) {
        let samples = (features.seconds * f64::from(self.config.rate)).round().max(1.0) as usize;
        (stretch(&features.image, self.config.mels, self.stft.frames(samples)), samples)
    }

    /// Least number of samples of a clip with so many frames.
    pub fn samples_of(&self, frames: usize) -> usize {
        (frames.saturating_sub(1) * self.config.hop).max(1)
    }

    /// Sound of a log-mel spectrogram, shape `[frames, mels]`, at the loudness it describes, by Griffin-Lim.
    ///
    /// # Errors
    /// When the spectrogram is not finite or is not that of so many samples.
    pub fn griffin_lim(&self, mel: &[f32], samples: usize) -> Result<Vec<f32>> {
        let magnitudes = self.bank.magnitudes_from_log(mel, MEL_UPDATES)?;
        Ok(self.griffin_lim.run(&magnitudes, samples, None)?.samples)
    }
}

/// Resamples rows of `width` numbers to `count` rows: linear interpolation when stretching, triangle averages when shrinking.
pub(crate) fn stretch(rows: &[f32], width: usize, count: usize) -> Vec<f32> {
    let have = rows.len() / width;
    let mut out = vec![0f32; count * width];
    let ratio = if count > 1 { (have - 1) as f64 / (count - 1) as f64 } else { 0.0 };
    let reach = ratio.max(1.0);
    for (k, out) in out.chunks_mut(width).enumerate() {
        let centre = k as f64 * ratio;
        let first = (centre - reach).ceil().max(0.0) as usize;
        let last = ((centre + reach).floor() as usize).min(have - 1);
        let mut total = 0.0;
        for (j, row) in rows.chunks(width).enumerate().take(last + 1).skip(first) {
            let weight = 1.0 - (j as f64 - centre).abs() / reach;
            if weight > 0.0 {
                total += weight;
                out.iter_mut().zip(row).for_each(|(o, v)| *o += weight as f32 * v);
            }
        }
        out.iter_mut().for_each(|o| *o /= total as f32);
    }
    out
}

/// The trained codec.
#[derive(Clone, Debug)]
pub struct Codec {
    frontend: Frontend,
    /// Mean image, `[frames * mels]`.
    mean: Vec<f32>,
    /// Principal directions, `[components, frames * mels]`, orthonormal rows.
    basis: Vec<f32>,
    /// Factor of each component in the vector.
    scale: Vec<f32>,
    /// Mean and standard deviation of the log-duration, and the shortest and longest clip in seconds.
    duration: [f32; 4],
    /// Standard deviation of a duration coordinate in the vector.
    sigma_data: f32,
}

impl Codec {
    /// Length of a vector.
    pub fn width(&self) -> usize {
        self.scale.len() + 1
    }

    /// The front end.
    pub const fn frontend(&self) -> &Frontend {
        &self.frontend
    }

    /// Shortest and longest duration of the training clips, in seconds.
    pub fn seconds(&self) -> (f64, f64) {
        (f64::from(self.duration[2]), f64::from(self.duration[3]))
    }

    /// Fits components and scales to training features; the vectors then have standard deviation `sigma_data` overall.
    ///
    /// # Errors
    /// [`Error::TooFew`] with fewer than two clips or fewer clips than components.
    pub fn fit(config: &CodecConfig, sigma_data: f64, features: &[Features]) -> Result<Self> {
        let rank = config.components;
        if features.len() < rank.max(2) {
            return Err(Error::TooFew {
                what: "training clips (the codec keeps more components than there are clips)",
                got: features.len(),
                want: rank.max(2),
            });
        }
        let (rows, width) = (features.len(), config.frames * config.mels);
        let mut mean = vec![0f64; width];
        for clip in features {
            mean.iter_mut().zip(&clip.image).for_each(|(m, v)| *m += f64::from(*v) / rows as f64);
        }
        let data = DMatrix::from_fn(rows, width, |r, c| features[r].image[c] - mean[c] as f32);
        let (basis, variances) = principal(&data, rank);
        // Components are scaled by v^-w/2, then all of them so that the mean variance is sigma_data^2.
        let shaped: Vec<f64> = variances.iter().map(|v| v.max(1e-12).powf(-0.5 * config.whitening)).collect();
        let total: f64 = variances.iter().zip(&shaped).map(|(v, s)| v * s * s).sum::<f64>() / rank as f64;
        let overall = sigma_data / total.max(1e-24).sqrt();
        let logs: Vec<f64> = features.iter().map(|f| f.seconds.ln()).collect();
        let log_mean = logs.iter().sum::<f64>() / rows as f64;
        let log_std = (logs.iter().map(|l| (l - log_mean).powi(2)).sum::<f64>() / rows as f64).sqrt().max(1e-3);
        let shortest = features.iter().map(|f| f.seconds).fold(f64::INFINITY, f64::min);
        let longest = features.iter().map(|f| f.seconds).fold(0.0, f64::max);
        Ok(Self {
            frontend: Frontend::new(config)?,
            mean: mean.iter().map(|m| *m as f32).collect(),
            basis,
            scale: shaped.iter().map(|s| (s * overall) as f32).collect(),
            duration: [log_mean as f32, log_std as f32, shortest as f32, longest as f32],
            sigma_data: sigma_data as f32,
        })
    }

    /// The codec of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Constant`] when an array is missing or has another shape than the config says.
    pub fn from_constants(config: &CodecConfig, sigma_data: f64, constants: &[Constant]) -> Result<Self> {
        let width = config.frames * config.mels;
        let get = |name: &'static str, shape: &[usize]| {
            let found =
                constants.iter().find(|c| c.name == name).ok_or_else(|| Error::Constant { name, problem: "is missing".to_owned() })?;
            if found.shape != shape {
                return Err(Error::Constant { name, problem: format!("has shape {:?}, but the config asks for {shape:?}", found.shape) });
            }
            Ok(found.values.clone())
        };
        let duration = get("duration", &[4])?;
        let positive = duration[1] > 0.0 && duration[2] > 0.0 && duration[3] >= duration[2] && duration[3] < 600.0;
        if !positive {
            return Err(Error::Constant {
                name: "duration",
                problem: format!("is {duration:?}, which is no mean, deviation and range of durations"),
            });
        }
        let scale = get("scale", &[config.components])?;
        if scale.iter().any(|s| *s <= 0.0) {
            return Err(Error::Constant { name: "scale", problem: "holds a number that is not positive".to_owned() });
        }
        Ok(Self {
            frontend: Frontend::new(config)?,
            mean: get("mean", &[width])?,
            basis: get("basis", &[config.components, width])?,
            scale,
            duration: [duration[0], duration[1], duration[2], duration[3]],
            sigma_data: sigma_data as f32,
        })
    }

    /// The arrays a checkpoint keeps.
    pub fn constants(&self) -> Vec<Constant> {
        let constant = |name: &str, shape: &[usize], values: &[f32]| Constant {
            name: name.to_owned(),
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        vec![
            constant("basis", &[self.scale.len(), self.mean.len()], &self.basis),
            constant("duration", &[4], &self.duration),
            constant("mean", &[self.mean.len()], &self.mean),
            constant("scale", &[self.scale.len()], &self.scale),
        ]
    }

    /// The vector of a clip's features.
    pub fn encode(&self, features: &Features) -> Vec<f32> {
        let centred: Vec<f32> = features.image.iter().zip(&self.mean).map(|(v, m)| v - m).collect();
        let project = |(row, scale): (&[f32], &f32)| row.iter().zip(&centred).map(|(b, v)| b * v).sum::<f32>() * scale;
        let mut vector: Vec<f32> = self.basis.chunks(self.mean.len()).zip(&self.scale).map(project).collect();
        vector.push(self.duration_coordinate(features.seconds));
        vector
    }

    /// The features of a vector. Durations are kept within those of the training clips.
    pub fn decode(&self, vector: &[f32]) -> Features {
        let mut image = self.mean.clone();
        for ((row, scale), value) in self.basis.chunks(self.mean.len()).zip(&self.scale).zip(vector) {
            let weight = value / scale;
            image.iter_mut().zip(row).for_each(|(i, b)| *i += weight * b);
        }
        let floor = self.frontend.config.floor.ln();
        image.iter_mut().for_each(|v| *v = v.clamp(floor, 12.0));
        let standard = f64::from(vector[self.scale.len()] / self.sigma_data);
        let seconds = (f64::from(self.duration[0]) + f64::from(self.duration[1]) * standard).exp();
        let (shortest, longest) = self.seconds();
        Features { image, seconds: seconds.clamp(shortest, longest) }
    }

    /// The last coordinate of the vector of a clip that long.
    pub fn duration_coordinate(&self, seconds: f64) -> f32 {
        (seconds.ln() as f32 - self.duration[0]) / self.duration[1] * self.sigma_data
    }
}

/// Leading principal directions (orthonormal rows, flattened) and their variances, by subspace iteration from addressed noise.
///
/// A full eigendecomposition of the covariance costs minutes; ten rounds with a few spare directions agree with it where the
/// spectrum matters.
fn principal(data: &DMatrix<f32>, rank: usize) -> (Vec<f32>, Vec<f64>) {
    const ROUNDS: usize = 10;
    let (rows, width) = data.shape();
    let spare = (rank + 16).min(width).min(rows);
    let noise = Philox::new(0);
    let mut start = vec![0f32; width * spare];
    noise.fill(0, 0, stream::DOMAIN, &mut start);
    let mut subspace = DMatrix::from_vec(width, spare, start).qr().q();
    for _ in 0..ROUNDS {
        subspace = data.tr_mul(&(data * &subspace)).qr().q();
    }
    // Rayleigh-Ritz inside the subspace gives the directions themselves.
    let projected = data * &subspace;
    let eigen = (projected.tr_mul(&projected) / rows as f32).symmetric_eigen();
    let mut order: Vec<usize> = (0..spare).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let directions = subspace * eigen.eigenvectors;
    let mut basis = Vec::with_capacity(rank * width);
    let mut variances = Vec::with_capacity(rank);
    for &k in order.iter().take(rank) {
        basis.extend(directions.column(k).iter());
        variances.push(f64::from(eigen.eigenvalues[k].max(0.0)));
    }
    (basis, variances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretching_keeps_lines_and_ends() {
        let line: Vec<f32> = (0..10).map(|v| v as f32).collect();
        let longer = stretch(&line, 1, 19);
        assert!(longer.iter().enumerate().all(|(k, v)| (v - k as f32 * 0.5).abs() < 1e-5), "{longer:?}");
        let shorter = stretch(&line, 1, 4);
        assert_eq!(shorter.len(), 4);
        assert!((shorter[1] - 3.0).abs() < 1e-5 && (shorter[2] - 6.0).abs() < 1e-5, "{shorter:?}");
        assert_eq!(stretch(&[7.0], 1, 3), [7.0; 3]);
        assert_eq!(stretch(&line, 1, 1).len(), 1);
    }

    #[test]
    fn principal_directions_of_a_known_covariance() {
        // Independent coordinates of standard deviation 4, 2, 1: directions are the axes, variances their squares.
        let mut z = vec![0f32; 3 * 4000];
        Philox::new(5).fill(0, 0, 0, &mut z);
        let data = DMatrix::from_fn(4000, 3, |r, c| z[r * 3 + c] * [2.0, 4.0, 1.0][c]);
        let (basis, variances) = principal(&data, 2);
        assert!((variances[0] - 16.0).abs() < 1.5 && (variances[1] - 4.0).abs() < 0.5, "{variances:?}");
        assert!(basis[1].abs() > 0.99 && basis[3].abs() > 0.99, "{basis:?}");
    }

    #[test]
    fn vectors_round_trip_and_have_the_promised_scale() {
        let config = CodecConfig { mels: 4, frames: 3, components: 12, ..CodecConfig::default() };
        let features: Vec<Features> = (0..60)
            .map(|i| {
                let mut image = vec![0f32; 12];
                Philox::new(8).fill(i, 0, 0, &mut image);
                Features { image, seconds: 0.3 + 0.01 * f64::from(i) }
            })
            .collect();
        let codec = Codec::fit(&config, 0.5, &features).expect("enough clips");
        let vectors: Vec<_> = features.iter().map(|f| codec.encode(f)).collect();
        for (f, v) in features.iter().zip(&vectors) {
            let back = codec.decode(v);
            assert!((back.seconds - f.seconds).abs() < 1e-3);
            assert!(back.image.iter().zip(&f.image).all(|(a, b)| (a - b).abs() < 1e-3));
        }
        let power = vectors.iter().flatten().map(|v| f64::from(*v).powi(2)).sum::<f64>() / (60.0 * 13.0);
        assert!((power - 0.25).abs() < 0.02, "{power}");
        let again = Codec::from_constants(&config, 0.5, &codec.constants()).expect("complete");
        assert_eq!(again.encode(&features[3]), vectors[3]);
        assert!(Codec::from_constants(&config, 0.5, &codec.constants()[1..]).is_err());
        assert!(Codec::fit(&config, 0.5, &features[..5]).is_err());
    }
}
