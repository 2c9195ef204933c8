//! Aromaticity by RDKit's default model: fused systems of rings with 4n + 2 pi electrons.

use super::{Rings, hybrid::Counts};
use crate::{Element, Molecule};

/// Largest ring that takes part.
const MAX_RING: usize = 24;
/// Largest ring with oxygen or sulfur that takes part: larger ones are not flat.
const MAX_CHALCOGEN_RING: usize = 8;
/// Most rings that are counted as one system.
const MAX_FUSED: usize = 6;
/// Systems of more rings are searched for pairs only, because the number of combinations explodes.
const MAX_SYSTEM: usize = 300;

/// What an atom gives to the pi electrons of a ring.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Donor {
    None,
    Vacant,
    One,
    Two,
    Any,
}

/// Marks aromatic atoms and bonds, from the bond orders alone; what was marked before is forgotten.
pub fn perceive(molecule: &mut Molecule, rings: &Rings) {
    molecule.atoms.iter_mut().for_each(|atom| atom.aromatic = false);
    molecule.bonds.iter_mut().for_each(|bond| bond.aromatic = false);
    if rings.atoms.is_empty() {
        return;
    }
    let donors = donors(molecule, rings);
    let candidates: Vec<usize> = (0..rings.atoms.len())
        .filter(|&r| {
            let ring = &rings.atoms[r];
            let chalcogen = ring.iter().any(|&a| donors[a] == Donor::Two && matches!(molecule.atoms[a].element, Element::O | Element::S));
            ring.len() <= if chalcogen { MAX_CHALCOGEN_RING } else { MAX_RING }
                && ring.iter().all(|&a| donors[a] != Donor::None)
                && ring.iter().any(|&a| donors[a] != Donor::Any)
        })
        .collect();
    let fused = |a: usize, b: usize| rings.bonds[a].iter().filter(|bond| rings.bonds[b].contains(bond)).count() == 1;
    let neighbours: Vec<Vec<usize>> =
        candidates.iter().map(|&a| (0..candidates.len()).filter(|&k| candidates[k] != a && fused(a, candidates[k])).collect()).collect();
    let mut seen = vec![false; candidates.len()];
    for start in 0..candidates.len() {
        if seen[start] {
            continue;
        }
        let mut system = vec![start];
        seen[start] = true;
        let mut head = 0;
        while head < system.len() {
            for &next in &neighbours[system[head]] {
                if !std::mem::replace(&mut seen[next], true) {
                    system.push(next);
                }
            }
            head += 1;
        }
        System { molecule, rings, donors: &donors, candidates: &candidates, neighbours: &neighbours }.mark(&system);
    }
}

struct System<'a> {
    molecule: &'a mut Molecule,
    rings: &'a Rings,
    donors: &'a [Donor],
    candidates: &'a [usize],
    neighbours: &'a [Vec<usize>],
}

impl System<'_> {
    /// Tries connected combinations of one ring, then two, and so on, until every bond is aromatic.
    fn mark(&mut self, system: &[usize]) {
        let mut bonds: Vec<usize> = system.iter().flat_map(|&k| self.rings.bonds[self.candidates[k]].iter().copied()).collect();
        bonds.sort_unstable();
        bonds.dedup();
        let most = if system.len() > MAX_SYSTEM { 2 } else { MAX_FUSED };
        let mut sets: Vec<Vec<usize>> = system.iter().map(|&k| vec![k]).collect();
        for size in 1..=most.min(system.len()) {
            for set in &sets {
                self.try_set(set);
            }
            if size == most || bonds.iter().all(|&b| self.molecule.bonds[b].aromatic) {
                return;
            }
            let mut larger: Vec<Vec<usize>> = Vec::new();
            for set in &sets {
                for next in set.iter().flat_map(|&k| &self.neighbours[k]).filter(|k| !set.contains(k)) {
                    let mut grown = set.clone();
                    grown.push(*next);
                    grown.sort_unstable();
                    larger.push(grown);
                }
            }
            larger.sort_unstable();
            larger.dedup();
            sets = larger;
        }
    }

    fn try_set(&mut self, set: &[usize]) {
        let mut atoms: Vec<usize> = set.iter().flat_map(|&k| self.rings.atoms[self.candidates[k]].iter().copied()).collect();
        atoms.sort_unstable();
        // Atoms inside three rings lie in the middle and give nothing to the rim.
        let rim = atoms.chunk_by(|a, b| a == b).filter(|same| same.len() <= 2).map(|same| self.donors[same[0]]);
        if !huckel(rim) {
            return;
        }
        atoms.iter().for_each(|&a| self.molecule.atoms[a].aromatic = true);
        let mut bonds: Vec<usize> = set.iter().flat_map(|&k| self.rings.bonds[self.candidates[k]].iter().copied()).collect();
        bonds.sort_unstable();
        for same in bonds.chunk_by(|a, b| a == b).filter(|same| same.len() == 1) {
            self.molecule.bonds[same[0]].aromatic = true;
        }
    }
}

fn huckel(donors: impl Iterator<Item = Donor>) -> bool {
    let (mut low, mut high, mut any) = (0_i32, 0_i32, 0);
    for donor in donors {
        let (least, most) = match donor {
            Donor::None | Donor::Vacant => (0, 0),
            Donor::One => (1, 1),
            Donor::Two => (2, 2),
            Donor::Any => {
                any += 1;
                (1, 2)
            }
        };
        (low, high) = (low + least, high + most);
    }
    any <= 1 && if high >= 6 { (low..=high).any(|n| (n - 2) % 4 == 0) } else { high == 2 }
}

fn donors(molecule: &Molecule, rings: &Rings) -> Vec<Donor> {
    let counts = Counts::new(molecule);
    let adjacency = molecule.adjacency();
    (0..molecule.atoms.len())
        .map(|a| {
            let donor = if rings.of_atom(a).is_empty() { Donor::None } else { donor(molecule, rings, &adjacency[a], &counts, a) };
            if donor != Donor::None && admitted(molecule, &adjacency[a], &counts, a) { donor } else { Donor::None }
        })
        .collect()
}

fn donor(molecule: &Molecule, rings: &Rings, neighbours: &[(usize, usize)], counts: &Counts, a: usize) -> Donor {
    let this = &molecule.atoms[a];
    let multiple = |bond: usize| molecule.bonds[bond].order > 1;
    let inside = neighbours.iter().any(|&(_, bond)| multiple(bond) && !rings.of_bond(bond).is_empty());
    let outside =
        neighbours.iter().find(|&&(_, bond)| multiple(bond) && rings.of_bond(bond).is_empty()).map(|(b, _)| molecule.atoms[*b].element);
    if this.element == Element::ANY {
        return if inside { Donor::One } else { Donor::Any };
    }
    let stolen = outside.is_some_and(|other| more_electronegative(other, this.element));
    match counts.pi_electrons(molecule, a) {
        i32::MIN..0 => Donor::None,
        0 if outside.is_some() => Donor::Vacant,
        0 if inside => Donor::One,
        0 => Donor::None,
        1 if stolen => Donor::Vacant,
        1 if outside.is_some() || inside => Donor::One,
        1 if this.charge == 1 => Donor::Vacant,
        1 => Donor::None,
        many => {
            if (many - i32::from(stolen)) % 2 == 1 {
                Donor::One
            } else {
                Donor::Two
            }
        }
    }
}

fn more_electronegative(a: Element, b: Element) -> bool {
    let outer = |element: Element| element.properties().outer_electrons;
    outer(a) > outer(b) || (outer(a) == outer(b) && a.0 < b.0)
}

/// What RDKit shuts out: heavy elements, radicals of other elements than carbon, unusual valences, cumulated double bonds.
fn admitted(molecule: &Molecule, neighbours: &[(usize, usize)], counts: &Counts, a: usize) -> bool {
    let this = &molecule.atoms[a];
    if !matches!(this.element.0, 0 | 5..=8 | 14..=16 | 34 | 52) {
        return false;
    }
    if this.element.default_valence().is_some_and(|v| v > 0) {
        let like = u8::try_from(i16::from(this.element.0) - i16::from(this.charge)).map(Element);
        let allowed = like.ok().and_then(Element::default_valence);
        if allowed.is_some_and(|v| counts.valence[a] > usize::from(v)) {
            return false;
        }
    }
    if this.radicals > 0 && (this.element != Element::C || this.charge != 0) {
        return false;
    }
    let multiple = neighbours.iter().filter(|&&(_, bond)| molecule.bonds[bond].order > 1).count();
    counts.valence[a] - counts.degree[a] <= 1 || multiple <= 1
}
