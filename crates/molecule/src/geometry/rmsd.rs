//! RMSD of two conformers that does not mind which of several equal atoms is which.

use super::{
    automorphism::{Graph, mappings},
    kabsch::{Rigid, accumulate, align, centred, residual, square},
};
use crate::{Molecule, Point};

/// The root-mean-square distance after the best superposition, least over all mappings of the graph onto itself.
#[derive(Clone, Debug)]
pub struct SymmetricRmsd {
    /// Atoms of the mobile molecule that count.
    atoms: Vec<usize>,
    /// For each mapping, the atom of the fixed molecule that belongs to each of `atoms`.
    mappings: Vec<Vec<usize>>,
}

/// A superposition found by [`SymmetricRmsd::superpose`].
#[derive(Clone, Debug, PartialEq)]
pub struct Superposition {
    /// RMSD, angstrom.
    pub rmsd: f64,
    /// The motion of the mobile conformer.
    pub motion: Rigid,
    /// Pairs of atoms (mobile, fixed) that were laid on one another.
    pub pairs: Vec<(usize, usize)>,
}

impl SymmetricRmsd {
    /// Between conformers of one molecule, on heavy atoms or, with `hydrogens`, on all.
    pub fn new(molecule: &Molecule, hydrogens: bool) -> Self {
        let graph = Graph::new(molecule, hydrogens);
        let mut mappings = mappings(&graph, &graph);
        mappings.iter_mut().flatten().for_each(|k| *k = graph.atoms[*k]);
        Self { atoms: graph.atoms, mappings }
    }

    /// Between conformers of two molecules whose atoms may stand in different orders; `None` when their graphs differ.
    pub fn between(mobile: &Molecule, fixed: &Molecule, hydrogens: bool) -> Option<Self> {
        let (a, b) = (Graph::new(mobile, hydrogens), Graph::new(fixed, hydrogens));
        let mut mappings = mappings(&a, &b);
        mappings.iter_mut().flatten().for_each(|k| *k = b.atoms[*k]);
        (!mappings.is_empty()).then_some(Self { atoms: a.atoms, mappings })
    }

    /// Number of mappings that are tried.
    pub fn mapping_count(&self) -> usize {
        self.mappings.len()
    }

    /// The atoms of the mobile molecule that count, and for each the atom of the fixed one, under the first mapping.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.atoms.iter().copied().zip(self.mappings.first().into_iter().flatten().copied())
    }

    /// RMSD in angstrom. Both slices hold a position for every atom of their molecule; infinite where they do not, or where a position
    /// is not finite.
    pub fn rmsd(&self, mobile: &[Point], fixed: &[Point]) -> f64 {
        self.best(mobile, fixed).map_or(f64::INFINITY, |(rmsd, _)| rmsd)
    }

    /// As [`rmsd`](Self::rmsd), with the motion and the mapping; `None` where that is infinite.
    pub fn superpose(&self, mobile: &[Point], fixed: &[Point]) -> Option<Superposition> {
        let (rmsd, mapping) = self.best(mobile, fixed)?;
        let pairs: Vec<_> = self.atoms.iter().copied().zip(mapping.iter().copied()).collect();
        let (from, to): (Vec<Point>, Vec<Point>) = pairs.iter().map(|&(m, f)| (mobile[m], fixed[f])).unzip();
        Some(Superposition { rmsd, motion: align(&from, &to, None), pairs })
    }

    fn best(&self, mobile: &[Point], fixed: &[Point]) -> Option<(f64, &Vec<usize>)> {
        let first = self.mappings.first()?;
        let mobile = self.atoms.iter().map(|&a| mobile.get(a).copied()).collect::<Option<Vec<_>>>()?;
        let images = first.iter().map(|&a| fixed.get(a).copied()).collect::<Option<Vec<_>>>()?;
        let n = mobile.len();
        let mobile = centred(&mobile);
        // Every mapping has the same images in another order, so the centre is computed once.
        let mean = images.iter().fold([0.0; 3], |s, p| [s[0] + p[0], s[1] + p[1], s[2] + p[2]]).map(|v| v / n.max(1) as f64);
        let fixed: Vec<Point> = fixed.iter().map(|p| [p[0] - mean[0], p[1] - mean[1], p[2] - mean[2]]).collect();
        let squares = square(&mobile) + first.iter().map(|&a| square(&fixed[a..=a])).sum::<f64>();
        if !squares.is_finite() {
            return None;
        }
        let score = |mapping: &Vec<usize>| {
            let mut covariance = [[0.0; 3]; 3];
            for (&m, &image) in mobile.iter().zip(mapping) {
                accumulate(&mut covariance, m, fixed[image]);
            }
            residual(squares, covariance, n)
        };
        self.mappings.iter().map(|mapping| (score(mapping), mapping)).min_by(|a, b| a.0.total_cmp(&b.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{geometry::vector::distance, testing::molecule};

    #[test]
    fn equal_atoms_may_swap_and_others_may_not() {
        let points = [[0.0, 0.0, 0.0], [1.5, 0.0, 0.0], [0.0, 1.4, 0.0], [0.0, 0.0, 1.3]];
        let swapped = [points[0], points[2], points[1], points[3]];
        let equal = SymmetricRmsd::new(&molecule("N C C O; 0-1 0-2 0-3"), false);
        assert_eq!(equal.mapping_count(), 2);
        assert!(equal.rmsd(&points, &swapped) < 1e-7);
        let unlike = SymmetricRmsd::new(&molecule("N C F O; 0-1 0-2 0-3"), false);
        assert!(unlike.rmsd(&points, &swapped) > 0.1);
    }

    #[test]
    fn the_superposition_has_the_rmsd_it_says() {
        let m = molecule("N C C O H; 0-1 0-2 0-3 1-4");
        let a = [[0.0, 0.1, 0.0], [1.5, 0.0, 0.2], [0.0, 1.4, 0.0], [0.0, 0.0, 1.3], [2.0, 2.0, 2.0]];
        let b = [[0.3, 0.0, 0.0], [0.0, 1.6, 0.0], [1.4, 0.0, 0.1], [0.2, 0.0, -1.3], [f64::NAN; 3]];
        let symmetric = SymmetricRmsd::new(&m, false);
        let found = symmetric.superpose(&a, &b).expect("finite heavy atoms");
        assert_eq!(found.pairs.len(), 4);
        let sum: f64 = found.pairs.iter().map(|&(p, q)| distance(found.motion.apply(a[p]), b[q]).powi(2)).sum();
        assert!(((sum / 4.0).sqrt() - found.rmsd).abs() < 1e-9);
        assert_eq!(found.rmsd, symmetric.rmsd(&a, &b));
        assert_eq!(symmetric.rmsd(&a, &b[..2]), f64::INFINITY);
        assert_eq!(SymmetricRmsd::new(&m, true).rmsd(&a, &b), f64::INFINITY);
    }

    #[test]
    fn orders_of_atoms_may_differ() {
        let (a, b) = (molecule("C C O; 0-1 1-2"), molecule("O C C; 0-1 1-2"));
        let (p, q) = ([[0.0; 3], [1.5, 0.0, 0.0], [2.0, 1.3, 0.0]], [[2.0, 1.3, 0.0], [1.5, 0.0, 0.0], [0.0; 3]]);
        let between = SymmetricRmsd::between(&a, &b, false).expect("one graph");
        assert!(between.rmsd(&p, &q) < 1e-7);
        assert_eq!(between.pairs().collect::<Vec<_>>(), [(0, 2), (1, 1), (2, 0)]);
        assert!(SymmetricRmsd::between(&a, &molecule("O C O; 0-1 1-2"), false).is_none());
    }
}
