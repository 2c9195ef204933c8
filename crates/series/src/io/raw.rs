//! Records of a delimited file with the bytes they are made of.
//!
//! One splitter serves reading and writing, so that what is read as a field is what is replaced. Quotes work as in RFC 4180: a field that
//! starts with a quote ends at the next single one; quotes elsewhere are characters. A record ends at LF, CRLF or a lone CR.

use std::{
    borrow::Cow,
    io::{self, Read},
    ops::Range,
};

/// Bytes read at a time.
const CHUNK: usize = 1 << 18;

/// Largest record; a quote that is never closed is found before it takes all memory.
const MAX_RECORD: usize = 1 << 26;

/// One record: skipped blank lines, content, line end.
#[derive(Debug, Default)]
pub(crate) struct Record {
    bytes: Vec<u8>,
    fields: Vec<(u32, u32)>,
    /// Where the content starts and ends in `bytes`.
    content: Range<usize>,
    /// Number of the row, the first of the file being 1; blank lines count.
    pub(crate) row: u64,
    /// The file ends inside quotes.
    pub(crate) unclosed: bool,
}

impl Record {
    /// Number of fields.
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// Everything, as it stands in the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Blank lines before the record.
    pub(crate) fn lead(&self) -> &[u8] {
        &self.bytes[..self.content.start]
    }

    /// The fields and what separates them, without the line end; blank lines before them included.
    pub(crate) fn content(&self) -> &[u8] {
        &self.bytes[..self.content.end]
    }

    /// The line end; empty at the end of a file without one.
    pub(crate) fn line_end(&self) -> &[u8] {
        &self.bytes[self.content.end..]
    }

    /// A field with its quotes.
    pub(crate) fn raw(&self, i: usize) -> &[u8] {
        let (start, end) = self.fields[i];
        &self.bytes[start as usize..end as usize]
    }

    /// A field without quotes and white space around it.
    pub(crate) fn text(&self, i: usize) -> Cow<'_, [u8]> {
        unquote(self.raw(i))
    }

    /// [`Self::text`] as a string; bytes that are not UTF-8 are replaced.
    pub(crate) fn string(&self, i: usize) -> String {
        String::from_utf8_lossy(&self.text(i)).into_owned()
    }
}

/// A field without quotes and white space around it.
pub(crate) fn unquote(raw: &[u8]) -> Cow<'_, [u8]> {
    let Some(inner) = raw.strip_prefix(b"\"") else { return Cow::Borrowed(raw.trim_ascii()) };
    if let Some(inner) = inner.strip_suffix(b"\"")
        && !inner.contains(&b'"')
    {
        return Cow::Borrowed(inner.trim_ascii());
    }
    let (mut text, mut quoted, mut bytes) = (Vec::with_capacity(inner.len()), true, inner.iter().copied().peekable());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if quoted && bytes.peek() == Some(&b'"') => {
                bytes.next();
                text.push(b'"');
            }
            b'"' if quoted => quoted = false,
            _ => text.push(byte),
        }
    }
    Cow::Owned(text.trim_ascii().to_vec())
}

/// Writes `text` as one field: quoted when it must be, or when `quoted`.
pub(crate) fn quote(out: &mut Vec<u8>, text: &[u8], delimiter: u8, quoted: bool) {
    if !quoted && !text.starts_with(b"\"") && !text.iter().any(|b| [delimiter, b'\n', b'\r'].contains(b)) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for &byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Reads record after record.
#[derive(Debug)]
pub(crate) struct Records<R> {
    input: R,
    buffer: Vec<u8>,
    /// The part of `buffer` that holds what was read and not yet given out.
    start: usize,
    end: usize,
    done: bool,
    delimiter: u8,
    /// Blank lines are records with one empty field.
    pub(crate) keep_blank: bool,
    row: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Start,
    Plain,
    Quoted,
    Closing,
}

impl<R: Read> Records<R> {
    pub(crate) fn new(input: R, delimiter: u8) -> Self {
        Self { input, buffer: Vec::new(), start: 0, end: 0, done: false, delimiter, keep_blank: false, row: 0 }
    }

    /// Drops a byte order mark at the start and returns it.
    pub(crate) fn skip_mark(&mut self) -> io::Result<&'static [u8]> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        while self.end - self.start < MARK.len() && self.fill()? {}
        let marked = self.buffer[self.start..self.end].starts_with(MARK);
        self.start += if marked { MARK.len() } else { 0 };
        Ok(if marked { MARK } else { b"" })
    }

    /// Reads the next record, `false` at the end; then `record.bytes()` is what blank lines the file ends with.
    pub(crate) fn read(&mut self, record: &mut Record) -> io::Result<bool> {
        record.bytes.clear();
        loop {
            record.fields.clear();
            let lead = record.bytes.len();
            let Some((content, next, unclosed)) = self.split(&mut record.fields, lead)? else {
                record.content = lead..lead;
                return Ok(false);
            };
            self.row += 1;
            record.row = self.row;
            record.unclosed = unclosed;
            record.bytes.extend_from_slice(&self.buffer[self.start..self.start + next]);
            self.start += next;
            if content > 0 || self.keep_blank {
                record.content = lead..lead + content;
                return Ok(true);
            }
        }
    }

    /// Lengths of the next record without and with its line end, and whether the input ends inside its quotes; `None` at the end. Ranges are moved on by `shift`.
    fn split(&mut self, fields: &mut Vec<(u32, u32)>, shift: usize) -> io::Result<Option<(usize, usize, bool)>> {
        let (mut at, mut field, mut state) = (0, 0, State::Start);
        let range = |from: usize, to: usize| ((shift + from) as u32, (shift + to) as u32);
        loop {
            let mut ended = None;
            for (i, &byte) in self.buffer[self.start + at..self.end].iter().enumerate() {
                if state == State::Quoted {
                    if byte == b'"' {
                        state = State::Closing;
                    }
                } else if byte == self.delimiter {
                    fields.push(range(field, at + i));
                    field = at + i + 1;
                    state = State::Start;
                } else if byte == b'\n' || byte == b'\r' {
                    ended = Some(at + i);
                    break;
                } else if byte == b'"' && state != State::Plain {
                    // At the start of a field it opens; right behind a closing one it is a quote inside.
                    state = State::Quoted;
                } else {
                    state = State::Plain;
                }
            }
            if let Some(content) = ended {
                fields.push(range(field, content));
                let mut next = content + 1;
                if self.buffer[self.start + content] == b'\r' {
                    while self.end - self.start <= next && self.fill()? {}
                    next += usize::from(self.buffer.get(self.start + next..self.end).is_some_and(|rest| rest.first() == Some(&b'\n')));
                }
                return Ok(Some((content, next, false)));
            }
            at = self.end - self.start;
            if at > MAX_RECORD {
                let reason = format!("row {} is longer than {} MiB; is a quote never closed?", self.row + 1, MAX_RECORD >> 20);
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            if !self.fill()? {
                if at == 0 {
                    return Ok(None);
                }
                fields.push(range(field, at));
                return Ok(Some((at, at, state == State::Quoted)));
            }
        }
    }

    /// Reads more; `false` at the end of the input.
    fn fill(&mut self) -> io::Result<bool> {
        if self.done {
            return Ok(false);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < self.end + CHUNK {
            self.buffer.resize(self.end + CHUNK, 0);
        }
        let read = loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.end += read;
        self.done = read == 0;
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8], delimiter: u8) -> (Vec<Vec<Vec<u8>>>, Vec<u8>) {
        let (mut records, mut record) = (Records::new(bytes, delimiter), Record::default());
        let (mut rows, mut copy) = (Vec::new(), Vec::new());
        while records.read(&mut record).unwrap() {
            rows.push((0..record.len()).map(|i| record.raw(i).to_vec()).collect());
            copy.extend_from_slice(record.bytes());
        }
        copy.extend_from_slice(record.bytes());
        (rows, copy)
    }

    #[test]
    fn line_ends_and_quotes() {
        let (rows, copy) = all(b"a,b\r\n\r\n\"x\"\"\ny\",2\n3,\r4,5", b',');
        assert_eq!(copy, b"a,b\r\n\r\n\"x\"\"\ny\",2\n3,\r4,5");
        assert_eq!(rows.len(), 4);
        assert_eq!(unquote(&rows[1][0]).as_ref(), b"x\"\ny");
        assert_eq!(rows[2], [b"3".to_vec(), Vec::new()]);
    }

    proptest! {
        /// The csv crate is the reference; nothing is lost.
        #[test]
        fn splits_as_the_csv_crate_does(text in "[ab,\"\r\n]{0,40}") {
            let (rows, copy) = all(text.as_bytes(), b',');
            prop_assert_eq!(copy, text.as_bytes());
            let ours: Vec<Vec<Vec<u8>>> = rows.iter().map(|r| r.iter().map(|f| unquote(f).into_owned()).collect()).collect();
            let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
            let theirs: Vec<Vec<Vec<u8>>> =
                reader.byte_records().map(|r| r.unwrap().iter().map(|f| f.trim_ascii().to_vec()).collect()).collect();
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn what_is_quoted_is_unquoted(text in "[a;\"\r\n]{0,12}", quoted: bool) {
            let mut out = Vec::new();
            quote(&mut out, text.as_bytes(), b';', quoted);
            prop_assert_eq!(unquote(&out).into_owned(), text.as_bytes().trim_ascii());
            if !text.is_empty() || quoted {
                prop_assert_eq!(all(&out, b';').0, vec![vec![out.clone()]]);
            }
        }
    }
}
