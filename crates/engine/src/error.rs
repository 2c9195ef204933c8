//! What can go wrong in loops, files and devices.

use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A device name that does not exist.
    #[error("there is no device named '{name}'; devices are: {known}")]
    UnknownDevice {
        /// Name given.
        name: String,
        /// Names that exist.
        known: String,
    },
    /// A device that this binary was built without.
    #[error("device '{name}' is not in this build; rebuild with: cargo build --release --features {feature}")]
    DeviceNotBuilt {
        /// Name given.
        name: &'static str,
        /// Cargo feature that adds it.
        feature: &'static str,
    },
    /// A device that was built in but does not start.
    #[error("device '{name}' does not start: {reason}")]
    DeviceStart {
        /// Name given.
        name: &'static str,
        /// What the backend said.
        reason: String,
    },
    /// A file operation failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file that is not a checkpoint, or a damaged one.
    #[error("{}: not a usable checkpoint: {reason}", path.display())]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A checkpoint of a later format.
    #[error("{}: checkpoint format {found}, but this program reads up to {known}; use a newer langevin", path.display())]
    FormatVersion {
        /// The file.
        path: PathBuf,
        /// Version found.
        found: u32,
        /// Newest version known.
        known: u32,
    },
    /// A tensor that is missing or has another shape than the config of its own checkpoint says.
    #[error("{}: tensor '{name}' {problem}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A training state that belongs to another config.
    #[error("{}: the saved training state was made by another config ({what} differs); resume with the config stored there or choose another folder", path.display())]
    ResumeMismatch {
        /// The folder.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// Training produced a number that is not finite.
    #[error("the {what} is {value} at step {step}; lower the learning rate or look for NaN in the data (state of the last save is kept)")]
    Diverged {
        /// Loss, gradient or validation score.
        what: &'static str,
        /// Step at which it happened.
        step: u32,
        /// The number.
        value: f64,
    },
    /// A config file that does not parse.
    #[error("{}: {cause}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What the parser says, with the line.
        #[source]
        cause: Box<toml::de::Error>,
    },
    /// A number of a config file outside its range.
    #[error("{}: {cause}", path.display())]
    ConfigNumber {
        /// The file.
        path: PathBuf,
        /// Which number, and its range.
        #[source]
        cause: Box<Self>,
    },
    /// A setting outside its range.
    #[error("{name} should be {range}, but is {value}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// Value found.
        value: String,
        /// Range in words.
        range: &'static str,
    },
    /// A shard specification or part file that does not fit.
    #[error("shard: {0}")]
    Shard(String),
    /// The user or a caller asked to stop.
    #[error("interrupted{}", saved.as_ref().map(|p| format!("; state saved, continue with --resume {}", p.display())).unwrap_or_default())]
    Interrupted {
        /// Where the state was saved, if there is any.
        saved: Option<PathBuf>,
    },
}

impl Error {
    /// Wraps an I/O error with the path it concerns.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
