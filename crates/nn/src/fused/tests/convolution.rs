//! Convolutions of every kind.

use super::*;

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
