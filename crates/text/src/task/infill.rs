//! Texts with gaps, as users write them.
//!
//! `_` is one hidden token, `[MASK:7]` seven of them, `[MASK:5-20]` a gap of 5 to 20, `[MASK]` one of 1 to 20. A backslash before `_`, `[` or another
//! backslash makes it a character of the text.

use std::ops::RangeInclusive;

use super::sample::{Pattern, Piece};
use crate::{
    Error, Result, Tokenizer, TokenizerSpec,
    config::{MOST_STEPS, Order, ProcessSpec, Remask, Sampling, TextConfig},
};

/// Lengths of a gap that says nothing about its own.
pub const FREE: RangeInclusive<usize> = 1..=20;
/// Longest gap that a template may ask for.
const LONGEST: usize = 100_000;

/// How gaps are filled when a request says nothing else: the likeliest token each time, all given tokens in sight; hidden tokens one at a time, the surest
/// first.
pub fn filling(config: &TextConfig) -> Sampling {
    let order = if config.process == (ProcessSpec::Masking {}) { Order::Confidence } else { Order::Random };
    Sampling { block: 0, steps: MOST_STEPS, order, temperature: 0.0, top_p: 1.0, remask: Remask::None, ..config.sampling }
}

/// Reads a template.
///
/// # Errors
/// [`Error::Character`] for a character outside the alphabet, unless they are mapped into it (`normalise`); [`Error::Setting`] for a mark that cannot be
/// understood, with its place; for an empty template.
pub fn parse(template: &str, normalise: bool, tokenizer: &Tokenizer) -> Result<Pattern> {
    let wrong = |reason: String| Error::Setting { name: "template", reason };
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut text, mut rest, mut at) = (String::new(), template, 0);
    // Where each character of `text` stands in the template.
    let mut places: Vec<usize> = Vec::new();
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        let gap = match c {
            '_' => Some(1..=1),
            '[' if rest.starts_with("[MASK") => {
                let end = rest.find(']').ok_or_else(|| wrong(format!("has a [MASK at character {} without ]", at + 1)))?;
                taken = end + 1;
                Some(lengths(&rest["[MASK".len()..end]).ok_or_else(|| {
                    wrong(format!("has '{}' at character {}: give [MASK], [MASK:7] or [MASK:5-20]", &rest[..taken], at + 1))
                })?)
            }
            _ => None,
        };
        match gap {
            Some(gap) => {
                given(&mut pieces, &mut text, &mut places, normalise, tokenizer)?;
                pieces.push(Piece::Gap(gap));
            }
            None => {
                let escaped = rest.strip_prefix('\\').and_then(|rest| rest.chars().next()).filter(|next| ['_', '[', '\\'].contains(next));
                taken += usize::from(escaped.is_some());
                text.push(escaped.unwrap_or(c));
                places.push(at);
            }
        }
        at += rest[..taken].chars().count();
        rest = &rest[taken..];
    }
    given(&mut pieces, &mut text, &mut places, normalise, tokenizer)?;
    Pattern::new(pieces)
}

/// Refuses a hole that the network cannot look across.
///
/// # Errors
/// [`Error::Setting`] names its length and place.
pub fn check_holes(pattern: &Pattern, context: usize) -> Result<()> {
    let (length, first) = pattern.longest_hole();
    if length > context {
        let reason = format!("has a mask of {length} tokens at place {}, but the network sees {context} at once: shorten it", first + 1);
        return Err(Error::Setting { name: "template", reason });
    }
    Ok(())
}

/// What stands between `[MASK` and `]`.
fn lengths(text: &str) -> Option<RangeInclusive<usize>> {
    if text.is_empty() {
        return Some(FREE);
    }
    let text = text.strip_prefix(':')?;
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to): (usize, usize) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    (from <= to && (1..=LONGEST).contains(&to)).then_some(from..=to)
}

/// Ends the given text so far.
fn given(pieces: &mut Vec<Piece>, text: &mut String, places: &mut Vec<usize>, normalise: bool, tokenizer: &Tokenizer) -> Result<()> {
    if !text.is_empty() {
        if normalise {
            *text = tokenizer.normalise(text);
        }
        pieces.push(Piece::Given(tokenizer.encode(text).map_err(|error| match error {
            Error::Character { character, position, tokenizer } => {
                Error::Character { character, position: places.get(position - 1).map_or(position, |at| at + 1), tokenizer }
            }
            other => other,
        })?));
        text.clear();
        places.clear();
    }
    Ok(())
}

/// Adds a constraint to a pattern: `3:[aeiou]` or `5-8:[a-z]`, places counted from 1; `[^...]` allows all others.
///
/// # Errors
/// [`Error::Setting`] for what cannot be understood or met, [`Error::Character`] for a character outside the alphabet.
pub fn constrain(pattern: &mut Pattern, constraint: &str, tokenizer: &Tokenizer) -> Result<()> {
    let wrong = |reason: String| Error::Setting { name: "constraint", reason };
    if !matches!(tokenizer.spec(), TokenizerSpec::Char27 {} | TokenizerSpec::Ascii {}) {
        return Err(wrong(format!("needs a tokenizer whose tokens are characters, but this is {}", tokenizer.alphabet())));
    }
    let malformed = || wrong(format!("should look like 3:[aeiou] or 5-8:[a-z], places counted from 1, but is '{constraint}'"));
    let (places, set) = constraint.split_once(':').ok_or_else(malformed)?;
    let (from, to) = places.split_once('-').unwrap_or((places, places));
    let (from, to): (usize, usize) = (from.trim().parse().map_err(|_| malformed())?, to.trim().parse().map_err(|_| malformed())?);
    let set = set.strip_prefix('[').and_then(|set| set.strip_suffix(']')).ok_or_else(malformed)?;
    if from == 0 || to < from || to - from > LONGEST {
        return Err(malformed());
    }
    let (set, is_allowed) = set.strip_prefix('^').map_or((set, true), |set| (set, false));
    let mut classes = vec![!is_allowed; tokenizer.classes()];
    let members: Vec<char> = set.chars().collect();
    let mut at = 0;
    while at < members.len() {
        let is_range = at + 2 < members.len() && members[at + 1] == '-';
        let last = if is_range { members[at + 2] } else { members[at] };
        if last < members[at] {
            return Err(malformed());
        }
        for member in members[at]..=last {
            for class in tokenizer.encode(&member.to_string())? {
                classes[class as usize] = is_allowed;
            }
        }
        at += if is_range { 3 } else { 1 };
    }
    (from..=to).try_for_each(|place| pattern.allow(place - 1, &classes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn char27() -> Tokenizer {
        Tokenizer::new(&TokenizerSpec::Char27 {}).unwrap()
    }

    #[test]
    fn templates_are_read() {
        let tokenizer = char27();
        let hidden = tokenizer.hidden();
        let text =
            |template: &str, lengths: &[usize]| tokenizer.decode(&parse(template, false, &tokenizer).unwrap().tokens(lengths, hidden));
        assert_eq!(text("h_llo", &[]), "h_llo");
        assert_eq!(text("the [MASK] sat", &[3]), "the ___ sat");
        assert_eq!(text("[MASK:2]x[MASK:5-20]_", &[6]), "__x_______");
        assert_eq!(parse("the [MASK] sat", false, &tokenizer).unwrap().open().next(), Some(&FREE));
        let ascii = Tokenizer::new(&TokenizerSpec::Ascii {}).unwrap();
        let escaped = parse(r"a\_b\[MASK]\\_", false, &ascii).unwrap();
        assert_eq!(ascii.decode(&escaped.tokens(&[], 0)), r"a_b[MASK]\ ");
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (template, words) in [
            ("", "empty"),
            ("ab[MASK", "character 3"),
            ("ab[MASK:x]", "[MASK:5-20]"),
            ("[MASK:9-5]", "[MASK:5-20]"),
            ("[MASK:0]", "[MASK:5-20]"),
            ("[MASK:999999999]", "[MASK:5-20]"),
            ("[MASK:3] _ B", "character 12"),
        ] {
            let error = parse(template, false, &char27()).unwrap_err().to_string();
            assert!(error.contains(words), "{template}: {error}");
        }
        let long = parse("a_[MASK:40]b", false, &char27()).unwrap();
        let error = check_holes(&long, 40).unwrap_err().to_string();
        assert!(error.contains("41 tokens at place 2") && check_holes(&long, 41).is_ok(), "{error}");
    }

    #[test]
    fn constraints_are_read_and_refused() {
        let tokenizer = char27();
        let mut pattern = parse("c____", false, &tokenizer).unwrap();
        constrain(&mut pattern, "2-3:[aeiou]", &tokenizer).unwrap();
        constrain(&mut pattern, "4:[^a-y ]", &tokenizer).unwrap();
        let allowed = |place: usize| (0..27).filter(|&class| pattern.allowed()[&place][class as usize]).collect::<Vec<u32>>();
        assert_eq!(tokenizer.decode(&allowed(2)), "aeiou");
        assert_eq!(tokenizer.decode(&allowed(3)), "z");
        for (constraint, words) in [
            ("2", "should look like"),
            ("2:aeiou", "should look like"),
            ("0:[a]", "should look like"),
            ("3-2:[a]", "should look like"),
            ("2:[z-a]", "should look like"),
            ("2:[]", "allows none"),
            ("2:[x]", "allows none"),
            ("1:[a]", "given at place 1"),
            ("9:[a]", "1 to 5"),
            ("2:[A]", "alphabet"),
        ] {
            let error = constrain(&mut pattern, constraint, &tokenizer).unwrap_err().to_string();
            assert!(error.contains(words), "{constraint}: {error}");
        }
        let mut open = parse("[MASK]", false, &tokenizer).unwrap();
        assert!(constrain(&mut open, "1:[a]", &tokenizer).is_err());
        let bytes = Tokenizer::new(&TokenizerSpec::Byte {}).unwrap();
        assert!(constrain(&mut pattern, "2:[a]", &bytes).is_err());
    }
}
