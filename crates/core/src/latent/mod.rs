//! Working with noise and latents: interpolation, and diffusion as the prior of a latent code.

mod cross_entropy;
mod rows;
mod slerp;

pub use cross_entropy::{CrossEntropy, cross_entropy};
pub use rows::{CrossEntropyRows, cross_entropy_rows};
pub use slerp::slerp;
