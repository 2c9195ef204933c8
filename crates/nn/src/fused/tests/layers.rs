//! Linear layers.

use super::*;

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

/// Products of nothing are zero, and biases and residuals are added to them all the same.
#[test]
fn a_layer_without_inputs_has_its_bias() {
    let device = Device::flex();
    let mut layer = LinearConfig::new(1, 2).init(&device);
    layer.weight = Param::initialized(ParamId::new(), Tensor::<2>::zeros([0, 2], &device));
    layer.bias = Some(Param::initialized(ParamId::new(), Tensor::<1>::from_data([1.0, -2.0], &device)));
    let x = || Tensor::<2>::zeros([3, 0], &device);
    let numbers = |y: Tensor<2>| y.into_data().try_to_vec::<f32>().unwrap();
    assert_eq!(numbers(linear(&layer, x())), [1.0, -2.0].repeat(3));
    assert_eq!(numbers(linear_added(&layer, x(), Tensor::ones([3, 2], &device))), [2.0, -1.0].repeat(3));
}
