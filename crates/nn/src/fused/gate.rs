//! Gated activations: the first half of a dimension shaped by the second.

use burn::{
    backend::flex::FlexTensor,
    tensor::{Tensor, activation},
};

use super::{
    activation::PART,
    host::{self, Kept, Operation, array, contiguous, each, shape, values},
    vector::{sigmoid, tanh, wide},
};

/// How the second half shapes the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `tanh(a) sigmoid(b)`, the gate of WaveNet (van den Oord et al. 2016, arXiv:1609.03499, Eq. 2).
    Tanh,
    /// `a b sigmoid(b)`, SwiGLU (Shazeer 2020, arXiv:2002.05202, Eq. 6).
    Silu,
}

impl Gate {
    /// Halves `x` along `dim` into `a` and `b`, and joins them: the result is half as long there.
    ///
    /// # Panics
    /// When `dim` is not a dimension of `x` or is of odd length.
    #[must_use]
    pub fn apply<const D: usize>(self, x: Tensor<D>, dim: usize) -> Tensor<D> {
        let dims = x.dims();
        assert!(dim < D && dims[dim].is_multiple_of(2), "dimension {dim} of {dims:?} cannot be halved");
        host::run_unary(Halves { gate: self, dim }, x, |x| self.composed(x, dim))
    }

    /// The same from burn's operations.
    pub(super) fn composed<const D: usize>(self, x: Tensor<D>, dim: usize) -> Tensor<D> {
        let half = x.dims()[dim] / 2;
        let (a, b) = (x.clone().narrow(dim, 0, half), x.narrow(dim, half, half));
        match self {
            Self::Tanh => a.tanh() * activation::sigmoid(b),
            Self::Silu => a * activation::silu(b),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Halves {
    gate: Gate,
    dim: usize,
}

impl Halves {
    /// Length of one half in the values of `x`: halves follow one another.
    fn len(self, x: &FlexTensor) -> usize {
        x.layout().shape()[self.dim..].iter().product::<usize>() / 2
    }
}

impl Operation<1> for Halves {
    const KEEP: [bool; 1] = [true];

    fn forward(self, [x]: [Option<FlexTensor>; 1], _: bool) -> (FlexTensor, Option<FlexTensor>) {
        let x = contiguous(x.expect("it is always given"));
        let mut dims = shape(&x);
        dims[self.dim] /= 2;
        let mut out = vec![0.0; dims.num_elements()];
        let half = self.len(&x).max(1);
        let pairs = values(&x).chunks_exact(2 * half).map(|pair| pair.split_at(half));
        let parts = out.chunks_mut(half).zip(pairs).flat_map(|(out, (a, b))| out.chunks_mut(PART).zip(a.chunks(PART).zip(b.chunks(PART))));
        each(parts, |(out, (a, b))| match self.gate {
            Gate::Tanh => tanh_forward(a, b, out),
            Gate::Silu => silu_forward(a, b, out),
        });
        (array(out, dims), None)
    }

    fn backward(self, kept: Kept<1>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let [x] = kept.inputs;
        let x = contiguous(x.expect("it is always kept"));
        let gradient = contiguous(gradient);
        let mut out = vec![0.0; values(&x).len()];
        let half = self.len(&x).max(1);
        let pairs = values(&x).chunks_exact(2 * half).map(|pair| pair.split_at(half));
        let outs = out.chunks_exact_mut(2 * half).map(|pair| pair.split_at_mut(half));
        let parts = outs.zip(pairs).zip(values(&gradient).chunks(half)).flat_map(|(((da, db), (a, b)), g)| {
            let outs = da.chunks_mut(PART).zip(db.chunks_mut(PART));
            outs.zip(a.chunks(PART).zip(b.chunks(PART))).zip(g.chunks(PART))
        });
        each(parts, |(((da, db), (a, b)), g)| match self.gate {
            Gate::Tanh => tanh_backward(a, b, g, da, db),
            Gate::Silu => silu_backward(a, b, g, da, db),
        });
        [Some(array(out, shape(&x)))]
    }
}

wide! {
    pub(super) fn tanh_forward(a: &[f32], b: &[f32], out: &mut [f32]) {
        for (out, (&a, &b)) in out.iter_mut().zip(a.iter().zip(b)) {
            *out = tanh(a) * sigmoid(b);
        }
    }
}

wide! {
    fn tanh_backward(a: &[f32], b: &[f32], gradient: &[f32], da: &mut [f32], db: &mut [f32]) {
        for (((da, db), (&a, &b)), &g) in da.iter_mut().zip(db).zip(a.iter().zip(b)).zip(gradient) {
            let (t, s) = (tanh(a), sigmoid(b));
            *da = g * s * (1.0 - t * t);
            *db = g * t * s * (1.0 - s);
        }
    }
}

wide! {
    fn silu_forward(a: &[f32], b: &[f32], out: &mut [f32]) {
        for (out, (&a, &b)) in out.iter_mut().zip(a.iter().zip(b)) {
            *out = a * b * sigmoid(b);
        }
    }
}

wide! {
    fn silu_backward(a: &[f32], b: &[f32], gradient: &[f32], da: &mut [f32], db: &mut [f32]) {
        for (((da, db), (&a, &b)), &g) in da.iter_mut().zip(db).zip(a.iter().zip(b)).zip(gradient) {
            let s = sigmoid(b);
            *da = g * b * s;
            *db = g * a * s * (1.0 + b * (1.0 - s));
        }
    }
}
