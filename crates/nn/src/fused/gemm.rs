//! Matrix products on slices, one thread each; callers spend threads on independent parts.

/// A matrix inside a slice: element `(i, j)` is at `start + i * row + j * column`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Where element `(0, 0)` is.
    pub(super) start: usize,
    /// From one row to the next.
    pub(super) row: usize,
    /// From one column to the next.
    pub(super) column: usize,
}

impl Place {
    /// A row-major matrix of `columns` columns at the start of its slice.
    pub(super) fn rows(columns: usize) -> Self {
        Self { start: 0, row: columns, column: 1 }
    }

    /// The same matrix read with rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    /// The same matrix further on in its slice.
    pub(super) fn at(self, start: usize) -> Self {
        Self { start: self.start + start, ..self }
    }

    fn holds(self, rows: usize, columns: usize, len: usize) -> bool {
        self.start + (rows - 1) * self.row + (columns - 1) * self.column < len
    }
}

/// `out = scale * a b`, or `out += scale * a b`, for `a` of `[m, k]` and `b` of `[k, n]`.
///
/// # Panics
/// When a matrix reaches past its slice.
pub(super) fn product(
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
