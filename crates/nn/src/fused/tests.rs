//! Every operation against its composed form and against finite differences, on odd sizes, empty batches, views and broadcasts.

use burn::{
    module::{Param, ParamId},
    nn::{Linear, LinearConfig, PaddingConfig1d, conv::Conv1dConfig},
    tensor::{Bool, DType, Device, Tensor, TensorData},
};
use langevin_core::noise::{NoiseSource as _, Philox};

use super::*;

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

#[test]
fn activations() {
    for activation in [Activation::Silu, Activation::Gelu, Activation::Tanh, Activation::Sigmoid, Activation::Softplus, Activation::Exp] {
        for len in [0, 1, 37, 40_001] {
            check(&format!("{activation:?}"), &[len], &|x| activation.apply(x[0].clone()), &|x| activation.composed(x[0].clone()));
        }
        // A transposed view, and a row broadcast to many.
        let view = |x: &Inputs| x[0].clone().reshape([5, 7, 3]).swap_dims(0, 2);
        check("view", &[105], &|x| flat(activation.apply(view(x))), &|x| flat(activation.composed(view(x))));
        let wide = |x: &Inputs| x[0].clone().reshape([1, 9]).expand([4, 9]);
        check("broadcast", &[9], &|x| flat(activation.apply(wide(x))), &|x| flat(activation.composed(wide(x))));
    }
}

#[test]
fn gates() {
    for gate in [Gate::Tanh, Gate::Silu] {
        for (dims, dim) in [([2, 6, 5], 1), ([3, 1, 34], 2), ([4, 2, 1], 0), ([0, 4, 3], 1), ([1, 2, 40_001], 1)] {
            let x = move |x: &Inputs| x[0].clone().reshape(dims);
            let len = dims.iter().product();
            check(&format!("{gate:?}"), &[len], &|i| flat(gate.apply(x(i), dim)), &|i| flat(gate.composed(x(i), dim)));
        }
        let view = |x: &Inputs| x[0].clone().reshape([5, 8, 3]).swap_dims(1, 2);
        check("view", &[120], &|x| flat(gate.apply(view(x), 2)), &|x| flat(gate.composed(view(x), 2)));
    }
}

#[test]
fn norms() {
    for norm in [Norm::Layer { epsilon: 1e-5 }, Norm::Rms { epsilon: 1e-5 }] {
        for (rows, width, groups) in [(7usize, 5usize, 1usize), (70, 33, 1), (6, 40, 3), (6, 64, 6), (0, 8, 1)] {
            let x = move |x: &Inputs| x[0].clone().reshape([rows, width]);
            let part = move |x: &Inputs, k: usize| Some(x[k].clone().reshape([groups, width]));
            let lens = [rows * width, groups * width, groups * width];
            let name = format!("{norm:?} {rows} {width} {groups}");
            check(&name, &lens[..1], &|i| flat(norm.apply(x(i))), &|i| flat(norm.composed(x(i), false, None, None)));
            check(&name, &lens[..2], &|i| flat(norm.affine(x(i), part(i, 1), None)), &|i| {
                flat(norm.composed(x(i), false, part(i, 1), None))
            });
            let modulated = |i: &Inputs| {
                let [scale, shift] = [1, 2].map(|k| i[k].clone().reshape([groups, width]));
                flat(norm.modulated(x(i), scale, shift))
            };
            check(&name, &lens, &modulated, &|i| flat(norm.composed(x(i), true, part(i, 1), part(i, 2))));
        }
        let view = |x: &Inputs| x[0].clone().reshape([6, 9, 4]).swap_dims(1, 2);
        check("view", &[216], &|x| flat(norm.apply(view(x))), &|x| flat(norm.composed(view(x), false, None, None)));
    }
}

#[test]
fn softmaxes() {
    for dims in [[3, 5], [200, 37], [4, 1], [0, 6]] {
        let x = move |x: &Inputs| x[0].clone().reshape(dims);
        let composed = |x: Tensor<2>| burn::tensor::activation::softmax(x, 1);
        check("softmax", &[dims[0] * dims[1]], &|i| flat(softmax(x(i))), &|i| flat(composed(x(i))));
        let view = move |i: &Inputs| turned(&i[0], dims, 0, 1);
        check("view", &[dims[0] * dims[1]], &|i| flat(softmax(view(i))), &|i| flat(composed(view(i))));
    }
}

#[test]
fn linear_layers() {
    let device = Device::flex();
    for (rows, inputs, outputs) in [(1usize, 1usize, 1usize), (5, 7, 3), (300, 33, 130), (0, 4, 5)] {
        for bias in [true, false] {
            for activation in [None, Some(Activation::Gelu), Some(Activation::Silu)] {
                let residual = activation.is_none();
                let layer = |i: &Inputs| {
                    let mut layer = LinearConfig::new(inputs, outputs).with_bias(bias).init(&device);
                    layer.weight = Param::initialized(ParamId::new(), i[1].clone().reshape([inputs, outputs]));
                    layer.bias = bias.then(|| Param::initialized(ParamId::new(), i[2].clone()));
                    layer
                };
                // A view for the input, so that rows are not next to one another.
                let x = |i: &Inputs| turned(&i[0], [rows, inputs], 0, 1);
                let added = |i: &Inputs| residual.then(|| i[3].clone().reshape([rows, outputs]));
                let lens = [rows * inputs, inputs * outputs, outputs, rows * outputs];
                let fused = |i: &Inputs| {
                    let layer = layer(i);
                    flat(match activation {
                        Some(activation) => linear_activated(&layer, activation, x(i)),
                        None => linear_added(&layer, x(i), i[3].clone().reshape([rows, outputs])) + linear(&layer, x(i)),
                    })
                };
                let composed = |i: &Inputs| {
                    let layer = layer(i);
                    let bias = layer.bias.as_ref().map(|bias| bias.val());
                    let y = linear::composed(x(i), layer.weight.val(), bias.clone(), added(i), activation);
                    flat(if residual { y + linear::composed(x(i), layer.weight.val(), bias, None, None) } else { y })
                };
                check(&format!("linear {rows} {inputs} {outputs} {bias} {activation:?}"), &lens, &fused, &composed);
            }
        }
    }
}

#[test]
fn convolutions() {
    let device = Device::flex();
    let cases = [([2usize, 3usize, 11usize], 5usize, 3usize, 2usize, 2usize), ([1, 1, 4], 1, 1, 1, 0), ([2, 35, 1030], 33, 3, 4, 4)];
    let more = [([1, 2, 9], 3, 3, 4, 0), ([1, 2, 5], 3, 3, 8, 8), ([1, 2, 3], 2, 2, 1, 3), ([0, 2, 9], 3, 3, 1, 1)];
    for (dims @ [batch, inputs, len], outputs, taps, dilation, padding) in cases.into_iter().chain(more) {
        let long = len + 2 * padding - dilation * (taps - 1);
        for bias in [true, false] {
            let layer = |i: &Inputs| {
                let config = Conv1dConfig::new(inputs, outputs, taps).with_dilation(dilation).with_bias(bias);
                let mut layer = config.with_padding(PaddingConfig1d::Explicit(padding, padding)).init(&device);
                layer.weight = Param::initialized(ParamId::new(), i[1].clone().reshape([outputs, inputs, taps]));
                layer.bias = bias.then(|| Param::initialized(ParamId::new(), i[2].clone()));
                layer
            };
            let x = |i: &Inputs| turned(&i[0], dims, 0, 2);
            let residual = |i: &Inputs| bias.then(|| i[3].clone().reshape([batch, outputs, long]));
            let fused = |i: &Inputs| flat(conv1d(&layer(i), x(i), residual(i)));
            // Tap by tap from slices of the padded input: the definition, and any batch.
            let composed = |i: &Inputs| {
                let (weight, zeros) =
                    (i[1].clone().reshape([outputs, inputs, taps]), Tensor::zeros([batch, inputs, padding], &i[0].device()));
                let padded = Tensor::cat(vec![zeros.clone(), x(i), zeros], 2);
                let mut y = Tensor::<3>::zeros([batch, outputs, long], &i[0].device());
                for tap in 0..taps {
                    let matrix = weight.clone().narrow(2, tap, 1).swap_dims(0, 2).swap_dims(1, 2).expand([batch, outputs, inputs]);
                    y = y + matrix.matmul(padded.clone().narrow(2, tap * dilation, long));
                }
                let y = if bias { y + i[2].clone().reshape([1, outputs, 1]) } else { y };
                flat(residual(i).map_or_else(|| y.clone(), |residual| residual + y.clone()))
            };
            let lens = [dims.iter().product(), outputs * inputs * taps, outputs, batch * outputs * long];
            check(&format!("conv {dims:?} {outputs} {taps} {dilation} {padding} {bias}"), &lens, &fused, &composed);
            if batch > 0 {
                let operation = conv::Convolution { dilation, padding };
                let burns = |i: &Inputs| {
                    let layer = layer(i);
                    flat(operation.composed(x(i), layer.weight.val(), layer.bias.as_ref().map(|b| b.val()), residual(i)))
                };
                let inputs: Vec<Vec<f32>> = lens.iter().zip(0..).map(|(&len, k)| normals(len, k)).collect();
                close(&differentiate(&inputs, &fused).y, &differentiate(&inputs, &burns).y, "burn's convolution");
            }
        }
    }
}

/// Which scores have a bias of which shape, and whether every third key is hidden.
type Extras = (Option<[usize; 4]>, bool);

fn mask(dims: [usize; 4]) -> Tensor<4, Bool> {
    let len: usize = dims.iter().product();
    // The first query of every head sees nothing.
    let hidden = (0..len).map(|i| i % 3 == 1 || (i / dims[3]).is_multiple_of(dims[2])).collect::<Vec<bool>>();
    Tensor::from_data(TensorData::new(hidden, dims), &Device::flex())
}

#[test]
fn attentions() {
    let shapes = [[2usize, 3usize, 5usize, 7usize, 4usize, 6usize], [1, 1, 1, 1, 1, 1], [1, 2, 300, 20, 8, 8], [0, 2, 3, 3, 4, 4]];
    for [batch, heads, queries, keys, width, wide] in shapes {
        let full = [batch, heads, queries, keys];
        let extras: [Extras; 4] =
            [(None, false), (Some(full), true), (Some([1, heads, queries, keys]), false), (Some([batch.min(1), 1, 1, keys]), true)];
        for (bias, masked) in extras {
            // Keys as a view whose positions are not next to one another.
            let parts = |i: &Inputs| {
                let query: Tensor<4> = i[0].clone().reshape([batch, queries, heads, width]).swap_dims(1, 2);
                let key: Tensor<4> = i[1].clone().reshape([batch, heads, width, keys]).swap_dims(2, 3);
                (query, key, i[2].clone().reshape([batch, heads, keys, wide]), bias.map(|dims| i[3].clone().reshape(dims)))
            };
            let mask = masked.then(|| mask(full));
            let fused = |i: &Inputs| {
                let (q, k, v, b) = parts(i);
                flat(attention(q, k, v, b, mask.clone()))
            };
            let composed = |i: &Inputs| {
                let (q, k, v, b) = parts(i);
                flat(attention::composed(q, k, v, b, mask.clone()))
            };
            let lens = [queries * width, keys * width, keys * wide].map(|len| batch * heads * len);
            let lens = [lens[0], lens[1], lens[2], bias.map_or(0, |dims| dims.iter().product())];
            check(&format!("attention {full:?} {bias:?} {masked}"), &lens, &fused, &composed);
        }
    }
}

#[test]
fn self_attentions() {
    for [batch, rows, heads, width] in [[2usize, 5usize, 3usize, 4usize], [1, 131, 2, 8], [0, 3, 1, 2]] {
        let full = [batch, heads, rows, rows];
        for masked in [false, true] {
            let mask = masked.then(|| mask(full));
            let qkv = |i: &Inputs| i[0].clone().reshape([batch, rows, 3 * heads * width]);
            // The bias as a network makes it: the heads come last.
            let bias = |i: &Inputs| i[1].clone().reshape([batch, rows, rows, heads]).permute([0, 3, 1, 2]);
            let fused = |i: &Inputs| flat(self_attention(qkv(i), heads, Some(bias(i)), mask.clone()));
            let composed = |i: &Inputs| {
                let part =
                    |k: usize| qkv(i).narrow(2, k * heads * width, heads * width).reshape([batch, rows, heads, width]).swap_dims(1, 2);
                flat(attention::composed(part(0), part(1), part(2), Some(bias(i)), mask.clone()).swap_dims(1, 2))
            };
            let lens = [batch * rows * 3 * heads * width, batch * rows * rows * heads];
            check(&format!("self-attention {full:?} {masked}"), &lens, &fused, &composed);
        }
    }
}

/// A block's layers with drawn weights: attention as wide as `heads * width`, `hidden` numbers inside.
fn layers(device: &Device, [wide, heads, width, hidden]: [usize; 4], bias: bool) -> [Linear; 4] {
    let sizes = [[wide, 3 * heads * width], [heads * width, wide], [wide, hidden], [hidden, wide]];
    let mut sample = 10;
    sizes.map(|[inputs, outputs]| {
        let mut drawn = |len: usize| {
            sample += 1;
            normals(len, sample).iter().map(|x| x / (inputs as f32).sqrt()).collect::<Vec<f32>>()
        };
        let mut layer = LinearConfig::new(inputs, outputs).with_bias(bias).init(device);
        layer.weight = Param::from_data(TensorData::new(drawn(inputs * outputs), [inputs, outputs]), device);
        layer.bias = bias.then(|| Param::from_data(TensorData::new(drawn(outputs), [outputs]), device));
        layer
    })
}

fn block(layers: &[Linear; 4], heads: usize) -> Block<'_> {
    let [attend, mix, expand, contract] = layers;
    Block { attend, mix, expand, contract, heads, norm: Norm::Layer { epsilon: 1e-5 }, activation: Activation::Gelu }
}

/// The block from burn's operations alone.
fn plain_block(
    block: Block<'_>,
    x: Tensor<3>,
    affine: [[Tensor<2>; 2]; 2],
    plus_one: bool,
    bias: Tensor<4>,
    mask: Tensor<4, Bool>,
) -> Tensor<3> {
    let dims = x.dims();
    let layer = |layer: &Linear, x, residual, activation| {
        linear::composed(x, layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()), residual, activation)
    };
    let [before, inside] =
        affine.map(|[gain, shift]| move |norm: Norm, x: Tensor<3>| norm.composed(x, plus_one, Some(gain.clone()), Some(shift.clone())));
    let qkv = layer(block.attend, before(block.norm, x.clone()), None, None);
    let inner = qkv.dims()[2] / 3;
    let part =
        |k: usize| qkv.clone().narrow(2, k * inner, inner).reshape([dims[0], dims[1], block.heads, inner / block.heads]).swap_dims(1, 2);
    let mixed = attention::composed(part(0), part(1), part(2), Some(bias), Some(mask)).swap_dims(1, 2).reshape([dims[0], dims[1], inner]);
    let x = layer(block.mix, mixed, Some(x), None);
    let hidden = layer(block.expand, inside(block.norm, x.clone()), None, Some(block.activation));
    layer(block.contract, hidden, Some(x), None)
}

#[test]
fn blocks_are_what_they_are_made_of() {
    let device = Device::flex();
    let tensor = |len: usize, sample: u32| Tensor::<1>::from_data(TensorData::new(normals(len, sample), [len]), &device);
    // Items of one row, parts of several items with some left over, rows of parts that cross groups, and the sizes of the tiles.
    for [batch, rows, wide, heads, width, hidden] in
        [[1, 1, 1, 1, 1, 1], [40, 13, 20, 2, 5, 37], [3, 100, 24, 3, 8, 40], [1, 16, 64, 4, 16, 256], [2, 256, 32, 1, 16, 64]]
    {
        for (groups, plus_one, biased) in [(1, false, true), (batch, true, false), (batch * rows, true, true)] {
            let layers = layers(&device, [wide, heads, width, hidden], biased);
            let block = block(&layers, heads);
            let x = tensor(batch * rows * wide, 1).reshape([batch, rows, wide]);
            let affine = [2u32, 4].map(|k| [k, k + 1].map(|k| tensor(groups * wide, k).reshape([groups, wide])));
            let bias = tensor(batch * rows * rows * heads, 6).reshape([batch, rows, rows, heads]).permute([0, 3, 1, 2]);
            let mask = mask([batch, 1, rows, rows]);
            let scalings = || {
                affine.clone().map(
                    |[gain, shift]| {
                        if plus_one { Affine::modulation(gain, shift) } else { Affine::new(Some(gain), Some(shift)) }
                    },
                )
            };
            let fused = |x: Tensor<3>| block.forward(x, scalings(), Some(bias.clone()), Some(mask.clone()));
            let name = format!("block of {batch} {rows} {wide} {heads} {width} {hidden}, {groups} groups");
            let ours = host(fused(x.clone()));
            close(&ours, &host(plain_block(block, x.clone(), affine.clone(), plus_one, bias.clone(), mask.clone())), &name);
            close(&ours, &host(block.composed(x.clone(), scalings(), Some(bias.clone()), Some(mask.clone()))), &name);
            close(&ours, &host(fused(x.clone().autodiff().require_grad()).inner()), &name);
            // A view whose rows are not next to one another, and memory that nobody else holds.
            let view = x.clone().swap_dims(0, 1).reshape([rows * batch * wide]).reshape([rows, batch, wide]).swap_dims(0, 1);
            assert_eq!(host(fused(view)), ours, "{name}: view");
            assert_eq!(host(fused(x.clone() + 0.0)), ours, "{name}: alone");
            let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
            assert_eq!(pool(3).install(|| host(fused(x.clone()))), pool(1).install(|| host(fused(x.clone()))), "{name}: threads");
        }
    }
}

#[test]
fn blocks_of_nothing_of_long_items_and_of_doubles_are_composed() {
    let device = Device::flex();
    let layers = layers(&device, [6, 2, 3, 8], true);
    let block = block(&layers, 2);
    let none = || [Affine::default(), Affine::default()];
    assert_eq!(block.forward(Tensor::zeros([0, 3, 6], &device), none(), None, None).dims(), [0, 3, 6]);
    let x = Tensor::<1>::from_data(TensorData::new(normals(400 * 6, 1), [400 * 6]), &device).reshape([1, 400, 6]);
    let long = host(block.forward(x.clone(), none(), None, None));
    assert_eq!(long, host(block.composed(x.clone(), none(), None, None)));
    let double = layers.clone().map(|mut layer| {
        layer.weight = layer.weight.map(|weight| weight.cast(DType::F64));
        layer.bias = layer.bias.map(|bias| bias.map(|bias| bias.cast(DType::F64)));
        layer
    });
    let found = self::block(&double, 2).forward(x.narrow(1, 0, 20).cast(DType::F64), none(), None, None);
    assert_eq!(found.dtype(), DType::F64);
    let single = Tensor::<1>::from_data(TensorData::new(normals(2400, 1)[..120].to_vec(), [120]), &device).reshape([1, 20, 6]);
    close(&host(block.forward(single, none(), None, None)), &host(found.cast(DType::F32)), "doubles");
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

#[test]
fn depthwise_convolutions() {
    for ([batch, length, lanes, channels], taps, dilation) in
        [([2, 19, 3, 5], 7, 2), ([1, 40, 1, 17], 3, 1), ([3, 4, 2, 16], 7, 8), ([0, 5, 2, 3], 3, 1)]
    {
        let dims = [batch, length, lanes, channels];
        let parts = |inputs: &Inputs| {
            let [x, weight, bias] = [0, 1, 2].map(|k: usize| inputs[k].clone());
            (weight.reshape([taps, channels]), bias, dilation, x.reshape(dims))
        };
        let count = dims.iter().product::<usize>();
        check(
            "depthwise",
            &[count, taps * channels, channels],
            &|inputs| {
                let (weight, bias, dilation, x) = parts(inputs);
                depthwise(weight, bias, dilation, x).reshape([count])
            },
            &|inputs| {
                let (weight, bias, dilation, x) = parts(inputs);
                super::depthwise::composed(&weight, bias, dilation, x).reshape([count])
            },
        );
    }
}

#[test]
fn convolutions_of_two_copies() {
    for ([batch, length, channels], taps, block) in [([2, 12, 5], 7, 4), ([1, 9, 17], 3, 1), ([3, 7, 16], 5, 7), ([0, 5, 3], 3, 2)] {
        let dims = [batch, 2 * length, channels];
        let parts = |inputs: &Inputs| {
            let [x, weight, bias] = [0, 1, 2].map(|k: usize| inputs[k].clone());
            (weight.reshape([taps, channels]), bias, x.reshape(dims))
        };
        let count = dims.iter().product::<usize>();
        check(
            "depthwise_blocks",
            &[count, taps * channels, channels],
            &|inputs| {
                let (weight, bias, x) = parts(inputs);
                depthwise_blocks(weight, bias, block, x).reshape([count])
            },
            &|inputs| {
                let (weight, bias, x) = parts(inputs);
                super::depthwise_blocks::composed(&weight, bias, block, &x).reshape([count])
            },
        );
    }
}

/// With one block the noised copy is convolved alone.
#[test]
fn one_block_is_a_plain_convolution() {
    let device = Device::flex();
    let tensor = |len: usize, k: u32| Tensor::<1>::from_data(TensorData::new(normals(len, k), [len]), &device);
    let (weight, bias) = (tensor(21, 0).reshape([7, 3]), tensor(3, 1));
    let noised = tensor(30, 2).reshape([1, 10, 3]);
    let both = Tensor::cat(vec![noised.clone(), tensor(30, 3).reshape([1, 10, 3])], 1);
    let ours = depthwise_blocks(weight.clone(), bias.clone(), 10, both).narrow(1, 0, 10);
    assert_eq!(host(ours), host(depthwise(weight, bias, 1, noised.reshape([1, 10, 1, 3]))));
}

#[test]
fn rotations() {
    for ([batch, rows, heads, half], start, period) in [([2, 6, 3, 4], 0, 3), ([1, 5, 1, 1], 7, 5), ([0, 2, 2, 2], 0, 2)] {
        let dims = [batch, rows, 6 * heads * half];
        let count = dims.iter().product::<usize>();
        check("rotary", &[count], &|inputs| rotary(inputs[0].clone().reshape(dims), heads, start, period).reshape([count]), &|inputs| {
            super::rotary::composed(inputs[0].clone().reshape(dims), heads, start, period).reshape([count])
        });
    }
}
