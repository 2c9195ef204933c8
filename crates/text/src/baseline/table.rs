//! An n-gram model as a small file: its longest runs, from which the shorter ones follow.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::Path,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use super::{KneserNey, counts::Counts};
use crate::{Error, Result, Tokenizer, TokenizerSpec};

/// How such a file begins.
const MAGIC: &[u8] = b"langevin n-gram 1\n";
/// Most bytes of an unpacked file.
const MOST: u64 = 1 << 30;

impl KneserNey {
    /// The model as bytes, with the tokenizer whose tokens it counts: gzipped differences of the sorted runs and their counts, each in as
    /// many groups of 7 bits as it needs.
    pub fn to_bytes(&self, tokenizer: &TokenizerSpec) -> Vec<u8> {
        let spec = serde_json::to_string(tokenizer).unwrap_or_default();
        let mut plain = Vec::new();
        [spec.len() as u64, self.order() as u64].into_iter().for_each(|n| put(&mut plain, n));
        plain.extend_from_slice(spec.as_bytes());
        if let Some(counts) = self.longest() {
            put(&mut plain, counts.keys.len() as u64);
            let mut before = 0;
            for (&key, &count) in counts.keys.iter().zip(&counts.counts) {
                put(&mut plain, key - before);
                put(&mut plain, u64::from(count));
                before = key;
            }
        }
        let mut packed = GzEncoder::new(MAGIC.to_vec(), Compression::best());
        // Writing to memory does not fail.
        packed.write_all(&plain).ok();
        packed.finish().unwrap_or_default()
    }

    /// The model in a file of such bytes, and its tokenizer; none for other files and for folders.
    ///
    /// # Errors
    /// For a file that cannot be read or is damaged.
    pub fn read(path: &Path) -> Result<Option<(Self, TokenizerSpec)>> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.is_dir() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        (&file).take(MAGIC.len() as u64).read_to_end(&mut bytes).map_err(io)?;
        if bytes != MAGIC {
            return Ok(None);
        }
        (&file).take(MOST).read_to_end(&mut bytes).map_err(io)?;
        Self::from_bytes(&bytes).map(Some).map_err(|error| Error::Format { path: path.to_owned(), reason: error.to_string() })
    }

    /// The model of such bytes, and its tokenizer.
    ///
    /// # Errors
    /// [`Error::Setting`] for bytes that are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, TokenizerSpec)> {
        let wrong = |what: &str| Error::Setting { name: "the table of runs", reason: format!("is damaged: {what}; make it again") };
        let packed = bytes.strip_prefix(MAGIC).ok_or_else(|| wrong("it begins as no such file"))?;
        let mut plain = Vec::new();
        GzDecoder::new(packed).take(MOST).read_to_end(&mut plain).map_err(|e| wrong(&e.to_string()))?;
        let mut rest = plain.as_slice();
        let mut next = || take(&mut rest).ok_or_else(|| wrong("it ends early"));
        let (length, order) = (next()? as usize, next()? as usize);
        let spec = rest.get(..length).ok_or_else(|| wrong("it ends early"))?;
        let spec: TokenizerSpec = serde_json::from_slice(spec).map_err(|e| wrong(&e.to_string()))?;
        let classes = Tokenizer::new(&spec)?.classes();
        rest = &rest[length..];
        let mut next = || take(&mut rest).ok_or_else(|| wrong("it ends early"));
        let runs = next()?;
        let (mut counts, mut key) = (Counts::default(), 0u64);
        for run in 0..runs {
            let (step, count) = (next()?, next()?);
            let is_next = step > 0 || run == 0;
            key = key.checked_add(step).filter(|_| is_next).ok_or_else(|| wrong("its runs are out of order"))?;
            let count = u32::try_from(count).ok().filter(|&count| count > 0).ok_or_else(|| wrong("a count is out of range"))?;
            counts.keys.push(key);
            counts.counts.push(count);
        }
        let model = Self::from_counts(counts, classes, order).ok_or_else(|| wrong("a run has a token that does not exist"))?;
        Ok((model, spec))
    }
}

/// A number in groups of 7 bits, lowest first; all but the last have their eighth bit set.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for place in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Corpus;

    #[test]
    fn a_table_is_the_model() {
        let spec = TokenizerSpec::Char27 {};
        let tokenizer = Tokenizer::new(&spec).unwrap();
        let corpus = Corpus::from_text(&"it was the best of times it was the worst of times ".repeat(3), &tokenizer).unwrap();
        let model = KneserNey::learn(&corpus, 27, 6).unwrap();
        let bytes = model.to_bytes(&spec);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "it was the best of times").unwrap();
        assert!(KneserNey::read(file.path()).unwrap().is_none());
        std::fs::write(file.path(), &bytes).unwrap();
        assert_eq!(KneserNey::read(file.path()).unwrap().map(|(model, _)| model.len()), Some(model.len()));
        std::fs::write(file.path(), &bytes[..30]).unwrap();
        assert!(KneserNey::read(file.path()).unwrap_err().to_string().contains("damaged"));
        let (read, of) = KneserNey::from_bytes(&bytes).unwrap();
        assert_eq!((read.order(), read.len(), of), (6, model.len(), spec));
        let classes = tokenizer.encode("it was the time of the beast").unwrap();
        assert_eq!(read.nats(&[], &classes), model.nats(&[], &classes));
        // Cut or changed bytes are refused or another model, and never a panic.
        for at in 0..bytes.len() {
            assert!(KneserNey::from_bytes(&bytes[..at]).is_err());
            let mut other = bytes.clone();
            other[at] ^= 0x55;
            if let Ok((other, _)) = KneserNey::from_bytes(&other) {
                other.next(&[1, 2, 3]);
            }
        }
    }

    #[test]
    fn numbers_of_every_size_come_back() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let mut bytes = Vec::new();
        numbers.iter().for_each(|&n| put(&mut bytes, n));
        let mut rest = bytes.as_slice();
        assert!(numbers.iter().all(|&n| take(&mut rest) == Some(n)) && take(&mut rest).is_none());
    }
}
