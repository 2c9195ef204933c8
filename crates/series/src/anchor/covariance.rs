//! Covariances of the columns with one another at all lags, as a matrix that is one.

use nalgebra::{DMatrix, SymmetricEigen};
use rayon::prelude::*;

/// Pairs that weigh as much as no correlation at all.
const SHRINK: f64 = 10.0;
/// Smallest eigenvalue of the spectrum, in its mean.
const FLOOR: f64 = 1e-4;

/// `at(l, i, j) = E[z_i(t) z_j(t + l)]` for `|l| <= lags`, tapered so that it ends smoothly, and positive: every set of cells has a
/// covariance matrix.
#[derive(Clone, Debug)]
pub(super) struct Covariance {
    lags: usize,
    columns: usize,
    /// `[lag + lags][i][j]`.
    values: Vec<f64>,
}

impl Covariance {
    /// From pairs of cells that were both observed; NaN is skipped. `tables[..][column][row]`, of zero mean.
    pub(super) fn of_pairs(tables: &[&[Vec<f64>]], lags: usize) -> Self {
        Self::estimate(tables, lags, |sum, count| sum / count.max(1.0) * count / (count + SHRINK))
    }

    /// From completed tables.
    pub(super) fn of_completed(tables: &[&[Vec<f64>]], lags: usize) -> Self {
        let rows: usize = tables.iter().map(|table| table.first().map_or(0, Vec::len)).sum();
        Self::estimate(tables, lags, |sum, _| sum / rows.max(1) as f64)
    }

    fn estimate(tables: &[&[Vec<f64>]], lags: usize, ratio: impl Fn(f64, f64) -> f64 + Sync) -> Self {
        let columns = tables.first().map_or(0, |table| table.len());
        let parts: Vec<(DMatrix<f64>, DMatrix<f64>)> = tables
            .iter()
            .map(|table| {
                let rows = table.first().map_or(0, Vec::len);
                let filled = |t: usize, c: usize| if table[c][t].is_nan() { 0.0 } else { table[c][t] };
                let seen = |t: usize, c: usize| f64::from(u8::from(!table[c][t].is_nan()));
                (DMatrix::from_fn(rows, columns, filled), DMatrix::from_fn(rows, columns, seen))
            })
            .collect();
        let one = |lag: usize| {
            let (mut sums, mut counts) = (DMatrix::zeros(columns, columns), DMatrix::zeros(columns, columns));
            for (filled, seen) in parts.iter().filter(|(filled, _)| filled.nrows() > lag) {
                let rows = filled.nrows() - lag;
                sums += filled.rows(0, rows).transpose() * filled.rows(lag, rows);
                counts += seen.rows(0, rows).transpose() * seen.rows(lag, rows);
            }
            let taper = (1.0 - lag as f64 / (lags + 1) as f64).sqrt();
            DMatrix::from_fn(columns, columns, |i, j| taper * ratio(sums[(i, j)], counts[(i, j)]))
        };
        let half: Vec<DMatrix<f64>> = (0..=lags).into_par_iter().map(one).collect();
        let half = positive(half);
        let mut values = Vec::with_capacity((2 * lags + 1) * columns * columns);
        for lag in (1..=lags).rev() {
            // Row-major of the transpose is column-major of the matrix.
            values.extend_from_slice(half[lag].as_slice());
        }
        for matrix in &half {
            values.extend_from_slice(matrix.transpose().as_slice());
        }
        Self { lags, columns, values }
    }

    /// Number of columns.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Covariance of column `i` with column `j`, `lag` rows later.
    #[inline]
    pub(super) fn at(&self, lag: isize, i: usize, j: usize) -> f64 {
        // |lag| <= lags by construction of the lists of lags.
        self.values[((lag + self.lags as isize) as usize * self.columns + i) * self.columns + j]
    }
}

/// Clips negative eigenvalues of the spectral density, so that estimates from different pairs agree with one another.
fn positive(half: Vec<DMatrix<f64>>) -> Vec<DMatrix<f64>> {
    let columns = half[0].nrows();
    let length = 2 * half.len() - 1;
    let turn = |m: usize, lag: usize| std::f64::consts::TAU * ((m * lag) % length) as f64 / length as f64;
    // The Hermitian matrix a - ib as a real symmetric one of twice the size.
    let spectrum = |m: usize| {
        let (mut a, mut b) = (half[0].clone(), DMatrix::zeros(columns, columns));
        for (lag, matrix) in half.iter().enumerate().skip(1) {
            let (sin, cos) = turn(m, lag).sin_cos();
            let transposed = matrix.transpose();
            a += (matrix + &transposed) * cos;
            b += (matrix - transposed) * sin;
        }
        let mut both = DMatrix::zeros(2 * columns, 2 * columns);
        both.view_mut((0, 0), (columns, columns)).copy_from(&a);
        both.view_mut((columns, columns), (columns, columns)).copy_from(&a);
        both.view_mut((0, columns), (columns, columns)).copy_from(&b);
        both.view_mut((columns, 0), (columns, columns)).copy_from(&(-&b));
        both
    };
    let spectra: Vec<DMatrix<f64>> = (0..half.len()).into_par_iter().map(spectrum).collect();
    let power: f64 = spectra.iter().map(|s| s.trace().max(0.0)).sum();
    let floor = (FLOOR * power / (spectra.len() * 2 * columns).max(1) as f64).max(1e-12);
    let clip = |s: &DMatrix<f64>| {
        let lifted = s - DMatrix::identity(2 * columns, 2 * columns) * floor;
        if lifted.cholesky().is_some() {
            return (s.clone(), false);
        }
        let mut eigen = SymmetricEigen::new(s.clone());
        eigen.eigenvalues.iter_mut().for_each(|value| *value = value.max(floor));
        (eigen.recompose(), true)
    };
    let clipped: Vec<(DMatrix<f64>, bool)> = spectra.par_iter().map(clip).collect();
    if clipped.iter().all(|(_, changed)| !changed) {
        return half;
    }
    let back = |lag: usize| {
        let mut sum = DMatrix::zeros(columns, columns);
        for (m, (both, _)) in clipped.iter().enumerate() {
            let (sin, cos) = turn(m, lag).sin_cos();
            let twice = if m == 0 { 1.0 } else { 2.0 };
            let (a, b) = (both.view((0, 0), (columns, columns)), both.view((0, columns), (columns, columns)));
            sum += (a * cos + b * sin) * twice;
        }
        sum / length as f64
    };
    (0..half.len()).into_par_iter().map(back).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(rows: usize) -> Vec<Vec<f64>> {
        let value = |c: usize, t: usize| ((t * (3 + c)) as f64 * 0.1).sin() + ((t * 7919 + c * 31) % 101) as f64 / 101.0 - 0.5;
        (0..3).map(|c| (0..rows).map(|t| value(c, t)).collect()).collect()
    }

    #[test]
    fn pairs_of_a_complete_table_are_its_autocovariance() {
        let table = wave(4000);
        let covariance = Covariance::of_completed(&[&table], 6);
        for (lag, i, j) in [(0isize, 0, 0), (2, 0, 1), (-2, 1, 0), (5, 2, 2), (-3, 0, 2)] {
            let rows = 4000 - lag.unsigned_abs();
            let pair = |t: usize| {
                if lag >= 0 { table[i][t] * table[j][t + lag.unsigned_abs()] } else { table[i][t + lag.unsigned_abs()] * table[j][t] }
            };
            let plain = (0..rows).map(pair).sum::<f64>() / 4000.0 * (1.0 - lag.abs() as f64 / 7.0).sqrt();
            assert!((covariance.at(lag, i, j) - plain).abs() < 0.02, "{lag} {i} {j}: {} {plain}", covariance.at(lag, i, j));
            approx::assert_relative_eq!(covariance.at(lag, i, j), covariance.at(-lag, j, i));
        }
    }

    #[test]
    fn any_cells_have_a_covariance_matrix() {
        let mut table = wave(60);
        for (k, value) in table.iter_mut().flatten().enumerate() {
            if (k * 37) % 10 < 8 {
                *value = f64::NAN;
            }
        }
        let covariance = Covariance::of_pairs(&[&table], 12);
        let cells: Vec<(isize, usize)> = (0..7).flat_map(|t| (0..3).map(move |c| (t, c))).collect();
        let matrix = DMatrix::from_fn(cells.len(), cells.len(), |a, b| covariance.at(cells[b].0 - cells[a].0, cells[a].1, cells[b].1));
        assert!((matrix.clone() + DMatrix::identity(21, 21) * 1e-9).cholesky().is_some());
    }
}
