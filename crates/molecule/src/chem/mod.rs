//! Chemistry of the graph: valence, rings, aromaticity, hybridisation, symmetry, stereo.

pub mod aromatic;
mod bridges;
mod cycles;
pub mod hybrid;
pub(crate) mod kekulise;
pub mod ranks;
mod refine;
pub mod rings;
pub mod stereo;
pub mod valence;

pub use hybrid::Hybrid;
pub(crate) use refine::plain_hydrogen;
pub use rings::Rings;
