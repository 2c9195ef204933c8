//! Configurations: which are real, which are missing, and whether a geometry has them.

mod bridges;
mod clean;
mod geometry;
mod isomers;
mod sites;

pub(crate) use clean::clean;
pub use geometry::{MIN_COSINE, MIN_VOLUME, cosine, from_positions, kept, volume};
pub use isomers::{Unspecified, enumerate, unspecified};
