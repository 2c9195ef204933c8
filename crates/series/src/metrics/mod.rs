//! How good an imputation is.
