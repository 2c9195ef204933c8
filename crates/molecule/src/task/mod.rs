//! What users ask for: training and generation.

mod conformer;
pub mod denovo;
mod generate;
pub mod geodiff;
mod spread;
mod steer;
mod train_conformer;

pub use conformer::{Conformers, Walk};
pub use generate::{Conformer, Diffusion, Draw, Generation, Job, Published, Request};
pub use spread::spread;
pub use steer::{Held, Steer, Trajectory};
pub use train_conformer::ConformerTask;
