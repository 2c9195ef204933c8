//! Arithmetic on elements, with broadcasting.

use burn::{
    backend::{Dispatch, DispatchTensor, ops::FloatTensorOps as _},
    tensor::Tensor,
};

use super::Family;
use crate::onnx::{
    node::{Kernel, Spec, one},
    value::{Dense, Fit, Host, Value, broadcast},
};

pub(super) const OPERATORS: Family = &[
    ("Abs", |_| Ok(unary(Dispatch::float_abs, Some(i64::wrapping_abs)))),
    ("Add", |_| Ok(binary(Dispatch::float_add, |a, b| Some(a.wrapping_add(b))))),
    ("Ceil", |_| Ok(unary(Dispatch::float_ceil, None))),
    ("Cos", |_| Ok(unary(Dispatch::float_cos, None))),
    ("Div", |_| Ok(binary(Dispatch::float_div, i64::checked_div))),
    ("Erf", |_| Ok(unary(Dispatch::float_erf, None))),
    ("Exp", |_| Ok(unary(Dispatch::float_exp, None))),
    ("Floor", |_| Ok(unary(Dispatch::float_floor, None))),
    ("Log", |_| Ok(unary(Dispatch::float_log, None))),
    ("Max", |_| Ok(extreme(Tensor::max_pair, i64::max))),
    ("Mean", mean),
    ("Min", |_| Ok(extreme(Tensor::min_pair, i64::min))),
    ("Mod", modulo),
    ("Mul", |_| Ok(binary(Dispatch::float_mul, |a, b| Some(a.wrapping_mul(b))))),
    ("Neg", |_| Ok(unary(Dispatch::float_neg, Some(i64::wrapping_neg)))),
    ("Pow", pow),
    ("Reciprocal", |_| Ok(unary(Dispatch::float_recip, None))),
    ("Round", |_| Ok(unary(Dispatch::float_round, None))),
    ("Sign", |_| Ok(unary(Dispatch::float_sign, Some(i64::signum)))),
    ("Sin", |_| Ok(unary(Dispatch::float_sin, None))),
    ("Sqrt", |_| Ok(unary(Dispatch::float_sqrt, None))),
    ("Sub", |_| Ok(binary(Dispatch::float_sub, |a, b| Some(a.wrapping_sub(b))))),
    ("Sum", sum),
    ("Tanh", |_| Ok(unary(Dispatch::float_tanh, None))),
];

fn unary(float: fn(DispatchTensor) -> DispatchTensor, int: Option<fn(i64) -> i64>) -> Kernel {
    Box::new(move |mut args| match (args.value(0)?, int) {
        (Value::Float(x), _) => one(x.map(float)),
        (Value::Host(x), Some(int)) => one(x.with(x.dims.clone(), x.data.iter().map(|&k| int(k)).collect())),
        (Value::Host(_), None) => Err("integers are not supported, floats are".into()),
    })
}

/// Two inputs in one shape's rank, so that burn broadcasts them.
fn paired(a: Dense, b: Dense) -> Fit<(Dense, Dense)> {
    let rank = broadcast(a.dims(), b.dims())?.len();
    Ok((a.raise(rank), b.raise(rank)))
}

/// A float operation of burn on two inputs.
fn float_binary(work: impl Fn(DispatchTensor, DispatchTensor) -> DispatchTensor, a: Dense, b: Dense) -> Fit<Dense> {
    let scalar = a.rank() == 0 && b.rank() == 0;
    let (a, b) = paired(a, b)?;
    let result = a.change(|a| work(a, b.into_dispatch()));
    Ok(if scalar { result.reshape(Vec::new()) } else { result })
}

/// An integer operation on two inputs; what has no result is an error.
pub(super) fn host_binary(work: impl Fn(i64, i64) -> Option<i64>, a: &Host, b: &Host) -> Fit<Host> {
    let dims = broadcast(&a.dims, &b.dims)?;
    let (a, b) = (a.expand(&dims), b.expand(&dims));
    let data: Option<Vec<i64>> = a.data.iter().zip(b.data.iter()).map(|(&a, &b)| work(a, b)).collect();
    Ok(a.with(dims, data.ok_or("an integer is divided by zero")?))
}

fn mixed() -> String {
    "one input is of floats and the other of integers".into()
}

fn binary(float: fn(DispatchTensor, DispatchTensor) -> DispatchTensor, int: fn(i64, i64) -> Option<i64>) -> Kernel {
    Box::new(move |mut args| match (args.value(0)?, args.value(1)?) {
        (Value::Float(a), Value::Float(b)) => one(float_binary(float, a, b)?),
        (Value::Host(a), Value::Host(b)) => one(host_binary(int, &a, &b)?),
        _ => Err(mixed()),
    })
}

fn extreme(float: fn(Tensor<1>, Tensor<1>) -> Tensor<1>, int: fn(i64, i64) -> i64) -> Kernel {
    Box::new(move |mut args| {
        let pair = |a: Value, b: Value| match (a, b) {
            (Value::Float(a), Value::Float(b)) => {
                let dims = broadcast(a.dims(), b.dims())?;
                let result = float(a.expand(&dims).flat(), b.expand(&dims).flat());
                Ok(Value::Float(Dense::of(result).reshape(dims)))
            }
            (Value::Host(a), Value::Host(b)) => Ok(Value::Host(host_binary(|a, b| Some(int(a, b)), &a, &b)?)),
            _ => Err(mixed()),
        };
        let mut values = args.all().into_iter();
        let first = values.next().ok_or("it has no input")?;
        Ok(vec![values.try_fold(first, pair)?])
    })
}

/// The sum of all inputs, and how many they are.
fn total(mut args: crate::onnx::node::Args) -> Fit<(Dense, usize)> {
    let count = args.len();
    let mut sum = args.float(0)?;
    for k in 1..count {
        sum = float_binary(Dispatch::float_add, sum, args.float(k)?)?;
    }
    Ok((sum, count))
}

fn sum(_: &Spec<'_>) -> Fit<Kernel> {
    Ok(Box::new(|args| one(total(args)?.0)))
}

fn mean(_: &Spec<'_>) -> Fit<Kernel> {
    Ok(Box::new(|args| {
        let (sum, count) = total(args)?;
        one(sum.map(|x| Dispatch::float_div_scalar(x, (count as f64).into())))
    }))
}

fn modulo(spec: &Spec<'_>) -> Fit<Kernel> {
    spec.only("fmod", 0)?;
    Ok(Box::new(|mut args| {
        // The result has the sign of the divisor.
        let floor = |a: i64, b: i64| a.checked_rem(b).map(|rest| if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest });
        one(host_binary(floor, &args.host(0)?, &args.host(1)?)?)
    }))
}

fn pow(_: &Spec<'_>) -> Fit<Kernel> {
    Ok(Box::new(|mut args| {
        let (base, exponent) = (args.value(0)?, args.value(1)?);
        match (base, exponent) {
            (Value::Float(x), exponent) if exponent.dims().iter().product::<usize>() == 1 && exponent.dims().len() <= x.rank() => {
                // One exponent for all: exact for whole exponents of negative numbers.
                let mut exponent = crate::onnx::node::Args::new(vec![Some(exponent)]);
                let exponent = exponent.maybe_scalar(0)?.unwrap_or(1.0);
                one(x.map(|x| Dispatch::float_powf_scalar(x, exponent.into())))
            }
            (Value::Float(x), Value::Float(exponent)) => one(float_binary(Dispatch::float_powf, x, exponent)?),
            (Value::Float(x), Value::Host(exponent)) => {
                let device = x.plain_device();
                let exponent = Dense::new(exponent.data.iter().map(|&k| k as f32).collect(), exponent.dims, &device);
                one(float_binary(Dispatch::float_powf, x, exponent)?)
            }
            (Value::Host(a), Value::Host(b)) => {
                let power = |a: i64, b: i64| Some(u32::try_from(b).map_or(0, |b| a.wrapping_pow(b)));
                one(host_binary(power, &a, &b)?)
            }
            (Value::Host(_), Value::Float(_)) => Err(mixed()),
        }
    }))
}
