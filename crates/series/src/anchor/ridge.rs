//! Chained regressions: every column from its own neighbours in time, its season and the other columns, round after round.
//!
//! Where a neighbour is a hole itself, what the round before filled stands in. Squares give the mean, absolute errors the median, which is
//! what counts where a column is mostly constant or has wild values. A curved regression also sees products of the columns that tell most of
//! its own: a law that binds three columns, such as that of temperature, dew point and humidity, is seldom a straight one.

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use super::reach::Reach;

/// Rounds of the chain.
const ROUNDS: usize = 2;
/// Own lags.
const OWN: isize = 3;
/// Lags of other columns.
const OTHER: isize = 1;
/// Other columns that a regression sees, those that tell most.
const COLUMNS: usize = 16;
/// Rows that a regression is fitted to.
const ROWS: usize = 8192;
/// Rows below which none is fitted.
const FEW: usize = 20;
/// Other columns whose products a curved regression sees.
const PARTNERS: usize = 3;
/// Most factors of a product.
const DEGREE: usize = 3;
/// Rows that an input of a curved regression needs.
const ROWS_PER_INPUT: usize = 8;
/// Reweightings of the least absolute errors.
const REWEIGHTS: usize = 3;
/// How far a straight regression is followed beyond what was observed, in widths of that: other columns may be where they never were.
const STRAIGHT: f64 = 1.0;
/// The same of a curved one: a cubic goes anywhere where it was not fitted.
const CURVED: f64 = 0.0;

/// What a regression minimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Squared errors.
    Squares,
    /// Absolute errors, by reweighted squares.
    Absolute,
}

/// How a chain is fitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    pub(super) loss: Loss,
    /// What holds weights back, in the mean square of an input.
    pub(super) ridge: f64,
    /// Whether regressions see products of other columns.
    pub(super) curved: bool,
}

/// What a regression sees.
#[derive(Clone, Debug)]
struct Inputs {
    /// Column and lag of cells around a hole.
    terms: Vec<(usize, isize)>,
    /// Columns whose values in the same row are multiplied.
    products: Vec<Vec<usize>>,
}

impl Inputs {
    fn len(&self) -> usize {
        self.terms.len() + self.products.len()
    }

    /// The inputs at a row, in order.
    #[inline]
    fn at<'a>(&'a self, filled: &'a [Vec<f64>], row: usize) -> impl Iterator<Item = f64> + 'a {
        let terms = self.terms.iter().map(move |&(other, lag)| shifted(&filled[other], row, lag));
        terms.chain(self.products.iter().map(move |factors| factors.iter().map(|&column| filled[column][row]).product()))
    }
}

/// One regression: its inputs and their weights, the constant last, and what was observed of its column.
#[derive(Clone, Debug)]
struct Regression {
    inputs: Inputs,
    weights: Vec<f64>,
    reach: Reach,
}

/// Regressions of every column, for every round; `None` for a column with too few observations.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    rounds: Vec<Vec<Option<Regression>>>,
}

impl Chain {
    /// Fits a chain to tables with holes (`[column][row]`) and what they are filled with to begin.
    pub(super) fn fit(tables: &[&[Vec<f64>]], start: &[Vec<Vec<f64>>], period: Option<usize>, recipe: Recipe) -> Self {
        let columns = tables.first().map_or(0, |table| table.len());
        let inputs = inputs(tables, start, period, recipe);
        let mut filled = start.to_vec();
        let mut rounds = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let round: Vec<Option<Regression>> =
                (0..columns).into_par_iter().map(|column| regress(tables, &filled, column, &inputs[column], recipe)).collect();
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

/// What the regression of each column sees.
fn inputs(tables: &[&[Vec<f64>]], filled: &[Vec<Vec<f64>>], period: Option<usize>, recipe: Recipe) -> Vec<Inputs> {
    let columns = tables.first().map_or(0, |table| table.len());
    let of = |column: usize| {
        let mut others: Vec<usize> = (0..columns).filter(|&other| other != column).collect();
        let mut partners = Vec::new();
        if recipe.curved || others.len() > COLUMNS {
            let ranked = ranked(tables, filled, column, &others, recipe.loss);
            partners = ranked.iter().copied().take(PARTNERS).collect();
            others = ranked.into_iter().take(COLUMNS).collect();
            others.sort_unstable();
        }
        let mut terms: Vec<(usize, isize)> = (-OWN..=OWN).filter(|&lag| lag != 0).map(|lag| (column, lag)).collect();
        if let Some(period) = period {
            terms.extend([-1, 1].into_iter().flat_map(|s| (-1..=1).map(move |d| (column, s * period as isize + d))));
        }
        terms.extend(others.iter().flat_map(|&other| (-OTHER..=OTHER).map(move |lag| (other, lag))));
        let products = if recipe.curved { products(&partners) } else { Vec::new() };
        let rows: usize = tables.iter().map(|table| table[column].iter().filter(|v| !v.is_nan()).count()).sum();
        let enough = rows >= ROWS_PER_INPUT * (terms.len() + products.len());
        Inputs { terms, products: if enough { products } else { Vec::new() } }
    };
    (0..columns).into_par_iter().map(of).collect()
}

/// The other columns, those first that tell most of a column together: by their weights in a regression on values in the same row. One that
/// hardly correlates with the column may tell most beside another.
fn ranked(tables: &[&[Vec<f64>]], filled: &[Vec<Vec<f64>>], column: usize, others: &[usize], loss: Loss) -> Vec<usize> {
    let same = Inputs { terms: others.iter().map(|&other| (other, 0)).collect(), products: Vec::new() };
    let recipe = Recipe { loss, ridge: 1e-3, curved: false };
    let Some(regression) = regress(tables, filled, column, &same, recipe) else { return others.to_vec() };
    let mut sized: Vec<(f64, usize)> = regression.weights.iter().map(|w| w.abs()).zip(others.iter().copied()).collect();
    sized.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    sized.into_iter().map(|(_, other)| other).collect()
}

/// All products of two factors or more, squares and cubes among them.
fn products(partners: &[usize]) -> Vec<Vec<usize>> {
    let mut last: Vec<Vec<usize>> = partners.iter().map(|&partner| vec![partner]).collect();
    let mut all = Vec::new();
    for _ in 1..DEGREE {
        let longer = |product: &Vec<usize>| {
            let from = product.last().and_then(|last| partners.iter().position(|p| p == last)).unwrap_or(0);
            partners[from..].iter().map(|&next| [product.as_slice(), &[next]].concat()).collect::<Vec<_>>()
        };
        last = last.iter().flat_map(longer).collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// The value `lag` rows from `row`; that of the last row beyond the ends.
#[inline]
fn shifted(column: &[f64], row: usize, lag: isize) -> f64 {
    column[row.saturating_add_signed(lag).min(column.len() - 1)]
}

fn regress(tables: &[&[Vec<f64>]], filled: &[Vec<Vec<f64>>], column: usize, inputs: &Inputs, recipe: Recipe) -> Option<Regression> {
    let Recipe { loss, ridge, .. } = recipe;
    let seen: Vec<(usize, usize)> = tables
        .iter()
        .enumerate()
        .flat_map(|(n, table)| table[column].iter().enumerate().filter(|(_, v)| !v.is_nan()).map(move |(row, _)| (n, row)))
        .collect();
    if seen.len() < FEW || seen.len() == tables.iter().map(|table| table[column].len()).sum::<usize>() {
        return None;
    }
    let rows: Vec<(usize, usize)> = seen.iter().copied().step_by(seen.len().div_ceil(ROWS)).collect();
    let constant = inputs.len();
    let mut matrix = DMatrix::from_element(rows.len(), constant + 1, 1.0);
    for (at, &(n, row)) in rows.iter().enumerate() {
        inputs.at(&filled[n], row).enumerate().for_each(|(input, value)| matrix[(at, input)] = value);
    }
    // Products are of any size: what holds weights back should mean the same for them as for columns.
    let scales: Vec<(f64, f64)> =
        (inputs.terms.len()..constant).map(|input| standardise(matrix.column_mut(input).as_mut_slice())).collect();
    let target = DVector::from_fn(rows.len(), |at, _| tables[rows[at].0][column][rows[at].1]);
    let mut weighting = vec![1.0; rows.len()];
    let mut weights = solve(&matrix, &target, &weighting, ridge)?;
    if loss == Loss::Absolute {
        for _ in 0..REWEIGHTS {
            reweight(&matrix, &target, &weights, &mut weighting);
            weights = solve(&matrix, &target, &weighting, ridge)?;
        }
    }
    for (input, (mean, deviation)) in (inputs.terms.len()..).zip(scales) {
        weights[input] /= deviation;
        weights[constant] -= weights[input] * mean;
    }
    let reach = Reach::of(target.iter());
    Some(Regression { inputs: inputs.clone(), weights: weights.as_slice().to_vec(), reach })
}

/// Moves values to mean 0 and deviation 1; gives what they had.
fn standardise(values: &mut [f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
    let deviation = if deviation > 1e-12 { deviation } else { 1.0 };
    values.iter_mut().for_each(|x| *x = (*x - mean) / deviation);
    (mean, deviation)
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
        let constant = regression.weights[regression.inputs.len()];
        let widths = if regression.inputs.products.is_empty() { STRAIGHT } else { CURVED };
        let reach = regression.reach.and(Reach::of(&table[column]));
        let estimate = |row: usize| {
            let sum = regression.inputs.at(filled, row).zip(&regression.weights).map(|(x, w)| w * x);
            reach.within(widths, sum.sum::<f64>() + constant)
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

    fn straight(loss: Loss, ridge: f64) -> Recipe {
        Recipe { loss, ridge, curved: false }
    }

    #[test]
    fn columns_that_work_together_are_multiplied() {
        let a: Vec<f64> = (0..1500).map(|t| 2.0 * noise(t)).collect();
        let b: Vec<f64> = (0..1500).map(|t| 2.0 * noise(t + 5000)).collect();
        let mut c: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a * b + 0.5 * a * a * b - b).collect();
        let truth = c.clone();
        (400..500).for_each(|t| c[t] = f64::NAN);
        let table = vec![a, b, c];
        let start: Vec<Vec<f64>> = table.iter().map(|v| v.iter().map(|x| if x.is_nan() { 0.0 } else { *x }).collect()).collect();
        let error = |curved: bool| {
            let recipe = Recipe { loss: Loss::Absolute, ridge: 1e-6, curved };
            let filled = Chain::fit(&[&table], std::slice::from_ref(&start), None, recipe).complete(&table, &start);
            (400..500).map(|t| (filled[2][t] - truth[t]).abs()).sum::<f64>() / 100.0
        };
        assert!(error(true) < 0.01 && error(false) > 0.05, "{} {}", error(true), error(false));
        assert_eq!(products(&[4, 7]), [vec![4, 4], vec![4, 7], vec![7, 7], vec![4, 4, 4], vec![4, 4, 7], vec![4, 7, 7], vec![7, 7, 7]]);
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
            let chain = Chain::fit(&[&table], std::slice::from_ref(&start), None, straight(loss, 1e-6));
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
            let filled = Chain::fit(&[&table], std::slice::from_ref(&start), None, straight(loss, 1e-4)).complete(&table, &start);
            (200..220).map(|t| (filled[1][t] - 2.0 * a[t]).abs()).sum::<f64>() / 20.0
        };
        assert!(error(Loss::Absolute) < 0.2 * error(Loss::Squares), "{} {}", error(Loss::Absolute), error(Loss::Squares));
    }

    #[test]
    fn few_observations_leave_what_was_there() {
        let mut table = vec![vec![f64::NAN; 50]; 2];
        table[0][3] = 1.0;
        let start = vec![vec![0.5; 50]; 2];
        let chain = Chain::fit(&[&table], std::slice::from_ref(&start), Some(7), straight(Loss::Squares, 1e-2));
        assert_eq!(chain.complete(&table, &start)[1], start[1]);
    }
}
