//! How long a gap is.

use std::{collections::HashMap, sync::Mutex};

use super::{Choice, Pattern, Predict, Writing, streams, uniform};
use crate::model::Conditions;

/// Most given tokens left of a gap that are looked at for its length.
const LEFT: usize = 64;
/// Most given tokens right of a gap whose likelihood decides about its length.
const RIGHT: usize = 16;

/// Probabilities of lengths, by pattern and the lengths of the gaps before.
pub(super) type Known = Mutex<HashMap<(usize, Vec<usize>), Vec<f64>>>;

impl<P: Predict> Writing<'_, P> {
    /// Lengths of the open gaps of a pattern for a sample, gap after gap, drawn by `p(length | given)`; and the network evaluations that this took.
    ///
    /// A text with a gap of each length is as likely as what is given there, the gap itself hidden, so that no filling has to be chosen first: by the
    /// chain rule in the order left of the gap, then right of it from left to right, which any-order models give exactly. What is left of the gap says nothing of its length; what is
    /// right of it decides, up to the next open gap and at most [`RIGHT`] tokens. Lengths are as likely as one another before that.
    pub(super) fn lengths(&self, row: u32, index: usize, pattern: &Pattern) -> (Vec<usize>, usize) {
        let (mut lengths, mut evaluations) = (Vec::new(), 0);
        for (gap, range) in pattern.open().enumerate() {
            let key = (index, lengths.clone());
            let known = self.known.lock().ok().and_then(|known| known.get(&key).cloned());
            evaluations += range.clone().count();
            let scores = known.unwrap_or_else(|| {
                let score = |length: usize| self.evidence(pattern, &[&lengths[..], &[length]].concat());
                let scores: Vec<f64> = range.clone().map(score).collect();
                if let Ok(mut known) = self.known.lock() {
                    known.insert(key, scores.clone());
                }
                scores
            });
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let choice = Choice::normalised(scores.iter().map(|score| (score - most).exp()).collect());
            let u = uniform(self.noise, [0, row, gap as u32, streams::LENGTH]);
            lengths.push(range.start() + choice.at(u) as usize);
        }
        (lengths, evaluations)
    }

    /// Log-likelihood of the given tokens right of the last gap, given those left of it.
    fn evidence(&self, pattern: &Pattern, lengths: &[usize]) -> f64 {
        let classes = self.model.classes();
        let hidden = classes as u32;
        let (tokens, gap) = pattern.around(lengths, hidden);
        let right = (tokens.len() - gap.end).min(RIGHT).min(self.model.context().saturating_sub(gap.len()) / 2);
        let left = gap.start.min(LEFT).min(self.model.context().saturating_sub(gap.len() + right));
        let window = gap.start - left..gap.end + right;
        let scored: Vec<usize> = (gap.end..window.end).filter(|&place| tokens[place] != hidden).collect();
        if scored.is_empty() {
            return 0.0;
        }
        // One row a scored token: it and those after it are hidden.
        let row = |&place: &usize| (window.clone()).map(move |k| (k, place));
        let rows: Vec<u32> = scored.iter().flat_map(row).map(|(k, place)| if k >= place { hidden } else { tokens[k] }).collect();
        let labels = vec![self.request.label; scored.len()];
        let logits = self.model.whole(&rows, Conditions { labels: &labels, times: &[] });
        let log = |(row, &place): (usize, &usize)| {
            let at = row * window.len() + place - window.start;
            Choice::new(&logits[at * classes..][..classes], None).of(tokens[place]).ln()
        };
        scored.iter().enumerate().map(log).sum()
    }
}
