//! Comparisons, logic and choices. Their masks are host values: they have no gradient.

use super::{Family, elementwise::host_binary};
use crate::onnx::{
    node::{Kernel, Spec, one},
    value::{Fit, Host, Value, broadcast},
};

pub(super) const OPERATORS: Family = &[
    ("And", |_| Ok(logic(|a, b| a & b))),
    ("Equal", |_| Ok(comparison(|a, b| a == b, |a, b| a == b))),
    ("Greater", |_| Ok(comparison(|a, b| a > b, |a, b| a > b))),
    ("GreaterOrEqual", |_| Ok(comparison(|a, b| a >= b, |a, b| a >= b))),
    ("IsNaN", |_| Ok(Box::new(|mut args| mask(&args.float(0)?, f32::is_nan)))),
    ("Less", |_| Ok(comparison(|a, b| a < b, |a, b| a < b))),
    ("LessOrEqual", |_| Ok(comparison(|a, b| a <= b, |a, b| a <= b))),
    ("Not", not),
    ("Or", |_| Ok(logic(|a, b| a | b))),
    ("Where", choose),
    ("Xor", |_| Ok(logic(|a, b| a ^ b))),
];

fn mask(x: &crate::onnx::value::Dense, test: fn(f32) -> bool) -> Fit<Vec<Value>> {
    one(Host::bools(x.dims().to_vec(), x.read()?.into_iter().map(|x| i64::from(test(x))).collect()))
}

fn logic(work: fn(i64, i64) -> i64) -> Kernel {
    Box::new(move |mut args| one(host_binary(|a, b| Some(work(a, b)), &args.host(0)?, &args.host(1)?)?))
}

fn not(_: &Spec<'_>) -> Fit<Kernel> {
    Ok(Box::new(|mut args| {
        let x = args.host(0)?;
        one(Host::bools(x.dims.clone(), x.data.iter().map(|&x| i64::from(x == 0)).collect()))
    }))
}

fn comparison(float: fn(f32, f32) -> bool, int: fn(i64, i64) -> bool) -> Kernel {
    Box::new(move |mut args| match (args.value(0)?, args.value(1)?) {
        (Value::Float(a), Value::Float(b)) => {
            let dims = broadcast(a.dims(), b.dims())?;
            let (a, b) = (a.expand(&dims).read()?, b.expand(&dims).read()?);
            one(Host::bools(dims, a.into_iter().zip(b).map(|(a, b)| i64::from(float(a, b))).collect()))
        }
        (Value::Host(a), Value::Host(b)) => {
            let found = host_binary(|a, b| Some(i64::from(int(a, b))), &a, &b)?;
            one(Host { is_bool: true, ..found })
        }
        _ => Err("floats are compared with integers".into()),
    })
}

fn choose(_: &Spec<'_>) -> Fit<Kernel> {
    Ok(Box::new(|mut args| {
        let (mask, a, b) = (args.host(0)?, args.value(1)?, args.value(2)?);
        let dims = broadcast(&broadcast(&mask.dims, a.dims())?, b.dims())?;
        let mask = mask.expand(&dims);
        match (a, b) {
            (Value::Float(a), Value::Float(b)) => one(a.expand(&dims).choose(&mask.data, b.expand(&dims))),
            (Value::Host(a), Value::Host(b)) => {
                let (a, b) = (a.expand(&dims), b.expand(&dims));
                let data = mask.data.iter().zip(a.data.iter().zip(b.data.iter())).map(|(&mask, (&a, &b))| if mask != 0 { a } else { b });
                one(a.with(dims, data.collect()))
            }
            _ => Err("it chooses between floats and integers".into()),
        }
    }))
}
