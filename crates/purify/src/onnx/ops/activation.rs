//! Activations and softmaxes.

use burn::{
    backend::{
        Dispatch,
        ops::{ActivationOps as _, FloatTensorOps as _},
    },
    tensor::{Tensor, activation},
};

use super::Family;
use crate::onnx::{
    node::{Kernel, Spec, one},
    value::{Dense, Fit, axis, broadcast},
};

pub(super) const OPERATORS: Family = &[
    ("Celu", celu),
    ("Clip", clip),
    ("Elu", elu),
    ("Gelu", gelu),
    ("HardSigmoid", hard_sigmoid),
    ("HardSwish", |_| Ok(flat(activation::hard_swish))),
    ("LeakyRelu", leaky_relu),
    ("LogSoftmax", |spec| softmax(spec, true)),
    ("Mish", |_| Ok(flat(activation::mish))),
    ("PRelu", prelu),
    ("Relu", |_| Ok(Box::new(|mut args| one(args.float(0)?.map(Dispatch::relu))))),
    ("Selu", selu),
    ("Sigmoid", |_| Ok(Box::new(|mut args| one(args.float(0)?.map(Dispatch::sigmoid))))),
    ("Softmax", |spec| softmax(spec, false)),
    ("Softplus", |_| Ok(flat(|x| activation::softplus(x, 1.0)))),
    ("Softsign", |_| Ok(flat(activation::softsign))),
];

/// An operator on numbers, each for itself.
fn flat(work: impl Fn(Tensor<1>) -> Tensor<1> + Send + Sync + 'static) -> Kernel {
    Box::new(move |mut args| {
        let x = args.float(0)?;
        let dims = x.dims().to_vec();
        one(Dense::of(work(x.flat())).reshape(dims))
    })
}

fn celu(spec: &Spec<'_>) -> Fit<Kernel> {
    let alpha = spec.float("alpha", 1.0);
    Ok(flat(move |x| activation::celu(x, alpha)))
}

fn elu(spec: &Spec<'_>) -> Fit<Kernel> {
    let alpha = spec.float("alpha", 1.0);
    Ok(flat(move |x| activation::elu(x, alpha)))
}

fn selu(spec: &Spec<'_>) -> Fit<Kernel> {
    let alpha = spec.float("alpha", 1.673_263_192_176_818_8);
    let gamma = spec.float("gamma", 1.050_701_022_148_132_3);
    Ok(flat(move |x| activation::elu(x, alpha) * gamma))
}

fn gelu(spec: &Spec<'_>) -> Fit<Kernel> {
    match spec.text("approximate", "none")?.as_str() {
        "none" => Ok(flat(activation::gelu)),
        "tanh" => Ok(flat(activation::gelu_approximate)),
        other => Err(format!("attribute `approximate` is `{other}`; none and tanh are possible")),
    }
}

fn hard_sigmoid(spec: &Spec<'_>) -> Fit<Kernel> {
    let (alpha, beta) = (spec.float("alpha", 0.2), spec.float("beta", 0.5));
    Ok(flat(move |x| (x * alpha + beta).clamp(0.0, 1.0)))
}

fn leaky_relu(spec: &Spec<'_>) -> Fit<Kernel> {
    let slope = spec.float("alpha", 0.01);
    Ok(flat(move |x| activation::leaky_relu(x, slope)))
}

fn prelu(_: &Spec<'_>) -> Fit<Kernel> {
    Ok(Box::new(|mut args| {
        let (x, slope) = (args.float(0)?, args.float(1)?);
        let dims = broadcast(x.dims(), slope.dims())?;
        if dims != x.dims() {
            return Err(format!("a slope of shape {:?} does not fit an input of {:?}", slope.dims(), x.dims()));
        }
        let slope = slope.raise(dims.len());
        let negative = x.clone().map(|x| Dispatch::float_neg(Dispatch::relu(Dispatch::float_neg(x))));
        let positive = x.map(Dispatch::relu);
        one(positive.map(|x| Dispatch::float_add(x, Dispatch::float_mul(negative.into_dispatch(), slope.into_dispatch()))))
    }))
}

fn clip(spec: &Spec<'_>) -> Fit<Kernel> {
    // Bounds are attributes before opset 11, inputs since.
    let bound = |name: &str| spec.has(name).then(|| spec.float(name, 0.0));
    let (low, high) = (bound("min"), bound("max"));
    Ok(Box::new(move |mut args| {
        let x = args.value(0)?;
        let (low, high) = (args.maybe_scalar(1)?.or(low), args.maybe_scalar(2)?.or(high));
        let x = match x {
            crate::onnx::value::Value::Float(x) => x,
            crate::onnx::value::Value::Host(x) => {
                let limit = |k: i64| (k as f64).max(low.unwrap_or(f64::NEG_INFINITY)).min(high.unwrap_or(f64::INFINITY)) as i64;
                return one(x.with(x.dims.clone(), x.data.iter().map(|&k| limit(k)).collect()));
            }
        };
        one(x.map(|x| match (low, high) {
            (Some(low), Some(high)) => Dispatch::float_clamp(x, low.into(), high.into()),
            (Some(low), None) => Dispatch::float_clamp_min(x, low.into()),
            (None, Some(high)) => Dispatch::float_clamp_max(x, high.into()),
            (None, None) => x,
        }))
    }))
}

fn softmax(spec: &Spec<'_>, log: bool) -> Fit<Kernel> {
    // Before opset 13 all dimensions from the axis on are one.
    let whole = spec.opset < 13;
    let at = spec.int("axis", if whole { 1 } else { -1 });
    Ok(Box::new(move |mut args| {
        let x = args.float(0)?;
        let dims = x.dims().to_vec();
        let at = if whole && at == dims.len() as i64 { dims.len() } else { axis(at, dims.len())? };
        let work = |x, at| if log { Dispatch::log_softmax(x, at) } else { Dispatch::softmax(x, at) };
        if whole {
            let rows = dims[..at].iter().product();
            let columns = dims[at..].iter().product();
            return one(x.reshape(vec![rows, columns]).map(|x| work(x, 1)).reshape(dims));
        }
        one(x.map(|x| work(x, at)))
    }))
}
