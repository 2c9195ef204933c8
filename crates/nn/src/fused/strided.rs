//! Convolution of sequences with any stride and padding; strided ones are a matrix product on windows of the input.

use burn::{
    backend::flex::FlexTensor,
    tensor::{Tensor, module, ops::ConvOptions},
};

use super::{
    conv::Convolution,
    gemm::{Place, Right, product},
    host::{self, Kept, Operation, array, contiguous, each, shape, values},
    vector::wide,
};

/// Positions of the result that one product makes: their windows stay in the second cache.
const POSITIONS: usize = 512;

/// Convolution with any stride and padding: `out[o, t] = bias[o] + sum over c, k of weight[o, c, k] x[c, t stride + k dilation - before]`, zero outside.
///
/// `x` is `[batch, channels, length]`, `weight` `[outputs, channels, taps]`. Groups go to burn's own convolution.
///
/// # Panics
/// When shapes do not fit together, or the padded input is shorter than the dilated kernel.
pub fn conv1d_with(x: Tensor<3>, weight: Tensor<3>, bias: Option<Tensor<1>>, options: &ConvOptions<1>) -> Tensor<3> {
    if options.groups != 1 {
        return module::conv1d(x, weight, bias, options.clone());
    }
    let ([_, channels, length], [outputs, inputs, taps]) = (x.dims(), weight.dims());
    let [(before, after)] = options.padding;
    // Few positions are cheaper as rows of a product with the weights, which stay laid out from call to call.
    let many = length + 2 * before >= options.dilation[0] * (taps - 1) + outputs;
    if options.stride == [1] && before == after && many {
        return Convolution { dilation: options.dilation[0], padding: before }.apply(x, weight, bias, None);
    }
    let operation = Strided { stride: options.stride[0], dilation: options.dilation[0], before, after };
    assert!(channels == inputs, "a convolution of {inputs} channels got {:?}", x.dims());
    let reach = operation.dilation * (taps - 1) + 1;
    assert!(length + before + after >= reach, "{length} positions with padding {before} and {after} are too few for a kernel of {reach}");
    match host::run(operation, [Some(x.into_dispatch()), Some(weight.into_dispatch()), bias.map(Tensor::into_dispatch)]) {
        Ok(y) => Tensor::from_dispatch(y),
        Err([x, weight, bias]) => module::conv1d(
            Tensor::from_dispatch(x.expect("it was given")),
            Tensor::from_dispatch(weight.expect("it was given")),
            bias.map(Tensor::from_dispatch),
            options.clone(),
        ),
    }
}

#[derive(Clone, Copy, Debug)]
struct Strided {
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
}

/// Sizes of a convolution.
#[derive(Clone, Copy)]
struct Sizes {
    channels: usize,
    /// Length of the input.
    len: usize,
    outputs: usize,
    taps: usize,
    /// Length of the result.
    long: usize,
}

impl Sizes {
    /// Numbers under one window.
    fn window(self) -> usize {
        self.channels * self.taps
    }
}

impl Strided {
    fn sizes(self, x: &FlexTensor, weight: &FlexTensor) -> Sizes {
        let at = |tensor: &FlexTensor, dim: usize| tensor.layout().shape()[dim];
        let (len, taps) = (at(x, 2), at(weight, 2));
        let long = (len + self.before + self.after - self.dilation * (taps - 1) - 1) / self.stride + 1;
        Sizes { channels: at(x, 1), len, outputs: at(weight, 0), taps, long }
    }

    /// Length of a channel with as much padding as the windows reach.
    fn padded_len(self, sizes: Sizes) -> usize {
        (sizes.long - 1) * self.stride + self.dilation * (sizes.taps - 1) + 1
    }

    /// Every channel of an item with its padding.
    fn pad(self, x: &[f32], sizes: Sizes) -> Vec<f32> {
        let long = self.padded_len(sizes);
        let mut padded = vec![0.0; sizes.channels * long];
        let (start, count) = self.inside(sizes);
        for (to, from) in padded.chunks_exact_mut(long).zip(x.chunks_exact(sizes.len.max(1))) {
            to[start..start + count].copy_from_slice(&from[..count]);
        }
        padded
    }

    /// Where the input begins in a padded channel, and how much of it the windows reach.
    fn inside(self, sizes: Sizes) -> (usize, usize) {
        let long = self.padded_len(sizes);
        let start = self.before.min(long);
        (start, sizes.len.min(long - start))
    }

    /// Whether windows of one channel can be read where they lie, overlapping.
    fn overlaps(self, sizes: Sizes) -> bool {
        sizes.channels == 1 && self.dilation == 1
    }

    /// Windows of positions `from..to` one after another, each of all channels.
    fn windows(self, padded: &[f32], sizes: Sizes, [from, to]: [usize; 2], windows: &mut Vec<f32>) {
        let long = self.padded_len(sizes);
        windows.clear();
        for t in from..to {
            for channel in padded.chunks_exact(long) {
                let start = t * self.stride;
                if self.dilation == 1 {
                    windows.extend_from_slice(&channel[start..start + sizes.taps]);
                } else {
                    windows.extend(channel[start..].iter().step_by(self.dilation).take(sizes.taps));
                }
            }
        }
    }

    /// Runs `work` on blocks of positions `[from, to]` with their windows as a matrix of `[positions, window]`.
    fn blocks(self, x: &[f32], sizes: Sizes, mut work: impl FnMut([usize; 2], (&[f32], Place))) {
        let padded = self.pad(x, sizes);
        let mut windows = Vec::new();
        for from in (0..sizes.long).step_by(POSITIONS) {
            let to = sizes.long.min(from + POSITIONS);
            if self.overlaps(sizes) {
                work([from, to], (&padded, Place { start: from * self.stride, row: self.stride, column: 1 }));
            } else {
                self.windows(&padded, sizes, [from, to], &mut windows);
                work([from, to], (&windows, Place::rows(sizes.window())));
            }
        }
    }

    /// The gradient of one item's input.
    fn input_slope(self, gradient: &[f32], weight: &Right<'_>, sizes: Sizes, dx: &mut [f32]) {
        let (window, long) = (sizes.window(), self.padded_len(sizes));
        let mut padded = vec![0.0; sizes.channels * long];
        let mut slopes = vec![0.0; window * POSITIONS.min(sizes.long)];
        for from in (0..sizes.long).step_by(POSITIONS) {
            let count = POSITIONS.min(sizes.long - from);
            let of_positions = Place::rows(sizes.long).at(from).transposed();
            let target = (&mut slopes[..count * window], Place::rows(window));
            weight.product([count, window, sizes.outputs], 1.0, (gradient, of_positions), target, false);
            for (k, slopes) in slopes[..count * window].chunks_exact(window).enumerate() {
                let start = (from + k) * self.stride;
                for (channel, slopes) in padded.chunks_exact_mut(long).zip(slopes.chunks_exact(sizes.taps)) {
                    if self.dilation == 1 {
                        add(slopes, &mut channel[start..start + sizes.taps]);
                    } else {
                        channel[start..].iter_mut().step_by(self.dilation).zip(slopes).for_each(|(sum, slope)| *sum += slope);
                    }
                }
            }
        }
        let (start, count) = self.inside(sizes);
        for (to, from) in dx.chunks_exact_mut(sizes.len.max(1)).zip(padded.chunks_exact(long)) {
            to[..count].copy_from_slice(&from[start..start + count]);
        }
    }
}

wide! {
    fn add(slopes: &[f32], sums: &mut [f32]) {
        sums.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope);
    }
}

impl Operation<3> for Strided {
    /// The bias is kept for its shape.
    const KEEP: [bool; 3] = [true, true, true];

    fn forward(self, [x, weight, bias]: [Option<FlexTensor>; 3], _: bool) -> (FlexTensor, Option<FlexTensor>) {
        let x = contiguous(x.expect("it is always given"));
        let weight = contiguous(weight.expect("it is always given"));
        let sizes = self.sizes(&x, &weight);
        let bias = bias.map(contiguous);
        let batch = x.layout().shape()[0];
        let mut out = vec![0.0; batch * sizes.outputs * sizes.long];
        let items = out.chunks_mut((sizes.outputs * sizes.long).max(1)).zip(values(&x).chunks((sizes.channels * sizes.len).max(1)));
        let place = Place { start: weight.layout().start_offset(), row: 1, column: sizes.window() };
        let few = [sizes.long, sizes.outputs, sizes.window()];
        let right = (sizes.long < sizes.outputs).then(|| Right::weight(few, &weight, place));
        each(items, |(out, x)| {
            if let Some(bias) = &bias {
                out.chunks_exact_mut(sizes.long).zip(values(bias)).for_each(|(row, &bias)| row.fill(bias));
            }
            if let Some(right) = &right {
                let mut rows = vec![0.0; sizes.long * sizes.outputs];
                self.blocks(x, sizes, |[from, to], windows| {
                    let target = (&mut rows[from * sizes.outputs..to * sizes.outputs], Place::rows(sizes.outputs));
                    right.product([to - from, sizes.outputs, sizes.window()], 1.0, windows, target, false);
                });
                for (o, out) in out.chunks_exact_mut(sizes.long).enumerate() {
                    out.iter_mut().zip(rows[o..].iter().step_by(sizes.outputs)).for_each(|(out, row)| *out += row);
                }
                return;
            }
            self.blocks(x, sizes, |[from, to], (windows, at)| {
                let dims = [sizes.outputs, to - from, sizes.window()];
                let target = (&mut *out, Place::rows(sizes.long).at(from));
                product(dims, 1.0, (values(&weight), Place::rows(sizes.window())), (windows, at.transposed()), target, true);
            });
        });
        (array(out, [batch, sizes.outputs, sizes.long].into()), None)
    }

    fn backward(self, kept: Kept<3>, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [x, weight, bias] = kept.inputs;
        let x = contiguous(x.expect("it is always kept"));
        let weight = contiguous(weight.expect("it is always kept"));
        let gradient = contiguous(gradient);
        let sizes = self.sizes(&x, &weight);
        let (item_in, item_out) = ((sizes.channels * sizes.len).max(1), (sizes.outputs * sizes.long).max(1));
        let dx = wanted[0].then(|| {
            let place = Place { start: weight.layout().start_offset(), row: sizes.window(), column: 1 };
            let right = Right::weight([POSITIONS.min(sizes.long), sizes.window(), sizes.outputs], &weight, place);
            let mut dx = vec![0.0; values(&x).len()];
            let items = dx.chunks_mut(item_in).zip(values(&gradient).chunks(item_out));
            each(items, |(dx, gradient)| self.input_slope(gradient, &right, sizes, dx));
            array(dx, shape(&x))
        });
        // Weights of strided layers are few: one thread takes the items in order.
        let dweight = wanted[1].then(|| {
            let mut dweight = vec![0.0; values(&weight).len()];
            for (x, gradient) in values(&x).chunks(item_in).zip(values(&gradient).chunks(item_out)) {
                self.blocks(x, sizes, |[from, to], windows| {
                    let dims = [sizes.outputs, sizes.window(), to - from];
                    let slopes = (gradient, Place::rows(sizes.long).at(from));
                    product(dims, 1.0, slopes, windows, (&mut dweight, Place::rows(sizes.window())), true);
                });
            }
            array(dweight, shape(&weight))
        });
        let dbias = bias.filter(|_| wanted[2]).map(|bias| {
            let mut sums = vec![0.0; sizes.outputs];
            for item in values(&gradient).chunks(item_out) {
                sums.iter_mut().zip(item.chunks_exact(sizes.long)).for_each(|(sum, row)| *sum += row.iter().sum::<f32>());
            }
            array(sums, shape(&bias))
        });
        [dx, dweight, dbias]
    }
}
