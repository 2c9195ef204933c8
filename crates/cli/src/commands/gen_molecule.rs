//! `langevin gen molecule`.

mod denovo;
mod ensemble;
mod source;
pub(super) mod writer;

use std::path::{Path, PathBuf};

use langevin_core::solver::Solver;
use langevin_engine::{Checkpoint, Shard, shard::Manifest};
use langevin_molecule::{
    Point,
    geometry::BoundsTable,
    io::Columns,
    task::{Diffusion, Draw, Published, Relax, Request, Trajectory, geodiff::Method},
};
use serde::Serialize;

use crate::{
    args::{SeedArg, ShardArg, WriteArgs},
    molecule::{self, CheckpointArg, Opened},
    output,
    report::Failure,
    sampling::SamplingArgs,
    settings::Settings,
    values,
};
use denovo::DenovoArgs;
use ensemble::{Run, Tally};
use source::{Source, Stereo};
use writer::{Format, Writer};

/// Most conformers of a molecule.
const MOST: u32 = 100_000;
/// Generate 3D conformers of molecules
///
/// Every conformer has the configuration that the SMILES gives, or is named as an exception. Conformer i of a molecule depends on its string, the seed and
/// the settings only.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin gen molecule \"CC(=O)Oc1ccccc1C(=O)O\" -n 10 -o aspirin.sdf")]
pub(crate) struct Args {
    /// Molecules as SMILES
    #[arg(value_name = "SMILES", conflicts_with = "input")]
    smiles: Vec<String>,
    /// File of molecules: .smi, .csv, .tsv, .sdf, .mol, .jsonl (.gz may follow), or - for stdin
    #[arg(long, value_name = "FILE|-")]
    input: Option<PathBuf>,
    /// Column of a table that holds the SMILES
    #[arg(long, value_name = "NAME", requires = "input")]
    smiles_col: Option<String>,
    /// Column of a table that holds names
    #[arg(long, value_name = "NAME", requires = "input")]
    name_col: Option<String>,
    /// Conformers of each molecule [default: 10; of new molecules 1]
    #[arg(short, value_name = "N", value_parser = values::whole(1..=MOST))]
    n: Option<u32>,
    /// File for the conformers: .sdf, .xyz, .jsonl, .csv (.gz may follow); SDF on stdout when absent
    #[arg(short, long, value_name = "FILE|-", default_value = "-")]
    output: PathBuf,
    /// Form of the output, when the ending does not tell
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Leave hydrogens out of the output
    #[arg(long)]
    no_h: bool,
    /// Level of theory whose geometries are wanted: gfn2, mmff [default: gfn2 for up to nine heavy atoms of C, N, O, F; mmff for others]
    #[arg(long, value_name = "NAME")]
    level: Option<String>,
    /// What to do with centres whose configuration is not given
    #[arg(long, value_enum, default_value = "keep")]
    stereo: Stereo,
    /// What to do with positions after sampling [default: mmff94s at level mmff, else bounds; of GeoDiff none]
    #[arg(long, value_enum)]
    relax: Option<RelaxArg>,
    /// Times that a conformer which fails a check is drawn again [default: 5; of GeoDiff 0]
    #[arg(long, value_name = "N", value_parser = values::whole(0..=1000))]
    retry: Option<u32>,
    /// Conformers drawn for each but the first; kept is the lowest that is new, or without energies the one farthest from those before
    /// [default: 2 with energies, else 1]
    #[arg(long, value_name = "N", value_parser = values::whole(1..=100))]
    candidates: Option<u32>,
    /// Strength with which conformers keep apart
    #[arg(long, value_name = "W", default_value = "0", value_parser = values::number(0.0..=10.0))]
    diversity: f64,
    /// Leave out conformers nearer than this to an earlier one (heavy-atom RMSD, angstrom)
    #[arg(long, value_name = "R", value_parser = values::number(0.0..=10.0))]
    max_rmsd_dup: Option<f64>,
    /// File with positions of atoms to hold (.sdf, .mol, .xyz)
    #[arg(long, value_name = "FILE", requires = "fix_atoms")]
    fix: Option<PathBuf>,
    /// Atoms to hold, counted from 1 in the order of the SMILES, hydrogens last: 1-4,7
    #[arg(long, value_name = "LIST", requires = "fix")]
    fix_atoms: Option<String>,
    /// File for the estimates on the way to the first conformer (.xyz)
    #[arg(long, value_name = "FILE")]
    trajectory: Option<PathBuf>,
    #[command(flatten)]
    denovo: DenovoArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    checkpoint: CheckpointArg,
    #[command(flatten)]
    seed: SeedArg,
    #[command(flatten)]
    shard: ShardArg,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum RelaxArg {
    /// Positions as they are sampled
    None,
    /// Bring lengths, angles, planes, contacts and handedness within learned bounds
    Bounds,
    /// That, then go to the nearest minimum of the force field MMFF94s, where it has parameters
    Mmff94s,
}

impl From<RelaxArg> for Relax {
    fn from(relax: RelaxArg) -> Self {
        match relax {
            RelaxArg::None => Self::None,
            RelaxArg::Bounds => Self::Bounds,
            RelaxArg::Mmff94s => Self::Mmff94s,
        }
    }
}

/// Effective settings: what, with the molecule's string, decides the bytes of its conformers.
#[derive(Debug, Serialize)]
struct Effective {
    version: &'static str,
    checkpoint: String,
    checkpoint_hash: String,
    seed: u64,
    n: u32,
    /// Level of theory; none is chosen molecule by molecule.
    level: Option<String>,
    /// Solver, grid and steps; of GeoDiff's own sampler the steps.
    sampling: serde_json::Value,
    network_evaluations: usize,
    /// As the level.
    relax: Option<Relax>,
    retry: u32,
    stereo: Stereo,
    diversity: f64,
    candidates: Option<u32>,
    max_rmsd_dup: Option<f64>,
    no_h: bool,
    held: Option<(Vec<usize>, Vec<Point>)>,
    format: Format,
    device: &'static str,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let source = match &args.input {
        Some(path) => {
            let columns = Columns { smiles: args.smiles_col.clone(), name: args.name_col.clone() };
            Source::File { path: path.clone(), columns }
        }
        // Filled in below, when everything else is known to be right.
        None if args.denovo.de_novo.is_some() => Source::Given(Vec::new()),
        None if args.smiles.is_empty() => {
            return Err(Failure::usage("smiles", "no molecule is given")
                .help("give SMILES strings, --input FILE, or --de-novo N for molecules that the program invents"));
        }
        None => Source::Given(args.smiles.clone()),
    };
    let format = args.format.map_or_else(|| Format::of(&args.output), Ok)?;
    output::claim(&args.output, args.write.force)?;
    if let Some(path) = &args.trajectory {
        output::claim(path, args.write.force)?;
    }
    let held = args.fix.as_deref().zip(args.fix_atoms.as_deref()).map(|(path, list)| source::held(path, list)).transpose()?;
    let cancel = settings.cancel();
    let device = settings.open_device()?;
    let (opened, checkpoint) = molecule::open(&args.checkpoint.checkpoint, &device)?;
    let seed = args.seed.chosen(None, settings);
    match &opened {
        Opened::Conformers(model) => {
            let sampling = args.sampling.chosen(&model.config.sampling)?;
            let run = model.run(&sampling)?;
            settings.explain(&run.explain());
            known(args.level.as_deref(), &model.config.levels)?;
            let draw = Diffusion { model, run: &run };
            let told = Told { levels: &model.config.levels, sampling: to_json(&sampling)?, relax: None, retry: 5 };
            drive(args, settings, &draw, model.bounds(), &checkpoint, told, (seed, held, format, source, cancel, device))
        }
        Opened::GeoDiff(model) => {
            if held.is_some() || args.diversity > 0.0 || args.level.is_some() {
                return Err(Failure::usage("checkpoint", "GeoDiff takes no --fix, --diversity or --level")
                    .help("leave --checkpoint out to use ours"));
            }
            let method = match args.sampling.solver.as_deref().map(str::parse::<Solver>).transpose()? {
                Some(solver) => Method::Solver(solver),
                None => Method::Langevin,
            };
            let steps = args.sampling.steps.map_or_else(|| model.steps(), |n| n as usize);
            let draw = Published { model, method, steps };
            let sampling = serde_json::json!({ "method": args.sampling.solver.as_deref().unwrap_or("langevin"), "steps": steps });
            let told = Told { levels: &[], sampling, relax: Some(Relax::None), retry: 0 };
            drive(args, settings, &draw, &BoundsTable::default(), &checkpoint, told, (seed, held, format, source, cancel, device))
        }
    }
}

/// What a kind of model says of a run.
struct Told<'a> {
    levels: &'a [String],
    sampling: serde_json::Value,
    /// What is done when the user does not say; none is chosen molecule by molecule.
    relax: Option<Relax>,
    retry: u32,
}

/// What was read off the command line: seed, atoms to hold, form of the output, molecules, interruption, device.
type Given = (u64, Option<(Vec<usize>, Vec<Point>)>, Format, Source, langevin_engine::Cancel, burn::tensor::Device);

/// Refuses a level of theory that the checkpoint does not know.
fn known(name: Option<&str>, levels: &[String]) -> Result<(), Failure> {
    match name {
        Some(name) if levels.iter().all(|level| level != name) => {
            let said = format!("the checkpoint knows no level '{name}'");
            Err(Failure::usage("level", said).help(format!("its levels are: {}", levels.join(", "))))
        }
        _ => Ok(()),
    }
}

fn to_json(value: &impl Serialize) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(value).map_err(|e| Failure::data("json", "the settings cannot be written").because(e))
}

fn drive(
    args: &Args,
    settings: &Settings,
    model: &dyn Draw,
    bounds: &BoundsTable,
    checkpoint: &Checkpoint,
    told: Told<'_>,
    (seed, held, format, mut source, cancel, device): Given,
) -> Result<(), Failure> {
    let request = Request {
        n: args.n.unwrap_or(if args.denovo.de_novo.is_some() { 1 } else { 10 }),
        seed,
        retry: args.retry.unwrap_or(told.retry),
        diversity: args.diversity,
        candidates: args.candidates,
    };
    let effective = Effective {
        version: env!("CARGO_PKG_VERSION"),
        checkpoint: checkpoint.header.config.name.clone(),
        checkpoint_hash: checkpoint.hash.clone(),
        seed,
        n: request.n,
        level: args.level.clone(),
        sampling: told.sampling,
        network_evaluations: model.evaluations(),
        relax: args.relax.map(Relax::from).or(told.relax),
        retry: request.retry,
        stereo: args.stereo,
        diversity: args.diversity,
        candidates: request.candidates,
        max_rmsd_dup: args.max_rmsd_dup,
        no_h: args.no_h,
        held,
        format,
        device: settings.device.name,
    };
    if args.write.dry_run {
        return output::json(&effective);
    }
    let workers = settings.workers()?;
    let mut tally = Tally::default();
    if let Some(count) = args.denovo.de_novo {
        let (molecules, report) = denovo::invent(&args.denovo, count, seed, settings, &device, &workers, &cancel)?;
        source = Source::Given(molecules);
        tally.de_novo = Some(report);
    }
    let shard = args.shard.part();
    let (rows, total) = source.part(shard)?;
    let part = manifest(&effective, &source, rows.clone(), total)?;
    let mark = mark(&args.output);
    if shard != Shard::WHOLE && args.output.exists() && part.is_done(&mark)? {
        settings.talk(&format!("part {}/{} is already there", shard.index, shard.count));
        return Ok(());
    }
    let started = std::time::Instant::now();
    let (levels, trajectory) = (told.levels, Trajectory::default());
    let all = Run { args, settings, model, bounds, request: &request, effective: &effective, levels, workers, cancel, trajectory };
    let mut writer = Writer::start(&args.output, format)?;
    all.stream(&source, rows, &mut writer, &mut tally)?;
    // A part of a short file may be empty; the whole may not.
    if tally.molecules == 0 && tally.failed.is_empty() && shard == Shard::WHOLE {
        return Err(
            Failure::data("input", "the input holds no molecule").help("give one SMILES a line, a table with a column smiles, or SDF")
        );
    }
    if tally.molecules == 0 && !tally.failed.is_empty() {
        let count = tally.failed.len();
        return Err(Failure::data("smiles", format!("no conformer could be made: {count} of {count} molecules failed, named above")));
    }
    writer.finish()?;
    if shard != Shard::WHOLE {
        part.write(&mark)?;
    }
    all.end(&tally, started.elapsed().as_secs_f64())
}

/// A file beside another, with an ending more.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// The mark that a part is complete.
pub(super) fn mark(output: &Path) -> PathBuf {
    beside(output, "part.json")
}

fn manifest(effective: &Effective, source: &Source, rows: std::ops::Range<u32>, total: u32) -> Result<Manifest, Failure> {
    let config = serde_json::to_string(effective).map_err(|e| Failure::data("json", "the settings cannot be written").because(e))?;
    let input = match source {
        Source::Given(strings) => strings.join("\n"),
        Source::File { .. } if total == 0 => String::new(),
        Source::File { path, .. } => langevin_engine::checkpoint::hash_of(path)?,
    };
    Ok(Manifest {
        schema_version: output::SCHEMA_VERSION,
        input,
        config,
        checkpoint: effective.checkpoint_hash.clone(),
        seed: effective.seed,
        total,
        first: rows.start,
        end: rows.end,
    })
}
