//! Products of blocks on tiles, in assembler: 32 or 16 rows times 32 columns.

use super::super::{
    parts::{LANES, Line},
    precision::Precision,
};

/// Lines that are asked for ahead of their use with every block.
pub(super) const AHEAD: usize = 12;

/// Adds or writes the product of `count` blocks to 32 rows of 32 numbers, `row` numbers apart.
///
/// Parts are called h, l, r from the largest to the smallest. The order `rh lh ll hl hh hr` changes one part at a time, and every
/// tile is loaded two products before its first use. With each block [`AHEAD`] lines from `ahead`, anywhere, are asked for. Tiles 4 and 5 are of the left factor, 6 and 7 of the right.
///
/// # Safety
/// Tiles are configured, both factors have `count + 1` blocks, and the rows lie in memory that may be written.
pub(super) unsafe fn two_by_two(
    precision: Precision,
    (a, b): (*const Line, *const Line),
    ahead: *const Line,
    count: usize,
    out: *mut f32,
    row: usize,
    add: bool,
) {
    #[cfg(test)]
    if super::emulated::wanted() {
        // SAFETY: the caller's word.
        return unsafe { super::emulated::two_by_two(precision, (a, b), count, out, row, add) };
    }
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
pub(super) unsafe fn one_by_two_rounded((a, b): (*const Line, *const Line), count: usize, square: *mut f32) {
    #[cfg(test)]
    if super::emulated::wanted() {
        // SAFETY: the caller's word.
        return unsafe { super::emulated::one_by_two(Precision::Bfloat16, (a, b), count, square) };
    }
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
pub(super) unsafe fn one_by_two((a, b): (*const Line, *const Line), count: usize, square: *mut f32) {
    #[cfg(test)]
    if super::emulated::wanted() {
        // SAFETY: the caller's word.
        return unsafe { super::emulated::one_by_two(Precision::Full, (a, b), count, square) };
    }
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
