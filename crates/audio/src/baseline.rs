//! What waveforms are repaired with where nothing is learned: the methods that the diffusion models have to beat.

mod least_squares;
mod linear_prediction;
mod spline;

pub use least_squares::{LONG_ORDER, interpolate_gap};
pub use linear_prediction::{ORDER, burg, extrapolate, fill_gap};
pub use spline::upsample_spline;
