//! What users ask for: train, sample, fill, fix, and measure.

pub mod sample;
