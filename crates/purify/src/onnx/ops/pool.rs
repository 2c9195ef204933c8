//! Pools over one and two dimensions.

use burn::{
    backend::{Dispatch, ops::FloatTensorOps as _},
    tensor::{
        module,
        ops::{AvgPoolOptions, MaxPoolOptions},
    },
};

use langevin_nn::fused;

use super::{Family, window::Window};
use crate::onnx::{
    node::{Kernel, Spec, one},
    value::{Dense, Fit},
};

pub(super) const OPERATORS: Family = &[
    ("AveragePool", average_pool),
    ("GlobalAveragePool", |_| Ok(Box::new(|mut args| one(global(args.float(0)?, Dispatch::float_mean_dim)?)))),
    ("GlobalMaxPool", |_| Ok(Box::new(|mut args| one(global(args.float(0)?, Dispatch::float_max_dim)?)))),
    ("MaxPool", max_pool),
];

/// Padding for an input, which has to be narrower than the windows.
fn fitted(x: &Dense, window: &Window) -> Fit<Vec<(usize, usize)>> {
    if x.rank() != window.rank() + 2 || x.dims().contains(&0) {
        return Err(format!("an input of shape {:?} does not fit windows of {:?}", x.dims(), window.kernel));
    }
    let padding = window.padding(&x.dims()[2..])?;
    match (0..window.rank()).find(|&k| padding[k].0 >= window.reach(k) || padding[k].1 >= window.reach(k)) {
        Some(k) => Err(format!("padding {:?} is not narrower than a window of {}", padding[k], window.reach(k))),
        None => Ok(padding),
    }
}

fn max_pool(spec: &Spec<'_>) -> Fit<Kernel> {
    spec.outputs_at_most(1)?;
    let window = Window::new(spec, None)?;
    let ceil_mode = spec.int("ceil_mode", 0) != 0;
    Ok(Box::new(move |mut args| {
        let x = args.float(0)?;
        let padding = fitted(&x, &window)?;
        let (kernel, stride, dilation) = (&window.kernel, &window.stride, &window.dilation);
        if let [pads] = padding[..] {
            if pads == (0, 0) && dilation[0] == 1 && !ceil_mode {
                return one(Dense::of(fused::max_pool1d(x.tensor(), kernel[0], stride[0])));
            }
            let options =
                MaxPoolOptions { kernel_size: [kernel[0]], stride: [stride[0]], padding: [pads], dilation: [dilation[0]], ceil_mode };
            return one(Dense::of(module::max_pool1d(x.tensor(), options)));
        }
        let options = MaxPoolOptions {
            kernel_size: [kernel[0], kernel[1]],
            stride: [stride[0], stride[1]],
            padding: [padding[0], padding[1]],
            dilation: [dilation[0], dilation[1]],
            ceil_mode,
        };
        one(Dense::of(module::max_pool2d(x.tensor(), options)))
    }))
}

fn average_pool(spec: &Spec<'_>) -> Fit<Kernel> {
    let window = Window::new(spec, None)?;
    if window.dilation.iter().any(|&dilation| dilation != 1) {
        return Err(format!("dilations {:?} are not supported in an average", window.dilation));
    }
    let ceil_mode = spec.int("ceil_mode", 0) != 0;
    let count_include_pad = spec.int("count_include_pad", 0) != 0;
    Ok(Box::new(move |mut args| {
        let x = args.float(0)?;
        let padding = fitted(&x, &window)?;
        let (kernel, stride) = (&window.kernel, &window.stride);
        if let [pads] = padding[..] {
            let options = AvgPoolOptions { kernel_size: [kernel[0]], stride: [stride[0]], padding: [pads], count_include_pad, ceil_mode };
            return one(Dense::of(module::avg_pool1d(x.tensor(), options)));
        }
        let options = AvgPoolOptions {
            kernel_size: [kernel[0], kernel[1]],
            stride: [stride[0], stride[1]],
            padding: [padding[0], padding[1]],
            count_include_pad,
            ceil_mode,
        };
        one(Dense::of(module::avg_pool2d(x.tensor(), options)))
    }))
}

/// One number a channel.
fn global(x: Dense, work: fn(burn::backend::DispatchTensor, usize) -> burn::backend::DispatchTensor) -> Fit<Dense> {
    let dims = x.dims().to_vec();
    if dims.len() < 3 || dims.contains(&0) {
        return Err(format!("an input of shape {dims:?} has no positions"));
    }
    let positions = dims[2..].iter().product();
    let mut kept = vec![1; dims.len()];
    kept[..2].copy_from_slice(&dims[..2]);
    Ok(x.reshape(vec![dims[0], dims[1], positions]).change(|x| work(x, 2)).reshape(kept))
}
