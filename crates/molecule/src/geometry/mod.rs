//! Positions of atoms: superposition, symmetric RMSD, distance bounds, validity, restraints.

pub mod automorphism;
pub mod bounds;
pub(crate) mod environment;
pub mod kabsch;
pub mod rmsd;
pub mod table;
pub(crate) mod vector;

pub use automorphism::{MAX_MAPPINGS, isomorphisms};
pub use bounds::{Bounds, Pair, Relation};
pub use kabsch::{Rigid, align, rmsd};
pub use rmsd::{Superposition, SymmetricRmsd};
pub use table::{BoundsTable, Window};
