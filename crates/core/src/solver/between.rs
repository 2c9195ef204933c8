//! Levels between two nodes, for methods that evaluate inside a step.

use crate::Level;

/// The level with a given `sigma / alpha`, on the curve that both ends lie on: constant `alpha` (variance exploding),
/// `alpha^2 + sigma^2 = 1` (variance preserving), `alpha + sigma = 1` (flow); else `alpha` is geometric in `sigma / alpha`.
pub(crate) fn level_between(from: Level, to: Level, ve_sigma: f64) -> Level {
    let same = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    let both = |f: fn(Level) -> f64| same(f(from), 1.0) && same(f(to), 1.0);
    let alpha = if same(from.alpha, to.alpha) {
        from.alpha
    } else if both(|l| l.alpha.hypot(l.sigma)) {
        1.0 / 1f64.hypot(ve_sigma)
    } else if both(|l| l.alpha + l.sigma) {
        1.0 / (1.0 + ve_sigma)
    } else {
        let u = (ve_sigma / from.ve_sigma()).ln() / (to.ve_sigma() / from.ve_sigma()).ln();
        from.alpha * (to.alpha / from.alpha).powf(u)
    };
    Level::new(alpha, alpha * ve_sigma)
}

/// The middle of a step in the half log-SNR.
pub(super) fn midpoint(from: Level, to: Level) -> Level {
    level_between(from, to, (from.ve_sigma() * to.ve_sigma()).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_between_stays_on_the_curve_of_its_ends() {
        let mid = midpoint(Level::vp(0.1), Level::vp(0.9));
        assert!((mid.alpha.hypot(mid.sigma) - 1.0).abs() < 1e-15 && mid.lambda().abs() < 1e-15);
        assert_eq!(midpoint(Level::ve(8.0), Level::ve(2.0)), Level::ve(4.0));
        let mid = midpoint(Level::flow(0.8), Level::flow(0.2));
        assert!((mid.alpha + mid.sigma - 1.0).abs() < 1e-15 && (mid.sigma - 0.5).abs() < 1e-15);
        // Ends on no common curve: still between them.
        let mid = midpoint(Level::new(0.5, 1.0), Level::new(0.9, 0.2));
        assert!(mid.alpha > 0.5 && mid.alpha < 0.9);
    }
}
