//! Tables as networks see them: sheets in units of the columns' own deviations, windows cut from them, and pools of both to train on.

mod pool;
mod relations;
mod sheet;
#[cfg(test)]
pub(crate) mod stand_in;

pub use pool::{Anchoring, Draw, Lesson, Pool, PoolConfig, Prepared};
pub use relations::Relations;
pub use sheet::{Anchored, MOST_COLUMNS, Sheet, Window};
