//! Discrete diffusion over classes (Austin et al. 2021, D3PM).
//!
//! Matrices are row-stochastic, `Q_t[i][j] = q(x_t = j | x_{t-1} = i)`; times are `1..=T` and 0 is clean data.

pub mod absorbing;
mod bound;
mod chain;
mod device;
pub mod enumerate;
mod information;
pub mod kernel;
mod logistic;
mod loss;
pub mod schedule;

pub use bound::{bits_per_token, cross_entropy, divergence};
pub use chain::{Chain, Form};
pub use device::{DeviceChain, divergences, draw_classes};
pub use information::{exponents_for_information, information_removed};
pub use logistic::truncated_logistic;
pub use loss::{CategoricalBatch, CategoricalLoss, CategoricalTerms};
