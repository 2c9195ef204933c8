//! What rows look like before a network has learned anything: a Gaussian a class.

use burn::tensor::{Device, Tensor, activation::softmax};
use langevin_nn::Constant;
use nalgebra::DMatrix;

use crate::{Error, Result, tensor};

/// Most columns whose covariances are kept: a square of it for each class is in the checkpoint.
pub(crate) const MOST_COLUMNS: usize = 512;
/// Axes along which a class spreads most, and what is left of the variance along all others: a classifier's weak directions are those in which
/// data hardly vary, and that is where perturbations are. Chosen, as the share of the pooled covariance, on held-out training rows.
const AXES: usize = 3;
const BEYOND: f64 = 0.1;
/// Least variance in a direction.
const LEAST: f64 = 1e-6;
/// Names of the constants.
const NAMES: [&str; 4] = ["prior.share", "prior.mean", "prior.variance", "prior.axes"];

/// A mixture of Gaussians, one a class, of standardised rows. Its posterior mean under white noise is known in closed form, and is what a
/// network starts from: what it learns is the rest.
#[derive(Clone, Debug)]
pub struct Prior {
    parts: Vec<Part>,
}

/// One class.
#[derive(Clone, Debug)]
struct Part {
    /// Logarithm of its share of the rows.
    log_share: f64,
    /// `[1, N]`.
    mean: Tensor<2>,
    /// Variances along the axes, `[1, N]`.
    variance: Tensor<2>,
    /// The same, small ones made smaller: those of the filter.
    kept: Tensor<2>,
    /// Axes of the covariance, one a column, `[N, N]`.
    axes: Tensor<2>,
}

impl Prior {
    /// The constants of a mixture fitted to standardised rows, of which each has a class below `count`. A share `pooled` of each class's
    /// covariance is the mean of all classes': few rows make a poor covariance (Friedman 1989).
    pub(super) fn fit(rows: &[Vec<f64>], classes: &[usize], count: usize, pooled: f64) -> Vec<Constant> {
        let columns = rows.first().map_or(0, Vec::len);
        let of = |class: usize| rows.iter().zip(classes).filter(move |(_, c)| **c == class).map(|(row, _)| row);
        let moments: Vec<(f64, Vec<f64>, DMatrix<f64>)> = (0..count)
            .filter(|&class| of(class).next().is_some())
            .map(|class| {
                let many = of(class).count() as f64;
                let mean: Vec<f64> = (0..columns).map(|k| of(class).map(|row| row[k]).sum::<f64>() / many).collect();
                let mut covariance = DMatrix::zeros(columns, columns);
                for row in of(class) {
                    let gap = nalgebra::DVector::from_iterator(columns, row.iter().zip(&mean).map(|(x, m)| x - m));
                    covariance.ger(1.0 / many, &gap, &gap, 1.0);
                }
                (many / rows.len() as f64, mean, covariance)
            })
            .collect();
        let mean_of_all = moments.iter().fold(DMatrix::zeros(columns, columns), |sum, (share, _, covariance)| sum + covariance * *share);
        let mut values: [Vec<f32>; 4] = Default::default();
        for (share, mean, covariance) in &moments {
            let eigen = (covariance * (1.0 - pooled) + &mean_of_all * pooled).symmetric_eigen();
            let mut order: Vec<usize> = (0..columns).collect();
            order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
            values[0].push(*share as f32);
            values[1].extend(mean.iter().map(|&m| m as f32));
            values[2].extend(order.iter().map(|&k| eigen.eigenvalues[k].max(LEAST) as f32));
            let axes = (0..columns).flat_map(|row| order.iter().map(move |&k| (row, k)));
            values[3].extend(axes.map(|place| eigen.eigenvectors[place] as f32));
        }
        let parts = moments.len();
        let shapes = [vec![parts], vec![parts, columns], vec![parts, columns], vec![parts, columns, columns]];
        NAMES.iter().zip(shapes).zip(values).map(|((name, shape), values)| Constant { name: (*name).to_owned(), shape, values }).collect()
    }

    /// From a checkpoint's constants.
    ///
    /// # Errors
    /// [`Error::Constant`] when one is missing or cannot be used.
    pub(super) fn new(constants: &[Constant], columns: usize, device: &Device) -> Result<Self> {
        let find = |name: &'static str| {
            let found = constants.iter().find(|constant| constant.name == name);
            found.map(|constant| constant.values.as_slice()).ok_or(Error::Constant { name, problem: "is missing".into() })
        };
        let [share, mean, variance, axes] = [find(NAMES[0])?, find(NAMES[1])?, find(NAMES[2])?, find(NAMES[3])?];
        let parts = share.len();
        for (name, values, each) in [(NAMES[1], mean, columns), (NAMES[2], variance, columns), (NAMES[3], axes, columns * columns)] {
            if parts == 0 || values.len() != parts * each {
                let problem = format!("has {} numbers for {parts} classes of {columns} columns", values.len());
                return Err(Error::Constant { name, problem });
            }
        }
        for (name, values) in [(NAMES[0], share), (NAMES[2], variance)] {
            if values.iter().any(|&v| v.is_nan() || v <= 0.0) {
                return Err(Error::Constant { name, problem: "is not positive".into() });
            }
        }
        let beyond = |(k, v): (usize, &f32)| if k % columns < AXES { *v } else { BEYOND as f32 * v };
        let kept: Vec<f32> = variance.iter().enumerate().map(beyond).collect();
        let row = |values: &[f32], k: usize| tensor::rows(values[k * columns..(k + 1) * columns].to_vec(), 1, device);
        let part = |k: usize| Part {
            log_share: f64::from(share[k]).ln(),
            mean: row(mean, k),
            variance: row(variance, k),
            kept: row(&kept, k),
            axes: tensor::rows(axes[k * columns * columns..(k + 1) * columns * columns].to_vec(), columns, device),
        };
        Ok(Self { parts: (0..parts).map(part).collect() })
    }

    /// `E[x0 | z]` of standardised rows `z` `[B, N]` with white noise `sigma` `[B, 1]`: of each class the Wiener filter of its covariance,
    /// weighed by the class's probability given `z`.
    pub fn denoise(&self, z: &Tensor<2>, sigma: &Tensor<2>) -> Tensor<2> {
        let noise = sigma.clone().square();
        let part = |part: &Part| {
            let (log, along, total) = part.log_density(z, &part.kept, &noise);
            let shrunk = along * part.kept.clone() / total;
            (log, shrunk.matmul(part.axes.clone().transpose()) + part.mean.clone())
        };
        let (logs, means): (Vec<_>, Vec<_>) = self.parts.iter().map(part).unzip();
        let shares = softmax(Tensor::cat(logs, 1), 1);
        let weighed = means.into_iter().enumerate().map(|(k, mean)| mean * shares.clone().narrow(1, k, 1));
        weighed.reduce(|sum, mean| sum + mean).expect("a prior has a class")
    }

    /// Logarithm of the density of each row of `z` `[B, N]` with white noise of a level, but for a constant.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub(crate) fn log_density(&self, z: &Tensor<2>, level: f64) -> Result<Vec<f64>> {
        let noise = Tensor::full([z.dims()[0], 1], level * level, &z.device());
        let logs: Vec<_> = self.parts.iter().map(|part| part.log_density(z, &part.variance, &noise).0).collect();
        let sum = |logs: &[f32]| {
            let most = logs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            f64::from(most) + logs.iter().map(|&log| f64::from(log - most).exp()).sum::<f64>().ln()
        };
        Ok(tensor::host(Tensor::cat(logs, 1))?.chunks(self.parts.len()).map(sum).collect())
    }

    /// Of some noise levels the one under which each row of `z` `[B, N]` is likeliest.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub(crate) fn level(&self, z: &Tensor<2>, levels: &[f64]) -> Result<Vec<f64>> {
        let mut best = vec![(f64::NEG_INFINITY, 0.0); z.dims()[0]];
        for &level in levels {
            for (best, log) in best.iter_mut().zip(self.log_density(z, level)?) {
                if log > best.0 {
                    *best = (log, level);
                }
            }
        }
        Ok(best.into_iter().map(|(_, level)| level).collect())
    }
}

impl Part {
    /// Logarithm of the class's share times its density of noised rows, but for a constant, `[B, 1]`; rows along its axes, and their
    /// variances, `[B, N]`.
    fn log_density(&self, z: &Tensor<2>, variance: &Tensor<2>, noise: &Tensor<2>) -> (Tensor<2>, Tensor<2>, Tensor<2>) {
        let along = (z.clone() - self.mean.clone()).matmul(self.axes.clone());
        let total = variance.clone() + noise.clone();
        let log = (along.clone().square() / total.clone() + total.clone().log()).sum_dim(1);
        (log.mul_scalar(-0.5).add_scalar(self.log_share), along, total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use langevin_core::noise::{NoiseSource as _, Philox};

    /// Rows of two classes: spread along one axis at different places.
    fn rows() -> (Vec<Vec<f64>>, Vec<usize>) {
        let mut noise = vec![0f32; 4000];
        Philox::new(3).fill(0, 0, 0, &mut noise);
        let row = |k: usize| {
            let (a, b) = (f64::from(noise[2 * k]), f64::from(noise[2 * k + 1]));
            let side = if k.is_multiple_of(2) { 3.0 } else { -3.0 };
            vec![side + 0.5 * a + 0.1 * b, 0.5 * a - 0.1 * b]
        };
        ((0..2000).map(row).collect(), (0..2000).map(|k| k % 2).collect())
    }

    fn prior() -> Prior {
        let (rows, classes) = rows();
        Prior::new(&Prior::fit(&rows, &classes, 2, 0.3), 2, &Device::flex()).unwrap()
    }

    /// Against the definition: near one class, where the other has no say, the mean of a Gaussian is `m + C (C + s^2)^-1 (z - m)`.
    #[test]
    fn the_posterior_mean_is_the_wiener_filter_of_its_class() {
        let device = Device::flex();
        let (z, sigma) = ([3.4, 0.9], 0.4);
        let found = prior().denoise(&tensor::rows(vec![3.4, 0.9], 1, &device), &tensor::rows(vec![0.4], 1, &device));
        let found = tensor::host(found).unwrap();
        let covariance = DMatrix::from_row_slice(2, 2, &[0.26, 0.24, 0.24, 0.26]);
        let total = &covariance + DMatrix::identity(2, 2) * (sigma * sigma);
        let gap = DMatrix::from_row_slice(2, 1, &[z[0] - 3.0, z[1]]);
        let expected = covariance * total.try_inverse().unwrap() * gap;
        assert!((f64::from(found[0]) - 3.0 - expected[0]).abs() < 0.05 && (f64::from(found[1]) - expected[1]).abs() < 0.05, "{found:?}");
        // Halfway between two alike classes it is halfway.
        let middle = prior().denoise(&tensor::rows(vec![0.0, 0.0], 1, &device), &tensor::rows(vec![2.0], 1, &device));
        assert!(tensor::host(middle).unwrap()[0].abs() < 0.3);
    }

    #[test]
    fn the_likeliest_level_is_that_of_the_noise() {
        let (levels, columns, device) = ([0.05, 0.2, 0.8, 3.2], 40, Device::flex());
        let drawn = |item: u32, scale: f32| {
            let mut noise = vec![0f32; 200 * columns];
            Philox::new(4).fill(item, 0, 0, &mut noise);
            noise.into_iter().map(|z| scale * z).collect::<Vec<_>>()
        };
        let clean = drawn(0, 0.1);
        let rows: Vec<Vec<f64>> = clean.chunks(columns).map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect();
        let prior = Prior::new(&Prior::fit(&rows, &[0; 200], 1, 0.3), columns, &device).unwrap();
        for (k, sigma) in levels.into_iter().enumerate() {
            let noised = clean.iter().zip(drawn(1 + k as u32, sigma as f32)).map(|(x, z)| x + z).collect();
            let found = prior.level(&tensor::rows(noised, 200, &device), &levels).unwrap();
            // Variances of 40 numbers are four times apart or more, and known to sqrt(2 / 40): three deviations are 67 %.
            assert!(found.iter().filter(|&&level| level == sigma).count() > 190, "{sigma}: {found:?}");
        }
    }

    #[test]
    fn constants_that_do_not_fit_are_refused() {
        let (rows, classes) = rows();
        let good = Prior::fit(&rows, &classes, 2, 0.3);
        for (at, edit) in [(1, vec![0.0; 3]), (2, vec![-1.0; 4]), (0, vec![]), (3, vec![0.0; 7])] {
            let mut bad = good.clone();
            bad[at].values = edit;
            assert!(Prior::new(&bad, 2, &Device::flex()).is_err(), "{}", bad[at].name);
        }
        assert!(Prior::new(&good[1..], 2, &Device::flex()).is_err() && Prior::new(&good, 3, &Device::flex()).is_err());
    }
}
