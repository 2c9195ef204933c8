//! From the units of a column to deviations, and back.

use super::reach::Reach;
use crate::Frame;

/// Skewness from which a column is seen through a logarithm.
const SKEWED: f64 = 5.0;

/// How a column is bent before it is scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warp {
    /// Not at all.
    Identity,
    /// `ln(1 + x / unit)`, for values of one sign with a long tail.
    Log {
        /// What counts as one, the mean of the column.
        unit: f64,
    },
    /// `asinh((x - centre) / unit)`, for long tails of values of both signs.
    Asinh {
        /// The middle.
        centre: f64,
        /// Where it bends, the median absolute deviation.
        unit: f64,
    },
}

impl Warp {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "none",
            Self::Log { .. } => "log1p",
            Self::Asinh { .. } => "asinh",
        }
    }

    fn forward(self, x: f64) -> f64 {
        match self {
            Self::Identity => x,
            Self::Log { unit } => (x.max(0.0) / unit).ln_1p(),
            Self::Asinh { centre, unit } => ((x - centre) / unit).asinh(),
        }
    }

    fn back(self, y: f64) -> f64 {
        match self {
            Self::Identity => y,
            Self::Log { unit } => unit * y.max(0.0).exp_m1(),
            Self::Asinh { centre, unit } => y.sinh().mul_add(unit, centre),
        }
    }
}

/// Scaling of one column: `z = (warp(x) - mean) / deviation`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColumnScale {
    /// Bend.
    pub warp: Warp,
    /// Mean after the bend.
    pub mean: f64,
    /// Standard deviation after the bend; 1 for a constant column.
    pub deviation: f64,
}

impl ColumnScale {
    /// From the observed values of a column; NaN is skipped.
    #[must_use]
    pub fn fit(values: &[f64]) -> Self {
        let seen: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        let plain = Self::with(Warp::Identity, &seen);
        let skew = skewness(&seen, plain);
        if skew.abs() < SKEWED {
            return plain;
        }
        let least = seen.iter().copied().fold(f64::INFINITY, f64::min);
        let warp = if least >= 0.0 && skew > 0.0 && plain.mean > 0.0 {
            Warp::Log { unit: plain.mean }
        } else {
            let (centre, unit) = middle(&seen);
            if unit <= 0.0 {
                return plain;
            }
            Warp::Asinh { centre, unit }
        };
        let bent = Self::with(warp, &seen);
        let warped: Vec<f64> = seen.iter().map(|&x| warp.forward(x)).collect();
        // A bend that does not make the column more even is a bend for nothing.
        if skewness(&warped, Self::with(Warp::Identity, &warped)).abs() < 0.5 * skew.abs() { bent } else { plain }
    }

    fn with(warp: Warp, seen: &[f64]) -> Self {
        let bent: Vec<f64> = seen.iter().map(|&x| warp.forward(x)).collect();
        let (mean, deviation) = moments(&bent);
        let flat = deviation <= 1e-12 * mean.abs().max(1e-300);
        Self { warp, mean, deviation: if flat { 1.0 } else { deviation } }
    }

    /// Units of the file to deviations; NaN stays NaN.
    #[must_use]
    pub fn forward(self, x: f64) -> f64 {
        if x.is_nan() { x } else { (self.warp.forward(x) - self.mean) / self.deviation }
    }

    /// Deviations to units of the file.
    #[must_use]
    pub fn back(self, z: f64) -> f64 {
        self.warp.back(z.mul_add(self.deviation, self.mean))
    }
}

/// Mean and standard deviation, of numbers of any size: where squares would leave the numbers that there are, the size is taken out.
fn moments(values: &[f64]) -> (f64, f64) {
    let largest = values.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let size = if largest == 0.0 || (1e-100..1e100).contains(&largest) { 1.0 } else { largest };
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|x| x / size).sum::<f64>() / count;
    let variance = values.iter().map(|x| (x / size - mean).powi(2)).sum::<f64>() / count;
    (mean * size, variance.sqrt() * size)
}

fn skewness(seen: &[f64], scale: ColumnScale) -> f64 {
    let cubes = seen.iter().map(|&x| ((x - scale.mean) / scale.deviation).powi(3)).sum::<f64>();
    cubes / seen.len().max(1) as f64
}

/// Median and median absolute deviation.
fn middle(seen: &[f64]) -> (f64, f64) {
    let median = |mut values: Vec<f64>| {
        let at = values.len() / 2;
        if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(at, f64::total_cmp).1 }
    };
    let centre = median(seen.to_vec());
    (centre, median(seen.iter().map(|x| (x - centre).abs()).collect()))
}

/// Scaling of a table, one of each column.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    columns: Vec<ColumnScale>,
    reaches: Vec<Reach>,
}

impl Scaler {
    /// From the observed cells of frames with the same columns.
    #[must_use]
    pub fn fit(frames: &[Frame]) -> Self {
        let columns = frames.first().map_or(0, Frame::columns);
        let joined = |column: usize| frames.iter().flat_map(|frame| frame.values[column].iter().copied()).collect::<Vec<_>>();
        Self {
            columns: (0..columns).map(|column| ColumnScale::fit(&joined(column))).collect(),
            reaches: (0..columns).map(|column| Reach::of(frames.iter().flat_map(|frame| &frame.values[column]))).collect(),
        }
    }

    /// Scaling of a column.
    #[must_use]
    pub fn column(&self, column: usize) -> ColumnScale {
        self.columns[column]
    }

    /// What was observed of a column, in units of the file.
    pub(crate) fn reach(&self, column: usize) -> Reach {
        self.reaches[column]
    }

    /// A frame's values in deviations, `[column][row]`.
    #[must_use]
    pub fn forward(&self, frame: &Frame) -> Vec<Vec<f64>> {
        let scaled = |(values, scale): (&Vec<f64>, &ColumnScale)| values.iter().map(|&x| scale.forward(x)).collect();
        frame.values.iter().zip(&self.columns).map(scaled).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_forward_comes_back() {
        let even = |i: u32| langevin_core::Philox::new(1).uniform(i, 0, 0);
        let tail: Vec<f64> = (0..2000).map(|i| (-even(i).ln()).powi(4)).collect();
        let both: Vec<f64> = tail.iter().map(|x| x - 0.5).collect();
        let flat: Vec<f64> = (0..500).map(even).collect();
        for (values, bent) in [(&tail, true), (&both, true), (&flat, false)] {
            let scale = ColumnScale::fit(values);
            assert_eq!(scale.warp != Warp::Identity, bent, "{scale:?}");
            for &x in values {
                assert!((scale.back(scale.forward(x)) - x).abs() < 1e-9 * (1.0 + x.abs()), "{x}");
            }
        }
    }

    #[test]
    fn constant_and_empty_columns_have_a_scale() {
        for values in [vec![5.0; 20], vec![f64::NAN; 4], vec![], vec![1e-300; 3], vec![1e300, -1e300, 2.0], vec![1e-290, 3e-290]] {
            let scale = ColumnScale::fit(&values);
            assert!(scale.deviation > 0.0 && scale.deviation.is_finite() && scale.mean.is_finite());
            assert!(values.iter().all(|v| v.is_nan() || scale.forward(*v).abs() < 2.0), "{values:?}");
            assert!(scale.forward(f64::NAN).is_nan());
        }
        let scale = ColumnScale::fit(&[5.0; 20]);
        approx::assert_relative_eq!(scale.back(0.0), 5.0);
    }
}
