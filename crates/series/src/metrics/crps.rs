//! The continuous ranked probability score, a proper score of a whole forecast distribution in the units of the value.
//!
//! `CRPS(F, y) = E|X - y| - E|X - X'| / 2` with `X, X'` independent from `F` (Eq. 21, Gneiting and Raftery 2007), which is also twice the
//! integral of the pinball loss over all levels. Of a forecast that is one number it is the absolute error.

use super::bands::pinball;

/// CRPS of the distribution that has its mass on the samples: the `V`-statistic of the energy form. `None` without samples.
#[must_use]
pub fn crps_ensemble(truth: f64, samples: &[f64]) -> Option<f64> {
    let n = samples.len() as f64;
    (!samples.is_empty()).then(|| distance(truth, samples) - differences(samples) / (n * n))
}

/// CRPS of the distribution that the samples were drawn from: the `U`-statistic of the energy form, whose expectation does not depend on
/// the number of samples (Ferro 2014, "Fair scores for ensemble forecasts"). One cell's may be below 0. `None` of less than 2 samples.
#[must_use]
pub fn crps_fair(truth: f64, samples: &[f64]) -> Option<f64> {
    let n = samples.len() as f64;
    (samples.len() > 1).then(|| distance(truth, samples) - differences(samples) / (n * (n - 1.0)))
}

/// CRPS from quantiles: twice the mean pinball loss over the levels. This is what CSDI (arXiv:2107.03502, Appendix) and TSI-Bench compute at levels
/// .05, .10, .. .95, before they divide by the mean absolute truth. Other levels give other numbers: compare like with like. `None`
/// without levels.
///
/// # Panics
/// When there are not as many quantiles as levels.
#[must_use]
pub fn crps_quantiles(truth: f64, levels: &[f64], quantiles: &[f64]) -> Option<f64> {
    assert_eq!(levels.len(), quantiles.len(), "one quantile for each level");
    let sum: f64 = levels.iter().zip(quantiles).map(|(level, quantile)| pinball(truth, *level, *quantile)).sum();
    (!levels.is_empty()).then(|| 2.0 * sum / levels.len() as f64)
}

/// Mean absolute distance to the truth.
fn distance(truth: f64, samples: &[f64]) -> f64 {
    samples.iter().map(|x| (x - truth).abs()).sum::<f64>() / samples.len() as f64
}

/// Sum of `|x_i - x_j|` over pairs `i < j`: in order, the k-th of n values (from 0) is added k times and taken away n - 1 - k times.
fn differences(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() as f64 - 1.0;
    sorted.iter().enumerate().map(|(k, x)| (2.0 * k as f64 - last) * x).sum()
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;

    use super::*;

    /// Quantile of the logistic distribution.
    fn logistic(level: f64) -> f64 {
        (level / (1.0 - level)).ln()
    }

    /// Levels in the middle of `n` equal parts of 0..1.
    fn middles(n: usize) -> Vec<f64> {
        (0..n).map(|k| (k as f64 + 0.5) / n as f64).collect()
    }

    #[test]
    fn by_hand() {
        // |0 - 1|, |3 - 1|: mean 1.5; E|X - X'| is 3/2 with repetition, 3 without.
        assert_eq!(crps_ensemble(1.0, &[0.0, 3.0]), Some(0.75));
        assert_eq!(crps_fair(1.0, &[0.0, 3.0]), Some(0.0));
        assert_eq!(crps_ensemble(1.0, &[4.0]), Some(3.0));
        assert_eq!((crps_fair(1.0, &[4.0]), crps_ensemble(1.0, &[])), (None, None));
        assert_eq!(crps_quantiles(1.0, &[0.5], &[4.0]), Some(3.0));
        // Pinball of level 1/4 at 0: 1/4 * 1; of level 3/4 at 3: 1/4 * 2.
        assert_eq!(crps_quantiles(1.0, &[0.25, 0.75], &[0.0, 3.0]), Some(0.75));
        assert_eq!(crps_quantiles(1.0, &[], &[]), None);
    }

    #[test]
    fn closed_form_of_the_logistic() {
        // CRPS of the standard logistic at y: y - 2 ln(F(y)) - 1.
        let levels = middles(4000);
        let samples: Vec<f64> = levels.iter().map(|l| logistic(*l)).collect();
        for y in [-3.0f64, 0.0, 0.7, 4.0] {
            let exact = y + 2.0 * (1.0f64 + (-y).exp()).ln() - 1.0;
            assert_abs_diff_eq!(crps_ensemble(y, &samples).unwrap(), exact, epsilon = 2e-3);
            assert_abs_diff_eq!(crps_quantiles(y, &levels, &samples).unwrap(), exact, epsilon = 2e-3);
        }
    }

    proptest! {
        #[test]
        fn same_as_all_pairs(truth in -5.0..5.0f64, samples in prop::collection::vec(-5.0..5.0f64, 2..20)) {
            let n = samples.len() as f64;
            let near: f64 = samples.iter().map(|x| (x - truth).abs()).sum::<f64>() / n;
            let apart: f64 = samples.iter().flat_map(|x| samples.iter().map(move |y| (x - y).abs())).sum();
            prop_assert!((crps_ensemble(truth, &samples).unwrap() - (near - 0.5 * apart / (n * n))).abs() < 1e-12);
            prop_assert!((crps_fair(truth, &samples).unwrap() - (near - 0.5 * apart / (n * (n - 1.0)))).abs() < 1e-12);
        }

        #[test]
        fn twice_the_pinball_at_the_middles_is_the_energy_form(truth in -5.0..5.0f64, mut samples in prop::collection::vec(-5.0..5.0f64, 1..20)) {
            samples.sort_by(f64::total_cmp);
            let by_quantiles = crps_quantiles(truth, &middles(samples.len()), &samples).unwrap();
            prop_assert!((by_quantiles - crps_ensemble(truth, &samples).unwrap()).abs() < 1e-12);
        }

        /// No forecast beats the distribution that the truth comes from.
        #[test]
        fn proper(shift in -2.0..2.0f64, log_width in -1.5..1.5f64) {
            let levels = middles(200);
            let truths: Vec<f64> = levels.iter().map(|l| logistic(*l)).collect();
            let forecast: Vec<f64> = truths.iter().map(|q| shift + q * log_width.exp()).collect();
            let mean = |f: &dyn Fn(f64) -> f64| truths.iter().map(|t| f(*t)).sum::<f64>() / truths.len() as f64;
            let energy = |q: &[f64]| mean(&|t| crps_ensemble(t, q).unwrap());
            let quantiles = |q: &[f64]| mean(&|t| crps_quantiles(t, &levels, q).unwrap());
            prop_assert!(energy(&forecast) >= energy(&truths) - 1e-9);
            prop_assert!(quantiles(&forecast) >= quantiles(&truths) - 1e-9);
        }
    }

    #[test]
    fn fair_does_not_depend_on_the_number_of_samples() {
        // All pairs and all triples of a small population have the same mean fair score; the ensemble's falls with the number.
        let population = [-1.0, 0.0, 0.5, 2.0, 3.5];
        let mean = |n: usize, score: fn(f64, &[f64]) -> Option<f64>| {
            let chosen = (0..32u32).filter(|bits| bits.count_ones() as usize == n);
            let subset = |bits: u32| (0..5).filter(|k| bits >> k & 1 == 1).map(|k| population[k]).collect::<Vec<_>>();
            let scores: Vec<f64> = chosen.map(|bits| score(0.8, &subset(bits)).unwrap()).collect();
            scores.iter().sum::<f64>() / scores.len() as f64
        };
        assert_abs_diff_eq!(mean(2, crps_fair), mean(4, crps_fair), epsilon = 1e-12);
        assert!(mean(2, crps_ensemble) > mean(4, crps_ensemble) + 0.1);
    }
}
