//! What users ask for: training and generation.

mod conformer;
mod steer;
mod train_conformer;

pub use conformer::Conformers;
pub use steer::{Held, Steer};
pub use train_conformer::ConformerTask;
