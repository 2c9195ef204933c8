//! What users ask for: training and generation.

mod conformer;
pub mod denovo;
pub mod geodiff;
mod train_conformer;

pub use conformer::Conformers;
pub use train_conformer::ConformerTask;
