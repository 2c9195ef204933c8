//! Gated residual layers against their single operations.

use super::*;

/// Lengths of one and of several parts; what is told at all positions, at once, or not at all.
#[test]
fn gated_residual_layers() {
    let device = Device::flex();
    let cases = [([2usize, 4usize, 11usize], 3usize, 3usize, 2usize), ([1, 2, 5], 1, 3, 8), ([2, 6, 1], 2, 1, 1), ([0, 4, 9], 3, 3, 1)];
    for (dims @ [batch, both, len], inner, taps, dilation) in cases.into_iter().chain([([2, 66, 1100], 34, 3, 16)]) {
        let inputs = both / 2;
        for (bias, told_len) in [(true, None), (false, Some(len)), (true, Some(1))] {
            let padding = PaddingConfig1d::Explicit(dilation * (taps - 1) / 2, dilation * (taps - 1) / 2);
            let dilated = Conv1dConfig::new(inputs, 2 * inner, taps).with_dilation(dilation).with_padding(padding).with_bias(bias);
            let mix = Conv1dConfig::new(inner, both, 1).with_bias(bias);
            let layers = |i: &Inputs| {
                let mut layers = [dilated.init(&device), mix.init(&device)];
                let dims = [[2 * inner, inputs, taps], [both, inner, 1]];
                for (k, layer) in layers.iter_mut().enumerate() {
                    layer.weight = Param::initialized(ParamId::new(), i[1 + k].clone().reshape(dims[k]));
                    layer.bias = bias.then(|| Param::initialized(ParamId::new(), i[3 + k].clone()));
                }
                layers
            };
            let state = |i: &Inputs| turned(&i[0], dims, 0, 2);
            let step = |i: &Inputs| bias.then(|| i[5].clone().reshape([batch, inputs]));
            let told = |i: &Inputs| told_len.map(|len| i[6].clone().reshape([batch, 2 * inner, len]));
            let fused = |i: &Inputs| {
                let [dilated, mix] = &layers(i);
                flat(GatedResidual { dilated, mix }.forward(state(i), step(i), told(i)))
            };
            let composed = |i: &Inputs| {
                let [dilated, mix] = &layers(i);
                flat(GatedResidual { dilated, mix }.composed(state(i), step(i), told(i)))
            };
            let weights = [2 * inner * inputs * taps, both * inner, 2 * inner, both];
            let lens = [&[batch * both * len], &weights[..], &[batch * inputs, batch * 2 * inner * told_len.unwrap_or(0)]].concat();
            check(&format!("residual {dims:?} {inner} {taps} {dilation} {bias} {told_len:?}"), &lens, &fused, &composed);
        }
    }
}

#[test]
#[should_panic(expected = "make no layer of a state of 6 channels")]
fn a_gated_residual_layer_refuses_other_states() {
    let device = Device::flex();
    let [dilated, mix] = [Conv1dConfig::new(2, 4, 3).init(&device), Conv1dConfig::new(2, 4, 1).init(&device)];
    let _ = GatedResidual { dilated: &dilated, mix: &mix }.forward(Tensor::zeros([1, 6, 9], &device), None, None);
}

/// Parts on other threads compute as the thread that asks: rounded alike, and to the same bits.
#[test]
fn threads_share_the_precision_of_their_caller() {
    let device = Device::flex();
    let (channels, len) = (64usize, 2100usize);
    let dilated = Conv1dConfig::new(channels, 2 * channels, 3).with_padding(PaddingConfig1d::Explicit(1, 1)).init(&device);
    let mix = Conv1dConfig::new(channels, 2 * channels, 1).init(&device);
    let state = Tensor::<1>::from_data(TensorData::new(normals(2 * channels * len, 3), [2 * channels * len]), &device);
    let run = |threads: usize, precision: Precision| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
        pool.install(|| {
            let _entered = precision.enter();
            let layer = GatedResidual { dilated: &dilated, mix: &mix };
            let state = state.clone().reshape([1, 2 * channels, len]);
            host(layer.forward(conv1d(&mix, state.clone().narrow(1, 0, channels), Some(state)), None, None))
        })
    };
    let full = run(3, Precision::Full);
    let rounded = run(3, Precision::Bfloat16);
    assert_eq!(rounded, run(1, Precision::Bfloat16));
    assert_eq!(full, run(1, Precision::Full));
    let rounds = {
        let _entered = Precision::Bfloat16.enter();
        factor::whole_terms(1) > 1
    };
    assert_eq!(full != rounded, rounds, "rounding shows where there are tiles or pairs");
}
