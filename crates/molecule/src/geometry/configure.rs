//! Centres and double bonds of the wrong configuration turned round by moving whole branches, which changes nothing else.

use super::vector::{add, dot, scale, sub, unit};
use crate::{Centre, DoubleBond, Molecule, Point, chem::stereo};

/// How each given configuration can be inverted.
#[derive(Clone, Debug)]
pub(super) struct Configurations {
    centres: Vec<(Centre, Inversion)>,
    double_bonds: Vec<(DoubleBond, Option<Turn>)>,
}

#[derive(Clone, Debug)]
enum Inversion {
    /// Two neighbours change places, each with what hangs on it.
    Swap { ends: [usize; 2], branches: Vec<usize> },
    /// One neighbour goes to the other side, in all centres that rings hold by three bonds.
    Push { branch: Vec<usize> },
    /// Nothing can move.
    Held,
}

/// Atoms to turn by half a turn about a bond.
#[derive(Clone, Debug)]
struct Turn {
    axis: [usize; 2],
    branches: Vec<usize>,
}

impl Configurations {
    pub(super) fn new(molecule: &Molecule) -> Self {
        let adjacency = molecule.adjacency();
        let centres = molecule.centres.iter().map(|c| (c.clone(), inversion(&adjacency, c))).collect();
        let double_bonds = molecule.double_bonds.iter().map(|d| (*d, turn(&adjacency, d))).collect();
        Self { centres, double_bonds }
    }

    /// Inverts what is wrong.
    pub(super) fn restore(&self, positions: &mut [Point]) {
        for (centre, inversion) in &self.centres {
            if (stereo::volume(centre, positions) > 0.0) != centre.positive {
                inversion.apply(centre.atom, positions);
            }
        }
        for (double, turn) in &self.double_bonds {
            if let Some(turn) = turn
                && (stereo::cosine(double, positions) > 0.0) != double.cis
            {
                turn.apply(positions);
            }
        }
    }
}

impl Inversion {
    fn apply(&self, centre: usize, positions: &mut [Point]) {
        let c = positions[centre];
        match self {
            Self::Swap { ends, branches } => {
                // Half a turn about the bisector lays either direction on the other.
                let [a, b] = ends.map(|k| unit(sub(positions[k], c)));
                if let Some(axis) = a.zip(b).and_then(|(a, b)| unit(add(a, b))) {
                    half_turn(positions, branches, c, axis);
                }
            }
            Self::Push { branch } => branch.iter().for_each(|&k| positions[k] = sub(scale(c, 2.0), positions[k])),
            Self::Held => {}
        }
    }
}

impl Turn {
    fn apply(&self, positions: &mut [Point]) {
        let [a, b] = self.axis.map(|k| positions[k]);
        if let Some(axis) = unit(sub(b, a)) {
            half_turn(positions, &self.branches, a, axis);
        }
    }
}

fn half_turn(positions: &mut [Point], atoms: &[usize], origin: Point, axis: Point) {
    for &k in atoms {
        let off = sub(positions[k], origin);
        positions[k] = add(origin, sub(scale(axis, 2.0 * dot(off, axis)), off));
    }
}

/// The cheapest way to invert a centre.
fn inversion(adjacency: &[Vec<(usize, usize)>], centre: &Centre) -> Inversion {
    // A branch is free when none of the other neighbours is on it.
    let free = |&k: &usize| {
        let branch = branch(adjacency, k, &[centre.atom]);
        (!adjacency[centre.atom].iter().any(|e| e.0 != k && branch.contains(&e.0))).then_some((k, branch))
    };
    let mut branches: Vec<(usize, Vec<usize>)> = centre.neighbours.iter().filter_map(free).collect();
    branches.sort_by_key(|b| b.1.len());
    match branches.as_slice() {
        [] => Inversion::Held,
        // The mirror image of a branch with centres of its own would be another molecule.
        [(_, only)] if only.len() > 1 => Inversion::Held,
        [(_, only)] => Inversion::Push { branch: only.clone() },
        [a, b, ..] => Inversion::Swap { ends: [a.0, b.0], branches: a.1.iter().chain(&b.1).copied().collect() },
    }
}

/// The smaller side of a double bond outside rings.
fn turn(adjacency: &[Vec<(usize, usize)>], double: &DoubleBond) -> Option<Turn> {
    let [a, b] = double.atoms;
    let side = |from: usize, to: usize| {
        let mut all = branch(adjacency, from, &[to]);
        let in_ring = adjacency[to].iter().any(|e| e.0 != from && all.contains(&e.0));
        all.retain(|&k| k != from);
        (!in_ring).then_some(Turn { axis: [from, to], branches: all })
    };
    [side(a, b), side(b, a)].into_iter().flatten().min_by_key(|t| t.branches.len())
}

/// Atoms that can be reached from `start` without touching `without`.
fn branch(adjacency: &[Vec<(usize, usize)>], start: usize, without: &[usize]) -> Vec<usize> {
    let mut seen = vec![false; adjacency.len()];
    without.iter().for_each(|&k| seen[k] = true);
    seen[start] = true;
    let mut reached = vec![start];
    let mut next = 0;
    while let Some(&k) = reached.get(next) {
        next += 1;
        for &(j, _) in &adjacency[k] {
            if !seen[j] {
                seen[j] = true;
                reached.push(j);
            }
        }
    }
    reached
}
