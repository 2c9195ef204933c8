//! How columns go together: correlations of what was observed.

use rayon::prelude::*;

/// Correlations of columns, and of their steps from row to row, from the cells where both were observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Relations {
    columns: usize,
    /// `[of values, of steps]` of every pair, row-major.
    pairs: Vec<[f32; 2]>,
}

/// Added to the number of cells that a correlation is of: a correlation of few cells is taken for less.
const DOUBT: f64 = 8.0;

impl Relations {
    /// Of tables of the same columns, each `[column][row]` with NaN at holes.
    ///
    /// # Panics
    /// When tables differ in their number of columns.
    #[must_use]
    pub fn fit(tables: &[&[Vec<f64>]]) -> Self {
        let columns = tables.first().map_or(0, |table| table.len());
        assert!(tables.iter().all(|table| table.len() == columns), "tables differ in their number of columns");
        let row = |i: usize| -> Vec<[f32; 2]> {
            let pair = |j: usize| {
                let mut sums = [Sums::default(), Sums::default()];
                for table in tables {
                    let (a, b) = (&table[i], &table[j]);
                    a.iter().zip(b).for_each(|(&a, &b)| sums[0].add(a, b));
                    a.windows(2).zip(b.windows(2)).for_each(|(a, b)| sums[1].add(a[1] - a[0], b[1] - b[0]));
                }
                sums.map(|sums| sums.correlation())
            };
            (0..i).map(pair).collect()
        };
        let below: Vec<Vec<[f32; 2]>> = (0..columns).into_par_iter().map(row).collect();
        let mut pairs = vec![[1.0; 2]; columns * columns];
        for (i, row) in below.into_iter().enumerate() {
            for (j, pair) in row.into_iter().enumerate() {
                pairs[i * columns + j] = pair;
                pairs[j * columns + i] = pair;
            }
        }
        Self { columns, pairs }
    }

    /// Number of columns.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Correlations of the values and of the steps of two columns.
    ///
    /// # Panics
    /// When there are no such columns.
    #[must_use]
    pub fn of(&self, i: usize, j: usize) -> [f32; 2] {
        self.pairs[i * self.columns + j]
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    n: f64,
    a: f64,
    b: f64,
    aa: f64,
    bb: f64,
    ab: f64,
}

impl Sums {
    /// Adds a pair; one that is not complete adds nothing.
    fn add(&mut self, a: f64, b: f64) {
        if (a + b).is_nan() {
            return;
        }
        self.n += 1.0;
        self.a += a;
        self.b += b;
        self.aa += a * a;
        self.bb += b * b;
        self.ab += a * b;
    }

    fn correlation(self) -> f32 {
        let Self { n, a, b, aa, bb, ab } = self;
        let spread = ((aa - a * a / n) * (bb - b * b / n)).sqrt();
        let value = (ab - a * b / n) / spread * n / (n + DOUBT);
        // Constant columns, or no cell in common.
        if value.is_finite() { value.clamp(-1.0, 1.0) as f32 } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_by_their_definition() {
        let wave = |phase: f64| (0..2000).map(|t| (f64::from(t) * 0.1 + phase).sin()).collect::<Vec<f64>>();
        let mut with_holes = wave(0.0);
        with_holes.iter_mut().step_by(5).for_each(|v| *v = f64::NAN);
        let table = vec![wave(0.0), wave(std::f64::consts::FRAC_PI_2), with_holes.iter().map(|v| -2.0 * v).collect(), vec![3.0; 2000]];
        let relations = Relations::fit(&[&table]);
        assert_eq!(relations.of(1, 1), [1.0, 1.0]);
        let near = |ours: [f32; 2], theirs: [f32; 2]| ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 0.02);
        assert!(near(relations.of(0, 1), [0.0, 0.0]), "{:?}", relations.of(0, 1));
        assert!(near(relations.of(0, 2), [-1.0, -1.0]) && relations.of(0, 2) == relations.of(2, 0));
        assert_eq!(relations.of(0, 3), [0.0, 0.0]);
        assert_eq!(Relations::fit(&[&[vec![f64::NAN; 3], vec![1.0; 3]]]).of(0, 1), [0.0, 0.0]);
        assert_eq!(Relations::fit(&[]).columns(), 0);
    }
}
