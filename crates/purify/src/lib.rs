//! Purification: adversarial inputs cleaned by diffusion before a classifier reads them, and the attacks that show what that is worth.
//!
//! A [`Classifier`] is anything that turns rows into logits. Everything else here is measured in data units, never in step numbers.
//!
//! - [`Purifier`]: a denoiser `D(x; sigma)` of clips or rows, walked back from noise; [`task::PurifyTask`] trains it.
//! - [`defence`]: a purifier, and the simple methods it has to beat, as what stands before a classifier.
//! - [`attack`]: from blind to adaptive, with the true gradient through defence and classifier.
//! - [`eval`]: a suite of attacks, what is left of the accuracy, and whether the numbers can be believed.
//! - [`compared`] and [`guided`]: what is decided of the logits before and after, and a row that says so.
//! - [`vote`] and [`certify`]: decisions over draws, and what is certain of them.

pub mod attack;
pub mod certify;
mod classifier;
mod command;
mod compare;
pub mod config;
pub mod data;
pub mod defence;
pub mod detect;
mod error;
pub mod eval;
mod guide;
pub mod model;
mod onnx;
mod open;
mod purifier;
pub mod table;
pub mod task;
mod tensor;
#[cfg(feature = "tch")]
mod torchscript;
pub mod vote;

pub use classifier::Classifier;
pub use command::CommandClassifier;
pub use compare::compared;
pub use config::ModelConfig;
pub use data::Examples;
pub use defence::Defence;
pub use error::{Error, Result};
pub use guide::guided;
pub use onnx::{OnnxClassifier, OnnxOptions};
pub use open::open_classifier;
pub use purifier::{Draw, Purifier, Walk};
pub use table::Table;
#[cfg(feature = "tch")]
pub use torchscript::TorchScriptClassifier;
