//! How large errors are, by column, distance and the unrest around the gap, in units of what kriging expects.

use super::mix::{BINS, bin};

/// Independent cells that all columns together are worth for one.
const OTHERS: f64 = 20.0;
/// Independent cells with an unrest of one tenth that "errors do not grow with unrest" is worth.
const CALM: f64 = 30.0;
/// Errors below this share of the mean count as this, where logarithms are taken.
const LEAST: f64 = 0.05;
/// Least deviation that kriging is believed to expect, in the column's: of a column that was constant as far as it was seen it expects none.
const SURE: f64 = 1e-3;
/// Mean absolute value of a standard normal variable.
const ABSOLUTE: f64 = 0.797_884_560_802_865_4;

/// The error at a held-out cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Miss {
    pub(super) column: usize,
    /// Rows to the nearest observation.
    pub(super) distance: usize,
    /// Half of the trial, 0 or 1.
    pub(super) half: usize,
    /// Logarithm of the unrest around.
    pub(super) unrest: f64,
    /// Size of the error in kriging's deviations.
    pub(super) ratio: f64,
}

/// The deviation that kriging expects.
pub(super) fn expected(variance: f64) -> f64 {
    variance.sqrt().max(SURE)
}

/// Factors on kriging's deviation, `[column][bin]`, and the power of the unrest that multiplies them.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    factors: Vec<[f64; BINS]>,
    power: f64,
}

impl Spread {
    /// Kriging is believed.
    pub(super) fn plain(columns: usize) -> Self {
        Self { factors: vec![[1.0; BINS]; columns], power: 0.0 }
    }

    /// From held-out cells, of which `cluster` say about the same; those of `half` are left out.
    pub(super) fn fit(misses: &[Miss], columns: usize, cluster: f64, half: Option<usize>) -> Self {
        let used: Vec<Miss> = misses.iter().filter(|miss| half != Some(miss.half)).copied().collect();
        if used.len() < 5 {
            return Self::plain(columns);
        }
        let power = power(&used, columns, cluster.max(1.0));
        let used: Vec<Miss> = used.into_iter().map(|miss| Miss { ratio: miss.ratio * (-power * miss.unrest).exp(), ..miss }).collect();
        let mean = |cells: &mut dyn Iterator<Item = f64>| {
            let (sum, count) = cells.fold((0.0, 0.0), |(sum, count), ratio| (sum + ratio, count + 1.0));
            (sum, count)
        };
        let (all, count) = mean(&mut used.iter().map(|miss| miss.ratio));
        let overall = all / count;
        let others = OTHERS * cluster.max(1.0);
        let of = |column: usize, at: usize| {
            let (sum, count) = mean(&mut used.iter().filter(|m| bin(m.distance) == at).map(|m| m.ratio));
            let binned = (sum + others * overall) / (count + others);
            let (sum, count) = mean(&mut used.iter().filter(|m| m.column == column && bin(m.distance) == at).map(|m| m.ratio));
            (((sum + others * binned) / (count + others)) / ABSOLUTE).clamp(1e-3, 1e3)
        };
        Self { factors: (0..columns).map(|column| std::array::from_fn(|at| of(column, at))).collect(), power }
    }

    /// Standard deviation of an error.
    pub(super) fn of(&self, column: usize, distance: usize, unrest: f64, variance: f64) -> f64 {
        (self.factors[column][bin(distance)] * (self.power * unrest).exp() * expected(variance)).max(1e-6)
    }
}

/// The power of the unrest with which errors grow: the slope of their logarithms within columns, shrunk towards 0, from 0 to 1.
fn power(misses: &[Miss], columns: usize, cluster: f64) -> f64 {
    let mean = misses.iter().map(|miss| miss.ratio).sum::<f64>() / misses.len() as f64;
    let size = |miss: &Miss| miss.ratio.max(LEAST * mean).max(1e-300).ln();
    let mut sums = vec![[0.0; 3]; columns];
    for miss in misses {
        let [count, unrest, error] = &mut sums[miss.column];
        *count += 1.0;
        *unrest += miss.unrest;
        *error += size(miss);
    }
    let (mut products, mut squares) = (0.0, 0.1 * CALM * cluster);
    for miss in misses {
        let [count, unrest, error] = sums[miss.column];
        let off = miss.unrest - unrest / count;
        products += off * (size(miss) - error / count);
        squares += off * off;
    }
    (products / squares).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn miss(n: usize, ratio: f64) -> Miss {
        Miss { column: n % 2, distance: 1 + n % 3, half: (n / 64) % 2, unrest: 0.0, ratio }
    }

    #[test]
    fn a_column_with_larger_errors_has_a_larger_spread() {
        let misses: Vec<_> = (0..2000).map(|n| miss(n, if n % 2 == 0 { ABSOLUTE } else { 3.0 * ABSOLUTE })).collect();
        let spread = Spread::fit(&misses, 3, 1.0, None);
        assert!((spread.of(0, 1, 0.0, 1.0) - 1.0).abs() < 0.1);
        assert!((spread.of(1, 1, 0.0, 4.0) - 6.0).abs() < 0.4);
        // A column that was never tried is like the others.
        assert!((spread.of(2, 1, 0.0, 1.0) - 2.0).abs() < 0.2);
        // Nothing was restless.
        assert!((spread.of(0, 1, 1.0, 1.0) / spread.of(0, 1, 0.0, 1.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn errors_that_grow_with_unrest_are_expected_to() {
        let unrest = |n: usize| ((n * 7919) % 101) as f64 / 50.0 - 1.0;
        let misses: Vec<_> = (0..4000).map(|n| Miss { unrest: unrest(n), ..miss(n, ABSOLUTE * (0.5 * unrest(n)).exp()) }).collect();
        let spread = Spread::fit(&misses, 2, 1.0, None);
        let grown = spread.of(0, 1, 1.0, 1.0) / spread.of(0, 1, 0.0, 1.0);
        assert!((grown - 0.5f64.exp()).abs() < 0.02, "{grown}");
        // Few cells prove nothing.
        let few = Spread::fit(&misses, 2, 1000.0, None);
        assert!(few.of(0, 1, 1.0, 1.0) / few.of(0, 1, 0.0, 1.0) < 1.2);
    }
}
