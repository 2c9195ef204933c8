//! Noise processes: what the training loop and ancestral sampling need to know of one, Gaussian or categorical.

pub mod categorical;
mod gaussian;

pub use gaussian::Gaussian;

use crate::NoiseSource;

/// A forward process with a tractable reverse: noise meets data here, and nowhere else.
pub trait Process {
    /// What is noised.
    type State;
    /// What a network says of the clean data: its mean, or its probabilities.
    type Estimate;
    /// How noisy a state is.
    type Level: Copy;

    /// A draw from `q(x_at | x0)`.
    fn corrupt(&self, x0: &Self::State, at: Self::Level, noise: &dyn NoiseSource, node: u32) -> Self::State;

    /// A draw from the prior, shaped like a state.
    fn prior(&self, like: &Self::State, noise: &dyn NoiseSource) -> Self::State;

    /// A draw from the reverse step `p(x_to | x_from)` that an estimate of the clean data makes.
    fn posterior(
        &self,
        x: &Self::State,
        estimate: &Self::Estimate,
        from: Self::Level,
        to: Self::Level,
        noise: &dyn NoiseSource,
        node: u32,
    ) -> Self::State;
}
