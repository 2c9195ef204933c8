//! Quantiles and the bands between them.

/// Loss of a quantile: `level` times how far the truth is above it, or `1 - level` times how far below. Its expectation is least at the
/// true quantile.
#[must_use]
pub fn pinball(truth: f64, level: f64, quantile: f64) -> f64 {
    let above = truth - quantile;
    if above >= 0.0 { level * above } else { (level - 1.0) * above }
}

/// Share of truths inside their bands, edges included. `None` of nothing.
///
/// # Panics
/// When the slices differ in length.
#[must_use]
pub fn coverage(truth: &[f64], lower: &[f64], upper: &[f64]) -> Option<f64> {
    check(truth, lower, upper);
    let inside = truth.iter().zip(lower.iter().zip(upper)).filter(|(t, (l, u))| *l <= *t && *t <= *u).count();
    (!truth.is_empty()).then(|| inside as f64 / truth.len() as f64)
}

/// Mean width of bands. `None` of nothing.
///
/// # Panics
/// When the slices differ in length.
#[must_use]
pub fn width(lower: &[f64], upper: &[f64]) -> Option<f64> {
    check(lower, lower, upper);
    let sum: f64 = lower.iter().zip(upper).map(|(l, u)| u - l).sum();
    (!lower.is_empty()).then(|| sum / lower.len() as f64)
}

fn check(truth: &[f64], lower: &[f64], upper: &[f64]) {
    assert!(truth.len() == lower.len() && lower.len() == upper.len(), "one band for each truth");
}

/// Interval score of a central band that should hold a share `1 - alpha`: its width, and `2 / alpha` for each unit that the truth lies
/// outside (Eq. 43, Gneiting and Raftery 2007).
#[must_use]
pub fn interval_score(truth: f64, alpha: f64, lower: f64, upper: f64) -> f64 {
    upper - lower + 2.0 / alpha * ((lower - truth).max(0.0) + (truth - upper).max(0.0))
}

/// Weighted interval score (Eq. 1, Bracher et al. 2021): the median's absolute error, weighted 1/2, and each central band's interval
/// score, weighted `alpha / 2`, over the number of bands and a half. `bands` are `(alpha, lower, upper)`.
#[must_use]
pub fn wis(truth: f64, median: f64, bands: &[(f64, f64, f64)]) -> f64 {
    let sum: f64 = bands.iter().map(|(alpha, lower, upper)| 0.5 * alpha * interval_score(truth, *alpha, *lower, *upper)).sum();
    (0.5 * (truth - median).abs() + sum) / (bands.len() as f64 + 0.5)
}

/// Quantile of values in ascending order, linear between them (type 7 of Hyndman and Fan 1996, numpy's default). NaN of nothing.
#[must_use]
pub fn quantile(sorted: &[f64], level: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = level.clamp(0.0, 1.0) * last as f64;
    let (below, part) = (at.floor() as usize, at.fract());
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    low + part * (high - low)
}

/// Name of the column that holds a quantile of a column: `NAME_q05`, and `NAME_q02.5` at 0.025.
#[must_use]
pub fn quantile_column(name: &str, level: f64) -> String {
    // Rounded, because 0.07 * 100 is 7.000000000000001.
    let percent = (level * 1e8).round() / 1e6;
    let zero = if percent < 10.0 { "0" } else { "" };
    format!("{name}_q{zero}{percent}")
}

/// Level of a quantile column of `name`, if that is what `column` is called: the inverse of [`quantile_column`].
#[must_use]
pub fn quantile_of_column(name: &str, column: &str) -> Option<f64> {
    let percent = column.strip_prefix(name)?.strip_prefix("_q")?;
    let digits = percent.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let percent = percent.parse::<f64>().ok().filter(|p| digits && *p > 0.0 && *p < 100.0)?;
    Some((percent * 1e6).round() / 1e8)
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::crps_quantiles;

    #[test]
    fn by_hand() {
        assert_eq!((pinball(3.0, 0.25, 1.0), pinball(1.0, 0.25, 3.0), pinball(1.0, 0.25, 1.0)), (0.5, 1.5, 0.0));
        let (truth, lower, upper) = ([1.0, 2.0, 3.0, 9.0], [0.0, 2.0, 4.0, 0.0], [1.0, 3.0, 5.0, 6.0]);
        assert_eq!(coverage(&truth, &lower, &upper), Some(0.5));
        assert_eq!(width(&lower, &upper), Some(2.25));
        assert_eq!((coverage(&[], &[], &[]), width(&[], &[])), (None, None));
        assert_eq!((interval_score(2.0, 0.1, 1.0, 4.0), interval_score(0.5, 0.1, 1.0, 4.0)), (3.0, 13.0));
        assert_eq!(wis(2.0, 5.0, &[]), 3.0);
        assert_abs_diff_eq!(wis(2.0, 3.0, &[(0.5, 2.5, 4.0)]), (0.5 + 0.25 * (1.5 + 2.0)) / 1.5, epsilon = 1e-15);
    }

    #[test]
    fn quantiles_between_values() {
        let sorted = [1.0, 2.0, 4.0, 8.0, 9.0];
        assert_eq!([0.0, 0.25, 0.5, 0.625, 1.0].map(|l| quantile(&sorted, l)), [1.0, 2.0, 4.0, 6.0, 9.0]);
        assert_eq!(quantile(&[3.0], 0.7), 3.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn names_of_quantile_columns() {
        for (level, name) in
            [(0.05, "OT_q05"), (0.5, "OT_q50"), (0.07, "OT_q07"), (0.025, "OT_q02.5"), (0.999, "OT_q99.9"), (0.29, "OT_q29")]
        {
            assert_eq!(quantile_column("OT", level), name);
            assert_eq!(quantile_of_column("OT", name), Some(level));
        }
        for other in ["OT", "OT_q", "OT_q100", "OT_q0", "OT_q-5", "OT_qinf", "OT_qa", "OTT_q05", "O_q05", "OT_q1e1"] {
            assert_eq!(quantile_of_column("OT", other), None, "{other}");
        }
    }

    proptest! {
        /// With the median's weight as here, the weighted interval score is twice the mean pinball loss of all its quantiles.
        #[test]
        fn wis_is_the_quantile_form_of_the_crps(truth in -3.0..3.0f64, mut q in prop::collection::vec(-3.0..3.0f64, 5)) {
            q.sort_by(f64::total_cmp);
            let score = wis(truth, q[2], &[(0.1, q[0], q[4]), (0.5, q[1], q[3])]);
            let crps = crps_quantiles(truth, &[0.05, 0.25, 0.5, 0.75, 0.95], &q).unwrap();
            prop_assert!((score - crps).abs() < 1e-12);
        }

        /// The loss of a level is least at that quantile of the truths.
        #[test]
        fn pinball_is_least_at_the_quantile(mut truths in prop::collection::vec(-3.0..3.0f64, 1..30), part in 0.0..1.0f64, other in -3.0..3.0f64) {
            truths.sort_by(f64::total_cmp);
            // At the middle of the k-th of n equal parts the k-th value is the quantile.
            let k = (part * truths.len() as f64) as usize;
            let level = (k as f64 + 0.5) / truths.len() as f64;
            let loss = |q: f64| truths.iter().map(|t| pinball(*t, level, q)).sum::<f64>();
            prop_assert!(loss(other) >= loss(truths[k]) - 1e-12);
        }
    }
}
