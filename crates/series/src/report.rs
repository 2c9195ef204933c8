//! What an imputation says about itself, as JSON.
