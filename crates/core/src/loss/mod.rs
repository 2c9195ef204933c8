//! Training losses: what is compared, at which levels, and with which weight.

mod dsm;
mod edm;
mod time_sampler;
mod weights;

pub use dsm::{Dsm, corrupt, weighted_mse};
pub use edm::EdmLoss;
pub use time_sampler::{LossHistory, TimeSampler};
pub use weights::{Weight, vlb_step};
