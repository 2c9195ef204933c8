//! Tables of numbers with a class in one column, in and out.

use std::path::Path;

use crate::{Error, Examples, Result};

/// Names by which a column of classes is known.
const LABELS: [&str; 5] = ["label", "class", "target", "y", "category"];
/// Most classes that a column without a name may have.
const MOST_CLASSES: usize = 64;
/// Largest table, bytes.
const MAX_BYTES: u64 = 1 << 30;

/// A table: every cell of it but the class is a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Names of the columns, where the first line holds names.
    header: Option<Vec<String>>,
    /// The column of the class.
    label: Option<usize>,
    /// Its text, row by row; empty without one.
    labels: Vec<String>,
    /// The numbers of each row, without the class.
    rows: Vec<Vec<f32>>,
}

impl Table {
    /// Reads a CSV. The class is in the column `label` (a name, or a number from 0); without one it is looked for: a column named `label`,
    /// `class`, `target`, `y` or `category`, or else, when there is one column more than `inputs` (or `inputs` is not given), a first or last
    /// column of few whole numbers.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] with row and column of what is not a finite number, no such column, no rows.
    pub fn read(path: &Path, label: Option<&str>, inputs: Option<usize>) -> Result<Self> {
        let bad = |reason: String| Error::Format { path: path.into(), reason };
        let io = |source| Error::Io { path: path.into(), source };
        let size = std::fs::metadata(path).map_err(io)?;
        if !size.is_file() || size.len() > MAX_BYTES {
            return Err(bad("is not a CSV file of up to 1 GiB; give a table, one row a line".into()));
        }
        let text = std::fs::read(path).map_err(io)?;
        let text = String::from_utf8(text).map_err(|_| bad("is not text; give a CSV".into()))?;
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let mut lines = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| bad(format!("is not a table: {e}")))?;
            lines.push(record.iter().map(str::to_owned).collect::<Vec<_>>());
        }
        let named = lines.first().is_some_and(|line| line.iter().all(|cell| cell.parse::<f64>().is_err()));
        let header = named.then(|| lines.remove(0));
        if lines.is_empty() {
            return Err(bad("has no rows".into()));
        }
        let at = find_label(&lines, header.as_deref(), label, inputs).map_err(bad)?;
        let offset = 1 + usize::from(named);
        let mut labels = Vec::new();
        let mut rows = Vec::with_capacity(lines.len());
        for (k, line) in lines.into_iter().enumerate() {
            let mut row = Vec::with_capacity(line.len());
            for (column, cell) in line.into_iter().enumerate() {
                if Some(column) == at {
                    labels.push(cell);
                    continue;
                }
                let number = cell.parse::<f32>().ok().filter(|x| x.is_finite());
                row.push(number.ok_or_else(|| {
                    let name = header.as_ref().map_or_else(|| format!("{}", column + 1), |names| format!("'{}'", names[column]));
                    bad(format!("line {}, column {name}: '{cell}' is not a finite number; fill or drop it first", k + offset))
                })?);
            }
            rows.push(row);
        }
        if rows[0].is_empty() {
            return Err(bad("has no column of numbers beside the class".into()));
        }
        Ok(Self { header, label: at, labels, rows })
    }

    /// The rows, without the class.
    pub fn rows(&self) -> &[Vec<f32>] {
        &self.rows
    }

    /// The class of each row, where there is a column of it.
    pub fn labels(&self) -> Option<&[String]> {
        self.label.map(|_| self.labels.as_slice())
    }

    /// The rows as examples.
    ///
    /// # Errors
    /// [`Error::Setting`] without a column of classes.
    pub fn into_examples(self) -> Result<Examples> {
        if self.label.is_none() {
            return Err(Error::Setting { name: "label", reason: "is needed: no column of the table looks like a class; name it".into() });
        }
        Examples::new(self.rows, &self.labels)
    }

    /// The same table with other numbers, as CSV.
    ///
    /// # Errors
    /// [`Error::Setting`] when the rows do not fit the table.
    pub fn with_rows(&self, rows: &[Vec<f32>]) -> Result<String> {
        if rows.len() != self.rows.len() || rows.iter().zip(&self.rows).any(|(new, old)| new.len() != old.len()) {
            return Err(Error::Setting { name: "rows", reason: "do not fit the table".into() });
        }
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        let whole = |e: csv::Error| Error::Setting { name: "rows", reason: format!("cannot be written: {e}") };
        if let Some(header) = &self.header {
            writer.write_record(header).map_err(whole)?;
        }
        for (k, row) in rows.iter().enumerate() {
            let mut cells: Vec<String> = row.iter().map(f32::to_string).collect();
            if let Some(at) = self.label {
                cells.insert(at, self.labels[k].clone());
            }
            writer.write_record(&cells).map_err(whole)?;
        }
        let bytes = writer.into_inner().map_err(|e| Error::Setting { name: "rows", reason: format!("cannot be written: {e}") })?;
        String::from_utf8(bytes).map_err(|e| Error::Setting { name: "rows", reason: format!("cannot be written: {e}") })
    }
}

fn find_label(
    lines: &[Vec<String>],
    header: Option<&[String]>,
    wanted: Option<&str>,
    inputs: Option<usize>,
) -> std::result::Result<Option<usize>, String> {
    let columns = lines[0].len();
    let by_name = |name: &str| header.and_then(|names| names.iter().position(|known| known.eq_ignore_ascii_case(name)));
    if let Some(name) = wanted {
        let number = name.parse::<usize>().ok().filter(|&k| k < columns);
        return by_name(name).or(number).map(Some).ok_or_else(|| {
            let known = header.map_or_else(|| format!("columns 0 to {}", columns - 1), |names| names.join(", "));
            format!("has no column '{name}'; there are: {known}")
        });
    }
    if let Some(at) = LABELS.iter().find_map(|name| by_name(name)) {
        return Ok(Some(at));
    }
    if inputs.is_some_and(|inputs| columns != inputs + 1) {
        return Ok(None);
    }
    let is_class = |column: usize| {
        let mut seen = std::collections::BTreeSet::new();
        let mut is_number = |cell: &String| {
            seen.insert(cell.clone());
            cell.parse::<i64>().is_ok()
        };
        lines.iter().all(|line| line.get(column).is_some_and(&mut is_number)) && (2..=MOST_CLASSES).contains(&seen.len())
    };
    let ends = [0, columns - 1].into_iter().find(|&column| columns > 1 && is_class(column));
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, label: Option<&str>, inputs: Option<usize>) -> std::result::Result<Table, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        Table::read(&path, label, inputs).map_err(|e| e.to_string())
    }

    #[test]
    fn the_class_is_found_or_named() {
        let first = read("0,0.5,1.5\n1,2,3\n", None, None).unwrap();
        assert_eq!((first.rows(), first.labels().unwrap()), (&[vec![0.5, 1.5], vec![2.0, 3.0]][..], &["0".to_owned(), "1".to_owned()][..]));
        let named = read("a,Class,b\n1,x,2\n3,y,4\n", None, None).unwrap();
        assert_eq!(named.rows(), [vec![1.0, 2.0], vec![3.0, 4.0]]);
        let chosen = read("a,b\n1,2\n3,4\n", Some("b"), None).unwrap();
        assert_eq!(chosen.labels().unwrap(), ["2", "4"]);
        // As many columns as the classifier reads: there is no class among them.
        assert!(read("0,0.5\n1,2\n", None, Some(2)).unwrap().labels().is_none());
    }

    #[test]
    fn a_table_comes_back_with_its_columns() {
        let text = "a,label,b\n1,x,2.5\n3,y,-4\n";
        let table = read(text, None, None).unwrap();
        assert_eq!(table.with_rows(table.rows()).unwrap(), text);
        assert!(table.with_rows(&[vec![1.0]]).is_err());
    }

    #[test]
    fn what_is_no_number_is_named_with_its_place() {
        for (text, reason) in [
            ("0,1\n1,x\n", "line 2, column 2: 'x'"),
            ("0,1\n1,NaN\n", "'NaN'"),
            ("a,b,label\n1,inf,0\n", "line 2, column 'b'"),
            ("", "no rows"),
            ("0,1\n1\n", "not a table"),
        ] {
            let error = read(text, None, None).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
        assert!(read("a,b\n1,2\n", Some("c"), None).unwrap_err().contains("no column 'c'"));
    }
}
