//! The best linear estimate of a hole from the cells observed around it, for any pattern of holes: kriging.
//!
//! With covariances `C` of the cells that are used and `c` of them with the hole, the weights are `(C + nugget)^-1 c`, the variance is
//! `c0 - c^T w`.

use rayon::prelude::*;

use super::{covariance::Covariance, reach::Reach};

/// Cells that an estimate uses, the most correlated first.
const CELLS: usize = 40;
/// Variance of what no other cell knows, in the columns' variance.
const NUGGET: f64 = 3e-3;
/// Rows before and after that are looked at.
const NEAR: isize = 12;
/// Up to this period two seasons on both sides are looked at, above it one.
const SHORT: usize = 48;
/// Up to this period cells a season away are looked at: covariances are kept for all lags up to four of it.
const LONG: usize = 300;
/// Rows of a task.
const ROWS: usize = 1024;
/// Rounds in which covariances are estimated again from the completed table.
const ROUNDS: usize = 2;
/// How far estimates lie beyond what was observed at most, in widths of that.
const BEYOND: f64 = 1.0;

/// Covariances of a table's columns and the order in which cells around a hole are asked.
#[derive(Clone, Debug)]
pub(super) struct Kriging {
    covariance: Covariance,
    /// Of each column: lag and column of the cells around a hole, the most correlated first.
    around: Vec<Vec<(isize, usize)>>,
    /// What was observed of each column.
    reaches: Vec<Reach>,
}

impl Kriging {
    /// From tables of zero mean, `[column][row]`, NaN where nothing was observed: covariances of pairs at first, then twice of the table as
    /// it was completed with them.
    pub(super) fn fit(tables: &[&[Vec<f64>]], period: Option<usize>) -> Self {
        let lags = lags(period);
        let longest = 2 * lags.iter().copied().max().unwrap_or(0).unsigned_abs();
        let columns = tables.first().map_or(0, |table| table.len());
        let reaches: Vec<Reach> = (0..columns).map(|c| Reach::of(tables.iter().flat_map(|table| &table[c]))).collect();
        let mut fitted = Self::with(Covariance::of_pairs(tables, longest), &lags, reaches.clone());
        for _ in 0..ROUNDS {
            let completed: Vec<Vec<Vec<f64>>> = tables.iter().map(|table| fitted.complete(table).0).collect();
            let views: Vec<&[Vec<f64>]> = completed.iter().map(Vec::as_slice).collect();
            fitted = Self::with(Covariance::of_completed(&views, longest), &lags, reaches.clone());
        }
        fitted
    }

    fn with(covariance: Covariance, lags: &[isize], reaches: Vec<Reach>) -> Self {
        let columns = covariance.columns();
        let order = |column: usize| {
            let mut cells: Vec<(isize, usize)> =
                lags.iter().flat_map(|&lag| (0..columns).map(move |other| (lag, other))).filter(|&cell| cell != (0, column)).collect();
            let strength = |&(lag, other): &(isize, usize)| covariance.at(lag, column, other).abs();
            cells.sort_by(|a, b| strength(b).total_cmp(&strength(a)));
            cells
        };
        Self { around: (0..columns).map(order).collect(), covariance, reaches }
    }

    /// The table with its holes filled, and the variance of each filled cell (0 where observed).
    pub(super) fn complete(&self, table: &[Vec<f64>]) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let rows = table.first().map_or(0, Vec::len);
        let reaches: Vec<Reach> = self.reaches.iter().zip(table).map(|(reach, values)| reach.and(Reach::of(values))).collect();
        let tasks: Vec<(usize, usize)> =
            (0..table.len()).flat_map(|column| (0..rows).step_by(ROWS).map(move |row| (column, row))).collect();
        let parts: Vec<Vec<(f64, f64)>> = tasks
            .par_iter()
            .map(|&(column, first)| {
                let mut work = Work::default();
                (first..rows.min(first + ROWS))
                    .map(|row| {
                        let value = table[column][row];
                        if !value.is_nan() {
                            return (value, 0.0);
                        }
                        let (mean, variance) = self.estimate(table, column, row, &mut work);
                        (reaches[column].within(BEYOND, mean), variance)
                    })
                    .collect()
            })
            .collect();
        let mut filled = vec![Vec::with_capacity(rows); table.len()];
        let mut variance = filled.clone();
        for ((column, _), part) in tasks.iter().zip(parts) {
            filled[*column].extend(part.iter().map(|(value, _)| value));
            variance[*column].extend(part.iter().map(|(_, variance)| variance));
        }
        (filled, variance)
    }

    /// Mean and variance of one hole.
    fn estimate(&self, table: &[Vec<f64>], column: usize, row: usize, work: &mut Work) -> (f64, f64) {
        let rows = table[column].len();
        work.cells.clear();
        for &(lag, other) in &self.around[column] {
            let Some(at) = row.checked_add_signed(lag).filter(|&at| at < rows) else { continue };
            let value = table[other][at];
            if !value.is_nan() {
                work.cells.push((lag, other, value));
                if work.cells.len() == CELLS {
                    break;
                }
            }
        }
        let own = self.covariance.at(0, column, column);
        let count = work.cells.len();
        if count == 0 {
            return (0.0, own);
        }
        work.matrix.clear();
        for (n, &(lag, other, _)) in work.cells.iter().enumerate() {
            for &(before, first, _) in &work.cells[..n] {
                work.matrix.push(self.covariance.at(lag - before, first, other));
            }
            work.matrix.push(self.covariance.at(0, other, other) + NUGGET);
        }
        work.weights.clear();
        work.weights.extend(work.cells.iter().map(|&(lag, other, _)| self.covariance.at(lag, column, other)));
        let known: f64 = solve(&mut work.matrix, &mut work.weights, count);
        let mean = work.weights.iter().zip(&work.cells).map(|(w, (_, _, value))| w * value).sum();
        (mean, (own - known).max(1e-4 * own))
    }
}

/// Room for one estimate after another.
#[derive(Default)]
struct Work {
    cells: Vec<(isize, usize, f64)>,
    /// Lower triangle, row after row.
    matrix: Vec<f64>,
    weights: Vec<f64>,
}

/// Solves a positive system given as the rows of its lower triangle, in place, by Cholesky's method. Gives `c^T A^-1 c`.
fn solve(matrix: &mut [f64], right: &mut [f64], count: usize) -> f64 {
    let start = |row: usize| row * (row + 1) / 2;
    let mut known = 0.0;
    for row in 0..count {
        let (above, current) = matrix.split_at_mut(start(row));
        for column in 0..row {
            let other = &above[start(column)..start(column) + column + 1];
            let dot: f64 = current[..column].iter().zip(other).map(|(a, b)| a * b).sum();
            current[column] = (current[column] - dot) / other[column];
        }
        let dot: f64 = current[..row].iter().map(|a| a * a).sum();
        // The nugget keeps this positive; rounding may not.
        current[row] = (current[row] - dot).max(1e-9).sqrt();
        let done: f64 = current[..row].iter().zip(&right[..row]).map(|(a, b)| a * b).sum();
        right[row] = (right[row] - done) / current[row];
        known += right[row] * right[row];
    }
    for row in (0..count).rev() {
        let value = right[row] / matrix[start(row) + row];
        right[row] = value;
        for (column, left) in right[..row].iter_mut().enumerate() {
            *left -= matrix[start(row) + column] * value;
        }
    }
    known
}

/// Rows around a hole that are asked: the near ones, and those about one and two seasons away.
fn lags(period: Option<usize>) -> Vec<isize> {
    let mut lags: Vec<isize> = (-NEAR..=NEAR).collect();
    if let Some(period) = period.filter(|&period| period <= LONG) {
        let seasons: &[isize] = if period <= SHORT { &[-2, -1, 1, 2] } else { &[-1, 1] };
        lags.extend(seasons.iter().flat_map(|s| (-2..=2).map(move |d| s * period as isize + d)));
    }
    lags.sort_unstable();
    lags.dedup();
    lags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_solved() {
        // [[4, 1, 0], [1, 3, 1], [0, 1, 2]] w = [1, 2, 3]
        let mut matrix = vec![4.0, 1.0, 3.0, 0.0, 1.0, 2.0];
        let mut right = vec![1.0, 2.0, 3.0];
        let known = solve(&mut matrix, &mut right, 3);
        let expected = [2.0 / 9.0, 1.0 / 9.0, 13.0 / 9.0];
        for (w, e) in right.iter().zip(expected) {
            approx::assert_relative_eq!(*w, e, epsilon = 1e-12);
        }
        approx::assert_relative_eq!(known, expected[0] + 2.0 * expected[1] + 3.0 * expected[2], epsilon = 1e-12);
    }

    #[test]
    fn an_autoregression_is_interpolated_with_its_own_weights() {
        // A first-order autoregression: the estimate of one missing value is a (x[t-1] + x[t+1]) / (1 + a^2).
        let a = 0.9f64;
        let mut x = vec![0.0f64];
        for t in 1..20_000usize {
            let noise = langevin_core::Philox::new(1).uniform(t as u32, 0, 0) - 0.5;
            x.push(a.mul_add(x[t - 1], noise));
        }
        let truth = x.clone();
        x[1000] = f64::NAN;
        let table = vec![x];
        let kriging = Kriging::fit(&[&table], None);
        let (filled, variance) = kriging.complete(&table);
        let best = a * (truth[999] + truth[1001]) / (1.0 + a * a);
        assert!((filled[0][1000] - best).abs() < 0.1, "{} {best}", filled[0][1000]);
        let least = (1.0 / 12.0) / (1.0 + a * a);
        assert!((variance[0][1000] / least - 1.0).abs() < 0.35, "{} {least}", variance[0][1000]);
        assert!(variance[0][999] == 0.0);
    }
}
