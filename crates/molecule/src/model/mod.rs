//! Networks.

pub mod conformer;
pub mod denovo;
pub mod geodiff;
pub mod geometry;
pub mod graph;

pub use conformer::{ConformerNet, Output, Preconditioning};
pub use graph::GraphBatch;
