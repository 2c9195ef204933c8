//! Factors of matrix products cut into bfloat16 parts and laid out for the processor's tiles (`tiles`).

use std::arch::x86_64::*;

use super::{factor::Side, gemm::Place, precision::Precision, tiles::available};

/// Rows or columns that two tiles cover.
pub(super) const LANES: usize = 32;
/// Terms of a sum that one tile holds.
pub(super) const TERMS: usize = 32;
/// Numbers of a tile.
const TILE: usize = 512;
/// A cache line of parts.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Line(#[allow(dead_code, reason = "read by tiles")] [u16; 32]);

/// Lines of 32 lanes and 32 terms: two tiles of each part.
pub(super) const fn block(precision: Precision) -> usize {
    precision.parts() * PART
}

/// Lines of one part of a block: two tiles.
const PART: usize = 2 * TILE / 32;

/// A factor cut into parts, in the order in which tiles are filled.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub(super) side: Side,
    pub(super) lanes: usize,
    pub(super) terms: usize,
    pub(super) precision: Precision,
    lines: Vec<Line>,
}

impl Packed {
    /// Nothing yet; room is made by [`begin`](Self::begin) and kept.
    pub(super) const fn empty(side: Side) -> Self {
        Self { side, lanes: 0, terms: 0, precision: Precision::Full, lines: Vec::new() }
    }

    /// Cuts and lays out a factor at the precision of the other one: `lanes` rows of `a` or columns of `b`, and `terms`. `at` is the factor's
    /// place in `values`, which holds it.
    ///
    /// # Panics
    /// As [`put`](Self::put).
    pub(super) fn fill_like(&mut self, other: &Self, lanes: usize, terms: usize, values: &[f32], at: Place) {
        self.begin_at(other.precision, lanes, terms);
        self.put([0, 0], lanes, terms, values, at);
    }

    /// Starts a factor at this thread's precision that [`put`](Self::put) fills part by part. Until then it holds anything.
    pub(super) fn begin(&mut self, lanes: usize, terms: usize) {
        self.begin_at(Precision::of_thread(), lanes, terms);
    }

    fn begin_at(&mut self, precision: Precision, lanes: usize, terms: usize) {
        (self.lanes, self.terms, self.precision) = (lanes, terms, precision);
        // One block more than is filled: the kernel loads ahead.
        let lines = (lanes.div_ceil(LANES) * terms.div_ceil(TERMS) + 1) * block(precision);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([0; 32]));
        }
    }

    /// Lays out a part of a factor that begins at `[lane, term]`, multiples of 32; up to the next multiples it is filled with zeros.
    ///
    /// # Panics
    /// When there are no tiles, the part begins elsewhere or ends beyond the factor, or it reaches past its slice.
    pub(super) fn put(&mut self, [lane, term]: [usize; 2], lanes: usize, terms: usize, values: &[f32], at: Place) {
        assert!(available(), "no tiles to pack for");
        assert!(lane.is_multiple_of(LANES) && term.is_multiple_of(TERMS), "a part that begins inside a block");
        assert!(lane + lanes <= self.lanes && term + terms <= self.terms, "a part that ends beyond its factor");
        let blocks = self.terms.div_ceil(TERMS);
        let (along_lanes, along_terms) = match self.side {
            Side::Left => (at.row, at.column),
            Side::Right => (at.column, at.row),
        };
        let source = Source { values, start: at.start, lane: along_lanes, term: along_terms, lanes, terms };
        let first = lane / LANES * blocks + term / TERMS;
        let lines = &mut self.lines[first * block(self.precision)..];
        // SAFETY: `available` found the features.
        unsafe {
            match self.precision {
                Precision::Full => pack::<3>(source, self.side, blocks, lines),
                Precision::Bfloat16 => pack::<1>(source, self.side, blocks, lines),
            }
        }
    }

    /// The lines from block `block` of panel `panel` on, at least one block beyond `count`.
    pub(super) fn from(&self, panel: usize, block: usize, count: usize) -> *const Line {
        let size = self::block(self.precision);
        let first = (panel * self.terms.div_ceil(TERMS) + block) * size;
        self.lines[first..first + (count + 1) * size].as_ptr()
    }
}

/// A factor where it lies.
#[derive(Clone, Copy)]
struct Source<'a> {
    values: &'a [f32],
    start: usize,
    lane: usize,
    term: usize,
    lanes: usize,
    terms: usize,
}

impl Source<'_> {
    fn lanes_from(self, lane: usize) -> Self {
        Self { start: self.start + lane * self.lane, lanes: self.lanes.saturating_sub(lane), ..self }
    }

    fn terms_from(self, term: usize) -> Self {
        Self { start: self.start + term * self.term, terms: self.terms - term, ..self }
    }
}

/// `count` numbers, at most 16, from `at` on, then zeros.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f32], at: usize, count: usize) -> __m512 {
    if count == 0 {
        return _mm512_setzero_ps();
    }
    let values = &values[at..at + count];
    // SAFETY: the mask lets only the numbers of the slice be read, 16 at most.
    unsafe { _mm512_maskz_loadu_ps(mask(count), values.as_ptr()) }
}

/// The first `count` of 16.
#[inline]
fn mask(count: usize) -> u16 {
    if count >= 16 { u16::MAX } else { (1 << count) - 1 }
}

/// Splits off the leading 8 bits of every number.
#[inline]
#[target_feature(enable = "avx512f")]
fn leading(x: __m512i) -> (__m512i, __m512i) {
    let high = _mm512_and_si512(x, _mm512_set1_epi32(0xFFFF_0000_u32 as i32));
    let rest = _mm512_sub_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(high));
    (high, _mm512_castps_si512(rest))
}

/// The parts of a vector, each in the upper halves of its numbers: all of its bits in three, or in one the 8 leading ones, rounded to even.
#[inline]
#[target_feature(enable = "avx512f")]
fn cut<const PARTS: usize>(x: __m512) -> [__m512i; PARTS] {
    let mut rest = _mm512_castps_si512(x);
    if PARTS == 1 {
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(rest), _mm512_set1_epi32(1));
        return [_mm512_add_epi32(rest, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF))); PARTS];
    }
    let mut parts = [_mm512_setzero_si512(); PARTS];
    for part in &mut parts {
        (*part, rest) = leading(rest);
    }
    parts
}

/// Fills the blocks of a part of a factor that has `blocks` blocks a panel, along the source's memory.
#[target_feature(enable = "avx512f,avx512bw")]
fn pack<const PARTS: usize>(source: Source<'_>, side: Side, blocks: usize, lines: &mut [Line]) {
    let has_pairs_in_rows = source.lane == 1 && source.term != 1;
    if has_pairs_in_rows && side == Side::Right {
        return pack_along::<PARTS>(source, blocks, lines);
    }
    let (panels, steps) = (source.lanes.div_ceil(LANES), source.terms.div_ceil(TERMS));
    for k in 0..panels * steps {
        let (panel, step) = if has_pairs_in_rows { (k % panels, k / panels) } else { (k / steps, k % steps) };
        let lines = &mut lines[(panel * blocks + step) * PARTS * PART..][..PARTS * PART];
        let block = source.lanes_from(panel * LANES).terms_from(step * TERMS);
        for half in 0..2 {
            let part = block.lanes_from(half * 16);
            let part = Source { lanes: part.lanes.min(16), terms: part.terms.min(TERMS), ..part };
            // The kernel reads the second tile of the left factor's rows only where there are such rows.
            if part.lanes == 0 && side == Side::Left {
                continue;
            }
            let mut tiles =
                lines.chunks_exact_mut(PART).map(|lines| lines[half * 16..].first_chunk_mut::<16>().expect("a part has two tiles"));
            let tiles: [_; PARTS] = std::array::from_fn(|_| tiles.next().expect("a block has as many parts"));
            if has_pairs_in_rows {
                pairs(part, tiles, side == Side::Left);
            } else {
                rows(part, tiles, side == Side::Right);
            }
        }
    }
}

/// [`pack`] of a right factor whose lanes are next to one another, pair by pair of terms over all lanes: two streams that memory sees coming.
#[inline]
#[target_feature(enable = "avx512f")]
fn pack_along<const PARTS: usize>(source: Source<'_>, blocks: usize, lines: &mut [Line]) {
    let Source { values, start, term, lanes, terms, .. } = source;
    let panels = lanes.div_ceil(LANES);
    for pair in 0..terms.div_ceil(TERMS) * TERMS / 2 {
        let row = |k: usize, from: usize| {
            let count = lanes.saturating_sub(from).min(16);
            if k < terms { load(values, start + k * term + from, count) } else { _mm512_setzero_ps() }
        };
        let (step, line) = (pair / (TERMS / 2), pair % (TERMS / 2));
        for half in 0..2 * panels {
            let (u, v) = (cut::<PARTS>(row(2 * pair, half * 16)), cut::<PARTS>(row(2 * pair + 1, half * 16)));
            let at = (half / 2 * blocks + step) * PARTS * PART + half % 2 * 16 + line;
            for (part, (u, v)) in u.into_iter().zip(v).enumerate() {
                store(&mut lines[at + part * PART], _mm512_or_si512(_mm512_srli_epi32::<16>(u), upper(v)));
            }
        }
    }
}

/// Fills tiles from a factor whose lanes are next to one another: a row is a pair of terms.
#[inline]
#[target_feature(enable = "avx512f")]
fn pairs<const PARTS: usize>(source: Source<'_>, mut tiles: [&mut [Line; 16]; PARTS], transpose: bool) {
    let Source { values, start, term, lanes, terms, .. } = source;
    for pair in 0..16 {
        let row = |k: usize| if k < terms { load(values, start + k * term, lanes) } else { _mm512_setzero_ps() };
        let (u, v) = (cut::<PARTS>(row(2 * pair)), cut::<PARTS>(row(2 * pair + 1)));
        for (tile, (u, v)) in tiles.iter_mut().zip(u.into_iter().zip(v)) {
            store(&mut tile[pair], _mm512_or_si512(_mm512_srli_epi32::<16>(u), upper(v)));
        }
    }
    if transpose {
        tiles.into_iter().for_each(|tile| turn(tile));
    }
}

/// Fills tiles from any other factor: a row is a lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn rows<const PARTS: usize>(source: Source<'_>, mut tiles: [&mut [Line; 16]; PARTS], transpose: bool) {
    let Source { values, start, lane, term, lanes, terms } = source;
    let (early, late) = (terms.min(16), terms.saturating_sub(16));
    let mut copy = [0.0; TERMS];
    for row in 0..16 {
        let (mut u, mut v) = (_mm512_setzero_ps(), _mm512_setzero_ps());
        let at = start + row * lane;
        if row < lanes && term == 1 {
            (u, v) = (load(values, at, early), load(values, at + early, late));
        } else if row < lanes {
            copy.iter_mut().take(terms).enumerate().for_each(|(k, copy)| *copy = values[at + k * term]);
            (u, v) = (load(&copy, 0, early), load(&copy, early, late));
        }
        for (tile, (u, v)) in tiles.iter_mut().zip(cut::<PARTS>(u).into_iter().zip(cut::<PARTS>(v))) {
            store(&mut tile[row], _mm512_permutex2var_epi16(u, odd_words(), v));
        }
    }
    if transpose {
        tiles.into_iter().for_each(|tile| turn(tile));
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(line: &mut Line, row: __m512i) {
    // SAFETY: a line is 64 aligned bytes.
    unsafe { _mm512_store_si512(std::ptr::from_mut(line).cast(), row) };
}

/// Exchanges rows and columns of a tile, whose elements are pairs.
#[inline]
#[target_feature(enable = "avx512f")]
fn turn(tile: &mut [Line; 16]) {
    let mut rows = [_mm512_setzero_si512(); 16];
    // SAFETY: a line is 64 aligned bytes.
    rows.iter_mut().zip(&*tile).for_each(|(row, line)| *row = unsafe { _mm512_load_si512(std::ptr::from_ref(line).cast()) });
    tile.iter_mut().zip(transposed(rows)).for_each(|(line, row)| store(line, row));
}

#[inline]
#[target_feature(enable = "avx512f")]
fn upper(x: __m512i) -> __m512i {
    _mm512_and_si512(x, _mm512_set1_epi32(0xFFFF_0000_u32 as i32))
}

/// Selects the upper halves of the numbers of two vectors.
#[inline]
#[target_feature(enable = "avx512f")]
fn odd_words() -> __m512i {
    // Two 16-bit numbers each: 2 k + 1 for k = 2 i and 2 i + 1.
    let pair = |i: i32| (4 * i + 1) | (4 * i + 3) << 16;
    let [a, b, c, d] = [0, 4, 8, 12].map(|i| [pair(i), pair(i + 1), pair(i + 2), pair(i + 3)]);
    _mm512_setr_epi32(a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3])
}

/// Rows and columns of 16 by 16 32-bit numbers exchanged.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transposed(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut x = rows;
    // Within lanes of four numbers, then lanes of four lanes.
    for i in (0..16).step_by(4) {
        let [a, b, c, d] = [x[i], x[i + 1], x[i + 2], x[i + 3]];
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        let (ab_late, cd_late) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        x[i] = _mm512_unpacklo_epi64(ab, cd);
        x[i + 1] = _mm512_unpackhi_epi64(ab, cd);
        x[i + 2] = _mm512_unpacklo_epi64(ab_late, cd_late);
        x[i + 3] = _mm512_unpackhi_epi64(ab_late, cd_late);
    }
    let mut y = x;
    for j in 0..4 {
        let [a, b, c, d] = [x[j], x[4 + j], x[8 + j], x[12 + j]];
        let (ab, cd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d));
        let (ab_odd, cd_odd) = (_mm512_shuffle_i32x4::<0xDD>(a, b), _mm512_shuffle_i32x4::<0xDD>(c, d));
        y[j] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        y[4 + j] = _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd);
        y[8 + j] = _mm512_shuffle_i32x4::<0xDD>(ab, cd);
        y[12 + j] = _mm512_shuffle_i32x4::<0xDD>(ab_odd, cd_odd);
    }
    y
}
