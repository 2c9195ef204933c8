//! Text to classes and back.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A tokenizer by name, as configs hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenizerSpec {
    /// The letters a to z and space: class 0 is the space, 1 to 26 are the letters.
    Char27 {},
    /// The printable characters of ASCII and the end of a line.
    Ascii {},
    /// Bytes of UTF-8.
    Byte {},
}

impl Default for TokenizerSpec {
    fn default() -> Self {
        Self::Char27 {}
    }
}

/// Text to classes `0..classes` and back; the class `classes` is the hidden token of absorbing processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokenizer {
    spec: TokenizerSpec,
}

impl Tokenizer {
    /// The tokenizer of a spec.
    ///
    /// # Errors
    /// For a spec that makes none.
    pub fn new(spec: &TokenizerSpec) -> Result<Self> {
        Ok(Self { spec: spec.clone() })
    }

    /// Number of classes, without the hidden one.
    pub const fn classes(&self) -> usize {
        match self.spec {
            TokenizerSpec::Char27 {} => 27,
            TokenizerSpec::Ascii {} => 96,
            TokenizerSpec::Byte {} => 256,
        }
    }

    /// The class of a hidden token.
    pub const fn hidden(&self) -> u32 {
        self.classes() as u32
    }

    /// Classes of a text.
    ///
    /// # Errors
    /// [`Error::Character`] names the first character that has no class, and its place.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let unknown = |position: usize, character: char| Error::Character {
            character: character.escape_default().to_string(),
            position: position + 1,
            tokenizer: self.alphabet().to_owned(),
        };
        let class = |(position, c): (usize, char)| match (&self.spec, c) {
            (TokenizerSpec::Char27 {}, ' ') => Ok(0),
            (TokenizerSpec::Char27 {}, 'a'..='z') => Ok(c as u32 - 'a' as u32 + 1),
            (TokenizerSpec::Ascii {}, '\n') => Ok(95),
            (TokenizerSpec::Ascii {}, ' '..='~') => Ok(c as u32 - 32),
            _ => Err(unknown(position, c)),
        };
        match self.spec {
            TokenizerSpec::Byte {} => Ok(text.bytes().map(u32::from).collect()),
            _ => text.chars().enumerate().map(class).collect(),
        }
    }

    /// The text of classes; a hidden token is `_`, bytes that are no UTF-8 become the replacement character.
    pub fn decode(&self, classes: &[u32]) -> String {
        let character = |&class: &u32| match self.spec {
            _ if class == self.hidden() => b'_',
            TokenizerSpec::Char27 {} if class == 0 => b' ',
            TokenizerSpec::Char27 {} => b'a' + (class as u8 - 1),
            TokenizerSpec::Ascii {} if class == 95 => b'\n',
            TokenizerSpec::Ascii {} => 32 + class as u8,
            TokenizerSpec::Byte {} => class as u8,
        };
        String::from_utf8_lossy(&classes.iter().map(character).collect::<Vec<u8>>()).into_owned()
    }

    /// Name and alphabet, for messages.
    pub const fn alphabet(&self) -> &'static str {
        match self.spec {
            TokenizerSpec::Char27 {} => "char27 (a to z and space)",
            TokenizerSpec::Ascii {} => "ascii (printable ASCII and line ends)",
            TokenizerSpec::Byte {} => "byte",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_and_strangers_are_named() {
        for (spec, text) in [
            (TokenizerSpec::Char27 {}, "the cat sat"),
            (TokenizerSpec::Ascii {}, "\"Zounds!\" ~ he said,\n{1}"),
            (TokenizerSpec::Byte {}, "na\u{ef}ve \u{1f600}"),
        ] {
            let tokenizer = Tokenizer::new(&spec).unwrap();
            let classes = tokenizer.encode(text).unwrap();
            assert!(classes.iter().all(|&class| (class as usize) < tokenizer.classes()));
            assert_eq!(tokenizer.decode(&classes), text);
        }
        let error = Tokenizer::new(&TokenizerSpec::Char27 {}).unwrap().encode("the Cat").unwrap_err().to_string();
        assert!(error.contains("character 5 ('C')") && error.contains("a to z"), "{error}");
    }
}
