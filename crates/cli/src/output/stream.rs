//! Results that are longer than memory: written as they come, in place only when they are whole.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use langevin_engine::checkpoint::Part;

use super::STDOUT;
use crate::report::Failure;

/// A result being written: stdout, or a hidden file beside the wanted one.
pub(crate) struct Stream {
    path: PathBuf,
    to: To,
}

enum To {
    Stdout(BufWriter<io::Stdout>),
    File(BufWriter<Part>),
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Stream {
    /// Starts a result at a claimed path.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn start(path: &Path) -> Result<Self, Failure> {
        let to = if path == Path::new(STDOUT) {
            To::Stdout(BufWriter::new(io::stdout()))
        } else {
            To::File(BufWriter::new(Part::beside(path)?))
        };
        Ok(Self { path: path.to_owned(), to })
    }

    /// What a failed write means: a closed pipe ends the command as a success.
    pub(crate) fn failure(&self, error: io::Error) -> Failure {
        if matches!(self.to, To::Stdout(_)) && error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::closed_pipe();
        }
        Failure::io(&self.path, error)
    }

    /// Puts the result where it belongs. Dropped instead, it leaves nothing behind.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        if let Err(error) = self.flush() {
            return Err(self.failure(error));
        }
        match self.to {
            To::Stdout(_) => Ok(()),
            To::File(file) => {
                let part = file.into_inner().map_err(|e| Failure::io(&self.path, e.into_error()))?;
                Ok(part.put(&self.path)?)
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.to {
            To::Stdout(out) => out.write(bytes),
            To::File(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Stdout(out) => out.flush(),
            To::File(out) => out.flush(),
        }
    }
}
