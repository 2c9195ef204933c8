//! Molecules as GeoDiff sees them: elements, kinds of pairs, distances.

use crate::{Molecule, Point};

/// Number of kinds of pairs.
pub(super) const KINDS: usize = 8;
/// Pairs further than three bonds apart.
const FAR: u8 = 0;
const AROMATIC: u8 = 4;
const OTHER_BOND: u8 = 5;
/// Added to the number of bonds, 2 or 3, between two atoms.
const HOPS: u8 = 4;

/// A molecule without coordinates: its elements, and how each pair of its atoms is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skeleton {
    elements: Vec<u8>,
    /// Of the pairs `(0, 1), (0, 2), .. (1, 2), ..`: 0 far, 1 to 3 the order of a bond, 4 aromatic, 5 another bond, 6 and 7 two and three bonds.
    kinds: Vec<u8>,
}

impl Skeleton {
    /// The skeleton of a molecule.
    pub fn of(molecule: &Molecule) -> Self {
        let (n, hops) = (molecule.atoms.len(), molecule.hops());
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let by_hops = |(i, j): (usize, usize)| match hops[i * n + j] {
            hops @ (2 | 3) => HOPS + hops as u8,
            _ => FAR,
        };
        let mut kinds: Vec<u8> = pairs.map(by_hops).collect();
        for bond in &molecule.bonds {
            let [i, j] = [bond.atoms[0].min(bond.atoms[1]), bond.atoms[0].max(bond.atoms[1])];
            kinds[i * (2 * n - i - 1) / 2 + j - i - 1] = match bond.order {
                _ if bond.aromatic => AROMATIC,
                order @ 1..=3 => order,
                _ => OTHER_BOND,
            };
        }
        Self { elements: molecule.atoms.iter().map(|atom| atom.element.0).collect(), kinds }
    }

    /// Number of atoms.
    pub fn atoms(&self) -> usize {
        self.elements.len()
    }
}

/// Noised molecules side by side, their atoms numbered through, and the pairs that interact: within three bonds, or within the
/// cutoff. First those within three bonds (of these, first the ones beyond the cutoff, which only the local encoder sees), then the rest.
#[derive(Clone, Debug, Default)]
pub struct PairBatch {
    elements: Vec<u8>,
    ends: Vec<[u32; 2]>,
    kinds: Vec<u8>,
    lengths: Vec<f32>,
    directions: Vec<[f32; 3]>,
    far: usize,
    local: usize,
}

impl PairBatch {
    /// Molecules at positions in angstrom, as many as each has atoms; `cutoff` in angstrom.
    pub fn new<'a>(molecules: impl IntoIterator<Item = (&'a Skeleton, &'a [Point])>, cutoff: f64) -> Self {
        let mut batch = Self::default();
        let mut parts: [Vec<([u32; 2], u8, Point)>; 3] = Default::default();
        for (skeleton, points) in molecules {
            let (n, first) = (points.len(), batch.elements.len() as u32);
            batch.elements.extend(&skeleton.elements);
            let mut kinds = skeleton.kinds.iter();
            for i in 0..n {
                for (j, &kind) in (i + 1..n).zip(&mut kinds) {
                    let apart: Point = std::array::from_fn(|k| points[i][k] - points[j][k]);
                    let near = length(apart) <= cutoff;
                    let part = match (kind == FAR, near) {
                        (true, false) => continue,
                        (false, false) => 0,
                        (false, true) => 1,
                        (true, true) => 2,
                    };
                    parts[part].push(([first + i as u32, first + j as u32], kind, apart));
                }
            }
        }
        batch.far = parts[0].len();
        batch.local = parts[0].len() + parts[1].len();
        for (ends, kind, apart) in parts.into_iter().flatten() {
            let d = length(apart);
            batch.ends.push(ends);
            batch.kinds.push(kind);
            batch.lengths.push(d as f32);
            // Two atoms in one place push each other nowhere.
            batch.directions.push(apart.map(|v| if d > 0.0 { (v / d) as f32 } else { 0.0 }));
        }
        batch
    }

    /// Atomic numbers.
    pub fn elements(&self) -> &[u8] {
        &self.elements
    }

    /// Number of pairs.
    pub fn pairs(&self) -> usize {
        self.ends.len()
    }

    /// The two atoms of each pair.
    pub fn ends(&self) -> &[[u32; 2]] {
        &self.ends
    }

    /// Distances in angstrom.
    pub fn lengths(&self) -> &[f32] {
        &self.lengths
    }

    /// Unit vectors from the second atom of each pair to the first.
    pub fn directions(&self) -> &[[f32; 3]] {
        &self.directions
    }

    /// Number of pairs within three bonds: the first of all.
    pub const fn local(&self) -> usize {
        self.local
    }

    /// Number of those beyond the cutoff: the first of all.
    pub(super) const fn far(&self) -> usize {
        self.far
    }

    pub(super) fn kinds(&self) -> &[u8] {
        &self.kinds
    }

    /// Scores of pairs, from pair `first` on, as vectors of atoms: `sum_j 2 s_ij (r_i - r_j) / d_ij`. The published code counts each pair
    /// in both directions, hence the 2.
    pub fn project(&self, first: usize, scores: &[f32]) -> Vec<Point> {
        let mut forces = vec![[0.0; 3]; self.elements.len()];
        for ((&[i, j], direction), &score) in self.ends[first..].iter().zip(&self.directions[first..]).zip(scores) {
            for k in 0..3 {
                let push = 2.0 * f64::from(score) * f64::from(direction[k]);
                forces[i as usize][k] += push;
                forces[j as usize][k] -= push;
            }
        }
        forces
    }
}

fn length(v: Point) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Atom, Bond, Element};

    fn chain(elements: &[u8]) -> Molecule {
        let atom = |&z: &u8| Atom { element: Element(z), charge: 0, isotope: 0, aromatic: false, radicals: 0, class: 0 };
        let bonds = (1..elements.len()).map(|k| Bond { atoms: [k, k - 1], order: 1 + (k % 2) as u8, aromatic: k == 3 });
        Molecule { atoms: elements.iter().map(atom).collect(), bonds: bonds.collect(), ..Molecule::default() }
    }

    #[test]
    fn kinds_follow_bonds_and_hops() {
        let skeleton = Skeleton::of(&chain(&[6, 7, 8, 6, 6, 1]));
        // 0-1 double, 1-2 single, 2-3 aromatic, 3-4 single, 4-5 double.
        assert_eq!(skeleton.kinds, [2, 6, 7, 0, 0, 1, 6, 7, 0, 4, 6, 7, 1, 6, 2]);
        assert_eq!(skeleton.elements, [6, 7, 8, 6, 6, 1]);
        assert!(Skeleton::of(&chain(&[2])).kinds.is_empty());
    }

    #[test]
    fn pairs_are_those_within_three_bonds_or_the_cutoff() {
        let skeleton = Skeleton::of(&chain(&[6; 6]));
        let points: Vec<Point> = (0..6).map(|k| [f64::from(k), 0.0, 0.0]).collect();
        let batch = PairBatch::new([(&skeleton, points.as_slice()), (&skeleton, points.as_slice())], 2.5);
        // Of each chain three pairs of three bonds are beyond 2.5, nine within; no other pair is within.
        assert_eq!((batch.far(), batch.local(), batch.pairs()), (6, 24, 24));
        let batch = PairBatch::new([(&skeleton, points.as_slice())], 4.0);
        assert_eq!((batch.far(), batch.local(), batch.pairs()), (0, 12, 14));
        assert!(batch.lengths()[12..].iter().all(|&d| d == 4.0));
    }

    #[test]
    fn projection_is_the_sum_over_both_directions() {
        let skeleton = Skeleton::of(&chain(&[6; 5]));
        let points: Vec<Point> = (0..5).map(|k| [f64::from(k).sin(), 0.3 * f64::from(k * k), f64::from(k).cos()]).collect();
        let batch = PairBatch::new([(&skeleton, points.as_slice())], 10.0);
        let scores: Vec<f32> = (0..batch.pairs()).map(|k| (k as f32 * 1.7).sin()).collect();
        let got = batch.project(0, &scores);
        let mut expected = [[0.0; 3]; 5];
        for (&[i, j], &s) in batch.ends().iter().zip(&scores) {
            for (a, b) in [(i as usize, j as usize), (j as usize, i as usize)] {
                let apart: Point = std::array::from_fn(|k| points[a][k] - points[b][k]);
                for k in 0..3 {
                    // The edge a -> b adds to its source and takes from its target.
                    expected[a][k] += f64::from(s) * apart[k] / length(apart);
                    expected[b][k] -= f64::from(s) * apart[k] / length(apart);
                }
            }
        }
        assert!(got.iter().flatten().zip(expected.iter().flatten()).all(|(g, e)| (g - e).abs() < 1e-6));
        let sums: Point = std::array::from_fn(|k| got.iter().map(|f| f[k]).sum());
        assert!(length(sums) < 1e-12);
    }
}
