//! Errors of the libraries as failures of the program: exit code, code, and what to do next.

use std::{error::Error as StdError, io, path::Path};

use langevin_core::selftest::SelftestError;

use super::{Exit, Failure};
use crate::values;

impl From<langevin_engine::Error> for Failure {
    fn from(error: langevin_engine::Error) -> Self {
        use langevin_engine::Error as E;
        let message = error.to_string();
        let (exit, code, help) = match &error {
            E::UnknownDevice { .. } => (Exit::Usage, "device", "`langevin doctor` says which devices this build has"),
            E::DeviceNotBuilt { .. } => (Exit::Usage, "device", "or leave --device out to run on the CPU"),
            E::DeviceStart { .. } => (Exit::Data, "device", "install the driver that it names, or leave --device out to run on the CPU"),
            E::Io { source, .. } => (Exit::Data, "file", io_help(source)),
            E::NotACheckpoint { .. } => (
                Exit::Data,
                "checkpoint",
                "`langevin list` names the checkpoints inside the program; other files should come from `langevin train`",
            ),
            E::FormatVersion { .. } => (Exit::Data, "checkpoint", ""),
            E::Tensor { .. } => (Exit::Data, "checkpoint", "the file is damaged or was edited; get or train it again"),
            E::ResumeMismatch { .. } | E::Diverged { .. } => (Exit::Data, "train", ""),
            E::Config { .. } => (Exit::Data, "config", "correct the line shown; the folder configs/ of the source has complete examples"),
            E::Setting { .. } => (Exit::Data, "setting", "correct this setting and run again"),
            E::Shard(_) => (Exit::Data, "shard", ""),
            E::Interrupted { .. } => (Exit::Interrupted, "interrupted", ""),
            _ => (Exit::Data, "engine", ""),
        };
        let meant = if code == "config" { values::meant(&message) } else { None };
        finish(Self::new(exit, code, message), meant.as_deref().unwrap_or(help), &error)
    }
}

impl From<langevin_core::Error> for Failure {
    fn from(error: langevin_core::Error) -> Self {
        use langevin_core::Error as E;
        let exit = match error {
            // Requests that a user makes with flags.
            E::UnknownName { .. } | E::OutOfRange { .. } | E::Grid { .. } | E::ParamAtLevel { .. } => Exit::Usage,
            _ => Exit::Data,
        };
        let meant = match &error {
            E::UnknownName { name, known, .. } => values::nearest(name, known.split(", ")).map(|known| format!("did you mean `{known}`?")),
            _ => None,
        };
        finish(Self::new(exit, "diffusion", error.to_string()), meant.as_deref().unwrap_or_default(), &error)
    }
}

impl From<langevin_audio::Error> for Failure {
    fn from(error: langevin_audio::Error) -> Self {
        let help = match &error {
            langevin_audio::Error::Io { source, .. } => io_help(source),
            _ => "",
        };
        finish(Self::new(Exit::Data, "audio", error.to_string()), help, &error)
    }
}

impl From<langevin_molecule::Error> for Failure {
    fn from(error: langevin_molecule::Error) -> Self {
        let help = match &error {
            langevin_molecule::Error::Io { source, .. } => io_help(source),
            _ => "",
        };
        finish(Self::new(Exit::Data, "molecule", error.to_string()), help, &error)
    }
}

impl From<langevin_purify::Error> for Failure {
    fn from(error: langevin_purify::Error) -> Self {
        let help = match &error {
            langevin_purify::Error::Io { source, .. } => io_help(source),
            langevin_purify::Error::NoShape { .. } => {
                "--input-shape 30 for rows of 30 numbers, --input-shape 1,8000 for clips of 8000 samples"
            }
            _ => "",
        };
        finish(Self::new(Exit::Data, "purify", error.to_string()), help, &error)
    }
}

impl From<langevin_series::Error> for Failure {
    fn from(error: langevin_series::Error) -> Self {
        // Tables are written to files and to stdout, and of these only stdout has a reader that can go away.
        if matches!(&error, langevin_series::Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe) {
            return Self::closed_pipe();
        }
        let help = match &error {
            langevin_series::Error::Io { source, .. } => io_help(source),
            _ => "",
        };
        finish(Self::new(Exit::Data, "series", error.to_string()), help, &error)
    }
}

impl From<langevin_text::Error> for Failure {
    fn from(error: langevin_text::Error) -> Self {
        let help = match &error {
            langevin_text::Error::Io { source, .. } => io_help(source),
            langevin_text::Error::Character { .. } => "give --normalise to map such characters to ones of the alphabet",
            _ => "",
        };
        finish(Self::new(Exit::Data, "text", error.to_string()), help, &error)
    }
}

impl From<SelftestError> for Failure {
    fn from(error: SelftestError) -> Self {
        let help = "--vectors takes a folder of reference values as JSON; tests/golden of the source is one";
        finish(Self::new(Exit::Data, "selftest", error.to_string()), help, &error)
    }
}

/// Adds the help, if any, and those causes that the message does not already tell.
fn finish(mut failure: Failure, help: &str, error: &dyn StdError) -> Failure {
    if !help.is_empty() {
        failure = failure.help(help);
    }
    let mut untold = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !failure.message.contains(&text) {
            untold.push(text);
        }
        next = cause.source();
    }
    if untold.is_empty() { failure } else { failure.because(io::Error::other(untold.join(": "))) }
}

fn io_help(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "check who may read and write there",
        io::ErrorKind::StorageFull => "make room on that disk and run again",
        _ => "",
    }
}

impl Failure {
    /// A failed file operation.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        langevin_engine::Error::io(path)(source).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_who_is_to_blame() {
        use langevin_engine::Error as E;
        let of = |e: E| Failure::from(e).exit;
        assert_eq!(of(E::UnknownDevice { name: "x".into(), known: "y".into() }), Exit::Usage);
        assert_eq!(of(E::NotACheckpoint { path: "p".into(), reason: "r".into() }), Exit::Data);
        assert_eq!(of(E::Interrupted { saved: None }), Exit::Interrupted);
        let unknown = langevin_core::Error::UnknownName { kind: "solver", name: "x".into(), known: "ddim".into() };
        assert_eq!(Failure::from(unknown).exit, Exit::Usage);
        assert_eq!(Failure::from(langevin_audio::Error::NoWavs { dir: "d".into() }).exit, Exit::Data);
    }

    #[test]
    fn a_cause_is_told_once() {
        let failure = Failure::io(Path::new("a/b"), io::ErrorKind::NotFound.into());
        assert!(failure.to_string().contains("a/b") && failure.source().is_none(), "{failure:?}");
        let read = SelftestError::Read { file: "v".into(), source: io::ErrorKind::NotFound.into() };
        let failure = Failure::from(read);
        assert!(failure.source().is_some_and(|s| s.to_string().contains("not found")), "{failure:?}");
    }
}
