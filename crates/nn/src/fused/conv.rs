//! Dilated convolution of sequences as one matrix product a tap, each on a shifted window of the input.

use std::ops::Range;

use burn::{
    backend::flex::FlexTensor,
    nn::{PaddingConfig1d, conv::Conv1d},
    tensor::{Tensor, module, ops::ConvOptions},
};

use super::{
    gemm::{Place, product, suits_tiles, with_room},
    host::{self, Kept, Operation, array, contiguous, each, owned, shape, values},
    tiles::{self, Packed},
    vector::{sum, wide},
};

/// Output channels that one part makes when threads share an item.
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
    let (weight, bias) = (layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()));
    Convolution { dilation: layer.dilation, padding }.apply(x, weight, bias, residual)
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
    /// The convolution, plus `residual` when it is given.
    ///
    /// # Panics
    /// As [`conv1d`].
    pub(super) fn apply(self, x: Tensor<3>, weight: Tensor<3>, bias: Option<Tensor<1>>, residual: Option<Tensor<3>>) -> Tensor<3> {
        let [batch, channels, length] = x.dims();
        let [outputs, inputs, taps] = weight.dims();
        let (padding, reach) = (self.padding, self.dilation * (taps - 1));
        assert!(channels == inputs, "a convolution of {inputs} channels got {:?}", x.dims());
        assert!(
            length + 2 * padding > reach,
            "{length} positions with padding {padding} are too few for a kernel that spans {}",
            reach + 1
        );
        let dims = [batch, outputs, length + 2 * padding - reach];
        assert!(residual.as_ref().is_none_or(|residual| residual.dims() == dims), "the residual is not of shape {dims:?}");
        let given =
            [Some(x.into_dispatch()), Some(weight.into_dispatch()), bias.map(Tensor::into_dispatch), residual.map(Tensor::into_dispatch)];
        match host::run(self, given) {
            Ok(y) => Tensor::from_dispatch(y),
            Err([x, weight, bias, residual]) => self.composed(
                Tensor::from_dispatch(x.expect("it was given")),
                Tensor::from_dispatch(weight.expect("it was given")),
                bias.map(Tensor::from_dispatch),
                residual.map(Tensor::from_dispatch),
            ),
        }
    }

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

impl Sequence<'_> {
    /// Lays out positions `from..to`, read `shift` to the right and zero outside, as a part of a factor that begins at `[lane, term]`;
    /// `copy` is room for positions near the ends.
    fn put(self, packed: &mut Packed, start: [usize; 2], [from, to]: [usize; 2], shift: isize, copy: &mut Vec<f32>, as_terms: bool) {
        let positions = inside(from, to, shift, self.len);
        let turned = |place: Place| if as_terms { place.transposed() } else { place };
        let count = to - from;
        let [lanes, terms] = if as_terms { [self.channels, count] } else { [count, self.channels] };
        if positions.len() == count {
            let place = Place::rows(self.len).at(from.strict_add_signed(shift));
            return packed.put(start, lanes, terms, self.values, turned(place));
        }
        copy.clear();
        copy.resize(self.channels * count, 0.0);
        if !positions.is_empty() {
            let read = positions.start.strict_add_signed(shift);
            for (copy, row) in copy.chunks_exact_mut(count).zip(self.values.chunks_exact(self.len)) {
                copy[positions.start - from..positions.end - from].copy_from_slice(&row[read..read + positions.len()]);
            }
        }
        packed.put(start, lanes, terms, copy, turned(Place::rows(count)));
    }
}

/// Channels of one part: all where one thread runs all parts, so that the input is laid out once. No bit depends on it.
fn channels_of_part(all: usize) -> usize {
    if rayon::current_num_threads() == 1 { all.max(1) } else { CHANNELS }
}

/// `out[c, t] += sum over taps and channels of weight[c, channel] input[channel, t + shift]`, for `out` of rows of `len` positions and
/// one weight and shift a tap.
fn add_shifted(out: &mut [f32], len: usize, input: Sequence<'_>, weight: &[f32], taps: &[(Place, isize)]) {
    let rows = out.len() / len;
    if suits_tiles([rows, POSITIONS.min(len), taps.len() * input.channels], POSITIONS.min(len)) {
        return add_shifted_on_tiles(out, len, input, weight, taps);
    }
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

/// The same with all taps in one product.
fn add_shifted_on_tiles(out: &mut [f32], len: usize, input: Sequence<'_>, weight: &[f32], taps: &[(Place, isize)]) {
    let rows = out.len() / len;
    let depth = input.channels.next_multiple_of(tiles::LANES);
    let mut copy = Vec::new();
    with_room(|left, right| {
        left.begin(rows, taps.len() * depth);
        for (tap, &(at, _)) in taps.iter().enumerate() {
            left.put([0, tap * depth], rows, input.channels, weight, at);
        }
        for from in (0..len).step_by(POSITIONS) {
            let to = len.min(from + POSITIONS);
            right.begin(to - from, taps.len() * depth);
            for (tap, &(_, shift)) in taps.iter().enumerate() {
                input.put(right, [0, tap * depth], [from, to], shift, &mut copy, false);
            }
            tiles::product(left, right, 1.0, out, Place::rows(len).at(from), true, None);
        }
    });
}

/// `slopes[c, k, i] += sum over positions of gradient[c, t] input[i, t + shifts[k]]`, with room for a multiple of 32 inputs.
fn add_slopes_on_tiles(slopes: &mut [f32], gradient: Sequence<'_>, first: usize, input: Sequence<'_>, shifts: &[isize]) {
    let width = input.channels.next_multiple_of(tiles::LANES);
    let columns = shifts.len() * width;
    let rows = slopes.len() / columns;
    let mut copy = Vec::new();
    with_room(|left, right| {
        for from in (0..gradient.len).step_by(POSITIONS) {
            let to = gradient.len.min(from + POSITIONS);
            left.fill(rows, to - from, gradient.values, Place::rows(gradient.len).at(first * gradient.len + from));
            right.begin(columns, to - from);
            for (tap, &shift) in shifts.iter().enumerate() {
                input.put(right, [tap * width, 0], [from, to], shift, &mut copy, true);
            }
            tiles::product(left, right, 1.0, slopes, Place::rows(columns), true, None);
        }
    });
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
        let channels = channels_of_part(outputs);
        // Parts of some channels of one item.
        let items = out.storage_mut::<f32>().chunks_mut((outputs * long).max(1)).zip(values(&x).chunks((inputs * len).max(1)));
        let parts = items.flat_map(|(out, x)| out.chunks_mut(channels * long).map(move |out| (out, x)).enumerate());
        each(parts, |(part, (out, x))| {
            let first = part * channels;
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
            let channels = channels_of_part(inputs);
            let parts = dx.chunks_mut(item_in).zip(values(&gradient).chunks(item_out));
            let parts = parts.flat_map(|(dx, g)| dx.chunks_mut((channels * len).max(1)).map(move |dx| (dx, g)).enumerate());
            each(parts, |(part, (dx, g))| {
                let first = part * channels * taps;
                let places: Vec<_> =
                    (0..taps).map(|k| (Place { start: first + k, row: taps, column: inputs * taps }, -self.shift(k))).collect();
                add_shifted(dx, len, Sequence { values: g, channels: outputs, len: long }, values(&weight), &places);
            });
            array(dx, shape(&x))
        };
        let dweight = || {
            let mut dweight = vec![0.0; values(&weight).len()];
            let channels = channels_of_part(outputs);
            let on_tiles = suits_tiles([outputs.min(CHANNELS), inputs * taps, POSITIONS.min(long)], outputs.min(CHANNELS) + inputs * taps);
            let shifts: Vec<_> = (0..taps).map(|tap| self.shift(tap)).collect();
            each(dweight.chunks_mut((channels * inputs * taps).max(1)).enumerate(), |(part, dweight)| {
                let rows = dweight.len() / (inputs * taps);
                if on_tiles {
                    let width = inputs.next_multiple_of(tiles::LANES);
                    let mut slopes = vec![0.0; rows * taps * width];
                    for (x, g) in items() {
                        let (gradient, input) = (sequence(g, outputs), sequence(x, inputs));
                        add_slopes_on_tiles(&mut slopes, gradient, part * channels, input, &shifts);
                    }
                    for (row, slopes) in dweight.chunks_exact_mut(inputs * taps).zip(slopes.chunks_exact(taps * width)) {
                        row.iter_mut().enumerate().for_each(|(k, slope)| *slope = slopes[k % taps * width + k / taps]);
                    }
                    return;
                }
                for (x, g) in items() {
                    for tap in 0..taps {
                        let shift = self.shift(tap);
                        let positions = inside(0, long, shift, len);
                        if positions.is_empty() {
                            continue;
                        }
                        let slope = Place::rows(long).at(part * channels * long + positions.start);
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

fn sequence(values: &[f32], channels: usize) -> Sequence<'_> {
    Sequence { values, channels, len: values.len() / channels }
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
