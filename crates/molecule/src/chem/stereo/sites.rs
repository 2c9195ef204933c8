//! Where configurations are possible.

use crate::{
    Centre, DoubleBond, Element, Molecule,
    chem::{Rings, plain_hydrogen},
};

/// Double bonds in smaller rings are always cis.
const MIN_RING: usize = 8;

/// Where configurations are possible at all.
pub(super) struct Sites {
    pub(super) adjacency: Vec<Vec<(usize, usize)>>,
    pub(super) centres: Vec<usize>,
    pub(super) doubles: Vec<usize>,
    plain: Vec<bool>,
    nitrogen: Vec<bool>,
}

impl Sites {
    pub(super) fn new(molecule: &Molecule, rings: &Rings) -> Self {
        let adjacency = molecule.adjacency();
        let plain: Vec<bool> = (0..molecule.atoms.len()).map(|a| plain_hydrogen(molecule, &adjacency, a)).collect();
        let nitrogen = molecule.atoms.iter().map(|atom| atom.element == Element::N).collect();
        let mut sites = Self { adjacency, centres: Vec::new(), doubles: Vec::new(), plain, nitrogen };
        sites.centres = (0..molecule.atoms.len()).filter(|&a| sites.tetrahedral(molecule, rings, a)).collect();
        sites.doubles = (0..molecule.bonds.len()).filter(|&k| sites.rigid(molecule, rings, k)).collect();
        sites
    }

    /// Centres that keep their configuration: all but the nitrogens of aziridines, which invert freely.
    pub(super) fn lasting<'a>(&'a self, rings: &'a Rings) -> impl Iterator<Item = usize> + 'a {
        let centres = self.centres.iter().copied();
        centres.filter(|&a| !self.nitrogen[a] || self.adjacency[a].len() == 4 || bridgehead(rings, &self.adjacency[a], a))
    }

    pub(super) fn neighbours(&self, a: usize) -> Vec<usize> {
        self.adjacency[a].iter().map(|(b, _)| *b).collect()
    }

    /// Neighbours of an atom but one.
    pub(super) fn others(&self, a: usize, without: usize) -> impl Iterator<Item = usize> + '_ {
        self.adjacency[a].iter().map(|(b, _)| *b).filter(move |b| *b != without)
    }

    /// A centre of unknown sign.
    pub(super) fn centre(&self, a: usize) -> Centre {
        Centre { atom: a, neighbours: self.neighbours(a), positive: true }
    }

    /// Neighbours of both atoms of a double bond, the partner left out, heavy ones first.
    pub(super) fn double_ends(&self, molecule: &Molecule, k: usize) -> [Vec<usize>; 2] {
        let [a, b] = molecule.bonds[k].atoms;
        [(a, b), (b, a)].map(|(a, b)| {
            let mut ends: Vec<usize> = self.neighbours(a).into_iter().filter(|c| *c != b).collect();
            ends.sort_by_key(|c| self.plain[*c]);
            ends
        })
    }

    /// A double bond of unknown configuration.
    pub(super) fn double(&self, molecule: &Molecule, k: usize) -> DoubleBond {
        let ends = self.double_ends(molecule, k).map(|ends| ends[0]);
        DoubleBond { atoms: molecule.bonds[k].atoms, ends, cis: true }
    }

    /// RDKit's rule of what can be a tetrahedral centre.
    fn tetrahedral(&self, molecule: &Molecule, rings: &Rings, a: usize) -> bool {
        let neighbours = &self.adjacency[a];
        let hydrogens = neighbours.iter().filter(|(b, _)| self.plain[*b]).count();
        let order = |k: &usize| usize::from(molecule.bonds[*k].order);
        let valence: usize = neighbours.iter().map(|(_, k)| order(k)).sum();
        let atom = &molecule.atoms[a];
        match (neighbours.len(), atom.element.0) {
            (_, 1) => false,
            (3 | 4, _) if hydrogens > 1 => false,
            (4, _) => true,
            (3, 15 | 33) => valence == 3 && !atom.aromatic,
            (3, 16 | 34) => valence == 4 || (valence == 3 && atom.charge == 1),
            (3, 7) if hydrogens == 0 && valence == 3 => {
                rings.of_atom(a).iter().any(|&r| rings.atoms[r].len() == 3) || bridgehead(rings, neighbours, a)
            }
            _ => false,
        }
    }

    /// Whether a bond can be cis or trans.
    fn rigid(&self, molecule: &Molecule, rings: &Rings, k: usize) -> bool {
        let bond = &molecule.bonds[k];
        if bond.order != 2 || bond.aromatic || rings.bond_size(k).is_some_and(|size| size < MIN_RING) {
            return false;
        }
        bond.atoms.iter().all(|&a| {
            let others: Vec<&(usize, usize)> = self.adjacency[a].iter().filter(|(_, other)| *other != k).collect();
            let single = |k: usize| molecule.bonds[k].order == 1 || molecule.bonds[k].aromatic;
            matches!(others.len(), 1 | 2)
                && others.iter().all(|(_, other)| single(*other))
                && others.iter().filter(|(b, _)| self.plain[*b]).count() <= 1
                // Two ligands, or one and a lone pair.
                && match molecule.atoms[a].element {
                    Element::C | Element::B | Element(14 | 32) => others.len() == 2,
                    Element::P | Element(33) => others.len() == 1,
                    Element::N => true,
                    _ => false,
                }
        })
    }
}

/// Whether all three bonds of an atom lie in rings that share two bonds with another of its rings.
fn bridgehead(rings: &Rings, neighbours: &[(usize, usize)], a: usize) -> bool {
    let of = rings.of_atom(a);
    let overlap = |r: usize, s: usize| rings.bonds[r].iter().filter(|bond| rings.bonds[s].contains(bond)).count() >= 2;
    let overlapping: Vec<usize> = of.iter().copied().filter(|&r| of.iter().any(|&s| s != r && overlap(r, s))).collect();
    neighbours.iter().all(|(_, bond)| rings.of_bond(*bond).iter().any(|r| overlapping.contains(r)))
}

/// Whether no two values are equal.
pub(super) fn distinct(values: impl Iterator<Item = usize>) -> bool {
    let mut seen: Vec<usize> = values.collect();
    seen.sort_unstable();
    seen.windows(2).all(|pair| pair[0] != pair[1])
}

/// Whether two pairs name one bond.
pub(super) fn same_bond(p: [usize; 2], q: [usize; 2]) -> bool {
    p == q || p == [q[1], q[0]]
}

/// Removes centres and double bonds that cannot matter whatever the others are: those with two alike branches (or one ring) in which
/// nothing else can have a configuration.
pub(super) fn prune(adjacency: &[Vec<(usize, usize)>], classes: &[usize], centres: &mut Vec<usize>, doubles: &mut Vec<[usize; 2]>) {
    let mut marks = vec![0_u32; adjacency.len()];
    centres.iter().chain(doubles.iter().flatten()).for_each(|&a| marks[a] += 1);
    let branch_matters = |from: usize, without: usize, marks: &[u32]| {
        let mut seen = vec![false; adjacency.len()];
        (seen[from], seen[without]) = (true, true);
        let mut stack = vec![from];
        while let Some(a) = stack.pop() {
            if marks[a] > 0 {
                return true;
            }
            stack.extend(adjacency[a].iter().map(|(b, _)| *b).filter(|b| !std::mem::replace(&mut seen[*b], true)));
        }
        false
    };
    let matters = |a: usize, partner: usize, marks: &[u32]| {
        let around: Vec<usize> = adjacency[a].iter().map(|(b, _)| *b).filter(|b| *b != partner).collect();
        around.iter().enumerate().all(|(k, &x)| {
            let mut alike = around[..k].iter().filter(|y| classes[**y] == classes[x]);
            alike.all(|&y| branch_matters(x, a, marks) || branch_matters(y, a, marks))
        })
    };
    loop {
        let before = centres.len() + doubles.len();
        centres.retain(|&a| {
            marks[a] -= 1;
            let keep = matters(a, usize::MAX, &marks);
            marks[a] += u32::from(keep);
            keep
        });
        doubles.retain(|&[a, b]| {
            (marks[a], marks[b]) = (marks[a] - 1, marks[b] - 1);
            let keep = matters(a, b, &marks) && matters(b, a, &marks);
            (marks[a], marks[b]) = (marks[a] + u32::from(keep), marks[b] + u32::from(keep));
            keep
        });
        if centres.len() + doubles.len() == before {
            return;
        }
    }
}
