//! What users ask for: training networks, and filling tables with them.

pub mod csdi;
mod impute;
mod residual;
mod train_residual;

pub use impute::{Filled, ImputeSettings, Imputer, Limits, Method, PointOf, RunJob, WindowDraws, WindowJob};
pub use residual::ResidualModel;
pub use train_residual::ResidualTask;
