//! What an imputation writes beside the table: sample paths and the picture.

use std::{collections::HashMap, io::Write as _, path::Path};

use langevin_series::{
    io::{Block, Place, RowKind, Table},
    plot::{self, Band, GapPlot},
    task::Filled,
};

use crate::{
    output::{self, Stream},
    report::Failure,
};

/// Most rows that a picture keeps; of longer tables it shows the first ones.
const PICTURE_ROWS: usize = 200_000;

/// `row,column,s0,s1,...`: the sample paths of every hole that was filled, in the order of the records of the output.
pub(super) struct SamplesOut<'t> {
    table: &'t Table,
    stream: Stream,
    /// Records written so far by blocks before.
    row: usize,
    /// Of a table whose blocks do not come in the order of its records: values by series, row and column.
    kept: HashMap<(usize, usize, usize), String>,
    /// Rows of a forecast in such a table.
    future: Vec<(usize, usize)>,
}

impl<'t> SamplesOut<'t> {
    pub(super) fn start(path: &Path, samples: usize, table: &'t Table) -> Result<Self, Failure> {
        let mut stream = Stream::start(path)?;
        let names = (0..samples).map(|s| format!(",s{s}")).collect::<String>();
        writeln!(stream, "row,column{names}").map_err(|e| stream.failure(e))?;
        Ok(Self { table, stream, row: 0, kept: HashMap::new(), future: Vec::new() })
    }

    pub(super) fn block(&mut self, block: &Block, filled: &Filled) -> Result<(), Failure> {
        for (at, kind) in block.kinds.iter().enumerate().filter(|(_, kind)| **kind != RowKind::Absent) {
            let row = block.first_row() + at;
            if self.table.is_mixed() && *kind == RowKind::Forecast {
                self.future.push((block.series, row));
            }
            self.row += 1;
            for (column, paths) in filled.paths.iter().enumerate().filter(|(_, paths)| !paths[at].is_empty()) {
                let values = paths[at].iter().map(|v| format!(",{v}")).collect::<String>();
                if self.table.is_mixed() {
                    self.kept.insert((block.series, row, column), values);
                } else {
                    self.line(self.row, column, &values)?;
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, row: usize, column: usize, values: &str) -> Result<(), Failure> {
        let name = self.table.value_column().unwrap_or(&self.table.names()[column]);
        let quoted = if name.contains([',', '"', '\n', '\r']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() };
        writeln!(self.stream, "{row},{quoted}{values}").map_err(|e| self.stream.failure(e))
    }

    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let table = self.table;
        if table.is_mixed() {
            let (columns, long) = (table.names().len(), table.value_column().is_some());
            let mut records = Vec::new();
            table.places(&mut |place| records.push(place))?;
            for &(series, row) in &self.future {
                let of = |column| Some(Place { series, row, column });
                records.extend((0..if long { columns } else { 1 }).map(|k| of(long.then_some(k))));
            }
            for (record, place) in records.into_iter().enumerate().filter_map(|(n, place)| Some((n + 1, place?))) {
                let wanted = if long { place.column.map_or(0..0, |k| k..k + 1) } else { 0..columns };
                for column in wanted {
                    if let Some(values) = self.kept.remove(&(place.series, place.row, column)) {
                        self.line(record, column, &values)?;
                    }
                }
            }
        }
        self.stream.finish()
    }
}

/// What the picture will show of the first series.
pub(super) struct Picture {
    positions: Vec<f64>,
    /// Observed, filled, and the edges of the 90 % and the 50 % band: `[column]` each.
    columns: Vec<[Vec<f64>; 6]>,
}

impl Picture {
    pub(super) fn new(columns: usize) -> Self {
        Self { positions: Vec::new(), columns: vec![Default::default(); columns] }
    }

    /// Takes a block in; `edges` are the numbers of the levels .05, .25, .75, .95 among the quantiles.
    pub(super) fn block(&mut self, block: &Block, filled: &Filled, edges: [usize; 4]) {
        if block.series > 0 || self.positions.len() >= PICTURE_ROWS {
            return;
        }
        self.positions.extend(&block.frame.positions[block.core.clone()]);
        for (column, kept) in self.columns.iter_mut().enumerate() {
            kept[0].extend(&block.frame.values[column][block.core.clone()]);
            kept[1].extend(&filled.point[column]);
            for (to, level) in [(2, edges[0]), (3, edges[3]), (4, edges[1]), (5, edges[2])] {
                kept[to].extend(&filled.quantiles[level][column]);
            }
        }
    }

    pub(super) fn write(&self, path: &Path, title: &str, table: &Table) -> Result<(), Failure> {
        let calendar = table.calendar();
        // Without a clock the picture has numbers below it.
        let time = |&at: &f64| plot::at_seconds(calendar.unit?.mul_add(at, calendar.origin?));
        let times: Option<Vec<_>> = self.positions.iter().map(time).collect();
        let plots: Vec<GapPlot<'_>> = (table.names().iter().zip(&self.columns))
            .map(|(name, [observed, point, low90, high90, low50, high50])| GapPlot {
                name,
                observed,
                point,
                bands: vec![Band { share: 0.9, lower: low90, upper: high90 }, Band { share: 0.5, lower: low50, upper: high50 }],
            })
            .collect();
        let text = plot::svg(title, &self.positions, times.as_deref(), &plots)?;
        output::put(path, text.as_bytes())
    }
}
