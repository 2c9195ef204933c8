//! Blocks back into the file they came from, with holes filled.

use std::{io::Write, ops::Range, path::PathBuf};

use super::{
    blocks::{Block, RowKind},
    cell::Cell,
    raw::{Record, Records, quote},
    scan::Walk,
    sorted::{Entries, Sorter},
    table::Table,
};
use crate::{Error, Result};

/// What is written.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Levels of quantiles in (0, 1); each adds a column `NAME_q05` per column of numbers (`value_q05` in the long layout).
    pub quantiles: Vec<f64>,
    /// Instead of values, 1 where one was filled in, 0 where one was observed, and nothing where a hole is left.
    pub mask: bool,
    /// Leave the header out: what is written goes on where another part ended.
    pub continues: bool,
    /// Of a table whose blocks come in another order than its records ([`Table::is_mixed`]): the records that are written, counted from 0 behind
    /// the header; all without. What a forecast adds stands behind the last one.
    pub records: Option<Range<u64>>,
}

/// What to put into the holes of a block's core.
#[derive(Clone, Debug, Default)]
pub struct Fills {
    /// `values[column][row of the core]`; NaN leaves a hole as it is. Observed fields are never touched.
    pub values: Vec<Vec<f64>>,
    /// `quantiles[level][column][row of the core]`, levels as in [`WriteOptions`].
    pub quantiles: Vec<Vec<Vec<f64>>>,
}

impl Fills {
    /// Nothing filled in, in the shape that `block` asks for.
    #[must_use]
    pub fn none(block: &Block, levels: usize) -> Self {
        let empty = vec![vec![f64::NAN; block.core.len()]; block.frame.columns()];
        Self { quantiles: vec![empty.clone(); levels], values: empty }
    }
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Fields filled per column, those of a forecast included.
    pub filled: Vec<u64>,
    /// Holes left per column.
    pub left: Vec<u64>,
    /// Rows added by a forecast.
    pub added: u64,
}

/// The ending of a quantile's column: `q05` for 0.05, `q97.5` for 0.975.
#[must_use]
pub fn quantile_name(level: f64) -> String {
    let percent = format!("{:.6}", level * 100.0);
    let percent = percent.trim_end_matches('0').trim_end_matches('.');
    let whole = percent.find('.').unwrap_or(percent.len());
    format!("q{}{percent}", if whole < 2 { "0" } else { "" })
}

/// Writes a table block after block; see [`Table::blocks`].
#[derive(Debug)]
pub struct Writer<'a, W> {
    table: &'a Table,
    out: W,
    options: WriteOptions,
    written: Written,
    /// Ends a line that is added.
    line_end: Vec<u8>,
    /// The last line has no end yet.
    open: bool,
    record: Record,
    buffer: Vec<u8>,
    /// Fills of a table whose rows are mixed: record, column, value, quantiles.
    kept: Option<Sorter>,
    /// Id and time of the rows to be added at the end of such a table, whose records are numbered on behind the last one.
    future: Vec<(String, String)>,
}

/// Fills in the order of records.
struct Kept<'s> {
    entries: Entries<'s>,
    /// Of a record that is still to come.
    next: Option<Vec<u64>>,
    /// Column, value and quantiles of the holes of one record.
    of_record: Vec<Vec<u64>>,
}

impl Kept<'_> {
    /// Goes to a record; they come in their order.
    fn go(&mut self, record: u64) -> Result<()> {
        self.of_record.clear();
        loop {
            match self.next.take() {
                Some(entry) if entry[0] == record => self.of_record.push(entry),
                Some(entry) if entry[0] > record => {
                    self.next = Some(entry);
                    return Ok(());
                }
                _ => {}
            }
            match self.entries.read()? {
                Some(entry) => self.next = Some(entry.to_vec()),
                None => return Ok(()),
            }
        }
    }

    /// The value (level 0) or a quantile for a column of the record.
    fn find(&self, column: usize, level: usize) -> f64 {
        let entry = self.of_record.iter().find(|entry| entry[1] == column as u64);
        entry.map_or(f64::NAN, |entry| f64::from_bits(entry[2 + level]))
    }
}

/// Where the value and the quantiles of a field are.
type Found<'f> = &'f dyn Fn(usize, usize) -> f64;

impl<'a, W: Write> Writer<'a, W> {
    /// Writes the header, if it is wanted.
    ///
    /// # Errors
    /// A level is no quantile, the name of a column to be added is taken, or `out` cannot be written.
    pub fn create(table: &'a Table, out: W, mut options: WriteOptions) -> Result<Self> {
        if options.mask {
            options.quantiles.clear();
        }
        if let Some(level) = options.quantiles.iter().find(|&&q| !(q > 0.0 && q < 1.0)) {
            return Err(Error::Setting { name: "--quantiles", reason: format!("should lie between 0 and 1, and {level} does not") });
        }
        let walk = Walk::new(&table.source, &table.plan)?;
        let header = &walk.header;
        let mut writer = Self {
            table,
            out,
            options,
            written: Written { filled: vec![0; table.names.len()], left: vec![0; table.names.len()], added: 0 },
            line_end: if header.line_end().is_empty() { b"\n".to_vec() } else { header.line_end().to_vec() },
            open: false,
            record: Record::default(),
            buffer: Vec::new(),
            kept: None,
            future: Vec::new(),
        };
        if table.is_mixed() {
            writer.kept = Some(Sorter::new(3 + writer.options.quantiles.len()));
        }
        let mut line = walk.mark.to_vec();
        line.extend_from_slice(header.content());
        for &column in &table.plan.values {
            for &level in &writer.options.quantiles {
                let name = format!("{}_{}", table.plan.header[column], quantile_name(level));
                if table.plan.header.contains(&name) {
                    let reason = format!("the column '{name}' is there already; rename it, or leave --quantiles out");
                    return Err(table.source.wrong("row 1 (the header)", reason));
                }
                line.push(table.plan.delimiter);
                quote(&mut line, name.as_bytes(), table.plan.delimiter, false);
            }
        }
        line.extend_from_slice(header.line_end());
        if !writer.options.continues {
            writer.buffer = line;
        }
        writer.flush()?;
        Ok(writer)
    }

    /// Passes over a block that another part writes, before the first one of this part.
    pub fn skip(&mut self, block: &Block) {
        if !block.raw.is_empty() {
            self.open = is_open(&block.raw);
        }
    }

    /// Writes the rows of a block's core; blocks come in the order of [`Table::blocks`].
    ///
    /// # Errors
    /// `fills` has another shape than the block, or `out` cannot be written.
    pub fn block(&mut self, block: &Block, fills: &Fills) -> Result<()> {
        let (columns, rows) = (block.frame.columns(), block.core.len());
        let fits = |values: &Vec<Vec<f64>>| values.len() == columns && values.iter().all(|v| v.len() == rows);
        let levels = self.options.quantiles.len();
        if !fits(&fills.values) || (!self.options.mask && fills.quantiles.len() != levels) || !fills.quantiles.iter().all(fits) {
            return Err(Error::Setting {
                name: "fills",
                reason: format!("should hold {columns} columns of {rows} rows, for every quantile too"),
            });
        }
        if self.table.is_mixed() {
            return self.keep(block, fills);
        }
        let is_plain = levels == 0 && !self.options.mask;
        let has_hole = |row: usize| (0..columns).any(|k| block.is_hole(k, row));
        if is_plain && !(0..rows).any(has_hole) {
            self.buffer.extend_from_slice(&block.raw);
            self.open = !block.raw.is_empty() && is_open(&block.raw);
            self.buffer.extend_from_slice(&block.tail);
            return self.flush();
        }
        let mut records = Records::new(&block.raw[..], self.table.plan.delimiter);
        records.keep_blank = self.table.plan.header.len() == 1;
        let mut record = std::mem::take(&mut self.record);
        let mut times = block.times.iter();
        for (row, kind) in block.kinds.iter().enumerate() {
            let found = |k: usize, level: usize| if level == 0 { fills.values[k][row] } else { fills.quantiles[level - 1][k][row] };
            match kind {
                RowKind::Absent => {}
                RowKind::Forecast => {
                    let time = times.next().map_or("", String::as_str);
                    self.add_row(block.id.as_deref().unwrap_or(""), time, None, &found);
                }
                RowKind::File => {
                    if !records.read(&mut record).map_err(|e| self.table.source.io(e))? {
                        return Err(self.table.source.wrong("the input", "changed while it was read"));
                    }
                    if is_plain && !has_hole(row) {
                        self.buffer.extend_from_slice(record.bytes());
                        self.open = record.line_end().is_empty();
                    } else {
                        self.row(&record, &found);
                    }
                }
            }
            if self.buffer.len() > 1 << 16 {
                self.flush()?;
            }
        }
        self.record = record;
        self.buffer.extend_from_slice(&block.tail);
        self.flush()
    }

    /// Writes what is left and says what was done.
    ///
    /// # Errors
    /// The file cannot be read again, or `out` not be written.
    pub fn finish(mut self) -> Result<Written> {
        if let Some(kept) = self.kept.take() {
            let kept = kept.sorted();
            self.mixed(&mut Kept { entries: kept.entries()?, next: None, of_record: Vec::new() })?;
        }
        self.flush()?;
        self.out.flush().map_err(lost)?;
        Ok(self.written)
    }

    /// The records of a table whose rows are mixed.
    fn mixed(&mut self, kept: &mut Kept<'_>) -> Result<()> {
        let plan = &self.table.plan;
        let rows = self.table.profile().rows;
        let records = self.options.records.clone().unwrap_or(0..u64::MAX);
        let is_last = records.end >= rows;
        let mut walk = Walk::new(&self.table.source, plan)?;
        let mut record = 0;
        // The last part reads on to what follows the last record.
        while (is_last || record < records.end) && walk.step()? {
            record += 1;
            if record <= records.start {
                continue;
            }
            kept.go(record - 1)?;
            match plan.long {
                None => self.row(&walk.record, &|k, level| kept.find(k, level)),
                Some((variable, _)) => {
                    let k = self.table.turned.as_ref().and_then(|turned| turned.column(&walk.record.text(variable)));
                    self.long_row(&walk.record, k.unwrap_or(usize::MAX), &|k, level| kept.find(k, level));
                }
            }
            if self.buffer.len() > 1 << 16 {
                self.flush()?;
            }
        }
        if !is_last {
            return Ok(());
        }
        for (number, (id, time)) in std::mem::take(&mut self.future).into_iter().enumerate() {
            kept.go(rows + number as u64)?;
            match plan.long {
                None => self.add_row(&id, &time, None, &|k, level| kept.find(k, level)),
                Some(_) => (0..self.table.names.len()).for_each(|k| self.add_row(&id, &time, Some(k), &|k, level| kept.find(k, level))),
            }
        }
        self.buffer.extend_from_slice(walk.record.bytes());
        Ok(())
    }

    /// One row of a wide file.
    fn row(&mut self, record: &Record, found: Found<'_>) {
        let plan = &self.table.plan;
        self.start(record);
        let mut next = 0;
        // Columns of numbers stand in the order of the file.
        let mut cells = Vec::new();
        for field in 0..record.len() {
            if field > 0 {
                self.buffer.push(plan.delimiter);
            }
            if plan.values.get(next) == Some(&field) {
                let hole = plan.dialect.cell(&record.text(field)) == Cell::Missing;
                self.field(record.raw(field), next, hole, found(next, 0));
                if !self.options.quantiles.is_empty() {
                    cells.push((field, hole));
                }
                next += 1;
            } else {
                self.buffer.extend_from_slice(record.raw(field));
            }
        }
        for (k, (field, hole)) in cells.into_iter().enumerate() {
            self.quantiles(record.raw(field), k, hole, found);
        }
        self.end(record);
    }

    /// One row of a long file, of the variable `k`.
    fn long_row(&mut self, record: &Record, k: usize, found: Found<'_>) {
        let plan = &self.table.plan;
        let (_, value) = plan.long.unwrap_or((0, 0));
        self.start(record);
        let hole = k != usize::MAX && plan.dialect.cell(&record.text(value)) == Cell::Missing;
        for field in 0..record.len() {
            if field > 0 {
                self.buffer.push(plan.delimiter);
            }
            if field == value && k != usize::MAX {
                self.field(record.raw(field), k, hole, found(k, 0));
            } else {
                self.buffer.extend_from_slice(record.raw(field));
            }
        }
        self.quantiles(record.raw(value), k, hole, found);
        self.end(record);
    }

    /// A row that the file does not have; `variable` in the long layout.
    fn add_row(&mut self, id: &str, time: &str, variable: Option<usize>, found: Found<'_>) {
        let table = self.table;
        let plan = &table.plan;
        let was_open = self.open;
        if was_open {
            self.buffer.extend_from_slice(&self.line_end);
        }
        for field in 0..plan.header.len() {
            if field > 0 {
                self.buffer.push(plan.delimiter);
            }
            let value = plan.values.iter().position(|&c| c == field);
            if let Some((times, clock)) = plan.time.filter(|(times, _)| times.has(field)) {
                quote(&mut self.buffer, times.part(time, field, clock).as_bytes(), plan.delimiter, false);
            } else if plan.id == Some(field) {
                quote(&mut self.buffer, id.as_bytes(), plan.delimiter, false);
            } else if let Some((k, _)) = variable.zip(plan.long).filter(|&(_, (c, _))| c == field) {
                quote(&mut self.buffer, table.names[k].as_bytes(), plan.delimiter, false);
            } else if let Some(k) = value {
                let k = variable.unwrap_or(k);
                self.field(b"", k, true, found(k, 0));
            }
        }
        for k in 0..plan.values.len() {
            self.quantiles(b"", variable.unwrap_or(k), true, found);
        }
        // The last line ends as the file's last line did.
        if !was_open {
            self.buffer.extend_from_slice(&self.line_end);
        }
        self.written.added += 1;
    }

    /// A field of numbers: as it is, or filled.
    fn field(&mut self, raw: &[u8], k: usize, hole: bool, value: f64) {
        let fill = hole && value.is_finite();
        if fill {
            self.written.filled[k] += 1;
        } else if hole {
            self.written.left[k] += 1;
        }
        match (self.options.mask, fill) {
            (true, _) => self.buffer.extend_from_slice(if fill {
                b"1"
            } else if hole {
                b""
            } else {
                b"0"
            }),
            (false, true) => self.number(raw, k, value),
            (false, false) => self.buffer.extend_from_slice(raw),
        }
    }

    /// The added fields of one column: the filled quantiles, or what the field holds.
    fn quantiles(&mut self, raw: &[u8], k: usize, hole: bool, found: Found<'_>) {
        for level in 1..=self.options.quantiles.len() {
            self.buffer.push(self.table.plan.delimiter);
            let value = if hole { found(k, level) } else { f64::NAN };
            if value.is_finite() {
                self.number(raw, k, value);
            } else {
                self.buffer.extend_from_slice(raw);
            }
        }
    }

    fn number(&mut self, raw: &[u8], k: usize, value: f64) {
        let plan = &self.table.plan;
        let text = plan.dialect.write(value, self.table.profile().columns[k].decimals);
        quote(&mut self.buffer, text.as_bytes(), plan.delimiter, raw.starts_with(b"\""));
    }

    /// What stands before a row's fields.
    fn start(&mut self, record: &Record) {
        self.buffer.extend_from_slice(record.lead());
    }

    fn end(&mut self, record: &Record) {
        self.buffer.extend_from_slice(record.line_end());
        self.open = record.line_end().is_empty();
    }

    /// Puts the fills of a block aside until their records come.
    fn keep(&mut self, block: &Block, fills: &Fills) -> Result<()> {
        let Some(kept) = &mut self.kept else { return Ok(()) };
        let mut entry = Vec::new();
        let mut keep = |record: u64, row: usize, k: usize| {
            if !fills.values[k][row].is_finite() {
                return Ok(());
            }
            entry.clear();
            entry.extend([record, k as u64, fills.values[k][row].to_bits()]);
            entry.extend(fills.quantiles.iter().take(self.options.quantiles.len()).map(|q| q[k][row].to_bits()));
            kept.push(&entry)
        };
        for &(row, column, record) in block.holes() {
            keep(record, row, column)?;
        }
        let mut times = block.times.iter();
        for row in (0..block.kinds.len()).filter(|&row| block.kinds[row] == RowKind::Forecast) {
            let record = self.table.profile().rows + self.future.len() as u64;
            self.future.push((block.id.clone().unwrap_or_default(), times.next().cloned().unwrap_or_default()));
            (0..block.frame.columns()).try_for_each(|k| keep(record, row, k))?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.out.write_all(&self.buffer).map_err(lost)?;
        self.buffer.clear();
        Ok(())
    }
}

/// Whether the last line has no end yet.
fn is_open(raw: &[u8]) -> bool {
    !raw.ends_with(b"\n") && !raw.ends_with(b"\r")
}

fn lost(source: std::io::Error) -> Error {
    Error::Io { path: PathBuf::from("the output"), source }
}

#[cfg(test)]
mod tests {
    use super::quantile_name;

    #[test]
    fn names_of_quantiles() {
        let levels = [0.05, 0.25, 0.5, 0.975, 0.005, 0.999, 0.01];
        assert_eq!(levels.map(quantile_name), ["q05", "q25", "q50", "q97.5", "q00.5", "q99.9", "q01"]);
    }
}
