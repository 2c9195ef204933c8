//! Variance of the reverse step. The two fixed ones are those of [`Reverse`](crate::solver::Reverse); here are the learned one
//! and the best one in closed form.

mod analytic;
mod learned;

pub use analytic::{ScoreMoments, mean_square_score, optimal_variance};
pub use learned::{discretised_log_likelihood, gaussian_kl, interpolated_log_variance};
