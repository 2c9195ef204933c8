//! `langevin impute series`.

mod filler;
mod outputs;
mod part;
mod summary;
mod table;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use langevin_engine::Shard;
use langevin_series::{
    io::{Block, Fills, Table, WriteOptions, Writer, Written},
    report::{self, CheckpointName, Report, Seconds},
    task::{Filled, ImputeSettings, Method, PointOf},
};

use crate::{
    args::{SeedArg, ShardArg, WriteArgs},
    output::{self, Stream},
    report::Failure,
    sampling::SamplingArgs,
    series::{self, Opened},
    settings::Settings,
    values,
};
use filler::{Drawing, Filler};
use outputs::{Picture, SamplesOut};
use part::Part;
use summary::{columns, plain_report, tell};
use table::{BoundsArg, MaxGap, TableArgs};

/// Cells of the table that anchor and backtest see: all of most tables.
const SAMPLE: usize = 1 << 19;
/// Numbers that the network may cost before `auto` leaves it out: about twenty minutes of a core.
const MOST_TOKENS: usize = 400_000_000;
/// Quantiles that are kept for the picture.
const PICTURED: [f64; 4] = [0.05, 0.25, 0.75, 0.95];

/// Fill the holes of a table
///
/// What was observed stays as it is written. Each hole gets a number, on demand with quantiles or sample paths; a backtest on known cells says how
/// good they are, and decides for gaps of each length whether the network fills them or something simpler.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin impute series plant.csv -o filled.csv --plot gaps.svg")]
pub(crate) struct Args {
    /// Table with holes: .csv, .tsv, or - for stdin
    #[arg(value_name = "FILE|-")]
    input: PathBuf,
    /// File for the filled table
    #[arg(short, long, value_name = "FILE|-", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    table: TableArgs,
    /// What fills holes: auto, diffusion, ridge, seasonal, linear, locf, mean, kalman
    #[arg(long, value_name = "NAME", default_value = "auto")]
    method: Method,
    /// Sample paths of each hole that the network draws
    #[arg(long, value_name = "N", default_value = "32", value_parser = values::whole(2..=1000))]
    samples: u32,
    /// Columns NAME_q05 ... with these quantiles: 0.05,0.5,0.95
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = level)]
    quantiles: Vec<f64>,
    /// Which number is filled in
    #[arg(long, value_enum, default_value = "median")]
    point: Point,
    /// Leave gaps longer than this empty: 7d, 12h, or a number of rows
    #[arg(long, value_name = "DURATION")]
    max_gap: Option<MaxGap>,
    /// Limits of what is filled in: auto (nothing below 0 in a column that never is), none, or COL=lo:hi
    #[arg(long, value_name = "auto|none|COL=LO:HI")]
    bounds: Vec<BoundsArg>,
    /// Share of the known cells that the backtest hides, more where gaps are few, or off
    #[arg(long, value_name = "SHARE|off", default_value = "0.1", value_parser = backtest)]
    backtest: f64,
    /// File for a report as JSON; `--json FILE` means the same
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// File for a picture of the gaps (.svg)
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    plot: Option<PathBuf>,
    /// File for the sample paths of every hole: row,column,s0,s1,...
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    samples_out: Option<PathBuf>,
    /// File for a table that says 1 where a number was filled in and 0 where one was observed
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    mask_out: Option<PathBuf>,
    /// Trained model: a shipped name or a file
    #[arg(long, value_name = "NAME|FILE", default_value = series::MODEL)]
    checkpoint: PathBuf,
    /// Rows that the network sees at once [default: what it was trained with]
    #[arg(long, value_name = "ROWS", value_parser = values::whole(8..=1024))]
    window: Option<u32>,
    /// Fill by RePaint, walking each stretch of steps this many times; for a CSDI checkpoint without conditions
    #[arg(long, value_name = "J", value_parser = values::whole(1..=100), conflicts_with_all = ["solver", "grid", "steps", "guidance", "config"])]
    repaint: Option<u32>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    seed: SeedArg,
    #[command(flatten)]
    shard: ShardArg,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Point {
    /// The median of what is predicted
    Median,
    /// Its mean
    Mean,
}

fn level(text: &str) -> Result<f64, String> {
    let wanted = || format!("'{text}' is no level: a number between 0 and 1");
    let level: f64 = text.trim().parse().map_err(|_| wanted())?;
    if level > 0.0 && level < 1.0 { Ok(level) } else { Err(wanted()) }
}

fn backtest(text: &str) -> Result<f64, String> {
    if text == "off" {
        return Ok(0.0);
    }
    let wanted = || format!("'{text}' is no share of the known cells: off, or a number of 0.01 to 0.5");
    let share: f64 = text.parse().map_err(|_| wanted())?;
    if (0.01..=0.5).contains(&share) { Ok(share) } else { Err(wanted()) }
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let started = Instant::now();
    let cancel = settings.cancel();
    claim(args)?;
    let device = settings.open_device()?;
    let table = Table::open(&args.input, &args.table.options())?;
    let profile = table.profile();
    let seed = args.seed.chosen(None, settings);
    let mut seconds = Seconds { read: started.elapsed().as_secs_f64(), ..Seconds::default() };
    let mut warnings = Vec::new();
    let left_alone = profile.untouched.iter().map(String::as_str).collect::<Vec<_>>();
    if !left_alone.is_empty() {
        settings.explain(&format!("left as they are: {}", left_alone.join(", ")));
    }
    if nothing_to_do(args, &table) {
        let part = Part::of(args, &table, None)?;
        return if part.is_done(args)? { already(settings) } else { copied(args, settings, &table, &part, seed, seconds) };
    }

    let mut opened = if args.method.draws() { Some(series::open(&args.checkpoint, &device)?) } else { None };
    if let (Some((model, _)), Some(rows)) = (&mut opened, args.window) {
        model.set_window(rows as usize);
    }
    let (model, csdi) = match &opened {
        Some((Opened::Residual(model), _)) => (Some(model.as_ref()), None),
        Some((Opened::Csdi(model), _)) => (None, Some(model.as_ref())),
        None => (None, None),
    };
    if args.repaint.is_some() && csdi.is_none() {
        return Err(Failure::usage(
            "repaint",
            "RePaint fills holes with a CSDI network without conditions, and nothing of that kind fills here",
        )
        .help("give --checkpoint FILE of a model trained with `unconditional = true`, or leave --repaint away"));
    }
    let sampling = model.map(|model| args.sampling.chosen(&model.config.sampling)).transpose()?;
    let cost = model
        .map_or(0, |_| profile.grid_rows as usize * table.names().len() * args.samples as usize * sampling.as_ref().map_or(1, |s| s.steps));
    let skip = args.method == Method::Auto && cost > MOST_TOKENS * 3;
    if skip {
        warnings.push("The table is large: the network was left out; --method diffusion asks for it all the same.".to_owned());
    }
    let levels = levels(args);
    let imputing = ImputeSettings {
        method: args.method,
        samples: args.samples as usize,
        sampling,
        quantiles: levels.clone(),
        point: match args.point {
            Point::Median => PointOf::Median,
            Point::Mean => PointOf::Mean,
        },
        longest: args.max_gap.map(|gap| gap.rows(&table)).transpose()?,
        limits: table::limits(&args.bounds, &table)?,
        backtest: args.backtest,
        periods: table.calendar().seasons().into_iter().map(|(_, rows)| rows.round() as usize).filter(|&p| p >= 2).collect(),
        panel: profile.series > 1,
        seed,
    };
    let hash = opened.as_ref().map_or("", |(_, checkpoint)| checkpoint.hash.as_str());
    let part = Part::of(args, &table, Some((&imputing, hash)))?;
    let longest = imputing.longest.unwrap_or(0);
    let csdi = csdi.map(|model| filler::csdi(model, args.repaint, &args.sampling, &table, imputing.clone())).transpose()?;
    if args.write.dry_run {
        settings.talk(&format!("{} rows, {} holes in {} columns", profile.rows, profile.missing(), table.names().len()));
        return output::json(profile);
    }
    if part.is_done(args)? {
        return already(settings);
    }
    let drawing = Drawing { settings, workers: settings.workers()?, cancel };
    let fitting = Instant::now();
    let (filler, backtest) = if let Some((imputer, told)) = csdi {
        warnings.extend(told);
        (Filler::Csdi(imputer), None)
    } else {
        let fitted = Filler::fit(&table.sample(SAMPLE)?, model.filter(|_| !skip), imputing, &drawing)?;
        if fitted.1.is_none() && args.backtest > 0.0 {
            warnings.push("Too little is known to try the methods on: bands are those of the linear model.".to_owned());
        }
        fitted
    };
    seconds.fit = fitting.elapsed().as_secs_f64();

    let filling = Instant::now();
    let written = fill(args, &Pass { table: &table, part: &part, levels: &levels, longest }, &filler, &drawing)?;
    seconds.fill = filling.elapsed().as_secs_f64();
    seconds.total = started.elapsed().as_secs_f64();
    let report = Report {
        checkpoint: opened
            .as_ref()
            .filter(|_| filler.uses_network())
            .map(|(_, checkpoint)| CheckpointName { name: checkpoint.header.config.name.clone(), hash: checkpoint.hash.clone() }),
        backtest,
        samples: if filler.uses_network() || args.samples_out.is_some() { args.samples as usize } else { 0 },
        steps: if filler.uses_network() { filler.steps() } else { 0 },
        columns: columns(&table, &filler, &written, &args.bounds)?,
        ..plain_report(args, &table, seed, seconds, warnings, &written)
    };
    let report = Report { input: report::Input { period: filler.period(), ..report.input }, ..report };
    tell(args, settings, &report)
}

/// Levels that are worked out: those asked for, and those of the picture; ascending, each once.
fn levels(args: &Args) -> Vec<f64> {
    let mut levels = args.quantiles.clone();
    if args.plot.is_some() {
        levels.extend(PICTURED);
    }
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    levels
}

/// Refuses outputs that are there, or that are the input.
fn claim(args: &Args) -> Result<(), Failure> {
    let beside = [args.report.as_ref(), args.plot.as_ref(), args.samples_out.as_ref(), args.mask_out.as_ref()];
    let outputs: Vec<&Path> = std::iter::once(&args.output).chain(beside.into_iter().flatten()).map(PathBuf::as_path).collect();
    output::apart([args.input.as_path()], outputs.iter().copied())?;
    // A part that is there already may be the one that is asked for.
    let is_part = args.shard.part() != Shard::WHOLE;
    outputs.into_iter().skip(usize::from(is_part)).try_for_each(|path| output::claim(path, args.write.force))
}

/// Whether the output is the input, and nothing else is to be written. A dry run says so and writes nothing.
fn nothing_to_do(args: &Args, table: &Table) -> bool {
    let beside = args.plot.is_some() || args.samples_out.is_some() || args.mask_out.is_some();
    table.profile().missing() == 0 && args.table.forecast() == 0 && args.quantiles.is_empty() && !beside && !args.write.dry_run
}

/// What pass 2 goes through.
struct Pass<'a> {
    table: &'a Table,
    part: &'a Part,
    /// Levels that are worked out.
    levels: &'a [f64],
    /// Longest gap that is filled, in rows; 0 for any.
    longest: usize,
}

/// Pass 2: every block of the part filled and written.
fn fill(args: &Args, pass: &Pass<'_>, filler: &Filler<'_>, drawing: &Drawing<'_>) -> Result<Written, Failure> {
    let &Pass { table, part, levels, longest } = pass;
    let mut stream = Stream::start(&args.output)?;
    let mut mask = args.mask_out.as_deref().map(Stream::start).transpose()?;
    let mut samples = args.samples_out.as_deref().map(|path| SamplesOut::start(path, args.samples as usize, table)).transpose()?;
    let mut picture = args.plot.as_ref().map(|_| Picture::new(table.names().len()));
    let at = |level: f64| levels.iter().position(|&l| l == level).unwrap_or(0);
    let mut wanted = args.quantiles.clone();
    wanted.sort_by(f64::total_cmp);
    wanted.dedup();
    let mut writer = Writer::create(
        table,
        &mut stream,
        WriteOptions { quantiles: wanted.clone(), mask: false, continues: part.continues(), records: part.records() },
    )?;
    let mut masks =
        mask.as_mut().map(|mask| Writer::create(table, mask, WriteOptions { mask: true, ..WriteOptions::default() })).transpose()?;
    for block in table.blocks_with(longest)? {
        let block: Block = block?;
        match part.fills(&block) {
            ControlFlow::Break(()) => break,
            ControlFlow::Continue(true) => {}
            ControlFlow::Continue(false) => {
                writer.skip(&block);
                continue;
            }
        }
        let filled = filler.fill(&block, samples.is_some(), drawing)?;
        if let Some(samples) = &mut samples {
            samples.block(&block, &filled)?;
        }
        if let Some(picture) = &mut picture {
            picture.block(&block, &filled, PICTURED.map(at));
        }
        let Filled { point, mut quantiles, .. } = filled;
        let quantiles = wanted.iter().map(|&level| std::mem::take(&mut quantiles[at(level)])).collect();
        let fills = Fills { values: point, quantiles };
        writer.block(&block, &fills)?;
        if let Some(masks) = &mut masks {
            masks.block(&block, &fills)?;
        }
    }
    let written = writer.finish()?;
    if let Some(masks) = masks {
        masks.finish()?;
    }
    if let (Some(path), Some(picture)) = (&args.plot, &picture) {
        picture.write(path, &title(args), table)?;
    }
    stream.finish()?;
    mask.map(Stream::finish).transpose()?;
    samples.map(SamplesOut::finish).transpose()?;
    part.finish()?;
    Ok(written)
}

fn title(args: &Args) -> String {
    args.input.file_name().map_or_else(|| "stdin".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// A table without holes goes out as it came in, whole in one part.
fn copied(args: &Args, settings: &Settings, table: &Table, part: &Part, seed: u64, mut seconds: Seconds) -> Result<(), Failure> {
    let mut stream = Stream::start(&args.output)?;
    if !part.is_empty() {
        table.copy(&mut stream)?;
    }
    stream.finish()?;
    part.finish()?;
    seconds.total = seconds.read;
    let columns = table.names().len();
    let written = Written { filled: vec![0; columns], left: vec![0; columns], added: 0 };
    tell(args, settings, &plain_report(args, table, seed, seconds, Vec::new(), &written))
}

/// The part that is asked for was made before.
fn already(settings: &Settings) -> Result<(), Failure> {
    settings.talk("this part is already there");
    Ok(())
}
