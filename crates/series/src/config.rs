//! The `[model]` table of a series config.
