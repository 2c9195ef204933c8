//! Products of small matrices, such as the scores of a dozen atoms, for which packing and calls of a general kernel cost more than the
//! arithmetic.

use std::cell::RefCell;

use super::{gemm::Place, vector::wide};

/// Terms up to which a product is small.
const TERMS: usize = 64;
/// Multiplications up to which this is quicker than a general kernel.
const MOST: usize = 24 * 1024;
/// Columns up to which it always is: kernels for many leave most of their lanes empty.
const FEW: usize = 8;
/// Columns that are made at once; fewer are made by narrower loops.
const LANES: usize = 32;
/// Rows whose sums are under way at once.
const ROWS: usize = 4;
/// The same where there are registers for more: sums of one vector a row else wait for one another.
const MANY: usize = 8;

/// The right factor laid out: its columns in lines.
type Room = [f32; TERMS * LANES];

thread_local! {
    static RIGHT: RefCell<Room> = const { RefCell::new([0.0; TERMS * LANES]) };
}

/// Whether a product of `[m, n, k]` is small, and rows of its left factor, at `a`, are in one piece.
pub(super) fn suits([m, n, k]: [usize; 3], a: Place) -> bool {
    a.column == 1 && k <= TERMS && (n <= FEW || m * n.next_multiple_of(8) * k <= MOST)
}

/// [`gemm::product`](super::gemm::product) of a small product, whose matrices lie in their slices.
pub(super) fn product(sizes: [usize; 3], scale: f32, a: (&[f32], Place), b: (&[f32], Place), out: (&mut [f32], Place), add: bool) {
    RIGHT.with_borrow_mut(|right| run(sizes, scale, a, b, out, add, right));
}

wide! {
    fn run(
        sizes: [usize; 3],
        scale: f32,
        a: (&[f32], Place),
        b: (&[f32], Place),
        out: (&mut [f32], Place),
        add: bool,
        right: &mut Room,
    ) {
        let ([m, n, k], (out, out_at)) = (sizes, out);
        let mut from = 0;
        while from < n {
            let columns = (b.0, Place { start: b.1.start + from * b.1.column, ..b.1 });
            let target = (&mut *out, Place { start: out_at.start + from * out_at.column, ..out_at });
            let sizes = [m, n - from, k];
            if n - from <= 8 {
                panel::<8>(sizes, scale, a, columns, target, add, right);
            } else if n - from <= 16 {
                panel::<16>(sizes, scale, a, columns, target, add, right);
            } else {
                panel::<LANES>(sizes, scale, a, columns, target, add, right);
            }
            from += LANES;
        }
    }
}

/// The first `N` columns of the result, or all when there are fewer.
#[inline(always)]
fn panel<const N: usize>(
    [m, n, k]: [usize; 3],
    scale: f32,
    (a, a_at): (&[f32], Place),
    b: (&[f32], Place),
    (out, out_at): (&mut [f32], Place),
    add: bool,
    right: &mut Room,
) {
    let count = n.min(N);
    let lines = &mut right.as_chunks_mut::<N>().0[..k];
    lay_out(b, count, lines);
    let row = |row: usize| {
        let start = a_at.start + row * a_at.row;
        &a[start..start + k]
    };
    let mut first = 0;
    while N <= 16 && first + MANY <= m && has_many_registers() {
        let found = sums_of_many(std::array::from_fn(|r| row(first + r)), lines);
        give(&found, [first, m, count], scale, out, out_at, add);
        first += MANY;
    }
    while first < m {
        // Beyond the last row its sums are made again, and thrown away.
        let found = sums(std::array::from_fn(|r| row((first + r).min(m - 1))), lines);
        give(&found, [first, m, count], scale, out, out_at, add);
        first += ROWS;
    }
}

/// Whether sums of [`MANY`] rows of 16 columns stay in registers.
#[inline(always)]
fn has_many_registers() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        matches!(super::vector::width(), super::vector::Width::Avx512)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Writes or adds the sums of `count` columns of rows from `first` on, as far as there are rows. No closure: compilers may put those outside
/// of the wide function.
#[inline(always)]
fn give<const N: usize>(found: &[[f32; N]], [first, rows, count]: [usize; 3], scale: f32, out: &mut [f32], at: Place, add: bool) {
    for (sums, row) in found.iter().zip(first..rows) {
        let from = at.start + row * at.row;
        if at.column == 1 {
            deliver(&mut out[from..from + count], sums, scale, add);
            continue;
        }
        for (j, sum) in sums.iter().enumerate().take(count) {
            deliver(std::slice::from_mut(&mut out[from + j * at.column]), std::slice::from_ref(sum), scale, add);
        }
    }
}

/// Writes or adds sums.
#[inline(always)]
fn deliver(out: &mut [f32], sums: &[f32], scale: f32, add: bool) {
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = if add { *out + scale * sum } else { scale * sum };
    }
}

/// Lays out `count` columns, and zeros after them.
#[inline(always)]
fn lay_out<const N: usize>((b, at): (&[f32], Place), count: usize, lines: &mut [[f32; N]]) {
    if count == N && at.column == 1 {
        for (t, line) in lines.iter_mut().enumerate() {
            *line = *b[at.start + t * at.row..].first_chunk().expect("the caller checked that the factor lies in its slice");
        }
        return;
    }
    for j in 0..N {
        let start = at.start + j * at.column;
        if j >= count {
            for line in lines.iter_mut() {
                line[j] = 0.0;
            }
        } else if at.row == 1 {
            for (line, value) in lines.iter_mut().zip(&b[start..]) {
                line[j] = *value;
            }
        } else {
            for (t, line) in lines.iter_mut().enumerate() {
                line[j] = b[start + t * at.row];
            }
        }
    }
}

/// Rows of the left factor times the laid out columns, summed in order.
#[inline(always)]
fn sums<const N: usize>([r0, r1, r2, r3]: [&[f32]; ROWS], lines: &[[f32; N]]) -> [[f32; N]; ROWS] {
    let [mut s0, mut s1, mut s2, mut s3] = [[0.0; N]; ROWS];
    for ((((line, a0), a1), a2), a3) in lines.iter().zip(r0).zip(r1).zip(r2).zip(r3) {
        // One loop a row: nested ones end up as vectors across rows, which cost a permutation each.
        add(&mut s0, *a0, line);
        add(&mut s1, *a1, line);
        add(&mut s2, *a2, line);
        add(&mut s3, *a3, line);
    }
    [s0, s1, s2, s3]
}

/// [`sums`] of more rows.
#[inline(always)]
fn sums_of_many<const N: usize>([r0, r1, r2, r3, r4, r5, r6, r7]: [&[f32]; MANY], lines: &[[f32; N]]) -> [[f32; N]; MANY] {
    let [mut s0, mut s1, mut s2, mut s3, mut s4, mut s5, mut s6, mut s7] = [[0.0; N]; MANY];
    let (left, right) = (r0.iter().zip(r1).zip(r2).zip(r3), r4.iter().zip(r5).zip(r6).zip(r7));
    for (line, ((((a0, a1), a2), a3), (((a4, a5), a6), a7))) in lines.iter().zip(left.zip(right)) {
        add(&mut s0, *a0, line);
        add(&mut s1, *a1, line);
        add(&mut s2, *a2, line);
        add(&mut s3, *a3, line);
        add(&mut s4, *a4, line);
        add(&mut s5, *a5, line);
        add(&mut s6, *a6, line);
        add(&mut s7, *a7, line);
    }
    [s0, s1, s2, s3, s4, s5, s6, s7]
}

#[inline(always)]
fn add<const N: usize>(sums: &mut [f32; N], factor: f32, line: &[f32; N]) {
    for (sum, value) in sums.iter_mut().zip(line) {
        *sum += factor * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use langevin_core::noise::{NoiseSource as _, Philox};

    #[test]
    fn small_products_of_every_layout_are_the_sums() {
        for [m, n, k] in [[1, 1, 1], [16, 16, 16], [18, 18, 32], [3, 37, 5], [7, 8, 40], [5, 24, 3], [500, 4, 16]] {
            let mut values = vec![0.0; 3 * (m + 2) * (k + 2) + 3 * (k + 2) * (n + 2)];
            Philox::new(3).fill(0, 0, 0, &mut values);
            let (a, b) = values.split_at(3 * (m + 2) * (k + 2));
            for turned in [false, true] {
                let a_at = Place { start: 1, row: k + 2, column: 1 };
                let b_at = if turned { Place { start: 2, row: 1, column: k + 1 } } else { Place { start: 1, row: n + 2, column: 1 } };
                assert!(suits([m, n, k], a_at) && !suits([m, n, k], a_at.transposed()));
                for (add, scale) in [(false, 1.0), (true, 0.5)] {
                    let before: Vec<f32> = (0..m * (n + 3) + 4).map(|i| i as f32 * 0.01).collect();
                    let mut out = before.clone();
                    product([m, n, k], scale, (a, a_at), (b, b_at), (&mut out, Place { start: 4, row: n + 3, column: 1 }), add);
                    for (at, (found, old)) in out.iter().zip(&before).enumerate() {
                        let (i, j) = (at.wrapping_sub(4) / (n + 3), at.wrapping_sub(4) % (n + 3));
                        if at < 4 || j >= n {
                            assert_eq!(found, old, "{at} was written");
                            continue;
                        }
                        let terms =
                            (0..k).map(|t| a[a_at.start + i * a_at.row + t * a_at.column] * b[b_at.start + t * b_at.row + j * b_at.column]);
                        let exact = f64::from(scale) * terms.map(f64::from).sum::<f64>() + if add { f64::from(*old) } else { 0.0 };
                        assert!(
                            (f64::from(*found) - exact).abs() < 1e-5 * (1.0 + exact.abs()),
                            "{m} {n} {k}, turned {turned}: {found} not {exact}"
                        );
                    }
                }
            }
        }
    }
}
