//! Normalisations, as in inference.

use burn::{
    backend::{Dispatch, ops::FloatTensorOps as _},
    tensor::Tensor,
};
use langevin_nn::fused::Norm;

use super::Family;
use crate::onnx::{
    node::{Kernel, Spec, one},
    value::{Dense, Fit, axis, broadcast},
};

pub(super) const OPERATORS: Family = &[
    ("BatchNormalization", batch_norm),
    ("GroupNormalization", group_norm),
    ("InstanceNormalization", instance_norm),
    ("LayerNormalization", layer_norm),
    ("LpNormalization", lp_norm),
];

fn add(a: Dense, b: Dense) -> Dense {
    a.map(|a| Dispatch::float_add(a, b.into_dispatch()))
}

fn mul(a: Dense, b: Dense) -> Dense {
    a.map(|a| Dispatch::float_mul(a, b.into_dispatch()))
}

/// One number a channel, in a shape that broadcasts over an input of `rank`.
fn by_channel(x: Dense, channels: usize, rank: usize) -> Fit<Dense> {
    if x.dims() != [channels] {
        return Err(format!("a parameter of shape {:?} does not fit {channels} channels", x.dims()));
    }
    let mut dims = vec![1; rank];
    dims[1] = channels;
    Ok(x.reshape(dims))
}

fn has_channels(x: &Dense) -> Fit<usize> {
    if x.rank() < 2 || x.dims().contains(&0) {
        return Err(format!("an input of shape {:?} has no channels", x.dims()));
    }
    Ok(x.dims()[1])
}

/// Rows of zero mean and unit variance.
fn normalised(x: Dense, rows: usize, epsilon: f32) -> Dense {
    let dims = x.dims().to_vec();
    let width = dims.iter().product::<usize>() / rows.max(1);
    let rows: Tensor<2> = x.reshape(vec![rows, width]).tensor();
    Dense::of(Norm::Layer { epsilon }.apply(rows)).reshape(dims)
}

fn batch_norm(spec: &Spec<'_>) -> Fit<Kernel> {
    spec.only("training_mode", 0)?;
    spec.only("spatial", 1)?;
    spec.outputs_at_most(1)?;
    let epsilon = spec.float("epsilon", 1e-5);
    Ok(Box::new(move |mut args| {
        let x = args.float(0)?;
        let (channels, rank) = (has_channels(&x)?, x.rank());
        let mut parameter = |k| by_channel(args.float(k)?, channels, rank);
        let (gain, shift, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
        // x gain / sd + (shift - mean gain / sd): one product and one sum over the input.
        let deviation = variance.map(|v| Dispatch::float_sqrt(Dispatch::float_add_scalar(v, epsilon.into())));
        let factor = gain.map(|gain| Dispatch::float_div(gain, deviation.into_dispatch()));
        let offset = shift.map(|shift| Dispatch::float_sub(shift, mul(mean, factor.clone()).into_dispatch()));
        one(add(mul(x, factor), offset))
    }))
}

fn layer_norm(spec: &Spec<'_>) -> Fit<Kernel> {
    spec.outputs_at_most(1)?;
    let (at, epsilon) = (spec.int("axis", -1), spec.float("epsilon", 1e-5) as f32);
    Ok(Box::new(move |mut args| {
        let (x, gain, shift) = (args.float(0)?, args.float(1)?, args.maybe_float(2)?);
        let dims = x.dims().to_vec();
        let at = axis(at, dims.len())?;
        if dims.contains(&0) {
            return Err(format!("an input of shape {dims:?} is empty"));
        }
        let (rows, width) = (dims[..at].iter().product(), dims[at..].iter().product());
        let whole = |part: &Dense| part.dims().iter().product::<usize>() == width;
        if whole(&gain) && shift.as_ref().is_none_or(whole) {
            let flat = |part: Dense| part.reshape(vec![1, width]).tensor::<2>();
            let rows: Tensor<2> = x.reshape(vec![rows, width]).tensor();
            return one(Dense::of(Norm::Layer { epsilon }.affine(rows, Some(flat(gain)), shift.map(flat))).reshape(dims));
        }
        let y = normalised(x, rows, epsilon);
        let fitted = |part: Dense| match broadcast(&dims, part.dims()) {
            Ok(found) if found == dims => Ok(part.raise(dims.len())),
            _ => Err(format!("a parameter of shape {:?} does not fit an input of {dims:?}", part.dims())),
        };
        let y = mul(y, fitted(gain)?);
        one(match shift {
            Some(shift) => add(y, fitted(shift)?),
            None => y,
        })
    }))
}

fn instance_norm(spec: &Spec<'_>) -> Fit<Kernel> {
    let epsilon = spec.float("epsilon", 1e-5) as f32;
    Ok(Box::new(move |mut args| {
        let x = args.float(0)?;
        let (channels, rank, batch) = (has_channels(&x)?, x.rank(), x.dims()[0]);
        let (gain, shift) = (by_channel(args.float(1)?, channels, rank)?, by_channel(args.float(2)?, channels, rank)?);
        one(add(mul(normalised(x, batch * channels, epsilon), gain), shift))
    }))
}

fn group_norm(spec: &Spec<'_>) -> Fit<Kernel> {
    let epsilon = spec.float("epsilon", 1e-5) as f32;
    let groups =
        usize::try_from(spec.int("num_groups", 0)).ok().filter(|&groups| groups > 0).ok_or("attribute `num_groups` is no count")?;
    // Before opset 21 there is one gain a group.
    let by_group = spec.opset < 21;
    Ok(Box::new(move |mut args| {
        let x = args.float(0)?;
        let (channels, rank, batch) = (has_channels(&x)?, x.rank(), x.dims()[0]);
        if !channels.is_multiple_of(groups) {
            return Err(format!("{groups} groups do not divide {channels} channels"));
        }
        let mut parameter = |k: usize| {
            let part = args.float(k)?;
            if by_group && part.dims() == [groups] {
                let spread = part.reshape(vec![groups, 1]).expand(&[groups, channels / groups]);
                return by_channel(spread.reshape(vec![channels]), channels, rank);
            }
            by_channel(part, channels, rank)
        };
        let (gain, shift) = (parameter(1)?, parameter(2)?);
        one(add(mul(normalised(x, batch * groups, epsilon), gain), shift))
    }))
}

fn lp_norm(spec: &Spec<'_>) -> Fit<Kernel> {
    let (at, p) = (spec.int("axis", -1), spec.int("p", 2));
    if !(1..=2).contains(&p) {
        return Err(format!("attribute `p` is {p}; 1 and 2 are possible"));
    }
    Ok(Box::new(move |mut args| {
        let x = args.float(0)?;
        let at = axis(at, x.rank())?;
        let size = x.clone().change(|x| match p {
            1 => Dispatch::float_sum_dim(Dispatch::float_abs(x), at),
            _ => Dispatch::float_sqrt(Dispatch::float_sum_dim(Dispatch::float_mul(x.clone(), x), at)),
        });
        one(x.map(|x| Dispatch::float_div(x, size.into_dispatch())))
    }))
}
