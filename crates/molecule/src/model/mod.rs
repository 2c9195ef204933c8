//! Networks.

pub mod geodiff;
