//! The best simple estimate of every hole, which diffusion starts from.
