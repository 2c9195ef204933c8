//! Positions of atoms: superposition, symmetric RMSD, distance bounds, validity, restraints, a force field.

pub mod automorphism;
pub mod bounds;
mod configure;
pub(crate) mod environment;
pub mod kabsch;
mod lbfgs;
mod mmff;
pub mod pack;
pub mod relax;
pub mod rmsd;
pub mod table;
pub mod validity;
pub(crate) mod vector;

pub use automorphism::{MAX_MAPPINGS, isomorphisms};
pub use bounds::{Bounds, Pair, Relation};
pub use kabsch::{Rigid, align, rmsd};
pub use mmff::ForceField;
pub use pack::pack;
pub use relax::Restraints;
pub use rmsd::{Superposition, SymmetricRmsd};
pub use table::{BoundsTable, Window};
pub use validity::{Checker, Validity};
