//! How good generated conformers are: coverage and precision beside references, validity, distributions of internal coordinates.

pub mod coverage;
pub mod distributions;
pub mod report;

pub use coverage::{Coverage, Summary};
pub use distributions::{Distances, wasserstein};
pub use report::{MoleculeScore, Options, Report, evaluate};
