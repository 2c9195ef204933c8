//! A table with its anchor, and the windows that networks see of it.

use std::sync::Arc;

use super::Relations;
use crate::model::{FEATURES, PAIRS};

/// Most columns that a network sees at once.
pub const MOST_COLUMNS: usize = 64;

/// No such row.
const NOWHERE: u32 = u32::MAX;

/// A simple method's estimate of every cell of a table, in units of the columns' deviations.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchored {
    /// `mean[column][row]`: the observed value, or the estimate of a hole.
    pub mean: Vec<Vec<f64>>,
    /// `scale[column][row]`: the standard deviation expected of a hole's error, above 0; 0 where a value was observed.
    pub scale: Vec<Vec<f64>>,
}

/// A table with its anchor, ready to be cut into windows. All values are in units of the columns' deviations.
#[derive(Clone, Debug)]
pub struct Sheet {
    rows: usize,
    /// In steps.
    positions: Vec<f64>,
    /// In steps.
    period: Option<f64>,
    relations: Arc<Relations>,
    /// `[column * rows + row]`.
    cells: Vec<Cell>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    /// The observed value, or the anchor's.
    mean: f32,
    /// 0 where a value was observed.
    scale: f32,
    /// Row of the last observation before a hole, and of the first after it.
    around: [u32; 2],
}

/// Some rows and columns of a sheet, as networks see them.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// `[row][column][feature]`.
    pub(crate) features: Vec<f32>,
    /// 1 at holes and 0 elsewhere: `[row][column]`.
    pub(crate) holes: Vec<f32>,
    /// `[column][column][pair]`.
    pub(crate) pairs: Vec<f32>,
}

impl Window {
    /// Whether the cell of a row and a column is a hole.
    #[must_use]
    pub fn is_hole(&self, row: usize, column: usize) -> bool {
        self.holes[row * self.columns + column] > 0.0
    }

    /// Number of holes.
    #[must_use]
    pub fn holes(&self) -> usize {
        self.holes.iter().filter(|&&hole| hole > 0.0).count()
    }
}

impl Sheet {
    /// A sheet of values `[column][row]` with NaN at holes and their anchor, with the positions of rows and the period in steps.
    ///
    /// # Panics
    /// When shapes differ.
    #[must_use]
    pub fn new(values: &[Vec<f64>], positions: &[f64], anchored: &Anchored, period: Option<f64>, relations: Arc<Relations>) -> Self {
        let rows = positions.len();
        let fits = |part: &[Vec<f64>]| part.len() == values.len() && part.iter().all(|column| column.len() == rows);
        assert!(fits(values) && fits(&anchored.mean) && fits(&anchored.scale), "table and anchor differ in shape");
        assert!(relations.columns() == values.len(), "relations are of other columns");
        let mut cells = Vec::with_capacity(rows * values.len());
        for ((values, mean), scale) in values.iter().zip(&anchored.mean).zip(&anchored.scale) {
            let first = cells.len();
            let mut before = NOWHERE;
            for (row, value) in values.iter().enumerate() {
                let hole = value.is_nan();
                let cell = if hole {
                    Cell { mean: mean[row] as f32, scale: scale[row].clamp(1e-6, 1e6) as f32, around: [before, NOWHERE] }
                } else {
                    before = row as u32;
                    Cell { mean: *value as f32, scale: 0.0, around: [before; 2] }
                };
                cells.push(cell);
            }
            let mut after = NOWHERE;
            for (row, cell) in cells[first..].iter_mut().enumerate().rev() {
                after = if cell.scale > 0.0 { after } else { row as u32 };
                cell.around[1] = after;
            }
        }
        Self { rows, positions: positions.to_vec(), period, relations, cells }
    }

    /// Number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.relations.columns()
    }

    /// The window of rows from `first` (fewer at the end of the sheet) and of some columns, in their order.
    ///
    /// What a token is told: whether it is a hole; the anchor's estimate and the observed value; for a hole the distance in steps to the
    /// observations around it, their difference from the estimate in units of its scale, and which of them do not exist; the
    /// estimate's scale; the phase of its time in the period, twice.
    ///
    /// # Panics
    /// When there is no such row or column.
    #[must_use]
    pub fn window(&self, first: usize, rows: usize, columns: &[usize]) -> Window {
        assert!(first < self.rows, "a sheet of {} rows has no row {first}", self.rows);
        let end = (first + rows).min(self.rows);
        let cells = (end - first) * columns.len();
        let (mut features, mut holes) = (Vec::with_capacity(cells * FEATURES), Vec::with_capacity(cells));
        for row in first..end {
            let phases = self.phases(row);
            for &column in columns {
                let cell = self.cells[column * self.rows + row];
                let hole = cell.scale > 0.0;
                holes.push(f32::from(u8::from(hole)));
                features.extend(self.token(column, row, cell));
                features.extend(phases);
            }
        }
        let mut pairs = Vec::with_capacity(columns.len() * columns.len() * PAIRS);
        for &i in columns {
            for &j in columns {
                let [values, steps] = self.relations.of(i, j);
                pairs.extend([values, steps, f32::from(u8::from(i == j))]);
            }
        }
        Window { rows: end - first, columns: columns.len(), features, holes, pairs }
    }

    /// What a token is told of its cell.
    fn token(&self, column: usize, row: usize, cell: Cell) -> [f32; FEATURES - 4] {
        let level = cell.mean.clamp(-10.0, 10.0);
        if cell.scale == 0.0 {
            return [0.0, level, level, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        }
        let mut told = [1.0, level, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, cell.scale.ln().clamp(-8.0, 4.0)];
        for (side, at) in cell.around.into_iter().enumerate() {
            if at == NOWHERE {
                told[7 + side] = 1.0;
                continue;
            }
            let at = at as usize;
            let apart = (self.positions[row] - self.positions[at]).abs();
            told[3 + side] = (0.25 * apart.ln_1p()) as f32;
            let difference = (self.cells[column * self.rows + at].mean - cell.mean) / cell.scale;
            told[5 + side] = difference.asinh().clamp(-8.0, 8.0);
        }
        told
    }

    /// Sines and cosines of the time of a row in the period and in its half.
    fn phases(&self, row: usize) -> [f32; 4] {
        let Some(period) = self.period else { return [0.0; 4] };
        let turn = (self.positions[row] / period).fract() * std::f64::consts::TAU;
        [turn.sin(), turn.cos(), (2.0 * turn).sin(), (2.0 * turn).cos()].map(|v| v as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_by_hand() {
        let nan = f64::NAN;
        let values = vec![vec![1.0, nan, nan, 4.0, nan], vec![0.0, 0.5, 0.25, 0.0, 0.0]];
        let mut anchored = Anchored { mean: values.clone(), scale: vec![vec![0.0, 0.5, 0.5, 0.0, 0.25], vec![0.0; 5]] };
        anchored.mean[0] = vec![1.0, 2.0, 3.0, 4.0, 4.5];
        let relations = Arc::new(Relations::fit(&[&values]));
        let sheet = Sheet::new(&values, &[10.0, 11.0, 12.0, 13.0, 14.0], &anchored, Some(4.0), relations);
        let window = sheet.window(1, 96, &[1, 0]);
        assert_eq!((window.rows, window.columns, window.holes()), (4, 2, 3));
        assert!(!window.is_hole(0, 0) && window.is_hole(0, 1) && window.is_hole(3, 1));
        let token = |row: usize, column: usize| &window.features[(row * 2 + column) * FEATURES..][..FEATURES];
        assert_eq!(token(0, 0)[..3], [0.0, 0.5, 0.5]);
        let hole = token(0, 1);
        let (near, far) = (0.25 * 2f32.ln(), 0.25 * 3f32.ln());
        let expected = [1.0, 2.0, 0.0, near, far, (-2f32).asinh(), 4f32.asinh(), 0.0, 0.0, 0.5f32.ln()];
        assert!(hole.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{hole:?}");
        // Row 1 is at 11 of a period of 4: three quarters.
        assert!((hole[10] + 1.0).abs() < 1e-6 && hole[11].abs() < 1e-6 && hole[12].abs() < 1e-6 && (hole[13] + 1.0).abs() < 1e-6);
        let last = token(3, 1);
        assert_eq!((last[7], last[8]), (0.0, 1.0));
        assert_eq!(window.pairs[..PAIRS], [1.0, 1.0, 1.0]);
        assert_eq!(window.pairs[2 + PAIRS], 0.0);
    }
}
