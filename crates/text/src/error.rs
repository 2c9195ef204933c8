//! What can go wrong between a prompt and a text.

use std::path::PathBuf;

/// Result with the crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An error of this crate; the message says what failed, where, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A character that the tokenizer does not know.
    #[error("character {position} ('{character}') is not in the alphabet of {tokenizer}")]
    Character {
        /// The character, escaped.
        character: String,
        /// Its place in the text, in characters, from 1.
        position: usize,
        /// Name of the tokenizer and what it knows.
        tokenizer: String,
    },
    /// A file whose content cannot be used.
    #[error("{}: {reason}", path.display())]
    Format {
        /// File.
        path: PathBuf,
        /// What is wrong, where, and the remedy.
        reason: String,
    },
    /// The system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A setting outside its range.
    #[error("{name} {reason}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// What it should be.
        reason: String,
    },
    /// A checkpoint without a constant that its config asks for.
    #[error("the checkpoint's constant '{name}' {problem}")]
    Constant {
        /// Name of the constant.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Settings of the diffusion that cannot go together.
    #[error(transparent)]
    Core(#[from] langevin_core::Error),
}

/// A whole number between two others.
pub(crate) fn within(name: &'static str, value: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::Setting { name, reason: format!("should be {least} to {most}, but is {value}") })
}
