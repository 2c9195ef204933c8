//! The network, which is autoregressive, block and full diffusion at once.

mod cache;
mod net;
mod text;

pub use cache::Cache;
pub use net::{Conditions, TextNet};
pub use text::TextModel;
