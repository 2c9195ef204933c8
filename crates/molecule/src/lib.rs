//! Molecules by diffusion: SMILES to 3D conformers, and new molecules.

pub mod chem;
pub mod config;
pub mod data;
pub mod element;
pub mod error;
pub mod features;
pub mod geometry;
pub mod graph;
pub mod io;
pub mod metrics;
pub mod model;
mod smiles;
pub mod task;

pub use element::Element;
pub use error::{Error, Result};
pub use graph::{Atom, Bond, Centre, DoubleBond, Molecule, Point};

#[cfg(test)]
mod testing;
