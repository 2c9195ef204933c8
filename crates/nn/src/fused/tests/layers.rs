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
