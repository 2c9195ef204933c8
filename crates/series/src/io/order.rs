//! A copy of a table with its rows sorted by time, or without repeated times.

use std::{
    collections::{HashMap, HashSet},
    io::{Cursor, Read},
};

use super::{plan::Plan, scan::Walk, source::Source};
use crate::Result;

/// Largest file that is sorted in memory.
const MAX_BYTES: usize = 1 << 30;

/// Writes the rows anew: sorted by time within each series when `sort`, and of rows with equal times only the first when `dedup`.
/// Series stay in the order of their first rows; when they are mixed row by row, sorting puts them one behind the other.
pub(crate) fn reorder(source: &Source, plan: &Plan, sort: bool, dedup: bool) -> Result<Source> {
    let mut walk = Walk::new(source, plan)?;
    let (mut bytes, mut rows, mut series) = (Vec::new(), Vec::new(), HashMap::new());
    let mut seen = HashSet::new();
    let mut line_end = walk.header.line_end().to_vec();
    if line_end.is_empty() {
        line_end.push(b'\n');
    }
    let mut last_open = false;
    while walk.step()? {
        let record = &walk.record;
        let next = series.len();
        let id = plan.id.map_or_else(Vec::new, |c| record.text(c).into_owned());
        let id = *series.entry(id).or_insert(next);
        let ticks = walk.ticks()?.unwrap_or(rows.len() as i64);
        let variable = plan.long.map_or_else(Vec::new, |(variable, _)| record.text(variable).into_owned());
        if dedup && !seen.insert((id, variable, ticks)) {
            continue;
        }
        let start = bytes.len();
        bytes.extend_from_slice(record.bytes());
        last_open = record.line_end().is_empty();
        if last_open {
            bytes.extend_from_slice(&line_end);
        }
        if bytes.len() > MAX_BYTES {
            let reason = format!("--sort and --dedup hold the file in memory, at most {} MiB; sort it by time before", MAX_BYTES >> 20);
            return Err(source.wrong("the input", reason));
        }
        rows.push((id, ticks, start..bytes.len()));
    }
    let tail = walk.record.bytes().to_vec();
    if sort {
        rows.sort_by_key(|&(id, ticks, _)| (if plan.long.is_some() { 0 } else { id }, ticks));
    }
    let mut text = Vec::with_capacity(bytes.len() + 4096);
    for row in rows {
        text.extend_from_slice(&bytes[row.2]);
    }
    if last_open {
        text.truncate(text.len() - line_end.len());
    }
    let start = [walk.mark, walk.header.bytes()].concat();
    Source::keep(&source.label, &mut Cursor::new(start).chain(Cursor::new(text)).chain(Cursor::new(tail)))
}
