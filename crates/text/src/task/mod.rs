//! What users ask for: train, sample, fill, fix, and measure.

mod train;

pub use train::TextTask;
