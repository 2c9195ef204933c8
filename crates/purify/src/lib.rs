//! Purification: adversarial inputs cleaned by diffusion before a classifier reads them, and the attacks that show what that is worth.
//!
//! A [`Classifier`] is anything that turns rows into logits. Everything else here is measured in data units, never in step numbers.

mod classifier;
mod command;
mod error;
mod onnx;
mod open;
#[cfg(feature = "tch")]
mod torchscript;

pub use classifier::Classifier;
pub use command::CommandClassifier;
pub use error::{Error, Result};
pub use onnx::{OnnxClassifier, OnnxOptions};
pub use open::open_classifier;
#[cfg(feature = "tch")]
pub use torchscript::TorchScriptClassifier;
