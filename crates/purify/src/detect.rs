//! How much of an input a purifier would take away: the sign of a perturbation, and its size.

use burn::tensor::Device;
use langevin_nn::Constant;

use crate::{
    Error, ModelConfig, Result,
    model::{Front, PurifyNet},
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
        Front::Clips(_) => {
            let first = row.iter().position(|&v| v != 0.0);
            let last = row.iter().rposition(|&v| v != 0.0);
            first.zip(last).map_or(0, |(first, last)| last + 1 - first)
        }
        Front::Rows { .. } => row.len(),
    }
}

/// The levels at which detection looks.
pub(crate) fn levels(config: &ModelConfig) -> [f64; 3] {
    let (least, most) = config.sigmas();
    LEVELS.map(|share| (least.ln() + share * (most / least).ln()).exp())
}

/// `ln(removed / sigma)` at each level, level by level.
pub(crate) fn errors(net: &PurifyNet, front: &Front, levels: &[f64], rows: &[&[f32]], device: &Device) -> Result<Vec<Vec<f64>>> {
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

/// The smallest noise level that explains what the purifier takes away, found from above: `sigma <- factor * removed(sigma)` until it no
/// longer falls, within the levels of training and not below `least`. Of a clean clip this is the recording's own noise; of an attacked
/// one the perturbation's size.
///
/// # Errors
/// [`Error::Device`].
pub(crate) fn blind_level(
    net: &PurifyNet,
    front: &Front,
    rows: &[&[f32]],
    (least, most, factor): (f64, f64, f64),
    device: &Device,
) -> Result<Vec<f64>> {
    let mut sigmas = vec![most; rows.len()];
    for _ in 0..6 {
        let found = removed(net, front, rows, &sigmas, device)?;
        for (sigma, found) in sigmas.iter_mut().zip(found) {
            *sigma = sigma.min((factor * found).max(least));
        }
    }
    Ok(sigmas)
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
}
