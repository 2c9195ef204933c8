//! Finds the columns of a time that lies in several of them.

use super::{
    civil,
    joint::{OfDay, Parts, Times, UNITS, Unit},
    options::{Choose, ReadOptions},
    plan::{Head, Plan},
    roles::{Kind, calendar, candidates, disorder, find_id, words},
    time::Clock,
};

/// What columns of a unit are called.
const NAMES: [(Unit, &[&str]); UNITS] = [
    (Unit::Year, &["year", "yr", "yyyy"]),
    (Unit::Month, &["month", "mon", "mo", "mth"]),
    (Unit::Day, &["day", "dy", "dom", "dd", "mday"]),
    (Unit::Hour, &["hour", "hours", "hr", "hrs", "hh"]),
    (Unit::Minute, &["minute", "minutes", "min", "mins"]),
    (Unit::Second, &["second", "seconds", "sec", "secs"]),
];
/// What columns of days of the year are called.
const OF_YEAR: &[&str] = &["doy", "yday", "dayofyear", "jday", "julian"];
/// What columns of times of day are called, beside hours.
const CLOCKS: &[&str] = &["time", "hhmm", "tod", "clock"];

/// The unit whose name a column has: the name alone, or with words that say nothing.
fn unit(name: &str) -> Option<Unit> {
    let words = words(name);
    let plain: Vec<&str> =
        words.iter().map(String::as_str).filter(|w| !["of", "the", "utc", "local", "lst", "gmt", "obs"].contains(w)).collect();
    let [word] = plain[..] else { return None };
    NAMES.iter().find(|(_, names)| names.contains(&word)).map(|&(unit, _)| unit)
}

fn is_of_year(name: &str) -> bool {
    let words = words(name);
    words == ["day", "of", "year"] || words == ["julian", "day"] || (words.len() == 1 && OF_YEAR.contains(&words[0].as_str()))
}

/// Dates without a time of day.
fn are_days(head: &Head, column: usize, compact: bool) -> bool {
    let mut texts = head.rows.iter().map(|row| &row[column]).filter(|text| !text.is_empty()).peekable();
    texts.peek().is_some() && texts.all(|text| civil::parse(text, None, compact).is_none_or(|parsed| parsed.style.is_day()))
}

fn of_day(head: &Head, column: usize) -> Option<OfDay> {
    OfDay::of(head.rows.iter().map(|row| row[column].as_slice()))
}

/// Rows that do not run on when these are the times, with the column of series that makes them the fewest.
fn restarts(plan: &Plan, time: (Times, Clock), head: &Head, kinds: &[Kind], options: &ReadOptions, without: Option<usize>) -> usize {
    let plan = Plan { time: Some(time), ..plan.clone() };
    let wrong = |id: Option<usize>| disorder(&plan, head, id, options.sort);
    if options.id_col != Choose::Auto {
        return wrong(plan.id);
    }
    let ids = candidates(&plan, head, kinds).into_iter().filter(|&c| Some(c) != without).map(Some);
    ids.chain([None]).map(wrong).min().unwrap_or(0)
}

/// The plan's time, with a column of times of day where its dates have none and repeat, and both together run on better.
///
/// Dates that run on by themselves need no hour: a column called so may be any number of hours.
pub(crate) fn find_split(plan: &Plan, head: &Head, kinds: &[Kind], options: &ReadOptions) -> Option<(Times, Clock)> {
    let time = plan.time?;
    let (Times::Column(date), Clock::Calendar { compact, .. }) = time else { return plan.time };
    if !are_days(head, date, compact) {
        return plan.time;
    }
    let named = |column: usize| {
        let name = &plan.header[column];
        unit(name) == Some(Unit::Hour) || words(name).iter().any(|w| CLOCKS.contains(&w.as_str()) || w.ends_with("time"))
    };
    let mut best = None;
    for column in (0..plan.header.len()).filter(|&c| c != date && plan.id != Some(c)) {
        let Some(style) = of_day(head, column).filter(|style| *style == OfDay::Text || named(column)) else { continue };
        let both = (Times::Split { date, of_day: column, style }, time.1);
        let alone = restarts(plan, time, head, kinds, options, Some(column));
        let wrong = restarts(plan, both, head, kinds, options, None);
        if wrong < alone && best.is_none_or(|(least, _)| wrong < least) {
            best = Some((wrong, both));
        }
    }
    best.map_or(plan.time, |(_, both)| Some(both))
}

/// The columns of each unit; of two for the same unit the first.
fn units(header: &[String], columns: impl Iterator<Item = usize>) -> ([Option<usize>; UNITS], Option<usize>) {
    let (mut found, mut of_year) = ([None; UNITS], None);
    for column in columns {
        if is_of_year(&header[column]) {
            of_year = of_year.or(Some(column));
        } else if let Some(unit) = unit(&header[column]) {
            found[unit as usize] = found[unit as usize].or(Some(column));
        }
    }
    (found, of_year)
}

/// Times of the columns called year, month, day and so on, those of the finest `coarser` units left out.
fn parts(head: &Head, header: &[String], columns: impl Iterator<Item = usize>, coarser: usize) -> Option<(Times, Clock)> {
    let (mut found, of_year) = units(header, columns);
    let day = of_year.filter(|_| found[Unit::Month as usize].is_none());
    if let Some(column) = day {
        found[Unit::Day as usize] = Some(column);
    }
    found[UNITS - coarser..].fill(None);
    let parts = Parts::of(found, day.is_some(), &head.rows)?;
    Some((Times::Parts(parts), Clock::Calendar { order: None, compact: false }))
}

/// Columns called year and month, day and so on, when the times that they make run on; the finest that do, because a column called `min` may
/// be a minimum.
pub(crate) fn find_parts(plan: &Plan, head: &Head, kinds: &[Kind], options: &ReadOptions) -> Option<(Times, Clock)> {
    let runs_on = |found: &(Times, Clock)| {
        let tried = Plan { time: Some(*found), ..plan.clone() };
        let id = if options.id_col == Choose::Auto { find_id(&tried, head, kinds, options) } else { plan.id };
        disorder(&tried, head, id, options.sort) * 20 <= head.rows.len()
    };
    let columns = || (0..plan.header.len()).filter(|&c| plan.id != Some(c));
    (0..UNITS - 1).find_map(|coarser| parts(head, &plan.header, columns(), coarser).filter(runs_on))
}

/// The time that the named columns make together.
pub(crate) fn joined(head: &Head, header: &[String], columns: &[usize]) -> Option<(Times, Clock)> {
    if let &[a, b] = columns {
        for (date, other) in [(a, b), (b, a)] {
            let Some(clock) = calendar(head, date, true).filter(|_| are_days(head, date, true)) else { continue };
            if let Some(style) = of_day(head, other) {
                return Some((Times::Split { date, of_day: other, style }, clock));
            }
        }
    }
    let found = parts(head, header, columns.iter().copied(), 0)?;
    columns.iter().all(|&column| found.0.has(column)).then_some(found)
}
