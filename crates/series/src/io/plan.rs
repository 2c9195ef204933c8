//! What the columns of a file are, found out from its first rows and from what the user says.

use super::{
    cell::{Cell, Dialect},
    civil::{self, Order, OrderHint},
    options::{Choose, Decimal, Delimiter, Layout, ReadOptions},
    raw::{Record, Records},
    source::{Source, check_encoding},
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
    pub(crate) time: Option<(usize, Clock)>,
    pub(crate) id: Option<usize>,
    /// The columns of variables and values of the long layout.
    pub(crate) long: Option<(usize, usize)>,
    /// Columns of numbers to work on; in the long layout the one of values.
    pub(crate) values: Vec<usize>,
    /// The user named the columns: text in one is an error, however much of it.
    pub(crate) named: bool,
}

impl Plan {
    /// `row 5, column 'x'`.
    pub(crate) fn place(&self, row: u64, column: usize) -> String {
        format!("row {row}, column '{}'", self.header[column])
    }
}

/// The first rows of a file.
struct Head {
    rows: Vec<Vec<Vec<u8>>>,
    /// These are all rows.
    all: bool,
}

/// Finds out the roles of columns.
pub(crate) fn plan(source: &Source, options: &ReadOptions) -> Result<Plan> {
    let (bytes, mut all) = source.head(HEAD_BYTES)?;
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
        if record.len() == header.len() && !(all && record.unclosed) {
            rows.push((0..record.len()).map(|i| record.text(i).into_owned()).collect::<Vec<_>>());
        } else if all || record.row < 100 {
            // At the cut end of the head the last record may be short.
            return Err(ragged(source, &record, header.len(), delimiter));
        }
    }
    all &= rows.len() < HEAD_ROWS;
    if rows.is_empty() {
        return Err(source.wrong("row 1", "is a header, and no rows follow it"));
    }
    let head = Head { rows, all };
    roles(source, options, delimiter, header, &head)
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
    let mut first = std::collections::HashMap::new();
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

/// What a column of the head holds.
#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    numbers: usize,
    texts: usize,
    integers: bool,
}

impl Kind {
    fn is_text(self) -> bool {
        self.texts > self.numbers
    }
}

fn roles(source: &Source, options: &ReadOptions, delimiter: u8, header: Vec<String>, head: &Head) -> Result<Plan> {
    let find = |name: &String, flag: &str| {
        header.iter().position(|h| h == name).ok_or_else(|| {
            let known = header.iter().take(20).map(|h| format!("'{h}'")).collect::<Vec<_>>().join(", ");
            let more = if header.len() > 20 { ", ..." } else { "" };
            source.wrong("row 1 (the header)", format!("there is no column '{name}' ({flag}); there are {known}{more}"))
        })
    };
    let decimal = match options.decimal {
        Decimal::Auto if delimiter == b';' && commas_only(options, head) => Decimal::Comma,
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
        header: header.clone(),
    };
    match &options.time_col {
        Choose::None => {}
        Choose::Name(name) => {
            let column = find(name, "--time-col")?;
            let clock = calendar(head, column, true).or_else(|| number_clock(head, column, &header[column], &plan.dialect));
            let Some(clock) = clock else {
                let token = head.rows.iter().map(|r| &r[column]).find(|t| !t.is_empty()).map_or_else(String::new, |t| lossy(t));
                let reason = format!("'{token}' is no time; write times like 2020-01-31 23:59:59, or give --time-col none");
                return Err(source.wrong(plan.place(2, column), reason));
            };
            plan.time = Some((column, clock));
        }
        Choose::Auto => plan.time = find_calendar(head, &header, fixed_id),
    }
    let taken = |plan: &Plan, c: usize| plan.time.is_some_and(|(t, _)| t == c) || plan.id == Some(c);
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
            plan.time = Some((column, clock));
            let id = if options.id_col == Choose::Auto { find_id(&plan, head, &kinds, options) } else { plan.id };
            if disorder(&plan, head, id, options.sort) * 20 <= head.rows.len() {
                break;
            }
            plan.time = None;
        }
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

fn kind(head: &Head, column: usize, dialect: &Dialect) -> Kind {
    let mut kind = Kind { integers: true, ..Kind::default() };
    for row in &head.rows {
        match dialect.cell(&row[column]) {
            Cell::Number(_, decimals) => {
                kind.numbers += 1;
                kind.integers &= decimals == 0;
            }
            Cell::Text => kind.texts += 1,
            Cell::Missing | Cell::Infinite => {}
        }
    }
    kind
}

/// A column where (nearly) all that is written reads as a date.
fn calendar(head: &Head, column: usize, compact: bool) -> Option<Clock> {
    let texts = || head.rows.iter().map(|r| &r[column]).filter(|t| !t.is_empty());
    let dates = texts().filter(|t| civil::parse(t, None, compact).is_some()).count();
    (dates > 0 && dates * 20 >= texts().count() * 19).then_some(Clock::Calendar { order: None, compact })
}

fn find_calendar(head: &Head, header: &[String], id: Option<usize>) -> Option<(usize, Clock)> {
    let mut found = None;
    for (column, name) in header.iter().enumerate().filter(|&(c, _)| Some(c) != id) {
        let named = says_time(name, column);
        if let Some(clock) = calendar(head, column, named) {
            if named {
                return Some((column, clock));
            }
            found = found.or(Some((column, clock)));
        }
    }
    found
}

fn words(name: &str) -> Vec<String> {
    name.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).filter(|w| !w.is_empty()).collect()
}

/// Names that columns of times have. A first column without a name is the index that data frames write.
fn says_time(name: &str, column: usize) -> bool {
    const WORDS: &[&str] = &[
        "time",
        "date",
        "datetime",
        "timestamp",
        "ts",
        "ds",
        "t",
        "epoch",
        "unix",
        "unixtime",
        "index",
        "hour",
        "hours",
        "minute",
        "minutes",
        "second",
        "seconds",
        "day",
        "days",
        "week",
        "month",
        "year",
        "step",
        "tick",
    ];
    (column == 0 && name == "column 1")
        || words(name).iter().any(|w| WORDS.contains(&w.as_str()) || w.ends_with("time") || w.ends_with("date"))
}

/// Names that columns of series have.
fn says_id(name: &str) -> bool {
    const WORDS: &[&str] = &[
        "id", "ids", "uid", "uuid", "station", "sensor", "site", "patient", "subject", "series", "entity", "device", "unit", "ticker",
        "symbol",
    ];
    words(name).iter().any(|w| WORDS.contains(&w.as_str())) || name.ends_with("ID") || name.ends_with("Id")
}

fn number_clock(head: &Head, column: usize, name: &str, dialect: &Dialect) -> Option<Clock> {
    let values: Vec<f64> =
        head.rows.iter().filter_map(|r| if let Cell::Number(v, _) = dialect.cell(&r[column]) { Some(v) } else { None }).collect();
    if values.is_empty() || values.len() * 20 < head.rows.len() * 19 {
        return None;
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let scale_seconds = match least {
        v if v >= 1e17 => (1e-3, Some(1e-9)),
        v if v >= 1e14 => (1.0, Some(1e-6)),
        v if v >= 1e11 => (1e3, Some(1e-3)),
        v if v >= 1e8 => (1e6, Some(1.0)),
        _ => {
            let words = words(name);
            let says = |unit: &str| words.iter().any(|w| w.strip_suffix('s').unwrap_or(w) == unit);
            let units =
                [("hour", 3600.0), ("minute", 60.0), ("second", 1.0), ("day", 86_400.0), ("week", 604_800.0), ("year", 31_556_952.0)];
            (1e9, units.iter().find(|(unit, _)| says(unit)).map(|&(_, seconds)| seconds))
        }
    };
    Some(Clock::Number { scale: scale_seconds.0, seconds: scale_seconds.1, comma: dialect.comma })
}

/// The columns of variables and values, where the layout is long.
fn long(
    source: &Source,
    options: &ReadOptions,
    plan: &Plan,
    kinds: &[Kind],
    taken: &dyn Fn(&Plan, usize) -> bool,
) -> Result<Option<(usize, usize)>> {
    const VARIABLE: &[&str] = &[
        "variable",
        "var",
        "metric",
        "parameter",
        "param",
        "measure",
        "measurement",
        "indicator",
        "feature",
        "field",
        "quantity",
        "channel",
        "tag",
        "item",
        "attribute",
        "element",
    ];
    const VALUE: &[&str] = &["value", "val", "values", "reading", "y", "result", "amount"];
    let free = |c: &usize| !taken(plan, *c);
    let named = |names: &[&str], c: usize| words(&plan.header[c]).iter().any(|w| names.contains(&w.as_str()));
    let texts: Vec<usize> = (0..kinds.len()).filter(free).filter(|&c| kinds[c].is_text()).collect();
    let numbers: Vec<usize> = (0..kinds.len())
        .filter(free)
        .filter(|&c| !kinds[c].is_text() && !says_time(&plan.header[c], c) && !says_id(&plan.header[c]))
        .collect();
    let variable = texts.iter().copied().find(|&c| named(VARIABLE, c));
    let value = numbers.iter().copied().find(|&c| named(VALUE, c));
    if options.layout == Layout::Auto {
        return Ok(variable.zip(value.filter(|_| numbers.len() == 1)));
    }
    let variable = variable.or_else(|| texts.first().copied().filter(|_| texts.len() == 1));
    let value = value.or_else(|| numbers.first().copied().filter(|_| numbers.len() == 1));
    match variable.zip(value) {
        Some(found) => Ok(Some(found)),
        None => Err(source.wrong(
            "row 1 (the header)",
            "--layout long asks for a column of names called 'variable' and a column of numbers called 'value'; rename them so",
        )),
    }
}

/// Times of the head's rows, in ticks.
fn ticks(plan: &Plan, head: &Head) -> Vec<Option<i64>> {
    let Some((column, clock)) = plan.time else { return vec![None; head.rows.len()] };
    head.rows.iter().map(|r| clock.ticks(&r[column])).collect()
}

/// Rows whose time does not lie after the one before in its series; for a file that will be sorted, rows whose time is there already.
fn disorder(plan: &Plan, head: &Head, id: Option<usize>, sorted_later: bool) -> usize {
    let (mut last, mut seen, mut wrong) = (std::collections::HashMap::new(), std::collections::HashSet::new(), 0);
    for (row, time) in head.rows.iter().zip(ticks(plan, head)) {
        let Some(time) = time else { continue };
        let key = (id.map(|c| &row[c]), plan.long.map(|(variable, _)| &row[variable]));
        let bad = if sorted_later { !seen.insert((key, time)) } else { last.insert(key, time).is_some_and(|before| time <= before) };
        wrong += usize::from(bad);
    }
    wrong
}

/// The column that makes times run on in each of its series, where they do not run on by themselves.
fn find_id(plan: &Plan, head: &Head, kinds: &[Kind], options: &ReadOptions) -> Option<usize> {
    plan.time?;
    let without = disorder(plan, head, None, options.sort);
    if without == 0 {
        return None;
    }
    let mut best = None;
    for c in candidates(plan, kinds) {
        let with = disorder(plan, head, Some(c), options.sort);
        // A restart now and then needs no majority, only that the column explains nearly all of them.
        if with * 4 <= without && best.is_none_or(|(least, _)| with < least) {
            best = Some((with, c));
        }
    }
    best.map(|(_, c)| c)
}

/// Columns that may say which series a row belongs to, those named so first.
fn candidates(plan: &Plan, kinds: &[Kind]) -> Vec<usize> {
    let free = |&c: &usize| plan.time.is_none_or(|(t, _)| t != c) && plan.long.is_none_or(|(variable, value)| c != variable && c != value);
    let (named, others): (Vec<usize>, Vec<usize>) = (0..kinds.len())
        .filter(free)
        .filter(|&c| kinds[c].is_text() || (says_id(&plan.header[c]) && kinds[c].integers && kinds[c].numbers > 0))
        .partition(|&c| says_id(&plan.header[c]));
    named.into_iter().chain(others).collect()
}

/// Reads the file until times restart, for columns that hold one value in the whole head.
fn settle_id(source: &Source, plan: &Plan, head: &Head, kinds: &[Kind]) -> Result<Option<usize>> {
    let Some((time, clock)) = plan.time else { return Ok(None) };
    let first = &head.rows[0];
    let constant: Vec<usize> = candidates(plan, kinds).into_iter().filter(|&c| head.rows.iter().all(|r| r[c] == first[c])).collect();
    if constant.is_empty() || plan.long.is_some() {
        return Ok(None);
    }
    let mut last = None;
    let mut found = None;
    each(source, plan, |record| {
        let now = clock.ticks(&record.text(time));
        if now.is_some() && now <= last {
            found = constant.iter().copied().find(|&c| *record.text(c) != *first[c]);
            return Ok(false);
        }
        last = now.or(last);
        Ok(true)
    })?;
    Ok(found)
}

/// Finds out the order of day and month, reading on when the head leaves it open.
fn settle_order(source: &Source, plan: &mut Plan, head: &Head) -> Result<()> {
    let Some((column, Clock::Calendar { compact, .. })) = plan.time else { return Ok(()) };
    let hint = |text: &[u8]| civil::parse(text, None, compact).map_or(OrderHint::Clear, |p| p.order);
    let hints: Vec<OrderHint> = head.rows.iter().map(|r| hint(&r[column])).collect();
    if hints.iter().all(|&h| h == OrderHint::Clear) {
        return Ok(());
    }
    let (mut day, mut month, mut open) = (None, None, None);
    each(source, plan, |record| {
        let seen = match hint(&record.text(column)) {
            OrderHint::Clear => return Ok(true),
            OrderHint::DayFirst => &mut day,
            OrderHint::MonthFirst => &mut month,
            OrderHint::Ambiguous => &mut open,
        };
        if seen.is_none() {
            *seen = Some((record.row, record.string(column)));
        }
        Ok(day.is_none() || month.is_none())
    })?;
    let order = match (day, month, open) {
        (Some((a, x)), Some((b, y)), _) => {
            let reason = format!("'{y}' has the month first and '{x}' (row {a}) the day; write all dates as YYYY-MM-DD");
            return Err(source.wrong(plan.place(b, column), reason));
        }
        (Some(_), None, _) => Order::Dmy,
        (None, Some(_), _) => Order::Mdy,
        (None, None, Some((row, text))) => {
            let reason = format!("'{text}' can be day/month or month/day, and no date of the file decides it; write dates as YYYY-MM-DD");
            return Err(source.wrong(plan.place(row, column), reason));
        }
        (None, None, None) => return Ok(()),
    };
    plan.time = Some((column, Clock::Calendar { order: Some(order), compact }));
    Ok(())
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
