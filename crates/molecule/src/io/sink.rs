//! Output that is gzipped if wanted.

use flate2::{Compression, write::GzEncoder};
use std::{
    io::{Result, Write},
    path::Path,
};

/// A writer that may gzip. Equal content gives equal bytes: the stream holds no date and no name.
#[derive(Debug)]
pub enum Sink<W: Write> {
    /// Bytes as they are.
    Plain(W),
    /// Bytes through gzip.
    Gzip(GzEncoder<W>),
}

impl<W: Write> Sink<W> {
    /// Gzips if the name of the file ends in `.gz`.
    pub fn for_path(path: &Path, inner: W) -> Self {
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) {
            Self::Gzip(GzEncoder::new(inner, Compression::default()))
        } else {
            Self::Plain(inner)
        }
    }

    /// Writes what is still held back and returns the inner writer.
    ///
    /// # Errors
    /// The inner writer's.
    pub fn finish(self) -> Result<W> {
        match self {
            Self::Plain(mut inner) => inner.flush().map(|()| inner),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Plain(inner) => inner.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Plain(inner) => inner.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }
}
