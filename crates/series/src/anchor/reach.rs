//! How far from what was observed a value is believed: whatever was fitted, outside of its data it may say anything.

/// Least and greatest value that was observed; nothing observed is an empty reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reach {
    low: f64,
    high: f64,
}

impl Reach {
    /// Nothing was observed.
    pub(crate) const NONE: Self = Self { low: f64::INFINITY, high: f64::NEG_INFINITY };

    /// Of observed values; NaN is skipped.
    pub(crate) fn of<'a>(values: impl IntoIterator<Item = &'a f64>) -> Self {
        // The least of a number and NaN is the number.
        values.into_iter().fold(Self::NONE, |reach, &v| Self { low: reach.low.min(v), high: reach.high.max(v) })
    }

    /// What lies in either.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// The value, or the nearest one within `widths` times what was observed beyond its ends; 0 where nothing was. Always a number.
    pub(crate) fn within(self, widths: f64, value: f64) -> f64 {
        if self.low > self.high {
            return 0.0;
        }
        let more = widths * (0.5 * self.high - 0.5 * self.low) * 2.0;
        let (low, high) = ((self.low - more).max(f64::MIN), (self.high + more).min(f64::MAX));
        if value.is_nan() { 0.5 * low + 0.5 * high } else { value.clamp(low, high) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_near_what_was_observed() {
        let reach = Reach::of(&[2.0, f64::NAN, 4.0, 3.0]).and(Reach::NONE);
        assert_eq!([1.5, -7.0, 1e300, f64::NEG_INFINITY].map(|v| reach.within(1.0, v)), [1.5, 0.0, 6.0, 0.0]);
        assert_eq!(reach.within(10.0, f64::INFINITY), 24.0);
        assert_eq!(reach.within(1.0, f64::NAN), 3.0);
        assert_eq!(reach.and(Reach::of(&[-5.0])).within(0.0, -9.0), -5.0);
        assert_eq!((Reach::NONE.within(1.0, 7.0), Reach::of(&[5.0]).within(9.0, 7.0)), (0.0, 5.0));
        let widest = Reach::of(&[f64::MIN, f64::MAX]);
        assert!([f64::INFINITY, f64::NEG_INFINITY, f64::NAN].iter().all(|&v| widest.within(10.0, v).is_finite()));
    }
}
