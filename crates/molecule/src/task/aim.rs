//! Which geometries are wanted of a molecule: at which level of theory, and what is done to positions after sampling.

use serde::Serialize;

use crate::{Element, Molecule};

/// Heavy atoms of the largest molecules whose training geometries are by GFN2-xTB: those of QM9.
const SMALL: usize = 9;

/// What is done to positions after sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Relax {
    /// Nothing.
    None,
    /// Lengths, angles, planes, contacts and configurations are brought within learned bounds.
    Bounds,
    /// That, and then the nearest minimum of the force field MMFF94s; where it has no parameters or its minimum fails a check, that only.
    Mmff94s,
}

impl std::fmt::Display for Relax {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Bounds => "bounds",
            Self::Mmff94s => "mmff94s",
        })
    }
}

/// The geometries that are wanted of a molecule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    /// Level of theory, as a number of the config's.
    pub level: usize,
    /// What is done after sampling.
    pub relax: Relax,
}

/// The level of theory that training geometries of such molecules have: `gfn2` for up to nine heavy atoms of C, N, O and F, `mmff` for others.
pub fn usual_level(molecule: &Molecule) -> &'static str {
    let heavy = molecule.heavy();
    let known = |&a: &usize| matches!(molecule.atoms[a].element, Element(6..=9));
    if heavy.len() <= SMALL && heavy.iter().all(known) { "gfn2" } else { "mmff" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_molecules_of_qm9s_elements_are_at_gfn2() {
        let level = |smiles: &str| usual_level(&Molecule::from_smiles(smiles).unwrap());
        for smiles in ["[HH]", "CCO", "FC(F)(F)CCCC=O"] {
            assert_eq!(level(smiles), "gfn2", "{smiles}");
        }
        for smiles in ["CCCCCCCCCC", "CS", "CC(=O)Oc1ccccc1C(=O)O", "[Na+].[Cl-]"] {
            assert_eq!(level(smiles), "mmff", "{smiles}");
        }
    }
}
