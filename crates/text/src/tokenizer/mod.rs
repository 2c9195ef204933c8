//! Text to classes and back.

mod bpe;
mod fold;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use self::bpe::Pairs;
use crate::{Corpus, Error, Result, error::within};

/// A tokenizer by name, as configs hold it; `char27`, `ascii`, `byte` or `bpe:1024` as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenizerSpec {
    /// The letters a to z and space: class 0 is the space, 1 to 26 are the letters.
    Char27 {},
    /// The printable characters of ASCII and the end of a line.
    Ascii {},
    /// Bytes of UTF-8.
    Byte {},
    /// Pairs of bytes that are frequent in the training corpus, merged again and again (Sennrich et al. 2016, arXiv:1508.07909), within
    /// words.
    Bpe {
        /// Classes: 256 bytes and the merges.
        vocabulary: usize,
        /// The two classes that class `256 + i` is made of; filled in from the training corpus when empty.
        #[serde(default)]
        merges: Vec<[u16; 2]>,
    },
}

impl Default for TokenizerSpec {
    fn default() -> Self {
        Self::Char27 {}
    }
}

impl FromStr for TokenizerSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Setting { name: "tokenizer", reason: format!("should be char27, ascii, byte or bpe:1024, but is '{text}'") };
        let spec = match (text, text.strip_prefix("bpe:")) {
            ("char27", _) => Self::Char27 {},
            ("ascii", _) => Self::Ascii {},
            ("byte", _) => Self::Byte {},
            (_, Some(size)) => Self::Bpe { vocabulary: size.parse().map_err(|_| wrong())?, merges: Vec::new() },
            _ => return Err(wrong()),
        };
        Tokenizer::new(&spec)?;
        Ok(spec)
    }
}

impl fmt::Display for TokenizerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Char27 {} => f.write_str("char27"),
            Self::Ascii {} => f.write_str("ascii"),
            Self::Byte {} => f.write_str("byte"),
            Self::Bpe { vocabulary, .. } => write!(f, "bpe:{vocabulary}"),
        }
    }
}

impl TokenizerSpec {
    /// Whether it still has to learn from a corpus.
    pub const fn unlearned(&self) -> bool {
        matches!(self, Self::Bpe { merges, .. } if merges.is_empty())
    }

    /// The spec with what it learns from a corpus of bytes (read with [`TokenizerSpec::Byte`]): merges, and the vocabulary as far as
    /// the corpus has pairs that occur twice. Others stay as they are.
    pub fn learned(&self, corpus: &Corpus) -> Self {
        match self {
            Self::Bpe { vocabulary, .. } => {
                let bytes: Vec<u8> = corpus.tokens().iter().map(|&token| token as u8).collect();
                let merges = bpe::learn(&bytes, *vocabulary);
                Self::Bpe { vocabulary: bpe::BYTES + merges.len(), merges }
            }
            other => other.clone(),
        }
    }
}

/// Text to classes `0..classes` and back; the class `classes` is the hidden token of absorbing processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokenizer {
    spec: TokenizerSpec,
    pairs: Option<Pairs>,
}

impl Tokenizer {
    /// The tokenizer of a spec; pairs of bytes that are not learned yet are single bytes.
    ///
    /// # Errors
    /// [`Error::Setting`] for a vocabulary out of range, or merges that do not fit it.
    pub fn new(spec: &TokenizerSpec) -> Result<Self> {
        let pairs = match spec {
            TokenizerSpec::Bpe { vocabulary, merges } => {
                within("vocabulary", *vocabulary, bpe::BYTES, bpe::MOST)?;
                if !merges.is_empty() && merges.len() + bpe::BYTES != *vocabulary {
                    let reason = format!("should be {} for this vocabulary, or none, but are {}", vocabulary - bpe::BYTES, merges.len());
                    return Err(Error::Setting { name: "merges", reason });
                }
                Some(Pairs::new(merges)?)
            }
            _ => None,
        };
        Ok(Self { spec: spec.clone(), pairs })
    }

    /// The spec that it was made of.
    pub const fn spec(&self) -> &TokenizerSpec {
        &self.spec
    }

    /// Number of classes, without the hidden one.
    pub const fn classes(&self) -> usize {
        match &self.spec {
            TokenizerSpec::Char27 {} => 27,
            TokenizerSpec::Ascii {} => 96,
            TokenizerSpec::Byte {} => bpe::BYTES,
            TokenizerSpec::Bpe { vocabulary, .. } => *vocabulary,
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
        match (&self.spec, &self.pairs) {
            (_, Some(pairs)) => Ok(pairs.encode(text.as_bytes())),
            (TokenizerSpec::Byte {}, _) => Ok(text.bytes().map(u32::from).collect()),
            _ => text.chars().enumerate().map(class).collect(),
        }
    }

    /// The text of classes; a hidden token is `_`, bytes that are no UTF-8 become the replacement character.
    pub fn decode(&self, classes: &[u32]) -> String {
        let mut bytes = Vec::with_capacity(classes.len());
        for &class in classes {
            match (&self.spec, &self.pairs) {
                _ if class >= self.hidden() => bytes.push(b'_'),
                (_, Some(pairs)) => bytes.extend_from_slice(pairs.bytes(class)),
                (TokenizerSpec::Char27 {}, _) if class == 0 => bytes.push(b' '),
                (TokenizerSpec::Char27 {}, _) => bytes.push(b'a' + (class as u8 - 1)),
                (TokenizerSpec::Ascii {}, _) if class == 95 => bytes.push(b'\n'),
                (TokenizerSpec::Ascii {}, _) => bytes.push(32 + class as u8),
                _ => bytes.push(class as u8),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The text in the tokenizer's alphabet, so that [`encode`](Self::encode) takes it.
    ///
    /// `char27`: small letters without accents; apostrophes go, so that "don't" is "dont"; everything else is one space a run.
    /// `ascii`: accents go, quotes, dashes and spaces of typography become those of ASCII, line ends `\n`, anything else `?`.
    /// Bytes and their pairs know every text and keep it.
    pub fn normalise(&self, text: &str) -> String {
        match self.spec {
            TokenizerSpec::Char27 {} => fold::char27(text),
            TokenizerSpec::Ascii {} => fold::ascii(text),
            TokenizerSpec::Byte {} | TokenizerSpec::Bpe { .. } => text.to_owned(),
        }
    }

    /// Characters that begin in these classes, however bytes are cut; hidden tokens count as one.
    pub fn characters(&self, classes: &[u32]) -> usize {
        let begins = |byte: u8| usize::from(byte & 0xc0 != 0x80);
        let of_class = |&class: &u32| match (&self.spec, &self.pairs) {
            (_, Some(pairs)) if class < self.hidden() => pairs.bytes(class).iter().map(|&byte| begins(byte)).sum(),
            (TokenizerSpec::Byte {}, _) if class < self.hidden() => begins(class as u8),
            _ => 1,
        };
        classes.iter().map(of_class).sum()
    }

    /// Name and alphabet, for messages.
    pub const fn alphabet(&self) -> &'static str {
        match self.spec {
            TokenizerSpec::Char27 {} => "char27 (a to z and space)",
            TokenizerSpec::Ascii {} => "ascii (printable ASCII and line ends)",
            TokenizerSpec::Byte {} => "byte",
            TokenizerSpec::Bpe { .. } => "bpe",
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
            (TokenizerSpec::Bpe { vocabulary: 258, merges: vec![[b'a' as u16, b'b' as u16], [256, b'c' as u16]] }, "abc ab \u{1f600}"),
        ] {
            let tokenizer = Tokenizer::new(&spec).unwrap();
            let classes = tokenizer.encode(text).unwrap();
            assert!(classes.iter().all(|&class| (class as usize) < tokenizer.classes()));
            assert_eq!(tokenizer.decode(&classes), text);
            assert_eq!(tokenizer.characters(&classes), text.chars().count());
        }
        let error = Tokenizer::new(&TokenizerSpec::Char27 {}).unwrap().encode("the Cat").unwrap_err().to_string();
        assert!(error.contains("character 5 ('C')") && error.contains("a to z"), "{error}");
    }

    #[test]
    fn names_are_read_and_written() {
        for name in ["char27", "ascii", "byte", "bpe:1024"] {
            assert_eq!(name.parse::<TokenizerSpec>().unwrap().to_string(), name);
        }
        for name in ["words", "bpe", "bpe:x", "bpe:12", "bpe:99999999", "char27:3"] {
            let error = name.parse::<TokenizerSpec>().unwrap_err().to_string();
            assert!(error.contains("should be"), "{error}");
        }
        let unfit = [vec![[1, 2]], vec![[0, 1], [257, 0]]];
        assert!(unfit.into_iter().all(|merges| Tokenizer::new(&TokenizerSpec::Bpe { vocabulary: 258, merges }).is_err()));
    }
}
