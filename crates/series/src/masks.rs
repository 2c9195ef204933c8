//! Patterns of holes, to train and to measure with.
