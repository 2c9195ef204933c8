//! What can go wrong between a table with holes and a filled one.

use std::path::PathBuf;

/// Result with the crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An error of this crate; the message says what failed, where, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file whose content cannot be understood.
    #[error("{}: {place}: {reason}", path.display())]
    Format {
        /// File.
        path: PathBuf,
        /// Row and column, as the user sees them: rows counted from 1, the header being row 1; columns by name.
        place: String,
        /// What is wrong, and the remedy.
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
