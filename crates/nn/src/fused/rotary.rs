//! Rotary position embedding: queries and keys turned by angles that grow with their position, so that scores depend on distances.

use burn::{
    backend::flex::FlexTensor,
    tensor::{Tensor, TensorData},
};

use super::{
    host::{self, Kept, Operation, array, contiguous, each, owned, shape, values},
    vector::wide,
};

/// Slowest wave length over `2 pi`, in positions.
const BASE: f64 = 10_000.0;

/// Turns the queries and keys of `qkv`, shape `[batch, rows, 3 * width]`, as [`self_attention`](super::self_attention) reads it: of every
/// head the pair of numbers `i` and `i + half` by `position * 10000^(-i / half)` (Su et al. 2021, arXiv:2104.09864, with the halves of
/// a head as the pairs' two sides). Row `r` has the position `start + r % period`.
///
/// # Panics
/// When the last dimension is not three times a multiple of `2 * heads`, or `period` is 0.
pub fn rotary(qkv: Tensor<3>, heads: usize, start: usize, period: usize) -> Tensor<3> {
    let [_, _, width] = qkv.dims();
    assert!(heads > 0 && width.is_multiple_of(6 * heads), "{width} numbers a row are no queries, keys and values of {heads} even heads");
    assert!(period > 0, "a period of no rows");
    host::run_unary(Rotary { heads, start, period }, qkv, |qkv| composed(qkv, heads, start, period))
}

/// Cosines and sines of `period` positions, `half` of each a position.
fn tables(start: usize, period: usize, half: usize) -> [Vec<f32>; 2] {
    let frequencies: Vec<f64> = (0..half).map(|i| BASE.powf(-(i as f64) / half as f64)).collect();
    let angles = || (start..start + period).flat_map(|position| frequencies.iter().map(move |f| position as f64 * f));
    [angles().map(|a| a.cos() as f32).collect(), angles().map(|a| a.sin() as f32).collect()]
}

/// The same from burn's operations.
pub(super) fn composed(qkv: Tensor<3>, heads: usize, start: usize, period: usize) -> Tensor<3> {
    let [batch, rows, width] = qkv.dims();
    let half = width / heads / 6;
    let device = qkv.device();
    let [cos, sin] = tables(start, period, half).map(|table| {
        let all: Vec<f32> = (0..rows).flat_map(|row| table[row % period * half..][..half].iter().copied()).collect();
        Tensor::<4>::from_data(TensorData::new(all, [1, rows, 1, half]), (&device, qkv.dtype()))
    });
    let turned = qkv.clone().narrow(2, 0, width / 3 * 2).reshape([batch, rows, 2 * heads, 2 * half]);
    let (a, b) = (turned.clone().narrow(3, 0, half), turned.narrow(3, half, half));
    let turned = Tensor::cat(vec![a.clone() * cos.clone() - b.clone() * sin.clone(), a * sin + b * cos], 3);
    Tensor::cat(vec![turned.reshape([batch, rows, width / 3 * 2]), qkv.narrow(2, width / 3 * 2, width / 3)], 2)
}

#[derive(Clone, Copy, Debug)]
struct Rotary {
    heads: usize,
    start: usize,
    period: usize,
}

impl Rotary {
    /// The rows turned by their angles, or with a `sign` of -1 back.
    fn turn(self, x: FlexTensor, sign: f32) -> FlexTensor {
        let mut x = owned(x);
        let dims = shape(&x);
        let (rows, width) = (dims[1], dims[2]);
        let half = width / self.heads / 6;
        let [cos, mut sin] = tables(self.start, self.period.min(rows.max(1)), half);
        sin.iter_mut().for_each(|s| *s *= sign);
        each(x.storage_mut::<f32>().chunks_mut((rows * width).max(1)), |item| {
            for (row, numbers) in item.chunks_exact_mut(width).enumerate() {
                let at = row % self.period * half;
                turn_row(&mut numbers[..width / 3 * 2], &cos[at..at + half], &sin[at..at + half]);
            }
        });
        x
    }
}

impl Operation<1> for Rotary {
    const KEEP: [bool; 1] = [false];

    fn forward(self, [x]: [Option<FlexTensor>; 1], _: bool) -> (FlexTensor, Option<FlexTensor>) {
        (self.turn(contiguous(x.expect("it is always given")), 1.0), None)
    }

    fn backward(self, _: Kept<1>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let gradient = contiguous(gradient);
        // A copy: gradients may be shared.
        let gradient = array(values(&gradient).to_vec(), shape(&gradient));
        [Some(self.turn(gradient, -1.0))]
    }
}

wide! {
    /// Turns the heads of one row.
    fn turn_row(row: &mut [f32], cos: &[f32], sin: &[f32]) {
        for head in row.chunks_exact_mut(2 * cos.len()) {
            let (a, b) = head.split_at_mut(cos.len());
            for ((a, b), (c, s)) in a.iter_mut().zip(b).zip(cos.iter().zip(sin)) {
                (*a, *b) = (*a * c - *b * s, *a * s + *b * c);
            }
        }
    }
}
