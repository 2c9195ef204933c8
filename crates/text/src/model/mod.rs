//! The network, which is autoregressive, block and full diffusion at once.
