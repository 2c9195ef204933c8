//! Factors laid out in the order in which the kernel reads them.

use std::{arch::x86_64::*, cell::RefCell, mem::MaybeUninit};

use super::{
    super::{factor::Side, gemm::Place, parts::transposed},
    pairs,
};

/// Rows of the left factor that one call of the kernel takes.
pub(super) const ROWS: usize = 6;
/// Columns of a panel.
pub(super) const COLUMNS: usize = 64;
/// Numbers of a vector.
pub(in super::super) const LINE: usize = 16;

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([MaybeUninit<f32>; LINE]);

/// A laid out factor. Of the left one six rows at a time, term by term; of the right one 64 columns at a time, term by term, at last
/// as many vectors as are left.
#[derive(Clone, Debug)]
pub(in super::super) struct Packed {
    pub(super) side: Side,
    /// Rows of the left factor or columns of the right one.
    pub(super) lanes: usize,
    pub(super) terms: usize,
    /// Whether it is of pairs of rounded terms.
    pub(super) has_pairs: bool,
    lines: Vec<Line>,
}

thread_local! {
    /// Room for pairs of a part that is to be laid out.
    static PAIRS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Packed {
    /// Nothing yet; room is made by [`begin`](Self::begin) and kept.
    pub(in super::super) const fn empty(side: Side) -> Self {
        Self { side, lanes: 0, terms: 0, has_pairs: false, lines: Vec::new() }
    }

    /// Starts a factor at this thread's precision that [`put`](Self::put) fills part by part. Until then it holds anything.
    pub(in super::super) fn begin(&mut self, lanes: usize, terms: usize) {
        self.begin_of(pairs::wanted(), lanes, terms);
    }

    /// The same of pairs, or not.
    pub(super) fn begin_of(&mut self, has_pairs: bool, lanes: usize, terms: usize) {
        (self.lanes, self.terms, self.has_pairs) = (lanes, terms, has_pairs);
        let terms = self.depth();
        let lanes = match self.side {
            Side::Left => lanes.next_multiple_of(ROWS),
            Side::Right => lanes.next_multiple_of(LINE),
        };
        let lines = (lanes * terms).div_ceil(LINE);
        if self.lines.len() < lines {
            // Not cleared, which was 1.5 % of a training step: the numbers are all written by `put`.
            self.lines.clear();
            self.lines.reserve_exact(lines);
            // SAFETY: there is room for so many, and such lines need no value.
            unsafe { self.lines.set_len(lines) };
        }
    }

    /// Terms, or pairs of them.
    pub(super) const fn depth(&self) -> usize {
        if self.has_pairs { pairs::count(self.terms) } else { self.terms }
    }

    /// Lays out a part of a factor that begins at `[lane, term]`. Lanes begin at a multiple of 16 on the right and at 0 on the left; up to whole
    /// vectors they are filled with zeros. Terms of pairs begin at even ones.
    ///
    /// # Panics
    /// When the part begins elsewhere or ends beyond the factor, or it reaches past its slice.
    pub(in super::super) fn put(&mut self, [lane, term]: [usize; 2], lanes: usize, terms: usize, values: &[f32], at: Place) {
        assert!(lane + lanes <= self.lanes && term + terms <= self.terms, "a part that ends beyond its factor");
        if lanes == 0 || terms == 0 {
            return;
        }
        if !self.has_pairs {
            return self.put_numbers([lane, term], lanes, terms, values, at);
        }
        assert!(term.is_multiple_of(2), "a part that begins inside a pair");
        PAIRS.with_borrow_mut(|room| {
            let (by_lanes, turned) = match self.side {
                Side::Left => (at, false),
                Side::Right => (at.transposed(), true),
            };
            let place = pairs::of([lanes, terms], values, by_lanes, room);
            let place = if turned { place.transposed() } else { place };
            self.put_numbers([lane, term / 2], lanes, pairs::count(terms), room, place);
        });
    }

    /// [`put`](Self::put) of numbers, or of pairs as if they were numbers.
    fn put_numbers(&mut self, [lane, term]: [usize; 2], lanes: usize, terms: usize, values: &[f32], at: Place) {
        let all = self.depth();
        match self.side {
            Side::Left => {
                assert!(lane == 0 && at.holds(lanes, terms, values.len()), "a part that begins inside six rows or reaches past its slice");
                let source = Source { values: &values[at.start..], lane: at.row, term: at.column, lanes, terms };
                put_left(source, term, all, self.numbers());
            }
            Side::Right => {
                assert!(lane.is_multiple_of(LINE) && at.holds(terms, lanes, values.len()), "a part that begins inside a vector");
                let source = Source { values: &values[at.start..], lane: at.column, term: at.row, lanes, terms };
                // SAFETY: factors are laid out only where there are such vectors.
                unsafe { put_right(source, [lane, term], [self.lanes, all], &mut self.lines) };
            }
        }
    }

    pub(super) fn values(&self) -> *const f32 {
        self.lines.as_ptr().cast()
    }

    fn numbers(&mut self) -> &mut [MaybeUninit<f32>] {
        // SAFETY: lines are 16 numbers each, without gaps.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * LINE) }
    }
}

/// A part of a factor where it lies, from the beginning of its slice.
#[derive(Clone, Copy)]
struct Source<'a> {
    values: &'a [f32],
    lane: usize,
    term: usize,
    lanes: usize,
    terms: usize,
}

/// Lays out rows from term `first` of `all` on.
fn put_left(source: Source<'_>, first: usize, all: usize, out: &mut [MaybeUninit<f32>]) {
    /// Terms at a time: as many lines of the source stay in the first cache from six rows to the next.
    const STEPS: usize = 8;
    let Source { values, lane, term, lanes, terms } = source;
    let begin = |six: usize| (six * all + first) * ROWS;
    if lane != 1 {
        for row in 0..lanes {
            let out = out[begin(row / ROWS) + row % ROWS..].iter_mut().step_by(ROWS);
            // By index: a step of 0 is that of the only term.
            out.take(terms).enumerate().for_each(|(t, out)| _ = out.write(values[row * lane + t * term]));
        }
        return;
    }
    for from in (0..terms).step_by(STEPS) {
        let to = terms.min(from + STEPS);
        for six in 0..lanes.div_ceil(ROWS) {
            let count = ROWS.min(lanes - six * ROWS);
            for t in from..to {
                let (line, at) = (&values[t * term + six * ROWS..], begin(six) + t * ROWS);
                // Eight numbers at once are two moves; the two too many are written over with the next term.
                match line.first_chunk::<8>() {
                    Some(eight) if t + 1 < to => _ = out[at..at + 8].write_copy_of_slice(eight),
                    _ => _ = out[at..at + count].write_copy_of_slice(&line[..count]),
                }
            }
        }
    }
}

/// Lays out columns from `[lane, term]` on of a factor of `[lanes, terms]`.
#[target_feature(enable = "avx512f")]
fn put_right(source: Source<'_>, [first_lane, first_term]: [usize; 2], [all_lanes, all_terms]: [usize; 2], out: &mut [Line]) {
    const VECTORS: usize = COLUMNS / LINE;
    let Source { values, lane, term, lanes, terms } = source;
    let vectors = all_lanes.div_ceil(LINE);
    // Where the lines of 16 columns begin, and how far they are apart.
    let place = |group: usize| {
        let group = first_lane / LINE + group;
        let panel = group / VECTORS;
        let row = VECTORS.min(vectors - panel * VECTORS);
        (panel * VECTORS * all_terms + first_term * row + group % VECTORS, row)
    };
    let groups = lanes.div_ceil(LINE);
    if lane == 1 {
        for t in 0..terms {
            for group in 0..groups {
                let (start, row) = place(group);
                let line = load(&values[t * term + group * LINE..], lanes - group * LINE);
                store(&mut out[start + t * row], line);
            }
        }
        return;
    }
    for group in 0..groups {
        let (start, row) = place(group);
        let count = LINE.min(lanes - group * LINE);
        for t in (0..terms).step_by(LINE) {
            let steps = LINE.min(terms - t);
            let mut rows = [_mm512_setzero_si512(); LINE];
            for (k, row) in rows.iter_mut().enumerate().take(count) {
                let from = &values[(group * LINE + k) * lane + t * term..];
                *row = _mm512_castps_si512(if term == 1 {
                    load(from, steps)
                } else {
                    let mut copy = [0.0; LINE];
                    copy.iter_mut().take(steps).enumerate().for_each(|(t, copy)| *copy = from[t * term]);
                    load(&copy, LINE)
                });
            }
            for (k, line) in transposed(rows).into_iter().enumerate().take(steps) {
                store(&mut out[start + (t + k) * row], _mm512_castsi512_ps(line));
            }
        }
    }
}

/// The first `count` numbers, at most 16, then zeros.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f32], count: usize) -> __m512 {
    let count = count.min(LINE);
    let values = &values[..count];
    // SAFETY: the mask lets only the numbers of the slice be read.
    unsafe { _mm512_maskz_loadu_ps(u16::MAX >> (LINE - count), values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(line: &mut Line, numbers: __m512) {
    // SAFETY: a line is 64 aligned bytes.
    unsafe { _mm512_store_ps(line.0.as_mut_ptr().cast(), numbers) };
}
