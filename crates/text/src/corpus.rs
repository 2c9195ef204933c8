//! Texts to learn from and to measure on: files and folders as tokens, with labels.

use std::{
    fs::{self, File},
    io::{BufReader, Read as _},
    ops::Range,
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;

use crate::{Error, Result, Tokenizer, TokenizerSpec};

/// Most bytes of text that are read: 4 GiB, so that a small compressed file cannot fill the memory.
const MOST_BYTES: u64 = 1 << 32;
/// Bytes that are encoded at once, so that long texts need no copy in another form.
const PART: usize = 1 << 20;

/// What an empty corpus is told.
const NO_TEXT: &str = "holds no text; give a text file, or a folder of .txt or .txt.gz files";

/// Texts as tokens, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corpus {
    /// Classes of all texts.
    tokens: Vec<u16>,
    /// The texts, in order; they fill `tokens` without gaps.
    segments: Vec<Segment>,
    /// Names of the labels, sorted unless [`Corpus::with_labels`] said otherwise.
    labels: Vec<String>,
    /// Characters of the texts as they were encoded.
    characters: usize,
}

/// One text of a corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its tokens.
    pub range: Range<usize>,
    /// Its label, a place in [`Corpus::labels`].
    pub label: Option<usize>,
}

impl Corpus {
    /// Reads a text file, gzipped or not, or a folder of `.txt` and `.txt.gz` files.
    ///
    /// Each file is a text of its own. In a folder, files are read in the order of their names, and those in a sub-folder have its name
    /// as their label. `labels` is for a single file: a table with the header `label,characters`, whose rows are the consecutive texts
    /// of the file. `normalise` maps characters that the tokenizer does not know. One line end at the end of a file is left out for
    /// `char27`.
    ///
    /// # Errors
    /// Files that cannot be read, are not UTF-8 or hold a character that the tokenizer does not know (its line and place are named),
    /// a table of labels that does not fit, a corpus without text.
    pub fn read(path: &Path, tokenizer: &Tokenizer, normalise: bool, labels: Option<&Path>) -> Result<Self> {
        let mut corpus = Self::default();
        let drops_end = *tokenizer.spec() == (TokenizerSpec::Char27 {});
        if !fs::metadata(path).map_err(io(path))?.is_dir() {
            let text = read_text(path, drops_end)?;
            let parts = match labels {
                Some(table) => cut(path, &text, &read_table(table)?, table)?,
                None => vec![(text.as_str(), None)],
            };
            let mut start = Place::default();
            for (part, label) in parts {
                corpus.push(part, label, tokenizer, normalise).map_err(|e| start.place(path, part, &e))?;
                start.pass(part);
            }
        } else if let Some(table) = labels {
            return Err(format(table, "a table of labels is for a corpus of one file; in a folder, sub-folders are the labels"));
        } else {
            for (file, label) in list(path)? {
                let text = read_text(&file, drops_end)?;
                corpus.push(&text, label, tokenizer, normalise).map_err(|e| Place::default().place(&file, &text, &e))?;
            }
        }
        if corpus.tokens.is_empty() {
            return Err(format(path, NO_TEXT));
        }
        corpus.sort_labels();
        Ok(corpus)
    }

    /// A corpus of one text.
    ///
    /// # Errors
    /// [`Error::Character`] for a character that the tokenizer does not know.
    pub fn from_text(text: &str, tokenizer: &Tokenizer) -> Result<Self> {
        let mut corpus = Self::default();
        corpus.push(text, None, tokenizer, false)?;
        Ok(corpus)
    }

    /// Adds a text; its label is the place in the order of appearance until [`Corpus::sort_labels`].
    fn push(&mut self, text: &str, label: Option<String>, tokenizer: &Tokenizer, normalise: bool) -> Result<()> {
        let normal;
        let text = if normalise {
            normal = tokenizer.normalise(text);
            &normal
        } else {
            text
        };
        let (start, mut before) = (self.tokens.len(), 0);
        for part in parts(text) {
            let tokens = tokenizer.encode(part).map_err(|error| shift(error, before))?;
            self.tokens.extend(tokens.into_iter().map(|token| token as u16));
            before += part.chars().count();
        }
        self.characters += before;
        let label = label.map(|label| {
            self.labels.iter().position(|known| *known == label).unwrap_or_else(|| {
                self.labels.push(label);
                self.labels.len() - 1
            })
        });
        if self.tokens.len() > start {
            self.segments.push(Segment { range: start..self.tokens.len(), label });
        }
        Ok(())
    }

    fn sort_labels(&mut self) {
        let mut sorted = self.labels.clone();
        sorted.sort_unstable();
        let places: Vec<usize> = self.labels.iter().map(|label| sorted.partition_point(|other| other < label)).collect();
        self.segments.iter_mut().for_each(|segment| segment.label = segment.label.map(|label| places[label]));
        self.labels = sorted;
    }

    /// The corpus with labels numbered as in `known`, a model's own list.
    ///
    /// # Errors
    /// [`Error::Setting`] for a label that is not among them.
    pub fn with_labels(mut self, known: &[String]) -> Result<Self> {
        let place = |label: &String| {
            known.iter().position(|other| other == label).ok_or_else(|| Error::Setting {
                name: "label",
                reason: format!("'{label}' of the corpus is not among the model's: {}", listed(known)),
            })
        };
        let places = self.labels.iter().map(place).collect::<Result<Vec<usize>>>()?;
        self.segments.iter_mut().for_each(|segment| segment.label = segment.label.map(|label| places[label]));
        self.labels = known.to_vec();
        Ok(self)
    }

    /// Classes of all texts, one after the other.
    pub fn tokens(&self) -> &[u16] {
        &self.tokens
    }

    /// The texts, in order, without gaps.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Names of the labels.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Characters of the texts; differs from the number of tokens for bytes and pairs of bytes.
    pub const fn characters(&self) -> usize {
        self.characters
    }

    /// `context` tokens from about `offset` on, and their label.
    ///
    /// A window that would leave its text starts earlier instead; only texts shorter than the window share one, which then has no label
    /// unless theirs is the same. Any `offset` is fine; 0 to `tokens - context` spread evenly. A corpus shorter than `context` is one window.
    pub fn window(&self, offset: usize, context: usize) -> (&[u16], Option<usize>) {
        let last = self.tokens.len().saturating_sub(context);
        let at = |token: usize| self.segments.partition_point(|segment| segment.range.end <= token);
        let mut start = offset.min(last);
        if let Some(segment) = self.segments.get(at(start))
            && segment.range.len() >= context
        {
            start = start.min(segment.range.end - context);
        }
        let end = (start + context).min(self.tokens.len());
        let first = at(start);
        let mut shared = self.segments[first..].iter().take_while(|segment| segment.range.start < end).map(|segment| segment.label);
        let label = shared.next().flatten();
        (&self.tokens[start..end], if shared.all(|other| other == label) { label } else { None })
    }

    /// The corpus up to a token and from it on; a text across the cut is two.
    pub fn split(mut self, at: usize) -> (Self, Self) {
        let at = at.min(self.tokens.len());
        let share = if self.tokens.is_empty() { 0.0 } else { at as f64 / self.tokens.len() as f64 };
        let part = |from: usize, to: usize| -> Vec<Segment> {
            let clipped =
                |s: &Segment| Segment { range: s.range.start.clamp(from, to) - from..s.range.end.clamp(from, to) - from, label: s.label };
            self.segments.iter().map(clipped).filter(|segment| !segment.range.is_empty()).collect()
        };
        let segments = [part(0, at), part(at, self.tokens.len())];
        let after = self.tokens.split_off(at);
        let [first, second] = segments;
        let characters = (self.characters as f64 * share).round() as usize;
        let rest = Self { tokens: after, segments: second, labels: self.labels.clone(), characters: self.characters - characters };
        (Self { segments: first, characters, ..self }, rest)
    }

    /// Starts of `count` windows spread evenly over the corpus, for validation.
    pub fn evenly(&self, count: usize, context: usize) -> Vec<usize> {
        let span = self.tokens.len().saturating_sub(context) as u128 + 1;
        (0..count as u128).map(|i| ((2 * i + 1) * span / (2 * count as u128)) as usize).collect()
    }

    /// The whole corpus cut into windows of `context` tokens; the last of each text may be shorter.
    pub fn cover(&self, context: usize) -> Vec<Segment> {
        let step = context.max(1);
        let of_text = |segment: &Segment| {
            let Segment { range, label } = segment.clone();
            range.clone().step_by(step).map(move |start| Segment { range: start..(start + step).min(range.end), label })
        };
        self.segments.iter().flat_map(of_text).collect()
    }
}

/// The texts of a file or a folder as they are, for what needs no tokens.
///
/// # Errors
/// As [`Corpus::read`].
pub fn texts(path: &Path) -> Result<Vec<String>> {
    let files = if fs::metadata(path).map_err(io(path))?.is_dir() { list(path)? } else { vec![(path.to_owned(), None)] };
    let texts = files.iter().map(|(file, _)| read_text(file, false)).collect::<Result<Vec<String>>>()?;
    if texts.iter().all(String::is_empty) {
        return Err(format(path, NO_TEXT));
    }
    Ok(texts)
}

/// A place in a file, in lines and characters from 1.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    lines: usize,
    characters: usize,
}

impl Place {
    fn pass(&mut self, text: &str) {
        for c in text.chars() {
            self.characters += 1;
            if c == '\n' {
                *self = Self { lines: self.lines + 1, characters: 0 };
            }
        }
    }

    /// An error of a text that starts here, with file, line and place.
    fn place(mut self, path: &Path, text: &str, error: &Error) -> Error {
        let Error::Character { character, position, tokenizer } = error else { return format(path, error.to_string()) };
        let before = text.char_indices().nth(position - 1).map_or(text.len(), |(at, _)| at);
        self.pass(&text[..before]);
        let (line, place) = (self.lines + 1, self.characters + 1);
        let reason = format!(
            "line {line}, character {place} ('{character}') is not in the alphabet of {tokenizer}; --normalise maps such characters"
        );
        format(path, reason)
    }
}

/// An error of a part, seen from the start of the whole.
fn shift(error: Error, before: usize) -> Error {
    match error {
        Error::Character { character, position, tokenizer } => Error::Character { character, position: position + before, tokenizer },
        other => other,
    }
}

/// A text in parts of about a megabyte, cut before a space where there is one, so that no word is cut.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = text_end(rest);
        let (part, after) = rest.split_at(end);
        rest = after;
        Some(part)
    })
}

fn text_end(text: &str) -> usize {
    if text.len() <= PART {
        return text.len();
    }
    let end = text.floor_char_boundary(PART);
    text[..end].rfind(' ').filter(|&at| at > 0).unwrap_or(end)
}

/// The text of a file, gzipped if its name says so; without one line end at its end if asked.
fn read_text(path: &Path, drops_end: bool) -> Result<String> {
    let file = BufReader::new(File::open(path).map_err(io(path))?);
    let zipped = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz"));
    let reader: Box<dyn std::io::Read> = if zipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut bytes = Vec::new();
    let read = reader.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(io(path))?;
    if read as u64 > MOST_BYTES {
        return Err(format(path, "is longer than 4 GiB; cut it into files of a folder and train on some of them"));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format(path, format!("byte {} is no UTF-8; convert the file first, for instance with iconv", at + 1))
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    if drops_end && text.ends_with('\n') {
        text.truncate(text.len() - if text.ends_with("\r\n") { 2 } else { 1 });
    }
    Ok(text)
}

/// The text files of a folder, sorted, with the names of their sub-folders.
fn list(folder: &Path) -> Result<Vec<(PathBuf, Option<String>)>> {
    let entries = |folder: &Path| -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(io(folder))? {
            paths.push(entry.map_err(io(folder))?.path());
        }
        paths.sort_unstable();
        Ok(paths)
    };
    let is_text = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        name.ends_with(".txt") || name.ends_with(".txt.gz")
    };
    let mut files = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            let label = path.file_name().map(|name| name.to_string_lossy().into_owned());
            for inner in entries(&path)? {
                if inner.is_dir() {
                    return Err(format(&inner, "is a folder inside a label's folder; move its files up: DIR/LABEL/FILE.txt"));
                }
                if is_text(&inner) {
                    files.push((inner, label.clone()));
                }
            }
        } else if is_text(&path) {
            files.push((path, None));
        }
    }
    Ok(files)
}

/// Rows `label,characters` of a table with that header.
fn read_table(path: &Path) -> Result<Vec<(String, usize)>> {
    let text = fs::read_to_string(path).map_err(io(path))?;
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let header = lines.next().map_or("", |(_, line)| line.trim());
    if header != "label,characters" {
        return Err(format(path, format!("should start with the line 'label,characters', but starts with '{}'", header.escape_debug())));
    }
    let row = |(at, line): (usize, &str)| {
        let found = line.trim().rsplit_once(',').and_then(|(label, count)| Some((label.trim(), count.trim().parse().ok()?)));
        let found = found.filter(|(label, _)| !label.is_empty());
        found.map(|(label, count)| (label.to_owned(), count)).ok_or_else(|| {
            let reason = format!("line {}: should be a label and a number of characters, but is '{}'", at + 1, line.escape_debug());
            format(path, reason)
        })
    };
    lines.filter(|(_, line)| !line.trim().is_empty()).map(row).collect()
}

/// The consecutive texts of a file.
fn cut<'a>(path: &Path, text: &'a str, rows: &[(String, usize)], table: &Path) -> Result<Vec<(&'a str, Option<String>)>> {
    let (mut rest, mut parts) = (text, Vec::new());
    let counted = rows.iter().fold(0usize, |sum, (_, count)| sum.saturating_add(*count));
    let held = text.chars().count();
    if counted != held {
        return Err(format(table, format!("counts {counted} characters, but {} has {held}", path.display())));
    }
    for (label, count) in rows {
        let end = rest.char_indices().nth(*count).map_or(rest.len(), |(at, _)| at);
        let (part, after) = rest.split_at(end);
        parts.push((part, Some(label.clone())));
        rest = after;
    }
    Ok(parts)
}

/// Names in a row, for messages.
fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io { path: path.to_owned(), source }
}

fn format(path: &Path, reason: impl Into<String>) -> Error {
    Error::Format { path: path.to_owned(), reason: reason.into() }
}
