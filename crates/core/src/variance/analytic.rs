//! Analytic-DPM (Bao et al. 2022): the reverse variance that fits the data best, from one moment of the score.

use serde::{Deserialize, Serialize};

use crate::{Error, Level, mixture::GaussianMixture};

/// `E |score|^2 / d` of a mixture at a level, by quadrature.
///
/// # Errors
/// As [`GaussianMixture::expect`].
pub fn mean_square_score(mixture: &GaussianMixture, at: Level) -> Result<f64, Error> {
    let square = |x: &[f64]| mixture.score(x, at).iter().map(|s| s * s).sum::<f64>();
    Ok(mixture.expect(at, square)? / mixture.dim() as f64)
}

/// The best variance of a reverse step from `from` to the cleaner `to`, given `E |score|^2 / d` at `from` (Bao et al. 2022, theorem 1):
///
/// `lambda^2 + (sigma_t / r - sqrt(sigma_s^2 - lambda^2))^2 (1 - sigma_t^2 E|score|^2 / d)` with `r = alpha_t / alpha_s`.
///
/// `lambda^2` is the variance that the sampler draws anyway: [`Reverse::variance`](crate::solver::Reverse) for DDPM, 0 for DDIM.
/// A moment estimated from few samples may leave its range `[0, 1 / sigma_t^2]`; it is moved back.
pub fn optimal_variance(from: Level, to: Level, lambda2: f64, mean_square_score: f64) -> f64 {
    let ratio = from.alpha / to.alpha;
    let gap = from.sigma / ratio - (to.sigma * to.sigma - lambda2).max(0.0).sqrt();
    let left = (1.0 - from.sigma * from.sigma * mean_square_score).clamp(0.0, 1.0);
    lambda2 + gap * gap * left
}

/// Second moments of a network's score, estimated once over the data and kept in its checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreMoments {
    levels: Vec<Level>,
    /// Sums of `sigma^2 |score|^2 = |eps|^2`, and numbers of values in them.
    sums: Vec<(f64, u64)>,
}

impl ScoreMoments {
    /// Empty moments for levels of falling `lambda`, at least one of them, all noisy.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no level, one is not valid or clean, or they are out of order.
    pub fn new(levels: Vec<Level>) -> Result<Self, Error> {
        let wrong = levels.is_empty()
            || levels.iter().any(|l| !l.is_valid() || l.is_clean())
            || levels.windows(2).any(|w| w[1].lambda() >= w[0].lambda());
        if wrong {
            return Err(Error::Invalid { what: "levels of moments", reason: "they should be noisy and rise in noise".into() });
        }
        let sums = vec![(0.0, 0); levels.len()];
        Ok(Self { levels, sums })
    }

    /// Takes in estimates of `eps` at the level with index `i`. An index that does not exist or a value that is not finite is
    /// ignored.
    pub fn add(&mut self, i: usize, eps: &[f64]) {
        if let Some((sum, count)) = self.sums.get_mut(i) {
            for e in eps.iter().filter(|e| e.is_finite()) {
                *sum += e * e;
                *count += 1;
            }
        }
    }

    /// Whether every level has a value, so that [`ScoreMoments::mean_square_score`] is known everywhere.
    pub fn is_complete(&self) -> bool {
        self.sums.iter().all(|(_, count)| *count > 0)
    }

    /// The moments as plain numbers, for a tensor of a checkpoint: a row `[alpha, sigma, E|eps|^2 / d]` a level, rising in noise.
    /// Levels without a value are left out.
    pub fn to_rows(&self) -> Vec<[f64; 3]> {
        let known = self.levels.iter().zip(&self.sums).filter(|(_, (_, count))| *count > 0);
        known.map(|(at, (sum, count))| [at.alpha, at.sigma, sum / *count as f64]).collect()
    }

    /// The moments of the rows that [`ScoreMoments::to_rows`] made. Values added to them weigh as if one had been added before.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a moment that is negative or not finite, or as [`ScoreMoments::new`].
    pub fn from_rows(rows: &[[f64; 3]]) -> Result<Self, Error> {
        let mut moments = Self::new(rows.iter().map(|row| Level::new(row[0], row[1])).collect())?;
        for (i, (sum, row)) in moments.sums.iter_mut().zip(rows).enumerate() {
            if !(row[2].is_finite() && row[2] >= 0.0) {
                return Err(Error::Invalid { what: "score moments", reason: format!("row {i} has the mean square {}", row[2]) });
            }
            *sum = (row[2], 1);
        }
        Ok(moments)
    }

    /// `E |score|^2 / d` at a level, by linear interpolation of `sigma^2 E|score|^2 / d` in `lambda` and its end beyond the ends;
    /// none before any value of the neighbouring levels was added.
    pub fn mean_square_score(&self, at: Level) -> Option<f64> {
        let mean = |i: usize| self.sums.get(i).filter(|(_, n)| *n > 0).map(|(sum, n)| sum / *n as f64);
        let above = self.levels.partition_point(|l| l.lambda() > at.lambda());
        let eps2 = if above == 0 {
            mean(0)?
        } else if above == self.levels.len() {
            mean(above - 1)?
        } else {
            let (a, b) = (self.levels[above - 1].lambda(), self.levels[above].lambda());
            let share = if b.is_finite() { (a - at.lambda()) / (a - b) } else { f64::from(at.lambda() == b) };
            mean(above - 1)? * (1.0 - share) + mean(above)? * share
        };
        Some(eps2 / (at.sigma * at.sigma))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NoiseSource, Philox, State, solver::Reverse};

    #[test]
    fn the_best_variance_of_a_normal_is_exact_and_within_its_bounds() {
        // x0 ~ N(0, v): the reverse kernel is normal with a variance that follows from the joint of x_s and x_t.
        let v = 0.3;
        let (t, s) = (Level::vp(0.4), Level::vp(0.7));
        let (vt, vs) = (t.alpha.powi(2) * v + t.sigma.powi(2), s.alpha.powi(2) * v + s.sigma.powi(2));
        let exact = vs - (t.alpha / s.alpha * vs).powi(2) / vt;
        let kernel = Reverse::between(t, s);
        let got = optimal_variance(t, s, kernel.variance, 1.0 / vt);
        assert!((got - exact).abs() < 1e-14);
        let upper = kernel.forward_variance * (s.alpha / t.alpha).powi(2);
        assert!(got > kernel.variance && got < upper);
        assert_eq!(optimal_variance(t, s, kernel.variance, 1e9), kernel.variance);
    }

    #[test]
    fn moments_are_estimated_and_kept() {
        let mixture = GaussianMixture::new(vec![1.0], vec![vec![0.0]], vec![vec![vec![0.3]]]).unwrap();
        let levels = vec![Level::vp(0.9), Level::vp(0.5), Level::vp(0.1)];
        let mut moments = ScoreMoments::new(levels.clone()).unwrap();
        assert_eq!(moments.mean_square_score(levels[0]), None);
        let n = 50_000;
        let (x0, _) = mixture.sample(&Philox::new(1), n, 0, 0);
        let mut z = vec![0.0; n];
        Philox::new(1).fill_f64(0, 0, 1, &mut z);
        for (i, &at) in levels.iter().enumerate() {
            let x = Vec::lincomb(&[(at.alpha, &x0), (at.sigma, &z)]);
            let eps: Vec<f64> = mixture.score(&x, at).iter().map(|s| -at.sigma * s).collect();
            moments.add(i, &eps);
            let got = moments.mean_square_score(at).unwrap();
            assert!((got / mean_square_score(&mixture, at).unwrap() - 1.0).abs() < 0.03);
        }
        moments.add(7, &[1.0]);
        moments.add(0, &[f64::NAN]);
        let rows = moments.to_rows();
        let back = ScoreMoments::from_rows(&rows).unwrap();
        assert_eq!(back.to_rows(), rows);
        for abar in [0.99, 0.9, 0.6, 0.3, 0.1, 0.001] {
            assert_eq!(back.mean_square_score(Level::vp(abar)), moments.mean_square_score(Level::vp(abar)));
        }
        let text = serde_json::to_string(&moments).unwrap();
        assert_eq!(serde_json::from_str::<ScoreMoments>(&text).unwrap(), moments);
        assert!(moments.mean_square_score(Level::vp(0.7)).is_some_and(f64::is_finite));
        let mut partial = ScoreMoments::new(levels).unwrap();
        partial.add(1, &[2.0]);
        assert!(moments.is_complete() && !partial.is_complete() && ScoreMoments::from_rows(&partial.to_rows()).unwrap().is_complete());
        for bad in [vec![], vec![[0.1, 1.0, f64::NAN]], vec![[0.1, 1.0, -0.1]], vec![[0.1, 1.0, 0.9], [0.9, 0.1, 0.5]]] {
            assert!(ScoreMoments::from_rows(&bad).is_err(), "{bad:?}");
        }
        assert!(ScoreMoments::new(vec![Level::vp(0.1), Level::vp(0.5)]).is_err() && ScoreMoments::new(vec![]).is_err());
    }
}
