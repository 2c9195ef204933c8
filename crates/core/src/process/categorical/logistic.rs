//! Probabilities of ordered classes from a location and a scale.

use crate::special::log_sigmoid;

/// Logits of `classes` ordered classes under a logistic on `[-1, 1]`, cut into equal bins (Austin et al. 2021, appendix A.8).
///
/// `loc` and `log_scale` are in those units; the scale is `exp(log_scale - 2)`. The `1e-6` of the official code keeps the logarithm
/// finite where a bin is empty. A softmax of the logits makes them probabilities.
pub fn truncated_logistic(loc: f64, log_scale: f64, classes: usize) -> Vec<f64> {
    const EPS: f64 = 1e-6;
    let inverse = (2.0 - log_scale).exp();
    let width = 2.0 / classes.saturating_sub(1).max(1) as f64;
    let logit = |i: usize| {
        let centre = -1.0 + i as f64 * width - loc;
        let (low, high) = (log_sigmoid(inverse * (centre - 0.5 * width)), log_sigmoid(inverse * (centre + 0.5 * width)));
        high + (EPS - (low - high).exp()).ln_1p()
    };
    (0..classes).map(logit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_the_logistic() {
        let logits = truncated_logistic(0.1, 0.0, 64);
        let cdf = |x: f64| 1.0 / (1.0 + (-2f64.exp() * (x - 0.1)).exp());
        for (i, l) in logits.iter().enumerate() {
            let centre = -1.0 + 2.0 * i as f64 / 63.0;
            let exact = cdf(centre + 1.0 / 63.0) - cdf(centre - 1.0 / 63.0);
            assert!((l.exp() - exact).abs() < 2e-6, "{i}");
        }
        assert!(truncated_logistic(40.0, -6.0, 8).iter().all(|l| l.is_finite()));
    }
}
