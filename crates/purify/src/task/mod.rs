//! What users ask for: train a purifier.

mod perturb;
mod train;

pub use train::PurifyTask;
