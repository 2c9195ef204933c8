//! Positions of atoms: superposition, symmetric RMSD, distance bounds, validity, restraints.

pub mod automorphism;
pub mod kabsch;
pub mod rmsd;
pub(crate) mod vector;

pub use automorphism::{MAX_MAPPINGS, isomorphisms};
pub use kabsch::{Rigid, align, rmsd};
pub use rmsd::SymmetricRmsd;
