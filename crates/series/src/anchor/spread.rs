//! How large errors are, by column and distance, in units of what kriging expects.

use super::mix::{BINS, bin};

/// Independent cells that all columns together are worth for one.
const OTHERS: f64 = 20.0;
/// Mean absolute value of a standard normal variable.
const ABSOLUTE: f64 = 0.797_884_560_802_865_4;

/// Factors on kriging's deviation, `[column][bin]`.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    factors: Vec<[f64; BINS]>,
}

impl Spread {
    /// Kriging is believed.
    pub(super) fn plain(columns: usize) -> Self {
        Self { factors: vec![[1.0; BINS]; columns] }
    }

    /// From held-out cells: column, distance, half, and the error's size in kriging's deviations. `cluster` cells say about
    /// the same. Cells of `half` are left out.
    pub(super) fn fit(ratios: &[(usize, usize, usize, f64)], columns: usize, cluster: f64, half: Option<usize>) -> Self {
        let used: Vec<_> = ratios.iter().filter(|(_, _, h, _)| half != Some(*h)).collect();
        let mean = |cells: &mut dyn Iterator<Item = f64>| {
            let (sum, count) = cells.fold((0.0, 0.0), |(sum, count), ratio| (sum + ratio, count + 1.0));
            (sum, count)
        };
        let (all, count) = mean(&mut used.iter().map(|cell| cell.3));
        if count < 5.0 {
            return Self::plain(columns);
        }
        let overall = all / count;
        let others = OTHERS * cluster.max(1.0);
        let of = |column: usize, at: usize| {
            let (sum, count) = mean(&mut used.iter().filter(|c| bin(c.1) == at).map(|c| c.3));
            let binned = (sum + others * overall) / (count + others);
            let (sum, count) = mean(&mut used.iter().filter(|c| c.0 == column && bin(c.1) == at).map(|c| c.3));
            (((sum + others * binned) / (count + others)) / ABSOLUTE).clamp(1e-3, 1e3)
        };
        Self { factors: (0..columns).map(|column| std::array::from_fn(|at| of(column, at))).collect() }
    }

    /// Standard deviation of an error.
    pub(super) fn of(&self, column: usize, distance: usize, variance: f64) -> f64 {
        (self.factors[column][bin(distance)] * variance.sqrt()).max(1e-6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_with_larger_errors_has_a_larger_spread() {
        let ratios: Vec<_> =
            (0..2000).map(|n| (n % 2, 1 + n % 3, (n / 64) % 2, if n % 2 == 0 { ABSOLUTE } else { 3.0 * ABSOLUTE })).collect();
        let spread = Spread::fit(&ratios, 3, 1.0, None);
        assert!((spread.of(0, 1, 1.0) - 1.0).abs() < 0.1);
        assert!((spread.of(1, 1, 4.0) - 6.0).abs() < 0.4);
        // A column that was never tried is like the others.
        assert!((spread.of(2, 1, 1.0) - 2.0).abs() < 0.2);
    }
}
