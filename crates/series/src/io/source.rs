//! The bytes of a table: a file, or standard input kept in a temporary one.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::raw::Records;
use crate::{Error, Result};

/// Something that can be read from the start again and again.
#[derive(Debug)]
pub(crate) struct Source {
    /// The name in messages.
    pub(crate) label: PathBuf,
    path: PathBuf,
    /// Removed when the source is dropped.
    _kept: Option<NamedTempFile>,
}

impl Source {
    /// Opens a file, or keeps standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Self::keep(Path::new("standard input"), &mut io::stdin().lock());
        }
        let io = |source| Error::Io { path: path.into(), source };
        let meta = fs::metadata(path).map_err(io)?;
        let source = Self { label: path.into(), path: path.into(), _kept: None };
        if meta.is_dir() {
            return Err(source.wrong("the input", "is a folder; name a file in it"));
        }
        // Pipes and devices can be read once only.
        if !meta.is_file() {
            return Self::keep(path, &mut File::open(path).map_err(io)?);
        }
        Ok(source)
    }

    /// Copies what `input` gives into a temporary file.
    pub(crate) fn keep(label: &Path, input: &mut dyn Read) -> Result<Self> {
        let io = |source| Error::Io { path: label.into(), source };
        let mut kept = NamedTempFile::new().map_err(io)?;
        io::copy(input, kept.as_file_mut()).map_err(io)?;
        Ok(Self { label: label.into(), path: kept.path().into(), _kept: Some(kept) })
    }

    /// The file from its start.
    pub(crate) fn reader(&self) -> Result<File> {
        File::open(&self.path).map_err(|source| self.io(source))
    }

    /// Records from the start, the header first.
    pub(crate) fn records(&self, delimiter: u8) -> Result<Records<File>> {
        Ok(Records::new(self.reader()?, delimiter))
    }

    /// Up to `limit` bytes from the start, and whether that is all.
    pub(crate) fn head(&self, limit: usize) -> Result<(Vec<u8>, bool)> {
        let mut bytes = Vec::new();
        self.reader()?.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|source| self.io(source))?;
        let all = bytes.len() <= limit;
        bytes.truncate(limit);
        Ok((bytes, all))
    }

    /// An error of the system about this source.
    pub(crate) fn io(&self, source: io::Error) -> Error {
        if source.kind() == io::ErrorKind::InvalidData {
            return self.wrong("its records", source.to_string());
        }
        Error::Io { path: self.label.clone(), source }
    }

    /// An error of the content.
    pub(crate) fn wrong(&self, place: impl Into<String>, reason: impl Into<String>) -> Error {
        Error::Format { path: self.label.clone(), place: place.into(), reason: reason.into() }
    }
}

/// Refuses what is no text in an encoding that keeps ASCII.
pub(crate) fn check_encoding(source: &Source, head: &[u8]) -> Result<()> {
    let refuse = |reason: &str| Err(source.wrong("the input", reason));
    let zeros = head.iter().filter(|&&b| b == 0).count();
    match head {
        [] => refuse("is empty; a table has a header and rows"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            refuse("is UTF-16 text; save it as UTF-8 (in Excel \"CSV UTF-8\"; or iconv -f UTF-16 -t UTF-8)")
        }
        [0x1f, 0x8b, ..] => refuse("is a gzip file; unpack it first (gunzip), or pipe it: gunzip -c FILE | langevin ... -"),
        [b'P', b'K', 3, 4, ..] => refuse("is a zip archive or an Excel workbook; save the sheet as CSV"),
        [b'P', b'A', b'R', b'1', ..] => refuse("is a Parquet file; convert it to CSV"),
        _ if zeros * 5 > head.len() => refuse("looks like UTF-16 text without a mark, or is no text; save it as UTF-8"),
        _ if zeros > 0 => refuse("holds zero bytes, so it is no text; save the table as CSV in UTF-8"),
        _ => Ok(()),
    }
}
