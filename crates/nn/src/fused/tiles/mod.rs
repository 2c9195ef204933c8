//! Matrix products on the processor's matrix tiles (AMX), with the accuracy of f32.
//!
//! The tiles multiply bfloat16 numbers, of 8 significant bits, and add in f32. A f32 has 24, so it is cut into three such parts,
//! exactly, and of the nine products of parts the six largest are added: what is left out is 2^-21 of a product at most, below the
//! rounding of f32 sums. At the precision of bfloat16 one part is all there is. Infinite factors give NaN. Factors are cut and laid out for the tiles first; weights only once (`packed.rs`).

#[cfg(test)]
mod emulated;
mod kernel;
mod registers;
#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;

use self::kernel::{AHEAD, one_by_two, one_by_two_rounded, two_by_two};
pub(super) use self::registers::{Configured, available};
pub(super) use super::parts::{LANES, Packed};
use super::{
    factor::Side,
    gemm::Place,
    parts::{TERMS, block},
    precision::Precision,
    vector::wide,
};

/// Steps over terms between two visits of a result: factors of so many stay in the second cache.
const STEPS: usize = 16;

/// A result of 32 by 32 before it is added to where it belongs.
#[repr(align(64))]
struct Square([f32; LANES * LANES]);

/// `out = scale * a b`, or `out += scale * a b`, with rows of `out` in one piece; then a bias is added to every row.
///
/// # Panics
/// When the factors do not fit together, or `out` or the bias is too short.
pub(super) fn product(a: &Packed, b: &Packed, scale: f32, out: &mut [f32], at: Place, add: bool, bias: Option<&[f32]>) {
    let (m, n) = (a.lanes, b.lanes);
    assert!(a.side == Side::Left && b.side == Side::Right && a.terms == b.terms, "factors that do not fit together");
    assert!(a.precision == b.precision, "factors of different precision");
    assert!(at.column == 1 && at.holds(m, n, out.len()), "the result of a product reaches past its slice");
    let steps = a.terms.div_ceil(TERMS);
    let mut square = MaybeUninit::<Square>::uninit();
    let _configured = Configured::new();
    for first in (0..steps).step_by(STEPS) {
        let count = STEPS.min(steps - first);
        let add = add || first > 0;
        let bias = bias.filter(|_| first + count == steps);
        for (j, i) in (0..n.div_ceil(LANES)).flat_map(|j| (0..m.div_ceil(LANES)).map(move |i| (j, i))) {
            let (rows, columns) = (LANES.min(m - i * LANES), LANES.min(n - j * LANES));
            let factors = (a.from(i, first, count), b.from(j, first, count));
            // A part of the right factor's next panel for each panel of the left.
            let ahead = factors.1.wrapping_add(steps * block(b.precision) + i * count * AHEAD);
            let start = at.start + i * LANES * at.row + j * LANES;
            let bias = bias.map(|bias| &bias[j * LANES..j * LANES + columns]);
            // Long sums start from zero, or every term of theirs would be rounded to the digits of the sum so far.
            let is_direct = rows == LANES && columns == LANES && scale == 1.0 && !(add && count == STEPS);
            if is_direct {
                // SAFETY: 32 rows of 32 numbers from `start` on lie in `out`, as was checked above.
                unsafe { two_by_two(a.precision, factors, ahead, count, out.as_mut_ptr().add(start), at.row, add) };
                if let Some(bias) = bias.and_then(|bias| bias.first_chunk()) {
                    add_to_rows(bias, &mut out[start..], at.row);
                }
                continue;
            }
            if rows > 16 {
                // SAFETY: the square has 32 rows of 32 numbers.
                unsafe { two_by_two(a.precision, factors, ahead, count, square.as_mut_ptr().cast(), LANES, false) };
            } else {
                let square = square.as_mut_ptr().cast();
                // SAFETY: as above.
                unsafe {
                    match a.precision {
                        Precision::Full => one_by_two(factors, count, square),
                        Precision::Bfloat16 => one_by_two_rounded(factors, count, square),
                    }
                };
            }
            // SAFETY: four tiles have just filled it.
            let square = unsafe { square.assume_init_ref() };
            deliver(square, [rows, columns], scale, add, bias, &mut out[start..], at.row);
        }
    }
}

wide! {
    /// Adds a bias to 32 rows, `row` numbers apart.
    fn add_to_rows(bias: &[f32; LANES], out: &mut [f32], row: usize) {
        for i in 0..LANES {
            let out: &mut [f32; LANES] = out[i * row..].first_chunk_mut().expect("the caller checked that the rows lie in their slice");
            for lane in 0..LANES {
                out[lane] += bias[lane];
            }
        }
    }
}

wide! {
    /// Writes or adds the first rows and columns of a square to rows of `out`, then a bias; of up to 16 rows the square holds two halves to
    /// be added.
    fn deliver(square: &Square, size: [usize; 2], scale: f32, add: bool, bias: Option<&[f32]>, out: &mut [f32], row: usize) {
        let rows = square.0.as_chunks::<LANES>().0;
        let halves = size[0] <= 16;
        for i in 0..size[0] {
            let out = &mut out[i * row..i * row + size[1]];
            let sums = (&rows[i], if halves { &rows[16 + i] } else { &ZEROS });
            match (bias, add) {
                (None, false) => deliver_row(sums, &ZEROS, out, |_, new, _| scale * new),
                (None, true) => deliver_row(sums, &ZEROS, out, |old, new, _| old + scale * new),
                (Some(bias), false) => deliver_row(sums, bias, out, |_, new, bias| scale * new + bias),
                (Some(bias), true) => deliver_row(sums, bias, out, |old, new, bias| old + scale * new + bias),
            }
        }
    }
}

/// In place of a half or a bias that there is not.
const ZEROS: [f32; LANES] = [0.0; LANES];

#[inline(always)]
fn deliver_row((large, small): (&[f32; LANES], &[f32; LANES]), bias: &[f32], out: &mut [f32], join: impl Fn(f32, f32, f32) -> f32) {
    // Arrays where the row is whole: no bounds in the loop.
    if let (Ok(bias), Ok(out)) = (<&[f32; LANES]>::try_from(bias), <&mut [f32; LANES]>::try_from(&mut *out)) {
        for lane in 0..LANES {
            out[lane] = join(out[lane], large[lane] + small[lane], bias[lane]);
        }
        return;
    }
    for ((out, bias), (large, small)) in out.iter_mut().zip(bias).zip(large.iter().zip(small)) {
        *out = join(*out, large + small, *bias);
    }
}
