//! A molecule with its reference conformers.

use crate::{Molecule, Point};

/// One molecule of a training or reference set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Name in its file.
    pub name: String,
    /// SMILES as written in the file, empty if there is none.
    pub smiles: String,
    /// The graph; positions have its order of atoms.
    pub molecule: Molecule,
    /// Level of theory of the conformers, such as `gfn2` or `mmff`; empty if unknown.
    pub level: String,
    /// Boltzmann weight of each conformer; empty if unknown, else they add up to about 1.
    pub weights: Vec<f64>,
    /// Energy of each conformer above the lowest, kcal/mol; empty if unknown.
    pub energies: Vec<f64>,
    /// Conformers, each a position per atom, angstrom.
    pub conformers: Vec<Vec<Point>>,
}
