//! How good samples and filled gaps are.

mod copies;
mod diversity;
mod infill;
mod words;

pub use copies::copied;
pub use diversity::Diversity;
pub use infill::{KindScore, Task, outputs, score, tasks};
pub use words::{Words, words};

use std::{collections::BTreeMap, fs, path::Path};

use serde::Serialize;

use crate::{Error, Result};

/// Characters of a run that counts as copied.
pub const COPY: usize = 48;

/// What can be said of samples beside texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampleReport {
    /// Samples.
    pub samples: usize,
    /// Characters of all samples.
    pub characters: usize,
    /// Share of the characters in words that are in words of the reference; words cut by the ends of a sample are left out.
    pub in_words: Option<f64>,
    /// Bits a character under trigrams of the reference's words, unknown words by their letters.
    pub word_trigram_bits: Option<f64>,
    /// Share of the runs of 48 characters that stand so in the training text.
    pub copied: Option<f64>,
    /// Whether samples repeat themselves or one another.
    #[serde(flatten)]
    pub diversity: Diversity,
}

/// The samples of a file, one a line; empty lines are none.
///
/// # Errors
/// For a file that cannot be read, and one without samples.
pub fn samples(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let samples: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    if samples.is_empty() {
        return Err(Error::Format { path: path.to_owned(), reason: "holds no samples; give a file with one a line".to_owned() });
    }
    Ok(samples)
}

/// Measures samples; `words` from reference texts, `train` the texts that may have been copied.
pub fn report(samples: &[String], words: Option<&Words>, train: Option<&[String]>) -> SampleReport {
    SampleReport {
        samples: samples.len(),
        characters: samples.iter().map(|sample| sample.chars().count()).sum(),
        in_words: words.and_then(|words| words.share(samples)),
        word_trigram_bits: words.and_then(|words| words.bits(samples)),
        copied: train.and_then(|train| copied(samples, train, COPY)),
        diversity: Diversity::of(samples),
    }
}

/// Objects of a file of JSON lines by their `id`, a number or a text, and their places.
pub(crate) fn by_id(path: &Path) -> Result<BTreeMap<String, (usize, serde_json::Value)>> {
    let text = fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let mut found = BTreeMap::new();
    for (line, content) in text.lines().enumerate().filter(|(_, content)| !content.trim().is_empty()) {
        let wrong = |reason: String| Error::Format { path: path.to_owned(), reason: format!("line {}: {reason}", line + 1) };
        let value: serde_json::Value = serde_json::from_str(content).map_err(|e| wrong(format!("is no JSON: {e}")))?;
        let id = match value.get("id") {
            Some(serde_json::Value::String(id)) => id.clone(),
            Some(serde_json::Value::Number(id)) => id.to_string(),
            _ => return Err(wrong("should have an \"id\", a number or a text".to_owned())),
        };
        if found.insert(id.clone(), (line + 1, value)).is_some() {
            return Err(wrong(format!("repeats the id {id}")));
        }
    }
    Ok(found)
}
