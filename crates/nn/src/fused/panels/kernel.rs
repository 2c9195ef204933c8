//! Up to six rows times up to four vectors of columns: 24 sums in registers, each fed by a multiplication a cycle.

use std::arch::x86_64::*;

use super::layout::{LINE, ROWS};

/// What becomes of sums.
pub(super) struct End {
    pub(super) scale: f32,
    /// They are added to what is there.
    pub(super) add: bool,
    /// One number a column, or null.
    pub(super) bias: *const f32,
    /// Which columns of the last vector there are.
    pub(super) last: __mmask16,
}

/// Terms; the left factor, from row to row and from term to term; the right one, from term to term; the result, from row to row; and its end.
///
/// # Safety
/// The processor has AVX-512. All terms of the rows and columns lie in memory, and so do the rows of the result, which nobody else uses.
pub(super) type Kernel = unsafe fn(usize, *const f32, [usize; 2], *const f32, usize, *mut f32, usize, &End);

/// By rows less one and vectors less one.
macro_rules! kernels {
    ($block:ident) => {
        [
            [$block::<1, 1>, $block::<1, 2>, $block::<1, 3>, $block::<1, 4>],
            [$block::<2, 1>, $block::<2, 2>, $block::<2, 3>, $block::<2, 4>],
            [$block::<3, 1>, $block::<3, 2>, $block::<3, 3>, $block::<3, 4>],
            [$block::<4, 1>, $block::<4, 2>, $block::<4, 3>, $block::<4, 4>],
            [$block::<5, 1>, $block::<5, 2>, $block::<5, 3>, $block::<5, 4>],
            [$block::<6, 1>, $block::<6, 2>, $block::<6, 3>, $block::<6, 4>],
        ]
    };
}

/// Of numbers.
pub(super) const KERNELS: [[Kernel; 4]; ROWS] = kernels!(block);
/// Of pairs of bfloat16 numbers.
pub(super) const KERNELS_OF_PAIRS: [[Kernel; 4]; ROWS] = kernels!(block_of_pairs);

macro_rules! block {
    ($name:ident, $features:literal, $multiply:ident) => {
        /// See [`Kernel`]. Loops over constants, not iterators: those would call functions that are not compiled for these vectors.
        #[allow(clippy::needless_range_loop, clippy::too_many_arguments, reason = "the loops are unrolled, and the sums stay in registers")]
        #[target_feature(enable = $features)]
        unsafe fn $name<const R: usize, const V: usize>(
            terms: usize,
            mut a: *const f32,
            [row, column]: [usize; 2],
            mut b: *const f32,
            b_row: usize,
            out: *mut f32,
            out_row: usize,
            end: &End,
        ) {
            let mut sums = [[_mm512_setzero_ps(); V]; R];
            // SAFETY: the caller's word; of the last vector only the columns that there are.
            unsafe {
                for r in 0..R {
                    for v in 0..V {
                        _mm_prefetch::<_MM_HINT_T0>(out.wrapping_add(r * out_row + v * LINE).cast());
                    }
                }
                for _ in 0..terms {
                    let mut line = [_mm512_setzero_ps(); V];
                    for v in 0..V {
                        line[v] = load(b.wrapping_add(v * LINE), mask(v + 1 == V, end));
                    }
                    for r in 0..R {
                        let factor = _mm512_set1_ps(*a.wrapping_add(r * row));
                        for v in 0..V {
                            sums[r][v] = $multiply(factor, line[v], sums[r][v]);
                        }
                    }
                    a = a.wrapping_add(column);
                    b = b.wrapping_add(b_row);
                }
                let scale = _mm512_set1_ps(end.scale);
                for v in 0..V {
                    let mask = mask(v + 1 == V, end);
                    let bias = if end.bias.is_null() { _mm512_setzero_ps() } else { load(end.bias.wrapping_add(v * LINE), mask) };
                    for r in 0..R {
                        let out = out.wrapping_add(r * out_row + v * LINE);
                        let mut sum = _mm512_add_ps(_mm512_mul_ps(scale, sums[r][v]), bias);
                        if end.add {
                            sum = _mm512_add_ps(load(out, mask), sum);
                        }
                        _mm512_mask_storeu_ps(out, mask, sum);
                    }
                }
            }
        }
    };
}

block!(block, "avx512f", _mm512_fmadd_ps);
block!(block_of_pairs, "avx512f,avx512bf16", add_products_of_pairs);

/// `sums + a b` of both numbers of every pair.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn add_products_of_pairs(a: __m512, b: __m512, sums: __m512) -> __m512 {
    // SAFETY: all are 64 bytes, any of which are a value.
    let [a, b] = [a, b].map(|pairs| unsafe { std::mem::transmute::<__m512, __m512bh>(pairs) });
    _mm512_dpbf16_ps(sums, a, b)
}

/// All columns, but of the last vector only those that there are.
#[inline(always)]
fn mask(is_last: bool, end: &End) -> __mmask16 {
    if is_last { end.last } else { __mmask16::MAX }
}

/// # Safety
/// The columns of the mask lie in memory.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load(values: *const f32, mask: __mmask16) -> __m512 {
    // SAFETY: the caller's word.
    unsafe { _mm512_maskz_loadu_ps(mask, values) }
}
