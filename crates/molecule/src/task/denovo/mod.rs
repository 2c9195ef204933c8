//! New molecules: strings drawn from noise, read by our own parser, and counted.

mod collect;
mod formula;
mod known;
mod sample;
mod sizes;
mod train;

pub use collect::{Collector, DenovoReport};
pub use formula::Formula;
pub use known::Known;
pub use sample::{Denovo, DenovoRequest, Drawing};
pub use sizes::Sizes;
pub use train::DenovoTask;
