//! What users ask for: training and generation.

mod conformer;
mod train_conformer;

pub use conformer::Conformers;
pub use train_conformer::ConformerTask;
