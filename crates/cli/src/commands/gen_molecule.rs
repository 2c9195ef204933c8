//! `langevin gen molecule`.

mod denovo;
mod source;
pub(super) mod writer;

use std::path::{Path, PathBuf};

use langevin_core::solver::Solver;
use langevin_engine::{Checkpoint, Shard, sample, shard::Manifest};
use langevin_molecule::{
    Molecule, Point,
    geometry::{BoundsTable, SymmetricRmsd},
    io::{Columns, Entry, without_hydrogens, write_xyz},
    task::{
        Aim, Conformer, Diffusion, Draw, Generation, Job, Published, Relax, Request, Trajectory, denovo::DenovoReport, geodiff::Method,
        spread, usual_level,
    },
};
use langevin_nn::Sampler as _;
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
use source::{Item, Problem, Source, Stereo};
use writer::{Fields, Format, Writer};

/// Most conformers of a molecule.
const MOST: u32 = 100_000;
/// Conformers that are worked on at once: enough for all threads, few enough for memory.
const AT_ONCE: u32 = 512;

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

/// Everything that stays the same from molecule to molecule.
struct Run<'a> {
    args: &'a Args,
    settings: &'a Settings,
    model: &'a dyn Draw,
    bounds: &'a BoundsTable,
    request: &'a Request,
    effective: &'a Effective,
    levels: &'a [String],
    workers: langevin_engine::Workers,
    cancel: langevin_engine::Cancel,
    trajectory: Trajectory,
}

/// What has been done.
#[derive(Debug, Default, Serialize)]
struct Tally {
    molecules: usize,
    conformers: usize,
    valid: usize,
    stereo_ok: usize,
    duplicates: usize,
    redrawn: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    de_novo: Option<DenovoReport>,
    failed: Vec<Problem>,
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

impl Run<'_> {
    /// Reads, samples and writes chunk after chunk.
    fn stream(&self, source: &Source, rows: std::ops::Range<u32>, writer: &mut Writer, tally: &mut Tally) -> Result<(), Failure> {
        let chunk = (AT_ONCE / self.request.n).max(1) as usize;
        let mut waiting: Vec<Item> = Vec::new();
        let entries = source.entries()?.skip(rows.start as usize).take(rows.len());
        for entry in entries {
            match self.ready(entry)? {
                Ok(items) => waiting.extend(items),
                Err(problem) => self.failed(problem, tally),
            }
            if waiting.len() >= chunk {
                self.chunk(std::mem::take(&mut waiting), writer, tally)?;
            }
        }
        self.chunk(waiting, writer, tally)
    }

    /// An entry made ready; an unreadable file ends the command, an unreadable entry does not.
    fn ready(&self, entry: langevin_molecule::Result<Entry>) -> Result<Result<Vec<Item>, Problem>, Failure> {
        match entry {
            Ok(entry) => Ok(source::items(entry, self.args.stereo, self.request.seed)),
            Err(error @ langevin_molecule::Error::Io { .. }) => Err(error.into()),
            Err(error) => Ok(Err(Problem { line: 0, smiles: String::new(), name: String::new(), reason: error.to_string() })),
        }
    }

    fn failed(&self, problem: Problem, tally: &mut Tally) {
        let place = if problem.line == 0 { String::new() } else { format!("line {}: ", problem.line) };
        let what = if problem.smiles.is_empty() { String::new() } else { format!("'{}': ", problem.smiles) };
        output::talk(langevin_engine::Verbosity::Normal, &crate::report::printable(&format!("{place}{what}{}", problem.reason)));
        tally.failed.push(problem);
    }

    fn chunk(&self, items: Vec<Item>, writer: &mut Writer, tally: &mut Tally) -> Result<(), Failure> {
        let (mut jobs, mut told) = (Vec::new(), Vec::new());
        for item in items {
            let held = match &self.effective.held {
                None => Ok(None),
                Some((atoms, positions)) => source::held_of(&item.molecule, atoms, positions).map(Some),
            };
            let aim = self.aim(&item.molecule);
            let job = held
                .and_then(|held| Job::new(&item.text, item.molecule.clone(), self.bounds, held.as_ref(), aim).map_err(|e| e.to_string()));
            match job {
                Ok(job) => {
                    jobs.push(job);
                    told.push(item);
                }
                Err(reason) => self.failed(Problem { line: 0, smiles: item.text, name: item.name, reason }, tally),
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let first = tally.molecules == 0 && self.args.trajectory.is_some();
        let generation = Generation::new(self.model, self.request, &jobs, first.then_some(&self.trajectory));
        let rows = generation.rows();
        let evaluations = u64::from(rows.end / generation.micro_batch()) * self.model.evaluations() as u64;
        let progress = self.settings.progress(evaluations, "evaluations");
        let conformers = sample(&generation, rows, &self.workers, &self.cancel, &|| progress.advance());
        progress.finish();
        let mut of_jobs: Vec<Vec<Conformer>> = jobs.iter().map(|_| Vec::new()).collect();
        for conformer in conformers?.into_iter().flatten() {
            let conformer = conformer?;
            of_jobs[conformer.job].push(conformer);
        }
        // Each job's conformers are taken by the one worker that compares them.
        let of_jobs: Vec<_> = of_jobs.into_iter().map(|conformers| std::sync::Mutex::new(Some(conformers))).collect();
        let kept = self.workers.map(jobs.len(), |k| {
            let conformers = of_jobs[k].lock().ok()?.take()?;
            Some(spread(&jobs[k], self.request.candidates(&jobs[k]) as usize, conformers))
        });
        for ((item, job), conformers) in told.iter().zip(&jobs).zip(kept) {
            self.write(item, job.has_field(), conformers.unwrap_or_default(), writer, tally)?;
        }
        Ok(())
    }

    /// The geometries that are wanted of a molecule. A minimum of MMFF94s is what the level of that name means.
    fn aim(&self, molecule: &Molecule) -> Aim {
        let wanted = self.effective.level.as_deref().unwrap_or_else(|| usual_level(molecule));
        let level = self.levels.iter().position(|level| level == wanted).unwrap_or(0);
        let usual = if self.levels.get(level).is_some_and(|level| level == "mmff") { Relax::Mmff94s } else { Relax::Bounds };
        Aim { level, relax: self.effective.relax.unwrap_or(usual) }
    }

    fn write(
        &self,
        item: &Item,
        has_field: bool,
        conformers: Vec<Conformer>,
        writer: &mut Writer,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        if tally.molecules == 0
            && let Some(path) = &self.args.trajectory
        {
            let mut bytes = Vec::new();
            for (k, frame) in self.trajectory.frames().iter().enumerate() {
                write_xyz(&mut bytes, &format!("estimate {k} of {}", item.text), &item.molecule, frame)?;
            }
            output::put(path, &bytes)?;
        }
        tally.molecules += 1;
        let kept = match self.args.max_rmsd_dup {
            Some(least) => apart(&item.molecule, conformers, least, tally),
            None => conformers,
        };
        let mut order: Vec<usize> = (0..kept.len()).collect();
        order.sort_by(|&a, &b| kept[a].energy.total_cmp(&kept[b].energy));
        let mut rank = vec![0; kept.len()];
        order.iter().enumerate().for_each(|(place, &k)| rank[k] = place + 1);
        let weight = 1.0 / kept.len().max(1) as f64;
        let aim = self.aim(&item.molecule);
        for (conformer, rank) in kept.iter().zip(rank) {
            tally.conformers += 1;
            tally.valid += usize::from(conformer.validity.valid());
            tally.stereo_ok += usize::from(conformer.validity.stereo);
            tally.redrawn += usize::from(conformer.draws > 1);
            let fields = Fields {
                smiles: item.text.clone(),
                name: item.name.clone(),
                isomer: item.isomer.clone(),
                conf: conformer.index,
                rank,
                energy: conformer.energy,
                energy_unit: if has_field { "kcal/mol" } else { "arbitrary" },
                level: self.levels.get(aim.level).cloned().unwrap_or_default(),
                relax: conformer.relax,
                weight,
                seed: self.request.seed,
                model: self.effective.checkpoint.clone(),
                valid: conformer.validity.valid(),
                stereo_ok: conformer.validity.stereo,
                problem: conformer.validity.problem.clone(),
                draws: conformer.draws,
            };
            if self.args.no_h {
                let (molecule, positions) = without_hydrogens(&item.molecule, &conformer.positions);
                writer.conformer(&molecule, &positions, &fields)?;
            } else {
                writer.conformer(&item.molecule, &conformer.positions, &fields)?;
            }
        }
        Ok(())
    }

    /// Says what was done. Rows that failed are listed in a file beside the output, and make the exit code 3.
    fn end(&self, tally: &Tally, seconds: f64) -> Result<(), Failure> {
        let each = 1e3 * seconds / tally.conformers.max(1) as f64;
        self.settings.talk(&format!(
            "{} conformers of {} molecules, {:.1} % valid, {:.1} % with their stereochemistry, {each:.0} ms each",
            tally.conformers,
            tally.molecules,
            1e2 * tally.valid as f64 / tally.conformers.max(1) as f64,
            1e2 * tally.stereo_ok as f64 / tally.conformers.max(1) as f64,
        ));
        if self.settings.json && self.args.output != Path::new(output::STDOUT) {
            output::json(tally)?;
        }
        if tally.failed.is_empty() {
            return Ok(());
        }
        let mut said = format!("{} of {} molecules failed", tally.failed.len(), tally.failed.len() + tally.molecules);
        if self.args.output != Path::new(output::STDOUT) {
            let mut lines = Vec::new();
            for problem in &tally.failed {
                let line = serde_json::to_string(problem).map_err(|e| Failure::data("json", "a problem cannot be written").because(e))?;
                lines.extend_from_slice(line.as_bytes());
                lines.push(b'\n');
            }
            let path = beside(&self.args.output, "errors.jsonl");
            output::put(&path, &lines)?;
            said = format!("{said}; they are listed in {}", path.display());
        }
        Err(Failure::partial("smiles", said))
    }
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

/// Conformers that are no duplicates of earlier ones.
fn apart(molecule: &Molecule, conformers: Vec<Conformer>, least: f64, tally: &mut Tally) -> Vec<Conformer> {
    let rmsd = SymmetricRmsd::new(molecule, false);
    let mut kept: Vec<Conformer> = Vec::new();
    for conformer in conformers {
        if kept.iter().any(|earlier| rmsd.rmsd(&conformer.positions, &earlier.positions) < least) {
            tally.duplicates += 1;
        } else {
            kept.push(conformer);
        }
    }
    kept
}
