//! Minima of the force field MMFF94s (Halgren, J. Comput. Chem. 17 (1996) 490 and 20 (1999) 720), whose terms and parameters are those of
//! the crate `chematic-ff`.

use chematic_core::{Atom, AtomIdx, BondOrder, Element, MoleculeBuilder};
use chematic_ff::rdkit_mmff::{MmffVariant, RdkitMmffField};

use super::lbfgs;
use crate::{Molecule, Point};

/// Bonds, angles, stretch-bends, planes, torsions, van der Waals, charges: every kind of term is wanted.
const TERMS: [bool; 7] = [true; 7];

/// The force field of one molecule.
#[derive(Clone, Debug)]
pub struct ForceField(RdkitMmffField);

impl ForceField {
    /// The force field of a molecule with all its hydrogens; `None` where MMFF94s has no parameters for one of its atoms or groups.
    pub fn new(molecule: &Molecule) -> Option<Self> {
        let mut builder = MoleculeBuilder::new();
        for atom in &molecule.atoms {
            let element = Element::from_atomic_number(atom.element.0)?;
            // No hydrogens beside those that are atoms.
            builder.add_atom(Atom { charge: atom.charge, hydrogen_count: Some(0), ..Atom::new(element) });
        }
        for bond in &molecule.bonds {
            let order = match bond.order {
                1 => BondOrder::Single,
                2 => BondOrder::Double,
                3 => BondOrder::Triple,
                _ => return None,
            };
            let [a, b] = bond.atoms.map(|a| AtomIdx(a as u32));
            builder.add_bond(a, b, order).ok()?;
        }
        // Positions would only leave out pairs that lie far apart; with all on one spot there are none.
        let together = vec![[0.0; 3]; molecule.atoms.len()];
        RdkitMmffField::with_terms(&builder.build(), &together, MmffVariant::Mmff94s, f64::MAX, true, TERMS).ok().map(Self)
    }

    /// Energy of a geometry in kcal/mol; `gradient` takes its derivative, per angstrom. Not a number, with a gradient of zeros, where the slices
    /// do not hold one point for each atom.
    pub fn gradient(&self, positions: &[Point], gradient: &mut [Point]) -> f64 {
        gradient.fill([0.0; 3]);
        if positions.len() != self.0.num_atoms() || gradient.len() != positions.len() {
            return f64::NAN;
        }
        self.0.gradient(positions.as_flattened(), gradient.as_flattened_mut());
        self.0.energy(positions.as_flattened())
    }

    /// Energy of a geometry in kcal/mol; not a number where there is not one point for each atom.
    pub fn energy(&self, positions: &[Point]) -> f64 {
        if positions.len() == self.0.num_atoms() { self.0.energy(positions.as_flattened()) } else { f64::NAN }
    }

    /// Goes downhill by at most `steps` steps of L-BFGS and returns the energy reached, in kcal/mol. Positions that are not finite, or too
    /// few, stay, with an energy that is not finite.
    pub fn minimise(&self, positions: &mut [Point], steps: usize) -> f64 {
        if positions.len() != self.0.num_atoms() || positions.iter().flatten().any(|v| !v.is_finite()) {
            return f64::NAN;
        }
        lbfgs::minimise(positions.as_flattened_mut(), steps, |x, g| self.gradient(x.as_chunks().0, g.as_chunks_mut().0))
    }
}
