//! SMILES as sequences of tokens: atoms, bonds, branches, ring closures.

use std::collections::{BTreeMap, HashMap};

use crate::{Error, Result};

/// The tokens of a string: a bracket atom, `Cl`, `Br` or a two-digit ring closure is one, anything else a byte.
///
/// # Errors
/// [`Error::Smiles`] for a bracket without its end, a `%` without two digits, or a byte that is not ASCII.
pub fn tokens(smiles: &str) -> Result<Vec<&str>> {
    let bytes = smiles.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let wrong = |reason: &str| Error::Smiles { column: at + 1, reason: reason.to_owned() };
        let length = match &bytes[at..] {
            [b'[', rest @ ..] => 2 + rest.iter().position(|&b| b == b']').ok_or_else(|| wrong("this bracket has no end"))?,
            [b'%', a, b, ..] if a.is_ascii_digit() && b.is_ascii_digit() => 3,
            [b'%', ..] => return Err(wrong("two digits should follow")),
            [b'C', b'l', ..] | [b'B', b'r', ..] => 2,
            [byte, ..] if byte.is_ascii() => 1,
            _ => return Err(wrong("this is not ASCII")),
        };
        // A slice inside brackets may end within a character.
        found.push(smiles.get(at..at + length).ok_or_else(|| wrong("this is not ASCII"))?);
        at += length;
    }
    Ok(found)
}

/// Whether a token is an atom other than hydrogen.
pub fn is_heavy(token: &str) -> bool {
    match token.strip_prefix('[') {
        None => token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*'),
        Some(inside) => {
            let symbol = inside.trim_start_matches(|c: char| c.is_ascii_digit()).as_bytes();
            // Hydrogen, not helium, hafnium, mercury, holmium or hassium.
            !matches!(symbol, [b'H', next, ..] if !b"efgos".contains(next))
        }
    }
}

/// The tokens that a model knows, numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    tokens: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Vocabulary {
    /// Most tokens: the transition matrices of the process are squares of it.
    pub const MOST: usize = 256;

    /// A vocabulary of these tokens.
    ///
    /// # Errors
    /// [`Error::Setting`] for no tokens, too many, one twice, or one that is not a token.
    pub fn new(list: &[String]) -> Result<Self> {
        let wrong = |reason: String| Err(Error::Setting { name: "tokens", reason });
        if !(1..=Self::MOST).contains(&list.len()) {
            return wrong(format!("should be 1 to {}, but are {}", Self::MOST, list.len()));
        }
        if let Some(bad) = list.iter().find(|token| tokens(token).map_or(0, |parts| parts.len()) != 1) {
            return wrong(format!("should be tokens of SMILES, but '{bad}' is none"));
        }
        let numbers: HashMap<String, u32> = list.iter().cloned().zip(0..).collect();
        if numbers.len() != list.len() {
            return wrong("should differ, but one is there twice".to_owned());
        }
        Ok(Self { tokens: list.to_vec(), numbers })
    }

    /// The commonest tokens of some strings, in their own order; strings that are no sequence of tokens count for nothing.
    pub fn of<'a>(strings: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        strings.into_iter().filter_map(|s| tokens(s).ok()).flatten().for_each(|token| *counts.entry(token).or_default() += 1);
        let mut common: Vec<(&str, u64)> = counts.into_iter().collect();
        common.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        common.truncate(Self::MOST);
        let mut names: Vec<String> = common.into_iter().map(|(token, _)| token.to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Never: a vocabulary has a token.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Numbers of the tokens of a string; `None` when one is unknown or there are no tokens.
    pub fn encode(&self, smiles: &str) -> Option<Vec<u32>> {
        let parts = tokens(smiles).ok()?;
        let numbers: Option<Vec<u32>> = parts.into_iter().map(|token| self.numbers.get(token).copied()).collect();
        numbers.filter(|numbers| !numbers.is_empty())
    }

    /// The string of some tokens; numbers that are none are left out.
    pub fn decode(&self, numbers: &[u32]) -> String {
        numbers.iter().filter_map(|&number| self.tokens.get(number as usize)).map(String::as_str).collect()
    }

    /// Number of atoms other than hydrogen.
    pub fn heavy(&self, numbers: &[u32]) -> usize {
        numbers.iter().filter(|&&number| self.tokens.get(number as usize).is_some_and(|token| is_heavy(token))).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_are_atoms_bonds_branches_and_closures() {
        assert_eq!(tokens("C[C@@H](Cl)C%12=C1Br").unwrap(), ["C", "[C@@H]", "(", "Cl", ")", "C", "%12", "=", "C", "1", "Br"]);
        assert_eq!(tokens("[NH3+]CC([O-])=O").unwrap(), ["[NH3+]", "C", "C", "(", "[O-]", ")", "=", "O"]);
        for (bad, at) in [("CC[NH", 3), ("C%1", 2), ("Cé", 2)] {
            assert!(matches!(tokens(bad), Err(Error::Smiles { column, .. }) if column == at), "{bad}");
        }
    }

    #[test]
    fn hydrogens_are_not_heavy() {
        let heavy = |s: &str| tokens(s).unwrap().into_iter().filter(|t| is_heavy(t)).count();
        assert_eq!(heavy("[H]C([2H])([H+])[13CH2]c1cn[nH]1"), 6);
        assert_eq!(heavy("[He][Hg][Ho]*ClBr"), 6);
        assert_eq!(heavy("[H][H]"), 0);
    }

    #[test]
    fn strings_come_back() {
        let strings = ["CC(=O)Oc1ccccc1C(=O)O", "C[N+](C)(C)CC([O-])=O"];
        let vocabulary = Vocabulary::new(&Vocabulary::of(strings)).unwrap();
        for s in strings {
            assert_eq!(vocabulary.decode(&vocabulary.encode(s).unwrap()), s);
        }
        assert_eq!(vocabulary.heavy(&vocabulary.encode(strings[1]).unwrap()), 8);
        assert_eq!((vocabulary.encode("CCl"), vocabulary.encode("")), (None, None));
        let names = |list: &[&str]| list.iter().map(|&t| t.to_owned()).collect::<Vec<_>>();
        for bad in [&[][..], &["C", "C"], &["CC"], &["[N"], &[""]] {
            assert!(Vocabulary::new(&names(bad)).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_tokens_or_an_error(text in "\\PC*") {
            if let Ok(parts) = tokens(&text) {
                prop_assert_eq!(parts.concat(), text);
            }
        }
    }
}
