//! What can go wrong between a file and a verdict.

use std::path::PathBuf;

/// Result with the crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An error of this crate; the message says what failed, where, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
        /// Its name.
        name: &'static str,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// A classifier that does not say how many numbers an input has, and nobody else has said it.
    #[error("{classifier}: {reason}; give the shape of one input")]
    NoShape {
        /// The classifier as it was named.
        classifier: String,
        /// Why the shape is not known.
        reason: String,
    },
    /// A checkpoint without a constant that its config asks for.
    #[error("the checkpoint's constant '{name}' {problem}")]
    Constant {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A device that does not return its numbers.
    #[error("the device does not return its result: {reason}")]
    Device {
        /// What it said.
        reason: String,
    },
    /// A request that the core refuses.
    #[error(transparent)]
    Core(#[from] langevin_core::Error),
}
