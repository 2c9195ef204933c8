//! What can go wrong between a string and a conformer.

use std::path::PathBuf;

/// Result with the crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An error of this crate; the message says what failed, where, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A SMILES string that means no molecule.
    #[error("column {column}: {reason}")]
    Smiles {
        /// Column of the first byte that is wrong, counted from 1.
        column: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file whose content cannot be understood.
    #[error("{}: {place}: {reason}", path.display())]
    Format {
        /// File.
        path: PathBuf,
        /// Line or record.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A molecule that no conformer can be made of, or a geometry that does not fit it.
    #[error("{reason}")]
    Geometry {
        /// What is wrong.
        reason: String,
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
    /// Draws that found too few of the molecules asked for.
    #[error("found {found} of {wanted} molecules in {drawn} strings; allow more, or ask for fewer, another size or a commoner formula")]
    TooFew {
        /// Different molecules that fit.
        found: usize,
        /// How many were asked for.
        wanted: usize,
        /// Strings drawn.
        drawn: usize,
    },
    /// A request that the core refuses.
    #[error(transparent)]
    Core(#[from] langevin_core::Error),
    /// The operating system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
}
