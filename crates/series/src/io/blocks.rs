//! Pass 2: a table in blocks of rows, each with rows around it.

use std::{collections::VecDeque, ops::Range};

use super::{scan::Walk, table::Table, turned::Rows};
use crate::{Frame, Result};

/// What a row of a block's core is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A row of the file.
    File,
    /// A row that the file lacks; nothing is written for it.
    Absent,
    /// A row to be added behind the last one of its series.
    Forecast,
}

/// Rows that one unit of work fills, with rows around them.
#[derive(Clone, Debug)]
pub struct Block {
    /// Number of the block in the table.
    pub index: usize,
    /// Number of its series.
    pub series: usize,
    /// The series' id, where the table has such a column.
    pub id: Option<String>,
    /// The rows of the core and of the halo on both sides, columns in the order of the file.
    pub frame: Frame,
    /// The rows of `frame` that belong to this block and to no other.
    pub core: Range<usize>,
    /// What the rows of the core are in the file.
    pub kinds: Vec<RowKind>,
    /// Number of the core's first row in its series.
    pub(crate) first: u64,
    /// The core's rows as they stand in the file; nothing for a table whose rows are mixed.
    pub(crate) raw: Vec<u8>,
    /// Of a table whose rows are mixed: row of the core, column and record of each hole that the file has a field for.
    pub(crate) holes: Vec<(usize, usize, u64)>,
    /// Blank lines that the file ends with.
    pub(crate) tail: Vec<u8>,
    /// Times of the rows of a forecast, as they are to be written.
    pub(crate) times: Vec<String>,
}

impl Block {
    /// Whether the output has a row for this row of the core, and no value in this column for it.
    #[must_use]
    pub fn is_hole(&self, column: usize, row: usize) -> bool {
        self.kinds[row] != RowKind::Absent && self.frame.values[column][self.core.start + row].is_nan()
    }

    /// Number of the core's first row in its series.
    #[must_use]
    pub const fn first_row(&self) -> usize {
        self.first as usize
    }

    /// Of a table whose blocks come in another order than its records ([`Table::is_mixed`]): row of the core, column, and record (counted from 0
    /// behind the header) of each hole that the file has a field for.
    #[must_use]
    pub fn holes(&self) -> &[(usize, usize, u64)] {
        &self.holes
    }

    /// Whether one of these holes lies in some records.
    #[must_use]
    pub fn has_holes_of(&self, records: &Range<u64>) -> bool {
        self.holes.iter().any(|(.., record)| records.contains(record))
    }
}

/// The blocks of a table, in the order of the file; see [`Table::blocks`].
#[derive(Debug)]
pub struct Blocks<'a> {
    table: &'a Table,
    rows: usize,
    halo: usize,
    forecast: usize,
    ready: VecDeque<Block>,
    index: usize,
    state: State<'a>,
}

#[derive(Debug)]
enum State<'a> {
    Stream(Box<Stream<'a>>),
    Done,
}

/// Where rows come from.
#[derive(Debug)]
enum Feed<'a> {
    /// A file whose series lie one behind the other.
    File(Walk<'a>),
    /// Rows that were sorted.
    Turned(Rows<'a>),
}

/// Rows while they are read.
#[derive(Debug)]
struct Stream<'a> {
    feed: Feed<'a>,
    id: Option<Vec<u8>>,
    /// Ticks of the first and the last row of the series, and the last time as it is written.
    first: i64,
    last: i64,
    last_text: Vec<u8>,
    window: Window,
    raw: Vec<u8>,
    /// Where each row from the core on ends in `raw`.
    ends: Vec<usize>,
    /// Number in the series, column and record of holes from the core on.
    holes: VecDeque<(u64, usize, u64)>,
}

/// Rows of a series from a halo before the core on.
#[derive(Debug, Default)]
struct Window {
    series: usize,
    positions: Vec<f64>,
    values: Vec<Vec<f64>>,
    kinds: Vec<RowKind>,
    /// Number in the series of the row at the start.
    base: u64,
    /// Number in the series of the core's first row.
    core: u64,
}

impl Window {
    fn new(series: usize, columns: usize) -> Self {
        Self { series, values: vec![Vec::new(); columns], ..Self::default() }
    }

    fn end(&self) -> u64 {
        self.base + self.positions.len() as u64
    }

    fn push(&mut self, position: f64, kind: RowKind, values: impl Iterator<Item = f64>) {
        self.positions.push(position);
        self.kinds.push(kind);
        for (column, value) in self.values.iter_mut().zip(values) {
            column.push(value);
        }
    }

    /// A block whose core has `rows` rows; forgets what no later block shows.
    fn take(&mut self, rows: usize, halo: usize, table: &Table) -> Block {
        let start = (self.core - self.base) as usize;
        let end = start.saturating_add(rows).min(self.positions.len());
        let shown = end.saturating_add(halo).min(self.positions.len());
        let block = Block {
            index: 0,
            series: self.series,
            id: None,
            frame: Frame {
                names: table.names.clone(),
                positions: self.positions[..shown].to_vec(),
                values: self.values.iter().map(|v| v[..shown].to_vec()).collect(),
            },
            core: start..end,
            kinds: self.kinds[start..end].to_vec(),
            first: self.core,
            raw: Vec::new(),
            holes: Vec::new(),
            tail: Vec::new(),
            times: Vec::new(),
        };
        self.core += (end - start) as u64;
        let gone = end.saturating_sub(halo);
        self.base += gone as u64;
        self.positions.drain(..gone);
        self.kinds.drain(..gone);
        self.values.iter_mut().for_each(|v| drop(v.drain(..gone)));
        block
    }
}

impl<'a> Blocks<'a> {
    pub(super) fn new(table: &'a Table, rows: usize, halo: usize, forecast: usize) -> Result<Self> {
        let feed = match &table.turned {
            Some(turned) => Feed::Turned(turned.rows()?),
            None => Feed::File(Walk::new(&table.source, &table.plan)?),
        };
        let state = State::Stream(Box::new(Stream {
            feed,
            id: None,
            first: 0,
            last: 0,
            last_text: Vec::new(),
            window: Window::new(0, table.names.len()),
            raw: Vec::new(),
            ends: Vec::new(),
            holes: VecDeque::new(),
        }));
        Ok(Self { table, rows, halo, forecast, ready: VecDeque::new(), index: 0, state })
    }

    /// Reads on until a block is ready or the file ends.
    fn advance(&mut self) -> Result<()> {
        match &mut self.state {
            State::Done => {}
            State::Stream(stream) => {
                if !stream.row(self.table, self.rows, self.halo, self.forecast, &mut self.ready)? {
                    self.state = State::Done;
                }
            }
        }
        Ok(())
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<Block>;

    fn next(&mut self) -> Option<Result<Block>> {
        loop {
            if let Some(mut block) = self.ready.pop_front() {
                block.index = self.index;
                self.index += 1;
                return Some(Ok(block));
            }
            if matches!(self.state, State::Done) {
                return None;
            }
            if let Err(error) = self.advance() {
                self.state = State::Done;
                return Some(Err(error));
            }
        }
    }
}

impl Feed<'_> {
    fn step(&mut self) -> Result<bool> {
        match self {
            Self::File(walk) => walk.step(),
            Self::Turned(rows) => rows.step(),
        }
    }

    /// The id of the row's series.
    fn id(&self, table: &Table) -> Option<Vec<u8>> {
        let column = table.plan.id?;
        Some(match self {
            Self::File(walk) => walk.record.text(column).into_owned(),
            Self::Turned(rows) => rows.id().to_vec(),
        })
    }

    /// The time of the row; `None` without a column of times in the file.
    fn ticks(&self) -> Result<Option<i64>> {
        match self {
            Self::File(walk) => walk.ticks(),
            Self::Turned(rows) => Ok(Some(rows.row.ticks)),
        }
    }
}

impl Stream<'_> {
    /// Takes in one row; `false` at the end.
    fn row(&mut self, table: &Table, rows: usize, halo: usize, forecast: usize, ready: &mut VecDeque<Block>) -> Result<bool> {
        let more = self.feed.step()?;
        let id = if more { self.feed.id(table) } else { None };
        if !more || (!self.window.positions.is_empty() && id != self.id) {
            self.close(table, rows, halo, forecast, ready);
            if !more {
                if let (Some(last), Feed::File(walk)) = (ready.back_mut(), &self.feed) {
                    last.tail = walk.record.bytes().to_vec();
                }
                return Ok(false);
            }
        }
        let ticks = self.feed.ticks()?.unwrap_or(self.window.end() as i64);
        if self.window.end() == 0 {
            self.first = ticks;
            self.id = id;
        } else if table.grid.step.is_some() {
            // Pass 1 has seen that every row has a point behind the one before.
            let index = table.grid.index(self.first, ticks).unwrap_or(self.window.end());
            if index >= table.profile().grid_rows {
                return Err(table.source.wrong("the input", "changed while it was read"));
            }
            while self.window.end() < index {
                let time = table.grid.time(self.first, self.window.end());
                self.window.push(table.grid.position(time), RowKind::Absent, std::iter::repeat(f64::NAN));
                self.ends.push(self.raw.len());
                self.full(table, rows, halo, ready);
            }
        }
        self.last = ticks;
        // Rows that were moved to the grid have its positions.
        let time = if table.grid.snap && table.grid.step.is_some() { table.grid.time(self.first, self.window.end()) } else { ticks };
        let number = self.window.end();
        self.window.positions.push(table.grid.position(time));
        self.window.kinds.push(RowKind::File);
        match &self.feed {
            Feed::File(walk) => {
                if table.plan.time.is_some() {
                    self.last_text = table.plan.time_text(&walk.record).into_owned();
                }
                for (values, &column) in self.window.values.iter_mut().zip(&table.plan.values) {
                    values.push(if let super::cell::Cell::Number(value, _) = walk.cell(column)? { value } else { f64::NAN });
                }
                self.raw.extend_from_slice(walk.record.bytes());
            }
            Feed::Turned(rows) => {
                self.window.values.iter_mut().zip(&rows.row.values).for_each(|(values, &value)| values.push(value));
                self.holes.extend(rows.row.holes.iter().map(|&(column, record)| (number, column as usize, record)));
            }
        }
        self.ends.push(self.raw.len());
        self.full(table, rows, halo, ready);
        Ok(true)
    }

    /// Gives out a block when its core and the halo behind it are there.
    fn full(&mut self, table: &Table, rows: usize, halo: usize, ready: &mut VecDeque<Block>) {
        if self.window.end() - self.window.core >= (rows as u64).saturating_add(halo as u64 + 1) {
            let block = self.take(table, rows, halo);
            ready.push_back(block);
        }
    }

    fn take(&mut self, table: &Table, rows: usize, halo: usize) -> Block {
        let mut block = self.window.take(rows, halo, table);
        let taken = block.core.len();
        let end = block.first + taken as u64;
        let holes = self.holes.partition_point(|&(row, ..)| row < end);
        block.holes = self.holes.drain(..holes).map(|(row, column, record)| ((row - block.first) as usize, column, record)).collect();
        // Rows of a forecast have no bytes.
        let bytes = self.ends[..taken.min(self.ends.len())].last().copied().unwrap_or(0);
        block.raw = self.raw.drain(..bytes).collect();
        self.ends.drain(..taken.min(self.ends.len()));
        self.ends.iter_mut().for_each(|end| *end -= bytes);
        block.id = self.id.as_ref().map(|id| String::from_utf8_lossy(id).into_owned());
        block
    }

    /// The end of a series: adds the forecast, gives out what is left, and starts anew.
    fn close(&mut self, table: &Table, rows: usize, halo: usize, forecast: usize, ready: &mut VecDeque<Block>) {
        let known = self.window.end();
        if let (Feed::Turned(_), Some([_, last])) = (&self.feed, &table.profile().span) {
            self.last_text = table.clock().write(self.last, last.as_bytes()).into_bytes();
        }
        extend(table, &mut self.window, self.first, forecast);
        while self.window.core < self.window.end() {
            let mut block = self.take(table, rows, halo);
            block.times = future_times(table, &block, known, self.last, &self.last_text);
            ready.push_back(block);
        }
        self.window = Window::new(self.window.series + 1, table.names.len());
    }
}

/// Adds `forecast` rows of holes behind the rows of a series.
fn extend(table: &Table, window: &mut Window, first: i64, forecast: usize) {
    for _ in 0..forecast {
        let time = table.grid.time(first, window.end());
        window.push(table.grid.position(time), RowKind::Forecast, std::iter::repeat(f64::NAN));
    }
}

/// Times of a block's rows behind the `known` first ones of its series, written as the last one is.
fn future_times(table: &Table, block: &Block, known: u64, last: i64, like: &[u8]) -> Vec<String> {
    let (Some((_, clock)), Some(step)) = (table.plan.time, table.grid.step) else { return Vec::new() };
    let rows = (block.first..block.first + block.core.len() as u64).filter(|&row| row >= known);
    rows.map(|row| clock.write(step.after(last, (row + 1 - known) as i64), like)).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::{Fills, ReadOptions, WriteOptions, Writer, source::Source};
    use super::*;

    /// Two series with rows that the file lacks, holes, blank lines, and no line end at the end.
    fn text(mixed: bool) -> String {
        let line = |site: char, i: i64| {
            let value = if (i * 7 + i64::from(u32::from(site))) % 3 == 0 { String::new() } else { format!("{}.5", i * i % 11) };
            format!("{site},2021-02-{:02} {:02}:00,{value},{}\n{}", 1 + i / 24, i % 24, i % 5, if i % 13 == 4 { "\n" } else { "" })
        };
        let rows = |site: char| (0..40).filter(|i| i % 10 != 6 && !(20..24).contains(i)).map(move |i| line(site, i));
        let body: String =
            if mixed { rows('A').zip(rows('B')).map(|(a, b)| a + &b).collect() } else { rows('A').chain(rows('B')).collect() };
        format!("site,time,x,y\n{}", body.trim_end())
    }

    /// Series, position, kind, and the bits of the values.
    type Row = (usize, f64, RowKind, Vec<u64>);

    /// The whole table as its blocks give it, and what is written when holes are filled by their positions.
    fn through(table: &Table, rows: usize, halo: usize, forecast: usize) -> (Vec<Row>, String) {
        let (mut seen, mut out) = (Vec::new(), Vec::new());
        let mut writer =
            Writer::create(table, &mut out, WriteOptions { quantiles: vec![0.05], mask: false, ..WriteOptions::default() }).unwrap();
        for (i, block) in table.blocks_of(rows, halo, forecast).unwrap().enumerate() {
            let block = block.unwrap();
            assert_eq!((block.index, block.core.len(), block.kinds.len()), (i, block.core.len(), block.core.len()));
            assert!(block.core.len() <= rows && block.core.start <= halo && block.frame.rows() - block.core.end <= halo);
            assert!(block.frame.positions.windows(2).all(|w| w[1] == w[0] + 1.0));
            let mut fills = Fills::none(&block, 1);
            for (row, &kind) in block.kinds.iter().enumerate() {
                let at = block.core.start + row;
                let position = block.frame.positions[at];
                seen.push((block.series, position, kind, block.frame.values.iter().map(|v| v[at].to_bits()).collect()));
                for k in 0..2 {
                    fills.values[k][row] = position;
                    fills.quantiles[0][k][row] = position - 1.0;
                }
            }
            writer.block(&block, &fills).unwrap();
        }
        writer.finish().unwrap();
        (seen, String::from_utf8(out).unwrap())
    }

    #[test]
    fn nothing_depends_on_the_size_of_blocks() {
        for mixed in [false, true] {
            let source = Source::keep(std::path::Path::new("test"), &mut Cursor::new(text(mixed))).unwrap();
            let options = ReadOptions { forecast: 3, ..ReadOptions::default() };
            let table = Table::of(source, &options).unwrap();
            assert_eq!(table.turned.is_some(), mixed);
            let whole = through(&table, usize::MAX, 0, 3);
            assert_eq!(whole.0.len(), 2 * 43);
            assert_eq!(whole.0.iter().filter(|r| r.2 == RowKind::Forecast).count(), 6);
            assert_eq!(whole.0.iter().filter(|r| r.2 == RowKind::Absent).count(), 2 * 8);
            for rows in [1, 2, 3, 5, 7, 20, 39, 40, 41, 42, 43, 100] {
                for halo in [0, 1, 4, 50] {
                    assert_eq!(through(&table, rows, halo, 3), whole, "{rows} rows, halo {halo}, mixed {mixed}");
                }
            }
        }
    }
}
