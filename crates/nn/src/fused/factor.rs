//! Factors of matrix products laid out for this processor, once for several products: for its matrix tiles (`tiles`) where it has some, else
//! for its widest vectors (`panels`).

use std::cell::RefCell;

use super::{
    gemm::Place,
    panels::{self, Target},
    precision::Precision,
    tiles,
};

pub(super) use super::tiles::Configured;

/// Which factor of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    /// `a` of `[lanes, terms]`.
    Left,
    /// `b` of `[terms, lanes]`.
    Right,
}

/// A laid out factor.
#[derive(Clone, Debug)]
pub(super) enum Factor {
    Tiles(tiles::Packed),
    Panels(panels::Packed),
}

/// The left factor of a product.
#[derive(Clone, Copy)]
pub(super) enum Left<'a> {
    Laid(&'a Factor),
    /// So many rows in memory.
    Here(usize, &'a [f32], Place),
}

/// Whether laying `lanes` rows of `a` and columns of `b` out pays for a product of `[m, n, k]`.
pub(super) fn suits([m, n, k]: [usize; 3], lanes: usize) -> bool {
    if !tiles::available() {
        return panels::available() && m * n * k > 0;
    }
    // In units of the time of a multiplication and addition in vectors: tiles do three meanwhile, or two when a tile of `b` serves one
    // of `a` only, on sizes rounded up; packing takes eight for a number; starting takes some thousands. Rounded factors are one part of three
    // to pack and a sixth to multiply.
    let padded = m.next_multiple_of(16) * n.next_multiple_of(32) * k.next_multiple_of(32);
    let (pace, packing) = match (Precision::of_thread(), m > 16) {
        (Precision::Full, true) => (3, 8),
        (Precision::Full, false) => (2, 8),
        (Precision::Bfloat16, true) => (12, 4),
        (Precision::Bfloat16, false) => (6, 4),
    };
    padded / pace + packing * lanes * k + 5000 < m * n * k
}

/// Lanes rounded up, so that another part of a right factor can begin there.
pub(super) fn whole_lanes(lanes: usize) -> usize {
    lanes.next_multiple_of(if tiles::available() { tiles::LANES } else { panels::LINE })
}

/// Terms rounded up, so that another part can begin there.
pub(super) fn whole_terms(terms: usize) -> usize {
    if tiles::available() { terms.next_multiple_of(tiles::LANES) } else { panels::whole_terms(terms) }
}

impl Factor {
    /// Nothing yet; room is made by [`begin`](Self::begin) and kept.
    pub(super) fn empty(side: Side) -> Self {
        if tiles::available() { Self::Tiles(tiles::Packed::empty(side)) } else { Self::Panels(panels::Packed::empty(side)) }
    }

    /// Starts a factor at this thread's precision that [`put`](Self::put) fills part by part. Until then it holds anything.
    pub(super) fn begin(&mut self, lanes: usize, terms: usize) {
        match self {
            Self::Tiles(packed) => packed.begin(lanes, terms),
            Self::Panels(packed) => packed.begin(lanes, terms),
        }
    }

    /// Lays out a part of a factor that begins at `[lane, term]`, both rounded up; `at` is its place in `values`.
    ///
    /// # Panics
    /// When the part begins elsewhere or ends beyond the factor, or it reaches past its slice.
    pub(super) fn put(&mut self, start: [usize; 2], lanes: usize, terms: usize, values: &[f32], at: Place) {
        match self {
            Self::Tiles(packed) => packed.put(start, lanes, terms, values, at),
            Self::Panels(packed) => packed.put(start, lanes, terms, values, at),
        }
    }

    /// Lays out a whole factor.
    pub(super) fn fill(&mut self, lanes: usize, terms: usize, values: &[f32], at: Place) {
        self.begin(lanes, terms);
        self.put([0, 0], lanes, terms, values, at);
    }
}

thread_local! {
    static LEFT: RefCell<tiles::Packed> = const { RefCell::new(tiles::Packed::empty(Side::Left)) };
    static RIGHT: RefCell<Factor> = RefCell::new(Factor::empty(Side::Right));
}

/// Gives `work` this thread's room for a right factor.
pub(super) fn with_right<T>(work: impl FnOnce(&mut Factor) -> T) -> T {
    RIGHT.with_borrow_mut(work)
}

/// `out = scale * a b + bias`, or `out += scale * a b + bias`; columns of `out` are next to one another.
///
/// # Panics
/// When factors, result and bias do not fit together.
pub(super) fn product(a: Left<'_>, b: &Factor, scale: f32, (out, at): (&mut [f32], Place), add: bool, bias: Option<&[f32]>) {
    match (a, b) {
        (Left::Laid(Factor::Tiles(a)), Factor::Tiles(b)) => tiles::product(a, b, scale, out, at, add, bias),
        (Left::Here(rows, values, place), Factor::Tiles(b)) => LEFT.with_borrow_mut(|left| {
            left.fill_like(b, rows, b.terms, values, place);
            tiles::product(left, b, scale, out, at, add, bias);
        }),
        (Left::Laid(Factor::Panels(a)), Factor::Panels(b)) => panels::product(a, b, Target { out, at, scale, add, bias }),
        (Left::Here(rows, values, place), Factor::Panels(b)) => {
            panels::product_of_rows(rows, (values, place), b, Target { out, at, scale, add, bias });
        }
        _ => unreachable!("this processor has either tiles or vectors"),
    }
}

/// [`product`] of factors of `[m, k]` and `[k, n]` where they lie.
pub(super) fn product_of_places(
    [m, n, k]: [usize; 3],
    scale: f32,
    (a, a_at): (&[f32], Place),
    (b, b_at): (&[f32], Place),
    (out, at): (&mut [f32], Place),
    add: bool,
) {
    if !tiles::available() {
        let target = Target { out, at, scale, add, bias: None };
        return panels::product_of_places([m, n, k], (a, a_at), (b, b_at), target);
    }
    with_right(|right| {
        right.fill(n, k, b, b_at);
        product(Left::Here(m, a, a_at), right, scale, (out, at), add, None);
    });
}
