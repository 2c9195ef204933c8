//! Labelled recordings: a folder whose file names carry the labels, or a CSV manifest.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// A recording and what is said in it by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The WAV file.
    pub path: PathBuf,
    /// What is said, e.g. the digit.
    pub label: String,
    /// Who says it.
    pub speaker: String,
    /// Which take it is; the file stem when a manifest names the file.
    pub take: String,
}

/// The `.wav` files directly in `dir`, sorted by name.
///
/// # Errors
/// A folder that cannot be read or holds no WAV file.
pub fn list_wavs(dir: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| Error::Io { path: dir.into(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let is_wav = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("wav"));
        if is_wav && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Error::NoWavs { dir: dir.into() });
    }
    files.sort();
    Ok(files)
}

/// Labelled recordings from `source`: a folder of `LABEL_SPEAKER_TAKE.wav` files, or a CSV manifest.
///
/// # Errors
/// As [`list_wavs`], [`parse_name`] and [`read_manifest`].
pub fn list_items(source: &Path) -> Result<Vec<Item>> {
    let io = |error| Error::Io { path: source.into(), source: error };
    if std::fs::metadata(source).map_err(io)?.is_dir() {
        list_wavs(source)?.iter().map(|path| parse_name(path)).collect()
    } else {
        read_manifest(source)
    }
}

/// Reads label, speaker and take from a name `LABEL_SPEAKER_TAKE.wav`; the speaker may contain `_`.
///
/// # Errors
/// A name of another form.
pub fn parse_name(path: &Path) -> Result<Item> {
    let parts = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| {
        let (label, rest) = stem.split_once('_')?;
        let (speaker, take) = rest.rsplit_once('_')?;
        let complete = !label.is_empty() && !speaker.is_empty() && !take.is_empty();
        complete.then(|| (label.to_owned(), speaker.to_owned(), take.to_owned()))
    });
    let (label, speaker, take) = parts.ok_or_else(|| Error::FileName { path: path.into() })?;
    Ok(Item { path: path.into(), label, speaker, take })
}

/// Reads a CSV manifest with the columns `file,label,speaker` (any order; more columns are ignored).
///
/// Files are relative to the manifest's folder.
///
/// # Errors
/// Malformed CSV, a missing column, an empty field, a file that does not exist, no rows.
pub fn read_manifest(path: &Path) -> Result<Vec<Item>> {
    let wrong = |source| Error::ManifestCsv { path: path.into(), source };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(wrong)?;
    let header = reader.headers().map_err(wrong)?.clone();
    let column = |name: &'static str| {
        // A byte-order mark, as spreadsheets write it, is no part of the first name.
        let found = header.iter().position(|field| field.trim_start_matches('\u{feff}').eq_ignore_ascii_case(name));
        found.map(|at| (at, name)).ok_or(Error::ManifestColumn { path: path.into(), column: name })
    };
    let (file, label, speaker) = (column("file")?, column("label")?, column("speaker")?);
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut items = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let (record, row) = (record.map_err(wrong)?, index + 1);
        let field = |(at, name): (usize, &'static str)| match record.get(at) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(Error::ManifestField { path: path.into(), row, column: name }),
        };
        let wav = folder.join(field(file)?);
        if !wav.is_file() {
            return Err(Error::ManifestMissing { path: path.into(), row, file: wav });
        }
        let take = wav.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        items.push(Item { path: wav, label: field(label)?, speaker: field(speaker)?, take });
    }
    if items.is_empty() {
        return Err(Error::ManifestEmpty { path: path.into() });
    }
    Ok(items)
}
