//! The variational bound of a discrete reverse chain (Ho et al. 2020, eq. 5; Kingma et al. 2021, eq. 11), for every reverse variance.

use crate::{
    Error, Level,
    solver::{Reverse, check_nodes},
    variance::{ScoreMoments, gaussian_kl, optimal_variance},
};

/// Which variance the reverse steps have.
#[derive(Clone, Copy, Debug)]
pub enum ReverseVariance<'a> {
    /// That of `q(x_s | x_t, x0)`: no step pays for a wrong variance.
    Small,
    /// That of `q(x_t | x_s)`.
    Large,
    /// Analytic-DPM: the one of the least bound, from the score's moments.
    Analytic(&'a ScoreMoments),
    /// One for each step, from the noisiest on: learned, for example. Positive numbers.
    PerStep(&'a [f64]),
}

/// The parts of an upper bound of `E_q[-ln p(x_t0)]`, in nats. `p` is the model's density at the least noise `t0`.
#[derive(Clone, Debug, PartialEq)]
pub struct VariationalBound {
    /// `E KL(q(x_s | x_t, x0) || p(x_s | x_t))` of each step, from the noisiest on.
    pub steps: Vec<f64>,
    /// `E KL(q(x_T | x0) || N(0, prior_std^2 I))`.
    pub prior: f64,
    /// Entropy of `q(x_t0 | x0)`: `d/2 ln(2 pi e sigma^2)`.
    pub start: f64,
}

impl VariationalBound {
    /// The bound.
    pub fn total(&self) -> f64 {
        self.steps.iter().sum::<f64>() + self.prior + self.start
    }

    /// The bound in bits per dimension.
    pub fn bits_per_dim(&self, dim: usize) -> f64 {
        self.total() / (dim as f64 * std::f64::consts::LN_2)
    }
}

/// The bound of data of dimension `dim` with `E |x0|^2 = square` under the DDPM chain over `levels`, which go from the most noise to
/// the least and end before clean data.
///
/// `errors` holds `E |x0 - D(x_t)|^2` at each level that a step leaves, so one number less than there are levels. With the exact
/// denoiser and infinitely many steps every variance gives [`cross_entropy`](crate::latent::cross_entropy), whose conventions these are.
///
/// # Errors
/// [`Error::Grid`] for levels that no sampler can walk or a clean end; [`Error::OutOfRange`] for an error, a variance, `square` or
/// `prior_std` outside its range; [`Error::Invalid`] for counts that do not fit, or moments that are missing or where
/// `alpha = 0`.
pub fn variational_bound(
    levels: &[Level],
    errors: &[f64],
    dim: usize,
    square: f64,
    variance: ReverseVariance<'_>,
    prior_std: f64,
) -> Result<VariationalBound, Error> {
    check_nodes(levels)?;
    let (first, last) = (levels[0], levels[levels.len() - 1]);
    if last.is_clean() {
        return Err(Error::Grid { node: levels.len() - 1, reason: "the density of the bound is that of noisy data; end before sigma = 0" });
    }
    let fits = |what, found: usize| {
        let reason = || format!("{found} for {} steps", levels.len() - 1);
        if found == levels.len() - 1 { Ok(()) } else { Err(Error::Invalid { what, reason: reason() }) }
    };
    let within = |name, value: f64, ok: bool, range| {
        if ok && value.is_finite() { Ok(()) } else { Err(Error::OutOfRange { name, value, range }) }
    };
    fits("denoising errors", errors.len())?;
    within("dim", dim as f64, dim > 0, "1 or more")?;
    within("square", square, square >= 0.0, "0 or more")?;
    within("prior_std", prior_std, prior_std > 0.0, "a positive number")?;
    let d = dim as f64;
    let step = |i: usize| {
        let (from, to, error) = (levels[i], levels[i + 1], errors[i]);
        within("denoising error", error, error >= 0.0, "0 or more")?;
        let kernel = Reverse::between(from, to);
        let chosen = match variance {
            ReverseVariance::Small => kernel.variance,
            ReverseVariance::Large => kernel.forward_variance,
            ReverseVariance::PerStep(given) => given[i],
            ReverseVariance::Analytic(moments) => {
                let score = moments.mean_square_score(from).filter(|_| from.alpha > 0.0);
                let reason = || "the analytic variance needs complete moments and alpha > 0".to_owned();
                optimal_variance(
                    from,
                    to,
                    kernel.variance,
                    score.ok_or_else(|| Error::Invalid { what: "score moments", reason: reason() })?,
                )
            }
        };
        within("reverse variance", chosen, chosen > 0.0, "a positive number")?;
        // Both normals are isotropic, and their means differ by of_x0 (x0 - D).
        let of_means = 0.5 * kernel.of_x0 * kernel.of_x0 * error / chosen;
        Ok(d * gaussian_kl(0.0, kernel.variance.ln(), 0.0, chosen.ln()) + of_means)
    };
    if let ReverseVariance::PerStep(given) = variance {
        fits("reverse variances", given.len())?;
    }
    let steps = (0..errors.len()).map(step).collect::<Result<_, _>>()?;
    let share = (first.sigma / prior_std).powi(2);
    Ok(VariationalBound {
        steps,
        prior: 0.5 * ((first.alpha / prior_std).powi(2) * square + d * (share - 1.0 - share.ln())),
        start: 0.5 * d * (1.0 + (std::f64::consts::TAU * last.sigma * last.sigma).ln()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        latent::cross_entropy,
        loss::vlb_step,
        mixture::GaussianMixture,
        schedule::{LinearGamma, Schedule},
        variance::mean_square_score,
    };

    /// An anisotropic normal: no isotropic reverse variance is exact.
    fn normal() -> GaussianMixture {
        GaussianMixture::new(vec![1.0], vec![vec![0.4, -0.2]], vec![vec![vec![0.6, 0.1], vec![0.1, 0.15]]]).unwrap()
    }

    struct Setting {
        levels: Vec<Level>,
        errors: Vec<f64>,
        moments: ScoreMoments,
        square: f64,
        nll: f64,
    }

    /// Uniform steps in the log-SNR, everything else by quadrature.
    fn setting(data: &GaussianMixture, steps: usize) -> Setting {
        let levels: Vec<Level> = (0..=steps).map(|i| Level::vp_of_lambda(-4.5 + 6.5 * i as f64 / steps as f64)).collect();
        let d = data.dim();
        let error = |at: Level| data.expect(at, |x| data.cov_x0(x, at).iter().step_by(d + 1).sum()).unwrap();
        let rows: Vec<[f64; 3]> =
            levels[..steps].iter().rev().map(|&at| [at.alpha, at.sigma, at.sigma.powi(2) * mean_square_score(data, at).unwrap()]).collect();
        let last = levels[steps];
        Setting {
            errors: levels[..steps].iter().map(|&at| error(at)).collect(),
            moments: ScoreMoments::from_rows(&rows).unwrap(),
            square: data.expect(Level::clean(), |x| x.iter().map(|v| v * v).sum()).unwrap(),
            nll: data.expect(last, |x| -data.log_p(x, last)[0]).unwrap(),
            levels,
        }
    }

    impl Setting {
        fn bound(&self, dim: usize, variance: ReverseVariance<'_>) -> f64 {
            variational_bound(&self.levels, &self.errors, dim, self.square, variance, 1.0).unwrap().total()
        }
    }

    #[test]
    fn the_analytic_variance_gives_the_least_bound_and_all_lie_above_the_likelihood() {
        let data = normal();
        let mut gap = f64::INFINITY;
        for steps in [1, 2, 5, 20, 100, 400] {
            let case = setting(&data, steps);
            let [small, large] = [ReverseVariance::Small, ReverseVariance::Large].map(|v| case.bound(2, v));
            let best = case.bound(2, ReverseVariance::Analytic(&case.moments));
            assert!(best < small && best < large && best > case.nll, "{steps}: {best} {small} {large} {}", case.nll);
            assert!(best - case.nll < gap, "{steps}");
            gap = best - case.nll;
        }
        // What is left is the prior's mismatch, about exp(-9).
        assert!(gap < 2e-3, "{gap}");
    }

    /// The reverse of an isotropic normal is normal with one variance: the bound is the likelihood in any number of steps.
    #[test]
    fn the_bound_of_an_isotropic_normal_is_tight() {
        let data = GaussianMixture::new(vec![1.0], vec![vec![0.0; 2]], vec![vec![vec![0.3, 0.0], vec![0.0, 0.3]]]).unwrap();
        for steps in [1, 2, 7] {
            let case = setting(&data, steps);
            // With the data's own variance as the prior there is no mismatch either.
            let prior_std = (case.levels[0].alpha.powi(2) * 0.3 + case.levels[0].sigma.powi(2)).sqrt();
            let best = ReverseVariance::Analytic(&case.moments);
            let bound = variational_bound(&case.levels, &case.errors, 2, case.square, best, prior_std).unwrap();
            assert!((bound.total() - case.nll).abs() < 1e-9, "{steps}: {} {}", bound.total(), case.nll);
            assert!((bound.bits_per_dim(2) * 2.0 * std::f64::consts::LN_2 - bound.total()).abs() < 1e-12);
            assert!(case.bound(2, ReverseVariance::Small) > case.nll + 0.01 / steps as f64);
        }
    }

    #[test]
    fn the_small_variance_pays_for_means_alone_and_tends_to_the_continuous_bound() {
        let covs = vec![vec![vec![0.1]], vec![vec![0.05]]];
        let data = GaussianMixture::new(vec![0.3, 0.7], vec![vec![1.0], vec![-1.0]], covs).unwrap();
        let case = setting(&data, 2000);
        let bound = variational_bound(&case.levels, &case.errors, 1, case.square, ReverseVariance::Small, 1.0).unwrap();
        for (i, step) in bound.steps.iter().enumerate() {
            let expected = vlb_step(case.levels[i], case.levels[i + 1]) * case.errors[i];
            assert!((step / expected - 1.0).abs() < 1e-9, "{i}");
        }
        let schedule = LinearGamma::new(-4.0, 9.0).unwrap();
        assert!((schedule.level(0.0).lambda() - 2.0).abs() < 1e-12 && (schedule.level(1.0).lambda() + 4.5).abs() < 1e-12);
        let error = |at: Level| data.expect(at, |x| data.cov_x0(x, at)[0]).unwrap();
        let continuous = cross_entropy(&schedule, (0.0, 1.0), 200, 1, case.square, error).unwrap();
        assert!((bound.prior - continuous.prior).abs() < 1e-12 && (bound.start - continuous.start).abs() < 1e-12);
        assert!(bound.total() > continuous.total() && bound.total() < continuous.total() + 0.01);
        // The closed-form variances given by hand are the named ones.
        let given: Vec<f64> = case.levels.windows(2).map(|w| Reverse::between(w[0], w[1]).forward_variance).collect();
        assert_eq!(case.bound(1, ReverseVariance::PerStep(&given)), case.bound(1, ReverseVariance::Large));
    }

    #[test]
    fn what_makes_no_bound_is_refused() {
        let levels = [Level::vp(0.1), Level::vp(0.5), Level::vp(0.9)];
        let bound = |levels: &[Level], errors: &[f64], dim, square, variance: ReverseVariance<'_>, prior| {
            variational_bound(levels, errors, dim, square, variance, prior).is_err()
        };
        let errors = [0.2, 0.1];
        assert!(!bound(&levels, &errors, 1, 1.0, ReverseVariance::Large, 1.0));
        assert!(bound(&[Level::vp(0.1), Level::clean()], &[0.2], 1, 1.0, ReverseVariance::Small, 1.0));
        assert!(bound(&levels[..1], &[], 1, 1.0, ReverseVariance::Small, 1.0));
        assert!(bound(&levels, &[0.2], 1, 1.0, ReverseVariance::Small, 1.0));
        assert!(bound(&levels, &[0.2, f64::NAN], 1, 1.0, ReverseVariance::Small, 1.0));
        assert!(bound(&levels, &errors, 0, 1.0, ReverseVariance::Small, 1.0));
        assert!(bound(&levels, &errors, 1, -1.0, ReverseVariance::Small, 1.0));
        assert!(bound(&levels, &errors, 1, 1.0, ReverseVariance::Small, 0.0));
        assert!(bound(&levels, &errors, 1, 1.0, ReverseVariance::PerStep(&[0.1]), 1.0));
        assert!(bound(&levels, &errors, 1, 1.0, ReverseVariance::PerStep(&[0.1, 0.0]), 1.0));
        let empty = ScoreMoments::new(vec![Level::vp(0.5)]).unwrap();
        assert!(bound(&levels, &errors, 1, 1.0, ReverseVariance::Analytic(&empty), 1.0));
        let moments = ScoreMoments::from_rows(&[[0.7, 0.7, 0.5]]).unwrap();
        let noise = [Level::new(0.0, 1.0), Level::vp(0.5), Level::vp(0.9)];
        assert!(bound(&noise, &errors, 1, 1.0, ReverseVariance::Analytic(&moments), 1.0));
        assert!(!bound(&noise, &errors, 1, 1.0, ReverseVariance::Small, 1.0));
    }
}
