//! GeoDiff: conformers from noise, as published.

mod least_squares;
mod sample;
mod train;

pub use sample::{GeoDiff, Method, Request};
pub use train::GeoDiffTask;
