//! Operations in one pass over memory, with gradients written by hand, for tensors in host memory.
//!
//! On `flex` each function here is one node of the autodiff graph; on every other device, for other precisions than f32, and under
//! gradient checkpointing, the same function is composed from burn's operations and gives the same values up to rounding. Work is cut
//! into parts by shapes alone and spread over the threads of the current rayon pool, so the number of threads changes no bit.

mod activation;
mod attention;
mod block;
mod conv;
mod depthwise;
mod depthwise_blocks;
#[cfg_attr(not(target_arch = "x86_64"), path = "no_factor.rs")]
mod factor;
mod gate;
#[allow(unsafe_code, reason = "the matrix kernel takes pointers; every address is checked first")]
mod gemm;
mod host;
#[allow(unsafe_code, reason = "what a gradient needs is written into memory that was not cleared")]
mod linear;
mod norm;
mod packed;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the kernel takes pointers; every address is checked first")]
mod panels;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vectors are read from and written to checked slices")]
mod parts;
mod pool;
mod precision;
#[allow(unsafe_code, reason = "results are written into memory that was not cleared")]
mod residual;
mod rotary;
mod small;
mod softmax;
mod strided;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "tiles are reached by assembler; every address is checked first")]
mod tiles;
mod vector;

pub use activation::{Activation, gelu, silu, tanh};
pub use attention::{attention, self_attention};
pub use block::Block;
pub use conv::conv1d;
pub use depthwise::depthwise;
pub use depthwise_blocks::depthwise_blocks;
pub use gate::Gate;
pub use gemm::{Place, product};
pub use linear::{linear, linear_activated, linear_added};
pub use norm::{Affine, Norm, layer_norm};
pub use pool::max_pool1d;
pub use precision::{Entered, Precision};
pub use residual::GatedResidual;
pub use rotary::rotary;
pub use softmax::softmax;
pub use strided::conv1d_with;

#[cfg(test)]
mod tests;
