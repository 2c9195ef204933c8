//! Learned reverse variance and the terms of its variational bound (Nichol & Dhariwal 2021, section 3.1).

use crate::{solver::Reverse, special::normal_between};

/// `ln variance` for a network's output `v` in `[-1, 1]`, between the kernel's own variance and that of the forward step (eq. 15).
///
/// Towards clean data the kernel's variance is 0, whose logarithm is not finite; pass the first noisy pair's kernel as `least`
/// there, as the paper's clipping does.
pub fn interpolated_log_variance(v: f64, kernel: Reverse, least: f64) -> f64 {
    let share = 0.5 * (v + 1.0);
    share * kernel.forward_variance.ln() + (1.0 - share) * kernel.variance.max(least).ln()
}

/// Divergence of two normals of one dimension in nats, `KL(N(mean_q, exp(log_var_q)) || N(mean_p, exp(log_var_p)))`.
pub fn gaussian_kl(mean_q: f64, log_var_q: f64, mean_p: f64, log_var_p: f64) -> f64 {
    let ratio = log_var_q - log_var_p;
    0.5 * (ratio.exp_m1() - ratio + (mean_q - mean_p).powi(2) * (-log_var_p).exp())
}

/// `ln` of the probability that a normal gives to the bin of half width `half` around `x`, in nats (Ho et al. 2020, eq. 13).
///
/// Bins at the ends of `[-1, 1]` reach to infinity. The probability is at least `1e-12`, as in the reference code of both papers.
pub fn discretised_log_likelihood(x: f64, mean: f64, log_scale: f64, half: f64) -> f64 {
    let inverse = (-log_scale).exp();
    let low = if x < -1.0 + 0.5 * half { f64::NEG_INFINITY } else { (x - half - mean) * inverse };
    let high = if x > 1.0 - 0.5 * half { f64::INFINITY } else { (x + half - mean) * inverse };
    normal_between(low, high).max(1e-12).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;

    #[test]
    fn ends_of_the_range_are_the_two_fixed_variances() {
        let kernel = Reverse::between(Level::vp(0.3), Level::vp(0.5));
        assert!((interpolated_log_variance(1.0, kernel, 0.0) - kernel.forward_variance.ln()).abs() < 1e-15);
        assert!((interpolated_log_variance(-1.0, kernel, 0.0) - kernel.variance.ln()).abs() < 1e-15);
        let last = Reverse::between(Level::vp(0.3), Level::clean());
        assert!(interpolated_log_variance(0.0, last, 1e-6).is_finite());
    }

    #[test]
    fn divergences_are_right_and_keep_their_precision() {
        // KL(N(1, 4) || N(0, 1)) = (4 + 1 - 1 - ln 4) / 2.
        assert!((gaussian_kl(1.0, 4f64.ln(), 0.0, 0.0) - (4.0 - 4f64.ln()) / 2.0).abs() < 1e-14);
        assert_eq!(gaussian_kl(0.3, -1.2, 0.3, -1.2), 0.0);
        // Close variances: KL = delta^2 / 4 to leading order.
        assert!((gaussian_kl(0.0, 1e-5, 0.0, 0.0) / 2.5e-11 - 1.0).abs() < 1e-4);
    }

    #[test]
    fn bins_fill_the_line() {
        let (half, mean, log_scale) = (1.0 / 255.0, 0.2, -1.0);
        let total: f64 = (0..256).map(|i| discretised_log_likelihood(-1.0 + 2.0 * f64::from(i) * half, mean, log_scale, half).exp()).sum();
        assert!((total - 1.0).abs() < 1e-9, "{total}");
        assert_eq!(discretised_log_likelihood(0.9, -0.9, -5.0, half), 1e-12f64.ln());
    }
}
