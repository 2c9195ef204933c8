//! Time series by diffusion: a table with holes in, the same table filled, with bands that hold what they promise.
//!
//! - [`io`]: delimited files in and out; what was observed stays as it was written, byte for byte.
//! - [`Frame`]: rows in time order of numeric columns, what everything between reading and writing works on.
//! - [`anchor`]: the best simple estimate of every hole, which diffusion starts from.
//! - [`masks`], [`synthetic`], [`data`]: holes and processes to train and to measure on.
//! - [`model`]: the network of the residual, CSDI, and an unconditional model.
//! - [`task`]: what users ask for: impute, train, evaluate.
//! - [`metrics`], [`plot`], [`report`]: how good it is, and how that is shown.

pub mod anchor;
pub mod config;
pub mod data;
mod draws;
mod error;
mod frame;
pub mod io;
pub mod masks;
pub mod metrics;
pub mod model;
pub mod plot;
pub mod report;
pub mod synthetic;
pub mod task;

pub use error::{Error, Result};
pub use frame::Frame;
