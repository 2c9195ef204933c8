//! What is given of a text, and what is to be written.

use std::{collections::BTreeMap, ops::RangeInclusive};

use crate::{Error, Result};

/// A part of a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Tokens that stay as they are.
    Given(Vec<u32>),
    /// Tokens to be written, and how many there may be.
    Gap(RangeInclusive<usize>),
}

/// Given tokens and gaps, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pattern {
    pieces: Vec<Piece>,
    allowed: BTreeMap<usize, Vec<bool>>,
}

impl Pattern {
    /// Pieces one after the other.
    ///
    /// # Errors
    /// [`Error::Setting`] for a pattern without any token, or a gap whose shortest length is above its longest.
    pub fn new(pieces: Vec<Piece>) -> Result<Self> {
        let wrong = |reason: &str| Err(Error::Setting { name: "pattern", reason: reason.to_owned() });
        if pieces.iter().any(|piece| matches!(piece, Piece::Gap(range) if range.is_empty())) {
            return wrong("should have gaps whose shortest length is at most their longest");
        }
        let longest = |piece: &Piece| match piece {
            Piece::Given(tokens) => tokens.len(),
            Piece::Gap(range) => *range.end(),
        };
        if pieces.iter().all(|piece| longest(piece) == 0) {
            return wrong("should have a token or more, but is empty");
        }
        Ok(Self { pieces, allowed: BTreeMap::new() })
    }

    /// A text of `length` tokens that begins with a prompt.
    ///
    /// # Errors
    /// [`Error::Setting`] for a length of 0 or one that the prompt fills alone.
    pub fn beginning(prompt: Vec<u32>, length: usize) -> Result<Self> {
        if length == 0 {
            return Err(Error::Setting { name: "length", reason: "should be 1 or more, but is 0".to_owned() });
        }
        if prompt.len() >= length {
            let reason = format!("should be above the {} tokens of the prompt, which it counts, but is {length}", prompt.len());
            return Err(Error::Setting { name: "length", reason });
        }
        let rest = length - prompt.len();
        Self::new(vec![Piece::Given(prompt), Piece::Gap(rest..=rest)])
    }

    /// Tokens of which those that are `hidden` are to be written.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of(tokens: &[u32], hidden: u32) -> Result<Self> {
        let piece = |run: &[u32]| if run[0] == hidden { Piece::Gap(run.len()..=run.len()) } else { Piece::Given(run.to_vec()) };
        Self::new(tokens.chunk_by(|a, b| (*a == hidden) == (*b == hidden)).map(piece).collect())
    }

    /// Allows only some classes at a place, counted from 0.
    ///
    /// # Errors
    /// [`Error::Setting`] where no class is left, the place lies beyond the text or behind a gap of open length, or what is given there is not allowed.
    pub fn allow(&mut self, place: usize, classes: &[bool]) -> Result<()> {
        let wrong = |reason: String| Err(Error::Setting { name: "constraint", reason });
        if !self.is_closed() {
            return wrong("should be given for a text of known length only, but a gap is open: give it one length".to_owned());
        }
        let tokens = self.tokens(&[], u32::MAX);
        let Some(&token) = tokens.get(place) else {
            return wrong(format!("should name places 1 to {}, but names {}", tokens.len(), place + 1));
        };
        let mut both = classes.to_vec();
        if let Some(before) = self.allowed.get(&place) {
            both.iter_mut().zip(before).for_each(|(class, before)| *class &= before);
        }
        if !both.contains(&true) {
            return wrong(format!("should allow a character at place {}, but allows none", place + 1));
        }
        if token != u32::MAX && !both.get(token as usize).is_some_and(|&is_allowed| is_allowed) {
            return wrong(format!("should allow what is given at place {}, but does not", place + 1));
        }
        self.allowed.insert(place, both);
        Ok(())
    }

    /// Whether the length of every gap is known.
    pub fn is_closed(&self) -> bool {
        self.open().next().is_none()
    }

    /// Tokens of the longest text that it may become.
    pub fn longest(&self) -> usize {
        let longest = |piece: &Piece| match piece {
            Piece::Given(tokens) => tokens.len(),
            Piece::Gap(range) => *range.end(),
        };
        self.pieces.iter().map(longest).sum()
    }

    /// Tokens and first place (from 0, in the longest text) of its longest gap between given tokens; gaps of known length that touch are one.
    pub fn longest_hole(&self) -> (usize, usize) {
        let (mut at, mut run, mut longest) = (0, 0, (0, 0));
        for piece in &self.pieces {
            match piece {
                Piece::Given(tokens) if tokens.is_empty() => {}
                Piece::Given(tokens) => {
                    run = 0;
                    at += tokens.len();
                }
                Piece::Gap(range) => {
                    run += range.end();
                    at += range.end();
                    if run > longest.0 {
                        longest = (run, at - run);
                    }
                }
            }
        }
        longest
    }

    /// Allowed classes by place.
    pub(crate) const fn allowed(&self) -> &BTreeMap<usize, Vec<bool>> {
        &self.allowed
    }

    /// Gaps of open length.
    pub(crate) fn open(&self) -> impl Iterator<Item = &RangeInclusive<usize>> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Gap(range) if range.start() != range.end() => Some(range),
            _ => None,
        })
    }

    /// The text with open gaps of these lengths, hidden tokens where it is to be written.
    pub(crate) fn tokens(&self, lengths: &[usize], hidden: u32) -> Vec<u32> {
        self.around(lengths, hidden).0
    }

    /// The text with the first open gaps of these lengths, up to the next open gap, and where the last of them lies.
    pub(crate) fn around(&self, lengths: &[usize], hidden: u32) -> (Vec<u32>, std::ops::Range<usize>) {
        let (mut tokens, mut lengths, mut last) = (Vec::new(), lengths.iter(), 0..0);
        for piece in &self.pieces {
            match piece {
                Piece::Given(given) => tokens.extend(given),
                Piece::Gap(range) if range.start() == range.end() => tokens.resize(tokens.len() + range.end(), hidden),
                Piece::Gap(_) => {
                    let Some(length) = lengths.next() else { break };
                    last = tokens.len()..tokens.len() + length;
                    tokens.resize(last.end, hidden);
                }
            }
        }
        (tokens, last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_texts() {
        let pattern = Pattern::new(vec![Piece::Given(vec![1, 2]), Piece::Gap(1..=3), Piece::Given(vec![3]), Piece::Gap(2..=2)]).unwrap();
        assert!(!pattern.is_closed());
        assert_eq!(pattern.tokens(&[2], 9), [1, 2, 9, 9, 3, 9, 9]);
        assert_eq!(pattern.around(&[1], 9), (vec![1, 2, 9, 3, 9, 9], 2..3));
        assert_eq!(pattern.around(&[], 9).0, [1, 2]);
        assert_eq!((pattern.longest(), pattern.longest_hole()), (8, (3, 2)));
        assert_eq!(Pattern::of(&[9, 1, 9, 9], 9).unwrap().tokens(&[], 9), [9, 1, 9, 9]);
        assert_eq!(Pattern::beginning(vec![1], 3).unwrap().tokens(&[], 9), [1, 9, 9]);
        assert!(Pattern::beginning(vec![1], 1).is_err() && Pattern::beginning(vec![], 0).is_err() && Pattern::of(&[], 9).is_err());
    }

    #[test]
    fn constraints_that_cannot_be_met_are_refused() {
        let mut pattern = Pattern::of(&[9, 1, 9], 9).unwrap();
        pattern.allow(0, &[true, true, false]).unwrap();
        for (place, classes, words) in
            [(0, [false, false, true], "place 1"), (1, [true, false, false], "given at place 2"), (3, [true; 3], "places 1 to 3")]
        {
            let error = pattern.allow(place, &classes).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(pattern.allowed()[&0], [true, true, false]);
    }
}
