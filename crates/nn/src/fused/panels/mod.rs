//! Matrix products in vectors of 16 numbers, for processors with AVX-512 and without matrix tiles.
//!
//! The right factor is laid out in panels of 64 columns, weights only once; the left one is read where it lies, unless its rows are not in
//! one piece and serve several panels. A general kernel lays out both factors of every product, which was a tenth of a training step.
//! At the precision of bfloat16 both are of pairs (`pairs`), where the processor multiplies them.

mod kernel;
mod layout;
mod pairs;
#[cfg(test)]
mod tests;

use std::{cell::RefCell, ptr};

use self::kernel::{End, KERNELS, KERNELS_OF_PAIRS};
use self::layout::{COLUMNS, ROWS};
pub(super) use self::layout::{LINE, Packed};
use super::{
    factor::Side,
    gemm::Place,
    vector::{Width, width},
};

/// Terms between two visits of a result: so many of a panel and of six rows stay in the second cache.
const TERMS: usize = 256;
/// Rows of a product up to which a right factor is not worth laying out.
const FEW_ROWS: usize = 2 * ROWS;
/// Terms up to which it is not either, when it has one panel: all of it stays in the first cache.
const FEW_TERMS: usize = 32;

/// Whether this processor has such vectors.
pub(super) fn available() -> bool {
    matches!(width(), Width::Avx512)
}

/// Terms rounded up, so that another part can begin there.
pub(super) fn whole_terms(terms: usize) -> usize {
    if pairs::wanted() { terms.next_multiple_of(2) } else { terms }
}

/// Least sizes of a product whose factors are paired for it alone.
const PAIRED: usize = 16;

/// Room for both factors and their pairs, kept from product to product.
struct Room {
    left: Packed,
    right: Packed,
    pairs: [Vec<f32>; 2],
}

thread_local! {
    static ROOM: RefCell<Room> = const {
        RefCell::new(Room { left: Packed::empty(Side::Left), right: Packed::empty(Side::Right), pairs: [Vec::new(), Vec::new()] })
    };
}

/// A left factor of `[rows, terms]`.
#[derive(Clone, Copy)]
struct Left {
    values: *const f32,
    /// From six rows to the next six.
    six: usize,
    row: usize,
    column: usize,
}

impl Left {
    fn packed(packed: &Packed) -> Self {
        Self { values: packed.values(), six: ROWS * packed.depth(), row: 1, column: ROWS }
    }

    fn here(values: &[f32], at: Place) -> Self {
        Self { values: values[at.start..].as_ptr(), six: ROWS * at.row, row: at.row, column: at.column }
    }
}

/// A right factor of `[terms, columns]`.
#[derive(Clone, Copy)]
struct Right {
    values: *const f32,
    /// From panel to panel.
    panel: usize,
    /// From term to term in a panel, and in the last one.
    rows: [usize; 2],
}

impl Right {
    fn packed(packed: &Packed) -> Self {
        let last = packed.lanes - (packed.lanes.div_ceil(COLUMNS) - 1) * COLUMNS;
        Self { values: packed.values(), panel: COLUMNS * packed.depth(), rows: [COLUMNS, last.next_multiple_of(LINE)] }
    }

    fn here(values: &[f32], at: Place) -> Self {
        Self { values: values[at.start..].as_ptr(), panel: COLUMNS, rows: [at.row; 2] }
    }
}

/// Where a product goes: `out = scale * a b + bias`, or `out += scale * a b + bias`.
pub(super) struct Target<'a> {
    pub(super) out: &'a mut [f32],
    /// Its columns are next to one another.
    pub(super) at: Place,
    pub(super) scale: f32,
    pub(super) add: bool,
    pub(super) bias: Option<&'a [f32]>,
}

/// The product of two laid out factors.
///
/// # Panics
/// When the factors do not fit together, or the result or the bias is too short.
pub(super) fn product(a: &Packed, b: &Packed, target: Target<'_>) {
    assert!(a.side == Side::Left && b.side == Side::Right && a.terms == b.terms, "factors that do not fit together");
    assert!(a.has_pairs == b.has_pairs, "factors of different precision");
    // SAFETY: laid out factors hold what they say.
    unsafe { run([a.lanes, b.lanes, a.depth()], a.has_pairs, Left::packed(a), Right::packed(b), target) };
}

/// The product of a factor of `rows` rows that lies at `at` in `values` and a laid out one.
///
/// # Panics
/// As [`product`], and when the left factor reaches past its slice.
pub(super) fn product_of_rows(rows: usize, (values, at): (&[f32], Place), b: &Packed, target: Target<'_>) {
    assert!(b.side == Side::Right && at.holds(rows, b.terms, values.len()), "factors that do not fit together");
    ROOM.with_borrow_mut(|Room { left, pairs: [pairs, _], .. }| {
        let (values, at) = if b.has_pairs {
            let at = pairs::of([rows, b.terms], values, at, pairs);
            (pairs.as_slice(), at)
        } else {
            (values, at)
        };
        let sizes = [rows, b.lanes, b.depth()];
        let a = laid_out_if_it_pays(sizes, (values, at), left);
        // SAFETY: the left factor lies in its slice, and the other holds what it says.
        unsafe { run(sizes, b.has_pairs, a, Right::packed(b), target) };
    });
}

/// The product of factors of `[m, k]` and `[k, n]` where they lie.
///
/// # Panics
/// As [`product`], and when a factor reaches past its slice.
pub(super) fn product_of_places([m, n, k]: [usize; 3], (a, a_at): (&[f32], Place), (b, b_at): (&[f32], Place), target: Target<'_>) {
    assert!(a_at.holds(m, k, a.len()) && b_at.holds(k, n, b.len()), "a factor of a product reaches past its slice");
    ROOM.with_borrow_mut(|Room { left, right, pairs: [of_a, of_b] }| {
        let has_pairs = m.min(n).min(k) >= PAIRED && pairs::wanted();
        let (k, a, a_at, b, b_at) = if has_pairs {
            let a_at = pairs::of([m, k], a, a_at, of_a);
            let b_at = pairs::of([n, k], b, b_at.transposed(), of_b).transposed();
            (pairs::count(k), of_a.as_slice(), a_at, of_b.as_slice(), b_at)
        } else {
            (k, a, a_at, b, b_at)
        };
        let a = laid_out_if_it_pays([m, n, k], (a, a_at), left);
        let b = if b_at.column == 1 && (m <= FEW_ROWS || (n <= COLUMNS && k <= FEW_TERMS)) {
            Right::here(b, b_at)
        } else {
            right.begin_of(false, n, k);
            right.put([0, 0], n, k, b, b_at);
            Right::packed(right)
        };
        // SAFETY: both factors lie in their slices or hold what they say.
        unsafe { run([m, n, k], has_pairs, a, b, target) };
    });
}

/// The left factor, laid out in `room` when its rows are not in one piece and several panels read them.
fn laid_out_if_it_pays([m, n, k]: [usize; 3], (values, at): (&[f32], Place), room: &mut Packed) -> Left {
    if at.column == 1 || n <= COLUMNS {
        return Left::here(values, at);
    }
    // Pairs are numbers here.
    room.begin_of(false, m, k);
    room.put([0, 0], m, k, values, at);
    Left::packed(room)
}

/// Panel by panel, six rows at a time; `k` counts pairs where terms are paired.
///
/// # Safety
/// The factors' memory holds `[m, k]` and `[k, n]`, the latter with whole vectors where it is laid out.
unsafe fn run([m, n, k]: [usize; 3], has_pairs: bool, a: Left, b: Right, target: Target<'_>) {
    let Target { out, at, scale, add, bias } = target;
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert!(available(), "no vectors to multiply with");
    assert!(at.column == 1 && at.holds(m, n, out.len()), "the result of a product reaches past its slice");
    assert!(bias.is_none_or(|bias| bias.len() >= n), "a bias that is too short");
    let out = &mut out[at.start..];
    let kernels = if has_pairs { &KERNELS_OF_PAIRS } else { &KERNELS };
    let panels = n.div_ceil(COLUMNS);
    for first in (0..k).step_by(TERMS) {
        let terms = TERMS.min(k - first);
        let bias = bias.filter(|_| first + terms == k);
        for panel in 0..panels {
            let from = panel * COLUMNS;
            let columns = COLUMNS.min(n - from);
            let b_row = b.rows[usize::from(panel + 1 == panels)];
            let end = End {
                scale,
                add: add || first > 0,
                bias: bias.map_or(ptr::null(), |bias| bias[from..from + columns].as_ptr()),
                last: u16::MAX >> (LINE * columns.div_ceil(LINE) - columns),
            };
            let lines = b.values.wrapping_add(panel * b.panel + first * b_row);
            for block in 0..m.div_ceil(ROWS) {
                let row = block * ROWS;
                let kernel = kernels[ROWS.min(m - row) - 1][columns.div_ceil(LINE) - 1];
                let values = a.values.wrapping_add(block * a.six + first * a.column);
                // SAFETY: so many rows and columns of the factors and the result are there, as was checked or promised, and the
                // processor has the vectors.
                unsafe { kernel(terms, values, [a.row, a.column], lines, b_row, out.as_mut_ptr().add(row * at.row + from), at.row, &end) };
            }
        }
    }
}
