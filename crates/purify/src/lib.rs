//! Purification: adversarial inputs cleaned by diffusion before a classifier reads them, and the attacks that show what that is worth.
//!
//! A [`Classifier`] is anything that turns rows into logits. Everything else here is measured in data units, never in step numbers.

mod classifier;
pub mod config;
pub mod data;
pub mod detect;
mod error;
pub mod model;
mod purifier;
pub mod table;
pub mod task;
mod tensor;

pub use classifier::Classifier;
pub use config::ModelConfig;
pub use data::Examples;
pub use error::{Error, Result};
pub use purifier::{Draw, Purifier, Walk};
pub use table::Table;
