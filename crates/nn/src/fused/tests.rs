//! Every operation against its composed form and against finite differences, on odd sizes, empty batches, views and broadcasts.

use burn::{
    module::{Param, ParamId},
    nn::{Linear, LinearConfig, PaddingConfig1d, conv::Conv1dConfig},
    tensor::{Bool, DType, Device, Tensor, TensorData},
};
use langevin_core::noise::{NoiseSource as _, Philox};

use super::*;

mod attentions;
mod blocks;
mod convolution;
mod elementwise;
mod layers;
mod residual;

/// Values and gradients of `f` at given inputs, for the loss `sum(y * weight)`.
struct Run {
    y: Vec<f32>,
    gradients: Vec<Vec<f32>>,
}

type Inputs = Vec<Tensor<1>>;

fn normals(len: usize, sample: u32) -> Vec<f32> {
    let mut out = vec![0.0; len];
    Philox::new(5).fill(sample, 0, 0, &mut out);
    out
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec_as().expect("floats")
}

fn tensors(inputs: &[Vec<f32>], device: &Device) -> Inputs {
    inputs.iter().map(|x| Tensor::from_data(TensorData::new(x.clone(), [x.len()]), device)).collect()
}

fn differentiate(inputs: &[Vec<f32>], f: &dyn Fn(&Inputs) -> Tensor<1>) -> Run {
    let device = Device::flex().autodiff();
    let inputs: Inputs = tensors(inputs, &device).into_iter().map(Tensor::require_grad).collect();
    let y = f(&inputs);
    let weight = Tensor::<1>::from_data(TensorData::new(normals(y.dims()[0], 99), y.dims()), &device);
    let gradients = (y.clone() * weight).sum().backward();
    let zeros = |x: &Tensor<1>| vec![0.0; x.dims()[0]];
    let gradients = inputs.iter().map(|x| x.grad(&gradients).map_or_else(|| zeros(x), host)).collect();
    Run { y: host(y.inner()), gradients }
}

fn loss(inputs: &[Vec<f32>], f: &dyn Fn(&Inputs) -> Tensor<1>) -> f64 {
    let y = host(f(&tensors(inputs, &Device::flex())));
    y.iter().zip(normals(y.len(), 99)).map(|(&y, w)| f64::from(y) * f64::from(w)).sum()
}

fn close(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs.iter().fold(1e-3f32, |most, x| most.max(x.abs()));
    for (k, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= 1e-5 * scale, "{what} {k}: {a} not {b} (scale {scale})");
    }
}

/// Checks `fused` on standard normal inputs of the given lengths.
fn check(name: &str, lens: &[usize], fused: &(dyn Fn(&Inputs) -> Tensor<1> + Sync), composed: &dyn Fn(&Inputs) -> Tensor<1>) {
    let inputs: Vec<Vec<f32>> = lens.iter().zip(0..).map(|(&len, k)| normals(len, k)).collect();
    let ours = differentiate(&inputs, fused);
    if lens[0] == 0 {
        // burn's own operations do not all take empty tensors.
        assert!(ours.y.is_empty() && ours.gradients.iter().flatten().all(|&g| g == 0.0), "{name}: empty");
        assert_eq!(ours.gradients.iter().map(Vec::len).collect::<Vec<_>>(), lens, "{name}: empty");
        return;
    }
    let theirs = differentiate(&inputs, composed);
    close(&ours.y, &theirs.y, &format!("{name}: value"));
    assert_eq!(ours.y, host(fused(&tensors(&inputs, &Device::flex()))), "{name}: with and without a graph");
    for (k, (a, b)) in ours.gradients.iter().zip(&theirs.gradients).enumerate() {
        close(a, b, &format!("{name}: gradient {k}"));
    }
    // The slope along one direction in all inputs, by central differences.
    let step = 2e-3;
    let direction: Vec<Vec<f32>> = lens.iter().zip(50..).map(|(&len, k)| normals(len, k)).collect();
    let moved = |by: f32| -> Vec<Vec<f32>> {
        inputs.iter().zip(&direction).map(|(x, d)| x.iter().zip(d).map(|(x, d)| x + by * d).collect()).collect()
    };
    let measured = (loss(&moved(step), fused) - loss(&moved(-step), fused)) / f64::from(2.0 * step);
    let terms = ours.gradients.iter().flatten().zip(direction.iter().flatten()).map(|(&g, &d)| f64::from(g) * f64::from(d));
    let (slope, size) = terms.fold((0.0, 1e-2), |(sum, squares), term| (sum + term, squares + term * term));
    assert!((measured - slope).abs() < 5e-3 * size.sqrt(), "{name}: slope {slope}, measured {measured}");
    // Any number of threads: the same bits.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads start");
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("threads start");
    let (many, one) = (pool.install(|| differentiate(&inputs, fused)), one.install(|| differentiate(&inputs, fused)));
    assert_eq!((&many.y, &many.gradients), (&one.y, &one.gradients), "{name}: threads");
}

fn flat<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let len = x.shape().num_elements();
    x.reshape([len])
}

/// The values in shape `dims` as a view whose rows are not next to one another; burn reads a 0 in a new shape as "the same as before",
/// so an empty tensor stays as it is.
fn turned<const D: usize>(x: &Tensor<1>, dims: [usize; D], first: usize, second: usize) -> Tensor<D> {
    let mut from = dims;
    if dims[0] > 0 {
        from.swap(first, second);
    }
    let x = x.clone().reshape(from);
    if dims[0] > 0 { x.swap_dims(first, second) } else { x }
}

fn mask(dims: [usize; 4]) -> Tensor<4, Bool> {
    let len: usize = dims.iter().product();
    // The first query of every head sees nothing.
    let hidden = (0..len).map(|i| i % 3 == 1 || (i / dims[3]).is_multiple_of(dims[2])).collect::<Vec<bool>>();
    Tensor::from_data(TensorData::new(hidden, dims), &Device::flex())
}

/// Double precision is not ours: the same functions must fall back to burn's operations and agree.
#[test]
fn other_precisions_are_composed() {
    let device = Device::flex();
    let x = Tensor::<3>::from_data(TensorData::new(normals(60, 1), [2, 5, 6]), &device);
    let wide = |x: Tensor<3>| x.cast(DType::F64);
    let same = |ours: Tensor<3>, theirs: Tensor<3>| {
        assert_eq!(theirs.dtype(), DType::F64, "composed");
        close(&host(ours), &host(theirs.cast(DType::F32)), "composed");
    };
    for activation in [Activation::Silu, Activation::Gelu, Activation::Tanh, Activation::Sigmoid, Activation::Softplus, Activation::Exp] {
        same(activation.apply(x.clone()), activation.apply(wide(x.clone())));
    }
    same(Gate::Tanh.apply(x.clone(), 2), Gate::Tanh.apply(wide(x.clone()), 2));
    same(softmax(x.clone()), softmax(wide(x.clone())));
    let norm = Norm::Layer { epsilon: 1e-5 };
    let scale = Tensor::<2>::from_data(TensorData::new(normals(12, 2), [2, 6]), &device);
    let double = scale.clone().cast(DType::F64);
    same(norm.modulated(x.clone(), scale.clone(), scale), norm.modulated(wide(x.clone()), double.clone(), double));
    let mask = mask([2, 2, 5, 5]);
    same(self_attention(x.clone(), 2, None, Some(mask.clone())), self_attention(wide(x.clone()), 2, None, Some(mask)));
    let mut layer = LinearConfig::new(6, 4).init(&device);
    let single = linear_activated(&layer, Activation::Silu, x.clone());
    layer.weight = layer.weight.map(|weight| weight.cast(DType::F64));
    layer.bias = layer.bias.map(|bias| bias.map(|bias| bias.cast(DType::F64)));
    same(single, linear_activated(&layer, Activation::Silu, wide(x)));
}
