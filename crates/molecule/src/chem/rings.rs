//! Rings of a molecule.

use super::cycles;
use crate::Molecule;

/// The relevant rings: those that are no sum of shorter ones, the same for every order of the atoms.
#[derive(Clone, Debug, Default)]
pub struct Rings {
    /// Atoms of each ring in order, shortest rings first.
    pub atoms: Vec<Vec<usize>>,
    /// Bonds of each ring; bond `k` joins its atoms `k` and `k + 1`.
    pub bonds: Vec<Vec<usize>>,
    of_atom: Vec<Vec<usize>>,
    of_bond: Vec<Vec<usize>>,
}

impl Rings {
    /// Rings of a molecule.
    pub fn new(molecule: &Molecule) -> Self {
        Self::of_graph(&molecule.adjacency(), molecule.bonds.len())
    }

    /// Rings of a graph as [`Molecule::adjacency`] gives it.
    pub(crate) fn of_graph(adjacency: &[Vec<(usize, usize)>], bonds: usize) -> Self {
        let atoms = cycles::relevant(adjacency, bonds);
        let mut rings = Self { of_atom: vec![Vec::new(); adjacency.len()], of_bond: vec![Vec::new(); bonds], ..Self::default() };
        for (k, ring) in atoms.iter().enumerate() {
            let next = ring.iter().cycle().skip(1);
            let bonds = ring.iter().zip(next).filter_map(|(&a, &b)| adjacency[a].iter().find(|(c, _)| *c == b).map(|(_, bond)| *bond));
            let bonds: Vec<usize> = bonds.collect();
            ring.iter().for_each(|&a| rings.of_atom[a].push(k));
            bonds.iter().for_each(|&b| rings.of_bond[b].push(k));
            rings.bonds.push(bonds);
        }
        rings.atoms = atoms;
        rings
    }

    /// Numbers of the rings that an atom is in, shortest first.
    pub fn of_atom(&self, atom: usize) -> &[usize] {
        &self.of_atom[atom]
    }

    /// Numbers of the rings that a bond is in, shortest first.
    pub fn of_bond(&self, bond: usize) -> &[usize] {
        &self.of_bond[bond]
    }

    /// Size of the smallest ring of an atom, `None` outside rings.
    pub fn atom_size(&self, atom: usize) -> Option<usize> {
        self.of_atom[atom].first().map(|&ring| self.atoms[ring].len())
    }

    /// Size of the smallest ring of a bond, `None` outside rings.
    pub fn bond_size(&self, bond: usize) -> Option<usize> {
        self.of_bond[bond].first().map(|&ring| self.atoms[ring].len())
    }

    /// Size of the smallest ring that holds two atoms.
    pub fn shared_size(&self, a: usize, b: usize) -> Option<usize> {
        self.of_atom[a].iter().find(|ring| self.of_atom[b].contains(ring)).map(|&ring| self.atoms[ring].len())
    }
}
