//! What the columns of a file are, found out from its first rows and from what the user says.

use std::{borrow::Cow, collections::HashMap};

use super::{
    cell::{Cell, Dialect},
    joint::Times,
    options::{Choose, Decimal, Delimiter, Layout, ReadOptions},
    raw::{Record, Records},
    roles::{
        Kind, calendar, disorder, find_calendar, find_id, kind, long, number_clock, refuse_unread_times, says_time, settle_id,
        settle_order, unread,
    },
    source::{Source, check_encoding},
    split::{find_parts, find_split, joined},
    time::Clock,
};
use crate::Result;

/// Bytes and rows from which columns are told apart.
const HEAD_BYTES: usize = 1 << 20;
const HEAD_ROWS: usize = 4000;

/// The roles of a file's columns, by their numbers.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) delimiter: u8,
    pub(crate) dialect: Dialect,
    pub(crate) header: Vec<String>,
    pub(crate) time: Option<(Times, Clock)>,
    pub(crate) id: Option<usize>,
    /// The columns of variables and values of the long layout.
    pub(crate) long: Option<(usize, usize)>,
    /// Columns of numbers to work on; in the long layout the one of values.
    pub(crate) values: Vec<usize>,
    /// The user named the columns: text in one is an error, however much of it.
    pub(crate) named: bool,
}

impl Plan {
    /// The time of a record as one text; empty without a column of times.
    pub(crate) fn time_text<'r>(&self, record: &'r Record) -> Cow<'r, [u8]> {
        self.time.map_or(Cow::Borrowed(b"".as_slice()), |(times, _)| times.text(|column| record.text(column)))
    }

    /// The column that errors about times name.
    pub(crate) fn time_column(&self) -> usize {
        self.time.map_or(0, |(times, _)| times.first())
    }

    /// `row 5, column 'x'`.
    pub(crate) fn place(&self, row: u64, column: usize) -> String {
        format!("row {row}, column '{}'", self.header[column])
    }
}

/// The first rows of a file.
pub(crate) struct Head {
    pub(crate) rows: Vec<Vec<Vec<u8>>>,
    /// These are all rows.
    pub(crate) all: bool,
}

/// Finds out the roles of columns.
pub(crate) fn plan(source: &Source, options: &ReadOptions) -> Result<Plan> {
    let (bytes, mut all) = whole_lines(source)?;
    check_encoding(source, &bytes)?;
    let delimiter = match options.delimiter {
        Delimiter::Byte(byte) => byte,
        Delimiter::Auto => delimiter(&bytes, all, options.decimal),
    };
    let mut records = Records::new(&bytes[..], delimiter);
    let mut record = Record::default();
    records.skip_mark().map_err(|e| source.io(e))?;
    if !records.read(&mut record).map_err(|e| source.io(e))? {
        return Err(source.wrong("the input", "holds blank lines only; a table has a header and rows"));
    }
    let header = header(source, &record)?;
    records.keep_blank = header.len() == 1;
    let mut rows = Vec::new();
    while rows.len() < HEAD_ROWS && records.read(&mut record).map_err(|e| source.io(e))? {
        if record.unclosed && !all {
            // The head was cut inside quotes.
            break;
        }
        if record.len() != header.len() || record.unclosed {
            return Err(ragged(source, &record, header.len(), delimiter));
        }
        rows.push((0..record.len()).map(|i| record.text(i).into_owned()).collect::<Vec<_>>());
    }
    all &= rows.len() < HEAD_ROWS;
    if rows.is_empty() {
        return Err(source.wrong("row 1", "is a header, and no rows follow it"));
    }
    let head = Head { rows, all };
    roles(source, options, delimiter, &header, &head)
}

/// The first bytes of a file up to the end of a line, some lines at least, and whether that is all.
fn whole_lines(source: &Source) -> Result<(Vec<u8>, bool)> {
    for limit in [HEAD_BYTES, HEAD_BYTES << 3, HEAD_BYTES << 6] {
        let (mut bytes, all) = source.head(limit)?;
        if all {
            return Ok((bytes, true));
        }
        let is_end = |b: &u8| *b == b'\n' || *b == b'\r';
        if bytes.iter().filter(|b| is_end(b)).count() > 4 {
            let end = bytes.iter().rposition(is_end).unwrap_or(0);
            // A CR at the very end may be the first half of a line end.
            let end = if bytes[end] == b'\r' && end + 1 == bytes.len() { bytes[..end].iter().rposition(is_end).unwrap_or(0) } else { end };
            bytes.truncate(end + 1);
            return Ok((bytes, false));
        }
    }
    let reason = format!("has hardly a line end in its first {} MiB; is it a table of text?", HEAD_BYTES >> 14);
    Err(source.wrong("the input", reason))
}

/// A row with more or fewer fields than the header.
pub(crate) fn ragged(source: &Source, record: &Record, wanted: usize, delimiter: u8) -> crate::Error {
    if record.unclosed {
        return source.wrong(format!("row {}", record.row), "a quote is opened in it and never closed; close it, or remove it");
    }
    let hint = if delimiter == b',' && record.len() > wanted {
        "; look for a comma inside a number or a text (quote it, or give --delimiter)"
    } else {
        "; look for a missing or a stray delimiter or quote in that row"
    };
    let fields = |n: usize| if n == 1 { "1 field".to_owned() } else { format!("{n} fields") };
    source.wrong(format!("row {}", record.row), format!("has {} and the header has {wanted}{hint}", fields(record.len())))
}

/// The delimiter that splits the first rows alike; the most fields win.
fn delimiter(bytes: &[u8], all: bool, decimal: Decimal) -> u8 {
    let mut best = (0, b',');
    for candidate in *b",;\t|" {
        let mut records = Records::new(bytes, candidate);
        let (mut record, mut counts) = (Record::default(), Vec::new());
        let _ = records.skip_mark();
        while counts.len() < 200 && matches!(records.read(&mut record), Ok(true)) {
            counts.push(record.len());
        }
        if !all && counts.len() > 1 && counts.len() < 200 {
            counts.pop();
        }
        let Some(&first) = counts.first() else { continue };
        let alike = counts.iter().filter(|&&n| n == first).count();
        // Rows that are split alike count most; then those of a header that is split at all, so that a ragged row is found as one.
        let comma_is_sign = decimal == Decimal::Comma && candidate == b',';
        let score = match first {
            1 => 0,
            _ if comma_is_sign => 1,
            _ if alike == counts.len() => 1_000_000 + first,
            _ if alike * 10 >= counts.len() * 5 => 1000 + first.min(900),
            _ => 2,
        };
        if score > best.0 {
            best = (score, candidate);
        }
    }
    best.1
}

fn header(source: &Source, record: &Record) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::with_capacity(record.len());
    let numbers = Dialect::new(&[], Decimal::Point);
    let cells: Vec<Cell> = (0..record.len()).map(|i| numbers.cell(&record.text(i))).collect();
    if cells.iter().all(|c| matches!(c, Cell::Number(..))) {
        return Err(
            source.wrong(format!("row {}", record.row), "should be a header, and holds numbers only; add a row with names of the columns")
        );
    }
    let mut first = HashMap::new();
    for i in 0..record.len() {
        let name = Some(record.string(i)).filter(|n| !n.is_empty()).unwrap_or_else(|| format!("column {}", i + 1));
        if let Some(before) = first.insert(name.clone(), i) {
            let reason = format!("columns {} and {} are both named '{name}'; rename one of them", before + 1, i + 1);
            return Err(source.wrong(format!("row {} (the header)", record.row), reason));
        }
        names.push(name);
    }
    Ok(names)
}

fn roles(source: &Source, options: &ReadOptions, delimiter: u8, header: &[String], head: &Head) -> Result<Plan> {
    let find = |name: &String, flag: &str| {
        header.iter().position(|h| h == name).ok_or_else(|| {
            let known = header.iter().take(20).map(|h| format!("'{h}'")).collect::<Vec<_>>().join(", ");
            let more = if header.len() > 20 { ", ..." } else { "" };
            source.wrong("row 1 (the header)", format!("there is no column '{name}' ({flag}); there are {known}{more}"))
        })
    };
    let decimal = match options.decimal {
        Decimal::Auto if delimiter != b',' && commas_only(options, head) => Decimal::Comma,
        Decimal::Auto => Decimal::Point,
        given => given,
    };
    let dialect = Dialect::new(&options.na, decimal);
    let kinds: Vec<Kind> = (0..header.len()).map(|c| kind(head, c, &dialect)).collect();
    let fixed_id = if let Choose::Name(name) = &options.id_col { Some(find(name, "--id-col")?) } else { None };
    let mut plan = Plan {
        delimiter,
        dialect,
        time: None,
        id: fixed_id,
        long: None,
        values: Vec::new(),
        named: !options.columns.is_empty(),
        header: header.to_vec(),
    };
    match &options.time_col {
        Choose::None => {}
        Choose::Name(names) if !header.contains(names) && names.contains(',') => {
            let columns = names.split(',').map(|name| find(&name.trim().to_owned(), "--time-col")).collect::<Result<Vec<_>>>()?;
            plan.time = joined(head, header, &columns);
            if plan.time.is_none() {
                let reason = format!(
                    "columns {names} make no time together: a column of dates and one of times of day or hours do, and so do columns called \
                     year, month, day, hour, minute, second"
                );
                return Err(source.wrong("row 2", reason));
            }
        }
        Choose::Name(name) => {
            let column = find(name, "--time-col")?;
            let clock = calendar(head, column, true).or_else(|| number_clock(head, column, &header[column], &plan.dialect));
            let Some(clock) = clock else {
                let (row, token) = unread(head, column);
                let reason = format!("'{token}' is no time; write times like 2020-01-31 23:59:59, or give --time-col none");
                return Err(source.wrong(plan.place(row, column), reason));
            };
            plan.time = Some((Times::Column(column), clock));
        }
        Choose::Auto => {
            plan.time = find_calendar(head, header, fixed_id);
            plan.time = find_split(&plan, head, &kinds, options);
            if plan.time.is_none() {
                plan.time = find_parts(&plan, head, &kinds, options);
            }
        }
    }
    let taken = |plan: &Plan, c: usize| plan.time.is_some_and(|(times, _)| times.has(c)) || plan.id == Some(c);
    if options.layout != Layout::Wide {
        plan.long = long(source, options, &plan, &kinds, &taken)?;
    }
    if plan.time.is_none() && options.time_col == Choose::Auto {
        // A column of numbers is the time when its name says so and it runs on, in all rows or in those of each series.
        for (column, name) in header.iter().enumerate().filter(|&(c, n)| says_time(n, c) && Some(c) != fixed_id) {
            if plan.long.is_some_and(|(variable, value)| column == variable || column == value) {
                continue;
            }
            let Some(clock) = number_clock(head, column, name, &plan.dialect) else { continue };
            plan.time = Some((Times::Column(column), clock));
            let id = if options.id_col == Choose::Auto { find_id(&plan, head, &kinds, options) } else { plan.id };
            if disorder(&plan, head, id, options.sort) * 20 <= head.rows.len() {
                break;
            }
            plan.time = None;
        }
    }
    if plan.time.is_none() && options.time_col == Choose::Auto {
        refuse_unread_times(source, &plan, head, &kinds)?;
    }
    settle_order(source, &mut plan, head)?;
    if options.id_col == Choose::Auto {
        plan.id = find_id(&plan, head, &kinds, options);
        if plan.id.is_none() && !head.all && disorder(&plan, head, None, false) == 0 {
            plan.id = settle_id(source, &plan, head, &kinds)?;
        }
    }
    for name in options.columns.iter().chain(&options.exclude).filter(|_| plan.long.is_none()) {
        find(name, "--columns, --exclude")?;
    }
    plan.values = match plan.long {
        Some((_, value)) => vec![value],
        None => (0..header.len())
            .filter(|&c| !taken(&plan, c) && !options.exclude.contains(&header[c]))
            .filter(|&c| if plan.named { options.columns.contains(&header[c]) } else { !kinds[c].is_text() })
            .collect(),
    };
    if options.decimal == Decimal::Auto && !plan.named {
        let open = |&c: &usize| kinds[c].is_text() && !taken(&plan, c) && !options.exclude.contains(&header[c]);
        let column =
            (0..header.len()).filter(open).find(|&c| plan.long.is_none_or(|(variable, _)| variable != c) && commas(options, head, c));
        if let Some(column) = column {
            return Err(comma_numbers(source, &plan, head, column));
        }
    }
    if plan.values.is_empty() {
        let reason = "there is no column of numbers; look at --delimiter, --decimal, --columns, --exclude and --na";
        return Err(source.wrong("row 1 (the header)", reason));
    }
    Ok(plan)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Numbers are written with a comma, and none with a point.
fn commas_only(options: &ReadOptions, head: &Head) -> bool {
    let (point, comma) = (Dialect::new(&options.na, Decimal::Point), Dialect::new(&options.na, Decimal::Comma));
    let mut found = false;
    for text in head.rows.iter().flatten() {
        match (point.cell(text), comma.cell(text)) {
            (Cell::Number(_, decimals), _) if decimals > 0 => return false,
            (Cell::Text, Cell::Number(..)) => found = true,
            _ => {}
        }
    }
    found
}

/// A column of text whose fields are numbers when the comma is their sign.
fn commas(options: &ReadOptions, head: &Head, column: usize) -> bool {
    !kind(head, column, &Dialect::new(&options.na, Decimal::Comma)).is_text()
}

/// Refuses numbers with commas that may be decimal signs or stand between thousands: the column would be passed over without a word.
fn comma_numbers(source: &Source, plan: &Plan, head: &Head, column: usize) -> crate::Error {
    let found = head.rows.iter().position(|row| row[column].contains(&b','));
    let (row, name) = (found.unwrap_or(0), &plan.header[column]);
    let reason = format!(
        "'{}' has a comma: if it is the decimal sign, give --decimal ,; if it stands between thousands, remove it; to leave the column as it is, \
         --exclude '{name}'",
        lossy(&head.rows[row][column])
    );
    source.wrong(plan.place(row as u64 + 2, column), reason)
}

/// Calls `take` on the records behind the header until it says `false`.
pub(crate) fn each(source: &Source, plan: &Plan, mut take: impl FnMut(&Record) -> Result<bool>) -> Result<()> {
    let mut records = source.records(plan.delimiter)?;
    let mut record = Record::default();
    records.skip_mark().map_err(|e| source.io(e))?;
    records.read(&mut record).map_err(|e| source.io(e))?;
    records.keep_blank = plan.header.len() == 1;
    while records.read(&mut record).map_err(|e| source.io(e))? {
        if record.len() != plan.header.len() || record.unclosed {
            return Err(ragged(source, &record, plan.header.len(), plan.delimiter));
        }
        if !take(&record)? {
            break;
        }
    }
    Ok(())
}
