//! Networks.

mod diffwave;
mod judge;
mod prior;
mod wave;

pub use diffwave::{DiffWaveNet, Told};
pub use judge::{JudgeNet, Verdict};
pub use prior::{Conditions, PriorNet};
pub use wave::{FrameNet, GIVEN};
