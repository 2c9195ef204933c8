//! Which times a batch is trained on.

use serde::{Deserialize, Serialize};

use crate::{
    Error, Philox,
    noise::{NoiseSource, stream},
    schedule::Schedule,
};

/// A distribution of training times by name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TimeSampler {
    /// Uniform over the schedule's span, rows independent.
    Uniform {},
    /// Uniform over the span, rows stratified: `(i + u) / n` (Kingma et al. 2021, appendix I.1).
    LowDiscrepancy {},
    /// Uniform in the half log-SNR over the span, rows stratified. It is the importance distribution of the likelihood weight `g^2`
    /// (Song et al. 2021, "Maximum likelihood training", section 5.1): that weight by [`TimeSampler::density_weight`] is a constant
    /// on `eps`, whatever the schedule (Kingma et al. 2021, eq. 18).
    UniformLambda {},
    /// `ln sigma ~ N(p_mean, p_std^2)` in variance exploding coordinates (Karras et al. 2022, table 1).
    LogNormal {
        /// Mean of `ln sigma`.
        p_mean: f64,
        /// Standard deviation of `ln sigma`.
        p_std: f64,
    },
    /// `logit t ~ N(mean, std^2)` over the span (Esser et al. 2024, eq. 19).
    LogitNormal {
        /// Mean of the logit.
        mean: f64,
        /// Standard deviation of the logit.
        std: f64,
    },
}

impl Default for TimeSampler {
    fn default() -> Self {
        Self::LowDiscrepancy {}
    }
}

impl TimeSampler {
    /// Refuses numbers that make no distribution.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a mean that is not finite or a standard deviation that is not positive.
    pub fn check(&self) -> Result<(), Error> {
        let (mean, std) = match *self {
            Self::LogNormal { p_mean, p_std } => (p_mean, p_std),
            Self::LogitNormal { mean, std } => (mean, std),
            _ => return Ok(()),
        };
        if !mean.is_finite() {
            return Err(Error::OutOfRange { name: "mean", value: mean, range: "a finite number" });
        }
        if !(std.is_finite() && std > 0.0) {
            return Err(Error::OutOfRange { name: "std", value: std, range: "a positive number" });
        }
        Ok(())
    }

    /// As [`TimeSampler::check`], and refuses a schedule that the distribution does not fit.
    ///
    /// # Errors
    /// Also [`Error::Invalid`] for a distribution uniform in `lambda` over a span in which `lambda` is infinite.
    pub fn check_with(&self, schedule: &dyn Schedule) -> Result<(), Error> {
        self.check()?;
        if let Self::UniformLambda {} = self {
            let (least, most) = schedule.span();
            for t in [least, most] {
                let lambda = schedule.level(t).lambda();
                if !lambda.is_finite() {
                    return Err(Error::Invalid {
                        what: "time sampler",
                        reason: format!(
                            "no time is uniform in lambda on a schedule whose lambda is {lambda} at t = {t}; use another sampler"
                        ),
                    });
                }
            }
        }
        Ok(())
    }

    /// What a row at time `t` is to be weighted by so that the expected loss is that of uniform times: one over the sampler's
    /// density there, relative to uniform. Times that [`TimeSampler::times`] moved to the ends of the span are outside that density.
    ///
    /// # Errors
    /// As [`TimeSampler::check_with`].
    pub fn density_weight(&self, schedule: &dyn Schedule, t: f64) -> Result<f64, Error> {
        self.check_with(schedule)?;
        let (least, most) = schedule.span();
        let at = schedule.level(t);
        // -d lambda / dt, from d alpha / dt = f alpha and d sigma^2 / dt = 2 f sigma^2 + g^2.
        let fall = |t: f64| 0.5 * schedule.g2(t) / (at.sigma * at.sigma);
        let normal = |x: f64, mean: f64, std: f64| (-0.5 * ((x - mean) / std).powi(2)).exp() / (std * std::f64::consts::TAU.sqrt());
        let density = match *self {
            Self::Uniform {} | Self::LowDiscrepancy {} => return Ok(1.0),
            Self::UniformLambda {} => fall(t) / (schedule.level(least).lambda() - schedule.level(most).lambda()),
            Self::LogNormal { p_mean, p_std } => fall(t) * normal(-at.lambda(), p_mean, p_std),
            Self::LogitNormal { mean, std } => {
                let share = (t - least) / (most - least);
                normal((share / (1.0 - share)).ln(), mean, std) / (share * (1.0 - share) * (most - least))
            }
        };
        Ok(1.0 / (density * (most - least)))
    }

    /// Times of a batch of `n` rows at training step `step`. Row `i` depends on the seed, the step and `i` (and on `n` for the
    /// stratified kinds alone). Levels outside the schedule's span are moved to its ends.
    ///
    /// Of a schedule that [`TimeSampler::check_with`] refuses all times are the end with the least noise.
    pub fn times(&self, schedule: &dyn Schedule, philox: Philox, step: u32, n: usize) -> Vec<f64> {
        let (least, most) = schedule.span();
        let normal = |i: usize| {
            let mut z = [0.0];
            philox.fill_f64(i as u32, step, stream::TIME, &mut z);
            z[0]
        };
        let first = philox.uniform(0, step, stream::TIME);
        let (high, low) = (schedule.level(least).lambda(), schedule.level(most).lambda());
        let time = |i: usize| match *self {
            Self::UniformLambda {} if !(high - low).is_finite() => least,
            Self::UniformLambda {} => schedule.t_of_lambda(high - (high - low) * ((i as f64 + first) / n as f64)).clamp(least, most),
            Self::Uniform {} => least + (most - least) * philox.uniform(i as u32, step, stream::TIME),
            Self::LowDiscrepancy {} => least + (most - least) * ((i as f64 + first) / n as f64),
            Self::LogNormal { p_mean, p_std } => schedule.t_of_lambda(-(p_mean + p_std * normal(i))).clamp(least, most),
            Self::LogitNormal { mean, std } => least + (most - least) / (1.0 + (-(mean + std * normal(i))).exp()),
        };
        (0..n).map(time).collect()
    }
}

/// Importance sampling of times by the recent losses there (Nichol & Dhariwal 2021, section 3.3).
///
/// The span is cut in equal bins; once each has its quota of losses, a bin is drawn in proportion to the root of its mean
/// squared loss, and the row is weighted by the inverse of that, so that the expected loss is unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossHistory {
    losses: Vec<Vec<f64>>,
    quota: usize,
}

impl LossHistory {
    /// Share of draws that stays uniform, so that no bin is forgotten.
    const UNIFORM_SHARE: f64 = 0.001;

    /// A history of `bins` bins with `quota` losses each (the paper keeps 10).
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless both are positive and their product is below a million.
    pub fn new(bins: usize, quota: usize) -> Result<Self, Error> {
        for (name, value) in [("bins", bins), ("quota", quota), ("bins", bins.saturating_mul(quota))] {
            if !(1..1_000_000).contains(&value) {
                return Err(Error::OutOfRange { name, value: value as f64, range: "positive and below a million" });
            }
        }
        Ok(Self { losses: vec![Vec::new(); bins], quota })
    }

    /// The losses of each bin, oldest first.
    pub fn bins(&self) -> &[Vec<f64>] {
        &self.losses
    }

    /// The losses of each bin, to be put back as [`LossHistory::bins`] gave them.
    pub fn bins_mut(&mut self) -> &mut [Vec<f64>] {
        &mut self.losses
    }

    /// Probability of each bin; uniform until every bin has its quota.
    pub fn probabilities(&self) -> Vec<f64> {
        let bins = self.losses.len() as f64;
        if self.losses.iter().any(|l| l.len() < self.quota) {
            return vec![1.0 / bins; self.losses.len()];
        }
        let root = |l: &Vec<f64>| (l.iter().map(|v| v * v).sum::<f64>() / l.len() as f64).sqrt();
        let roots: Vec<f64> = self.losses.iter().map(root).collect();
        let total: f64 = roots.iter().sum();
        let share = |r: &f64| if total > 0.0 { r / total } else { 1.0 / bins };
        roots.iter().map(|r| share(r) * (1.0 - Self::UNIFORM_SHARE) + Self::UNIFORM_SHARE / bins).collect()
    }

    /// Times of a batch of `n` rows and the weights that make up for their distribution.
    pub fn times(&self, schedule: &dyn Schedule, philox: Philox, step: u32, n: usize) -> (Vec<f64>, Vec<f64>) {
        let (least, most) = schedule.span();
        let probabilities = self.probabilities();
        let bins = probabilities.len() as f64;
        let draw = |i: usize| {
            let u = philox.uniform(i as u32, step, stream::TIME);
            let mut below = 0.0;
            let bin = probabilities.iter().position(|p| {
                below += p;
                u < below
            });
            let bin = bin.unwrap_or(probabilities.len() - 1);
            // What is left of `u` within its bin is uniform again.
            let within = 1.0 - ((below - u) / probabilities[bin]).clamp(0.0, 1.0);
            (least + (most - least) * (bin as f64 + within) / bins, 1.0 / (bins * probabilities[bin]))
        };
        (0..n).map(draw).unzip()
    }

    /// Takes in the unweighted losses of rows trained at `times`; a loss that is not finite is ignored.
    pub fn update(&mut self, schedule: &dyn Schedule, times: &[f64], losses: &[f64]) {
        let (least, most) = schedule.span();
        let bins = self.losses.len();
        for (t, loss) in times.iter().zip(losses).filter(|(_, l)| l.is_finite()) {
            let bin = ((t - least) / (most - least) * bins as f64).clamp(0.0, bins as f64 - 1.0) as usize;
            let kept = &mut self.losses[bin];
            if kept.len() == self.quota {
                kept.remove(0);
            }
            kept.push(*loss);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Edm, Flow, LinearGamma, SubVp, Table, Ve, Vp, VpCosine, betas};
    use crate::{Param, loss::Weight};

    #[test]
    fn stratified_times_fill_every_stratum() {
        let schedule = Flow::new(1.0).unwrap();
        let times = TimeSampler::LowDiscrepancy {}.times(&schedule, Philox::new(4), 3, 16);
        assert!(times.iter().enumerate().all(|(i, t)| (t * 16.0).floor() as usize == i));
        assert_ne!(times, TimeSampler::LowDiscrepancy {}.times(&schedule, Philox::new(4), 4, 16));
    }

    #[test]
    fn a_row_does_not_depend_on_the_batch() {
        let schedule = Vp::new(0.1, 20.0).unwrap();
        for kind in
            [TimeSampler::Uniform {}, TimeSampler::LogNormal { p_mean: -1.2, p_std: 1.2 }, TimeSampler::LogitNormal { mean: 0.0, std: 1.0 }]
        {
            let (small, large) = (kind.times(&schedule, Philox::new(1), 0, 5), kind.times(&schedule, Philox::new(1), 0, 50));
            assert_eq!(small, large[..5]);
            assert!(large.iter().all(|t| (1e-3..=1.0).contains(t)));
        }
    }

    #[test]
    fn log_normal_levels_have_their_moments() {
        let schedule = Edm::new(1e-9, 1e9).unwrap();
        let times = TimeSampler::LogNormal { p_mean: -1.2, p_std: 1.2 }.times(&schedule, Philox::new(8), 0, 40_000);
        let mean = times.iter().map(|t| t.ln()).sum::<f64>() / 40_000.0;
        let var = times.iter().map(|t| (t.ln() - mean).powi(2)).sum::<f64>() / 40_000.0;
        // Five standard errors.
        assert!((mean + 1.2).abs() < 5.0 * 1.2 / 200.0 && (var / 1.44 - 1.0).abs() < 5.0 * (2f64 / 40_000.0).sqrt());
    }

    /// `E[weight f(t)]` is the mean of `f` over the span, whatever the schedule.
    #[test]
    fn density_weights_make_up_for_the_density() {
        let schedules: [&dyn Schedule; 6] = [
            &Vp::new(0.1, 20.0).unwrap(),
            &SubVp::new(0.1, 20.0).unwrap(),
            &Ve::new(0.01, 50.0).unwrap(),
            &Edm::new(0.5, 8.0).unwrap(),
            &LinearGamma::new(-6.0, 6.0).unwrap(),
            &Table::from_betas(&betas::linear(1e-3, 0.2, 100)).unwrap(),
        ];
        let n = 100_000;
        for (k, schedule) in schedules.into_iter().enumerate() {
            let (least, most) = schedule.span();
            let f = |t: f64| 1.0 + ((t - least) / (most - least)).powi(2);
            for sampler in [TimeSampler::UniformLambda {}, TimeSampler::LogitNormal { mean: 0.3, std: 2.0 }] {
                let times = sampler.times(schedule, Philox::new(3), 0, n);
                let of = |t: &f64| sampler.density_weight(schedule, *t).unwrap() * f(*t);
                let mean = times.iter().map(of).sum::<f64>() / n as f64;
                assert!((mean / (4.0 / 3.0) - 1.0).abs() < 0.02, "schedule {k}, {sampler:?}: {mean}");
            }
            // What is left of the likelihood weight is the same at all times: twice the span's lambda over its length.
            let sampler = TimeSampler::UniformLambda {};
            for t in [0.21, 0.77].map(|u| least + (most - least) * u) {
                let at = schedule.level(t);
                let of_eps = sampler.density_weight(schedule, t).unwrap() * Weight::Likelihood.factor(Param::Eps, at, schedule.g2(t));
                let range = schedule.level(least).lambda() - schedule.level(most).lambda();
                assert!((of_eps * (most - least) / (2.0 * range) - 1.0).abs() < 1e-9, "schedule {k} at {t}");
            }
        }
        // A density sums to 1: log-normal levels, by the midpoint rule over the span.
        let (edm, sampler) = (Edm::new(1e-3, 80.0).unwrap(), TimeSampler::LogNormal { p_mean: -1.2, p_std: 1.2 });
        let step = (80.0 - 1e-3) / 1e6;
        let density = |i: usize| 1.0 / sampler.density_weight(&edm, 1e-3 + step * (i as f64 + 0.5)).unwrap();
        let total = (0..1_000_000).map(density).sum::<f64>() / 1e6;
        assert!((total - 1.0).abs() < 1e-3, "{total}");
        assert_eq!(TimeSampler::Uniform {}.density_weight(&edm, 3.0).unwrap(), 1.0);
    }

    #[test]
    fn uniform_lambda_fills_its_strata_and_needs_a_finite_span() {
        let schedule = Vp::new(0.1, 20.0).unwrap();
        let sampler = TimeSampler::UniformLambda {};
        let (high, low) = (schedule.level(1e-3).lambda(), schedule.level(1.0).lambda());
        for (i, t) in sampler.times(&schedule, Philox::new(4), 3, 16).into_iter().enumerate() {
            assert_eq!(((high - schedule.level(t).lambda()) / (high - low) * 16.0).floor() as usize, i);
        }
        for endless in [&Flow::new(1.0).unwrap() as &dyn Schedule, &VpCosine::new(0.008).unwrap()] {
            let message = sampler.check_with(endless).unwrap_err().to_string();
            assert!(message.contains("inf"), "{message}");
            assert!(sampler.density_weight(endless, 0.5).is_err() && TimeSampler::Uniform {}.check_with(endless).is_ok());
            assert!(sampler.times(endless, Philox::new(4), 3, 4).iter().all(|t| t.is_finite()));
        }
    }

    #[test]
    fn importance_weights_keep_the_mean() {
        let schedule = Flow::new(1.0).unwrap();
        let mut history = LossHistory::new(4, 2).unwrap();
        let loss = |t: f64| 0.1 + 5.0 * t * t;
        assert_eq!(history.probabilities(), [0.25; 4]);
        for _ in 0..2 {
            let times = [0.1, 0.3, 0.6, 0.9];
            history.update(&schedule, &times, &times.map(loss));
        }
        assert!(history.probabilities().windows(2).all(|w| w[1] > w[0]));
        assert!((history.probabilities().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let n = 200_000;
        let (times, weights) = history.times(&schedule, Philox::new(5), 0, n);
        let mean = times.iter().zip(&weights).map(|(t, w)| w * loss(*t)).sum::<f64>() / n as f64;
        assert!((mean / (0.1 + 5.0 / 3.0) - 1.0).abs() < 0.01, "{mean}");
        history.update(&schedule, &[0.5], &[f64::NAN]);
        assert!(history.probabilities().iter().all(|p| p.is_finite()));
    }
}
