//! Dilated convolution of sequences as one matrix product a tap, each on a shifted window of the input.

use std::ops::Range;

use burn::{
    backend::flex::FlexTensor,
    nn::{PaddingConfig1d, conv::Conv1d},
    tensor::{Tensor, module, ops::ConvOptions},
};

use super::{
    gemm::{Place, product},
    host::{self, Kept, Operation, array, contiguous, each, owned, shape, values},
    vector::{sum, wide},
};

/// Output channels that one part makes.
const CHANNELS: usize = 64;
/// Positions that one product makes: its result stays in the second cache from tap to tap.
const POSITIONS: usize = 512;

/// The layer's convolution of `x`, plus `residual` when it is given.
///
/// `x` is `[batch, channels, length]`, the result and `residual` `[batch, outputs, length + 2 padding - dilation (taps - 1)]`. Layers with
/// groups, strides or unequal padding go to burn's own convolution.
///
/// # Panics
/// When shapes do not fit together, or the padded input is shorter than the dilated kernel.
pub fn conv1d(layer: &Conv1d, x: Tensor<3>, residual: Option<Tensor<3>>) -> Tensor<3> {
    let padding = match layer.padding {
        PaddingConfig1d::Valid => Some(0),
        PaddingConfig1d::Explicit(left, right) if left == right => Some(left),
        _ => None,
    };
    let Some(padding) = padding.filter(|_| layer.stride == 1 && layer.groups == 1) else {
        return add(layer.forward(x), residual);
    };
    let operation = Convolution { dilation: layer.dilation, padding };
    let (weight, bias) = (layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()));
    let [batch, channels, length] = x.dims();
    let [outputs, inputs, taps] = weight.dims();
    assert!(channels == inputs, "a convolution of {inputs} channels got {:?}", x.dims());
    let reach = layer.dilation * (taps - 1);
    assert!(length + 2 * padding > reach, "{length} positions with padding {padding} are too few for a kernel that spans {}", reach + 1);
    let dims = [batch, outputs, length + 2 * padding - reach];
    assert!(residual.as_ref().is_none_or(|residual| residual.dims() == dims), "the residual is not of shape {dims:?}");
    let given =
        [Some(x.into_dispatch()), Some(weight.into_dispatch()), bias.map(Tensor::into_dispatch), residual.map(Tensor::into_dispatch)];
    match host::run(operation, given) {
        Ok(y) => Tensor::from_dispatch(y),
        Err([x, weight, bias, residual]) => operation.composed(
            Tensor::from_dispatch(x.expect("it was given")),
            Tensor::from_dispatch(weight.expect("it was given")),
            bias.map(Tensor::from_dispatch),
            residual.map(Tensor::from_dispatch),
        ),
    }
}

fn add(y: Tensor<3>, residual: Option<Tensor<3>>) -> Tensor<3> {
    match residual {
        Some(residual) => residual + y,
        None => y,
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Convolution {
    pub(super) dilation: usize,
    pub(super) padding: usize,
}

impl Convolution {
    /// The same from burn's operations.
    pub(super) fn composed(self, x: Tensor<3>, weight: Tensor<3>, bias: Option<Tensor<1>>, residual: Option<Tensor<3>>) -> Tensor<3> {
        add(module::conv1d(x, weight, bias, ConvOptions::new([1], [self.padding], [self.dilation], 1)), residual)
    }

    /// How far tap `k` reads to the right of the position that it adds to.
    fn shift(self, tap: usize) -> isize {
        (tap * self.dilation) as isize - self.padding as isize
    }
}

/// Positions `t` of `from..to` for which `t + shift` is inside `0..len`.
fn inside(from: usize, to: usize, shift: isize, len: usize) -> Range<usize> {
    let clip = |t: isize| t.max(0) as usize;
    from.max(clip(-shift))..to.min(clip(len as isize - shift))
}

/// Sequences of `channels` rows of `len` positions.
#[derive(Clone, Copy)]
struct Sequence<'a> {
    values: &'a [f32],
    channels: usize,
    len: usize,
}

/// `out[c, t] += sum over taps and channels of weight[c, channel] input[channel, t + shift]`, for `out` of rows of `len` positions and
/// one weight and shift a tap.
fn add_shifted(out: &mut [f32], len: usize, input: Sequence<'_>, weight: &[f32], taps: &[(Place, isize)]) {
    let rows = out.len() / len;
    for from in (0..len).step_by(POSITIONS) {
        for &(at, shift) in taps {
            let positions = inside(from, len.min(from + POSITIONS), shift, input.len);
            if positions.is_empty() {
                continue;
            }
            let window = Place::rows(input.len).at(positions.start.strict_add_signed(shift));
            let target = Place::rows(len).at(positions.start);
            product([rows, positions.len(), input.channels], 1.0, (weight, at), (input.values, window), (out, target), true);
        }
    }
}

impl Operation<4> for Convolution {
    /// The bias is kept for its shape.
    const KEEP: [bool; 4] = [true, true, true, false];

    fn forward(self, [x, weight, bias, residual]: [Option<FlexTensor>; 4], _: bool) -> (FlexTensor, Option<FlexTensor>) {
        let x = contiguous(x.expect("it is always given"));
        let weight = contiguous(weight.expect("it is always given"));
        let [batch, inputs, len] = sizes(&x);
        let [outputs, _, taps] = sizes(&weight);
        let long = len + 2 * self.padding - self.dilation * (taps - 1);
        let has_residual = residual.is_some();
        let bias = bias.map(contiguous);
        let mut out = match (residual, &bias) {
            (Some(residual), _) => owned(residual),
            (None, Some(bias)) => {
                let mut rows = Vec::with_capacity(batch * outputs * long);
                (0..batch).flat_map(|_| values(bias)).for_each(|&bias| rows.resize(rows.len() + long, bias));
                array(rows, [batch, outputs, long].into())
            }
            (None, None) => array(vec![0.0; batch * outputs * long], [batch, outputs, long].into()),
        };
        // Parts of some channels of one item.
        let items = out.storage_mut::<f32>().chunks_mut((outputs * long).max(1)).zip(values(&x).chunks((inputs * len).max(1)));
        let parts = items.flat_map(|(out, x)| out.chunks_mut(CHANNELS * long).map(move |out| (out, x)).enumerate());
        each(parts, |(part, (out, x))| {
            let first = part * CHANNELS;
            if let Some(bias) = bias.as_ref().filter(|_| has_residual) {
                for (row, bias) in out.chunks_exact_mut(long).zip(&values(bias)[first..]) {
                    row.iter_mut().for_each(|out| *out += bias);
                }
            }
            let places: Vec<_> =
                (0..taps).map(|k| (Place { start: first * inputs * taps + k, row: inputs * taps, column: taps }, self.shift(k))).collect();
            add_shifted(out, long, Sequence { values: x, channels: inputs, len }, values(&weight), &places);
        });
        (out, None)
    }

    fn backward(self, kept: Kept<4>, gradient: FlexTensor, wanted: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let [x, weight, bias, _] = kept.inputs;
        let x = contiguous(x.expect("it is always kept"));
        let weight = contiguous(weight.expect("it is always kept"));
        let gradient = contiguous(gradient);
        let [_, inputs, len] = sizes(&x);
        let [outputs, _, taps] = sizes(&weight);
        let [_, _, long] = sizes(&gradient);
        let (item_in, item_out) = ((inputs * len).max(1), (outputs * long).max(1));
        let items = || values(&x).chunks(item_in).zip(values(&gradient).chunks(item_out));
        let dx = || {
            let mut dx = vec![0.0; values(&x).len()];
            let parts = dx.chunks_mut(item_in).zip(values(&gradient).chunks(item_out));
            let parts = parts.flat_map(|(dx, g)| dx.chunks_mut((CHANNELS * len).max(1)).map(move |dx| (dx, g)).enumerate());
            each(parts, |(part, (dx, g))| {
                let first = part * CHANNELS * taps;
                let places: Vec<_> =
                    (0..taps).map(|k| (Place { start: first + k, row: taps, column: inputs * taps }, -self.shift(k))).collect();
                add_shifted(dx, len, Sequence { values: g, channels: outputs, len: long }, values(&weight), &places);
            });
            array(dx, shape(&x))
        };
        let dweight = || {
            let mut dweight = vec![0.0; values(&weight).len()];
            each(dweight.chunks_mut((CHANNELS * inputs * taps).max(1)).enumerate(), |(part, dweight)| {
                let rows = dweight.len() / (inputs * taps);
                for (x, g) in items() {
                    for tap in 0..taps {
                        let shift = self.shift(tap);
                        let positions = inside(0, long, shift, len);
                        if positions.is_empty() {
                            continue;
                        }
                        let slope = Place::rows(long).at(part * CHANNELS * long + positions.start);
                        let window = Place::rows(len).at(positions.start.strict_add_signed(shift)).transposed();
                        let target = Place { start: tap, row: inputs * taps, column: taps };
                        product([rows, inputs, positions.len()], 1.0, (g, slope), (x, window), (dweight, target), true);
                    }
                }
            });
            array(dweight, shape(&weight))
        };
        let (dx, dweight) = rayon::join(|| wanted[0].then(dx), || wanted[1].then(dweight));
        let dbias = bias.filter(|_| wanted[2]).map(|bias| {
            let mut sums = vec![0.0; outputs];
            values(&gradient).chunks(item_out).for_each(|item| add_row_sums(item, &mut sums));
            array(sums, shape(&bias))
        });
        let dresidual = wanted[3].then(|| gradient.clone());
        [dx, dweight, dbias, dresidual]
    }
}

fn sizes(tensor: &FlexTensor) -> [usize; 3] {
    [0, 1, 2].map(|dim| tensor.layout().shape()[dim])
}

wide! {
    fn add_row_sums(rows: &[f32], sums: &mut [f32]) {
        let len = rows.len() / sums.len().max(1);
        for (row, total) in rows.chunks_exact(len.max(1)).zip(sums) {
            *total += sum(row, |x| x);
        }
    }
}
