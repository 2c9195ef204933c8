//! Dilated convolution along one dimension with a filter for every channel, none of which sees another.

use burn::{backend::flex::FlexTensor, tensor::Tensor};

use super::{
    host::{self, Kept, Operation, array, contiguous, each, shape, values},
    linear::column_sums,
    vector::wide,
};

/// Positions of one part of the result.
const POSITIONS: usize = 16;

/// `y[b, t, l, c] = bias[c] + sum_k weight[k, c] x[b, t + (k - taps / 2) dilation, l, c]`, with zeros outside: a convolution over
/// time of as many sequences as there are items and lanes, channels last.
///
/// `x` and the result are `[batch, length, lanes, channels]`, `weight` `[taps, channels]`, `bias` `[channels]`.
///
/// # Panics
/// When the shapes do not fit together, or the number of taps is even.
pub fn depthwise(weight: Tensor<2>, bias: Tensor<1>, dilation: usize, x: Tensor<4>) -> Tensor<4> {
    let ([taps, channels], dims) = (weight.dims(), x.dims());
    assert!(taps % 2 == 1, "{taps} taps have no middle");
    assert!(dims[3] == channels && bias.dims() == [channels], "filters of {channels} channels got {dims:?} and a bias {:?}", bias.dims());
    let given = [Some(x.into_dispatch()), Some(weight.into_dispatch()), Some(bias.into_dispatch())];
    match host::run(Depthwise { dilation }, given) {
        Ok(y) => Tensor::from_dispatch(y),
        Err([x, weight, bias]) => composed(
            &Tensor::from_dispatch(weight.expect("it was given")),
            Tensor::from_dispatch(bias.expect("it was given")),
            dilation,
            Tensor::from_dispatch(x.expect("it was given")),
        ),
    }
}

/// The same from burn's operations.
pub(super) fn composed(weight: &Tensor<2>, bias: Tensor<1>, dilation: usize, x: Tensor<4>) -> Tensor<4> {
    let ([taps, channels], [batch, length, lanes, _]) = (weight.dims(), x.dims());
    let edge = Tensor::zeros([batch, taps / 2 * dilation, lanes, channels], (&x.device(), x.dtype()));
    let padded = Tensor::cat(vec![edge.clone(), x, edge], 1);
    let tap = |k: usize| {
        let filter = weight.clone().narrow(0, k, 1).reshape([1, 1, 1, channels]);
        padded.clone().narrow(1, k * dilation, length) * filter
    };
    (1..taps).map(tap).fold(tap(0), |sum, part| sum + part) + bias.reshape([1, 1, 1, channels])
}

#[derive(Clone, Copy, Debug)]
struct Depthwise {
    dilation: usize,
}

impl Depthwise {
    /// `(tap, t + shift)` of the taps that read inside `0..length` from position `t`; backwards the taps read the other way.
    fn inside(self, t: usize, length: usize, taps: usize, backwards: bool) -> impl Iterator<Item = (usize, usize)> {
        (0..taps).filter_map(move |tap| {
            let (ahead, back) = if backwards { (taps / 2, tap) } else { (tap, taps / 2) };
            let at = (t + ahead * self.dilation).checked_sub(back * self.dilation)?;
            (at < length).then_some((tap, at))
        })
    }

    /// The convolution, or with `backwards` its transpose, of whole items.
    fn apply(self, x: &[f32], weight: &[f32], bias: Option<&[f32]>, [length, row, channels]: [usize; 3], backwards: bool) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        let item = (length * row).max(1);
        let parts = out.chunks_mut(item).zip(x.chunks(item)).flat_map(|(out, x)| {
            out.chunks_mut((POSITIONS * row).max(1)).zip((0..).step_by(POSITIONS)).map(move |(out, first)| (out, x, first))
        });
        each(parts, |(out, x, first)| {
            for (t, out) in (first..).zip(out.chunks_mut(row)) {
                if let Some(bias) = bias {
                    out.chunks_exact_mut(channels).for_each(|out| out.copy_from_slice(bias));
                }
                for (tap, at) in self.inside(t, length, weight.len() / channels, backwards) {
                    add_filtered(out, &x[at * row..(at + 1) * row], &weight[tap * channels..(tap + 1) * channels]);
                }
            }
        });
        out
    }
}

fn sizes(x: &FlexTensor) -> [usize; 4] {
    std::array::from_fn(|dim| x.layout().shape()[dim])
}

impl Operation<3> for Depthwise {
    /// The bias is kept for its shape.
    const KEEP: [bool; 3] = [true; 3];

    fn forward(self, inputs: [Option<FlexTensor>; 3], _: bool) -> (FlexTensor, Option<FlexTensor>) {
        let [x, weight, bias] = inputs.map(|input| contiguous(input.expect("it is always given")));
        let [_, length, lanes, channels] = sizes(&x);
        let out = if values(&x).is_empty() {
            Vec::new()
        } else {
            self.apply(values(&x), values(&weight), Some(values(&bias)), [length, lanes * channels, channels], false)
        };
        (array(out, shape(&x)), None)
    }

    fn backward(self, kept: Kept<3>, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [x, weight, bias] = kept.inputs.map(|input| contiguous(input.expect("it is always kept")));
        let gradient = contiguous(gradient);
        let [batch, length, lanes, channels] = sizes(&x);
        let (row, g) = (lanes * channels, values(&gradient));
        if g.is_empty() {
            let zeros = |of: &FlexTensor| Some(array(vec![0.0; shape(of).num_elements()], shape(of)));
            return [zeros(&x), zeros(&weight), zeros(&bias)];
        }
        let dx = || array(self.apply(g, values(&weight), None, [length, row, channels], true), shape(&x));
        let dweight = || {
            // A part an item; their sums are added up in order.
            let size = values(&weight).len();
            let mut parts = vec![0.0; batch * size];
            let items = parts.chunks_mut(size).zip(values(&x).chunks(length * row).zip(g.chunks(length * row)));
            each(items, |(part, (x, g))| {
                for (t, g) in g.chunks_exact(row).enumerate() {
                    for (tap, at) in self.inside(t, length, size / channels, false) {
                        add_products(&mut part[tap * channels..(tap + 1) * channels], &x[at * row..(at + 1) * row], g);
                    }
                }
            });
            array(column_sums(&parts, size), shape(&weight))
        };
        let dbias = wanted[2].then(|| array(column_sums(g, channels), shape(&bias)));
        [wanted[0].then(dx), wanted[1].then(dweight), dbias]
    }
}

wide! {
    /// Adds `x * weight` to `out`, in rows of the weight's length.
    pub(super) fn add_filtered(out: &mut [f32], x: &[f32], weight: &[f32]) {
        for (out, x) in out.chunks_exact_mut(weight.len()).zip(x.chunks_exact(weight.len())) {
            out.iter_mut().zip(x.iter().zip(weight)).for_each(|(out, (x, weight))| *out += x * weight);
        }
    }
}

wide! {
    /// Adds the products of rows of `x` and `g` to `sums`.
    pub(super) fn add_products(sums: &mut [f32], x: &[f32], g: &[f32]) {
        for (x, g) in x.chunks_exact(sums.len()).zip(g.chunks_exact(sums.len())) {
            sums.iter_mut().zip(x.iter().zip(g)).for_each(|(sum, (x, g))| *sum += x * g);
        }
    }
}
