//! Pairs of bfloat16 numbers in the place of numbers of f32, for processors that multiply two such pairs at once: half of the work.
//!
//! A pair is two neighbouring terms in 32 bits, the earlier one in the lower half. Factors of pairs are laid out and read as those of numbers are, with half
//! as many terms.

use std::arch::x86_64::*;

use super::{
    super::{gemm::Place, precision::Precision},
    LINE,
};

/// Whether products of this thread are to be of pairs.
pub(super) fn wanted() -> bool {
    Precision::of_thread() == Precision::Bfloat16 && super::available() && std::arch::is_x86_feature_detected!("avx512bf16")
}

/// Pairs of so many terms.
pub(super) const fn count(terms: usize) -> usize {
    terms.div_ceil(2)
}

/// A matrix of `[lanes, terms]`, rounded to nearest even, as one of `[lanes, count(terms)]` in `pairs`, and its place there. What lies next to one another does
/// so still; an odd last term is paired with 0.
///
/// # Panics
/// When the matrix reaches past its slice.
pub(super) fn of([lanes, terms]: [usize; 2], values: &[f32], at: Place, pairs: &mut Vec<f32>) -> Place {
    let count = count(terms);
    assert!(lanes == 0 || terms == 0 || at.holds(lanes, terms, values.len()), "a factor of a product reaches past its slice");
    if pairs.len() < lanes * count {
        pairs.resize(lanes * count, 0.0);
    }
    let is_along_lanes = at.row == 1 && at.column != 1;
    let (across, along) = if is_along_lanes { (count, lanes) } else { (lanes, count) };
    for (k, pairs) in pairs.chunks_exact_mut(along.max(1)).take(across).enumerate() {
        // SAFETY: whoever asks for pairs has asked the processor for them.
        unsafe {
            if is_along_lanes {
                let row = |t: usize| if t < terms { &values[at.start + t * at.column..][..lanes] } else { &[] };
                join_rows(row(2 * k), row(2 * k + 1), pairs);
            } else if at.column == 1 {
                join_neighbours(&values[at.start + k * at.row..][..terms], pairs);
            } else {
                let mut copy = [0.0; 2 * LINE];
                for (from, pairs) in pairs.chunks_mut(LINE).enumerate().map(|(part, pairs)| (2 * LINE * part, pairs)) {
                    let here = terms.min(from + 2 * LINE) - from;
                    copy.iter_mut()
                        .take(here)
                        .enumerate()
                        .for_each(|(t, copy)| *copy = values[at.start + k * at.row + (from + t) * at.column]);
                    join_neighbours(&copy[..here], pairs);
                }
            }
        }
    }
    if is_along_lanes { Place { start: 0, row: 1, column: lanes } } else { Place::rows(count) }
}

/// Pairs of the numbers of two rows, the second of which may be empty.
#[target_feature(enable = "avx512f,avx512bf16")]
fn join_rows(even: &[f32], odd: &[f32], out: &mut [f32]) {
    for (k, out) in out.chunks_mut(LINE).enumerate() {
        let [even, odd] = [even, odd].map(|row| {
            let part = load(row.get(k * LINE..).unwrap_or_default());
            _mm512_cvtepu16_epi32(bits_of_half(_mm512_cvtneps_pbh(part)))
        });
        store(out, _mm512_or_si512(even, _mm512_slli_epi32::<16>(odd)));
    }
}

/// Pairs of neighbours of a row.
#[target_feature(enable = "avx512f,avx512bf16")]
fn join_neighbours(row: &[f32], out: &mut [f32]) {
    for (k, out) in out.chunks_mut(LINE).enumerate() {
        let [early, late] = [2 * k, 2 * k + 1].map(|part| load(row.get(part * LINE..).unwrap_or_default()));
        store(out, bits(_mm512_cvtne2ps_pbh(late, early)));
    }
}

/// The first 16 numbers, or as many as there are and then zeros.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f32]) -> __m512 {
    let count = values.len().min(LINE);
    if count == 0 {
        return _mm512_setzero_ps();
    }
    // SAFETY: the mask lets only the numbers of the slice be read.
    unsafe { _mm512_maskz_loadu_ps(u16::MAX >> (LINE - count), values.as_ptr()) }
}

/// Writes as many pairs as there is room for, at least one.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(out: &mut [f32], pairs: __m512i) {
    // SAFETY: the mask lets only the room be written.
    unsafe { _mm512_mask_storeu_epi32(out.as_mut_ptr().cast(), u16::MAX >> (LINE - out.len().min(LINE)), pairs) };
}

#[inline]
fn bits(pairs: __m512bh) -> __m512i {
    // SAFETY: both are 64 bytes, any of which are a value.
    unsafe { std::mem::transmute(pairs) }
}

#[inline]
fn bits_of_half(numbers: __m256bh) -> __m256i {
    // SAFETY: both are 32 bytes, any of which are a value.
    unsafe { std::mem::transmute(numbers) }
}
