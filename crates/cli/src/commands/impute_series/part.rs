//! `--shard`: which blocks or records of the table a part has, and the mark that says so.

use std::{
    ops::{ControlFlow, Range},
    path::PathBuf,
};

use langevin_engine::{Shard, checkpoint::hash_of, shard::Manifest};
use langevin_series::{
    io::{Block, RowKind, Table},
    task::ImputeSettings,
};

use super::Args;
use crate::{commands::gen_molecule::mark, output, report::Failure};

/// The blocks that are filled and written.
#[derive(Debug)]
pub(super) struct Part {
    /// Numbers of blocks, or of records where these are mixed.
    pieces: Range<usize>,
    /// Of a table with mixed rows: the records, and whether these are the last ones.
    mixed: Option<(Range<u64>, bool)>,
    /// Of a part that is not the whole: what made it, and where that is written.
    mark: Option<(Manifest, PathBuf)>,
}

impl Part {
    /// The part that the flags ask for. `filling` is how the table is filled, and the checkpoint's hash; nothing for a table without holes,
    /// which is one piece.
    ///
    /// # Errors
    /// A table or an output that cannot be cut.
    pub(super) fn of(args: &Args, table: &Table, filling: Option<(&ImputeSettings, &str)>) -> Result<Self, Failure> {
        let shard = args.shard.part();
        if shard == Shard::WHOLE {
            return Ok(Self { pieces: 0..usize::MAX, mixed: None, mark: None });
        }
        if args.input.as_os_str() == output::STDOUT || args.output.as_os_str() == output::STDOUT {
            return Err(Failure::usage("shard", "a part is of a file, and goes into a file with its mark beside it")
                .help("give the table as FILE, and -o FILE"));
        }
        // Blocks of a table with mixed rows do not come in the order of the file: there a part is of its records, with all blocks that
        // these lie in.
        let mixed = table.is_mixed() && filling.is_some();
        let total = match filling {
            Some(_) if mixed => table.profile().rows.try_into().map_err(|_| {
                Failure::data("shard", format!("{} has too many rows for parts", table.name().display())).help("leave --shard away")
            })?,
            Some(_) => table.blocks()?.try_fold(0, |count, block| block.map(|_| count + 1))?,
            None => 1,
        };
        let rows = shard.rows(total);
        let records = u64::from(rows.start)..u64::from(rows.end);
        let settings = filling.map(|(imputing, _)| {
            serde_json::json!({
                "method": imputing.method.name(),
                "samples": imputing.samples,
                "sampling": imputing.sampling,
                "repaint": args.repaint,
                "window": args.window,
                "quantiles": imputing.quantiles,
                "point": format!("{:?}", imputing.point),
                "longest": imputing.longest,
                "limits": imputing.limits,
                "backtest": imputing.backtest,
            })
        });
        let manifest = Manifest {
            schema_version: output::SCHEMA_VERSION,
            input: hash_of(&args.input)?,
            config: serde_json::json!({ "table": format!("{:?}", args.table.options()), "filling": settings }).to_string(),
            checkpoint: filling.map_or("", |(_, checkpoint)| checkpoint).to_owned(),
            seed: filling.map_or(0, |(imputing, _)| imputing.seed),
            total,
            first: rows.start,
            end: rows.end,
        };
        let range = rows.start as usize..rows.end as usize;
        let mark = Some((manifest, mark(&args.output)));
        Ok(Self { pieces: range, mixed: mixed.then_some((records, rows.end == total)), mark })
    }

    /// Whether the header is in another part.
    pub(super) fn continues(&self) -> bool {
        self.pieces.start > 0 || self.pieces.is_empty()
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether a block is filled for this part; `Break` behind the last one.
    pub(super) fn fills(&self, block: &Block) -> ControlFlow<(), bool> {
        match &self.mixed {
            Some((records, is_last)) => {
                ControlFlow::Continue(block.has_holes_of(records) || (*is_last && block.kinds.contains(&RowKind::Forecast)))
            }
            None if block.index >= self.pieces.end => ControlFlow::Break(()),
            None => ControlFlow::Continue(block.index >= self.pieces.start),
        }
    }

    /// The records that are written of a table with mixed rows.
    pub(super) fn records(&self) -> Option<Range<u64>> {
        self.mixed.as_ref().map(|(records, _)| records.clone())
    }

    /// Whether the same job has made this part already; an output that is no part is refused unless `--force` is given.
    ///
    /// # Errors
    /// Another job's part is in its place, or another file.
    pub(super) fn is_done(&self, args: &Args) -> Result<bool, Failure> {
        let Some((manifest, mark)) = &self.mark else { return Ok(false) };
        if args.output.exists() && manifest.is_done(mark)? {
            return Ok(true);
        }
        output::claim(&args.output, args.write.force)?;
        Ok(false)
    }

    /// Marks the part as complete.
    ///
    /// # Errors
    /// The mark cannot be written.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        match &self.mark {
            Some((manifest, mark)) => Ok(manifest.write(mark)?),
            None => Ok(()),
        }
    }
}
