//! Dilated convolution of sequences as one matrix product a tap, each on a shifted window of the input.

use std::ops::Range;

use burn::{
    backend::flex::FlexTensor,
    nn::{PaddingConfig1d, conv::Conv1d},
    tensor::{Tensor, module, ops::ConvOptions},
};

use super::{
    factor::{Factor, Left, Side, product as laid_product, suits, whole_lanes, whole_terms, with_right},
    gemm::{Place, product},
    host::{self, Kept, Operation, array, contiguous, each, owned, shape, values},
    vector::{sum, wide},
};

/// Output channels that one part makes when threads share an item.
const CHANNELS: usize = 64;
/// Positions that one product makes: its result stays in the second cache from tap to tap.
pub(super) const POSITIONS: usize = 512;

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
    pub(super) fn shift(self, tap: usize) -> isize {
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
pub(super) struct Sequence<'a> {
    pub(super) values: &'a [f32],
    pub(super) channels: usize,
    pub(super) len: usize,
}

impl Sequence<'_> {
    /// Lays out positions `from..to`, read `shift` to the right and zero outside, as a part of a factor that begins at `[lane, term]`;
    /// `copy` is room for positions near the ends.
    fn put(self, packed: &mut Factor, start: [usize; 2], [from, to]: [usize; 2], shift: isize, copy: &mut Vec<f32>, as_terms: bool) {
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

/// A convolution's weights for some output channels, one matrix and one shift a tap; laid out once for all positions where that pays.
pub(super) struct Taps<'a> {
    rows: usize,
    channels: usize,
    weight: &'a [f32],
    places: Vec<(Place, isize)>,
    packed: Option<Factor>,
}

impl<'a> Taps<'a> {
    /// For `rows` output channels of sequences of `channels`, whose results have `len` positions.
    pub(super) fn new([rows, channels, len]: [usize; 3], weight: &'a [f32], places: Vec<(Place, isize)>) -> Self {
        let positions = POSITIONS.min(len);
        let packed = suits([rows, positions, places.len() * channels], positions).then(|| {
            let depth = whole_terms(channels);
            let mut packed = Factor::empty(Side::Left);
            packed.begin(rows, places.len() * depth);
            for (tap, &(at, _)) in places.iter().enumerate() {
                packed.put([0, tap * depth], rows, channels, weight, at);
            }
            packed
        });
        Self { rows, channels, weight, places, packed }
    }

    /// `out[c, t] += sum over taps and channels of weight[c, channel] input[channel, t + shift]` for positions `from..to`, at most
    /// [`POSITIONS`], of which the first is at the beginning of `at`.
    pub(super) fn add(&self, (out, at): (&mut [f32], Place), positions: [usize; 2], input: Sequence<'_>) {
        self.run((out, at), positions, input, true);
    }

    /// The same into `out`, which is these positions and nothing else.
    pub(super) fn write(&self, out: &mut [f32], [from, to]: [usize; 2], input: Sequence<'_>) {
        if self.packed.is_none() {
            out.fill(0.0);
        }
        self.run((out, Place::rows(to - from)), [from, to], input, self.packed.is_none());
    }

    fn run(&self, (out, at): (&mut [f32], Place), [from, to]: [usize; 2], input: Sequence<'_>, add: bool) {
        let Some(left) = &self.packed else {
            for &(place, shift) in &self.places {
                let positions = inside(from, to, shift, input.len);
                if positions.is_empty() {
                    continue;
                }
                let window = Place::rows(input.len).at(positions.start.strict_add_signed(shift));
                let target = at.at(positions.start - from);
                let sizes = [self.rows, positions.len(), self.channels];
                product(sizes, 1.0, (self.weight, place), (input.values, window), (out, target), true);
            }
            return;
        };
        let depth = whole_terms(self.channels);
        let mut copy = Vec::new();
        with_right(|right| {
            right.begin(to - from, self.places.len() * depth);
            for (tap, &(_, shift)) in self.places.iter().enumerate() {
                input.put(right, [0, tap * depth], [from, to], shift, &mut copy, false);
            }
            laid_product(Left::Laid(left), right, 1.0, (out, at), add, None);
        });
    }

    /// [`add`](Self::add) to all positions of `out`, rows of `len`.
    fn add_all(&self, out: &mut [f32], len: usize, input: Sequence<'_>) {
        for from in (0..len).step_by(POSITIONS) {
            self.add((out, Place::rows(len).at(from)), [from, len.min(from + POSITIONS)], input);
        }
    }
}

/// The gradient of a convolution's weights for some output channels, summed over positions.
#[derive(Clone, Debug)]
pub(super) struct Slopes {
    /// `[rows, taps, width]`.
    values: Vec<f32>,
    inputs: usize,
    taps: usize,
    /// `inputs`, rounded up where factors are laid out.
    width: usize,
    is_laid_out: bool,
}

impl Slopes {
    /// Zeros, for products over `len` positions.
    pub(super) fn new([rows, inputs, taps]: [usize; 3], len: usize) -> Self {
        let is_laid_out = suits([rows.min(CHANNELS), inputs * taps, POSITIONS.min(len)], rows.min(CHANNELS) + inputs * taps);
        let width = if is_laid_out { whole_lanes(inputs) } else { inputs };
        Self { values: vec![0.0; rows * taps * width], inputs, taps, width, is_laid_out }
    }

    /// `slopes[c, k, i] += sum over positions from..to of gradient[c, t] input[i, t + shifts[k]]`.
    pub(super) fn add(&mut self, gradient: Sequence<'_>, [from, to]: [usize; 2], input: Sequence<'_>, shifts: &[isize]) {
        let (rows, columns) = (gradient.channels, self.taps * self.width);
        if !self.is_laid_out {
            for (tap, &shift) in shifts.iter().enumerate() {
                let positions = inside(from, to, shift, input.len);
                if positions.is_empty() {
                    continue;
                }
                let slope = Place::rows(gradient.len).at(positions.start);
                let window = Place::rows(input.len).at(positions.start.strict_add_signed(shift)).transposed();
                let target = Place::rows(columns).at(tap * self.width);
                let sizes = [rows, self.inputs, positions.len()];
                product(sizes, 1.0, (gradient.values, slope), (input.values, window), (&mut self.values, target), true);
            }
            return;
        }
        let mut copy = Vec::new();
        with_right(|right| {
            for from in (from..to).step_by(POSITIONS) {
                let to = to.min(from + POSITIONS);
                let left = Left::Here(rows, gradient.values, Place::rows(gradient.len).at(from));
                right.begin(columns, to - from);
                for (tap, &shift) in shifts.iter().enumerate() {
                    input.put(right, [tap * self.width, 0], [from, to], shift, &mut copy, true);
                }
                laid_product(left, right, 1.0, (&mut self.values, Place::rows(columns)), true, None);
            }
        });
    }

    /// Adds another sum of the same kind.
    pub(super) fn merge(&mut self, other: &Self) {
        self.values.iter_mut().zip(&other.values).for_each(|(sum, more)| *sum += more);
    }

    /// Writes the slopes in the order of a convolution's weights, `[rows, inputs, taps]`.
    pub(super) fn write(&self, out: &mut [f32]) {
        let rows = self.values.chunks_exact((self.taps * self.width).max(1));
        for (row, slopes) in out.chunks_exact_mut((self.inputs * self.taps).max(1)).zip(rows) {
            for (tap, slopes) in slopes.chunks_exact(self.width).enumerate() {
                row[tap..].iter_mut().step_by(self.taps).zip(slopes).for_each(|(slope, sum)| *slope = *sum);
            }
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
            let taps = Taps::new([out.len() / long, inputs, long], values(&weight), places);
            taps.add_all(out, long, Sequence { values: x, channels: inputs, len });
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
                let taps = Taps::new([dx.len() / len, outputs, len], values(&weight), places);
                taps.add_all(dx, len, Sequence { values: g, channels: outputs, len: long });
            });
            array(dx, shape(&x))
        };
        let dweight = || {
            let mut dweight = vec![0.0; values(&weight).len()];
            let channels = channels_of_part(outputs);
            let shifts: Vec<_> = (0..taps).map(|tap| self.shift(tap)).collect();
            each(dweight.chunks_mut((channels * inputs * taps).max(1)).enumerate(), |(part, dweight)| {
                let rows = dweight.len() / (inputs * taps);
                let mut slopes = Slopes::new([rows, inputs, taps], long);
                for (x, g) in items() {
                    let g = &g[part * channels * long..][..rows * long];
                    slopes.add(Sequence { values: g, channels: rows, len: long }, [0, long], sequence(x, inputs), &shifts);
                }
                slopes.write(dweight);
            });
            array(dweight, shape(&weight))
        };
        let (dx, dweight) = host::join(|| wanted[0].then(dx), || wanted[1].then(dweight));
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

pub(super) fn sizes(tensor: &FlexTensor) -> [usize; 3] {
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
