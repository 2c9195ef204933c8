//! Every fused operation beside the same composed from burn's operations: value, and value with gradient, on one thread.

use std::hint::black_box;

use burn::{
    nn::{LayerNormConfig, LinearConfig, PaddingConfig1d, conv::Conv1dConfig},
    tensor::{Device, Distribution, Tensor, activation},
};
use criterion::{Criterion, criterion_group, criterion_main};
use langevin_nn::fused::{
    Activation, Block, Gate, Norm, attention, conv1d, layer_norm, linear, linear_activated, linear_added, self_attention, softmax,
};

/// Times both forms without a graph and with forward and backward.
fn compare<const D: usize>(
    c: &mut Criterion,
    name: &str,
    dims: [usize; D],
    fused: impl Fn(Tensor<D>) -> Tensor<D>,
    composed: impl Fn(Tensor<D>) -> Tensor<D>,
) {
    let mut group = c.benchmark_group(name);
    group.sample_size(10);
    let x = Tensor::<D>::random(dims, Distribution::Normal(0.0, 1.0), &Device::flex());
    let forms: [(&str, &dyn Fn(Tensor<D>) -> Tensor<D>); 2] = [("fused", &fused), ("composed", &composed)];
    for (form, f) in forms {
        group.bench_function(format!("{form} forward"), |b| b.iter(|| f(black_box(x.clone()))));
        group.bench_function(format!("{form} forward and backward"), |b| {
            b.iter(|| {
                let x = x.clone().autodiff().require_grad();
                let gradients = f(black_box(x.clone())).sum().backward();
                x.grad(&gradients)
            });
        });
    }
}

fn operations(c: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("nothing has used the pool yet");
    let device = Device::flex();
    let rows = [2048usize, 1024];
    compare(c, "silu", rows, |x| Activation::Silu.apply(x), activation::silu);
    compare(c, "gelu", rows, |x| Activation::Gelu.apply(x), activation::gelu);
    compare(c, "tanh", rows, |x| Activation::Tanh.apply(x), Tensor::tanh);
    compare(c, "softmax", rows, softmax, |x| activation::softmax(x, 1));
    let norm = LayerNormConfig::new(1024).init(&device);
    compare(c, "layer norm", rows, |x| layer_norm(&norm, 1e-5, x), |x| norm.forward(x));
    let composed_gate = |x: Tensor<3>| x.clone().narrow(1, 0, 64).tanh() * activation::sigmoid(x.narrow(1, 64, 64));
    compare(c, "gate", [2, 128, 8000], |x| Gate::Tanh.apply(x, 1), composed_gate);
    let layer = LinearConfig::new(256, 256).init(&device);
    let rows = [2048usize, 256];
    compare(c, "linear with residual", rows, |x| linear_added(&layer, x.clone(), x), |x| x.clone() + layer.forward(x));
    let gelu = |x| activation::gelu(layer.forward(x));
    compare(c, "linear with gelu", rows, |x| linear_activated(&layer, Activation::Gelu, x), gelu);
    let padding = PaddingConfig1d::Explicit(4, 4);
    let conv = Conv1dConfig::new(64, 64, 3).with_dilation(4).with_padding(padding).init(&device);
    compare(c, "dilated convolution", [2, 64, 8000], |x| conv1d(&conv, x, None), |x| conv.forward(x));
    let plain = |x: Tensor<4>| {
        let scores = x.clone().matmul(x.clone().swap_dims(2, 3)) / 8.0;
        activation::softmax(scores, 3).matmul(x)
    };
    let layers = [[64, 192], [64, 64], [64, 256], [256, 64]].map(|[inputs, outputs]| LinearConfig::new(inputs, outputs).init(&device));
    let [attend, mix, expand, contract] = &layers;
    let (norm, activation) = (Norm::Layer { epsilon: 1e-5 }, Activation::Gelu);
    let block = Block { attend, mix, expand, contract, heads: 4, norm, activation };
    let single = |x: Tensor<3>| {
        let x = linear_added(mix, self_attention(linear(attend, norm.apply(x.clone())), 4, None, None), x);
        linear_added(contract, linear_activated(expand, activation, norm.apply(x.clone())), x)
    };
    compare(c, "block beside single fused operations", [1, 16, 64], |x| block.forward(x, Default::default(), None, None), single);
    compare(c, "attention", [8, 4, 256, 64], |x| attention(x.clone(), x.clone(), x, None, None), plain);
}

criterion_group!(benches, operations);
criterion_main!(benches);
