//! Multivariate processes drawn from a seed, to train on.
