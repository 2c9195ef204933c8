//! Matrix products on the processor's matrix tiles (AMX), with the accuracy of f32.
//!
//! The tiles multiply bfloat16 numbers, of 8 significant bits, and add in f32. A f32 has 24, so it is cut into three such parts,
//! exactly, and of the nine products of parts the six largest are added: what is left out is 2^-21 of a product at most, below the
//! rounding of f32 sums. At the precision of bfloat16 one part is all there is. Infinite factors give NaN. Factors are cut and laid out for the tiles first; weights only once (`packed.rs`).

use std::{
    arch::x86_64::{__cpuid, __cpuid_count},
    cell::Cell,
    marker::PhantomData,
    mem::MaybeUninit,
};

use super::{
    gemm::Place,
    parts::{Line, TERMS, block},
    precision::Precision,
    vector::{self, wide},
};

pub(super) use super::parts::{LANES, Packed, Side};

/// Steps over terms between two visits of a result: factors of so many stay in the second cache.
const STEPS: usize = 16;

/// Lines that are asked for ahead of their use with every block.
const AHEAD: usize = 12;

/// Whether this processor has such tiles, and the system lets this process use them; asked once.
pub(super) fn available() -> bool {
    static ANSWER: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        // Leaf 7: bit 24 of EDX tells of tiles, bit 22 of their bfloat16 products.
        let known = matches!(vector::width(), vector::Width::Avx512) && __cpuid(0).eax >= 7;
        known && __cpuid_count(7, 0).edx >> 22 & 0b101 == 0b101 && allowed()
    });
    *ANSWER
}

/// Asks Linux for the tiles' registers, which threads do not save unasked.
#[cfg(target_os = "linux")]
fn allowed() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    let result: i64;
    // SAFETY: the call reads two numbers and touches no memory of ours; a kernel that does not know it returns an error.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> bool {
    false
}

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

thread_local! {
    /// How many [`Configured`] this thread holds.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// Tiles of 16 rows of 64 bytes, until the thread's last one of these is dropped.
#[derive(Debug)]
pub(super) struct Configured(PhantomData<*const ()>);

impl Configured {
    /// Configures the tiles for several products, where there are any.
    pub(super) fn ahead() -> Option<Self> {
        available().then(Self::new)
    }

    fn new() -> Self {
        #[repr(align(64))]
        struct Shapes(#[allow(dead_code, reason = "read by the processor")] [u8; 64]);
        const SHAPES: Shapes = {
            let mut shapes = [0; 64];
            shapes[0] = 1;
            let mut tile = 0;
            while tile < 8 {
                shapes[16 + 2 * tile] = 64;
                shapes[48 + tile] = 16;
                tile += 1;
            }
            Shapes(shapes)
        };
        if HELD.replace(HELD.get() + 1) == 0 {
            // SAFETY: packed factors exist only where tiles do, and the 64 bytes are a valid configuration.
            unsafe { std::arch::asm!("ldtilecfg [{}]", in(reg) &SHAPES, options(nostack, readonly)) };
        }
        Self(PhantomData)
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        if HELD.replace(HELD.get() - 1) == 1 {
            // SAFETY: nothing uses the tiles after this.
            unsafe { std::arch::asm!("tilerelease", options(nostack, nomem)) };
        }
    }
}

/// Adds or writes the product of `count` blocks to 32 rows of 32 numbers, `row` numbers apart.
///
/// Parts are called h, l, r from the largest to the smallest. The order `rh lh ll hl hh hr` changes one part at a time, and every
/// tile is loaded two products before its first use. With each block [`AHEAD`] lines from `ahead`, anywhere, are asked for. Tiles 4 and 5 are of the left factor, 6 and 7 of the right.
///
/// # Safety
/// Tiles are configured, both factors have `count + 1` blocks, and the rows lie in memory that may be written.
unsafe fn two_by_two(
    precision: Precision,
    (a, b): (*const Line, *const Line),
    ahead: *const Line,
    count: usize,
    out: *mut f32,
    row: usize,
    add: bool,
) {
    let below = out.wrapping_add(16 * row);
    // SAFETY: by the caller's word all addresses are good, and the tiles are nobody else's.
    unsafe {
        if add {
            std::arch::asm!(
                "tileloadd tmm0, [{out} + {row}]",
                "tileloadd tmm1, [{out} + {row} + 64]",
                "tileloadd tmm2, [{below} + {row}]",
                "tileloadd tmm3, [{below} + {row} + 64]",
                out = in(reg) out, below = in(reg) below, row = in(reg) row * 4, options(nostack, readonly),
            );
        } else {
            std::arch::asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
        }
        if precision == Precision::Bfloat16 {
            return two_by_two_rounded((a, b), count, out, row);
        }
        std::arch::asm!(
            "tileloadd tmm4, [{a} + {line} + 4096]",
            "tileloadd tmm6, [{b} + {line}]",
            "tileloadd tmm7, [{b} + {line} + 1024]",
            "tileloadd tmm5, [{a} + {line} + 5120]",
            "2:",
            // r h
            "prefetcht1 [{ahead} + 0]",
            "prefetcht1 [{ahead} + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm4, [{a} + {line} + 2048]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm5, [{a} + {line} + 3072]",
            "prefetcht1 [{ahead} + 128]",
            "prefetcht1 [{ahead} + 192]",
            // l h
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm6, [{b} + {line} + 2048]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm7, [{b} + {line} + 3072]",
            "prefetcht1 [{ahead} + 256]",
            "prefetcht1 [{ahead} + 320]",
            // l l
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm4, [{a} + {line}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm5, [{a} + {line} + 1024]",
            "prefetcht1 [{ahead} + 384]",
            "prefetcht1 [{ahead} + 448]",
            // h l
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm6, [{b} + {line}]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm7, [{b} + {line} + 1024]",
            "prefetcht1 [{ahead} + 512]",
            "prefetcht1 [{ahead} + 576]",
            // h h
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm6, [{b} + {line} + 4096]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm7, [{b} + {line} + 5120]",
            "prefetcht1 [{ahead} + 640]",
            "prefetcht1 [{ahead} + 704]",
            // h r, and the first tiles of the next block
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm4, [{a} + {line} + 10240]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm6, [{b} + {line} + 6144]",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm5, [{a} + {line} + 11264]",
            "tileloadd tmm7, [{b} + {line} + 7168]",
            "add {a}, 6144",
            "add {b}, 6144",
            "add {ahead}, 768",
            "dec {count}",
            "jnz 2b",
            "tilestored [{out} + {row}], tmm0",
            "tilestored [{out} + {row} + 64], tmm1",
            "tilestored [{below} + {row}], tmm2",
            "tilestored [{below} + {row} + 64], tmm3",
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            ahead = inout(reg) ahead => _,
            count = inout(reg) count => _,
            line = in(reg) 64usize,
            out = in(reg) out,
            below = in(reg) below,
            row = in(reg) row * 4,
            options(nostack),
        );
    }
}

/// Adds the product of `count` blocks of one part to the sums in tiles 0 to 3 and writes them.
///
/// # Safety
/// As [`two_by_two`].
unsafe fn two_by_two_rounded((a, b): (*const Line, *const Line), count: usize, out: *mut f32, row: usize) {
    // SAFETY: by the caller's word all addresses are good, and the tiles are nobody else's.
    unsafe {
        std::arch::asm!(
            "tileloadd tmm4, [{a} + {line}]",
            "tileloadd tmm6, [{b} + {line}]",
            "tileloadd tmm7, [{b} + {line} + 1024]",
            "2:",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{a} + {line} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm4, [{a} + {line} + 2048]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm6, [{b} + {line} + 2048]",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm7, [{b} + {line} + 3072]",
            "add {a}, 2048",
            "add {b}, 2048",
            "dec {count}",
            "jnz 2b",
            "tilestored [{out} + {row}], tmm0",
            "tilestored [{out} + {row} + 64], tmm1",
            "tilestored [{below} + {row}], tmm2",
            "tilestored [{below} + {row} + 64], tmm3",
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            count = inout(reg) count => _,
            line = in(reg) 64usize,
            out = in(reg) out,
            below = in(reg) out.wrapping_add(16 * row),
            row = in(reg) row * 4,
            options(nostack),
        );
    }
}

/// [`one_by_two`] of one part; the lower half of the square is zero.
///
/// # Safety
/// As there.
unsafe fn one_by_two_rounded((a, b): (*const Line, *const Line), count: usize, square: *mut f32) {
    // SAFETY: by the caller's word all addresses are good, and the tiles are nobody else's.
    unsafe {
        std::arch::asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "2:",
            "tileloadd tmm4, [{a} + {line}]",
            "tileloadd tmm6, [{b} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {line} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "add {a}, 2048",
            "add {b}, 2048",
            "dec {count}",
            "jnz 2b",
            "tilestored [{out} + {row}], tmm0",
            "tilestored [{out} + {row} + 64], tmm1",
            "tilestored [{out} + {row} + 2048], tmm2",
            "tilestored [{out} + {row} + 2112], tmm2",
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            count = inout(reg) count => _,
            line = in(reg) 64usize,
            out = in(reg) square,
            row = in(reg) 4 * LANES,
            options(nostack),
        );
    }
}

/// The product of the first 16 rows of `count` blocks as two halves of a square that are still to be added: the large terms above,
/// the small ones below, so that four sums are under way as in [`two_by_two`].
///
/// # Safety
/// As there, for a square of 32 by 32 numbers.
unsafe fn one_by_two((a, b): (*const Line, *const Line), count: usize, square: *mut f32) {
    // SAFETY: by the caller's word all addresses are good, and the tiles are nobody else's.
    unsafe {
        std::arch::asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{a} + {line} + 4096]",
            "tileloadd tmm6, [{b} + {line}]",
            "tdpbf16ps tmm2, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {line} + 1024]",
            "tdpbf16ps tmm3, tmm4, tmm7",
            "tileloadd tmm5, [{a} + {line} + 2048]",
            "tdpbf16ps tmm0, tmm5, tmm6",
            "tdpbf16ps tmm1, tmm5, tmm7",
            "tileloadd tmm4, [{a} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm6, [{b} + {line} + 2048]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm7, [{b} + {line} + 3072]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm6, [{b} + {line} + 4096]",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm7, [{b} + {line} + 5120]",
            "tdpbf16ps tmm2, tmm4, tmm6",
            "tdpbf16ps tmm3, tmm4, tmm7",
            "add {a}, 6144",
            "add {b}, 6144",
            "dec {count}",
            "jnz 2b",
            "tilestored [{out} + {row}], tmm0",
            "tilestored [{out} + {row} + 64], tmm1",
            "tilestored [{out} + {row} + 2048], tmm2",
            "tilestored [{out} + {row} + 2112], tmm3",
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            count = inout(reg) count => _,
            line = in(reg) 64usize,
            out = in(reg) square,
            row = in(reg) 4 * LANES,
            options(nostack),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{super::linear::add_bias, *};
    use langevin_core::noise::{NoiseSource as _, Philox};

    fn normals(len: usize, stream: u32) -> Vec<f32> {
        let mut out = vec![0.0; len];
        Philox::new(8).fill(0, 0, stream, &mut out);
        out
    }

    fn packed(side: Side, lanes: usize, terms: usize, values: &[f32], at: Place) -> Packed {
        let mut packed = Packed::empty(side);
        packed.fill(lanes, terms, values, at);
        packed
    }

    /// Largest error over the root of the terms, of tiles and of the plain sum in f32, on odd sizes and every layout.
    #[test]
    fn products_of_every_layout_are_as_exact_as_sums_in_f32() {
        if !available() {
            eprintln!("skipped: this processor has no tiles");
            return;
        }
        for [m, n, k] in [[1, 1, 1], [16, 32, 32], [17, 33, 65], [50, 20, 700], [33, 64, 15], [64, 70, 48]] {
            for layout in 0..9 {
                // Rows in one piece, columns in one piece, or neither.
                let place = |layout: usize, rows: usize, columns: usize| match layout {
                    0 => Place { start: 3, row: columns + 2, column: 1 },
                    1 => Place { start: 1, row: 1, column: rows + 1 },
                    _ => Place { start: 0, row: 3 * columns, column: 3 },
                };
                let (a_at, b_at) = (place(layout / 3, m, k), place(layout % 3, k, n));
                let (a, b) = (normals(3 * (m + 2) * (k + 2), 0), normals(3 * (k + 2) * (n + 2), 1));
                let left = packed(Side::Left, m, k, &a, a_at);
                let right = packed(Side::Right, n, k, &b, b_at);
                let before = normals(m * (n + 5), 2);
                for (add, scale) in [(false, 1.0), (true, 1.0), (true, -0.3), (false, 2.0)] {
                    let mut out = before.clone();
                    let at = Place { start: 4, row: n + 5, column: 1 };
                    product(&left, &right, scale, &mut out, at, add, None);
                    let bias = normals(n, 3);
                    let (mut with, mut after) = (before.clone(), out.clone());
                    product(&left, &right, scale, &mut with, at, add, Some(&bias));
                    (0..m).for_each(|i| add_bias(&bias, &mut after[4 + i * (n + 5)..][..n]));
                    assert_eq!(with, after, "{m} {n} {k}: a bias at once or afterwards");
                    let (mut worst, mut plain_worst) = (0f64, 0f64);
                    for i in 0..m {
                        for (j, found) in out[4 + i * (n + 5)..][..n].iter().enumerate() {
                            let old = if add { before[4 + i * (n + 5) + j] } else { 0.0 };
                            let (mut exact, mut plain, mut size) = (f64::from(old), 0f32, 1e-3);
                            for t in 0..k {
                                let a = a[a_at.start + i * a_at.row + t * a_at.column];
                                let b = b[b_at.start + t * b_at.row + j * b_at.column];
                                exact += f64::from(scale) * f64::from(a) * f64::from(b);
                                plain += a * b;
                                size += (f64::from(a) * f64::from(b)).powi(2);
                            }
                            let error = |x: f64| (x - exact).abs() / size.sqrt();
                            worst = worst.max(error(f64::from(*found)));
                            plain_worst = plain_worst.max(error(f64::from(old + scale * plain)));
                        }
                    }
                    let what = format!("{m} {n} {k}, layout {layout}, add {add}, scale {scale}: {worst:e}, in f32 {plain_worst:e}");
                    assert!(worst < 2.0 * plain_worst + 3e-7, "{what}");
                    // Nothing else is written.
                    for (at, (x, y)) in out.iter().zip(&before).enumerate() {
                        let is_inside = at >= 4 && (at - 4) % (n + 5) < n && (at - 4) / (n + 5) < m;
                        assert!(is_inside || x == y, "{what}: {at} was written");
                    }
                }
            }
        }
    }

    /// A product of rounded factors is that of numbers of 8 bits, as exact as with f32.
    #[test]
    fn rounded_products_are_those_of_rounded_numbers() {
        if !available() {
            eprintln!("skipped: this processor has no tiles");
            return;
        }
        let round = |x: &f32| f32::from_bits(x.to_bits().wrapping_add(0x7FFF + (x.to_bits() >> 16 & 1)) & 0xFFFF_0000);
        for [m, n, k] in [[1, 1, 1], [16, 32, 32], [17, 33, 65], [50, 20, 700], [33, 64, 15], [64, 70, 48]] {
            let (a, b) = (normals(m * k, 0), normals(k * n, 1));
            let run = |a: &[f32], b: &[f32], layouts: [bool; 2], precision: Precision| {
                let _entered = precision.enter();
                let turned = |values: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                    (0..rows * columns).map(|at| values[at % rows * columns + at / rows]).collect()
                };
                let left = if layouts[0] {
                    packed(Side::Left, m, k, &turned(a, m, k), Place::rows(m).transposed())
                } else {
                    packed(Side::Left, m, k, a, Place::rows(k))
                };
                let right = if layouts[1] {
                    packed(Side::Right, n, k, &turned(b, k, n), Place::rows(k).transposed())
                } else {
                    packed(Side::Right, n, k, b, Place::rows(n))
                };
                let mut out = vec![0.5; m * n];
                product(&left, &right, 1.0, &mut out, Place::rows(n), true, None);
                out
            };
            let rounded = |values: &[f32]| values.iter().map(round).collect::<Vec<f32>>();
            let exact = run(&rounded(&a), &rounded(&b), [false; 2], Precision::Full);
            for layouts in [[false, false], [true, false], [false, true], [true, true]] {
                let found = run(&a, &b, layouts, Precision::Bfloat16);
                for (x, y) in found.iter().zip(&exact) {
                    assert!((x - y).abs() < 1e-5 * (k as f32).sqrt(), "{m} {n} {k} {layouts:?}: {x} not {y}");
                }
            }
        }
    }

    #[test]
    fn parts_hold_every_bit() {
        if !available() {
            eprintln!("skipped: this processor has no tiles");
            return;
        }
        // Times one, every number comes back: three parts of 8 bits are all 24.
        let values: Vec<f32> = normals(32 * 32, 3).iter().map(|x| x * 1e5).chain([f32::MAX, f32::MIN, 1.0, -0.0]).collect();
        let len = values.len();
        let left = packed(Side::Left, len, 1, &values, Place::rows(1));
        let right = packed(Side::Right, 1, 1, &[1.0], Place::rows(1));
        let mut out = vec![0.0; len];
        product(&left, &right, 1.0, &mut out, Place::rows(1), false, None);
        assert_eq!(out, values);
    }
}
