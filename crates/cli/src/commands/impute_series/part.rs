//! `--shard`: which blocks of the table a part has, and the mark that says so.

use std::{ops::Range, path::PathBuf};

use langevin_engine::{Shard, checkpoint::hash_of, shard::Manifest};
use langevin_series::{io::Table, task::ImputeSettings};

use super::Args;
use crate::{commands::gen_molecule::mark, output, report::Failure};

/// The blocks that are filled and written.
#[derive(Debug)]
pub(super) struct Part {
    /// Numbers of blocks.
    pub(super) blocks: Range<usize>,
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
            return Ok(Self { blocks: 0..usize::MAX, mark: None });
        }
        if args.input.as_os_str() == output::STDOUT || args.output.as_os_str() == output::STDOUT {
            return Err(Failure::usage("shard", "a part is of a file, and goes into a file with its mark beside it")
                .help("give the table as FILE, and -o FILE"));
        }
        if table.is_mixed() && filling.is_some() {
            return Err(Failure::data(
                "shard",
                format!("{}: the rows of its series are mixed, so no part stands by itself", table.name().display()),
            )
            .help("sort the file by its id column and then by time, or leave --shard away"));
        }
        let total = match filling {
            Some(_) => table.blocks()?.try_fold(0, |count, block| block.map(|_| count + 1))?,
            None => 1,
        };
        let rows = shard.rows(total);
        let settings = filling.map(|(imputing, _)| {
            serde_json::json!({
                "method": imputing.method.name(),
                "samples": imputing.samples,
                "sampling": imputing.sampling,
                "repaint": args.repaint,
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
        Ok(Self { blocks: rows.start as usize..rows.end as usize, mark: Some((manifest, mark(&args.output))) })
    }

    /// Whether the header is in another part.
    pub(super) fn continues(&self) -> bool {
        self.blocks.start > 0 || self.blocks.is_empty()
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
