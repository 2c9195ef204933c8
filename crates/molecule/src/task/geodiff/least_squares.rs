//! Moves of atoms that change distances as wanted.

use nalgebra::{DMatrix, DVector};

use crate::{Point, model::geodiff::PairBatch};

/// Added to the diagonal, relative to its mean: what no distance determines (the molecule as a whole, and bends of straight chains) stays.
const DAMPING: f64 = 1e-3;

/// The moves of least squares `sum over pairs (u_ij . (m_i - m_j) - sigma s_ij)^2`, in angstrom, for molecules of so many `atoms`.
///
/// The projection of the scores is the right-hand side of its normal equations, so that a network with exact scores gives, at little
/// noise, the exact way back but for rotation.
pub(super) fn displacements(batch: &PairBatch, scores: &[f32], sigma: f64, atoms: impl Iterator<Item = usize>) -> Vec<Point> {
    let pushes = batch.project(0, scores);
    let mut first = 0;
    let systems: Vec<(usize, usize)> = atoms
        .map(|count| {
            first += count;
            (first - count, count)
        })
        .collect();
    let mut of_atom = vec![0; pushes.len()];
    let mut matrices: Vec<DMatrix<f64>> = Vec::with_capacity(systems.len());
    for (k, &(first, count)) in systems.iter().enumerate() {
        of_atom[first..first + count].fill(k);
        matrices.push(DMatrix::zeros(3 * count, 3 * count));
    }
    for (&[i, j], u) in batch.ends().iter().zip(batch.directions()) {
        let (i, j) = (i as usize, j as usize);
        let system = of_atom[i];
        let [i, j] = [i, j].map(|atom| 3 * (atom - systems[system].0));
        for a in 0..3 {
            for b in 0..3 {
                let term = f64::from(u[a]) * f64::from(u[b]);
                for (row, column, sign) in [(i, i, 1.0), (j, j, 1.0), (i, j, -1.0), (j, i, -1.0)] {
                    matrices[system][(row + a, column + b)] += sign * term;
                }
            }
        }
    }
    let solve = |(mut matrix, (first, count)): (DMatrix<f64>, (usize, usize))| {
        let right: Vec<f64> = pushes[first..first + count].iter().flatten().map(|push| 0.5 * sigma * push).collect();
        let damping = DAMPING * matrix.trace() / matrix.nrows() as f64 + f64::MIN_POSITIVE;
        (0..matrix.nrows()).for_each(|k| matrix[(k, k)] += damping);
        // Without a decomposition (positions that are not finite) the atoms stay.
        let right = DVector::from_vec(right);
        let moves = matrix.cholesky().map_or_else(|| DVector::zeros(right.len()), |decomposed| decomposed.solve(&right));
        moves.as_slice().as_chunks::<3>().0.to_vec()
    };
    matrices.into_iter().zip(systems).flat_map(solve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Atom, Bond, Element, Molecule, model::geodiff::Skeleton};
    use langevin_core::{NoiseSource as _, Philox};

    /// Exact scores at little noise lead back to the clean distances, and move nothing as a whole.
    #[test]
    fn exact_scores_lead_back() {
        let atom = Atom { element: Element::C, charge: 0, isotope: 0, aromatic: false, radicals: 0, class: 0 };
        let bonds = (1..7).map(|k| Bond { atoms: [k - 1, k], order: 1, aromatic: false }).collect();
        let skeleton = Skeleton::of(&Molecule { atoms: vec![atom; 7], bonds, ..Molecule::default() });
        let (mut clean, mut eps) = (vec![[0.0; 3]; 7], vec![[0.0; 3]; 7]);
        Philox::new(1).fill_f64(0, 0, 0, clean.as_flattened_mut());
        Philox::new(1).fill_f64(1, 0, 0, eps.as_flattened_mut());
        let sigma = 1e-3;
        let noised: Vec<Point> =
            clean.iter().zip(&eps).map(|(x, e): (&Point, &Point)| std::array::from_fn(|k| x[k] + sigma * e[k])).collect();
        let distance = |points: &[Point], i: u32, j: u32| {
            points[i as usize].iter().zip(points[j as usize]).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
        };
        let batch = PairBatch::new([(&skeleton, noised.as_slice()), (&skeleton, clean.as_slice())], 10.0);
        let score = |&[i, j]: &[u32; 2]| if i < 7 { ((distance(&clean, i, j) - distance(&noised, i, j)) / sigma) as f32 } else { 0.0 };
        let scores: Vec<f32> = batch.ends().iter().map(score).collect();
        let moves = displacements(&batch, &scores, sigma, [7, 7].into_iter());
        assert!(moves[7..].iter().flatten().all(|&m| m == 0.0));
        let back: Vec<Point> = noised.iter().zip(&moves).map(|(x, m)| std::array::from_fn(|k| x[k] + m[k])).collect();
        for i in 0..7 {
            for j in i + 1..7 {
                let (before, after) =
                    ((distance(&noised, i, j) - distance(&clean, i, j)).abs(), (distance(&back, i, j) - distance(&clean, i, j)).abs());
                assert!(after < 0.02 * sigma + 0.02 * before, "{i} {j}: {before} {after}");
            }
        }
        for k in 0..3 {
            assert!(moves[..7].iter().map(|m| m[k]).sum::<f64>().abs() < 1e-9);
        }
    }
}
