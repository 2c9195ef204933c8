//! Joint tests of forward and reverse processes (Geweke 2004, "Getting it right").
//!
//! One simulator draws data and noises it: independent draws of `(x0, x_s, x_t)`. The other runs a Markov chain whose sweep is
//! `x_t -> x_s -> x0 -> x_t`: down by the reverse process, up by the forward one. If both are right the chain leaves the joint
//! distribution as it is, and all moments agree; an error in either makes it drift. Many chains run side by side, so that the
//! spread of their means is the error, however strongly a chain's sweeps are correlated.
//!
//! Each test runs again with errors planted, which it must notice.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod categorical;
mod gaussian;

/// Largest sound difference, in standard errors.
const LIMIT: f64 = 4.0;
const CHAINS: usize = 400;
const SWEEPS: usize = 120;
/// Independent draws of the first simulator.
const DRAWS: usize = 100_000;
const STREAM: u32 = langevin_core::noise::stream::DOMAIN;

/// Means of test functions over independent rows, with their squared standard errors.
fn means(rows: impl Iterator<Item = Vec<f64>>) -> (Vec<f64>, Vec<f64>) {
    let (mut sum, mut square, mut n) = (Vec::new(), Vec::new(), 0.0);
    for row in rows {
        sum.resize(row.len(), 0.0);
        square.resize(row.len(), 0.0);
        row.iter().enumerate().for_each(|(k, v)| (sum[k], square[k]) = (sum[k] + v, square[k] + v * v));
        n += 1.0;
    }
    let mean: Vec<f64> = sum.iter().map(|s| s / n).collect();
    let error = mean.iter().zip(&square).map(|(m, s)| (s / n - m * m).max(0.0) / (n - 1.0)).collect();
    (mean, error)
}

/// The largest difference of two simulators in standard errors: independent rows, and the mean row of each chain.
fn largest_z(independent: impl Iterator<Item = Vec<f64>>, chains: impl Iterator<Item = Vec<f64>>) -> f64 {
    let ((a, error_a), (b, error_b)) = (means(independent), means(chains));
    assert_eq!(a.len(), b.len());
    let z = |k: usize| if a[k] == b[k] { 0.0 } else { (a[k] - b[k]).abs() / (error_a[k] + error_b[k]).sqrt() };
    (0..a.len()).map(z).fold(0.0, f64::max)
}

/// Mean rows of the chains from the sums of their sweeps.
fn over_sweeps(sums: Vec<Vec<f64>>) -> impl Iterator<Item = Vec<f64>> {
    sums.into_iter().map(|row| row.into_iter().map(|v| v / SWEEPS as f64).collect())
}

fn add(sums: &mut [Vec<f64>], rows: impl Iterator<Item = Vec<f64>>) {
    for (sum, row) in sums.iter_mut().zip(rows) {
        sum.resize(row.len(), 0.0);
        sum.iter_mut().zip(row).for_each(|(s, v)| *s += v);
    }
}
