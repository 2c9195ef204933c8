//! Network parts and contracts that two or more domains share, on burn's modules.
//!
//! - [`Init`]: addressed initial weights, the same on every device.
//! - [`fused`]: operations in one pass over host memory, with gradients written by hand.
//! - [`weights`]: a module's parameters as named host arrays, and back.
//! - [`TimeEmbedding`]: how a network is told its noise level.
//! - [`Vae`]: an autoencoder into a latent space.
//! - [`Trainable`] and [`Sampler`]: the contracts that the engine drives.

mod contract;
mod embed;
pub mod fused;
mod init;
mod vae;
pub mod weights;

pub use contract::{Constant, Sampler, Trainable};
pub use embed::TimeEmbedding;
pub use init::Init;
pub use vae::{Vae, VaeConfig};
pub use weights::{Layout, WeightsError};
