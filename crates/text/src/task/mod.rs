//! What users ask for: train, sample, fill, fix, and measure.

pub mod infill;
pub mod likelihood;
pub mod repair;
pub mod sample;
mod train;

pub use train::TextTask;
