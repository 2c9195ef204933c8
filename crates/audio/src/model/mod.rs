//! Networks.

mod diffwave;
mod judge;
mod prior;

pub use diffwave::{DiffWaveNet, Told};
pub use judge::{JudgeNet, Verdict};
pub use prior::{Conditions, PriorNet};
