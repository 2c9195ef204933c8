//! How much each estimate counts, by column and by the distance to the nearest observation, learned from cells held out.

use rayon::prelude::*;

/// Upper ends of the bins of distances in rows; the last bin is open.
const EDGES: [usize; 5] = [1, 2, 4, 8, 16];
/// Number of bins.
pub(crate) const BINS: usize = EDGES.len() + 1;
/// Independent cells that the shares known beforehand are worth.
const BEFORE: f64 = 30.0;
/// Independent cells that the shares of all columns together are worth for one.
const TOGETHER: f64 = 6.0;
/// Steps of the multiplicative weights.
const STEPS: usize = 200;

/// Bin of a distance.
#[must_use]
pub(crate) fn bin(distance: usize) -> usize {
    EDGES.iter().position(|&edge| distance <= edge).unwrap_or(EDGES.len())
}

/// Held-out cells of a table with what the estimates said of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// Column, bin and half (0 or 1) of each cell.
    pub(super) cells: Vec<(usize, usize, usize)>,
    /// Errors of each estimate at each cell, `[cell][estimate]`, in deviations.
    pub(super) errors: Vec<Vec<f64>>,
    /// Cells that are hidden together and say about the same, in the mean.
    pub(super) cluster: f64,
}

/// Shares of the estimates, `[column][bin][estimate]`, each a convex combination.
#[derive(Clone, Debug)]
pub(super) struct Mix {
    shares: Vec<Vec<Vec<f64>>>,
}

impl Mix {
    /// The same shares everywhere.
    pub(super) fn plain(columns: usize, shares: &[f64]) -> Self {
        Self { shares: vec![vec![shares.to_vec(); BINS]; columns] }
    }

    /// Shares that minimise the absolute error on held-out cells; the cells of `half`, if one is named, are left out. What is known
    /// beforehand is `plain` for all columns of a bin together, and what they say for each column.
    pub(super) fn fit(held: &Held, columns: usize, half: Option<usize>, plain: &[f64]) -> Self {
        let cluster = held.cluster.max(1.0);
        let errors = |bin: usize, column: Option<usize>| -> Vec<&[f64]> {
            let used = |cell: &(usize, usize, usize)| cell.1 == bin && column.is_none_or(|c| c == cell.0) && half != Some(cell.2);
            held.cells.iter().zip(&held.errors).filter(|(cell, _)| used(cell)).map(|(_, errors)| errors.as_slice()).collect()
        };
        let together: Vec<Vec<f64>> = (0..BINS).map(|bin| convex(&errors(bin, None), plain, BEFORE * cluster)).collect();
        let of = |column: usize| (0..BINS).map(|bin| convex(&errors(bin, Some(column)), &together[bin], TOGETHER * cluster)).collect();
        Self { shares: (0..columns).into_par_iter().map(of).collect() }
    }

    /// The combination at a cell.
    pub(super) fn of(&self, column: usize, distance: usize, estimates: impl Iterator<Item = f64>) -> f64 {
        self.shares[column][bin(distance)].iter().zip(estimates).map(|(share, estimate)| share * estimate).sum()
    }
}

/// The convex combination with the least sum of absolute errors and `before` times its divergence from the shares known beforehand (in units
/// of their mean error), by exponentiated gradient (Kivinen and Warmuth, 1997).
fn convex(errors: &[&[f64]], known: &[f64], before: f64) -> Vec<f64> {
    if errors.is_empty() {
        return known.to_vec();
    }
    let combined = |shares: &[f64], errors: &[f64]| shares.iter().zip(errors).map(|(s, e)| s * e).sum::<f64>();
    let typical = errors.iter().map(|e| combined(known, e).abs()).sum::<f64>() / errors.len() as f64;
    let weight = before * typical;
    let scale = (weight + typical * errors.len() as f64).max(1e-12);
    let mut shares = known.to_vec();
    let mut best = (f64::INFINITY, shares.clone());
    for step in 0..STEPS {
        let divergence: Vec<f64> = shares.iter().zip(known).map(|(s, p)| (s.max(1e-30) / p.max(1e-30)).ln()).collect();
        let mut loss = weight * combined(&shares, &divergence);
        let mut slope: Vec<f64> = divergence.iter().map(|d| weight * d).collect();
        for errors in errors {
            let error = combined(&shares, errors);
            loss += error.abs();
            slope.iter_mut().zip(*errors).for_each(|(g, e)| *g += error.signum() * e);
        }
        if loss < best.0 {
            best = (loss, shares.clone());
        }
        let rate = 6.0 / (1.0 + step as f64).sqrt() / scale;
        shares.iter_mut().zip(&slope).for_each(|(s, g)| *s *= (-rate * g).exp());
        let total: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|s| *s /= total);
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_cancel_are_averaged_and_bad_ones_left_out() {
        let cells: Vec<Vec<f64>> = (0..2000).map(|n| if n % 2 == 0 { vec![1.0, -1.0, 5.0] } else { vec![-1.0, 1.0, 3.0] }).collect();
        let errors: Vec<&[f64]> = cells.iter().map(Vec::as_slice).collect();
        let shares = convex(&errors, &[0.2, 0.3, 0.5], 10.0);
        assert!((shares[0] - 0.5).abs() < 0.05 && shares[2] < 0.02, "{shares:?}");
        // Two cells do not outweigh what is known.
        let shares = convex(&errors[..2], &[0.2, 0.3, 0.5], 100.0);
        assert!((shares[2] - 0.5).abs() < 0.1, "{shares:?}");
    }

    #[test]
    fn columns_differ_where_they_have_cells_of_their_own() {
        let mut held = Held { cluster: 1.0, ..Held::default() };
        for n in 0..400 {
            let column = n % 2;
            held.cells.push((column, 0, (n / 2) % 2));
            held.errors.push(if column == 0 { vec![0.0, 1.0] } else { vec![1.0, 0.0] });
        }
        let mix = Mix::fit(&held, 2, None, &[0.5, 0.5]);
        assert!(mix.of(0, 1, [0.0, 1.0].into_iter()) < 0.1);
        assert!(mix.of(1, 1, [0.0, 1.0].into_iter()) > 0.9);
        assert_eq!(bin(1), 0);
        assert_eq!(bin(9), 4);
        assert_eq!(bin(usize::MAX), BINS - 1);
    }

    #[test]
    fn nothing_held_out_leaves_the_plain_shares() {
        let mix = Mix::fit(&Held::default(), 1, None, &[0.25, 0.75]);
        approx::assert_relative_eq!(mix.of(0, 3, [4.0, 0.0].into_iter()), 1.0);
    }
}
