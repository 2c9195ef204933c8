//! Guidance: denoisers made of denoisers. They nest.

mod cfg;
mod classifier;
mod dps;
mod rescale;
mod threshold;

pub use cfg::Guided;
pub use classifier::{ScoreShift, gradient};
pub use dps::Dps;
pub use rescale::{Rescaled, rescale, rescale_rows};
pub use threshold::{dynamic_threshold, dynamic_threshold_rows};
