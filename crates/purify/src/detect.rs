//! Signs of a perturbation: how much of an input a purifier would take away, and how far purification moves a classifier's decision.

use burn::tensor::Device;
use langevin_nn::Constant;

use crate::{
    Error, ModelConfig, Result,
    model::{Front, PurifyNet, Spectrum},
    tensor,
};

/// Noise levels at which inputs are looked at, as shares of the way from the least to the greatest of training, in logarithms.
const LEVELS: [f64; 3] = [0.25, 0.5, 0.75];
/// Least error, in units of the noise: silence has none, and its logarithm must be finite.
const LEAST: f64 = 1e-3;
/// Names of the calibration in a checkpoint.
const NAMES: [&str; 2] = ["detect.mean", "detect.deviation"];
/// Rows denoised at once.
const ROWS: usize = 16;

/// Root mean square of `x - D(x; sigma)` of each row in data units (in standard deviations for rows of a table), `x` not noised further. Of
/// clips only what lies between the first and the last sample that is not 0 counts: padding says nothing.
///
/// # Errors
/// [`Error::Device`].
pub(crate) fn removed(net: &PurifyNet, front: &Front, rows: &[&[f32]], sigmas: &[f64], device: &Device) -> Result<Vec<f64>> {
    let mut found = Vec::with_capacity(rows.len());
    for (rows, sigmas) in rows.chunks(ROWS).zip(sigmas.chunks(ROWS)) {
        let x = tensor::rows(rows.concat(), rows.len(), device);
        let sigma = tensor::rows(sigmas.iter().map(|&s| s as f32).collect(), rows.len(), device);
        let gap = x.clone() - net.denoise(front, x, sigma);
        let gap = match front {
            Front::Clips(_) => gap,
            Front::Rows { scale, .. } => gap / scale.clone(),
        };
        let gap = tensor::host(gap)?;
        found.extend(gap.chunks(rows[0].len().max(1)).zip(rows).map(|(gap, row)| {
            let square: f64 = gap.iter().map(|&v| f64::from(v).powi(2)).sum();
            (square / extent(front, row).max(1) as f64).sqrt()
        }));
    }
    Ok(found)
}

/// Numbers that are not padding.
fn extent(front: &Front, row: &[f32]) -> usize {
    match front {
        Front::Clips(_) => ends(row).map_or(0, |(first, last)| last + 1 - first),
        Front::Rows { .. } => row.len(),
    }
}

/// The first and the last number that is not 0.
fn ends(row: &[f32]) -> Option<(usize, usize)> {
    row.iter().position(|&v| v != 0.0).zip(row.iter().rposition(|&v| v != 0.0))
}

/// The levels at which detection looks.
pub(crate) fn levels(config: &ModelConfig) -> [f64; 3] {
    let (least, most) = config.sigmas();
    LEVELS.map(|share| (least.ln() + share * (most / least).ln()).exp())
}

/// `ln(removed / sigma)` at each level, level by level; where there is a prior, how unlikely it finds a row.
pub(crate) fn errors(net: &PurifyNet, front: &Front, levels: &[f64], rows: &[&[f32]], device: &Device) -> Result<Vec<Vec<f64>>> {
    if let Front::Rows { mean, scale, prior: Some(prior) } = front {
        let z = (tensor::rows(rows.concat(), rows.len(), device) - mean.clone()) / scale.clone();
        return levels.iter().map(|&level| Ok(prior.log_density(&z, level)?.into_iter().map(|log| -log).collect())).collect();
    }
    let at = |&sigma: &f64| {
        let found = removed(net, front, rows, &vec![sigma; rows.len()], device)?;
        Ok(found.into_iter().map(|v| (v / sigma).max(LEAST).ln()).collect())
    };
    levels.iter().map(at).collect()
}

/// Detection calibrated on clean rows: at each noise level the denoising error of an input, z-scored, then their mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Detector {
    levels: [f64; 3],
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Detector {
    /// From the calibration of a checkpoint; `None` when it has none.
    ///
    /// # Errors
    /// [`Error::Constant`] when it cannot be used.
    pub fn new(config: &ModelConfig, constants: &[Constant]) -> Result<Option<Self>> {
        let find = |name: &'static str| constants.iter().find(|c| c.name == name).map(|c| (name, &c.values));
        let (Some(mean), Some(deviation)) = (find(NAMES[0]), find(NAMES[1])) else { return Ok(None) };
        for (name, values) in [mean, deviation] {
            if values.len() != LEVELS.len() {
                return Err(Error::Constant { name, problem: format!("has {} numbers, not {}", values.len(), LEVELS.len()) });
            }
        }
        if deviation.1.iter().any(|&v| v <= 0.0) {
            return Err(Error::Constant { name: NAMES[1], problem: "is not positive".into() });
        }
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect();
        Ok(Some(Self { levels: levels(config), mean: wide(mean.1), deviation: wide(deviation.1) }))
    }

    /// The calibration of a trained network on clean rows, for its checkpoint.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub(crate) fn calibrate(
        config: &ModelConfig,
        net: &PurifyNet,
        front: &Front,
        clean: &[&[f32]],
        device: &Device,
    ) -> Result<Vec<Constant>> {
        let errors = errors(net, front, &levels(config), clean, device)?;
        let count = clean.len().max(1) as f64;
        let mean: Vec<f64> = errors.iter().map(|at| at.iter().sum::<f64>() / count).collect();
        let deviation = errors.iter().zip(&mean).map(|(at, mean)| {
            let variance = at.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
            variance.sqrt().max(1e-3) as f32
        });
        let constant = |name: &str, values: Vec<f32>| Constant { name: name.to_owned(), shape: vec![values.len()], values };
        Ok(vec![constant(NAMES[0], mean.iter().map(|&m| m as f32).collect()), constant(NAMES[1], deviation.collect())])
    }

    /// Scores of rows: near 0 for clean ones, in standard deviations of clean ones.
    pub(crate) fn scores(&self, net: &PurifyNet, front: &Front, rows: &[&[f32]], device: &Device) -> Result<Vec<f64>> {
        let errors = errors(net, front, &self.levels, rows, device)?;
        let z = |row: usize| errors.iter().zip(self.mean.iter().zip(&self.deviation)).map(move |(at, (m, d))| (at[row] - m) / d);
        Ok((0..rows.len()).map(|row| z(row).sum::<f64>() / LEVELS.len() as f64).collect())
    }
}

/// How far purification moves a classifier's decision: `sum_k |p_k(x) - mean_v p_k(x_v)|` between the probabilities of the input and of its votes,
/// from 0 (none) to 2 (another class, and both sure). Feature squeezing (Xu et al. 2018, arXiv:1704.01155) with a purifier in place of squeezers.
///
/// It is large for attacks on the classifier alone. An attack that knows of the purifier can keep it small, where it leaves the class wrong on both sides.
/// `before` are logits of the input, `after` those of votes, one after another.
pub fn shift(before: &[f32], after: &[f32]) -> f64 {
    let probabilities = |logits: &[f32]| {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f64> = logits.iter().map(|&l| f64::from(l - most).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.into_iter().map(|w| w / total).collect::<Vec<f64>>()
    };
    let votes: Vec<Vec<f64>> = after.chunks(before.len().max(1)).map(probabilities).collect();
    let mean = |k: usize| votes.iter().map(|vote| vote[k]).sum::<f64>() / votes.len().max(1) as f64;
    probabilities(before).iter().enumerate().map(|(k, p)| (p - mean(k)).abs()).sum()
}

/// Area under the receiver's curve: the probability that a perturbed input scores higher than a clean one, ties counted half.
pub fn auroc(clean: &[f64], perturbed: &[f64]) -> f64 {
    let wins = |p: &f64| {
        clean
            .iter()
            .map(|c| {
                if p > c {
                    1.0
                } else if p == c {
                    0.5
                } else {
                    0.0
                }
            })
            .sum::<f64>()
    };
    perturbed.iter().map(wins).sum::<f64>() / (clean.len() * perturbed.len()).max(1) as f64
}

/// Share of frames, the quietest, that show the noise of a clip.
const QUIET_FRAMES: f64 = 0.05;
/// Share of bins in such a frame that lie below the noise that is read off it: the lower quarter hardly ever holds speech.
const QUIET_BINS: f64 = 0.25;

/// Standard deviation of white noise that would explain the quiet bins of a clip's quietest frames, data units; 0 for silence. Of a clean clip
/// this is the recording's own noise. Frames that reach beyond the first and last sample that is not 0 do not count, unless there are no others.
///
/// # Errors
/// [`Error::Device`].
pub(crate) fn noise_floor(spectrum: &Spectrum, row: &[f32], device: &Device) -> Result<f64> {
    let Some((first, last)) = ends(row) else { return Ok(0.0) };
    let parts = spectrum.analyse(tensor::rows(row.to_vec(), 1, device));
    let [_, frames, wide] = parts.dims();
    let values = tensor::host(parts.reshape([frames, wide]))?;
    let bins = wide / 2;
    let magnitude = |frame: &[f32]| -> f64 {
        let mut all: Vec<f32> = (0..bins).map(|k| frame[k].hypot(frame[bins + k])).collect();
        quantile(&mut all, QUIET_BINS)
    };
    let inside = |t: &usize| spectrum.covers(*t, first, last);
    let mut chosen: Vec<usize> = (0..frames).filter(inside).collect();
    if chosen.is_empty() {
        chosen = (0..frames).collect();
    }
    let mut quiet: Vec<f32> = chosen.into_iter().map(|t| magnitude(&values[t * wide..(t + 1) * wide]) as f32).collect();
    // Magnitudes of white noise are Rayleigh distributed: P(m < x) = 1 - exp(-x^2 / sigma^2).
    Ok(quantile(&mut quiet, QUIET_FRAMES) / (-(1.0 - QUIET_BINS).ln()).sqrt())
}

/// The value below which a share of values lies, linear between neighbours.
fn quantile(values: &mut [f32], share: f64) -> f64 {
    values.sort_by(f32::total_cmp);
    let place = share * values.len().saturating_sub(1) as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let at = |k: usize| values.get(k).map_or(0.0, |&v| f64::from(v));
    if part > 0.0 { at(below) * (1.0 - part) + at(below + 1) * part } else { at(below) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_the_share_of_pairs_in_order() {
        assert_eq!(auroc(&[0.0, 1.0], &[2.0, 3.0]), 1.0);
        assert_eq!(auroc(&[0.0, 2.0], &[1.0, 2.0]), 0.625);
        assert_eq!(auroc(&[1.0], &[1.0]), 0.5);
    }

    #[test]
    fn a_decision_moves_by_two_at_most() {
        let (one, other) = ([30.0, 0.0, 0.0], [0.0, 0.0, 30.0]);
        assert!(shift(&one, &one) == 0.0 && (shift(&one, &other) - 2.0).abs() < 1e-9);
        // Half of the votes stay: half of the way.
        assert!((shift(&one, &[one, other].concat()) - 1.0).abs() < 1e-9);
        // ln 3: probabilities 3/4 and 1/4 beside 1/2 and 1/2.
        assert!((shift(&[3f32.ln(), 0.0], &[7.0, 7.0]) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn the_floor_of_noise_is_its_deviation_and_speech_does_not_raise_it() {
        use langevin_core::noise::{NoiseSource as _, Philox};
        let (device, sigma) = (Device::flex(), 0.004f32);
        let spectrum = Spectrum::new(256, 64, &device);
        let mut clip = vec![0f32; 8000];
        Philox::new(1).fill(0, 0, 0, &mut clip[2000..6000]);
        clip.iter_mut().for_each(|v| *v *= sigma);
        let alone = noise_floor(&spectrum, &clip, &device).unwrap();
        assert!((alone / f64::from(sigma) - 0.9).abs() < 0.2, "{alone}");
        for (n, v) in clip.iter_mut().enumerate().skip(2500).take(2500) {
            *v += 0.3 * (n as f32 * 0.3).sin() + 0.2 * (n as f32 * 1.1).sin();
        }
        let beside = noise_floor(&spectrum, &clip, &device).unwrap();
        assert!((beside / alone - 1.0).abs() < 0.3, "{alone} {beside}");
        assert_eq!(noise_floor(&spectrum, &[0.0; 800], &device).unwrap(), 0.0);
    }
}
