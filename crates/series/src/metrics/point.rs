//! Errors of one number per hole.

/// Mean absolute error. `None` of nothing.
///
/// # Panics
/// When the slices differ in length.
#[must_use]
pub fn mae(truth: &[f64], estimate: &[f64]) -> Option<f64> {
    mean_of(truth, estimate, f64::abs)
}

/// Root of the mean square error. `None` of nothing.
///
/// # Panics
/// When the slices differ in length.
#[must_use]
pub fn rmse(truth: &[f64], estimate: &[f64]) -> Option<f64> {
    mean_of(truth, estimate, |e| e * e).map(f64::sqrt)
}

fn mean_of(truth: &[f64], estimate: &[f64], of: impl Fn(f64) -> f64) -> Option<f64> {
    assert_eq!(truth.len(), estimate.len(), "one estimate for each truth");
    let sum: f64 = truth.iter().zip(estimate).map(|(t, e)| of(e - t)).sum();
    (!truth.is_empty()).then(|| sum / truth.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let (truth, estimate) = ([1.0, 2.0, -1.0], [1.0, 5.0, 3.0]);
        assert_eq!(mae(&truth, &estimate), Some(7.0 / 3.0));
        assert_eq!(rmse(&truth, &estimate), Some((25.0f64 / 3.0).sqrt()));
        assert_eq!((mae(&[], &[]), rmse(&[], &[])), (None, None));
    }
}
