//! Matrix products on slices, one thread each; callers spend threads on independent parts.
//!
//! Products run on factors laid out for this processor where that pays (`factor.rs`), else very small ones in `small.rs` and the others in the
//! `gemm` crate. Which one is chosen by sizes and layout alone.

use std::sync::{Arc, OnceLock};

use burn::backend::flex::FlexTensor;

use super::{
    factor::{self, Factor, Left, Side, suits},
    linear::add_bias,
    packed, small,
};

/// A matrix inside a slice: element `(i, j)` is at `start + i * row + j * column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Where element `(0, 0)` is.
    pub start: usize,
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next.
    pub column: usize,
}

impl Place {
    /// A row-major matrix of `columns` columns at the start of its slice.
    pub fn rows(columns: usize) -> Self {
        Self { start: 0, row: columns, column: 1 }
    }

    /// The same matrix read with rows and columns exchanged.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    /// The same matrix further on in its slice.
    #[must_use]
    pub fn at(self, start: usize) -> Self {
        Self { start: self.start + start, ..self }
    }

    /// Whether a matrix of at least one row and column lies in a slice of `len` numbers.
    pub(super) fn holds(self, rows: usize, columns: usize, len: usize) -> bool {
        self.start + (rows - 1) * self.row + (columns - 1) * self.column < len
    }
}

/// `out = scale * a b`, or `out += scale * a b` where `add` says so, for `a` of `[m, k]` and `b` of `[k, n]`, on the calling thread.
///
/// # Panics
/// When a matrix reaches past its slice.
pub fn product(
    [m, n, k]: [usize; 3],
    scale: f32,
    (a, a_at): (&[f32], Place),
    (b, b_at): (&[f32], Place),
    (out, out_at): (&mut [f32], Place),
    add: bool,
) {
    if m == 0 || n == 0 || (k == 0 && add) {
        return;
    }
    assert!(out_at.holds(m, n, out.len()), "the result of a product reaches past its slice");
    if k == 0 {
        (0..m * n).for_each(|i| out[out_at.start + i / n * out_at.row + i % n * out_at.column] = 0.0);
        return;
    }
    assert!(a_at.holds(m, k, a.len()) && b_at.holds(k, n, b.len()), "a factor of a product reaches past its slice");
    if out_at.column == 1 && suits([m, n, k], m + n) {
        return factor::product_of_places([m, n, k], scale, (a, a_at), (b, b_at), (out, out_at), add);
    }
    if small::suits([m, n, k], a_at) {
        return small::product([m, n, k], scale, (a, a_at), (b, b_at), (out, out_at), add);
    }
    // SAFETY: every address of the three matrices was just checked to lie inside its slice, and `out` is borrowed alone.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr().add(out_at.start),
            out_at.column as isize,
            out_at.row as isize,
            add,
            a.as_ptr().add(a_at.start),
            a_at.column as isize,
            a_at.row as isize,
            b.as_ptr().add(b_at.start),
            b_at.column as isize,
            b_at.row as isize,
            1.0,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// The right factor of several products, laid out once for all of them where that pays.
#[derive(Clone, Debug)]
pub(super) struct Right<'a> {
    values: &'a [f32],
    at: Place,
    packed: Option<Arc<OnceLock<Factor>>>,
}

impl<'a> Right<'a> {
    /// For products of `[m, n, k]` or not much smaller.
    pub(super) fn new([m, n, k]: [usize; 3], values: &'a [f32], at: Place) -> Self {
        let packed = suits([m, n, k], m + n).then(|| {
            assert!(at.holds(k, n, values.len()), "a factor of a product reaches past its slice");
            let mut packed = Factor::empty(Side::Right);
            packed.fill(n, k, values, at);
            Arc::new(OnceLock::from(packed))
        });
        Self { values, at, packed }
    }

    /// The same for a tensor that serves again and again.
    pub(super) fn weight([m, n, k]: [usize; 3], weight: &'a FlexTensor, at: Place) -> Self {
        let values = weight.storage();
        let packed = if suits([m, n, k], m) { packed::right(weight, at, [k, n]) } else { None };
        Self { values, at, packed }
    }

    /// [`product`] with this factor.
    pub(super) fn product(&self, sizes: [usize; 3], scale: f32, a: (&[f32], Place), (out, out_at): (&mut [f32], Place), add: bool) {
        if !self.laid_out(sizes, scale, a, (out, out_at), add, None) {
            product(sizes, scale, a, (self.values, self.at), (out, out_at), add);
        }
    }

    /// `out = a b + bias`, or `out += a b + bias`, where `a` is rows of `out`'s height and `out` nothing else.
    pub(super) fn layer(&self, sizes: [usize; 3], a: &[f32], out: &mut [f32], add: bool, bias: Option<&[f32]>) {
        let (a, at) = ((a, Place::rows(sizes[2])), Place::rows(sizes[1]));
        if self.laid_out(sizes, 1.0, a, (out, at), add, bias) {
            return;
        }
        product(sizes, 1.0, a, (self.values, self.at), (out, at), add);
        if let Some(bias) = bias {
            add_bias(bias, out);
        }
    }

    /// The product with this factor as it is laid out; says whether it is.
    fn laid_out(
        &self,
        [m, _, _]: [usize; 3],
        scale: f32,
        (a, a_at): (&[f32], Place),
        out: (&mut [f32], Place),
        add: bool,
        bias: Option<&[f32]>,
    ) -> bool {
        let Some(right) = self.packed.as_deref().and_then(OnceLock::get).filter(|_| m > 0) else { return false };
        factor::product(Left::Here(m, a, a_at), right, scale, out, add, bias);
        true
    }
}
