//! Training losses: what is compared, at which levels, and with which weight.

mod dsm;
mod edm;
mod learned_variance;
mod time_sampler;
mod weights;

pub use dsm::{Dsm, corrupt, row_mse, weighted_mse};
pub use edm::EdmLoss;
pub use learned_variance::learned_variance_bound;
pub use time_sampler::{LossHistory, TimeSampler};
pub use weights::{Weight, vlb_step};
