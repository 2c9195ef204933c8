//! Lists of molecules to work on: SMILES files, CSV tables, SDF, training records, whatever the user has.

use super::{
    JsonlReader, SdfReader, SdfRecord,
    lines::{Lines, is_final},
};
use crate::{Error, Result};
use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// Headers that name the column of SMILES, in any case.
const SMILES_HEADERS: [&str; 5] = ["smiles", "canonical_smiles", "isomeric_smiles", "can_smiles", "structure"];
/// Headers that name the column of names.
const NAME_HEADERS: [&str; 4] = ["name", "id", "title", "mol_id"];

/// One molecule as the user gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Line of the file, counted from 1; of a record, its first.
    pub line: usize,
    /// Its name, empty if it has none.
    pub name: String,
    /// What it is.
    pub given: Given,
}

/// How a molecule was given.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// A SMILES string, not yet parsed.
    Smiles(String),
    /// A record of an SDF file.
    Sdf(Box<SdfRecord>),
}

impl Entry {
    /// The SMILES string, if it was given as one: the entry itself, or the data field `smiles` of a record.
    pub fn smiles(&self) -> Option<&str> {
        match &self.given {
            Given::Smiles(text) => Some(text),
            Given::Sdf(record) => record.field("smiles"),
        }
    }
}

/// Which columns of a CSV table to read; `None` guesses.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Header of the SMILES. Guessed: a usual header, else the first column of a table without headers.
    pub smiles: Option<String>,
    /// Header of the names. Guessed: a usual header, else the second column of a table without headers; a table may have none.
    pub name: Option<String>,
}

/// Streams the molecules of a file.
pub struct Entries {
    path: PathBuf,
    form: Form,
    ended: bool,
}

enum Form {
    Smiles(Lines),
    Csv { reader: Box<csv::Reader<Box<dyn Read + Send>>>, smiles: usize, name: Option<usize>, waiting: Option<csv::StringRecord> },
    Sdf(SdfReader),
    Jsonl(JsonlReader),
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Entries {
    /// Opens a file, or standard input for `-`. The form is told by the name's ending (`smi`, `csv`, `tsv`, `sdf`, `mol`, `jsonl`, each also
    /// with `.gz`), else by the content.
    ///
    /// # Errors
    /// As [`Lines::open`]; a table without the column asked for.
    pub fn open(path: &Path, columns: &Columns) -> Result<Self> {
        Self::new(Lines::open(path)?, columns)
    }

    /// Reads what follows in `lines`. See [`open`](Self::open).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn new(lines: Lines, columns: &Columns) -> Result<Self> {
        let path = lines.path().to_owned();
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let form = match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "smi" | "smiles" => Form::Smiles(lines),
            "csv" => table(lines, None, columns)?,
            "tsv" => table(lines, Some(b'\t'), columns)?,
            "sdf" | "sd" | "mol" => Form::Sdf(SdfReader::new(lines)),
            "jsonl" => Form::Jsonl(JsonlReader::new(lines)),
            _ => by_content(lines, columns)?,
        };
        Ok(Self { path, form, ended: false })
    }

    fn read(&mut self) -> Result<Option<Entry>> {
        match &mut self.form {
            Form::Smiles(lines) => smiles_line(lines),
            Form::Csv { reader, smiles, name, waiting } => {
                let record = match waiting.take() {
                    Some(record) => record,
                    None => {
                        let mut record = csv::StringRecord::new();
                        if !reader.read_record(&mut record).map_err(|e| csv_error(&self.path, e))? {
                            return Ok(None);
                        }
                        record
                    }
                };
                let line = record.position().map_or(0, |p| p.line() as usize);
                let text = record.get(*smiles).map(str::trim).filter(|t| !t.is_empty());
                let text = text.ok_or_else(|| Error::Format {
                    path: self.path.clone(),
                    place: format!("line {line}"),
                    reason: format!("has no SMILES in column {}", *smiles + 1),
                })?;
                let name = name.and_then(|k| record.get(k)).unwrap_or_default().trim();
                Ok(Some(Entry { line, name: name.to_owned(), given: Given::Smiles(text.to_owned()) }))
            }
            Form::Sdf(reader) => {
                let entry = |record: SdfRecord| Entry {
                    line: record.line,
                    name: record.title.trim().to_owned(),
                    given: Given::Sdf(Box::new(record)),
                };
                reader.next().transpose().map(|r| r.map(entry))
            }
            Form::Jsonl(reader) => {
                let record = reader.next().transpose()?;
                Ok(record.map(|r| Entry { line: reader.line(), name: r.name, given: Given::Smiles(r.smiles) }))
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read().transpose();
        self.ended = item.as_ref().is_none_or(|i| i.as_ref().is_err_and(is_final));
        item
    }
}

/// `SMILES`, white space, name. Empty lines, lines that begin with `#` and a heading are passed over.
fn smiles_line(lines: &mut Lines) -> Result<Option<Entry>> {
    while let Some(text) = lines.next_line()? {
        let (smiles, name) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        let heading = lines.number() == 1 && is_header(smiles, &SMILES_HEADERS);
        if smiles.is_empty() || smiles.starts_with('#') || heading {
            continue;
        }
        return Ok(Some(Entry { line: lines.number(), name: name.trim().to_owned(), given: Given::Smiles(smiles.to_owned()) }));
    }
    Ok(None)
}

fn is_header(text: &str, known: &[&str]) -> bool {
    known.iter().any(|k| text.trim().eq_ignore_ascii_case(k))
}

fn by_content(mut lines: Lines, columns: &Columns) -> Result<Form> {
    let start = lines.peek()?;
    let start = String::from_utf8_lossy(&start);
    let mut first = start.lines();
    let heading = first.next().unwrap_or_default();
    let is_sdf = start.lines().nth(3).is_some_and(|l| l.contains("V2000") || l.contains("V3000"));
    let fields = || heading.split([',', '\t', ';']);
    let is_table = columns.smiles.is_some() || fields().count() > 1 && fields().any(|f| is_header(f.trim_matches('"'), &SMILES_HEADERS));
    Ok(if is_sdf {
        Form::Sdf(SdfReader::new(lines))
    } else if heading.trim_start().starts_with('{') {
        Form::Jsonl(JsonlReader::new(lines))
    } else if is_table {
        table(lines, None, columns)?
    } else {
        Form::Smiles(lines)
    })
}

fn table(mut lines: Lines, delimiter: Option<u8>, columns: &Columns) -> Result<Form> {
    let start = lines.peek()?;
    let heading = start.split(|&b| b == b'\n').next().unwrap_or_default();
    let most = |&d: &u8| heading.iter().filter(|&&b| b == d).count();
    // On a tie the last, the comma, wins.
    let guessed = [b';', b'\t', b','].into_iter().max_by_key(most).unwrap_or(b',');
    let (reader, path) = lines.into_reader();
    let reader: Box<dyn Read + Send> = Box::new(BufReader::new(reader as Box<dyn BufRead + Send>));
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter.unwrap_or(guessed)).from_reader(reader);
    let mut first = csv::StringRecord::new();
    let any = reader.read_record(&mut first).map_err(|e| csv_error(&path, e))?;
    let find =
        |name: &str| first.iter().position(|f| f.trim() == name).or_else(|| first.iter().position(|f| f.trim().eq_ignore_ascii_case(name)));
    let asked = |name: &Option<String>| match name {
        None => Ok(None),
        Some(name) => find(name).map(Some).ok_or_else(|| Error::Format {
            path: path.clone(),
            place: "line 1".into(),
            reason: format!("there is no column '{name}'; the columns are: {}", first.iter().collect::<Vec<_>>().join(", ")),
        }),
    };
    let (smiles, name) = (asked(&columns.smiles)?, asked(&columns.name)?);
    let guess = |known: &[&str]| first.iter().position(|f| is_header(f, known));
    let headed = smiles.is_some() || name.is_some() || guess(&SMILES_HEADERS).is_some();
    let smiles = smiles.or_else(|| guess(&SMILES_HEADERS)).unwrap_or(0);
    let name = if headed { name.or_else(|| guess(&NAME_HEADERS)) } else { Some(1) };
    let waiting = (any && !headed).then_some(first);
    Ok(Form::Csv { reader: Box::new(reader), smiles, name, waiting })
}

fn csv_error(path: &Path, error: csv::Error) -> Error {
    let place = error.position().map_or_else(String::new, |p| format!("line {}", p.line()));
    let said = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => Error::Io { path: path.into(), source },
        csv::ErrorKind::Utf8 { .. } => Error::Format { path: path.into(), place, reason: "holds bytes that are no UTF-8".into() },
        _ => Error::Format { path: path.into(), place, reason: said },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn entries(name: &str, text: &str, columns: &Columns) -> Result<Vec<Result<Entry>>> {
        let lines = Lines::new(Path::new(name), Cursor::new(text.to_owned().into_bytes())).expect("memory");
        Ok(Entries::new(lines, columns)?.collect())
    }

    fn listed(name: &str, text: &str) -> Vec<(usize, String, String)> {
        let all = entries(name, text, &Columns::default()).expect("readable");
        all.into_iter().map(|e| e.expect("good")).map(|e| (e.line, e.smiles().expect("SMILES").to_owned(), e.name)).collect()
    }

    fn row(line: usize, smiles: &str, name: &str) -> (usize, String, String) {
        (line, smiles.to_owned(), name.to_owned())
    }

    #[test]
    fn smiles_files() {
        let wanted = [row(1, "CCO", "ethanol"), row(4, "C", ""), row(5, "O=C=O", "carbon dioxide, gas")];
        let text = "CCO ethanol\n\n# remark\n  C\r\nO=C=O\tcarbon dioxide, gas\n";
        assert_eq!(listed("x.smi", text), wanted);
        assert_eq!(listed("-", text), wanted);
        assert_eq!(listed("x.smi", "SMILES name\nC a\n"), [row(2, "C", "a")]);
    }

    #[test]
    fn tables() {
        let wanted = [row(2, "CC(C)=O", "a, b"), row(3, "N", "")];
        for (name, text) in [
            ("x.csv", "id,SMILES,name\n1,CC(C)=O,\"a, b\"\n2,N,\n"),
            ("-", "id,SMILES,name\n1,CC(C)=O,\"a, b\"\n2,N,\n"),
            ("x.tsv", "name\tsmiles\na, b\tCC(C)=O\n\tN\n"),
            ("x.csv", "\u{feff}smiles;name\nCC(C)=O;a, b\nN;\n"),
        ] {
            assert_eq!(listed(name, text)[1].1, "N");
            assert_eq!(listed(name, text).len(), 2, "{text}");
        }
        assert_eq!(listed("x.tsv", "name\tsmiles\na, b\tCC(C)=O\n\tN\n"), wanted);
        assert_eq!(listed("x.csv", "smiles\nC\n"), [row(2, "C", "")]);
        assert_eq!(listed("x.csv", "C,methane\nN,ammonia\n"), [row(1, "C", "methane"), row(2, "N", "ammonia")]);
        let chosen = Columns { smiles: Some("Mol".into()), name: Some("cas".into()) };
        let all = entries("x.csv", "cas,mol,smiles\n1-2,C,N\n3,,N\n", &chosen).expect("both are there");
        assert_eq!(all[0].as_ref().expect("good").smiles(), Some("C"));
        assert_eq!(all[1].as_ref().expect_err("empty").to_string(), "x.csv: line 3: has no SMILES in column 2");
        let error = entries("x.csv", "a,b\n", &chosen).expect_err("no such column").to_string();
        assert!(error.contains("no column 'Mol'") && error.contains("a, b"), "{error}");
    }

    #[test]
    fn records_are_known_by_their_content() {
        let mut sdf = Vec::new();
        let methane = crate::testing::molecule("C; ");
        super::super::write_sdf(&mut sdf, "methane", &methane, &[[0.0; 3]], &[("smiles".into(), "C".into())]).expect("writable");
        let sdf = String::from_utf8(sdf).expect("text").repeat(2);
        let lines = sdf.lines().count() / 2;
        assert_eq!(listed("-", &sdf), [row(1, "C", "methane"), row(lines + 1, "C", "methane")]);
        let jsonl = r#"{"smiles":"[H]","z":[1],"bonds":[],"coords_mA":[]}"#;
        assert_eq!(listed("-", jsonl), [row(1, "[H]", "")]);
        assert!(listed("x.csv", "").is_empty() && listed("-", "").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic_or_run_on(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), text in "[-0-9A-Za-z(=,;\t\n\\\"{}<>$ .]{0,200}") {
            for name in ["-", "x.smi", "x.csv", "x.tsv", "x.sdf", "x.jsonl"] {
                for content in [bytes.clone(), text.clone().into_bytes()] {
                    // A gzip stream that is damaged may already fail at its start.
                    let Ok(lines) = Lines::new(Path::new(name), Cursor::new(content)) else { continue };
                    if let Ok(entries) = Entries::new(lines, &Columns::default()) {
                        proptest::prop_assert!(entries.take(1000).count() <= 201);
                    }
                }
            }
            let v3000 = format!("\n\n\n  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\nM  V30 BEGIN ATOM\nM  V30 {text}\nM  END\n");
            let lines = Lines::new(Path::new("x.sdf"), Cursor::new(v3000.into_bytes())).expect("memory");
            proptest::prop_assert!(SdfReader::new(lines).count() <= 201);
        }
    }
}
