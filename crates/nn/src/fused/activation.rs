//! Functions of one number, applied to whole tensors in one pass, with gradients from the saved input.

use burn::{
    backend::flex::FlexTensor,
    tensor::{Tensor, activation},
};

use super::{
    host::{self, Kept, Operation, array, contiguous, each, owned, shape, values},
    vector::{self, exp, normal, normal_below, sigmoid, wide},
};

/// Numbers per part of an elementwise pass: 64 KiB, so that a part stays in the first caches between a copy and its use.
pub(super) const PART: usize = 16 * 1024;

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x sigmoid(x)` (Elfwing et al. 2017, arXiv:1702.03118).
    Silu,
    /// `x Phi(x)` with the normal distribution function itself, not its tanh approximation (arXiv:1606.08415).
    Gelu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `ln(1 + e^x)`.
    Softplus,
    /// `e^x`; 0 below `e^-87.33` and infinity above `e^88.37`.
    Exp,
}

/// `x sigmoid(x)` of every element; see [`Activation::Silu`].
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Activation::Silu.apply(x)
}

/// `x Phi(x)` of every element; see [`Activation::Gelu`].
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Activation::Gelu.apply(x)
}

/// Hyperbolic tangent of every element.
pub fn tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Activation::Tanh.apply(x)
}

impl Activation {
    /// The function of every element, in the shape of `x`.
    #[must_use]
    pub fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        host::run_unary(self, x, |x| self.composed(x))
    }

    /// The same from burn's operations.
    pub(super) fn composed<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Silu => activation::silu(x),
            Self::Gelu => activation::gelu(x),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => activation::sigmoid(x),
            Self::Softplus => activation::softplus(x, 1.0),
            Self::Exp => x.exp(),
        }
    }

    /// Replaces every number by the function's value.
    pub(super) fn forward_slice(self, x: &mut [f32]) {
        match self {
            Self::Silu => silu_forward(x),
            Self::Gelu => gelu_forward(x),
            Self::Tanh => tanh_forward(x),
            Self::Sigmoid => sigmoid_forward(x),
            Self::Softplus => softplus_forward(x),
            Self::Exp => exp_forward(x),
        }
    }

    /// Multiplies every gradient by the function's derivative at `x`.
    pub(super) fn backward_slice(self, x: &[f32], gradient: &mut [f32]) {
        match self {
            Self::Silu => silu_backward(x, gradient),
            Self::Gelu => gelu_backward(x, gradient),
            Self::Tanh => tanh_backward(x, gradient),
            Self::Sigmoid => sigmoid_backward(x, gradient),
            Self::Softplus => softplus_backward(x, gradient),
            Self::Exp => exp_backward(x, gradient),
        }
    }
}

impl Operation<1> for Activation {
    const KEEP: [bool; 1] = [true];

    fn forward(self, [x]: [Option<FlexTensor>; 1], _: bool) -> (FlexTensor, Option<FlexTensor>) {
        let x = contiguous(x.expect("it is always given"));
        if x.is_unique() {
            let mut y = owned(x);
            each(y.storage_mut::<f32>().chunks_mut(PART), |part| self.forward_slice(part));
            return (y, None);
        }
        let mut y = vec![0.0; values(&x).len()];
        each(y.chunks_mut(PART).zip(values(&x).chunks(PART)), |(y, x)| {
            y.copy_from_slice(x);
            self.forward_slice(y);
        });
        (array(y, shape(&x)), None)
    }

    fn backward(self, kept: Kept<1>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let [x] = kept.inputs;
        let x = contiguous(x.expect("it is always kept"));
        let mut gradient = owned(gradient);
        let parts = gradient.storage_mut::<f32>().chunks_mut(PART).zip(values(&x).chunks(PART));
        each(parts, |(gradient, x)| self.backward_slice(x, gradient));
        [Some(gradient)]
    }
}

wide! {
    fn silu_forward(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x *= sigmoid(*x));
    }
}

wide! {
    fn silu_backward(x: &[f32], gradient: &mut [f32]) {
        for (g, &x) in gradient.iter_mut().zip(x) {
            let s = sigmoid(x);
            *g *= s * (1.0 + x * (1.0 - s));
        }
    }
}

wide! {
    fn gelu_forward(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x *= normal_below(*x));
    }
}

wide! {
    fn gelu_backward(x: &[f32], gradient: &mut [f32]) {
        for (g, &x) in gradient.iter_mut().zip(x) {
            let (below, density) = normal(x);
            *g *= below + x * density;
        }
    }
}

wide! {
    fn tanh_forward(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x = vector::tanh(*x));
    }
}

wide! {
    fn tanh_backward(x: &[f32], gradient: &mut [f32]) {
        for (g, &x) in gradient.iter_mut().zip(x) {
            let t = vector::tanh(x);
            *g *= 1.0 - t * t;
        }
    }
}

wide! {
    fn sigmoid_forward(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x = sigmoid(*x));
    }
}

wide! {
    fn sigmoid_backward(x: &[f32], gradient: &mut [f32]) {
        for (g, &x) in gradient.iter_mut().zip(x) {
            let s = sigmoid(x);
            *g *= s * (1.0 - s);
        }
    }
}

wide! {
    fn softplus_forward(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x = vector::softplus(*x));
    }
}

wide! {
    fn softplus_backward(x: &[f32], gradient: &mut [f32]) {
        gradient.iter_mut().zip(x).for_each(|(g, &x)| *g *= sigmoid(x));
    }
}

wide! {
    fn exp_forward(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x = exp(*x));
    }
}

wide! {
    fn exp_backward(x: &[f32], gradient: &mut [f32]) {
        gradient.iter_mut().zip(x).for_each(|(g, &x)| *g *= exp(x));
    }
}
