//! CSDI: training as published, and filling windows with it.

mod sample;
mod train;

pub use sample::{CsdiModel, Method};
pub use train::CsdiTask;
