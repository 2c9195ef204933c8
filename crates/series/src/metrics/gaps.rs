//! Runs of holes and their lengths.

use std::ops::Range;

/// Shortest length of each bin of gap lengths, in rows: 1, 2-3, 4-7, 8-15, 16-31, 32-63, 64 and more.
pub const BINS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Names of [`BINS`].
pub const BIN_LABELS: [&str; 7] = ["1", "2-3", "4-7", "8-15", "16-31", "32-63", "64+"];

/// Bin of a gap of `length` rows (0 counts as 1), an index into [`BINS`].
#[must_use]
pub fn bin_of(length: usize) -> usize {
    (length.max(1).ilog2() as usize).min(BINS.len() - 1)
}

/// Maximal runs of holes in rows that follow one another.
#[must_use]
pub fn gaps(holes: &[bool]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (row, _) in holes.iter().enumerate().filter(|(_, hole)| **hole) {
        match found.last_mut() {
            Some(gap) if gap.end == row => gap.end += 1,
            _ => found.push(row..row + 1),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_start_where_they_say() {
        for (bin, start) in BINS.into_iter().enumerate() {
            assert_eq!(bin_of(start), bin);
            assert_eq!(bin_of(start - 1), bin.saturating_sub(1));
        }
        assert_eq!(bin_of(1_000_000), 6);
    }

    #[test]
    fn runs() {
        let holes = |text: &str| gaps(&text.bytes().map(|b| b == b'x').collect::<Vec<_>>());
        assert_eq!(holes("xx.x..xxx"), [0..2, 3..4, 6..9]);
        assert!(holes("....").is_empty() && holes("").is_empty());
        assert_eq!(holes("x"), vec![0..1]);
    }
}
