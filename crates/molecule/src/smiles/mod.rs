//! SMILES, read and written as OpenSMILES and RDKit understand them.
//!
//! A string that RDKit rejects is an error with the column of what is wrong. Beyond that, contradictory bond marks (`F/C(\Cl)=C/F`,
//! `C-1CC=1`), stereo classes other than tetrahedral and RDKit's own bonds (`~`, `->`) are errors here, because nobody can tell which
//! molecule was meant. Neutral five-valent nitro groups, azides and perchlorates are read as their charged forms, as RDKit does.

mod atom;
mod build;
mod marks;
mod read;
mod slants;
mod write;

use crate::{Molecule, Result};

impl Molecule {
    /// The molecule of a SMILES string.
    ///
    /// Atoms stand in the order of the string, hydrogens that it does not write as atoms (`[H]`) after them in the order of their atoms.
    /// Bonds stand in the order of the string, ring closures after the others by ring number, bonds to added hydrogens last. Aromaticity
    /// is perceived afresh from a Kekule structure, and configurations that mean nothing (two equal neighbours) are dropped.
    ///
    /// # Errors
    /// [`crate::Error::Smiles`] with the column of the culprit.
    ///
    /// # Example
    /// ```
    /// let alanine = langevin_molecule::Molecule::from_smiles("C[C@H](N)C(=O)O")?;
    /// assert_eq!((alanine.heavy().len(), alanine.atoms.len()), (6, 13));
    /// assert_eq!(alanine.centres.len(), 1);
    /// # Ok::<(), langevin_molecule::Error>(())
    /// ```
    pub fn from_smiles(smiles: &str) -> Result<Self> {
        build::molecule(&read::read(smiles)?)
    }

    /// Canonical isomeric SMILES: the same string for every order of the atoms. Hydrogens are implied where a reader would add them.
    pub fn to_smiles(&self) -> String {
        write::write(self)
    }
}
