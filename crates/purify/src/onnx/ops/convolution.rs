//! Convolutions over one and two dimensions, and their transposes.

use burn::tensor::{
    module,
    ops::{ConvOptions, ConvTransposeOptions},
};
use langevin_nn::fused;

use super::{Family, window::Window};
use crate::onnx::{
    node::{Kernel, Spec, one},
    value::{Dense, Fit, count},
};

pub(super) const OPERATORS: Family = &[("Conv", conv), ("ConvTranspose", conv_transpose)];

/// Refuses an input that does not fit a weight.
fn check(x: &Dense, weight: &Dense, window: &Window, channels: usize) -> Fit<()> {
    if x.rank() != window.rank() + 2 || x.dims()[1] != channels || x.dims().contains(&0) {
        return Err(format!(
            "an input of shape {:?} does not fit a weight of {:?}, which takes {channels} channels",
            x.dims(),
            weight.dims()
        ));
    }
    Ok(())
}

fn check_bias(bias: Option<&Dense>, outputs: usize) -> Fit<()> {
    match bias {
        Some(bias) if bias.dims() != [outputs] => Err(format!("a bias of shape {:?} does not fit {outputs} outputs", bias.dims())),
        _ => Ok(()),
    }
}

/// Weight, groups and window, which are known when a file is opened.
fn parts(spec: &Spec<'_>) -> Fit<(Dense, usize, Window)> {
    let weight = spec.known_float(1).ok_or("its weight is computed from the input, which is not supported")?;
    if !(3..=4).contains(&weight.rank()) || weight.dims().contains(&0) {
        return Err(format!("a weight of shape {:?} is not supported; convolutions have 1 or 2 spatial dimensions", weight.dims()));
    }
    let groups = usize::try_from(spec.int("group", 1)).ok().filter(|&groups| groups > 0).ok_or("attribute `group` is no count")?;
    let window = Window::new(spec, Some(&weight.dims()[2..]))?;
    Ok((weight, groups, window))
}

fn conv(spec: &Spec<'_>) -> Fit<Kernel> {
    let (weight, groups, window) = parts(spec)?;
    let (outputs, channels) = (weight.dims()[0], weight.dims()[1] * groups);
    if !outputs.is_multiple_of(groups) {
        return Err(format!("{groups} groups do not divide {outputs} outputs"));
    }
    check_bias(spec.known_float(2).as_ref(), outputs)?;
    Ok(Box::new(move |mut args| {
        let (x, bias) = (args.float(0)?, args.maybe_float(2)?);
        check(&x, &weight, &window, channels)?;
        check_bias(bias.as_ref(), outputs)?;
        let padding = window.padding(&x.dims()[2..])?;
        let bias = bias.map(Dense::tensor::<1>);
        let (stride, dilation) = (&window.stride, &window.dilation);
        if let [pads] = padding[..] {
            let options = ConvOptions::new_with_padding([stride[0]], [pads], [dilation[0]], groups);
            return one(Dense::of(fused::conv1d_with(x.tensor(), weight.clone().tensor(), bias, &options)));
        }
        let options = ConvOptions::new_with_padding([stride[0], stride[1]], [padding[0], padding[1]], [dilation[0], dilation[1]], groups);
        one(Dense::of(module::conv2d(x.tensor::<4>(), weight.clone().tensor::<4>(), bias, options)))
    }))
}

fn conv_transpose(spec: &Spec<'_>) -> Fit<Kernel> {
    let (weight, groups, window) = parts(spec)?;
    let (channels, outputs) = (weight.dims()[0], weight.dims()[1] * groups);
    if !channels.is_multiple_of(groups) {
        return Err(format!("{groups} groups do not divide {channels} channels"));
    }
    check_bias(spec.known_float(2).as_ref(), outputs)?;
    let extra = spec.sizes("output_padding", 0)?.unwrap_or_else(|| vec![0; window.rank()]);
    let wanted = spec.sizes("output_shape", 1)?;
    let rank = window.rank();
    // Exporters state the whole shape or the spatial part.
    let wanted = wanted.map(|wanted| wanted[wanted.len().saturating_sub(rank)..].to_vec());
    if extra.len() != rank || wanted.as_ref().is_some_and(|wanted| wanted.len() != rank) {
        return Err("attributes `output_padding` or `output_shape` do not fit the kernel".into());
    }
    Ok(Box::new(move |mut args| {
        let (x, bias) = (args.float(0)?, args.maybe_float(2)?);
        check(&x, &weight, &window, channels)?;
        check_bias(bias.as_ref(), outputs)?;
        let pads = window.transposed_padding(&x.dims()[2..], wanted.as_deref(), &extra)?;
        // Without padding first; what padding takes away is cut off after it.
        let full: Vec<usize> = (0..rank).map(|k| window.stride[k] * (x.dims()[k + 2].max(1) - 1) + extra[k] + window.reach(k)).collect();
        count(&[&[x.dims()[0], outputs], &full[..]].concat())?;
        if let Some(k) = (0..rank).find(|&k| pads[k].0 + pads[k].1 >= full[k]) {
            return Err(format!("nothing is left of {} positions without padding {:?}", full[k], pads[k]));
        }
        let bias = bias.map(Dense::tensor::<1>);
        let (stride, dilation) = (&window.stride, &window.dilation);
        let y = if rank == 1 {
            let options = ConvTransposeOptions::new([stride[0]], [0], [extra[0]], [dilation[0]], groups);
            Dense::of(module::conv_transpose1d(x.tensor::<3>(), weight.clone().tensor::<3>(), bias, options))
        } else {
            let options =
                ConvTransposeOptions::new([stride[0], stride[1]], [0, 0], [extra[0], extra[1]], [dilation[0], dilation[1]], groups);
            Dense::of(module::conv_transpose2d(x.tensor::<4>(), weight.clone().tensor::<4>(), bias, options))
        };
        one((0..rank).fold(y, |y, k| y.cut(k + 2, pads[k].0..full[k] - pads[k].1)))
    }))
}
