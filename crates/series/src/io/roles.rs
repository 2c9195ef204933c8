//! Columns told apart by their names and by what the first rows hold: times, ids, variables, values.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use super::{
    cell::{Cell, Dialect},
    civil::{self, Order, OrderHint},
    joint::{OfDay, Times},
    options::{Layout, ReadOptions},
    plan::{Head, Plan, each},
    source::Source,
    time::Clock,
};
use crate::Result;

/// What a column of the head holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kind {
    pub(crate) numbers: usize,
    texts: usize,
    integers: bool,
}

impl Kind {
    pub(crate) fn is_text(self) -> bool {
        self.texts > self.numbers
    }
}

pub(crate) fn kind(head: &Head, column: usize, dialect: &Dialect) -> Kind {
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

/// A column where nearly all that is written reads as a date; half of it when the name says so, and the rest will be errors.
/// Then dates may be `compact`: eight digits in a row.
pub(crate) fn calendar(head: &Head, column: usize, compact: bool) -> Option<Clock> {
    let texts = || head.rows.iter().map(|r| &r[column]).filter(|t| !t.is_empty());
    let dates = texts().filter(|t| civil::parse(t, None, compact).is_some()).count();
    (dates > 0 && dates * 20 >= texts().count() * if compact { 10 } else { 19 }).then_some(Clock::Calendar { order: None, compact })
}

pub(crate) fn find_calendar(head: &Head, header: &[String], id: Option<usize>) -> Option<(Times, Clock)> {
    let mut found = None;
    for (column, name) in header.iter().enumerate().filter(|&(c, _)| Some(c) != id) {
        let named = says_time(name, column);
        if let Some(clock) = calendar(head, column, named) {
            if named {
                return Some((Times::Column(column), clock));
            }
            found = found.or(Some((Times::Column(column), clock)));
        }
    }
    found
}

/// Refuses a column of text whose name says that it holds the times, and of which none could be read: rows would be taken for equally far
/// apart without a word.
pub(crate) fn refuse_unread_times(source: &Source, plan: &Plan, head: &Head, kinds: &[Kind]) -> Result<()> {
    let says = |name: &str| words(name).iter().any(|w| ["time", "date", "datetime", "timestamp", "ds"].contains(&w.as_str()));
    let found = (0..kinds.len()).find(|&c| kinds[c].is_text() && plan.id != Some(c) && says(&plan.header[c]));
    let Some(column) = found.filter(|&c| plan.long.is_none_or(|(variable, _)| variable != c)) else { return Ok(()) };
    let (row, token) = unread(head, column);
    let reason = format!(
        "'{token}' is no time that is understood; write times like 2020-01-31 23:59:59, or give --time-col none to take the rows as equally far apart"
    );
    Err(source.wrong(plan.place(row, column), reason))
}

/// Row and text of the first field that is no time; of the first field if all are.
pub(crate) fn unread(head: &Head, column: usize) -> (u64, String) {
    let texts = || head.rows.iter().map(|r| &r[column]).zip(2..).filter(|(text, _)| !text.is_empty());
    let found = texts().find(|(text, _)| civil::parse(text, None, true).is_none()).or_else(|| texts().next());
    found.map_or((2, String::new()), |(text, row)| (row, String::from_utf8_lossy(text).into_owned()))
}

pub(crate) fn words(name: &str) -> Vec<String> {
    name.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).filter(|w| !w.is_empty()).collect()
}

/// Names that columns of times have. A first column without a name is the index that data frames write.
pub(crate) fn says_time(name: &str, column: usize) -> bool {
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

pub(crate) fn number_clock(head: &Head, column: usize, name: &str, dialect: &Dialect) -> Option<Clock> {
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
pub(crate) fn long(
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
    let Some((times, clock)) = plan.time else { return vec![None; head.rows.len()] };
    head.rows.iter().map(|r| clock.ticks(&times.text(|column| Cow::Borrowed(&r[column])))).collect()
}

/// Rows whose time does not lie after the one before in its series; for a file that will be sorted, rows whose time is there already.
pub(crate) fn disorder(plan: &Plan, head: &Head, id: Option<usize>, sorted_later: bool) -> usize {
    let (mut last, mut seen, mut wrong) = (HashMap::new(), HashSet::new(), 0);
    for (row, time) in head.rows.iter().zip(ticks(plan, head)) {
        let Some(time) = time else { continue };
        let key = (id.map(|c| &row[c]), plan.long.map(|(variable, _)| &row[variable]));
        let bad = if sorted_later { !seen.insert((key, time)) } else { last.insert(key, time).is_some_and(|before| time <= before) };
        wrong += usize::from(bad);
    }
    wrong
}

/// The column that makes times run on in each of its series, where they do not run on by themselves.
pub(crate) fn find_id(plan: &Plan, head: &Head, kinds: &[Kind], options: &ReadOptions) -> Option<usize> {
    plan.time?;
    let without = disorder(plan, head, None, options.sort);
    if without == 0 {
        return None;
    }
    let mut best = None;
    for c in candidates(plan, head, kinds) {
        let with = disorder(plan, head, Some(c), options.sort);
        // A restart now and then needs no majority, only that the column explains nearly all of them.
        if with * 4 <= without && best.is_none_or(|(least, _)| with < least) {
            best = Some((with, c));
        }
    }
    best.map(|(_, c)| c)
}

/// Columns that may say which series a row belongs to, those named so first; times of day say nothing of it.
pub(crate) fn candidates(plan: &Plan, head: &Head, kinds: &[Kind]) -> Vec<usize> {
    let of_day = |c: usize| OfDay::of(head.rows.iter().map(|row| row[c].as_slice())) == Some(OfDay::Text);
    let free = |&c: &usize| {
        plan.time.is_none_or(|(times, _)| !times.has(c)) && plan.long.is_none_or(|(variable, value)| c != variable && c != value)
    };
    let (named, others): (Vec<usize>, Vec<usize>) = (0..kinds.len())
        .filter(free)
        .filter(|&c| (kinds[c].is_text() && !of_day(c)) || (says_id(&plan.header[c]) && kinds[c].integers && kinds[c].numbers > 0))
        .partition(|&c| says_id(&plan.header[c]));
    named.into_iter().chain(others).collect()
}

/// Reads the file until times restart, for columns that hold one value in the whole head.
pub(crate) fn settle_id(source: &Source, plan: &Plan, head: &Head, kinds: &[Kind]) -> Result<Option<usize>> {
    let Some((_, clock)) = plan.time else { return Ok(None) };
    let first = &head.rows[0];
    let constant: Vec<usize> = candidates(plan, head, kinds).into_iter().filter(|&c| head.rows.iter().all(|r| r[c] == first[c])).collect();
    if constant.is_empty() || plan.long.is_some() {
        return Ok(None);
    }
    let mut last = None;
    let mut found = None;
    each(source, plan, |record| {
        let now = clock.ticks(&plan.time_text(record));
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
pub(crate) fn settle_order(source: &Source, plan: &mut Plan, head: &Head) -> Result<()> {
    let Some((times, Clock::Calendar { compact, .. })) = plan.time else { return Ok(()) };
    let hint = |text: &[u8]| civil::parse(text, None, compact).map_or(OrderHint::Clear, |p| p.order);
    let hints: Vec<OrderHint> = head.rows.iter().map(|r| hint(&times.text(|column| Cow::Borrowed(&r[column])))).collect();
    if hints.iter().all(|&h| h == OrderHint::Clear) {
        return Ok(());
    }
    let (mut day, mut month, mut open) = (None, None, None);
    each(source, plan, |record| {
        let text = times.text(|column| record.text(column));
        let seen = match hint(&text) {
            OrderHint::Clear => return Ok(true),
            OrderHint::DayFirst => &mut day,
            OrderHint::MonthFirst => &mut month,
            OrderHint::Ambiguous => &mut open,
        };
        if seen.is_none() {
            *seen = Some((record.row, String::from_utf8_lossy(&text).into_owned()));
        }
        Ok(day.is_none() || month.is_none())
    })?;
    let order = match (day, month, open) {
        (Some((a, x)), Some((b, y)), _) => {
            let reason = format!("'{y}' has the month first and '{x}' (row {a}) the day; write all dates as YYYY-MM-DD");
            return Err(source.wrong(plan.place(b, times.first()), reason));
        }
        (Some(_), None, _) => Order::Dmy,
        (None, Some(_), _) => Order::Mdy,
        (None, None, Some((row, text))) => {
            let reason = format!("'{text}' can be day/month or month/day, and no date of the file decides it; write dates as YYYY-MM-DD");
            return Err(source.wrong(plan.place(row, times.first()), reason));
        }
        (None, None, None) => return Ok(()),
    };
    plan.time = Some((times, Clock::Calendar { order: Some(order), compact }));
    Ok(())
}
