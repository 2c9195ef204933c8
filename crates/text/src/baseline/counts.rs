//! How often each run of tokens occurs, as sorted lists of packed keys.

use rayon::prelude::*;

/// Runs that are sorted at once.
const PART: usize = 1 << 22;

/// Runs of one length, packed with the last token lowest, in order; counts beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) keys: Vec<u64>,
    pub(super) counts: Vec<u32>,
}

impl Counts {
    /// The runs of `length` tokens of all texts, `bits` bits a token.
    pub(super) fn of<T: Copy + Sync + Into<u64>>(texts: &[&[T]], length: usize, bits: u32) -> Self {
        // Parts overlap, so that each run begins in exactly one.
        let parts: Vec<&[T]> = texts
            .iter()
            .filter(|text| text.len() >= length)
            .flat_map(|text| {
                let runs = text.len() - length + 1;
                (0..runs).step_by(PART).map(move |start| &text[start..(start + PART).min(runs) + length - 1])
            })
            .collect();
        let mask = mask(length, bits);
        let of_part = |part: &&[T]| {
            let mut key = part[..length - 1].iter().fold(0, |key: u64, &token| key << bits | token.into());
            let next = |&token: &T| {
                key = (key << bits | token.into()) & mask;
                key
            };
            Self::counted(part[length - 1..].iter().map(next).collect())
        };
        parts.par_iter().map(of_part).reduce(Self::default, Self::merged)
    }

    /// How many different tokens stand before each run that is one token shorter.
    pub(super) fn continued(&self, length: usize, bits: u32) -> Self {
        let mask = mask(length - 1, bits);
        Self::counted(self.keys.iter().map(|key| key & mask).collect())
    }

    fn counted(mut keys: Vec<u64>) -> Self {
        keys.par_sort_unstable();
        let mut found = Self::default();
        for run in keys.chunk_by(|a, b| a == b) {
            found.keys.push(run[0]);
            found.counts.push(run.len() as u32);
        }
        found
    }

    fn merged(self, other: Self) -> Self {
        if self.keys.is_empty() || other.keys.is_empty() {
            return if self.keys.is_empty() { other } else { self };
        }
        let mut all = Self::default();
        let (mut i, mut j) = (0, 0);
        while i < self.keys.len() || j < other.keys.len() {
            let (a, b) = (self.keys.get(i), other.keys.get(j));
            let take = |here: Option<&u64>, there: Option<&u64>| here.is_some_and(|here| there.is_none_or(|there| here <= there));
            let (first, second) = (take(a, b), take(b, a));
            all.keys.push(if first { self.keys[i] } else { other.keys[j] });
            let count = if first { self.counts[i] } else { 0 };
            all.counts.push(count.saturating_add(if second { other.counts[j] } else { 0 }));
            i += usize::from(first);
            j += usize::from(second);
        }
        all
    }

    /// The places of the runs that begin with `history`, which is one token shorter.
    pub(super) fn after(&self, history: u64, bits: u32) -> std::ops::Range<usize> {
        let start = self.keys.partition_point(|key| key >> bits < history);
        // Few runs share a history, so the end is near.
        let mut width = 1;
        while self.keys.get(start + width).is_some_and(|key| key >> bits == history) {
            width *= 2;
        }
        let far = (start + width).min(self.keys.len());
        start..start + self.keys[start..far].partition_point(|key| key >> bits == history)
    }

    /// How many runs occur once, twice, three and four times.
    pub(super) fn rare(&self) -> [f64; 4] {
        let mut found = [0.0; 4];
        for &count in &self.counts {
            if let Some(place) = found.get_mut(count as usize - 1) {
                *place += 1.0;
            }
        }
        found
    }
}

/// The bits of a run.
pub(super) fn mask(length: usize, bits: u32) -> u64 {
    u64::MAX.checked_shr(u64::BITS - length as u32 * bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn runs_are_counted_and_merged() {
        let text = [1u16, 2, 1, 2, 1, 2, 3];
        let pairs = Counts::of(&[&text, &[1]], 2, 5);
        let key = |a: u64, b: u64| a << 5 | b;
        assert_eq!(pairs, Counts { keys: vec![key(1, 2), key(2, 1), key(2, 3)], counts: vec![3, 2, 1] });
        assert_eq!(pairs.after(2, 5), 1..3);
        assert_eq!(pairs.after(3, 5), 3..3);
        // Before `a` stands `b`, before `b` stands `a`, before `c` stands `b`.
        assert_eq!(pairs.continued(2, 5), Counts { keys: vec![1, 2, 3], counts: vec![1, 1, 1] });
        let (left, right) = (Counts::of(&[&text], 1, 5), pairs.continued(2, 5));
        assert_eq!(left.clone().merged(right.clone()), right.merged(left));
        assert_eq!(pairs.rare(), [1.0, 1.0, 1.0, 0.0]);
        assert_eq!((mask(1, 5), mask(0, 5), mask(4, 16)), (31, 0, u64::MAX));
    }
}
