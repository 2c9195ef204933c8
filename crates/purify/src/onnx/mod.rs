//! ONNX files, read and run without another runtime.
//!
//! A file's graph is checked once and becomes a list of steps; what depends on no row is computed when the file is opened. Floats are burn's
//! tensors of any rank, so that logits can be differentiated; integers and booleans stay in host memory, because shapes, axes and indices
//! are made of them.

mod array;
mod classifier;
mod graph;
mod node;
mod ops;
mod proto;
mod value;

pub use classifier::{OnnxClassifier, OnnxOptions};
