//! Loops, files and devices: training, sampling, checkpoints, shards, progress, cancellation. No data, no domain.
//!
//! A domain implements [`Trainable`](langevin_nn::Trainable) and [`Sampler`](langevin_nn::Sampler); [`train`] and [`sample`] drive them.

mod cancel;
pub mod card;
pub mod checkpoint;
pub mod config;
pub mod device;
mod error;
pub mod memory;
mod muon;
pub mod optim;
pub mod parallel;
pub mod progress;
mod sample;
pub mod shard;
pub mod state;
mod train;

pub use cancel::Cancel;
pub use card::Card;
pub use checkpoint::Checkpoint;
pub use config::{DistillRunConfig, Method, RunConfig, TrainConfig};
pub use error::{Error, Result};
pub use parallel::Workers;
pub use progress::{Progress, Verbosity};
pub use sample::sample;
pub use shard::Shard;
pub use train::{Counters, METRICS_FILE, MODEL_FILE, Outcome, TrainOptions, train};
