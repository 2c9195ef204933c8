//! Stub until h2.
pub mod kabsch;
