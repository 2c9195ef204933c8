//! Delimited files in and out.
