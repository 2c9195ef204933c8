//! What users ask for: train, sample, fill, fix, and measure.

pub mod likelihood;
mod train;

pub use train::TextTask;
