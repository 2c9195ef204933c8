//! A text on its way.

use std::{collections::BTreeMap, ops::ControlFlow};

/// How far a text is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The text, with hidden tokens.
    pub tokens: &'a [u32],
    /// How many tokens at its beginning will not change any more.
    pub settled: usize,
    /// Network evaluations so far.
    pub evaluations: usize,
}

/// Told how far a text is; may stop it.
pub type Watch<'a> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'a;

pub(super) struct Draft<'a> {
    pub(super) row: u32,
    pub(super) tokens: Vec<u32>,
    pub(super) hidden: u32,
    pub(super) allowed: &'a BTreeMap<usize, Vec<bool>>,
    /// Probability of each token when it was drawn; 1 of those that were given.
    pub(super) confidence: Vec<f32>,
    /// How often each token was drawn: part of the address of its next draw.
    pub(super) draws: Vec<u32>,
    pub(super) settled: usize,
    pub(super) evaluations: usize,
    pub(super) watch: &'a mut Watch<'a>,
}

impl Draft<'_> {
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn is_hidden(&self, place: usize) -> bool {
        self.tokens[place] == self.hidden
    }

    /// The first hidden place from `from` on.
    pub(super) fn next_hidden(&self, from: usize) -> Option<usize> {
        (from..self.len()).find(|&place| self.is_hidden(place))
    }

    pub(super) fn hidden_places(&self, places: std::ops::Range<usize>) -> Vec<usize> {
        places.filter(|&place| self.is_hidden(place)).collect()
    }

    /// Tells whoever watches.
    pub(super) fn tell(&mut self) -> ControlFlow<()> {
        (self.watch)(Progress { tokens: &self.tokens, settled: self.settled, evaluations: self.evaluations })
    }

    /// Counts a network evaluation and tells of it.
    pub(super) fn evaluated(&mut self) -> ControlFlow<()> {
        self.evaluations += 1;
        self.tell()
    }
}
