//! Which bonds get `/` or `\` so that a reader finds just the double bonds that have a configuration.

use crate::{Molecule, chem::stereo};
use std::collections::BTreeSet;

/// The bonds that carry slants.
pub(super) struct Plan {
    /// Per double bond: the bond with a slant at each of its atoms.
    chosen: Vec<[usize; 2]>,
    /// Hydrogens that must be written as atoms.
    pub(super) hydrogens: Vec<usize>,
}

impl Plan {
    pub(super) fn new(molecule: &Molecule, adjacency: &[Vec<(usize, usize)>], ranks: &[usize], folded: &[bool]) -> Self {
        let silent: Vec<[usize; 2]> = stereo::unspecified(molecule).double_bonds.iter().map(|&k| molecule.bonds[k].atoms).collect();
        let mut avoid = BTreeSet::new();
        loop {
            let plan = Self::choose(molecule, adjacency, ranks, folded, &avoid);
            // A double bond without configuration must not have slants on both sides.
            let touched = |a: usize| adjacency[a].iter().map(|(_, k)| *k).find(|k| plan.chosen.iter().any(|pair| pair.contains(k)));
            let trap = silent.iter().find_map(|&[a, b]| match (touched(a), touched(b)) {
                (Some(left), Some(right)) => [left, right].into_iter().find(|k| !avoid.contains(k)),
                _ => None,
            });
            match trap {
                Some(bond) => avoid.insert(bond),
                None => return plan,
            };
        }
    }

    fn choose(molecule: &Molecule, adjacency: &[Vec<(usize, usize)>], ranks: &[usize], folded: &[bool], avoid: &BTreeSet<usize>) -> Self {
        let mut order: Vec<usize> = (0..molecule.double_bonds.len()).collect();
        order.sort_by_key(|&k| {
            let [a, b] = molecule.double_bonds[k].atoms.map(|a| ranks[a]);
            (a.min(b), a.max(b))
        });
        let mut chosen = vec![[usize::MAX; 2]; order.len()];
        let mut taken = BTreeSet::new();
        for k in order {
            let atoms = molecule.double_bonds[k].atoms;
            for side in 0..2 {
                let (a, partner) = (atoms[side], atoms[1 - side]);
                let others = adjacency[a].iter().filter(|(b, _)| *b != partner);
                let best = others.min_by_key(|&&(b, bond)| (avoid.contains(&bond), folded[b], !taken.contains(&bond), ranks[b]));
                if let Some(&(_, bond)) = best {
                    taken.insert(bond);
                    chosen[k][side] = bond;
                }
            }
        }
        let ends = taken.iter().flat_map(|&bond| molecule.bonds[bond].atoms);
        let hydrogens = ends.filter(|a| folded[*a]).collect();
        Self { chosen, hydrogens }
    }

    /// Slants of all bonds, the first of each connected set `/`. `direction` gives a bond's atoms as read and its place in the string.
    pub(super) fn assign(
        &self,
        molecule: &Molecule,
        adjacency: &[Vec<(usize, usize)>],
        direction: impl Fn(usize) -> Option<([usize; 2], usize)>,
    ) -> Vec<Option<bool>> {
        // Whether two slanted bonds have the same slant, as read; from every double bond and every atom with two of them.
        let mut ties: Vec<Vec<(usize, bool)>> = vec![Vec::new(); molecule.bonds.len()];
        let up_means_above = |bond: usize, a: usize| direction(bond).map(|([from, _], _)| from == a);
        let mut tie = |left: (usize, usize), right: (usize, usize), same_side: bool| {
            if let (Some(p), Some(q)) = (up_means_above(left.0, left.1), up_means_above(right.0, right.1)) {
                let equal = same_side == (p == q);
                ties[left.0].push((right.0, equal));
                ties[right.0].push((left.0, equal));
            }
        };
        let mut slanted: Vec<usize> = self.chosen.iter().flatten().copied().filter(|k| *k != usize::MAX).collect();
        slanted.sort_unstable();
        slanted.dedup();
        for (double, chosen) in molecule.double_bonds.iter().zip(&self.chosen) {
            if chosen.contains(&usize::MAX) {
                continue;
            }
            let swapped = (0..2).filter(|&s| molecule.bonds[chosen[s]].other(double.atoms[s]) != Some(double.ends[s])).count();
            tie((chosen[0], double.atoms[0]), (chosen[1], double.atoms[1]), double.cis == (swapped % 2 == 0));
            for a in double.atoms {
                let at: Vec<usize> = adjacency[a].iter().map(|(_, k)| *k).filter(|k| slanted.binary_search(k).is_ok()).collect();
                if let [p, q] = at[..] {
                    tie((p, a), (q, a), false);
                }
            }
        }
        slanted.sort_by_key(|&bond| direction(bond).map(|(_, place)| place));
        let mut slants = vec![None; molecule.bonds.len()];
        for first in slanted {
            if slants[first].is_some() {
                continue;
            }
            slants[first] = Some(true);
            let mut stack = vec![first];
            while let Some(bond) = stack.pop() {
                for &(other, equal) in &ties[bond] {
                    if slants[other].is_none() {
                        slants[other] = slants[bond].map(|up: bool| up == equal);
                        stack.push(other);
                    }
                }
            }
        }
        slants
    }
}
