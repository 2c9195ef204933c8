//! Chained regressions: every column from its own neighbours in time, its season and the other columns, round after round.
//!
//! Where a neighbour is a hole itself, what the round before filled stands in. Squares give the mean, absolute errors the median, which is
//! what counts where a column is mostly constant or has wild values.

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

/// Rounds of the chain.
const ROUNDS: usize = 2;
/// Own lags.
const OWN: isize = 3;
/// Lags of other columns.
const OTHER: isize = 1;
/// Other columns that a regression sees, the most correlated.
const COLUMNS: usize = 16;
/// Rows that a regression is fitted to.
const ROWS: usize = 8192;
/// Rows below which none is fitted.
const FEW: usize = 20;
/// Reweightings of the least absolute errors.
const REWEIGHTS: usize = 3;

/// What a regression minimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Squared errors.
    Squares,
    /// Absolute errors, by reweighted squares.
    Absolute,
}

/// One regression: cells around a hole and their weights, the constant last.
#[derive(Clone, Debug)]
struct Regression {
    terms: Vec<(usize, isize)>,
    weights: Vec<f64>,
}

/// Regressions of every column, for every round; `None` for a column with too few observations.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    rounds: Vec<Vec<Option<Regression>>>,
}

impl Chain {
    /// Fits a chain to tables with holes (`[column][row]`) and what they are filled with to begin.
    pub(super) fn fit(tables: &[&[Vec<f64>]], start: &[Vec<Vec<f64>>], period: Option<usize>, loss: Loss, ridge: f64) -> Self {
        let columns = tables.first().map_or(0, |table| table.len());
        let terms = terms(start, columns, period);
        let mut filled = start.to_vec();
        let mut rounds = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let round: Vec<Option<Regression>> =
                (0..columns).into_par_iter().map(|column| regress(tables, &filled, column, &terms[column], loss, ridge)).collect();
            filled = tables.iter().zip(&filled).map(|(table, filled)| apply(&round, table, filled)).collect();
            rounds.push(round);
        }
        Self { rounds }
    }

    /// A table with its holes filled, from what they are filled with to begin.
    pub(super) fn complete(&self, table: &[Vec<f64>], start: &[Vec<f64>]) -> Vec<Vec<f64>> {
        self.rounds.iter().fold(start.to_vec(), |filled, round| apply(round, table, &filled))
    }
}

/// Cells around a hole of each column that its regression sees.
fn terms(filled: &[Vec<Vec<f64>>], columns: usize, period: Option<usize>) -> Vec<Vec<(usize, isize)>> {
    let product =
        |a: usize, b: usize| -> f64 { filled.iter().map(|table| table[a].iter().zip(&table[b]).map(|(x, y)| x * y).sum::<f64>()).sum() };
    let norms: Vec<f64> = (0..columns).map(|c| product(c, c).sqrt().max(1e-12)).collect();
    let of = |column: usize| {
        let mut others: Vec<usize> = (0..columns).filter(|&other| other != column).collect();
        if others.len() > COLUMNS {
            let strength: Vec<f64> = (0..columns).map(|other| product(column, other).abs() / norms[other]).collect();
            others.sort_by(|&a, &b| strength[b].total_cmp(&strength[a]));
            others.truncate(COLUMNS);
            others.sort_unstable();
        }
        let mut terms: Vec<(usize, isize)> = (-OWN..=OWN).filter(|&lag| lag != 0).map(|lag| (column, lag)).collect();
        if let Some(period) = period {
            terms.extend([-1, 1].into_iter().flat_map(|s| (-1..=1).map(move |d| (column, s * period as isize + d))));
        }
        terms.extend(others.iter().flat_map(|&other| (-OTHER..=OTHER).map(move |lag| (other, lag))));
        terms
    };
    (0..columns).into_par_iter().map(of).collect()
}

/// The value `lag` rows from `row`; that of the last row beyond the ends.
#[inline]
fn shifted(column: &[f64], row: usize, lag: isize) -> f64 {
    column[row.saturating_add_signed(lag).min(column.len() - 1)]
}

fn regress(
    tables: &[&[Vec<f64>]],
    filled: &[Vec<Vec<f64>>],
    column: usize,
    terms: &[(usize, isize)],
    loss: Loss,
    ridge: f64,
) -> Option<Regression> {
    let seen: Vec<(usize, usize)> = tables
        .iter()
        .enumerate()
        .flat_map(|(n, table)| table[column].iter().enumerate().filter(|(_, v)| !v.is_nan()).map(move |(row, _)| (n, row)))
        .collect();
    if seen.len() < FEW || seen.len() == tables.iter().map(|table| table[column].len()).sum::<usize>() {
        return None;
    }
    let rows: Vec<(usize, usize)> = seen.iter().copied().step_by(seen.len().div_ceil(ROWS)).collect();
    let constant = terms.len();
    let inputs = DMatrix::from_fn(rows.len(), constant + 1, |at, term| {
        let (n, row) = rows[at];
        if term == constant { 1.0 } else { shifted(&filled[n][terms[term].0], row, terms[term].1) }
    });
    let target = DVector::from_fn(rows.len(), |at, _| tables[rows[at].0][column][rows[at].1]);
    let mut weighting = vec![1.0; rows.len()];
    let mut weights = solve(&inputs, &target, &weighting, ridge)?;
    if loss == Loss::Absolute {
        for _ in 0..REWEIGHTS {
            reweight(&inputs, &target, &weights, &mut weighting);
            weights = solve(&inputs, &target, &weighting, ridge)?;
        }
    }
    Some(Regression { terms: terms.to_vec(), weights: weights.as_slice().to_vec() })
}

/// `(X^T W X + ridge sum(W) I)^-1 X^T W y`.
fn solve(inputs: &DMatrix<f64>, target: &DVector<f64>, weighting: &[f64], ridge: f64) -> Option<DVector<f64>> {
    let mut scaled = inputs.clone();
    for mut term in scaled.column_iter_mut() {
        term.iter_mut().zip(weighting).for_each(|(x, w)| *x *= w);
    }
    let transposed = scaled.transpose();
    let mut gram = &transposed * inputs;
    let total = ridge * weighting.iter().sum::<f64>();
    (0..gram.nrows()).for_each(|term| gram[(term, term)] += total);
    Some(gram.cholesky()?.solve(&(transposed * target)))
}

/// Weights `1 / |error|`, bounded where errors are small, of mean 1.
fn reweight(inputs: &DMatrix<f64>, target: &DVector<f64>, weights: &DVector<f64>, weighting: &mut [f64]) {
    let errors: Vec<f64> = (target - inputs * weights).iter().map(|e| e.abs()).collect();
    let mut sorted = errors.clone();
    let at = sorted.len() / 2;
    let bound = 0.3 * *sorted.select_nth_unstable_by(at, f64::total_cmp).1 + 1e-6;
    weighting.iter_mut().zip(&errors).for_each(|(w, e)| *w = 1.0 / e.max(bound));
    let mean = weighting.iter().sum::<f64>() / weighting.len() as f64;
    weighting.iter_mut().for_each(|w| *w /= mean);
}

/// One round: every hole from what the round before filled.
fn apply(round: &[Option<Regression>], table: &[Vec<f64>], filled: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let of = |column: usize| {
        let Some(regression) = &round[column] else { return filled[column].clone() };
        let constant = regression.weights[regression.terms.len()];
        let estimate = |row: usize| {
            let sum = regression.terms.iter().zip(&regression.weights).map(|(&(other, lag), w)| w * shifted(&filled[other], row, lag));
            sum.sum::<f64>() + constant
        };
        table[column].iter().enumerate().map(|(row, &v)| if v.is_nan() { estimate(row) } else { v }).collect()
    };
    (0..table.len()).into_par_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(k: usize) -> f64 {
        langevin_core::Philox::new(1).uniform(k as u32, 0, 0) - 0.5
    }

    #[test]
    fn a_column_that_others_determine_is_found() {
        let a: Vec<f64> = (0..800).map(noise).collect();
        let b: Vec<f64> = (0..800).map(|t| noise(t + 5000)).collect();
        let mut c: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - 2.0 * b + 0.3).collect();
        let truth = c.clone();
        (100..150).for_each(|t| c[t] = f64::NAN);
        let table = vec![a, b, c];
        let start: Vec<Vec<f64>> = table.iter().map(|v| v.iter().map(|x| if x.is_nan() { 0.0 } else { *x }).collect()).collect();
        for loss in [Loss::Squares, Loss::Absolute] {
            let chain = Chain::fit(&[&table], std::slice::from_ref(&start), None, loss, 1e-6);
            let filled = chain.complete(&table, &start);
            (100..150).for_each(|t| assert!((filled[2][t] - truth[t]).abs() < 0.03, "{loss:?} {t}"));
            assert_eq!(filled[0], table[0]);
        }
    }

    #[test]
    fn absolute_errors_do_not_mind_wild_values() {
        let a: Vec<f64> = (0..600).map(noise).collect();
        let mut b: Vec<f64> = a.iter().enumerate().map(|(t, x)| if t % 10 == 3 { 8.0 } else { 2.0 * x }).collect();
        (200..220).for_each(|t| b[t] = f64::NAN);
        let table = vec![a.clone(), b];
        let start = vec![a.clone(), table[1].iter().map(|x| if x.is_nan() { 0.0 } else { *x }).collect()];
        let error = |loss| {
            let filled = Chain::fit(&[&table], std::slice::from_ref(&start), None, loss, 1e-4).complete(&table, &start);
            (200..220).map(|t| (filled[1][t] - 2.0 * a[t]).abs()).sum::<f64>() / 20.0
        };
        assert!(error(Loss::Absolute) < 0.2 * error(Loss::Squares), "{} {}", error(Loss::Absolute), error(Loss::Squares));
    }

    #[test]
    fn few_observations_leave_what_was_there() {
        let mut table = vec![vec![f64::NAN; 50]; 2];
        table[0][3] = 1.0;
        let start = vec![vec![0.5; 50]; 2];
        let chain = Chain::fit(&[&table], std::slice::from_ref(&start), Some(7), Loss::Squares, 1e-2);
        assert_eq!(chain.complete(&table, &start)[1], start[1]);
    }
}
