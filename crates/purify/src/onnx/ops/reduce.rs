//! Reductions along axes.

use burn::backend::{Dispatch, DispatchTensor, ops::FloatTensorOps as _};

use super::Family;
use crate::onnx::{
    node::{Kernel, Spec, one},
    value::{Dense, Fit, Host, Value, axis},
};

pub(super) const OPERATORS: Family = &[
    ("ArgMax", |spec| arg(spec, |best, x| x > best)),
    ("ArgMin", |spec| arg(spec, |best, x| x < best)),
    ("ReduceL1", |spec| reduce(spec, |x, axes| along(x.map(Dispatch::float_abs), axes, Dispatch::float_sum_dim), None)),
    ("ReduceL2", |spec| reduce(spec, |x, axes| sum_of_squares(x, axes).map(Dispatch::float_sqrt), None)),
    ("ReduceLogSumExp", |spec| reduce(spec, log_sum_exp, None)),
    ("ReduceMax", |spec| reduce(spec, |x, axes| along(x, axes, Dispatch::float_max_dim), Some(i64::max))),
    ("ReduceMean", |spec| reduce(spec, |x, axes| along(x, axes, Dispatch::float_mean_dim), None)),
    ("ReduceMin", |spec| reduce(spec, |x, axes| along(x, axes, Dispatch::float_min_dim), Some(i64::min))),
    ("ReduceProd", |spec| reduce(spec, |x, axes| along(x, axes, Dispatch::float_prod_dim), Some(i64::wrapping_mul))),
    ("ReduceSum", |spec| reduce(spec, |x, axes| along(x, axes, Dispatch::float_sum_dim), Some(i64::wrapping_add))),
    ("ReduceSumSquare", |spec| reduce(spec, sum_of_squares, None)),
];

fn along(x: Dense, axes: &[usize], work: fn(DispatchTensor, usize) -> DispatchTensor) -> Dense {
    axes.iter().fold(x, |x, &axis| x.change(|x| work(x, axis)))
}

fn sum_of_squares(x: Dense, axes: &[usize]) -> Dense {
    along(x.map(|x| Dispatch::float_mul(x.clone(), x)), axes, Dispatch::float_sum_dim)
}

fn log_sum_exp(x: Dense, axes: &[usize]) -> Dense {
    // Shifted by a constant that cancels, so that it has no gradient.
    let top = along(x.clone().map(Dispatch::float_detach), axes, Dispatch::float_max_dim);
    let shifted = x.map(|x| Dispatch::float_exp(Dispatch::float_sub(x, top.clone().into_dispatch())));
    let logs = along(shifted, axes, Dispatch::float_sum_dim).map(Dispatch::float_log);
    logs.map(|x| Dispatch::float_add(x, top.into_dispatch()))
}

/// A reduction; axes are an attribute, or since opset 13 (sum) and 18 (others) the second input.
fn reduce(spec: &Spec<'_>, float: fn(Dense, &[usize]) -> Dense, int: Option<fn(i64, i64) -> i64>) -> Fit<Kernel> {
    let keep = spec.int("keepdims", 1) != 0;
    let none_is_none = spec.int("noop_with_empty_axes", 0) != 0;
    let stated = spec.ints("axes");
    Ok(Box::new(move |mut args| {
        let x = args.value(0)?;
        let axes = args.maybe_list(1)?.or(stated.clone()).filter(|axes| !axes.is_empty());
        let rank = x.dims().len();
        let mut axes = match axes {
            Some(axes) => axes.iter().map(|&k| axis(k, rank)).collect::<Fit<Vec<_>>>()?,
            None if none_is_none => return Ok(vec![x]),
            None => (0..rank).collect(),
        };
        axes.sort_unstable();
        axes.dedup();
        let is_gone = |k: usize| axes.contains(&k);
        let dims: Vec<usize> = x.dims().iter().enumerate().map(|(k, &dim)| if is_gone(k) { 1 } else { dim }).collect();
        if x.dims().contains(&0) {
            return Err(format!("an input of shape {:?} is empty", x.dims()));
        }
        let kept = if keep { dims.clone() } else { (0..rank).filter(|&k| !is_gone(k)).map(|k| dims[k]).collect() };
        match (x, int) {
            (Value::Float(x), _) => one(float(x, &axes).reshape(kept)),
            (Value::Host(x), Some(int)) => {
                let target = Host::ints(dims.clone(), vec![0; dims.iter().product()]);
                // Which element of the result each element goes to.
                let places = Host::ints(dims, (0..target.data.len() as i64).collect()).expand(&x.dims);
                let mut found: Vec<Option<i64>> = vec![None; target.data.len()];
                for (&place, &value) in places.data.iter().zip(x.data.iter()) {
                    let slot = &mut found[place as usize];
                    *slot = Some(slot.map_or(value, |so_far| int(so_far, value)));
                }
                one(x.with(kept, found.into_iter().flatten().collect()))
            }
            (Value::Host(_), None) => Err("integers are not supported, floats are".into()),
        }
    }))
}

fn arg(spec: &Spec<'_>, better: fn(f32, f32) -> bool) -> Fit<Kernel> {
    spec.only("select_last_index", 0)?;
    let (at, keep) = (spec.int("axis", 0), spec.int("keepdims", 1) != 0);
    Ok(Box::new(move |mut args| {
        let x = args.float(0)?;
        let at = axis(at, x.rank())?;
        let mut dims = x.dims().to_vec();
        let (outer, len, inner) = (dims[..at].iter().product::<usize>(), dims[at], dims[at + 1..].iter().product::<usize>());
        let values = x.read()?;
        let best = |o: usize, i: usize| {
            let value = |k: usize| values[(o * len + k) * inner + i];
            (1..len).fold(0, |best, k| if better(value(best), value(k)) { k } else { best }) as i64
        };
        if len == 0 {
            return Err(format!("an input of shape {dims:?} is empty"));
        }
        let found = (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))).map(|(o, i)| best(o, i)).collect();
        if keep {
            dims[at] = 1;
        } else {
            dims.remove(at);
        }
        one(Host::ints(dims, found))
    }))
}
