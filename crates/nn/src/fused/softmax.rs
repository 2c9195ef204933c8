//! Softmax of the last dimension in one pass over each row, each way.

use burn::{
    backend::flex::FlexTensor,
    tensor::{Tensor, activation},
};

use super::{
    host::{self, Kept, Operation, array, contiguous, each, owned, shape, values},
    vector::{exp_below, largest, sum, sum2, wide},
};

/// Rows per part.
const ROWS: usize = 64;

/// Softmax of the last dimension: non-negative, of sum 1.
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    host::run_unary(Softmax, x, |x| activation::softmax(x, D - 1))
}

#[derive(Clone, Copy, Debug)]
struct Softmax;

impl Operation<1> for Softmax {
    const KEEP: [bool; 1] = [false];

    fn forward(self, [x]: [Option<FlexTensor>; 1], tracked: bool) -> (FlexTensor, Option<FlexTensor>) {
        let mut y = owned(x.expect("it is always given"));
        let width = y.layout().shape()[y.layout().num_dims() - 1];
        each(y.storage_mut::<f32>().chunks_mut((ROWS * width).max(1)), |part| forward(part, width));
        let extra = tracked.then(|| y.clone());
        (y, extra)
    }

    fn backward(self, kept: Kept<1>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let y = kept.extra.expect("a tracked softmax keeps its result");
        let gradient = contiguous(gradient);
        let width = y.layout().shape()[y.layout().num_dims() - 1];
        let part = (ROWS * width).max(1);
        let mut dx = vec![0.0; values(&y).len()];
        let parts = dx.chunks_mut(part).zip(values(&y).chunks(part).zip(values(&gradient).chunks(part)));
        each(parts, |(dx, (y, gradient))| backward(y, gradient, dx, width));
        [Some(array(dx, shape(&y)))]
    }
}

/// Replaces `x` by `e^(x - max)`; gives the maximum and the sum.
#[inline(always)]
pub(super) fn exponentials(x: &mut [f32]) -> (f32, f32) {
    let most = largest(x);
    // Arrays, not slices: short rows stay in vectors. Loops, not closures, which compilers may put outside of the wide function.
    let (chunks, rest) = x.as_chunks_mut::<16>();
    for chunk in chunks {
        for x in chunk {
            *x = exp_below(*x - most);
        }
    }
    for x in rest {
        *x = exp_below(*x - most);
    }
    (most, sum(x, |x| x))
}

wide! {
    fn forward(x: &mut [f32], width: usize) {
        for row in x.chunks_exact_mut(width.max(1)) {
            let factor = 1.0 / exponentials(row).1;
            row.iter_mut().for_each(|x| *x *= factor);
        }
    }
}

wide! {
    fn backward(y: &[f32], gradient: &[f32], dx: &mut [f32], width: usize) {
        let width = width.max(1);
        for ((y, gradient), dx) in y.chunks_exact(width).zip(gradient.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
            let mean = sum2(y, gradient, |y, g| y * g);
            for ((dx, &y), &g) in dx.iter_mut().zip(y).zip(gradient) {
                *dx = y * (g - mean);
            }
        }
    }
}
