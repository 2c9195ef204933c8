//! Distillation: students that do in one step what their teacher does in many.

mod consistency;
mod progressive;

pub use consistency::{consistency_pair, consistency_steps, pseudo_huber};
pub use progressive::{Progressive, progressive_target};
