//! Drivers: sampling loops that are not linear plans, or that start elsewhere than in noise.

mod adaptive;
mod invert;
mod langevin;
mod learned;
mod repaint;
mod sdedit;

pub use adaptive::{Adaptive, Cost};
pub use invert::invert;
pub use langevin::{Corrector, PredictorCorrector, Reversal};
pub use learned::{VarianceDenoiser, learned_ancestral, log_variance};
pub use repaint::{RePaint, jump_list};
pub use sdedit::{Edit, sdedit};
