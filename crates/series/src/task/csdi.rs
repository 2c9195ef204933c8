//! CSDI: training as published, and filling windows and tables with it.

mod sample;
mod table;
mod train;

pub use sample::{CsdiModel, Method};
pub use table::{CsdiDraws, CsdiImputer, CsdiJob, RunCsdi};
pub use train::CsdiTask;
