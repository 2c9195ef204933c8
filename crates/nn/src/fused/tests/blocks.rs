//! Whole transformer blocks.

use super::*;

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
