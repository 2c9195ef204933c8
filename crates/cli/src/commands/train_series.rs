//! `langevin train series`.

use std::path::{Path, PathBuf};

use langevin_engine::{Checkpoint, state};
use langevin_series::{
    Frame,
    config::{ModelConfig, ResidualConfig},
    data::{ByAnchor, Pool, PoolConfig, Source},
    io::{ReadOptions, Table},
    synthetic,
    task::{ResidualTask, csdi::CsdiTask},
};

use crate::{
    report::Failure,
    series,
    settings::Settings,
    training::{self, RunArgs},
    values,
};

/// The config of the shipped model: what training does when no other is given.
const DEFAULT_CONFIG: (&str, &str) = ("series-base.toml", include_str!("../../../../configs/series-base.toml"));

/// Most cells of a file that are learned from.
const MOST_CELLS: usize = 4_000_000;
/// Rows of a synthetic table, and masks that are put on it.
const SYNTHETIC: (usize, u32) = (768, 2);
/// Masks that are put on a file, each over all of it.
const FILE_MASKS: u32 = 12;
/// One part in so many of what there is validates: synthetic tables, or the last rows of a file.
const HELD_OUT: usize = 8;
/// Windows that are scored in a validation.
const WINDOWS: u32 = 128;
/// Share of the known cells that an anchor is tried on.
const TRIED: f64 = 0.1;

/// Train a model that fills holes in time series
///
/// Data are tables as `langevin impute series` reads them: known cells are hidden to learn from. --synthetic adds made-up tables. The best
/// checkpoint on validation, the log and the resumable state go to one folder. Ctrl-C saves the state first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin train series --data table.csv --from series-base -o run/")]
pub(crate) struct Args {
    /// Table to learn from; may be given several times
    #[arg(long, value_name = "FILE", required_unless_present = "synthetic")]
    data: Vec<PathBuf>,
    /// Table to validate on; may be given several times [default: the last eighth of the data's rows]
    #[arg(long, value_name = "FILE")]
    valid: Vec<PathBuf>,
    /// Learn from this many synthetic tables too
    #[arg(long, value_name = "N", value_parser = values::whole(8..=1_000_000))]
    synthetic: Option<u32>,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let initial = args.run.initial()?;
    let (mut config, source) = args.run.config(initial.as_ref(), DEFAULT_CONFIG)?;
    let mut model = series::model_config(&config, &source)?;
    args.run.check_folder()?;
    let (train, valid) = frames(args, settings)?;
    if let ModelConfig::Csdi(csdi) = &mut model
        && csdi.columns.is_empty()
    {
        let first = train.first().ok_or_else(|| Failure::usage("data", "CSDI embeds the columns of tables; give --data FILE"))?;
        csdi.columns = first.names.to_vec();
        config.model = toml::Table::try_from(&model).map_err(|e| Failure::data("config", "the config cannot be completed").because(e))?;
    }
    if args.run.dry_run {
        return training::show(&config);
    }
    match &model {
        ModelConfig::Residual(residual) => {
            let [train, valid] = pools(args, residual, config.seed, train, valid, settings)?;
            let task = ResidualTask::new(residual, config.seed, [config.train.batch, config.train.micro_batch], train, &valid, WINDOWS)?;
            let (tables, windows) = task.len();
            settings.talk(&format!("{tables} masked tables to learn from, {windows} windows to validate on, seed {}", config.seed));
            args.run.drive(&task, &config, initial.as_ref(), settings)
        }
        ModelConfig::Csdi(csdi) => {
            if args.synthetic.is_some() {
                return Err(Failure::usage("synthetic", "CSDI embeds the columns of its tables, and synthetic tables have others"));
            }
            let constants = match &args.run.resume {
                Some(folder) => Some(state::constants_of(folder)?),
                None => initial.as_ref().map(Checkpoint::constants),
            };
            let task = CsdiTask::new(csdi, config.seed, constants.as_deref(), &train, &valid, WINDOWS)?;
            args.run.drive(&task, &config, initial.as_ref(), settings)
        }
    }
}

/// Tables of the files, to learn from and to validate on.
fn frames(args: &Args, settings: &Settings) -> Result<(Vec<Frame>, Vec<Frame>), Failure> {
    let read = |paths: &[PathBuf]| paths.iter().map(|path| sample(path, settings)).collect::<Result<Vec<_>, _>>();
    let (mut train, mut valid) = (read(&args.data)?.concat(), read(&args.valid)?.concat());
    if args.valid.is_empty() {
        (train, valid) = train
            .iter()
            .map(|frame| {
                let at = frame.rows() - frame.rows() / HELD_OUT;
                (rows(frame, 0..at), rows(frame, at..frame.rows()))
            })
            .unzip();
    }
    Ok((train, valid))
}

fn sample(path: &Path, settings: &Settings) -> Result<Vec<Frame>, Failure> {
    let frames = Table::open(path, &ReadOptions::default())?.sample(MOST_CELLS)?;
    let rows: usize = frames.iter().map(Frame::rows).sum();
    settings.talk(&format!("{}: {rows} rows of {} columns", path.display(), frames.first().map_or(0, Frame::columns)));
    Ok(frames)
}

fn rows(frame: &Frame, range: std::ops::Range<usize>) -> Frame {
    let values = frame.values.iter().map(|column| column[range.clone()].to_vec()).collect();
    Frame { names: frame.names.clone(), positions: frame.positions[range].to_vec(), values }
}

/// Masked tables to learn from and to validate on.
fn pools(
    args: &Args,
    residual: &ResidualConfig,
    seed: u64,
    train: Vec<Frame>,
    valid: Vec<Frame>,
    settings: &Settings,
) -> Result<[Pool; 2], Failure> {
    let made = |numbers: std::ops::Range<u32>| -> Vec<Frame> {
        use rayon::prelude::*;
        numbers.into_par_iter().map(|number| synthetic::table(SYNTHETIC.0, seed, number)).collect()
    };
    let count = args.synthetic.unwrap_or(0);
    let held = count / HELD_OUT as u32;
    settings.talk(&format!("anchoring {count} synthetic tables and {} pieces of files", train.len() + valid.len()));
    let anchoring = ByAnchor { seed, held_out: TRIED };
    let pool = |seed: u64, synthetic: Vec<Frame>, files: Vec<Frame>| {
        // Panels are many tables: fewer masks of each.
        let masks = (4 * FILE_MASKS).div_ceil(files.len().max(4) as u32).max(2);
        let sources = [Source { frames: synthetic, masks: SYNTHETIC.1 }, Source { frames: files, masks }];
        Pool::new(PoolConfig { seed, window: residual.window, columns: residual.columns }, &sources, &anchoring)
    };
    Ok([pool(seed, made(held..count), train)?, pool(seed ^ 1, made(0..held), valid)?])
}
