//! What users ask for.

pub mod geodiff;
