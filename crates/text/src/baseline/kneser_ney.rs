//! Interpolated modified Kneser-Ney smoothing (Chen & Goodman 1999, "An empirical study of smoothing techniques for language modeling").

use std::ops::Range;

use super::counts::{Counts, mask};
use crate::{Corpus, Error, Result, error::within};

/// An n-gram model of tokens: the counts of the longest runs, and for shorter ones of how many different tokens they follow.
#[derive(Clone, Debug)]
pub struct KneserNey {
    classes: usize,
    bits: u32,
    /// Runs of 1, 2, .. tokens.
    orders: Vec<Order>,
}

#[derive(Clone, Debug)]
struct Order {
    counts: Counts,
    /// What is taken off a count of one, two, and three or more.
    discounts: [f64; 3],
}

impl KneserNey {
    /// Runs of up to 6 tokens: what texts in letters are usually measured with.
    pub const ORDER: usize = 6;

    /// Counts a corpus over `classes` classes with runs of up to `order` tokens, or as many as fit 64 bits.
    ///
    /// # Errors
    /// [`Error::Setting`] for an order of 0 and for a token that is not among the classes.
    pub fn learn(corpus: &Corpus, classes: usize, order: usize) -> Result<Self> {
        let texts: Vec<&[u16]> = corpus.segments().iter().map(|segment| &corpus.tokens()[segment.range.clone()]).collect();
        Self::of(&texts, classes, order)
    }

    /// The same for texts of any tokens.
    ///
    /// # Errors
    /// As [`KneserNey::learn`].
    pub fn of<T: Copy + Sync + Into<u64>>(texts: &[&[T]], classes: usize, order: usize) -> Result<Self> {
        within("order", order, 1, 64)?;
        if let Some(token) = texts.iter().copied().flatten().map(|&token| token.into()).find(|&token| token >= classes as u64) {
            return Err(Error::Setting { name: "classes", reason: format!("should be more than {token}, a token of the corpus") });
        }
        let bits = bits(classes);
        let order = order.min((u64::BITS / bits) as usize);
        Ok(Self::with_longest(Counts::of(texts, order, bits), classes, order))
    }

    /// From counts of the longest runs; none when they have a token that is not among the classes, or too many.
    pub(super) fn from_counts(counts: Counts, classes: usize, order: usize) -> Option<Self> {
        let bits = bits(classes);
        let fits = (1..=(u64::BITS / bits) as usize).contains(&order);
        let token = |key: u64, at: usize| key >> (at as u32 * bits) & mask(1, bits);
        let is_run = |&key: &u64| key & mask(order, bits) == key && (0..order).all(|at| token(key, at) < classes as u64);
        (fits && counts.keys.iter().all(is_run)).then(|| Self::with_longest(counts, classes, order))
    }

    fn with_longest(longest: Counts, classes: usize, order: usize) -> Self {
        let bits = bits(classes);
        let mut counts = vec![longest];
        for length in (2..=order).rev() {
            counts.push(counts[counts.len() - 1].continued(length, bits));
        }
        let orders = counts.into_iter().rev().map(|counts| Order { discounts: discounts(counts.rare()), counts }).collect();
        Self { classes, bits, orders }
    }

    pub(super) fn longest(&self) -> Option<&Counts> {
        self.orders.last().map(|order| &order.counts)
    }

    /// Tokens of the longest run, the predicted one included.
    pub const fn order(&self) -> usize {
        self.orders.len()
    }

    /// Number of different runs of the longest kind.
    pub fn len(&self) -> usize {
        self.orders.last().map_or(0, |order| order.counts.keys.len())
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Probabilities of the next token; of the tokens before, the last `order - 1` matter.
    pub fn next(&self, before: &[u32]) -> Vec<f64> {
        let mut p = vec![1.0 / self.classes as f64; self.classes];
        for (order, range) in self.seen(before) {
            let (total, freed) = order.mass(range.clone());
            p.iter_mut().for_each(|p| *p *= freed / total);
            for at in range {
                p[(order.counts.keys[at] & mask(1, self.bits)) as usize] += order.kept(at) / total;
            }
        }
        p
    }

    /// The probability of one next token; 0 for one that is not among the classes.
    pub fn probability(&self, before: &[u32], token: u32) -> f64 {
        if token as usize >= self.classes {
            return 0.0;
        }
        self.seen(before).fold(1.0 / self.classes as f64, |p, (order, range)| {
            let (total, freed) = order.mass(range.clone());
            let found = order.counts.keys[range.clone()].binary_search_by_key(&u64::from(token), |key| key & mask(1, self.bits));
            let own = found.map_or(0.0, |at| order.kept(range.start + at));
            (p * freed + own) / total
        })
    }

    /// The orders in which the tokens before have occurred, shortest first, and the places of what followed them.
    fn seen<'a>(&'a self, before: &'a [u32]) -> impl Iterator<Item = (&'a Order, Range<usize>)> {
        let of_order = move |(seen, order): (usize, &'a Order)| {
            let history = before[before.len() - seen..].iter().fold(0, |key, &token| key << self.bits | u64::from(token));
            (order, order.counts.after(history, self.bits))
        };
        self.orders.iter().enumerate().take(before.len() + 1).map(of_order).filter(|(_, range)| !range.is_empty())
    }

    /// `-ln p` of tokens that follow others, nats.
    pub fn nats(&self, before: &[u32], tokens: &[u32]) -> f64 {
        let all = [before, tokens].concat();
        let term = |at: usize| -self.probability(&all[at.saturating_sub(self.order() - 1)..at], all[at]).ln();
        (before.len()..all.len()).map(term).sum()
    }
}

/// Bits that number so many classes.
fn bits(classes: usize) -> u32 {
    usize::BITS - (classes.max(2) - 1).leading_zeros()
}

impl Order {
    fn discount(&self, at: usize) -> f64 {
        self.discounts[(self.counts.counts[at] as usize).min(3) - 1]
    }

    /// A count less its discount.
    fn kept(&self, at: usize) -> f64 {
        f64::from(self.counts.counts[at]) - self.discount(at)
    }

    /// All counts of some places, and all that is taken off them.
    fn mass(&self, range: Range<usize>) -> (f64, f64) {
        range.fold((0.0, 0.0), |(total, freed), at| (total + f64::from(self.counts.counts[at]), freed + self.discount(at)))
    }
}

/// Chen & Goodman's eq. 17 from the numbers of runs that occur once to four times; theirs for plentiful text where these give none.
fn discounts([one, two, three, four]: [f64; 4]) -> [f64; 3] {
    let y = one / (one + 2.0 * two);
    let found = [1.0 - 2.0 * y * two / one, 2.0 - 3.0 * y * three / two, 3.0 - 4.0 * y * four / three];
    let usual = [0.5, 1.0, 1.5];
    std::array::from_fn(|k| if found[k].is_finite() && found[k] > 0.0 && found[k] <= (k + 1) as f64 { found[k] } else { usual[k] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tokenizer, TokenizerSpec};

    fn corpus(text: &str) -> Corpus {
        Corpus::from_text(text, &Tokenizer::new(&TokenizerSpec::Char27 {}).unwrap()).unwrap()
    }

    fn classes(text: &str) -> Vec<u32> {
        Tokenizer::new(&TokenizerSpec::Char27 {}).unwrap().encode(text).unwrap()
    }

    #[test]
    fn probabilities_sum_to_one_whatever_came_before() {
        let model = KneserNey::learn(&corpus(&"it was the best of times it was the worst of times ".repeat(3)), 27, 6).unwrap();
        for before in ["", "t", "best o", "zzz", "it wax", "times"] {
            let p = model.next(&classes(before));
            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12 && p.iter().all(|p| *p > 0.0), "{before}");
            let one = |token: usize| model.probability(&classes(before), token as u32);
            assert!((0..27).all(|token| (one(token) - p[token]).abs() < 1e-14) && one(27) == 0.0, "{before}");
        }
        let p = model.next(&classes("it wa"));
        assert!(p[classes("s")[0] as usize] > 0.8, "{p:?}");
    }

    /// Two tokens, worked by hand.
    #[test]
    fn a_bigram_is_the_formula() {
        // Runs of two of `aabab`: aa 1, ab 2, ba 1. One: 2, two: 1: y = 1/2, D1 = 1 - 2 * 1/2 * 1/2 = 1/2, D2 = 2 (no run occurs three
        // times: 2 - 0). Before a: a, b (2); before b: a (1). One: 1, two: 1: y = 1/3, D1 = 1 - 2/3 = 1/3, D2 = 2.
        let model = KneserNey::learn(&corpus("aabab"), 27, 2).unwrap();
        let (a, b) = (1, 2);
        let one = |own: f64| own / 3.0 + (2.0 + 1.0 / 3.0) / 3.0 / 27.0;
        let (of_a, of_b) = (one(0.0), one(2.0 / 3.0));
        let p = model.next(&[]);
        assert!((p[a] - of_a).abs() < 1e-12 && (p[b] - of_b).abs() < 1e-12, "{p:?}");
        let p = model.next(&[1]);
        assert!((p[a] - (0.5 / 3.0 + 2.5 / 3.0 * of_a)).abs() < 1e-12 && (p[b] - 2.5 / 3.0 * of_b).abs() < 1e-12, "{p:?}");
        assert!((model.nats(&[1], &[1, 2]) + p[a].ln() + p[b].ln()).abs() < 1e-12);
        assert_eq!((model.order(), model.len(), model.is_empty()), (2, 3, false));
    }

    #[test]
    fn longer_runs_help_and_what_does_not_fit_is_refused() {
        let text = "the quick brown fox jumps over the lazy dog and the slow brown dog looks on ".repeat(5);
        let bits = |order| KneserNey::learn(&corpus(&text), 27, order).unwrap().nats(&[], &classes(&text[..300]));
        assert!(bits(2) < bits(1) && bits(4) < bits(2) && bits(6) < bits(4));
        assert_eq!(KneserNey::learn(&corpus("abc"), 1 << 15, 6).unwrap().order(), 4);
        assert!(KneserNey::learn(&corpus("abc"), 3, 6).unwrap_err().to_string().contains("more than 3"));
        assert!(KneserNey::learn(&corpus("abc"), 27, 0).is_err());
    }
}
