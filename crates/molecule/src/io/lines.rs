//! Lines of a file that may be gzipped, with their numbers.

use crate::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use std::{
    fs::File,
    io::{BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
};

/// Longest line read, in bytes: a training record of 1000 conformers of 1000 atoms fits.
pub const MAX_LINE: u64 = 1 << 26;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// A file read line by line.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    number: usize,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("path", &self.path).field("number", &self.number).finish_non_exhaustive()
    }
}

impl Lines {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// The system refuses to open or read it.
    pub fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Self::new(Path::new("standard input"), std::io::stdin());
        }
        let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Self::new(path, file)
    }

    /// Reads from anything; `path` is used in messages.
    ///
    /// # Errors
    /// The first bytes cannot be read.
    pub fn new(path: &Path, source: impl Read + Send + 'static) -> Result<Self> {
        let io = |source| Error::Io { path: path.into(), source };
        let mut reader = BufReader::new(source);
        let mut start = read_start(&mut reader, GZIP.len()).map_err(io)?;
        let mut reader: Box<dyn BufRead + Send> = if start == GZIP {
            let mut unzipped = BufReader::new(MultiGzDecoder::new(Cursor::new(start).chain(reader)));
            start = read_start(&mut unzipped, BOM.len()).map_err(io)?;
            Box::new(unzipped)
        } else {
            start.extend(read_start(&mut reader, BOM.len() - start.len().min(GZIP.len())).map_err(io)?);
            Box::new(reader)
        };
        if start == BOM {
            start.clear();
        }
        if !start.is_empty() {
            reader = Box::new(Cursor::new(start).chain(reader));
        }
        Ok(Self { path: path.into(), reader, buffer: Vec::new(), number: 0 })
    }

    /// The next line without its end, `None` after the last.
    ///
    /// Bytes that are no UTF-8 are taken as Latin-1, as old files have them in names.
    ///
    /// # Errors
    /// The system refuses, the gzip stream is damaged, or a line has more than [`MAX_LINE`] bytes.
    pub fn next_line(&mut self) -> Result<Option<String>> {
        self.buffer.clear();
        let read = self.reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut self.buffer);
        let read = read.map_err(|source| Error::Io { path: self.path.clone(), source })?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.buffer.len() as u64 > MAX_LINE {
            return Err(self.error(format!("has more than {MAX_LINE} bytes; is this a text file?")));
        }
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line).map_or_else(|_| line.iter().map(|&b| char::from(b)).collect(), str::to_owned);
        Ok(Some(text))
    }

    /// Number of the line read last, counted from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The file's name, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error at the line read last.
    pub fn error(&self, reason: impl Into<String>) -> Error {
        Error::Format { path: self.path.clone(), place: format!("line {}", self.number), reason: reason.into() }
    }

    /// The bytes that follow, and the file's name.
    pub fn into_reader(self) -> (Box<dyn BufRead + Send>, PathBuf) {
        (self.reader, self.path)
    }

    /// The beginning of what follows, as far as one read gives it, without taking it.
    pub(crate) fn peek(&mut self) -> Result<Vec<u8>> {
        // A chained cursor would show only its own few bytes.
        let mut start = read_start(&mut self.reader, 4096).map_err(|source| Error::Io { path: self.path.clone(), source })?;
        let rest = std::mem::replace(&mut self.reader, Box::new(Cursor::new(Vec::new())));
        self.reader = Box::new(Cursor::new(start.clone()).chain(rest));
        start.truncate(4096);
        Ok(start)
    }
}

/// Whether reading cannot go on after an error.
pub(crate) fn is_final(error: &Error) -> bool {
    matches!(error, Error::Io { .. })
}

/// The first `n` bytes, or as many as there are.
fn read_start(reader: &mut impl Read, n: usize) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(n);
    reader.by_ref().take(n as u64).read_to_end(&mut start)?;
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut lines = Lines::new(Path::new("x"), Cursor::new(bytes.to_vec())).expect("readable");
        std::iter::from_fn(|| lines.next_line().expect("readable")).collect()
    }

    fn zip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn line_ends_marks_and_gzip_make_no_difference() {
        for text in [&b"CC a\nO b"[..], b"CC a\r\nO b\r\n", b"\xef\xbb\xbfCC a\nO b\n"] {
            assert_eq!(lines(text), ["CC a", "O b"]);
            assert_eq!(lines(&zip(text)), ["CC a", "O b"]);
        }
        // Concatenated gzip members are one file.
        assert_eq!(lines(&[zip(b"a\n"), zip(b"b\n")].concat()), ["a", "b"]);
        assert_eq!(lines(b""), [""; 0]);
        assert_eq!(lines(b"C"), ["C"]);
        assert_eq!(lines(b"CC"), ["CC"]);
        assert_eq!(lines(b"\n\n"), ["", ""]);
        assert_eq!(lines(b"a\xb0"), ["a\u{b0}"]);
    }

    #[test]
    fn what_is_peeked_is_still_read() {
        let mut lines = Lines::new(Path::new("x"), Cursor::new(b"first\nsecond".to_vec())).expect("readable");
        assert_eq!(lines.peek().expect("readable"), b"first\nsecond");
        assert_eq!(lines.next_line().expect("readable").as_deref(), Some("first"));
        assert_eq!((lines.number(), lines.error("bad").to_string()), (1, "x: line 1: bad".to_owned()));
    }

    #[test]
    fn damaged_files_are_errors() {
        let mut half = zip(b"some text that is long enough to be cut in the middle");
        half.truncate(half.len() / 2);
        let read = || -> Result<()> {
            let mut lines = Lines::new(Path::new("x.gz"), Cursor::new(half))?;
            while lines.next_line()?.is_some() {}
            Ok(())
        };
        assert!(is_final(&read().expect_err("cut")));
        assert!(Lines::open(Path::new("no such file")).is_err());
    }
}
