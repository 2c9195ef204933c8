//! What users ask for: training and generation.

mod aim;
mod conformer;
pub mod denovo;
mod draw;
mod generate;
pub mod geodiff;
mod spread;
mod steer;
mod train_conformer;

pub use aim::{Aim, Relax, usual_level};
pub use conformer::{Conformers, Walk};
pub use draw::{Diffusion, Draw, Published, Subject};
pub use generate::{Conformer, Drawn, Generation, Job, Request};
pub use spread::spread;
pub use steer::{Held, Steer, Trajectory};
pub use train_conformer::ConformerTask;
