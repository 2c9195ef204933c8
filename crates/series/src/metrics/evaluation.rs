//! Every score of a filled table whose hidden cells are known.

use std::ops::Range;

use serde::Serialize;

use super::{
    bands::{coverage, width},
    crps::{crps_fair, crps_quantiles},
    gaps::{BIN_LABELS, bin_of, gaps},
    paths::{PathScores, path_scores},
    point::{mae, rmse},
};

/// What a column is measured in: `(x - mean) / deviation`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Mean, in the column's units.
    pub mean: f64,
    /// Deviation, in the column's units, above 0.
    pub deviation: f64,
}

impl Scale {
    /// Mean and population deviation of the values that are not NaN; the deviation is 1 where they do not vary.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let known = || values.iter().copied().filter(|v| !v.is_nan());
        let count = known().count().max(1) as f64;
        let mean = known().sum::<f64>() / count;
        let deviation = (known().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
        Self { mean, deviation: if deviation > 0.0 && deviation.is_finite() { deviation } else { 1.0 } }
    }

    fn apply(self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }
}

/// A column of a filled table beside what is known of it, in the units of the file; vectors have an entry for each row.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name.
    pub name: String,
    /// What its scores are measured in.
    pub scale: Scale,
    /// What is known; NaN where nothing is.
    pub truth: Vec<f64>,
    /// Which cells the imputation did not see.
    pub holes: Vec<bool>,
    /// What it filled in; NaN where it left a hole.
    pub point: Vec<f64>,
    /// For each level (ascending) the quantiles; empty without.
    pub quantiles: Vec<Vec<f64>>,
    /// For each row its samples, the same number of all holes that are scored; empty without.
    pub samples: Vec<Vec<f64>>,
}

/// Scores of cells, in deviations of their columns; those that need quantiles or samples are `None` without.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Cells that were scored.
    pub cells: usize,
    /// Mean absolute error of the filled value, in deviations.
    pub mae: f64,
    /// Root mean square error of the filled value, in deviations.
    pub rmse: f64,
    /// CRPS from the quantiles (twice the mean pinball loss over the levels), in deviations.
    pub crps: Option<f64>,
    /// The same over the mean absolute standardised truth, without unit: CRPS as CSDI and TSI-Bench report it.
    pub crps_normalised: Option<f64>,
    /// Fair CRPS of the samples, in deviations.
    pub crps_samples: Option<f64>,
    /// Share of cells inside the band from level .25 to .75.
    pub coverage_50: Option<f64>,
    /// Mean width of that band, in deviations.
    pub width_50: Option<f64>,
    /// Share of cells inside the band from level .05 to .95.
    pub coverage_90: Option<f64>,
    /// Mean width of that band, in deviations.
    pub width_90: Option<f64>,
}

/// Scores of the cells in gaps of some lengths.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BinScores {
    /// Lengths of the gaps, in rows: one of [`BIN_LABELS`].
    pub rows: &'static str,
    /// Scores of single cells.
    #[serde(flatten)]
    pub scores: Scores,
    /// Scores of whole gaps, when there are samples.
    pub paths: Option<PathScores>,
}

/// Scores of a column.
#[derive(Clone, Debug, Serialize)]
pub struct ColumnScores {
    /// Name of the column.
    pub column: String,
    /// Scores of single cells.
    #[serde(flatten)]
    pub scores: Scores,
}

/// Every score of a filled table.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Scores of all hidden cells.
    #[serde(flatten)]
    pub scores: Scores,
    /// Hidden cells that were left empty; they have no part in the scores.
    pub unfilled: usize,
    /// Levels of the quantiles that CRPS and bands come from.
    pub levels: Vec<f64>,
    /// Scores of whole gaps of 2 and more rows whose truth is known throughout, when there are samples.
    pub paths: Option<PathScores>,
    /// Scores for each bin of gap lengths that occurs.
    pub bins: Vec<BinScores>,
    /// Scores for each column with hidden cells.
    pub columns: Vec<ColumnScores>,
}

/// A hidden cell, standardised.
struct Cell {
    column: usize,
    bin: usize,
    truth: f64,
    point: f64,
    quantiles: Vec<f64>,
    samples: Vec<f64>,
}

/// Scores the holes whose truth is known. `levels` are those of [`Column::quantiles`]; `series` are the ranges of rows that follow one
/// another, which no gap crosses. A gap's length counts all its holes. `None` when no hole is filled and known.
///
/// # Panics
/// When a column's vectors are too short, or its quantiles are not as many as the levels.
#[must_use]
pub fn evaluate(columns: &[Column], levels: &[f64], series: &[Range<usize>]) -> Option<Evaluation> {
    let mut cells = Vec::new();
    let mut unfilled = 0;
    let mut paths: Vec<(usize, PathScores)> = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let z = |value: f64| column.scale.apply(value);
        for rows in series {
            for gap in gaps(&column.holes[rows.clone()]) {
                let bin = bin_of(gap.len());
                let gap = rows.start + gap.start..rows.start + gap.end;
                for row in gap.clone().filter(|row| !column.truth[*row].is_nan()) {
                    if column.point[row].is_nan() {
                        unfilled += 1;
                        continue;
                    }
                    let quantiles: Vec<f64> = column.quantiles.iter().map(|q| z(q[row])).collect();
                    assert_eq!(quantiles.len(), levels.len(), "a quantile for each level");
                    let samples = column.samples.get(row).map(|s| s.iter().map(|v| z(*v)).collect()).unwrap_or_default();
                    cells.push(Cell { column: index, bin, truth: z(column.truth[row]), point: z(column.point[row]), quantiles, samples });
                }
                paths.extend(score_gap(column, gap).map(|scores| (bin, scores)));
            }
        }
    }
    let of = |wanted: &dyn Fn(&Cell) -> bool| Scores::of(&cells.iter().filter(|c| wanted(c)).collect::<Vec<_>>(), levels);
    let paths_of = |wanted: &dyn Fn(usize) -> bool| {
        PathScores::average(&paths.iter().filter(|(bin, _)| wanted(*bin)).map(|(_, scores)| *scores).collect::<Vec<_>>())
    };
    Some(Evaluation {
        scores: of(&|_| true)?,
        unfilled,
        levels: levels.to_vec(),
        paths: paths_of(&|_| true),
        bins: (0..BIN_LABELS.len())
            .filter_map(|bin| Some(BinScores { rows: BIN_LABELS[bin], scores: of(&|c| c.bin == bin)?, paths: paths_of(&|b| b == bin) }))
            .collect(),
        columns: (0..columns.len())
            .filter_map(|k| Some(ColumnScores { column: columns[k].name.clone(), scores: of(&|c| c.column == k)? }))
            .collect(),
    })
}

/// Path scores of a gap of 2 and more rows whose truth and samples are known throughout.
fn score_gap(column: &Column, gap: Range<usize>) -> Option<PathScores> {
    if gap.len() < 2 || column.samples.is_empty() {
        return None;
    }
    let z = |value: &f64| column.scale.apply(*value);
    let truth: Vec<f64> = column.truth[gap.clone()].iter().map(z).collect();
    let samples = &column.samples[gap];
    let count = samples[0].len();
    if truth.iter().any(|t| t.is_nan()) || samples.iter().any(|s| s.len() != count) {
        return None;
    }
    let paths: Vec<Vec<f64>> = (0..count).map(|s| samples.iter().map(|row| z(&row[s])).collect()).collect();
    path_scores(&truth, &paths)
}

impl Scores {
    fn of(cells: &[&Cell], levels: &[f64]) -> Option<Self> {
        let truth: Vec<f64> = cells.iter().map(|c| c.truth).collect();
        let point: Vec<f64> = cells.iter().map(|c| c.point).collect();
        let mean = |of: &dyn Fn(&Cell) -> Option<f64>| {
            let sum: Option<f64> = cells.iter().map(|c| of(c)).sum();
            sum.map(|sum| sum / cells.len() as f64)
        };
        let crps = mean(&|c| crps_quantiles(c.truth, levels, &c.quantiles));
        let size = truth.iter().map(|t| t.abs()).sum::<f64>() / cells.len() as f64;
        let band = |low: f64, high: f64| {
            let at = |level: f64| levels.iter().position(|l| (l - level).abs() < 1e-9);
            let (low, high) = (at(low)?, at(high)?);
            let edge = |k: usize| cells.iter().map(|c| c.quantiles[k]).collect::<Vec<_>>();
            Some((edge(low), edge(high)))
        };
        let (half, most) = (band(0.25, 0.75), band(0.05, 0.95));
        let covered = |band: &Option<(Vec<f64>, Vec<f64>)>| band.as_ref().and_then(|(low, high)| coverage(&truth, low, high));
        let wide = |band: &Option<(Vec<f64>, Vec<f64>)>| band.as_ref().and_then(|(low, high)| width(low, high));
        Some(Self {
            cells: cells.len(),
            mae: mae(&truth, &point)?,
            rmse: rmse(&truth, &point)?,
            crps,
            crps_normalised: crps.filter(|_| size > 0.0).map(|c| c / size),
            crps_samples: mean(&|c| crps_fair(c.truth, &c.samples)),
            coverage_50: covered(&half),
            width_50: wide(&half),
            coverage_90: covered(&most),
            width_90: wide(&most),
        })
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    const NAN: f64 = f64::NAN;
    const ROWS: Range<usize> = 0..8;

    fn column() -> Column {
        Column {
            name: "a".into(),
            scale: Scale { mean: 10.0, deviation: 2.0 },
            // Row 5 is a hole that nobody knows; row 7 was left empty.
            truth: vec![10.0, 12.0, 14.0, 10.0, 8.0, NAN, 6.0, 4.0],
            holes: vec![false, true, true, false, true, true, false, true],
            point: vec![10.0, 14.0, 14.0, 10.0, 2.0, 3.0, 6.0, NAN],
            quantiles: vec![],
            samples: vec![],
        }
    }

    #[test]
    fn deviations_of_what_is_known() {
        assert_eq!(Scale::of(&[1.0, NAN, 3.0, 3.0, 1.0]), Scale { mean: 2.0, deviation: 1.0 });
        assert_eq!(Scale::of(&[4.0, 4.0]), Scale { mean: 4.0, deviation: 1.0 });
        assert_eq!(Scale::of(&[NAN]).deviation, 1.0);
    }

    #[test]
    fn holes_with_a_truth_are_scored_in_deviations() {
        let found = evaluate(&[column()], &[], &[ROWS]).unwrap();
        assert_eq!((found.scores.cells, found.unfilled), (3, 1));
        assert_abs_diff_eq!(found.scores.mae, (1.0 + 0.0 + 3.0) / 3.0);
        assert_abs_diff_eq!(found.scores.rmse, (10.0f64 / 3.0).sqrt());
        assert!(found.scores.crps.is_none() && found.scores.coverage_90.is_none() && found.paths.is_none());
        assert_eq!(found.bins.iter().map(|b| (b.rows, b.scores.cells, b.scores.mae)).collect::<Vec<_>>(), [("2-3", 3, 4.0 / 3.0)]);
        assert_eq!(found.columns.len(), 1);
        // Where a series ends, so do its gaps.
        let found = evaluate(&[column()], &[], &[0..5, 5..8]).unwrap();
        assert_eq!(found.bins.iter().map(|b| (b.rows, b.scores.cells)).collect::<Vec<_>>(), [("1", 1), ("2-3", 2)]);
        let complete = Column { holes: vec![false; 8], ..column() };
        assert!(evaluate(&[complete], &[], &[ROWS]).is_none());
    }

    #[test]
    fn bands_and_crps_from_quantiles() {
        let levels = [0.05, 0.25, 0.75, 0.95];
        // Band of 90 %: 9..13; of 50 %: 11..12.
        let quantiles = [9.0, 11.0, 12.0, 13.0].map(|q| vec![q; 8]).to_vec();
        let found = evaluate(&[Column { quantiles, ..column() }], &levels, &[ROWS]).unwrap().scores;
        // Truths 12, 14 and 8: one inside, on the edge of the inner band.
        assert_eq!((found.coverage_50, found.coverage_90), (Some(1.0 / 3.0), Some(1.0 / 3.0)));
        assert_eq!((found.width_50, found.width_90), (Some(0.5), Some(2.0)));
        let cell = |y: f64| crps_quantiles(y, &levels, &[-0.5, 0.5, 1.0, 1.5]).unwrap();
        let crps = (cell(1.0) + cell(2.0) + cell(-1.0)) / 3.0;
        assert_abs_diff_eq!(found.crps.unwrap(), crps, epsilon = 1e-12);
        assert_abs_diff_eq!(found.crps_normalised.unwrap(), crps / (4.0 / 3.0), epsilon = 1e-12);
    }

    #[test]
    fn whole_gaps_from_samples() {
        let samples = (0..8).map(|row| if row == 3 { vec![] } else { vec![12.0, 8.0 + f64::from(row)] }).collect();
        let found = evaluate(&[Column { samples, ..column() }], &[], &[ROWS]).unwrap();
        // Of the gaps of two rows only the first is known throughout: truths 1 and 2, paths (1, 1) and (-.5, 0).
        let expected = path_scores(&[1.0, 2.0], &[vec![1.0, 1.0], vec![-0.5, 0.0]]);
        assert_eq!(found.paths, expected);
        assert_eq!(found.bins[0].paths, expected);
        let fair = [(1.0, [1.0, -0.5]), (2.0, [1.0, 0.0]), (-1.0, [1.0, 1.0])].map(|(y, s)| crps_fair(y, &s).unwrap());
        assert_abs_diff_eq!(found.scores.crps_samples.unwrap(), fair.iter().sum::<f64>() / 3.0, epsilon = 1e-12);
    }
}
