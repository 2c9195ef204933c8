//! Words of samples beside those of a reference.

use std::collections::HashMap;

use crate::{Corpus, Result, Tokenizer, TokenizerSpec, baseline::KneserNey};

/// Words that occur less often in the reference are spelling mistakes, names and noise, and count as unknown.
const LEAST: usize = 3;
/// The word of all unknown ones.
const UNKNOWN: u32 = 0;

/// What a reference says of words.
#[derive(Debug)]
pub struct Words {
    known: HashMap<String, u32>,
    /// Of words; unknown ones are one.
    trigrams: KneserNey,
    /// Of the letters of unknown words.
    spelling: KneserNey,
    letters: Tokenizer,
}

impl Words {
    /// Learns from texts.
    ///
    /// # Errors
    /// What the tables refuse.
    pub fn learn(texts: &[String]) -> Result<Self> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for text in texts {
            for word in words(text) {
                *counts.entry(word).or_default() += 1;
            }
        }
        let mut kept: Vec<String> = counts.iter().filter(|(_, count)| **count >= LEAST).map(|(word, _)| word.clone()).collect();
        kept.sort_unstable();
        let known: HashMap<String, u32> = kept.into_iter().zip(UNKNOWN + 1..).collect();
        let ids: Vec<Vec<u32>> = texts.iter().map(|text| words(text).map(|word| id(&known, &word)).collect()).collect();
        let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let trigrams = KneserNey::of(&ids, known.len() + 1, 3)?;
        let letters = Tokenizer::new(&TokenizerSpec::Byte {})?;
        // Rare words are what unknown ones look like; each counts once.
        let mut rare: Vec<String> = counts.into_iter().filter(|(_, count)| *count < LEAST).map(|(word, _)| format!(" {word} ")).collect();
        rare.sort_unstable();
        let spelling = KneserNey::learn(&Corpus::from_text(&rare.concat(), &letters)?, letters.classes(), KneserNey::ORDER)?;
        Ok(Self { known, trigrams, spelling, letters })
    }

    /// The share of characters in words that are in known words; none without a whole word.
    pub fn share(&self, samples: &[String]) -> Option<f64> {
        let (mut within, mut all) = (0, 0);
        for word in samples.iter().flat_map(|sample| whole(sample)).flat_map(words) {
            let length = word.chars().count();
            all += length;
            within += if self.known.contains_key(&word) { length } else { 0 };
        }
        (all > 0).then(|| within as f64 / all as f64)
    }

    /// Bits a character of the words and the character behind each; none without a whole word.
    ///
    /// # Panics
    /// Never: bytes know every word.
    pub fn bits(&self, samples: &[String]) -> Option<f64> {
        let (mut nats, mut characters) = (0.0, 0);
        for sample in samples.iter().filter_map(|sample| whole(sample)) {
            let mut before: Vec<u32> = Vec::new();
            for word in words(sample) {
                let id = id(&self.known, &word);
                nats -= self.trigrams.probability(&before[before.len().saturating_sub(2)..], id).ln();
                if id == UNKNOWN {
                    nats += self.spelt(&word);
                }
                before.push(id);
                characters += word.chars().count() + 1;
            }
        }
        (characters > 0).then(|| nats / std::f64::consts::LN_2 / characters as f64)
    }

    fn spelt(&self, word: &str) -> f64 {
        let bytes = self.letters.encode(&format!("{word} ")).unwrap_or_default();
        self.spelling.nats(&[u32::from(b' ')], &bytes)
    }
}

fn id(known: &HashMap<String, u32>, word: &str) -> u32 {
    known.get(word).copied().unwrap_or(UNKNOWN)
}

/// The words of a text in small letters: runs of letters, and apostrophes between them.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    let apart = |c: char| !(c.is_alphabetic() || c == '\'' || c == '\u{2019}');
    text.split(apart).map(|word| word.trim_matches(['\'', '\u{2019}'])).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// A sample without what its ends may have cut: up to its first space and from its last.
fn whole(sample: &str) -> Option<&str> {
    let (first, last) = (sample.find(char::is_whitespace)?, sample.rfind(char::is_whitespace)?);
    (first < last).then(|| &sample[first..last])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// Learned from each text three times, so that its words are known.
    fn learned(from: &[&str]) -> Words {
        Words::learn(&texts(&from.repeat(3))).unwrap()
    }

    fn reference() -> Words {
        learned(&["the cat sat on the mat and the cat ran ", "zyx q "])
    }

    #[test]
    fn words_are_cut_and_known() {
        let found: Vec<String> = words("Don't -- 'stop', s\u{e9}\u{e9}  99 it's").collect();
        assert_eq!(found, ["don't", "stop", "s\u{e9}\u{e9}", "it's"]);
        // The ends may be cut words: `xx` and `yy` are left out; 3 + 3 of 3 + 3 + 4 letters are known.
        assert_eq!(reference().share(&texts(&["xx the cat wump yy"])), Some(0.6));
        assert_eq!(reference().share(&texts(&["one two"])), None);
    }

    #[test]
    fn order_of_words_matters_and_unknown_ones_are_spelt() {
        let reference = learned(&["the cat sat on the mat and the cat ran to the hat ", "odd words rarely seen "]);
        let bits = |text: &str| reference.bits(&texts(&[text])).unwrap();
        assert!(bits("x the cat sat on y") < bits("x on sat cat the y"));
        assert!(bits("x the cat sat on y") + 0.5 < bits("x the cat wug on y"));
        assert!(bits("x the cat wug on y").is_finite());
        assert_eq!(reference.bits(&[]), None);
    }

    /// The probabilities of all words at a place, unknown ones included, sum to one.
    #[test]
    fn nothing_is_counted_twice() {
        let reference = reference();
        let classes = reference.known.len() as u32 + 1;
        let total: f64 = (0..classes).map(|id| reference.trigrams.probability(&[1, 2], id)).sum();
        assert!((total - 1.0).abs() < 1e-12);
    }
}
