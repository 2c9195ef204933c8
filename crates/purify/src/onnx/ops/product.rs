//! Matrix products.

use burn::{
    backend::{Dispatch, ops::FloatTensorOps as _},
    module::Param,
    nn::Linear,
    tensor::Tensor,
};
use langevin_nn::fused;

use super::Family;
use crate::onnx::{
    node::{Kernel, Spec, one},
    value::{Dense, Fit, broadcast},
};

pub(super) const OPERATORS: Family = &[("Gemm", gemm), ("MatMul", matmul)];

fn scaled(x: Dense, scale: f64) -> Dense {
    if scale == 1.0 { x } else { x.map(|x| Dispatch::float_mul_scalar(x, scale.into())) }
}

fn transposed(x: Dense, is_transposed: bool) -> Dense {
    if is_transposed { x.permute(&[1, 0]) } else { x }
}

/// A product with a constant matrix of `[inputs, outputs]`, and a constant bias.
struct Layer {
    layer: Linear,
    inputs: usize,
}

impl Layer {
    fn new(weight: Dense, bias: Option<Dense>) -> Self {
        let inputs = weight.dims()[0];
        // Row-major, whatever the file says: products read it row by row again and again.
        let weight: Tensor<2> = weight.tensor();
        let (dims, device) = (weight.dims(), weight.device());
        let weight = match weight.clone().try_into_data() {
            Ok(data) => Tensor::<2>::from_data(data, &device).reshape(dims),
            Err(_) => weight,
        };
        let layer = Linear { weight: Param::from_tensor(weight), bias: bias.map(|bias| Param::from_tensor(bias.tensor::<1>())) };
        Self { layer, inputs }
    }

    fn forward(&self, x: Dense) -> Fit<Dense> {
        let mut dims = x.dims().to_vec();
        let Some(last) = dims.last_mut().filter(|last| **last == self.inputs) else {
            return Err(format!("an input of shape {:?} does not fit {} inputs of the weight", x.dims(), self.inputs));
        };
        *last = self.layer.weight.dims()[1];
        let rows = x.dims()[..x.rank() - 1].iter().product();
        let x: Tensor<2> = x.reshape(vec![rows, self.inputs]).tensor();
        Ok(Dense::of(fused::linear(&self.layer, x)).reshape(dims))
    }
}

fn gemm(spec: &Spec<'_>) -> Fit<Kernel> {
    let (alpha, beta) = (spec.float("alpha", 1.0), spec.float("beta", 1.0));
    let (left, right) = (spec.int("transA", 0) != 0, spec.int("transB", 0) != 0);
    // The usual case: a layer of weights.
    let weight = spec.known_float(1).filter(|weight| weight.rank() == 2).map(|weight| scaled(transposed(weight, right), alpha));
    if let Some(weight) = weight {
        let outputs = weight.dims()[1];
        let bias = spec.known_float(2).filter(|bias| matches!(bias.dims(), [n] | [1, n] if *n == outputs));
        if bias.is_some() || !spec.has_input(2) {
            let layer = Layer::new(weight, bias.map(|bias| scaled(bias.reshape(vec![outputs]), beta)));
            return Ok(Box::new(move |mut args| {
                let x = args.float(0)?;
                if x.rank() != 2 {
                    return Err(format!("an input of shape {:?} is no matrix", x.dims()));
                }
                one(layer.forward(transposed(x, left))?)
            }));
        }
    }
    Ok(Box::new(move |mut args| {
        let (a, b) = (args.float(0)?, args.float(1)?);
        if a.rank() != 2 || b.rank() != 2 {
            return Err(format!("inputs of shapes {:?} and {:?} are not two matrices", a.dims(), b.dims()));
        }
        let product = scaled(multiply(transposed(a, left), transposed(b, right))?, alpha);
        let Some(bias) = args.maybe_float(2)? else { return one(product) };
        if broadcast(product.dims(), bias.dims())? != product.dims() {
            return Err(format!("a bias of shape {:?} does not fit a product of {:?}", bias.dims(), product.dims()));
        }
        let bias = scaled(bias.raise(2), beta);
        one(product.map(|x| Dispatch::float_add(x, bias.into_dispatch())))
    }))
}

fn matmul(spec: &Spec<'_>) -> Fit<Kernel> {
    if let Some(weight) = spec.known_float(1).filter(|weight| weight.rank() == 2 && !spec.node.input.is_empty()) {
        let layer = Layer::new(weight, None);
        return Ok(Box::new(move |mut args| {
            let x = args.float(0)?;
            if x.rank() == 0 { Err("a number is no matrix".into()) } else { one(layer.forward(x)?) }
        }));
    }
    Ok(Box::new(|mut args| one(multiply(args.float(0)?, args.float(1)?)?)))
}

/// A product of stacks of matrices under NumPy's rules.
pub(super) fn multiply(a: Dense, b: Dense) -> Fit<Dense> {
    let unfit = format!("matrices of shapes {:?} and {:?} cannot be multiplied", a.dims(), b.dims());
    if a.rank() == 0 || b.rank() == 0 {
        return Err(unfit);
    }
    let (row, column) = (a.rank() == 1, b.rank() == 1);
    let a = a.raise(2);
    let b = if column { b.clone().reshape(vec![b.dims()[0], 1]) } else { b };
    let (m, k) = (a.dims()[a.rank() - 2], a.dims()[a.rank() - 1]);
    let (inner, n) = (b.dims()[b.rank() - 2], b.dims()[b.rank() - 1]);
    if k != inner {
        return Err(unfit);
    }
    let stack = broadcast(&a.dims()[..a.rank() - 2], &b.dims()[..b.rank() - 2])?;
    let full = |rows: usize, columns: usize| [&stack[..], &[rows, columns]].concat();
    let (a, b) = (a.expand(&full(m, k)), b.expand(&full(k, n)));
    let product = a.change(|a| Dispatch::float_matmul(a, b.into_dispatch()));
    let mut dims = stack;
    dims.extend([m, n].iter().zip([row, column]).filter(|(_, gone)| !gone).map(|(&dim, _)| dim));
    Ok(product.reshape(dims))
}
