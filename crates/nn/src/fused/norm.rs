//! Layer norm and RMS norm of the last dimension, with a gain and a shift for all rows or for groups of rows, one pass each way.

use std::borrow::Cow;

use burn::{
    backend::{DispatchTensor, TensorMetadata as _, flex::FlexTensor},
    nn::LayerNorm,
    tensor::{Shape, Tensor},
};

use super::{
    host::{self, Kept, Operation, array, contiguous, each, shape, values},
    vector::{sum, sum2, wide},
};

/// Rows per part when all rows share one gain.
const ROWS: usize = 32;

/// How rows are brought to one scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    /// `(x - mean) / sqrt(variance + epsilon)` (Ba et al. 2016, arXiv:1607.06450).
    Layer {
        /// Added to the variance.
        epsilon: f32,
    },
    /// `x / sqrt(mean of squares + epsilon)` (Zhang & Sennrich 2019, arXiv:1910.07467).
    Rms {
        /// Added to the mean of squares.
        epsilon: f32,
    },
}

/// What follows the scaling of a norm: `y * gain + shift`, with `gain` and `shift` of shape `[groups, width]`: of `rows` rows, row `r`
/// takes their row `r / (rows / groups)`. One group is an affine norm.
#[derive(Clone, Debug, Default)]
pub struct Affine {
    pub(super) plus_one: bool,
    // Of any rank: a layer's own vectors serve as they are.
    pub(super) gain: Option<DispatchTensor>,
    pub(super) shift: Option<DispatchTensor>,
}

impl Affine {
    /// `y * gain + shift`, or less where one is absent.
    pub fn new(gain: Option<Tensor<2>>, shift: Option<Tensor<2>>) -> Self {
        Self { plus_one: false, gain: gain.map(Tensor::into_dispatch), shift: shift.map(Tensor::into_dispatch) }
    }

    /// `y * (1 + scale) + shift`, the modulation of adaLN (Peebles & Xie 2023, arXiv:2212.09748).
    pub fn modulation(scale: Tensor<2>, shift: Tensor<2>) -> Self {
        Self { plus_one: true, ..Self::new(Some(scale), Some(shift)) }
    }

    /// The gain and shift that a layer norm has learned.
    pub fn of(layer: &LayerNorm) -> Self {
        let (gain, shift) = (layer.gamma.val(), layer.beta.as_ref().map(|beta| beta.val()));
        Self { plus_one: false, gain: Some(gain.into_dispatch()), shift: shift.map(Tensor::into_dispatch) }
    }

    /// Refuses what does not fit rows of a norm.
    ///
    /// # Panics
    /// See [`Norm::with`].
    pub(super) fn check(&self, rows: usize, width: usize) {
        let [gain, shift] = [&self.gain, &self.shift].map(|part| part.as_ref().map(DispatchTensor::shape));
        assert!(gain.is_none() || shift.is_none() || gain == shift, "gain and shift differ in shape");
        if let Some(dims) = gain.or(shift) {
            let (groups, columns) = (dims[..dims.num_dims() - 1].iter().product::<usize>(), dims[dims.num_dims() - 1]);
            assert!(columns == width, "a norm of width {width} got a gain or shift of width {columns}");
            assert!(groups > 0 && rows.is_multiple_of(groups), "{groups} groups do not divide {rows} rows");
        }
    }
}

/// Layer norm of the last dimension with the layer's gain and shift; `epsilon` is an argument because burn's layer keeps its own
/// to itself (1e-5 unless it was configured).
///
/// # Panics
/// When the layer is not as wide as the last dimension.
pub fn layer_norm<const D: usize>(layer: &LayerNorm, epsilon: f32, x: Tensor<D>) -> Tensor<D> {
    Norm::Layer { epsilon }.with(x, Affine::of(layer))
}

impl Norm {
    /// The normalised rows, in the shape of `x`.
    #[must_use]
    pub fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        self.with(x, Affine::default())
    }

    /// `normalised(x) * gain + shift`; see [`Affine::new`].
    ///
    /// # Panics
    /// As [`with`](Self::with).
    #[must_use]
    pub fn affine<const D: usize>(self, x: Tensor<D>, gain: Option<Tensor<2>>, shift: Option<Tensor<2>>) -> Tensor<D> {
        self.with(x, Affine::new(gain, shift))
    }

    /// `normalised(x) * (1 + scale) + shift`; see [`Affine::modulation`].
    ///
    /// # Panics
    /// As [`with`](Self::with).
    #[must_use]
    pub fn modulated<const D: usize>(self, x: Tensor<D>, scale: Tensor<2>, shift: Tensor<2>) -> Tensor<D> {
        self.with(x, Affine::modulation(scale, shift))
    }

    /// The normalised rows with gain and shift.
    ///
    /// # Panics
    /// When the groups do not divide the rows, gain and shift differ in shape, or their width is not that of `x`.
    #[must_use]
    pub fn with<const D: usize>(self, x: Tensor<D>, affine: Affine) -> Tensor<D> {
        let dims = x.dims();
        let width = dims[D - 1];
        affine.check(dims[..D - 1].iter().product(), width);
        let operation = Rows { norm: self, plus_one: affine.plus_one };
        match host::run(operation, [Some(x.into_dispatch()), affine.gain, affine.shift]) {
            Ok(y) => Tensor::from_dispatch(y),
            Err([x, gain, shift]) => {
                let grouped = |part: DispatchTensor| match part.shape().num_dims() {
                    1 => Tensor::<1>::from_dispatch(part).unsqueeze::<2>(),
                    _ => Tensor::<2>::from_dispatch(part),
                };
                self.composed(Tensor::from_dispatch(x.expect("it was given")), affine.plus_one, gain.map(grouped), shift.map(grouped))
            }
        }
    }

    /// The same from burn's operations.
    pub(super) fn composed<const D: usize>(
        self,
        x: Tensor<D>,
        plus_one: bool,
        gain: Option<Tensor<2>>,
        shift: Option<Tensor<2>>,
    ) -> Tensor<D> {
        let dims = x.dims();
        if x.shape().num_elements() == 0 {
            return x;
        }
        let width = dims[D - 1];
        let rows = dims[..D - 1].iter().product::<usize>();
        let x = match self {
            Self::Layer { epsilon } => {
                let x = x.clone() - x.mean_dim(D - 1);
                x.clone() / (x.square().mean_dim(D - 1) + epsilon).sqrt()
            }
            Self::Rms { epsilon } => x.clone() / (x.square().mean_dim(D - 1) + epsilon).sqrt(),
        };
        let grouped = |y: Tensor<D>, part: &Tensor<2>| y.reshape([part.dims()[0], rows / part.dims()[0], width]);
        let mut y = x;
        if let Some(gain) = gain {
            let gain = if plus_one { gain + 1.0 } else { gain };
            y = (grouped(y, &gain) * gain.unsqueeze_dim::<3>(1)).reshape(dims);
        }
        if let Some(shift) = shift {
            y = (grouped(y, &shift) + shift.unsqueeze_dim::<3>(1)).reshape(dims);
        }
        y
    }
}

/// A norm of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    pub(super) norm: Norm,
    pub(super) plus_one: bool,
}

impl Rows {
    /// Mean to take off and factor to multiply with. Two passes over a row that is in the first cache: no cancellation.
    #[inline(always)]
    fn statistics(self, x: &[f32]) -> (f32, f32) {
        let count = x.len() as f32;
        match self.norm {
            Norm::Layer { epsilon } => {
                let mean = sum(x, |x| x) / count;
                (mean, 1.0 / (sum(x, |x| (x - mean) * (x - mean)) / count + epsilon).sqrt())
            }
            Norm::Rms { epsilon } => (0.0, 1.0 / (sum(x, |x| x * x) / count + epsilon).sqrt()),
        }
    }

    /// Gain and shift of every group: ones and zeros where they are absent.
    pub(super) fn coefficients<'a>(self, gain: Option<&'a FlexTensor>, shift: Option<&'a FlexTensor>, width: usize) -> [Cow<'a, [f32]>; 2] {
        let [mut gain, shift] = [gain, shift].map(|part| part.map(in_order));
        if let Some(gain) = gain.as_mut().filter(|_| self.plus_one) {
            gain.to_mut().iter_mut().for_each(|g| *g += 1.0);
        }
        let len = gain.as_ref().or(shift.as_ref()).map_or(width, |part| part.len());
        [gain.unwrap_or_else(|| vec![1.0; len].into()), shift.unwrap_or_else(|| vec![0.0; len].into())]
    }
}

/// A tensor's values in row-major order, copied only where they lie otherwise.
fn in_order(tensor: &FlexTensor) -> Cow<'_, [f32]> {
    match tensor.is_contiguous() {
        true => values(tensor).into(),
        false => values(&tensor.to_contiguous()).to_vec().into(),
    }
}

impl Rows {
    /// The norm of a run of rows that begins at row `first` of all, `group` rows to a group, with the [`coefficients`](Self::coefficients)
    /// of all groups.
    pub(super) fn run(self, first: usize, group: usize, (gain, shift): (&[f32], &[f32]), width: usize, x: &[f32], out: &mut [f32]) {
        let (mut row, mut from) = (first, 0);
        while from < x.len() {
            let count = ((group - row % group) * width).min(x.len() - from);
            let at = row / group * width;
            forward(self, &x[from..from + count], &gain[at..at + width], &shift[at..at + width], &mut out[from..from + count]);
            row += count / width;
            from += count;
        }
    }
}

/// Numbers per part: the rows of a group, or some of them when there is only one group, so that a part never crosses groups.
fn part_len(all: usize, width: usize, groups: usize) -> usize {
    if groups == 1 { ROWS * width } else { all / groups }
}

/// The coefficients of every part: its group's, or the only ones.
fn of_parts(coefficients: &[f32], width: usize) -> impl Iterator<Item = &[f32]> {
    coefficients.chunks(width).cycle()
}

impl Operation<3> for Rows {
    const KEEP: [bool; 3] = [true; 3];

    fn forward(self, [x, gain, shift]: [Option<FlexTensor>; 3], _: bool) -> (FlexTensor, Option<FlexTensor>) {
        let x = contiguous(x.expect("it is always given"));
        let mut out = vec![0.0; values(&x).len()];
        if out.is_empty() {
            return (array(out, shape(&x)), None);
        }
        let width = x.layout().shape()[x.layout().num_dims() - 1];
        let [gain, shift] = self.coefficients(gain.as_ref(), shift.as_ref(), width);
        let part = part_len(out.len(), width, gain.len() / width);
        let coefficients = of_parts(&gain, width).zip(of_parts(&shift, width));
        let parts = out.chunks_mut(part).zip(values(&x).chunks(part)).zip(coefficients);
        each(parts, |((out, x), (gain, shift))| forward(self, x, gain, shift, out));
        (array(out, shape(&x)), None)
    }

    fn backward(self, kept: Kept<3>, gradient: FlexTensor, _: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [x, gain, shift] = kept.inputs;
        let (gain_shape, shift_shape) = (gain.as_ref().map(shape), shift.as_ref().map(shape));
        let x = contiguous(x.expect("it is always kept"));
        let gradient = contiguous(gradient);
        let mut dx = vec![0.0; values(&x).len()];
        let zeros = |shape: Option<Shape>| shape.map(|shape| array(vec![0.0; shape.num_elements()], shape));
        if dx.is_empty() {
            return [Some(array(dx, shape(&x))), zeros(gain_shape), zeros(shift_shape)];
        }
        let width = x.layout().shape()[x.layout().num_dims() - 1];
        let [gain, _] = self.coefficients(gain.as_ref(), shift.as_ref(), width);
        let part = part_len(dx.len(), width, gain.len() / width);
        let count = dx.len().div_ceil(part);
        let (mut dgain, mut dshift) = (vec![0.0; count * width], vec![0.0; count * width]);
        let lines = dx.chunks_mut(part).zip(values(&x).chunks(part).zip(values(&gradient).chunks(part)));
        let sums = dgain.chunks_mut(width).zip(dshift.chunks_mut(width));
        each(lines.zip(sums).zip(of_parts(&gain, width)), |(((dx, (x, gradient)), (dgain, dshift)), gain)| {
            backward(self, x, gain, gradient, dx, dgain, dshift);
        });
        // The parts of the only group add up, in order; otherwise there is one part a group.
        let total = |parts: Vec<f32>, shape: Shape| {
            let mut parts = parts.chunks(width);
            let mut sum: Vec<f32> = parts.by_ref().take(gain.len() / width).flatten().copied().collect();
            parts.for_each(|part| sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part));
            array(sum, shape)
        };
        let dgain = gain_shape.map(|shape| total(dgain, shape));
        let dshift = shift_shape.map(|shape| total(dshift, shape));
        [Some(array(dx, shape(&x))), dgain, dshift]
    }
}

wide! {
    fn forward(rows: Rows, x: &[f32], gain: &[f32], shift: &[f32], out: &mut [f32]) {
        let width = gain.len();
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let (mean, factor) = rows.statistics(x);
            for ((out, &x), (&gain, &shift)) in out.iter_mut().zip(x).zip(gain.iter().zip(shift)) {
                *out = (x - mean) * factor * gain + shift;
            }
        }
    }
}

wide! {
    /// Adds to `dgain` and `dshift`, which are of one row.
    fn backward(rows: Rows, x: &[f32], gain: &[f32], gradient: &[f32], dx: &mut [f32], dgain: &mut [f32], dshift: &mut [f32]) {
        let width = gain.len();
        let lines = x.chunks_exact(width).zip(gradient.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
        for ((x, gradient), dx) in lines {
            let (mean, factor) = rows.statistics(x);
            // With n = (x - mean) factor and h = gradient * gain: dx = factor (h - mean(h) - n mean(h n)).
            for ((dx, &g), (&gain, dshift)) in dx.iter_mut().zip(gradient).zip(gain.iter().zip(dshift.iter_mut())) {
                *dx = g * gain;
                *dshift += g;
            }
            for ((dgain, &g), &x) in dgain.iter_mut().zip(gradient).zip(x) {
                *dgain += g * (x - mean) * factor;
            }
            let count = width as f32;
            let along = factor * factor * sum2(dx, x, |h, x| h * (x - mean)) / count;
            let level = match rows.norm {
                Norm::Layer { .. } => sum(dx, |h| h) / count,
                Norm::Rms { .. } => 0.0,
            };
            for (dx, &x) in dx.iter_mut().zip(x) {
                *dx = factor * (*dx - level - (x - mean) * along);
            }
        }
    }
}
