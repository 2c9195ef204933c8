//! How good an imputation is: errors, proper scores, bands, and what only whole sample paths can get right.
//!
//! Everything here is a plain function on slices of `f64`. Scores are in the units of what they are given; [`evaluate`] gives them values
//! divided by each column's deviation, so that columns can be averaged.

mod aligned;
mod bands;
mod crps;
mod evaluation;
mod gaps;
mod paths;
mod point;
mod samples;

pub use aligned::{Aligned, Options};
pub use bands::{coverage, interval_score, pinball, quantile, quantile_column, quantile_of_column, width, wis};
pub use crps::{crps_ensemble, crps_fair, crps_quantiles};
pub use evaluation::{BinScores, Column, ColumnScores, Evaluation, Scale, Scores, evaluate};
pub use gaps::{BIN_LABELS, BINS, bin_of, gaps};
pub use paths::{PathScores, Shape, path_scores};
pub use point::{mae, rmse};
