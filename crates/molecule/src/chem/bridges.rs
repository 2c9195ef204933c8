//! Bridgeheads of small ring systems, whose configurations follow from one another.

use super::Rings;
use crate::{Centre, Molecule};

/// Bicycles of more atoms can have a bridgehead turned inwards, as ingenol has among eleven.
const MAX_BICYCLE: usize = 10;

/// Pairs of bridgeheads that cannot be inverted alone.
pub(super) struct Bridges {
    pairs: Vec<[Head; 2]>,
}

/// A bridgehead and its neighbours on the three bridges, numbered alike at both heads.
#[derive(Clone, Copy)]
struct Head {
    atom: usize,
    ways: [usize; 3],
}

impl Bridges {
    pub(super) fn new(rings: &Rings) -> Self {
        let mut pairs = Vec::new();
        for k in 0..rings.atoms.len() {
            for l in 0..k {
                pairs.extend(pair(rings, k, l));
            }
        }
        Self { pairs }
    }

    /// Centres of the molecule that are inverted along with `atom`, itself included.
    pub(super) fn group(&self, molecule: &Molecule, atom: usize) -> Vec<usize> {
        let mut group = vec![atom];
        let mut head = 0;
        while head < group.len() {
            for partner in self.partners(group[head]) {
                if !group.contains(&partner) && molecule.centres.iter().any(|centre| centre.atom == partner) {
                    group.push(partner);
                }
            }
            head += 1;
        }
        group
    }

    /// Atoms that form a pair with `atom`.
    pub(super) fn partners(&self, atom: usize) -> impl Iterator<Item = usize> + '_ {
        self.pairs.iter().filter_map(move |[a, b]| match atom {
            _ if a.atom == atom => Some(b.atom),
            _ if b.atom == atom => Some(a.atom),
            _ => None,
        })
    }

    /// Whether the given configurations contradict a small ring system.
    pub(super) fn strained(&self, molecule: &Molecule) -> bool {
        let sign = |head: &Head| molecule.centres.iter().find(|c| c.atom == head.atom).and_then(|c| sign(c, head.ways));
        // Seen from outside, the bridges run clockwise at one head and anticlockwise at the other.
        self.pairs.iter().any(|[a, b]| matches!((sign(a), sign(b)), (Some(p), Some(q)) if p == q))
    }
}

/// Sign of the volume that a centre's neighbours `ways` span.
fn sign(centre: &Centre, ways: [usize; 3]) -> Option<bool> {
    let mut places: Vec<usize> = Vec::with_capacity(4);
    for way in ways {
        places.push(centre.neighbours.iter().position(|n| *n == way)?);
    }
    places.extend((0..centre.neighbours.len()).find(|k| !places.contains(k)));
    let swaps: usize = (0..places.len()).map(|k| places[..k].iter().filter(|p| **p > places[k]).count()).sum();
    Some(centre.positive == (swaps % 2 == 0))
}

/// The heads of two rings that share one path, where they are too small to be twisted.
fn pair(rings: &Rings, k: usize, l: usize) -> Option<[Head; 2]> {
    let (first, second) = (&rings.atoms[k], &rings.atoms[l]);
    let shared = rings.bonds[k].iter().filter(|bond| rings.bonds[l].contains(bond)).count();
    if shared == 0 || first.iter().filter(|a| second.contains(a)).count() != shared + 1 {
        return None;
    }
    let (short, long) = (first.len().min(second.len()), first.len().max(second.len()));
    let rigid = match shared {
        // A fused pair: trans is possible from bicyclo[5.1.0], [4.2.0] and [3.3.0] on.
        1 => (short == 3 && long <= 7) || (short == 4 && long <= 5),
        _ => first.len() + second.len() - shared - 1 <= MAX_BICYCLE,
    };
    if !rigid {
        return None;
    }
    let ends: Vec<usize> = first
        .iter()
        .enumerate()
        .filter(|&(at, a)| second.contains(a) && around(first, at).iter().any(|b| !second.contains(b)))
        .map(|(at, _)| at)
        .collect();
    let [p, q] = ends[..] else {
        // One ring lies wholly on the other but for one bond.
        return None;
    };
    Some([head(first, second, p)?, head(first, second, q)?])
}

fn around(ring: &[usize], at: usize) -> [usize; 2] {
    [ring[(at + ring.len() - 1) % ring.len()], ring[(at + 1) % ring.len()]]
}

fn head(first: &[usize], second: &[usize], at: usize) -> Option<Head> {
    let atom = first[at];
    let inside = around(first, at);
    let other = around(second, second.iter().position(|a| *a == atom)?);
    let shared = *inside.iter().find(|a| other.contains(a))?;
    Some(Head { atom, ways: [shared, *inside.iter().find(|a| **a != shared)?, *other.iter().find(|a| **a != shared)?] })
}
