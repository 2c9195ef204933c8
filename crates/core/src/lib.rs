//! The mathematics of diffusion models, for any kind of data.
//!
//! One symbol table for the whole project:
//!
//! | symbol | meaning |
//! |---|---|
//! | `x0` | clean data |
//! | `eps` | standard normal noise |
//! | `alpha, sigma` | noise level: `x = alpha * x0 + sigma * eps` ([`Level`]) |
//! | `D` | denoiser, `E[x0 given x]` ([`Denoiser`]) |
//! | `score` | `grad log p(x) = -eps / sigma` |
//! | `v` | velocity, `alpha * eps - sigma * x0` |
//! | `flow` | `eps - x0`, time `s` running from 1 (noise) to 0 (data) |
//! | `lambda` | half log-SNR, `ln(alpha / sigma)` |
//! | `t` | a schedule's own time, rising with noise; solvers never see it |
//!
//! A [`Schedule`](schedule::Schedule) and a [`grid`] give levels, a [`solver`] compiles them to a [`Plan`], the plan runs on any
//! [`State`] with any [`Denoiser`], and [`noise`] is addressed by (seed, sample, node, stream).

pub mod cascade;
pub mod denoiser;
pub mod distill;
pub mod drive;
pub mod ema;
mod error;
pub mod grid;
pub mod guide;
pub mod latent;
mod level;
pub mod likelihood;
pub mod loss;
pub mod mixture;
pub mod noise;
mod param;
pub mod plan;
pub mod process;
pub mod recipe;
pub mod schedule;
pub mod selftest;
pub mod solver;
mod special;
mod state;
pub mod variance;

pub use denoiser::{Denoiser, MapX0, Precond};
pub use error::Error;
pub use guide::Guided;
pub use level::Level;
pub use noise::{NoiseSource, Philox};
pub use param::{Coef, Param, Target};
pub use plan::Plan;
pub use state::{Masked, State, ZeroCentre};
