//! The kernels in plain Rust, for tests on processors without tiles: with the argument [`MARK`] tests of this crate run everything that is built on tiles,
//! but for the assembler itself, on any processor with AVX-512: `cargo test -p langevin-nn --lib -- --skip emulate-tiles`.

use super::super::{
    parts::{LANES, Line},
    precision::Precision,
};

/// A name that no test has, so that tests can be told to skip it.
pub(super) const MARK: &str = "emulate-tiles";
/// Numbers of a tile's row, and bytes of a tile.
const WIDE: usize = 16;
const TILE: usize = 1024;
/// Bytes of a part of a block, and of a block of three.
const PART: usize = 2 * TILE;

/// Parts of the left and right factor that are multiplied, h 0, l 1, r 2: the large terms, then the small ones.
const LARGE: [(usize, usize); 3] = [(1, 0), (0, 0), (0, 1)];
const SMALL: [(usize, usize); 3] = [(2, 0), (1, 1), (0, 2)];

/// Whether [`MARK`] was given.
pub(super) fn wanted() -> bool {
    static ANSWER: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| std::env::args().any(|argument| argument == MARK));
    *ANSWER
}

/// Adds the product of two tiles to 16 by 16 numbers: rows of the left one are lanes of 32 terms, rows of the right one pairs of terms.
///
/// # Safety
/// Two tiles lie at the addresses, and the result in memory that may be written.
unsafe fn add_product(a: *const u8, b: *const u8, out: *mut f32, row: usize) {
    let number = |tile: *const u8, row: usize, k: usize| {
        // SAFETY: 16 rows of 32 numbers of 2 bytes.
        f32::from_bits(u32::from(unsafe { tile.cast::<u16>().add(2 * WIDE * row + k).read() }) << 16)
    };
    for i in 0..WIDE {
        for j in 0..WIDE {
            let sum: f32 = (0..2 * WIDE).map(|k| number(a, i, k) * number(b, k / 2, 2 * j + k % 2)).sum();
            // SAFETY: the caller's word.
            unsafe { *out.add(i * row + j) += sum };
        }
    }
}

/// Adds products of parts of `count` blocks to `halves` times 16 rows of 32 numbers.
///
/// # Safety
/// As the kernels.
unsafe fn add_blocks(
    (a, b): (*const Line, *const Line),
    [count, parts, halves]: [usize; 3],
    which: &[(usize, usize)],
    out: *mut f32,
    row: usize,
) {
    for block in 0..count {
        let (a, b) = (a.cast::<u8>().wrapping_add(block * parts * PART), b.cast::<u8>().wrapping_add(block * parts * PART));
        for &(of_a, of_b) in which {
            for (i, j) in (0..halves).flat_map(|i| (0..2).map(move |j| (i, j))) {
                let (a, b) = (a.wrapping_add(of_a * PART + i * TILE), b.wrapping_add(of_b * PART + j * TILE));
                // SAFETY: the caller's word.
                unsafe { add_product(a, b, out.wrapping_add(i * WIDE * row + j * WIDE), row) };
            }
        }
    }
}

/// # Safety
/// The rows may be written.
unsafe fn clear(out: *mut f32, rows: usize, row: usize) {
    for i in 0..rows {
        // SAFETY: the caller's word.
        unsafe { std::slice::from_raw_parts_mut(out.add(i * row), LANES) }.fill(0.0);
    }
}

/// See [`super::kernel::two_by_two`].
pub(super) unsafe fn two_by_two(
    precision: Precision,
    factors: (*const Line, *const Line),
    count: usize,
    out: *mut f32,
    row: usize,
    add: bool,
) {
    // SAFETY: the caller's word.
    unsafe {
        if !add {
            clear(out, LANES, row);
        }
        match precision {
            Precision::Full => add_blocks(factors, [count, 3, 2], &[SMALL, LARGE].concat(), out, row),
            Precision::Bfloat16 => add_blocks(factors, [count, 1, 2], &[(0, 0)], out, row),
        }
    }
}

/// See [`super::kernel::one_by_two`] and [`super::kernel::one_by_two_rounded`].
pub(super) unsafe fn one_by_two(precision: Precision, factors: (*const Line, *const Line), count: usize, square: *mut f32) {
    // SAFETY: the caller's word.
    unsafe {
        clear(square, LANES, LANES);
        match precision {
            Precision::Full => {
                add_blocks(factors, [count, 3, 1], &LARGE, square, LANES);
                add_blocks(factors, [count, 3, 1], &SMALL, square.add(WIDE * LANES), LANES);
            }
            Precision::Bfloat16 => add_blocks(factors, [count, 1, 1], &[(0, 0)], square, LANES),
        }
    }
}
