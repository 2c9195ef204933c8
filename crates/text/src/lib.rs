//! Text by discrete diffusion: samples, infilling, repair, and likelihoods that can be trusted.
//!
//! - [`tokenizer`]: text to classes and back.
//! - [`corpus`]: texts to learn from, with labels.
//! - [`config`], [`model`]: the network, which is autoregressive, block and full diffusion at once.
//! - [`task`]: what users ask for: train, sample, fill, fix, and measure.
//! - [`baseline`]: what an n-gram model makes of the same text.
//! - [`metrics`]: how good samples are.

pub mod baseline;
pub mod config;
pub mod corpus;
mod error;
pub mod metrics;
pub mod model;
pub mod task;
pub mod tokenizer;

pub use corpus::Corpus;
pub use error::{Error, Result};
pub use tokenizer::{Tokenizer, TokenizerSpec};
