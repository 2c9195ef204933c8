//! Depthwise convolution for block diffusion: a noised and a clean copy of a sequence, cut into blocks that see no later block.

use burn::{
    backend::flex::FlexTensor,
    tensor::{Device, Int, Tensor, TensorData},
};

use super::{
    depthwise::{add_filtered, add_products},
    host::{self, Kept, Operation, array, contiguous, each, shape, values},
    linear::column_sums,
};

/// A convolution over two copies of a sequence, `x` of shape `[batch, 2 * length, channels]`: noised rows, then clean ones
/// (Arriola et al. 2025, arXiv:2503.09573, extended to convolutions). Cut into blocks of `block` rows, a noised row sees the noised rows of its own block and the
/// clean rows before it, a clean row the clean rows up to the end of its own block; what a filter would see beyond is zero.
///
/// `weight` is `[taps, channels]`, `bias` `[channels]`; the result has the shape of `x`.
///
/// # Panics
/// When the shapes do not fit together, the number of taps is even, the rows are odd, or `block` is 0.
pub fn depthwise_blocks(weight: Tensor<2>, bias: Tensor<1>, block: usize, x: Tensor<3>) -> Tensor<3> {
    let ([taps, channels], dims) = (weight.dims(), x.dims());
    assert!(taps % 2 == 1 && block > 0, "{taps} taps and blocks of {block} make no convolution");
    assert!(dims[2] == channels && bias.dims() == [channels], "filters of {channels} channels got {dims:?} and a bias {:?}", bias.dims());
    assert!(dims[1].is_multiple_of(2), "{} rows are not two copies", dims[1]);
    let given = [Some(x.into_dispatch()), Some(weight.into_dispatch()), Some(bias.into_dispatch())];
    match host::run(Blocks { block }, given) {
        Ok(y) => Tensor::from_dispatch(y),
        Err([x, weight, bias]) => composed(
            &Tensor::from_dispatch(weight.expect("it was given")),
            Tensor::from_dispatch(bias.expect("it was given")),
            block,
            &Tensor::from_dispatch(x.expect("it was given")),
        ),
    }
}

/// The same from burn's operations.
pub(super) fn composed(weight: &Tensor<2>, bias: Tensor<1>, block: usize, x: &Tensor<3>) -> Tensor<3> {
    let ([taps, channels], [_, rows, _]) = (weight.dims(), x.dims());
    let device: Device = x.device();
    let tap = |k: usize| {
        let seen: Vec<Option<usize>> = (0..rows).map(|row| Blocks { block }.source(row, rows / 2, k, taps)).collect();
        let from: Vec<i32> = seen.iter().map(|at| at.unwrap_or(0) as i32).collect();
        let is_seen: Vec<f32> = seen.iter().map(|at| if at.is_some() { 1.0 } else { 0.0 }).collect();
        let from = Tensor::<1, Int>::from_data(TensorData::new(from, [rows]), &device.clone().inner());
        let is_seen = Tensor::<3>::from_data(TensorData::new(is_seen, [1, rows, 1]), (&device, x.dtype()));
        x.clone().select(1, from) * is_seen * weight.clone().narrow(0, k, 1).reshape([1, 1, channels])
    };
    (1..taps).map(tap).fold(tap(0), |sum, part| sum + part) + bias.reshape([1, 1, channels])
}

#[derive(Clone, Copy, Debug)]
struct Blocks {
    block: usize,
}

impl Blocks {
    /// The row that a tap of a row reads, if any.
    fn source(self, row: usize, length: usize, tap: usize, taps: usize) -> Option<usize> {
        let (is_clean, place) = (row >= length, row % length);
        let at = (place + tap).checked_sub(taps / 2)?;
        let first = place - place % self.block;
        if at >= (first + self.block).min(length) {
            return None;
        }
        Some(if is_clean || at < first { length + at } else { at })
    }

    /// `(tap, row read)` of a row.
    fn sources(self, row: usize, length: usize, taps: usize) -> impl Iterator<Item = (usize, usize)> {
        (0..taps).filter_map(move |tap| Some((tap, self.source(row, length, tap, taps)?)))
    }
}

impl Operation<3> for Blocks {
    /// The bias is kept for its shape.
    const KEEP: [bool; 3] = [true; 3];

    fn forward(self, inputs: [Option<FlexTensor>; 3], _: bool) -> (FlexTensor, Option<FlexTensor>) {
        let [x, weight, bias] = inputs.map(|input| contiguous(input.expect("it is always given")));
        let mut out = vec![0.0; values(&x).len()];
        let (weight, bias) = (values(&weight), values(&bias));
        let (rows, channels) = (x.layout().shape()[1], bias.len());
        let item = (rows * channels).max(1);
        each(out.chunks_mut(item).zip(values(&x).chunks(item)), |(out, x)| {
            for (row, out) in out.chunks_exact_mut(channels).enumerate() {
                out.copy_from_slice(bias);
                for (tap, at) in self.sources(row, rows / 2, weight.len() / channels) {
                    add_filtered(out, &x[at * channels..(at + 1) * channels], &weight[tap * channels..(tap + 1) * channels]);
                }
            }
        });
        (array(out, shape(&x)), None)
    }

    fn backward(self, kept: Kept<3>, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [x, weight, bias] = kept.inputs.map(|input| contiguous(input.expect("it is always kept")));
        let gradient = contiguous(gradient);
        let (g, w) = (values(&gradient), values(&weight));
        let (rows, channels) = (x.layout().shape()[1], values(&bias).len());
        let (item, size) = ((rows * channels).max(1), w.len());
        let dx = || {
            let mut out = vec![0.0; g.len()];
            each(out.chunks_mut(item).zip(g.chunks(item)), |(out, g)| {
                for (row, g) in g.chunks_exact(channels).enumerate() {
                    for (tap, at) in self.sources(row, rows / 2, size / channels) {
                        add_filtered(&mut out[at * channels..(at + 1) * channels], g, &w[tap * channels..(tap + 1) * channels]);
                    }
                }
            });
            array(out, shape(&x))
        };
        let dweight = || {
            // A part an item; their sums are added up in order.
            let mut parts = vec![0.0; g.len() / item * size];
            each(parts.chunks_mut(size).zip(values(&x).chunks(item).zip(g.chunks(item))), |(part, (x, g))| {
                for (row, g) in g.chunks_exact(channels).enumerate() {
                    for (tap, at) in self.sources(row, rows / 2, size / channels) {
                        add_products(&mut part[tap * channels..(tap + 1) * channels], &x[at * channels..(at + 1) * channels], g);
                    }
                }
            });
            array(column_sums(&parts, size), shape(&weight))
        };
        let dbias = wanted[2].then(|| array(column_sums(g, channels), shape(&bias)));
        [wanted[0].then(dx), wanted[1].then(dweight), dbias]
    }
}
