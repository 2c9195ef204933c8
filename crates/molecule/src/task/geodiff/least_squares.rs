//! Positions whose distances are as wanted.

use nalgebra::{DMatrix, DVector};

use crate::Point;

/// Gauss-Newton steps from noised positions. At little noise one is enough.
const STEPS: usize = 8;
/// Added to the diagonal, relative to its mean: what no distance determines (the molecule as a whole, and bends of straight chains) stays.
const DAMPING: f64 = 1e-2;

/// A pair of atoms and the distance in angstrom that it should have.
pub(super) type Wanted = (usize, usize, f64);

/// Positions near `start` of least squares `sum over pairs (|r_i - r_j| - wanted)^2`, by damped Gauss-Newton steps.
///
/// The projection of GeoDiff's scores is half the right-hand side of the first step's equations: with exact scores it leads, at
/// little noise, the whole way back but for rotation.
pub(super) fn fit(start: &[Point], pairs: &[Wanted]) -> Vec<Point> {
    let n = 3 * start.len();
    let mut x = start.to_vec();
    for _ in 0..STEPS {
        let (mut matrix, mut right) = (DMatrix::<f64>::zeros(n, n), DVector::<f64>::zeros(n));
        for &(i, j, wanted) in pairs {
            let apart: Point = std::array::from_fn(|k| x[i][k] - x[j][k]);
            let d = apart.iter().map(|v| v * v).sum::<f64>().sqrt();
            if d == 0.0 {
                continue;
            }
            let u = apart.map(|v| v / d);
            for a in 0..3 {
                right[3 * i + a] += (wanted - d) * u[a];
                right[3 * j + a] -= (wanted - d) * u[a];
                for b in 0..3 {
                    let term = u[a] * u[b];
                    matrix[(3 * i + a, 3 * i + b)] += term;
                    matrix[(3 * j + a, 3 * j + b)] += term;
                    matrix[(3 * i + a, 3 * j + b)] -= term;
                    matrix[(3 * j + a, 3 * i + b)] -= term;
                }
            }
        }
        let damping = DAMPING * matrix.trace() / n as f64 + f64::MIN_POSITIVE;
        (0..n).for_each(|k| matrix[(k, k)] += damping);
        // Without a decomposition (positions that are not finite) the atoms stay.
        let Some(decomposed) = matrix.cholesky() else { break };
        let moves = decomposed.solve(&right);
        x.as_flattened_mut().iter_mut().zip(&moves).for_each(|(x, step)| *x += step);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use langevin_core::{NoiseSource as _, Philox};

    fn distance(points: &[Point], i: usize, j: usize) -> f64 {
        points[i].iter().zip(points[j]).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    /// From little noise and from much, and nothing moves as a whole.
    #[test]
    fn exact_distances_are_met() {
        let mut clean = vec![[0.0; 3]; 7];
        Philox::new(1).fill_f64(0, 0, 0, clean.as_flattened_mut());
        let pairs: Vec<Wanted> =
            (0..7).flat_map(|i| (i + 1..7).map(move |j| (i, j))).map(|(i, j)| (i, j, distance(&clean, i, j))).collect();
        for (sigma, tolerance) in [(1e-3, 1e-9), (0.5, 1e-4)] {
            let mut eps = vec![[0.0; 3]; 7];
            Philox::new(1).fill_f64(1, 0, 0, eps.as_flattened_mut());
            let noised: Vec<Point> = clean.iter().zip(&eps).map(|(x, e)| std::array::from_fn(|k| x[k] + sigma * e[k])).collect();
            let back = fit(&noised, &pairs);
            for &(i, j, wanted) in &pairs {
                assert!((distance(&back, i, j) - wanted).abs() < tolerance, "{sigma}: {} {wanted}", distance(&back, i, j));
            }
            for k in 0..3 {
                assert!(back.iter().zip(&noised).map(|(a, b)| a[k] - b[k]).sum::<f64>().abs() < 1e-9);
            }
        }
        assert_eq!(fit(&clean, &[]), clean);
    }
}
