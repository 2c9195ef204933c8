//! Likelihood of data under a diffusion model: exact by the probability-flow ODE, bounded from above by the discrete reverse chain.

mod elbo;
mod ode;

pub use elbo::{ReverseVariance, VariationalBound, variational_bound};
pub use ode::{Field, Likelihood, Traced, likelihood};
