//! Parts of tensors, put together anew.

use burn::{
    backend::{Dispatch, ops::FloatTensorOps as _},
    tensor::ops::PadMode,
};

use super::Family;
use crate::onnx::{
    node::{Kernel, Spec, one},
    value::{Dense, Fit, Host, Value, axis, count},
};

pub(super) const OPERATORS: Family =
    &[("Concat", concat), ("Gather", gather), ("Pad", pad), ("Slice", slice), ("Split", split), ("Tile", tile)];

/// The named positions of an axis, in their order.
fn select(x: Value, axis: usize, positions: &[usize]) -> Value {
    match x {
        Value::Float(x) => {
            let first = positions.first().copied().unwrap_or(0);
            let is_range = positions.iter().enumerate().all(|(k, &position)| position == first + k);
            if is_range && !positions.is_empty() { x.cut(axis, first..first + positions.len()) } else { x.select(axis, positions) }.into()
        }
        Value::Host(x) => {
            let len = x.dims[axis];
            let inner: usize = x.dims[axis + 1..].iter().product();
            let blocks = x.data.chunks_exact((len * inner).max(1));
            let data = blocks.flat_map(|block| positions.iter().flat_map(move |&k| &block[k * inner..(k + 1) * inner])).copied().collect();
            let mut dims = x.dims.clone();
            dims[axis] = positions.len();
            x.with(dims, data).into()
        }
    }
}

fn concat(spec: &Spec<'_>) -> Fit<Kernel> {
    let at = spec.int("axis", 1);
    Ok(Box::new(move |mut args| {
        let values = args.all();
        let rank = values.first().ok_or("it has no input")?.dims().len();
        let at = axis(at, rank)?;
        let rest = |dims: &[usize]| [&dims[..at], &dims[at + 1..]].concat();
        let first = values[0].dims().to_vec();
        if let Some(other) = values.iter().find(|x| x.dims().len() != rank || rest(x.dims()) != rest(&first)) {
            return Err(format!("inputs of shapes {first:?} and {:?} cannot be joined along axis {at}", other.dims()));
        }
        let total = values.iter().map(|x| x.dims()[at]).sum();
        let mut dims = first;
        dims[at] = total;
        count(&dims)?;
        if let Some(parts) = values.iter().map(|x| if let Value::Host(x) = x { Some(x) } else { None }).collect::<Option<Vec<_>>>() {
            let outer: usize = dims[..at].iter().product();
            let block = |x: &Host, o: usize| {
                let len = x.dims[at..].iter().product::<usize>();
                x.data[o * len..(o + 1) * len].to_vec()
            };
            let data = (0..outer).flat_map(|o| parts.iter().flat_map(move |x| block(x, o))).collect();
            return one(parts[0].with(dims, data));
        }
        let tensors = values.into_iter().filter(|x| x.dims()[at] > 0).map(|x| match x {
            Value::Float(x) => Ok(x.into_dispatch()),
            Value::Host(_) => Err("floats are joined with integers".to_string()),
        });
        let tensors = tensors.collect::<Fit<Vec<_>>>()?;
        if tensors.is_empty() {
            return Err("all inputs are empty".into());
        }
        one(Dense::from_dispatch(Dispatch::float_cat(tensors, at)))
    }))
}

fn gather(spec: &Spec<'_>) -> Fit<Kernel> {
    let at = spec.int("axis", 0);
    Ok(Box::new(move |mut args| {
        let (x, indices) = (args.value(0)?, args.host(1)?);
        let at = axis(at, x.dims().len())?;
        let len = x.dims()[at];
        let position = |&k: &i64| {
            let from_front = if k < 0 { k + len as i64 } else { k };
            usize::try_from(from_front).ok().filter(|&k| k < len).ok_or_else(|| format!("index {k} is outside a dimension of {len}"))
        };
        let positions = indices.data.iter().map(position).collect::<Fit<Vec<_>>>()?;
        let dims = [&x.dims()[..at], &indices.dims[..], &x.dims()[at + 1..]].concat();
        count(&dims)?;
        Ok(vec![select(x, at, &positions).reshape(dims)])
    }))
}

fn slice(spec: &Spec<'_>) -> Fit<Kernel> {
    let stated = [spec.ints("starts"), spec.ints("ends"), spec.ints("axes")];
    Ok(Box::new(move |mut args| {
        let mut x = args.value(0)?;
        let mut list = |k: usize| Ok::<_, String>(args.maybe_list(k)?.or(stated.get(k - 1).cloned().flatten()));
        let starts = list(1)?.ok_or("it has no starts")?;
        let ends = list(2)?.ok_or("it has no ends")?;
        let axes = list(3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = list(4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err("starts, ends, axes and steps are not as many".into());
        }
        for (((&start, &end), &at), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let at = axis(at, x.dims().len())?;
            let len = x.dims()[at] as i64;
            if step == 0 {
                return Err("a step is 0".into());
            }
            // As in Python, with positions past the ends clipped.
            let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
            let clip = |k: i64| (if k < 0 { k.saturating_add(len) } else { k }).clamp(low, high);
            let (start, end) = (clip(start), clip(end));
            let span = if step > 0 { end - start } else { start - end };
            let many = (span.max(0) as u64).div_ceil(step.unsigned_abs()) as i64;
            let positions: Vec<usize> = (0..many).map(|k| (start + k * step) as usize).collect();
            if positions.is_empty() && matches!(x, Value::Float(_)) {
                return Err(format!("nothing is left of axis {at} of shape {:?}", x.dims()));
            }
            x = select(x, at, &positions);
        }
        Ok(vec![x])
    }))
}

fn split(spec: &Spec<'_>) -> Fit<Kernel> {
    let at = spec.int("axis", 0);
    let stated = spec.ints("split");
    let outputs = spec.node.output.len();
    Ok(Box::new(move |mut args| {
        let x = args.value(0)?;
        let at = axis(at, x.dims().len())?;
        let len = x.dims()[at];
        let sizes: Vec<i64> = match args.maybe_list(1)?.or(stated.clone()) {
            Some(sizes) => sizes,
            None => {
                let part = len.div_ceil(outputs.max(1));
                (0..outputs).map(|k| part.min(len.saturating_sub(k * part)) as i64).collect()
            }
        };
        if sizes.iter().any(|&size| size <= 0 || size > len as i64) || sizes.iter().sum::<i64>() != len as i64 {
            return Err(format!("a dimension of {len} cannot be split into {sizes:?}"));
        }
        let mut start = 0;
        let part = |&size: &i64| {
            let positions: Vec<usize> = (start..start + size as usize).collect();
            start += size as usize;
            select(x.clone(), at, &positions)
        };
        Ok(sizes.iter().map(part).collect())
    }))
}

fn tile(_: &Spec<'_>) -> Fit<Kernel> {
    Ok(Box::new(|mut args| {
        let (mut x, repeats) = (args.value(0)?, args.list(1)?);
        if repeats.len() != x.dims().len() {
            return Err(format!("{repeats:?} repeats do not fit the shape {:?}", x.dims()));
        }
        for (at, &times) in repeats.iter().enumerate() {
            let len = x.dims()[at];
            let times = usize::try_from(times).ok().filter(|&times| times > 0).ok_or_else(|| format!("{repeats:?} are no repeats"))?;
            let mut dims = x.dims().to_vec();
            dims[at] = len.checked_mul(times).ok_or("too many repeats")?;
            count(&dims)?;
            if times > 1 {
                x = select(x, at, &(0..len * times).map(|k| k % len).collect::<Vec<_>>());
            }
        }
        Ok(vec![x])
    }))
}

/// How the numbers past an end are made.
#[derive(Clone, Copy)]
enum Mode {
    Constant,
    Reflect,
    Edge,
    Wrap,
}

fn pad(spec: &Spec<'_>) -> Fit<Kernel> {
    let mode = match spec.text("mode", "constant")?.as_str() {
        "constant" => Mode::Constant,
        "reflect" => Mode::Reflect,
        "edge" => Mode::Edge,
        "wrap" => Mode::Wrap,
        other => return Err(format!("mode `{other}` is not known")),
    };
    // Attributes before opset 11.
    let (stated, fill) = (spec.ints("pads"), spec.float("value", 0.0));
    Ok(Box::new(move |mut args| {
        let mut x = args.float(0)?;
        let rank = x.rank();
        let pads = args.maybe_list(1)?.or(stated.clone()).ok_or("it has no pads")?;
        let fill = args.maybe_scalar(2)?.unwrap_or(fill);
        let axes = match args.maybe_list(3)? {
            Some(axes) => axes.iter().map(|&k| axis(k, rank)).collect::<Fit<Vec<_>>>()?,
            None => (0..rank).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(format!("{} pads do not fit {} axes", pads.len(), axes.len()));
        }
        let mut constant = vec![(0, 0); rank];
        for (k, &at) in axes.iter().enumerate() {
            let (before, after) = (pads[k], pads[k + axes.len()]);
            let len = x.dims()[at] as i64;
            let unfit = || format!("pads of {before} and {after} do not fit axis {at} of shape {:?}", x.dims());
            let (cut, end) = (before.min(0).saturating_neg(), len.saturating_add(after.min(0)));
            let longer = len.checked_add(before.max(0)).and_then(|sum| sum.checked_add(after.max(0))).ok_or_else(unfit)?;
            if cut >= end || longer > 1 << 24 {
                return Err(unfit());
            }
            let len = end - cut;
            let (before, after) = (before.max(0), after.max(0));
            let position = |k: i64| match mode {
                Mode::Constant => k,
                Mode::Edge => k.clamp(0, len - 1),
                Mode::Wrap => k.rem_euclid(len),
                // Back and forth between the ends, neither twice.
                Mode::Reflect => {
                    let period = 2 * (len - 1).max(1);
                    let k = k.rem_euclid(period);
                    (period - k).min(k).min(len - 1)
                }
            };
            let unfit = unfit();
            match mode {
                Mode::Reflect if before >= len || after >= len => return Err(unfit),
                Mode::Constant => constant[at] = (before as usize, after as usize),
                _ => {}
            }
            let (first, last) = if matches!(mode, Mode::Constant) { (0, len) } else { (-before, len + after) };
            let positions: Vec<usize> = (first..last).map(|k| (cut + position(k)) as usize).collect();
            let Value::Float(part) = select(x.into(), at, &positions) else { return Err(unfit) };
            x = part;
        }
        if constant.iter().any(|&pad| pad != (0, 0)) {
            let dims: Vec<usize> = x.dims().iter().zip(&constant).map(|(dim, (before, after))| dim + before + after).collect();
            count(&dims)?;
            x = x.change(|x| Dispatch::float_pad(x, &constant, PadMode::Constant(fill as f32)));
        }
        one(x)
    }))
}
