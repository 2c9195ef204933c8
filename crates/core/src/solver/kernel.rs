//! The Gaussian kernels between two levels of one process: what every ancestral step is made of.

use crate::Level;

/// The reverse kernel `q(x_s | x_t, x0) = N(of_x x_t + of_x0 x0, variance)` (Ho et al. 2020, eq. 7; any levels: Kingma et al. 2021,
/// appendix A.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reverse {
    /// Factor of the noisier state.
    pub of_x: f64,
    /// Factor of the clean data.
    pub of_x0: f64,
    /// Variance of the reverse kernel.
    pub variance: f64,
    /// Variance of the forward kernel `q(x_t | x_s)`.
    pub forward_variance: f64,
}

impl Reverse {
    /// The kernel from the level `from` to the cleaner level `to`.
    pub fn between(from: Level, to: Level) -> Self {
        let ratio = from.alpha / to.alpha;
        let (noise, kept) = (from.sigma * from.sigma, ratio * ratio * to.sigma * to.sigma);
        // Both levels of a noiseless or reversed pair would give a tiny negative number by rounding.
        let forward_variance = (noise - kept).max(0.0);
        let shrink = to.sigma * to.sigma / noise;
        Self { of_x: ratio * shrink, of_x0: to.alpha * forward_variance / noise, variance: forward_variance * shrink, forward_variance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reverse_kernel_follows_bayes_rule() {
        // p(x_s) = N(as x0, ss^2), p(x_t | x_s) = N(r x_s, v): precision and mean of the product, by hand.
        let (t, s) = (Level::vp(0.2), Level::new(0.9, 0.7));
        let r = t.alpha / s.alpha;
        let v = t.sigma.powi(2) - r * r * s.sigma.powi(2);
        let precision = 1.0 / s.sigma.powi(2) + r * r / v;
        let (x, x0) = (0.3, -1.1);
        let mean = (s.alpha * x0 / s.sigma.powi(2) + r * x / v) / precision;
        let kernel = Reverse::between(t, s);
        assert!((kernel.variance - 1.0 / precision).abs() < 1e-14);
        assert!((kernel.of_x * x + kernel.of_x0 * x0 - mean).abs() < 1e-14);
        assert!((kernel.forward_variance - v).abs() < 1e-15);
    }

    #[test]
    fn the_last_kernel_is_the_estimate() {
        let kernel = Reverse::between(Level::vp(0.9), Level::clean());
        assert_eq!((kernel.of_x, kernel.variance), (0.0, 0.0));
        assert!((kernel.of_x0 - 1.0).abs() < 1e-15);
    }
}
