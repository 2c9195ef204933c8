//! Networks: the residual of the anchor for any number of columns, and CSDI as published.

pub mod csdi;
mod residual;

pub use residual::{Context, FEATURES, PAIRS, ResidualNet, WindowBatch};
