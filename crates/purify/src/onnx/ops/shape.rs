//! Shapes, constants and types.

use super::Family;
use crate::onnx::{
    array::Numbers,
    node::{Kernel, Spec, one},
    value::{Dense, Fit, Host, Value, axis, count},
};

pub(super) const OPERATORS: Family = &[
    ("Cast", cast),
    ("Constant", constant),
    ("ConstantOfShape", constant_of_shape),
    ("Dropout", dropout),
    ("Expand", expand),
    ("Flatten", flatten),
    ("Identity", |_| Ok(Box::new(|mut args| Ok(vec![args.value(0)?])))),
    ("Range", range),
    ("Reshape", reshape),
    ("Shape", shape),
    ("Size", |_| Ok(Box::new(|mut args| one(Host::ints(Vec::new(), vec![args.value(0)?.dims().iter().product::<usize>() as i64]))))),
    ("Squeeze", squeeze),
    ("Transpose", transpose),
    ("Unsqueeze", unsqueeze),
];

/// A list of integers as a shape.
fn sizes(list: &[i64]) -> Fit<Vec<usize>> {
    let sizes: Option<Vec<usize>> = list.iter().map(|&size| usize::try_from(size).ok()).collect();
    let sizes = sizes.ok_or_else(|| format!("{list:?} is no shape"))?;
    count(&sizes)?;
    Ok(sizes)
}

fn cast(spec: &Spec<'_>) -> Fit<Kernel> {
    let to = spec.int("to", 0);
    let device = spec.device.clone();
    Ok(Box::new(move |mut args| match (args.value(0)?, to) {
        // All floats are f32 here.
        (Value::Float(x), 1 | 10 | 11 | 16) => one(x),
        (Value::Float(x), 2..=7 | 12 | 13) => one(Host::ints(x.dims().to_vec(), x.read()?.into_iter().map(|x| x as i64).collect())),
        (Value::Float(x), 9) => one(Host::bools(x.dims().to_vec(), x.read()?.into_iter().map(|x| i64::from(x != 0.0)).collect())),
        (Value::Host(x), 1 | 10 | 11 | 16) => one(Dense::new(x.data.iter().map(|&x| x as f32).collect(), x.dims, &device)),
        (Value::Host(x), 2..=7 | 12 | 13) => one(Host { is_bool: false, ..x }),
        (Value::Host(x), 9) => one(Host::bools(x.dims.clone(), x.data.iter().map(|&x| i64::from(x != 0)).collect())),
        (_, other) => Err(format!("casts to {} are not supported", crate::onnx::array::type_name(other as i32))),
    }))
}

fn constant(spec: &Spec<'_>) -> Fit<Kernel> {
    let value: Value = if let Some(array) = spec.array("value")? {
        Value::from_array(array, spec.device)
    } else if spec.has("value_float") {
        Dense::new(vec![spec.float("value_float", 0.0) as f32], Vec::new(), spec.device).into()
    } else if let Some(list) = spec.floats("value_floats") {
        let len = list.len();
        Dense::new(list, vec![len], spec.device).into()
    } else if spec.has("value_int") {
        Host::ints(Vec::new(), vec![spec.int("value_int", 0)]).into()
    } else if let Some(list) = spec.ints("value_ints") {
        Host::list(list).into()
    } else {
        return Err("its value is neither a tensor nor numbers".into());
    };
    Ok(Box::new(move |_| Ok(vec![value.clone()])))
}

fn constant_of_shape(spec: &Spec<'_>) -> Fit<Kernel> {
    let device = spec.device.clone();
    let value = spec.array("value")?.map_or(Numbers::Float(vec![0.0]), |array| array.numbers);
    let one_number = match &value {
        Numbers::Float(x) => x.len() == 1,
        Numbers::Int(x) | Numbers::Bool(x) => x.len() == 1,
    };
    if !one_number {
        return Err("attribute `value` is not one number".into());
    }
    Ok(Box::new(move |mut args| {
        let dims = sizes(&args.list(0)?)?;
        let len = count(&dims)?;
        match &value {
            Numbers::Float(x) => one(Dense::new(vec![x[0]; len], dims, &device)),
            Numbers::Int(x) => one(Host::ints(dims, vec![x[0]; len])),
            Numbers::Bool(x) => one(Host::bools(dims, vec![x[0]; len])),
        }
    }))
}

fn dropout(_: &Spec<'_>) -> Fit<Kernel> {
    Ok(Box::new(|mut args| {
        let x = args.value(0)?;
        if args.maybe_scalar(2)?.is_some_and(|training| training != 0.0) {
            return Err("it is in training mode; export the model in evaluation mode".into());
        }
        let len = x.dims().iter().product();
        let mask = Host::bools(x.dims().to_vec(), vec![1; len]);
        Ok(vec![x, mask.into()])
    }))
}

fn expand(_: &Spec<'_>) -> Fit<Kernel> {
    Ok(Box::new(|mut args| {
        let x = args.value(0)?;
        let dims = crate::onnx::value::broadcast(x.dims(), &sizes(&args.list(1)?)?)?;
        Ok(vec![match x {
            Value::Float(x) => x.expand(&dims).into(),
            Value::Host(x) => x.expand(&dims).into(),
        }])
    }))
}

fn flatten(spec: &Spec<'_>) -> Fit<Kernel> {
    let at = spec.int("axis", 1);
    Ok(Box::new(move |mut args| {
        let x = args.value(0)?;
        let rank = x.dims().len();
        let at = if at == rank as i64 { rank } else { axis(at, rank)? };
        let (rows, columns) = (x.dims()[..at].iter().product(), x.dims()[at..].iter().product());
        Ok(vec![x.reshape(vec![rows, columns])])
    }))
}

fn range(spec: &Spec<'_>) -> Fit<Kernel> {
    let device = spec.device.clone();
    Ok(Box::new(move |mut args| {
        let inputs = [args.value(0)?, args.value(1)?, args.value(2)?];
        let is_float = inputs.iter().all(|x| matches!(x, Value::Float(_)));
        let mut args = crate::onnx::node::Args::new(inputs.into_iter().map(Some).collect());
        let mut number = |k| args.maybe_scalar(k)?.ok_or_else(|| "an input is missing".to_string());
        let (start, limit, step) = (number(0)?, number(1)?, number(2)?);
        let len = ((limit - start) / step).ceil().max(0.0);
        if !len.is_finite() || len > f64::from(1 << 24) {
            return Err(format!("from {start} to {limit} in steps of {step} are too many numbers"));
        }
        let numbers = (0..len as usize).map(|k| start + k as f64 * step);
        if is_float {
            one(Dense::new(numbers.map(|x| x as f32).collect(), vec![len as usize], &device))
        } else {
            one(Host::list(numbers.map(|x| x as i64).collect()))
        }
    }))
}

fn reshape(spec: &Spec<'_>) -> Fit<Kernel> {
    let keeps_zero = spec.int("allowzero", 0) != 0;
    Ok(Box::new(move |mut args| {
        let x = args.value(0)?;
        let wanted = args.list(1)?;
        let unfit = || format!("an input of shape {:?} cannot have the shape {wanted:?}", x.dims());
        let len: usize = x.dims().iter().product();
        let mut dims = Vec::with_capacity(wanted.len());
        let mut open = None;
        for (k, &size) in wanted.iter().enumerate() {
            dims.push(match size {
                0 if !keeps_zero => *x.dims().get(k).ok_or_else(unfit)?,
                -1 if open.is_none() => {
                    open = Some(k);
                    1
                }
                size => usize::try_from(size).map_err(|_| unfit())?,
            });
        }
        let found = count(&dims)?;
        if let Some(k) = open {
            dims[k] = if found > 0 && len.is_multiple_of(found) { len / found } else { return Err(unfit()) };
        } else if found != len {
            return Err(unfit());
        }
        Ok(vec![x.reshape(dims)])
    }))
}

fn shape(spec: &Spec<'_>) -> Fit<Kernel> {
    let (start, end) = (spec.int("start", 0), spec.has("end").then(|| spec.int("end", 0)));
    Ok(Box::new(move |mut args| {
        let x = args.value(0)?;
        let dims = x.dims();
        let at = |k: i64| (if k < 0 { k + dims.len() as i64 } else { k }).clamp(0, dims.len() as i64) as usize;
        let (start, end) = (at(start), end.map_or(dims.len(), at));
        one(Host::list(dims.get(start..end).unwrap_or_default().iter().map(|&dim| dim as i64).collect()))
    }))
}

/// Axes from the attribute (before opset 13) or the second input.
fn stated_axes(args: &mut crate::onnx::node::Args, attribute: Option<&Vec<i64>>) -> Fit<Option<Vec<i64>>> {
    Ok(args.maybe_list(1)?.or(attribute.cloned()))
}

fn squeeze(spec: &Spec<'_>) -> Fit<Kernel> {
    let attribute = spec.ints("axes");
    Ok(Box::new(move |mut args| {
        let x = args.value(0)?;
        let rank = x.dims().len();
        let axes = match stated_axes(&mut args, attribute.as_ref())? {
            Some(axes) => axes.iter().map(|&k| axis(k, rank)).collect::<Fit<Vec<_>>>()?,
            None => (0..rank).filter(|&k| x.dims()[k] == 1).collect(),
        };
        if let Some(k) = axes.iter().find(|&&k| x.dims()[k] != 1) {
            return Err(format!("dimension {k} of shape {:?} is not 1", x.dims()));
        }
        let dims = (0..rank).filter(|k| !axes.contains(k)).map(|k| x.dims()[k]).collect();
        Ok(vec![x.reshape(dims)])
    }))
}

fn unsqueeze(spec: &Spec<'_>) -> Fit<Kernel> {
    let attribute = spec.ints("axes");
    Ok(Box::new(move |mut args| {
        let x = args.value(0)?;
        let axes = stated_axes(&mut args, attribute.as_ref())?.ok_or("it names no axes")?;
        let rank = x.dims().len() + axes.len();
        let axes = axes.iter().map(|&k| axis(k, rank)).collect::<Fit<std::collections::BTreeSet<_>>>()?;
        let mut rest = x.dims().iter().copied();
        let dims: Option<Vec<usize>> = (0..rank).map(|k| if axes.contains(&k) { Some(1) } else { rest.next() }).collect();
        Ok(vec![x.clone().reshape(dims.filter(|_| rest.next().is_none()).ok_or("it names an axis twice")?)])
    }))
}

fn transpose(spec: &Spec<'_>) -> Fit<Kernel> {
    let stated = spec.ints("perm");
    Ok(Box::new(move |mut args| {
        let x = args.value(0)?;
        let rank = x.dims().len();
        let axes: Vec<usize> = match &stated {
            Some(axes) => axes.iter().map(|&k| axis(k, rank)).collect::<Fit<_>>()?,
            None => (0..rank).rev().collect(),
        };
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank) {
            return Err(format!("{axes:?} are not the axes of rank {rank}"));
        }
        Ok(vec![match x {
            Value::Float(x) => x.permute(&axes).into(),
            Value::Host(x) => {
                let strides = x.strides();
                let (dims, strides) = (axes.iter().map(|&k| x.dims[k]).collect(), axes.iter().map(|&k| strides[k]).collect::<Vec<_>>());
                x.view(dims, &strides, 0).into()
            }
        }])
    }))
}
