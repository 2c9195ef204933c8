//! Writing texts: hidden tokens appear until none is left.
//!
//! A masking process in reverse needs no clock: what is hidden is drawn given what is not, some tokens at a time, in an order of its own
//! ([`Order`](crate::config::Order)). The whole context is written at once, or block after block with a cache of those before, which also
//! gives texts of any length. Chains of classes are reversed step by step. Every draw has an address: seed, sample, place, stream.

mod blocks;
mod chain;
mod choice;
mod draft;
mod fill;
mod lengths;
mod pattern;
mod predict;
#[cfg(test)]
mod tests;
mod windows;
mod writing;

pub use draft::{Progress, Watch};
pub use pattern::{Pattern, Piece};
pub use predict::Predict;
pub use writing::{Request, Writing, Written};

pub(crate) use choice::{Choice, uniform};

/// Streams of draws, after the names of `langevin_core::noise::stream`.
pub(crate) mod streams {
    use langevin_core::noise::stream::DOMAIN;

    /// When a hidden token appears.
    pub(crate) const APPEARS: u32 = DOMAIN;
    /// Which it is.
    pub(crate) const TOKEN: u32 = DOMAIN + 1;
    /// Whether a token is hidden again.
    pub(crate) const REMASK: u32 = DOMAIN + 2;
    /// How long a gap is.
    pub(crate) const LENGTH: u32 = DOMAIN + 3;
    /// Which tokens of a text are edited.
    pub(crate) const EDIT: u32 = DOMAIN + 4;
    /// Where a chain starts.
    pub(crate) const START: u32 = DOMAIN + 5;
}
