//! The files that an evaluation compares: the same table known, with holes, and filled.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    path::{Path, PathBuf},
};

use csv::ByteRecord;

use super::{
    bands::{quantile, quantile_of_column},
    evaluation::{Column, Evaluation, Scale, evaluate},
    samples::{Samples, read_samples},
};
use crate::error::{Error, Result};

/// How the files are read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Tokens that mean a hole, beside an empty cell; case does not matter.
    pub na: Vec<String>,
    /// Column that names the series a row belongs to; no gap goes from one series to another.
    pub id_column: Option<String>,
    /// Samples of the holes.
    pub samples: Option<PathBuf>,
    /// Table whose deviations are the units; the truth's without.
    pub scale_by: Option<PathBuf>,
}

/// A known table beside the same with holes and the same filled.
#[derive(Clone, Debug)]
pub struct Aligned {
    /// Columns with holes, in the order of the masked table; rows grouped by series.
    pub columns: Vec<Column>,
    /// Levels of the columns' quantiles, ascending.
    pub levels: Vec<f64>,
    /// Rows of each series.
    pub series: Vec<Range<usize>>,
    /// Rows of the table.
    pub rows: usize,
    /// Holes of the masked table, whether their truth is known or not.
    pub holes: usize,
    /// Cells of the masked table that are no holes.
    pub observed: usize,
    /// Those of them that have another text in the filled one.
    pub changed: usize,
    /// Where the first of them is: row and column.
    pub first_changed: Option<String>,
    /// Columns whose known values do not vary: they are measured in the file's units.
    pub constant: Vec<String>,
}

impl Aligned {
    /// Reads them.
    ///
    /// # Errors
    /// Files that cannot be read, different numbers of rows, columns that are missing or there twice, cells that should be numbers and are
    /// not, filled cells without the quantiles or samples that others have, nothing to score.
    pub fn read(truth: &Path, masked: &Path, imputed: &Path, options: &Options) -> Result<Self> {
        let [truth, masked, imputed] = [truth, masked, imputed].map(Table::read);
        let (truth, masked, imputed) = (truth?, masked?, imputed?);
        for table in [&truth, &imputed] {
            if table.records.len() != masked.records.len() {
                let reason =
                    format!("{} rows, but {} has {}; give the same rows", table.records.len(), masked.path.display(), masked.records.len());
                return Err(format(&table.path, "table", reason));
            }
        }
        let scale_by = options.scale_by.as_deref().map(Table::read).transpose()?;
        let samples = options.samples.as_deref().map(|path| read_samples(path, masked.records.len())).transpose()?;
        let (order, series) = by_series(&masked, options)?;
        let mut aligned = Self {
            columns: Vec::new(),
            levels: Vec::new(),
            series,
            rows: order.len(),
            holes: 0,
            observed: 0,
            changed: 0,
            first_changed: None,
            constant: Vec::new(),
        };
        for (index, name) in masked.header.iter().enumerate() {
            let filled = imputed.column(name)?;
            let holes: Vec<bool> = order.iter().map(|row| masked.hole(*row, index, options)).collect();
            for row in 0..masked.records.len() {
                if !masked.hole(row, index, options) && masked.records[row][index] != imputed.records[row][filled] {
                    aligned.changed += 1;
                    aligned.first_changed.get_or_insert_with(|| format!("row {}, column {name}", row + 2));
                }
            }
            let count = holes.iter().filter(|hole| **hole).count();
            aligned.holes += count;
            aligned.observed += holes.len() - count;
            // Times and ids may be anything; only a column with holes that somebody knows is read as numbers.
            let known = truth.column(name)?;
            if !order.iter().zip(&holes).any(|(row, hole)| *hole && !truth.hole(*row, known, options)) {
                continue;
            }
            let truth_values = truth.numbers(known, options)?;
            let scale_values = scale_by.as_ref().map(|table| table.numbers(table.column(name)?, options)).transpose()?;
            let scale_values = scale_values.as_ref().unwrap_or(&truth_values);
            if !varies(scale_values) {
                aligned.constant.push(name.clone());
            }
            let pick = |values: &[f64]| order.iter().map(|row| values[*row]).collect::<Vec<f64>>();
            let column = Column {
                name: name.clone(),
                scale: Scale::of(scale_values),
                truth: pick(&truth_values),
                point: order
                    .iter()
                    .zip(&holes)
                    .map(|(row, hole)| if *hole { imputed.optional(*row, filled, options) } else { Ok(f64::NAN) })
                    .collect::<Result<_>>()?,
                holes,
                quantiles: Vec::new(),
                samples: Vec::new(),
            };
            aligned.columns.push(column);
        }
        aligned.add_quantiles(&imputed, &order)?;
        if let Some(samples) = &samples {
            aligned.add_samples(samples, &order, options)?;
        }
        Ok(aligned)
    }

    /// Scores of what is filled.
    ///
    /// # Errors
    /// Nothing to score.
    pub fn evaluate(&self, masked: &Path) -> Result<Evaluation> {
        let nothing = || match self.columns.is_empty() {
            true => "nothing to score: no cell is a hole here and known in the truth".to_owned(),
            false => "nothing to score: every hole that the truth knows was left empty".to_owned(),
        };
        evaluate(&self.columns, &self.levels, &self.series).ok_or_else(|| format(masked, "table", nothing()))
    }

    /// Takes the columns `NAME_q05` of the filled table.
    fn add_quantiles(&mut self, imputed: &Table, order: &[usize]) -> Result<()> {
        for (k, column) in self.columns.iter_mut().enumerate() {
            let named = |(index, header): (usize, &String)| Some((quantile_of_column(&column.name, header)?, index));
            let mut found: Vec<(f64, usize)> = imputed.header.iter().enumerate().filter_map(named).collect();
            found.sort_by(|a, b| a.0.total_cmp(&b.0));
            let levels: Vec<f64> = found.iter().map(|(level, _)| *level).collect();
            if k == 0 {
                self.levels.clone_from(&levels);
            } else if levels != self.levels {
                let reason =
                    format!("has the quantiles {levels:?}, but the first column with holes has {:?}; write the same of all", self.levels);
                return Err(format(&imputed.path, format!("column {}", column.name), reason));
            }
            for (_, index) in found {
                let filled = |at: usize| column.holes[at] && !column.point[at].is_nan();
                let value = |(at, row): (usize, &usize)| if filled(at) { imputed.number(*row, index) } else { Ok(f64::NAN) };
                column.quantiles.push(order.iter().enumerate().map(value).collect::<Result<_>>()?);
            }
        }
        Ok(())
    }

    /// Takes the samples, and, where the filled table has no quantiles, their quantiles at .05, .10, .. .95.
    fn add_samples(&mut self, samples: &Samples, order: &[usize], options: &Options) -> Result<()> {
        let path = options.samples.as_deref().unwrap_or(Path::new(""));
        let derive = self.levels.is_empty();
        if derive {
            self.levels = (1..20).map(|k| f64::from(k) / 20.0).collect();
        }
        for column in &mut self.columns {
            let name = column.name.clone().into_bytes();
            column.samples = vec![Vec::new(); order.len()];
            for at in (0..order.len()).filter(|at| column.holes[*at] && !column.point[*at].is_nan()) {
                let found = samples.get(&(order[at], name.clone())).cloned();
                let missing = || format(path, "table", format!("no samples of row {}, column {}", order[at] + 1, column.name));
                column.samples[at] = found.ok_or_else(missing)?;
            }
            if derive {
                let sorted = |s: &Vec<f64>| {
                    let mut s = s.clone();
                    s.sort_by(f64::total_cmp);
                    s
                };
                let sorted: Vec<Vec<f64>> = column.samples.iter().map(sorted).collect();
                column.quantiles = self.levels.iter().map(|level| sorted.iter().map(|s| quantile(s, *level)).collect()).collect();
            }
        }
        Ok(())
    }
}

fn varies(values: &[f64]) -> bool {
    let mut known = values.iter().filter(|v| !v.is_nan());
    known.next().is_some_and(|first| known.any(|v| v != first))
}

/// Records grouped by series, in the order of the file within each, and where each series ends up.
fn by_series(table: &Table, options: &Options) -> Result<(Vec<usize>, Vec<Range<usize>>)> {
    let rows = table.records.len();
    let Some(id) = &options.id_column else { return Ok(((0..rows).collect(), std::iter::once(0..rows).collect())) };
    let id = table.column(id)?;
    let mut numbers = HashMap::new();
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (row, record) in table.records.iter().enumerate() {
        let number = *numbers.entry(record[id].to_vec()).or_insert(members.len());
        if number == members.len() {
            members.push(Vec::new());
        }
        members[number].push(row);
    }
    let mut end = 0;
    let ranges = members.iter().map(|rows| {
        end += rows.len();
        end - rows.len()..end
    });
    let ranges = ranges.collect();
    Ok((members.concat(), ranges))
}

/// An error of a file's content.
pub(super) fn format(path: &Path, place: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::Format { path: path.to_owned(), place: place.into(), reason: reason.into() }
}

/// A delimited file as text.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) header: Vec<String>,
    pub(super) records: Vec<ByteRecord>,
    /// A file that is not divided by commas may have them in numbers.
    decimal_comma: bool,
}

impl Table {
    /// Reads a file; its delimiter is the one of comma, semicolon and tab that its first line has most of.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        let count = |delimiter: &u8| first.iter().filter(|b| *b == delimiter).count();
        // The last of equals wins.
        let delimiter = [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',');
        let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(bytes.as_slice());
        let mut records = Vec::new();
        // The reader skips empty lines, but in a table of one column they are holes.
        let alone = count(&delimiter) == 0;
        let lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes).split(|b| *b == b'\n').filter(|_| alone && !bytes.is_empty());
        records.extend(lines.map(|line| ByteRecord::from(vec![line.trim_ascii()])));
        for (line, record) in reader.byte_records().enumerate().filter(|_| !alone) {
            records.push(record.map_err(|error| match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format(path, format!("row {}", line + 1), format!("{len} cells, but the header has {expected_len}"))
                }
                _ => format(path, format!("row {}", line + 1), error.to_string()),
            })?);
        }
        if records.is_empty() {
            return Err(format(path, "row 1", "the file is empty; it should begin with the names of the columns"));
        }
        let header: Vec<String> = records.remove(0).iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let mut seen = HashSet::new();
        if let Some(twice) = header.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(format(path, "row 1", format!("two columns are called '{twice}'; rename one")));
        }
        Ok(Self { path: path.to_owned(), header, records, decimal_comma: delimiter != b',' })
    }

    /// Number of a column.
    fn column(&self, name: &str) -> Result<usize> {
        let missing = || format(&self.path, "row 1", format!("there is no column '{name}'; it has {}", self.header.join(", ")));
        self.header.iter().position(|n| n == name).ok_or_else(missing)
    }

    /// Whether a cell is a hole.
    fn hole(&self, record: usize, column: usize, options: &Options) -> bool {
        let text = self.records[record][column].trim_ascii();
        text.is_empty() || options.na.iter().any(|na| na.as_bytes().eq_ignore_ascii_case(text))
    }

    /// A cell that should hold a finite number.
    pub(super) fn number(&self, record: usize, column: usize) -> Result<f64> {
        let text = String::from_utf8_lossy(&self.records[record][column]);
        let plain = if self.decimal_comma { text.trim().replace(',', ".") } else { text.trim().to_owned() };
        let bad =
            || format(&self.path, format!("row {}, column {}", record + 2, self.header[column]), format!("'{text}' is no finite number"));
        plain.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(bad)
    }

    /// A cell that holds a finite number or nothing (NaN).
    fn optional(&self, record: usize, column: usize, options: &Options) -> Result<f64> {
        if self.hole(record, column, options) { Ok(f64::NAN) } else { self.number(record, column) }
    }

    /// A column of numbers; NaN at holes.
    fn numbers(&self, column: usize, options: &Options) -> Result<Vec<f64>> {
        (0..self.records.len()).map(|record| self.optional(record, column, options)).collect()
    }
}
