//! Where the records of a table that is held in memory stand in its series.

use std::collections::HashMap;

use super::{held::Held, scan::Walk, table::Table};
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
