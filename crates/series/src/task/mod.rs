//! What users ask for: training networks, and filling tables with them.

pub mod csdi;
mod residual;
mod train_residual;

pub use residual::ResidualModel;
pub use train_residual::ResidualTask;
