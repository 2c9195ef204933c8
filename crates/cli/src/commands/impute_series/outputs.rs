//! What an imputation writes beside the table: sample paths and the picture.

use std::{io::Write as _, path::Path};

use langevin_series::{
    io::{Block, RowKind, Sorter, Table},
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
    /// Records written so far by blocks before; of a table whose rows are mixed, records of the file and of forecasts so far.
    row: u64,
    /// Of a table whose rows are mixed: record, column and samples.
    kept: Option<Sorter>,
}

impl<'t> SamplesOut<'t> {
    pub(super) fn start(path: &Path, samples: usize, table: &'t Table) -> Result<Self, Failure> {
        let mut stream = Stream::start(path)?;
        let names = (0..samples).map(|s| format!(",s{s}")).collect::<String>();
        writeln!(stream, "row,column{names}").map_err(|e| stream.failure(e))?;
        let kept = table.is_mixed().then(|| Sorter::new(2 + samples));
        Ok(Self { table, stream, row: if table.is_mixed() { table.profile().rows } else { 0 }, kept })
    }

    pub(super) fn block(&mut self, block: &Block, filled: &Filled) -> Result<(), Failure> {
        if self.kept.is_some() {
            return self.keep(block, filled);
        }
        for at in (0..block.kinds.len()).filter(|&at| block.kinds[at] != RowKind::Absent) {
            self.row += 1;
            for (column, paths) in filled.paths.iter().enumerate().filter(|(_, paths)| !paths[at].is_empty()) {
                self.line(self.row, column, &paths[at])?;
            }
        }
        Ok(())
    }

    /// Puts the samples of a block aside until their records come.
    fn keep(&mut self, block: &Block, filled: &Filled) -> Result<(), Failure> {
        let Some(kept) = &mut self.kept else { return Ok(()) };
        let mut entry = Vec::new();
        let mut keep = |record: u64, at: usize, column: usize| {
            let samples = &filled.paths[column][at];
            if samples.is_empty() {
                return Ok(());
            }
            entry.clear();
            entry.extend([record, column as u64]);
            entry.extend(samples.iter().map(|v| v.to_bits()));
            kept.push(&entry)
        };
        block.holes().iter().try_for_each(|&(at, column, record)| keep(record, at, column))?;
        let long = self.table.value_column().is_some();
        for at in (0..block.kinds.len()).filter(|&at| block.kinds[at] == RowKind::Forecast) {
            for column in 0..filled.paths.len() {
                keep(self.row, at, column)?;
                self.row += u64::from(long);
            }
            self.row += u64::from(!long);
        }
        Ok(())
    }

    fn line(&mut self, row: u64, column: usize, samples: &[f64]) -> Result<(), Failure> {
        let values = samples.iter().map(|v| format!(",{v}")).collect::<String>();
        let name = self.table.value_column().unwrap_or(&self.table.names()[column]);
        let quoted = if name.contains([',', '"', '\n', '\r']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() };
        writeln!(self.stream, "{row},{quoted}{values}").map_err(|e| self.stream.failure(e))
    }

    pub(super) fn finish(mut self) -> Result<(), Failure> {
        if let Some(kept) = self.kept.take() {
            let kept = kept.sorted();
            let mut entries = kept.entries()?;
            while let Some([record, column, samples @ ..]) = entries.read()? {
                let samples: Vec<f64> = samples.iter().map(|&bits| f64::from_bits(bits)).collect();
                self.line(record + 1, *column as usize, &samples)?;
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
