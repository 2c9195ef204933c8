//! Whether samples repeat themselves or one another.

use std::collections::HashSet;

use serde::Serialize;

use super::words;

/// Shares that fall when samples collapse.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Diversity {
    /// Different samples of all.
    pub distinct_samples: f64,
    /// Different words of all words.
    pub distinct_1: f64,
    /// Different pairs of words of all pairs.
    pub distinct_2: f64,
    /// Different triples of words of all triples.
    pub distinct_3: f64,
    /// Triples of words that stand earlier in their own sample, of all triples.
    pub repeated_3: f64,
}

impl Diversity {
    /// Of some samples; 1 and 0 where there is nothing to repeat.
    pub fn of(samples: &[String]) -> Self {
        let split: Vec<Vec<String>> = samples.iter().map(|sample| words(sample).collect()).collect();
        let distinct = |n: usize| {
            let all = || split.iter().flat_map(move |words| words.windows(n));
            share(all().collect::<HashSet<_>>().len(), all().count(), 1.0)
        };
        let of_sample = |words: &Vec<String>| {
            let different = words.windows(3).collect::<HashSet<_>>().len();
            words.windows(3).count() - different
        };
        let triples = split.iter().map(|words| words.windows(3).count()).sum();
        Self {
            distinct_samples: share(samples.iter().collect::<HashSet<_>>().len(), samples.len(), 1.0),
            distinct_1: distinct(1),
            distinct_2: distinct(2),
            distinct_3: distinct(3),
            repeated_3: share(split.iter().map(of_sample).sum(), triples, 0.0),
        }
    }
}

fn share(part: usize, whole: usize, none: f64) -> f64 {
    if whole == 0 { none } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collapse_shows() {
        let of = |samples: &[&str]| Diversity::of(&samples.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        let fine = of(&["one two three four", "five six"]);
        assert_eq!(fine, Diversity { distinct_samples: 1.0, distinct_1: 1.0, distinct_2: 1.0, distinct_3: 1.0, repeated_3: 0.0 });
        let stuck = of(&["no no no no no", "no no no no no"]);
        assert_eq!((stuck.distinct_samples, stuck.distinct_1, stuck.distinct_3), (0.5, 0.1, 1.0 / 6.0));
        assert!((stuck.repeated_3 - 4.0 / 6.0).abs() < 1e-12);
        assert_eq!(of(&[]).repeated_3, 0.0);
    }
}
