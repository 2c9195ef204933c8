//! Series of a panel that are worlds apart: a column in which one site reads 10 and another 10,000 is brought to the sites' own level and
//! spread before anything is fitted to it, because deviations of such a column mean nothing.
//!
//! Columns whose series are alike are left as they are: there a series with few observations learns from the others.

use std::borrow::Cow;

use crate::{Frame, metrics::quantile};

/// Observations of a series from which its level and spread are believed.
const ENOUGH: usize = 20;
/// Series are apart when the column's deviation is this many times the usual one within a series,
const LEVELS: f64 = 5.0;
/// or when the deviation within one is this many times that of another (of the ninth decile in the first).
const SPREADS: f64 = 10.0;
/// Observations that the usual spread counts for.
const USUAL: f64 = 3.0;

/// Level and spread of a column of a series: `x = level + spread x'`.
pub(super) type Own = (f64, f64);

/// What is usual in a column whose series are apart; nothing for the other columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Apart {
    usual: Vec<Option<Own>>,
}

impl Apart {
    /// From frames of several series.
    pub(super) fn fit(frames: &[Frame]) -> Self {
        let columns = frames.first().map_or(0, Frame::columns);
        Self { usual: (0..columns).map(|column| usual(frames, column)).collect() }
    }

    /// Level and spread of each column of a frame; `(0, 1)` where series are alike.
    pub(super) fn of(&self, frame: &Frame) -> Vec<Own> {
        let own = |(usual, values): (&Option<Own>, &Vec<f64>)| {
            let Some((level, spread)) = *usual else { return (0.0, 1.0) };
            let Some((own, deviation, count)) = moments(values) else { return (level, spread) };
            // One observation has a level and no spread.
            let squares = deviation.powi(2).mul_add(count - 1.0, spread.powi(2) * USUAL);
            (own, (squares / (count - 1.0 + USUAL)).sqrt())
        };
        self.usual.iter().zip(&frame.values).map(own).collect()
    }

    /// The frame at its own level and spread.
    pub(super) fn forward<'f>(&self, frame: &'f Frame) -> Cow<'f, Frame> {
        if self.usual.iter().all(Option::is_none) {
            return Cow::Borrowed(frame);
        }
        let scaled = |(values, (level, spread)): (&Vec<f64>, Own)| values.iter().map(|v| (v - level) / spread).collect();
        Cow::Owned(Frame { values: frame.values.iter().zip(self.of(frame)).map(scaled).collect(), ..frame.clone() })
    }
}

/// Mean, deviation and number of what was observed.
fn moments(values: &[f64]) -> Option<(f64, f64, f64)> {
    let seen = || values.iter().copied().filter(|v| !v.is_nan());
    let count = seen().count() as f64;
    if count == 0.0 {
        return None;
    }
    let mean = seen().sum::<f64>() / count;
    let square = seen().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    Some((mean, square.sqrt(), count))
}

/// The usual level and spread of a column's series, if they are apart.
fn usual(frames: &[Frame], column: usize) -> Option<Own> {
    let known = frames.iter().filter_map(|frame| moments(&frame.values[column])).filter(|(_, _, count)| *count >= ENOUGH as f64);
    let (mut levels, mut spreads): (Vec<f64>, Vec<f64>) = known.map(|(mean, deviation, _)| (mean, deviation)).unzip();
    if levels.len() < 2 {
        return None;
    }
    let between = moments(&levels)?.1;
    levels.sort_by(f64::total_cmp);
    spreads.sort_by(f64::total_cmp);
    let (level, spread) = (quantile(&levels, 0.5), quantile(&spreads, 0.5));
    let (least, most) = (quantile(&spreads, 0.1), quantile(&spreads, 0.9));
    let apart = between > LEVELS * spread || most > SPREADS * least;
    // Where most series are constant nothing is a spread to measure in.
    (apart && least > 0.0 && (between / spread).is_finite()).then_some((level, spread))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(level: f64, spread: f64, rows: usize) -> Frame {
        let values = (0..rows).map(|t| spread.mul_add((t as f64).sin(), level)).collect();
        Frame {
            names: vec!["a".to_owned(), "b".to_owned()].into(),
            positions: (0..rows).map(|t| t as f64).collect(),
            values: vec![values, (0..rows).map(|t| (t as f64).cos() + level / 1e4).collect()],
        }
    }

    #[test]
    fn only_columns_that_are_apart_are_moved() {
        let frames = [frame(10.0, 1.0, 200), frame(10_000.0, 2.0, 200), frame(10.0, 300.0, 200)];
        let apart = Apart::fit(&frames);
        assert!(apart.usual[0].is_some() && apart.usual[1].is_none(), "{apart:?}");
        for one in &frames {
            let moved = apart.forward(one);
            let (mean, deviation, _) = moments(&moved.values[0]).unwrap();
            assert!(mean.abs() < 1e-9 && (deviation - 1.0).abs() < 0.05, "{mean} {deviation}");
            assert_eq!(moved.values[1], one.values[1]);
        }
        // A series that is hardly known has its level and the usual spread.
        let few = apart.of(&frame(7.0, 0.0, 1))[0];
        assert!(few.0 == 7.0 && (few.1 - apart.usual[0].unwrap().1).abs() < 1e-12);
        assert_eq!(apart.of(&frame(7.0, 0.0, 0))[0], apart.usual[0].unwrap());
        // One series, or series that are alike.
        assert!(matches!(Apart::fit(&frames[..1]).forward(&frames[0]), Cow::Borrowed(_)));
        assert!(matches!(Apart::fit(&[frame(1.0, 1.0, 200), frame(3.0, 2.0, 200)]).forward(&frames[0]), Cow::Borrowed(_)));
    }
}
