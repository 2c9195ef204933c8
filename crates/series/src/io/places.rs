//! Where the records of a table that is held in memory stand in its series.

use std::{collections::HashMap, ops::Range};

use super::{
    blocks::{Block, RowKind},
    held::Held,
    scan::Walk,
    table::Table,
};
use crate::Result;

/// Where a record of the file stands among the rows that blocks show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of its series.
    pub series: usize,
    /// Number of its row in the series.
    pub row: usize,
    /// Number of its column in the long layout; `None` where a record is a whole row, or of a variable that is left alone.
    pub column: Option<usize>,
}

/// The rows of each series that some records of a file hold, from the first to the last of them.
#[derive(Clone, Debug)]
pub struct Needed {
    rows: Vec<Option<Range<usize>>>,
    /// Rows of a forecast are written too.
    is_last: bool,
}

impl Needed {
    /// Whether a block holds one of them.
    #[must_use]
    pub fn has(&self, block: &Block) -> bool {
        let (first, end) = (block.first_row(), block.first_row() + block.core.len());
        self.rows.get(block.series).and_then(Option::as_ref).is_some_and(|rows| rows.start < end && first < rows.end)
            || (self.is_last && block.kinds.contains(&RowKind::Forecast))
    }
}

/// Tells the places of records that are read one after another.
pub(crate) struct Places<'a> {
    table: &'a Table,
    held: &'a Held,
    /// Without a column of times a row is told by how many of its kind came before.
    counts: HashMap<(usize, usize), i64>,
}

impl<'a> Places<'a> {
    pub(crate) fn new(table: &'a Table, held: &'a Held) -> Self {
        Self { table, held, counts: HashMap::new() }
    }

    /// The place of the record that `walk` stands at.
    pub(crate) fn next(&mut self, walk: &Walk<'_>) -> Result<Option<Place>> {
        let (plan, grid) = (&self.table.plan, &self.table.grid);
        let id = plan.id.map_or_else(Default::default, |c| walk.record.text(c));
        let variable = plan.long.map_or_else(Default::default, |(c, _)| walk.record.text(c));
        let Some((series, column)) = self.held.place(&id, &variable) else { return Ok(None) };
        let count = self.counts.entry((series, column.unwrap_or(usize::MAX))).or_default();
        let ticks = walk.ticks()?.unwrap_or(*count);
        *count += 1;
        let times = &self.held.series[series].times;
        let row = match grid.step {
            Some(_) => times.first().and_then(|&first| grid.index(first, ticks)).map_or(usize::MAX, |i| i as usize),
            None => times.binary_search(&ticks).unwrap_or(usize::MAX),
        };
        Ok(Some(Place { series, row, column }))
    }
}

impl Table {
    /// Calls `take` on the place of each record of the file, where blocks do not come in the order of the file: in the long layout, and in
    /// panels with mixed rows. Says whether that is so.
    ///
    /// # Errors
    /// The file cannot be read again.
    pub fn places(&self, take: &mut dyn FnMut(Option<Place>)) -> Result<bool> {
        let Some(held) = &self.held else { return Ok(false) };
        let mut places = Places::new(self, held);
        let mut walk = Walk::new(&self.source, &self.plan)?;
        while walk.step()? {
            take(places.next(&walk)?);
        }
        Ok(true)
    }

    /// Which blocks hold what is written as `records` of the file (counted from 0 behind the header), where blocks do not come in their order;
    /// `None` where they do.
    ///
    /// # Errors
    /// The file cannot be read again.
    pub fn needed(&self, records: Range<u64>) -> Result<Option<Needed>> {
        let is_last = records.end >= self.profile().rows;
        let (mut number, mut rows) = (0, Vec::new());
        let mixed = self.places(&mut |place| {
            if let Some(place) = place.filter(|_| records.contains(&number)) {
                if rows.len() <= place.series {
                    rows.resize(place.series + 1, None);
                }
                let range = &mut rows[place.series];
                let (first, end) = range.as_ref().map_or((place.row, place.row), |r: &Range<usize>| (r.start, r.end));
                *range = Some(first.min(place.row)..end.max(place.row + 1));
            }
            number += 1;
        })?;
        Ok(mixed.then_some(Needed { rows, is_last }))
    }

    /// Whether blocks come in another order than the records of the file; see [`Self::places`].
    #[must_use]
    pub const fn is_mixed(&self) -> bool {
        self.held.is_some()
    }

    /// Name of the column of values in the long layout.
    #[must_use]
    pub fn value_column(&self) -> Option<&str> {
        self.plan.long.map(|(_, value)| self.plan.header[value].as_str())
    }
}
