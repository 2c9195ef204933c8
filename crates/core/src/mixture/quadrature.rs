//! Expectations under a mixture by quadrature: the yardstick for moments that have no closed form.

use super::GaussianMixture;
use crate::{Error, Level};

/// Half width of the box in standard deviations: what is outside weighs less than 1e-18.
const REACH: f64 = 9.0;
/// First grid step over the least standard deviation: enough for a single normal, whose error is `2 exp(-2 pi^2 / h^2)`.
const STEP: f64 = 0.5;
/// Halvings of the step, where components meet in a ridge that is narrower than any of them.
const HALVINGS: i32 = 3;
/// Change at which the step is small enough.
const SETTLED: f64 = 1e-9;
/// Density below which nothing is gained.
const NOTHING: f64 = 1e-25;
/// Most points of a grid.
const MOST_POINTS: f64 = 1e8;

impl GaussianMixture {
    /// `E f(x)` for `x` at a level, by the trapezoid rule with steps that are halved until the result settles. The rule converges
    /// faster than any power of the step for smooth `f`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if that takes more than 1e8 points: the cost grows exponentially with the dimension.
    pub fn expect(&self, at: Level, mut f: impl FnMut(&[f64]) -> f64) -> Result<f64, Error> {
        let mut last = self.trapezoid(at, STEP, &mut f)?;
        for halving in 1..=HALVINGS {
            let next = self.trapezoid(at, STEP * 0.5f64.powi(halving), &mut f)?;
            if (next - last).abs() <= SETTLED * (1.0 + next.abs()) {
                return Ok(next);
            }
            last = next;
        }
        Ok(last)
    }

    fn trapezoid(&self, at: Level, step: f64, f: &mut impl FnMut(&[f64]) -> f64) -> Result<f64, Error> {
        let dim = self.dim;
        let spread = |v: f64| (at.alpha * at.alpha * v + at.sigma * at.sigma).sqrt();
        let least = self.parts.iter().map(|p| spread(p.variances.min())).fold(f64::INFINITY, f64::min);
        let step = step * least;
        let (mut low, mut counts, mut points) = (vec![0.0; dim], vec![0usize; dim], 1.0);
        for j in 0..dim {
            let of_part = |p: &super::Part| {
                let variance: f64 = (0..dim).map(|k| p.basis[(j, k)].powi(2) * p.variances[k]).sum();
                (at.alpha * p.mean[j], REACH * spread(variance))
            };
            let bounds = self.parts.iter().map(of_part);
            let (min, max) = bounds.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), (m, r)| (a.min(m - r), b.max(m + r)));
            low[j] = min;
            counts[j] = ((max - min) / step).ceil() as usize + 1;
            points *= counts[j] as f64;
        }
        if points.is_nan() || points > MOST_POINTS {
            return Err(Error::OutOfRange { name: "quadrature points", value: points, range: "at most 1e8" });
        }
        let (mut index, mut x) = (vec![0usize; dim], low.clone());
        let mut sum = 0.0;
        loop {
            let density = self.log_p(&x, at)[0].exp();
            // `f` may not be finite in far corners.
            if density > NOTHING {
                sum += density * f(&x);
            }
            let Some(j) = (0..dim).find(|&j| index[j] + 1 < counts[j]) else { break };
            index[j] += 1;
            index[..j].fill(0);
            for k in 0..=j {
                x[k] = low[k] + step * index[k] as f64;
            }
        }
        Ok(sum * step.powi(dim as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_exact() {
        let covs = vec![vec![vec![0.1, -0.06], vec![-0.06, 0.08]], vec![vec![0.5, 0.0], vec![0.0, 0.3]]];
        let mixture = GaussianMixture::new(vec![0.3, 0.7], vec![vec![1.0, -0.5], vec![-1.0, 2.0]], covs).unwrap();
        for at in [Level::vp(0.7), Level::clean(), Level::ve(3.0)] {
            let (mean, cov) = (mixture.mean(at), mixture.covariance(at));
            assert!((mixture.expect(at, |_| 1.0).unwrap() - 1.0).abs() < 1e-12);
            assert!((mixture.expect(at, |x| x[0]).unwrap() - mean[0]).abs() < 1e-12);
            let got = mixture.expect(at, |x| (x[0] - mean[0]) * (x[1] - mean[1])).unwrap();
            assert!((got - cov[1]).abs() < 1e-11, "{got} {}", cov[1]);
        }
    }

    #[test]
    fn too_many_dimensions_are_an_error() {
        let identity = (0..8).map(|i| (0..8).map(|j| f64::from(i == j)).collect()).collect();
        let mixture = GaussianMixture::new(vec![1.0], vec![vec![0.0; 8]], vec![identity]).unwrap();
        assert!(mixture.expect(Level::clean(), |_| 1.0).is_err());
    }
}
