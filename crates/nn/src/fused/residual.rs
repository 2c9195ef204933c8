//! Residual layers of gated convolutions in one operation: positions pass through both convolutions while they are in the caches.

use std::{borrow::Cow, cell::RefCell, f32::consts::FRAC_1_SQRT_2, mem::MaybeUninit};

use burn::{
    backend::flex::FlexTensor,
    nn::{PaddingConfig1d, conv::Conv1d},
    tensor::Tensor,
};

use super::{
    conv::{Convolution, POSITIONS, Sequence, Slopes, Taps, conv1d, sizes},
    gate::{Gate, tanh_forward},
    gemm::Place,
    host::{self, Blank, Kept, Operation, array, contiguous, each, first, map, owned, shape, values},
    vector::{sigmoid, sum, tanh, wide},
};

/// Positions of a part of the gradient.
const PART: usize = 2 * POSITIONS;

/// A residual layer of DiffWave (Kong et al. 2021, arXiv:2009.09761, figure 2): `y = dilated(x + step) + told`,
/// `m = mix(tanh(y1) sigmoid(y2))`, then `x = (x + m1) / sqrt(2)` and `skips = skips + m2`, where 1 and 2 are halves of the channels.
#[derive(Clone, Copy, Debug)]
pub struct GatedResidual<'a> {
    /// From `C` channels to twice as many as the gate has.
    pub dilated: &'a Conv1d,
    /// From the gate's channels to `2 C`; of kernel 1.
    pub mix: &'a Conv1d,
}

impl GatedResidual<'_> {
    /// The layer's next state. `state` is `[batch, 2 C, length]`: `x`, then the sum of skips. `step` is `[batch, C]`, and `told`
    /// `[batch, outputs of dilated, length or 1]`.
    ///
    /// # Panics
    /// When shapes do not fit together, or the first convolution changes the length.
    #[must_use]
    pub fn forward(self, state: Tensor<3>, step: Option<Tensor<2>>, told: Option<Tensor<3>>) -> Tensor<3> {
        let [batch, both, len] = state.dims();
        let [outer, inner, kernel] = self.mix.weight.dims();
        let [outputs, inputs, taps] = self.dilated.weight.dims();
        assert!(
            [outer, 2 * inputs, 2 * inner, kernel] == [both, both, outputs, 1],
            "convolutions of {:?} and {:?} make no layer of a state of {both} channels",
            self.dilated.weight.dims(),
            self.mix.weight.dims()
        );
        assert!(step.as_ref().is_none_or(|step| step.dims() == [batch, inputs]), "the step is not of shape [{batch}, {inputs}]");
        let told_fits = |told: &Tensor<3>| told.dims() == [batch, outputs, len] || told.dims() == [batch, outputs, 1];
        assert!(told.as_ref().is_none_or(told_fits), "what is told is not of shape [{batch}, {outputs}, {len} or 1]");
        if batch * both * len == 0 {
            return state;
        }
        let dilation = self.dilated.dilation;
        let is_plain = |layer: &Conv1d| layer.stride == 1 && layer.groups == 1;
        let keeps_length = match self.dilated.padding {
            PaddingConfig1d::Explicit(left, right) => left == right && left + right == dilation * (taps - 1),
            PaddingConfig1d::Valid => taps == 1,
            _ => false,
        };
        let is_mix = matches!(self.mix.padding, PaddingConfig1d::Valid | PaddingConfig1d::Explicit(0, 0));
        if !(keeps_length && is_mix && is_plain(self.dilated) && is_plain(self.mix)) {
            return self.composed(state, step, told);
        }
        let layer = Layer {
            convolution: Convolution { dilation, padding: dilation * (taps - 1) / 2 },
            told_once: told.as_ref().is_some_and(|told| told.dims()[2] != len),
        };
        let bias = |layer: &Conv1d| layer.bias.as_ref().map(|bias| bias.val().into_dispatch());
        let given = [
            Some(state.into_dispatch()),
            Some(self.dilated.weight.val().into_dispatch()),
            bias(self.dilated),
            Some(self.mix.weight.val().into_dispatch()),
            bias(self.mix),
            step.map(Tensor::into_dispatch),
            told.map(Tensor::into_dispatch),
        ];
        match host::run(layer, given) {
            Ok(next) => Tensor::from_dispatch(next),
            Err([state, _, _, _, _, step, told]) => {
                let state = Tensor::from_dispatch(state.expect(GIVEN));
                self.composed(state, step.map(Tensor::from_dispatch), told.map(Tensor::from_dispatch))
            }
        }
    }

    /// The same from single operations.
    pub(super) fn composed(self, state: Tensor<3>, step: Option<Tensor<2>>, told: Option<Tensor<3>>) -> Tensor<3> {
        let channels = state.dims()[1] / 2;
        let (x, skips) = (state.clone().narrow(1, 0, channels), state.narrow(1, channels, channels));
        let stepped = match step {
            Some(step) => x.clone() + step.unsqueeze_dim::<3>(2),
            None => x.clone(),
        };
        let y = conv1d(self.dilated, stepped, None);
        let y = match told {
            Some(told) => y + told,
            None => y,
        };
        let mixed = conv1d(self.mix, Gate::Tanh.apply(y, 1), None);
        let x = (x + mixed.clone().narrow(1, 0, channels)).mul_scalar(FRAC_1_SQRT_2);
        Tensor::cat(vec![x, skips + mixed.narrow(1, channels, channels)], 1)
    }
}

const GIVEN: &str = "it is always given";

#[derive(Clone, Copy, Debug)]
struct Layer {
    convolution: Convolution,
    /// What is told is the same at all positions.
    told_once: bool,
}

/// Results of a part on their way.
#[derive(Default)]
struct Room {
    /// Of as many channels as the gate takes, or the state has.
    wide: Vec<f32>,
    /// Of as many channels as the gate gives, or `x` has.
    narrow: Vec<f32>,
    more: Vec<f32>,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// Cuts sequences of `channels` rows of `len` positions into parts of `width` positions: the pieces of an item's rows, part by part.
fn parts<T>(values: &mut [T], [channels, len]: [usize; 2], width: usize) -> Vec<Vec<&mut [T]>> {
    let count = len.div_ceil(width);
    let mut parts = Vec::with_capacity(values.len() / (channels * len) * count);
    for item in values.chunks_exact_mut(channels * len) {
        let start = parts.len();
        parts.extend((0..count).map(|_| Vec::with_capacity(channels)));
        for row in item.chunks_exact_mut(len) {
            row.chunks_mut(width).zip(&mut parts[start..]).for_each(|(piece, part)| part.push(piece));
        }
    }
    parts
}

/// What the first convolution reads: `x`, with the step added where there is one.
struct Streams<'a> {
    values: Cow<'a, [f32]>,
    /// From item to item.
    stride: usize,
    channels: usize,
    len: usize,
}

impl<'a> Streams<'a> {
    fn new(state: &'a FlexTensor, step: Option<&FlexTensor>) -> Self {
        let [_, both, len] = sizes(state);
        let channels = both / 2;
        let Some(step) = step else { return Self { values: values(state).into(), stride: both * len, channels, len } };
        let mut stepped = Vec::with_capacity(values(state).len() / 2);
        for (item, steps) in values(state).chunks_exact(both * len).zip(values(step).chunks_exact(channels)) {
            item.chunks_exact(len).zip(steps).for_each(|(row, step)| stepped.extend(row.iter().map(|x| x + step)));
        }
        Self { values: stepped.into(), stride: channels * len, channels, len }
    }

    fn item(&self, item: usize) -> Sequence<'_> {
        let values = &self.values[item * self.stride..][..self.channels * self.len];
        Sequence { values, channels: self.channels, len: self.len }
    }
}

impl Layer {
    /// Fills `y` with what is added to the first convolution's results at positions `from..to` of an item.
    fn begin(self, y: &mut [f32], [from, to]: [usize; 2], len: usize, bias: Option<&[f32]>, told: Option<&[f32]>) {
        for (c, row) in y.chunks_exact_mut(to - from).enumerate() {
            let bias = bias.map_or(0.0, |bias| bias[c]);
            match told {
                None => row.fill(bias),
                Some(told) if self.told_once => row.fill(bias + told[c]),
                Some(told) => row.iter_mut().zip(&told[c * len + from..]).for_each(|(y, told)| *y = bias + told),
            }
        }
    }
}

impl Operation<7> for Layer {
    /// What is told is not read; biases are kept for their shape.
    const KEEP: [bool; 7] = [true, true, true, true, true, true, false];

    fn forward(self, inputs: [Option<FlexTensor>; 7], tracked: bool) -> (FlexTensor, Option<FlexTensor>) {
        let [state, dilated, dilated_bias, mix, mix_bias, step, told] = inputs.map(|input| input.map(contiguous));
        let (state, dilated, mix) = (state.expect(GIVEN), dilated.expect(GIVEN), mix.expect(GIVEN));
        let ([batch, both, len], [outputs, channels, taps]) = (sizes(&state), sizes(&dilated));
        let inner = outputs / 2;
        let mut out = Blank::new(batch * both * len);
        let mut before = Blank::new(if tracked { batch * outputs * len } else { 0 });
        let streams = Streams::new(&state, step.as_ref());
        let places = (0..taps).map(|k| (Place { start: k, row: channels * taps, column: taps }, self.convolution.shift(k))).collect();
        let first_taps = Taps::new([outputs, channels, len], values(&dilated), places);
        let last_taps = Taps::new([both, inner, len], values(&mix), vec![(Place::rows(inner), 0)]);
        let [dilated_bias, mix_bias, told] = [&dilated_bias, &mix_bias, &told].map(|part| part.as_ref().map(values));
        let count = len.div_ceil(POSITIONS);
        let mut kept = parts(&mut before.0, [outputs, len], POSITIONS).into_iter();
        let work = parts(&mut out.0, [both, len], POSITIONS).into_iter().map(|out| (out, kept.next())).enumerate();
        each(work, |(k, (out, kept))| {
            let (item, from) = (k / count, k % count * POSITIONS);
            let to = len.min(from + POSITIONS);
            let size = to - from;
            ROOM.with_borrow_mut(|Room { wide, narrow, more }| {
                let y = first(wide, outputs * size);
                let told = told.map(|told| &told[item * told.len() / batch..][..told.len() / batch]);
                self.begin(y, [from, to], len, dilated_bias, told);
                first_taps.add((y, Place::rows(size)), [from, to], streams.item(item));
                kept.into_iter().flatten().zip(y.chunks_exact(size)).for_each(|(kept, y)| _ = kept.write_copy_of_slice(y));
                let gated = first(narrow, inner * size);
                let (a, b) = y.split_at(inner * size);
                tanh_forward(a, b, gated);
                let mixed = first(more, both * size);
                self.begin(mixed, [0, size], size, mix_bias, None);
                last_taps.add((mixed, Place::rows(size)), [0, size], Sequence { values: gated, channels: inner, len: size });
                let old = values(&state)[item * both * len..].chunks_exact(len);
                for (c, ((out, mixed), old)) in out.into_iter().zip(mixed.chunks_exact(size)).zip(old).enumerate() {
                    join(&old[from..to], mixed, factor(c, both), out);
                }
            });
        });
        // SAFETY: the parts are all rows and positions, and each was written.
        let [out, before] = [out, before].map(|values| unsafe { values.written() });
        (array(out, shape(&state)), tracked.then(|| array(before, [batch, outputs, len].into())))
    }

    fn backward(self, kept: Kept<7>, gradient: FlexTensor, wanted: [bool; 7]) -> [Option<FlexTensor>; 7] {
        let [state, dilated, dilated_bias, mix, mix_bias, step, _] = kept.inputs.map(|input| input.map(contiguous));
        let (state, dilated, mix) = (state.expect(GIVEN), dilated.expect(GIVEN), mix.expect(GIVEN));
        let ([batch, both, len], [outputs, channels, taps]) = (sizes(&state), sizes(&dilated));
        let inner = outputs / 2;
        let count = len.div_ceil(PART);
        // First what the gate took, then its gradient.
        let mut before = owned(kept.extra.expect("a tracked layer keeps what its gate took"));
        let mut gradient = owned(gradient);
        let ends = {
            let back = vec![(Place::rows(inner).transposed(), 0)];
            let weights = Taps::new([inner, both, len], values(&mix), back);
            let gradient = values(&gradient);
            map(parts(before.storage_mut(), [outputs, len], PART), |k, before| {
                let item = Sequence { values: &gradient[k / count * both * len..][..both * len], channels: both, len };
                behind_gate(item, k % count * PART, before, &weights)
            })
        };
        let streams = Streams::new(&state, step.as_ref());
        let starts = {
            let back = |k| (Place { start: k, row: taps, column: channels * taps }, -self.convolution.shift(k));
            let weights = Taps::new([channels, outputs, len], values(&dilated), (0..taps).map(back).collect());
            let weights = (wanted[0] || wanted[5]).then_some(&weights);
            let shifts: Vec<_> = (0..taps).map(|tap| self.convolution.shift(tap)).collect();
            let before = values(&before);
            map(parts(gradient.storage_mut(), [both, len], PART), |k, out| {
                let slope = Sequence { values: &before[k / count * outputs * len..][..outputs * len], channels: outputs, len };
                before_gate((slope, streams.item(k / count)), k % count * PART, out, weights, &shifts)
            })
        };
        let of_weight = |parts: &[Part], like: &FlexTensor| {
            let (first, rest) = parts.split_first().expect("a state that is not empty has a part");
            let mut slopes = first.slopes.clone();
            rest.iter().for_each(|part| slopes.merge(&part.slopes));
            let mut out = vec![0.0; values(like).len()];
            slopes.write(&mut out);
            array(out, shape(like))
        };
        let of_items = |parts: &[Part], of: fn(&Part) -> &[f32]| parts.chunks(count).flat_map(|item| total(item, of)).collect::<Vec<f32>>();
        let ddilated = wanted[1].then(|| of_weight(&starts, &dilated));
        let ddilated_bias = dilated_bias.filter(|_| wanted[2]).map(|bias| array(total(&ends, |end| &end.taken), shape(&bias)));
        let dmix = wanted[3].then(|| of_weight(&ends, &mix));
        let dmix_bias = mix_bias.filter(|_| wanted[4]).map(|bias| array(total(&ends, |end| &end.rows), shape(&bias)));
        let dstep = step.filter(|_| wanted[5]).map(|step| array(of_items(&starts, |start| &start.rows), shape(&step)));
        let dtold = wanted[6].then(|| match self.told_once {
            true => array(of_items(&ends, |end| &end.taken), [batch, outputs, 1].into()),
            false => before,
        });
        [wanted[0].then_some(gradient), ddilated, ddilated_bias, dmix, dmix_bias, dstep, dtold]
    }
}

/// What the positions of a part add to the gradient of a convolution.
struct Part {
    slopes: Slopes,
    /// Row sums of the gradient of the state, or of the first convolution's input.
    rows: Vec<f32>,
    /// Those of the gradient of what the gate takes.
    taken: Vec<f32>,
}

/// Sums of all parts, in order.
fn total(parts: &[Part], of: fn(&Part) -> &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0; parts.first().map_or(0, |part| of(part).len())];
    parts.iter().for_each(|part| sums.iter_mut().zip(of(part)).for_each(|(sum, more)| *sum += more));
    sums
}

/// From the gradient of the next state to that of what the gate takes, which is written over the latter from position `start` on.
fn behind_gate(gradient: Sequence<'_>, start: usize, mut before: Vec<&mut [f32]>, weights: &Taps<'_>) -> Part {
    let (both, inner) = (gradient.channels, before.len() / 2);
    let mut part = Part { slopes: Slopes::new([both, inner, 1], gradient.len), rows: vec![0.0; both], taken: vec![0.0; 2 * inner] };
    let end = before[0].len();
    let (a, b) = before.split_at_mut(inner);
    let (taken_a, taken_b) = part.taken.split_at_mut(inner);
    ROOM.with_borrow_mut(|Room { wide, narrow, more }| {
        for from in (0..end).step_by(POSITIONS) {
            let to = end.min(from + POSITIONS);
            let size = to - from;
            let mixed = first(wide, both * size);
            for (c, (mixed, row)) in mixed.chunks_exact_mut(size).zip(gradient.values.chunks_exact(gradient.len)).enumerate() {
                part.rows[c] += scaled(&row[start + from..start + to], factor(c, both), mixed);
            }
            let mixed = Sequence { values: mixed, channels: both, len: size };
            let (slope, gated) = (first(narrow, inner * size), first(more, inner * size));
            weights.write(slope, [0, size], mixed);
            let rows = a.iter_mut().zip(b.iter_mut()).zip(taken_a.iter_mut().zip(taken_b.iter_mut()));
            for (((a, b), (taken_a, taken_b)), (slope, gated)) in rows.zip(slope.chunks_exact(size).zip(gated.chunks_exact_mut(size))) {
                let (a, b) = (&mut a[from..to], &mut b[from..to]);
                gate(a, b, slope, gated);
                *taken_a += row_sum(a);
                *taken_b += row_sum(b);
            }
            part.slopes.add(mixed, [0, size], Sequence { values: gated, channels: inner, len: size }, &[0]);
        }
    });
    part
}

/// From the gradient of what the gate takes, and that of the next state in `out`, to the gradient of the state, where it is wanted.
fn before_gate(
    (slope, x): (Sequence<'_>, Sequence<'_>),
    start: usize,
    mut out: Vec<&mut [f32]>,
    weights: Option<&Taps<'_>>,
    shifts: &[isize],
) -> Part {
    let (both, channels) = (out.len(), x.channels);
    let slopes = Slopes::new([slope.channels, channels, shifts.len()], x.len);
    let mut part = Part { slopes, rows: vec![0.0; channels], taken: Vec::new() };
    let end = out[0].len();
    ROOM.with_borrow_mut(|Room { narrow, .. }| {
        for from in (0..end).step_by(POSITIONS) {
            let to = end.min(from + POSITIONS);
            let (size, positions) = (to - from, [start + from, start + to]);
            if let Some(weights) = weights {
                let back = first(narrow, channels * size);
                weights.write(back, positions, slope);
                for (c, (out, back)) in out.iter_mut().zip(back.chunks_exact(size)).enumerate() {
                    part.rows[c] += row_sum(back);
                    add_to_scaled(&mut out[from..to], factor(c, both), back);
                }
            }
            part.slopes.add(slope, positions, x, shifts);
        }
    });
    part
}

/// By what a channel of the next state was multiplied.
const fn factor(channel: usize, both: usize) -> f32 {
    if channel < both / 2 { FRAC_1_SQRT_2 } else { 1.0 }
}

wide! {
    fn join(old: &[f32], mixed: &[f32], factor: f32, out: &mut [MaybeUninit<f32>]) {
        for ((out, old), mixed) in out.iter_mut().zip(old).zip(mixed) {
            out.write((old + mixed) * factor);
        }
    }
}

wide! {
    /// Writes `x * factor`, and gives its sum.
    fn scaled(x: &[f32], factor: f32, out: &mut [f32]) -> f32 {
        for (out, x) in out.iter_mut().zip(x) {
            *out = x * factor;
        }
        sum(out, |x| x)
    }
}

wide! {
    fn add_to_scaled(out: &mut [f32], factor: f32, x: &[f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = *out * factor + x;
        }
    }
}

wide! {
    fn row_sum(x: &[f32]) -> f32 {
        sum(x, |x| x)
    }
}

wide! {
    /// Replaces what the gate took by its gradient, given that of the result, and writes the result.
    fn gate(a: &mut [f32], b: &mut [f32], gradient: &[f32], out: &mut [f32]) {
        for (((a, b), &g), out) in a.iter_mut().zip(b).zip(gradient).zip(out) {
            let (t, s) = (tanh(*a), sigmoid(*b));
            *a = g * s * (1.0 - t * t);
            *b = g * t * s * (1.0 - s);
            *out = t * s;
        }
    }
}
