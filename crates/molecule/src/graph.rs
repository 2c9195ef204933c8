//! A molecule: atoms, bonds and stereochemistry, every hydrogen an atom of its own.

use crate::Element;

/// A position or vector in angstrom.
pub type Point = [f64; 3];

/// A molecular graph. Atoms stand in the order of their SMILES, hydrogens that it does not write last, in the order of their atoms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Molecule {
    /// Atoms.
    pub atoms: Vec<Atom>,
    /// Bonds, in the order of the SMILES; bonds to hydrogens that it does not write last.
    pub bonds: Vec<Bond>,
    /// Tetrahedral centres whose configuration is given.
    pub centres: Vec<Centre>,
    /// Double bonds whose configuration is given.
    pub double_bonds: Vec<DoubleBond>,
}

/// One atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Atom {
    /// Element.
    pub element: Element,
    /// Formal charge.
    pub charge: i8,
    /// Mass number, 0 for the natural mixture.
    pub isotope: u16,
    /// Part of an aromatic system.
    pub aromatic: bool,
    /// Number of unpaired electrons.
    pub radicals: u8,
    /// Atom-map number of the SMILES, 0 without one.
    pub class: u32,
}

/// One bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bond {
    /// Its atoms.
    pub atoms: [usize; 2],
    /// Order in one Kekule structure: 1, 2, 3 (or 4), never "aromatic".
    pub order: u8,
    /// Part of an aromatic ring.
    pub aromatic: bool,
}

/// A tetrahedral centre of given configuration.
///
/// With `c` the position of `atom` and `n0, n1, n2` those of the first three neighbours, the signed volume
/// `(n0 - c) . ((n1 - c) x (n2 - c))` is positive where `positive`. A swap of two neighbours turns the sign round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Centre {
    /// The centre.
    pub atom: usize,
    /// Its three (with a lone pair) or four neighbours, hydrogens included.
    pub neighbours: Vec<usize>,
    /// Sign of the volume.
    pub positive: bool,
}

/// A double bond of given configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoubleBond {
    /// The two atoms of the bond.
    pub atoms: [usize; 2],
    /// A neighbour of each.
    pub ends: [usize; 2],
    /// Whether those neighbours lie on the same side.
    pub cis: bool,
}

impl Bond {
    /// The atom at the other end, `None` when the bond does not hold `atom`.
    pub fn other(&self, atom: usize) -> Option<usize> {
        match self.atoms {
            [a, b] if a == atom => Some(b),
            [a, b] if b == atom => Some(a),
            _ => None,
        }
    }
}

impl Molecule {
    /// Neighbours of every atom as `(atom, bond)`, in the order of the bonds.
    pub fn adjacency(&self) -> Vec<Vec<(usize, usize)>> {
        let mut adjacency = vec![Vec::new(); self.atoms.len()];
        for (k, bond) in self.bonds.iter().enumerate() {
            let [a, b] = bond.atoms;
            adjacency[a].push((b, k));
            adjacency[b].push((a, k));
        }
        adjacency
    }

    /// Indices of the atoms that are no hydrogen.
    pub fn heavy(&self) -> Vec<usize> {
        (0..self.atoms.len()).filter(|&a| self.atoms[a].element != Element::H).collect()
    }

    /// Topological distances, `atoms x atoms` row-major; `u16::MAX` between fragments.
    pub fn hops(&self) -> Vec<u16> {
        let n = self.atoms.len();
        let adjacency = self.adjacency();
        let mut hops = vec![u16::MAX; n * n];
        let mut queue = std::collections::VecDeque::new();
        for start in 0..n {
            let row = &mut hops[start * n..(start + 1) * n];
            row[start] = 0;
            queue.push_back(start);
            while let Some(a) = queue.pop_front() {
                for &(b, _) in &adjacency[a] {
                    if row[b] == u16::MAX {
                        row[b] = row[a] + 1;
                        queue.push_back(b);
                    }
                }
            }
        }
        hops
    }

    /// Fragment number of every atom, counted from 0 in atom order, and the number of fragments.
    pub fn fragments(&self) -> (Vec<usize>, usize) {
        let hops = self.hops();
        let n = self.atoms.len();
        let mut of = vec![usize::MAX; n];
        let mut count = 0;
        for a in 0..n {
            if of[a] == usize::MAX {
                (a..n).filter(|&b| hops[a * n + b] != u16::MAX).for_each(|b| of[b] = count);
                count += 1;
            }
        }
        (of, count)
    }
}
