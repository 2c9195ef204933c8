//! Networks.

mod judge;
mod prior;

pub use judge::{JudgeNet, Verdict};
pub use prior::{Conditions, PriorNet};
