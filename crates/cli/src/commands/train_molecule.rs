//! `langevin train molecule`.

use std::path::{Path, PathBuf};

use langevin_engine::{Checkpoint, RunConfig};
use langevin_molecule::{
    config::{ConformerConfig, ModelConfig},
    data::{Example, Examples, Mixture},
    geometry::BoundsTable,
    io::{Columns, Entries, JsonlReader, Record},
    model::denovo::{DenovoConfig, Vocabulary},
    task::{ConformerTask, denovo::DenovoTask, geodiff::GeoDiffTask},
};

use crate::{
    molecule,
    report::Failure,
    settings::Settings,
    training::{self, RunArgs},
};

/// The config of the shipped conformer model: what training does when no other is given.
const DEFAULT_CONFIG: (&str, &str) = ("molecule.toml", include_str!("../../../../configs/molecule.toml"));

/// Of strings without validation files one in so many validates.
const HELD_OUT: usize = 50;

/// Train a molecule model on conformers
///
/// Data are JSON lines of conformers (.jsonl, .jsonl.gz) or SDF files (.sdf, .sdf.gz) with all hydrogens. The best checkpoint on validation,
/// the log and the resumable state go to one folder. Ctrl-C saves the state first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin train molecule --data train.jsonl.gz --valid valid.jsonl.gz -o run/")]
pub(crate) struct Args {
    /// Training conformers; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    data: Vec<PathBuf>,
    /// Validation conformers; may be given several times [default for strings: every fiftieth of the data]
    #[arg(long, value_name = "FILE")]
    valid: Vec<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let initial = args.run.initial()?;
    let (config, source) = args.run.config(initial.as_ref(), DEFAULT_CONFIG)?;
    let model = molecule::model_config(&config, &source)?;
    args.run.check_folder()?;
    if args.run.dry_run {
        return training::show(&config);
    }
    if args.valid.is_empty() && !matches!(model, ModelConfig::Denovo(_)) {
        return Err(Failure::usage("valid", "a model of conformers needs --valid FILE"));
    }
    let (seed, train) = (config.seed, config.train);
    match model {
        ModelConfig::Conformer(model) => {
            let mut sets = Vec::new();
            // Lengths and angles of the first set come first: it is of the level that is sampled by default.
            let mut bounds = BoundsTable::default();
            for path in &args.data {
                let records = records(path)?;
                bounds.fill_from(&BoundsTable::fit(&records));
                sets.push(Examples::new(examples(&records, path, &model, settings)?)?);
            }
            let mut valid = Vec::new();
            for path in &args.valid {
                valid.extend(examples(&records(path)?, path, &model, settings)?);
            }
            let mixture = Mixture::new(sets, &model.shares)?;
            let task = ConformerTask::new(&model, seed, [train.batch, train.micro_batch], mixture, Examples::new(valid)?, bounds)?;
            args.run.drive(&task, &config, initial.as_ref(), settings)
        }
        ModelConfig::Geodiff(model) => {
            let task = GeoDiffTask::new(&model, seed, &all(&args.data)?, &all(&args.valid)?)?;
            args.run.drive(&task, &config, initial.as_ref(), settings)
        }
        ModelConfig::Denovo(model) => denovo(args, model, config, initial.as_ref(), settings),
    }
}

/// Trains on strings.
fn denovo(
    args: &Args,
    mut model: DenovoConfig,
    mut config: RunConfig,
    initial: Option<&Checkpoint>,
    settings: &Settings,
) -> Result<(), Failure> {
    let mut train = strings(&args.data, settings)?;
    let mut valid = strings(&args.valid, settings)?;
    if args.valid.is_empty() {
        let held = |k: usize| k % HELD_OUT == HELD_OUT - 1;
        let of_part = |part: bool| train.iter().enumerate().filter(move |(k, _)| held(*k) == part).map(|(_, smiles)| smiles.clone());
        (valid, train) = (of_part(true).collect(), of_part(false).collect());
    }
    if model.tokens.is_empty() {
        model.tokens = Vocabulary::of(train.iter().map(String::as_str));
        config.model = toml::Table::try_from(ModelConfig::Denovo(model.clone()))
            .map_err(|e| Failure::data("config", "the config cannot be completed").because(e))?;
    }
    let task = DenovoTask::new(&model, config.seed, config.train.micro_batch, &train, &valid)?;
    let (learned, validated) = task.len();
    settings.talk(&format!("{learned} strings to learn, {validated} to validate on, {} tokens", model.tokens.len()));
    args.run.drive(&task, &config, initial, settings)
}

/// Reads the strings of some files.
fn strings(paths: &[PathBuf], settings: &Settings) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        let before = all.len();
        for entry in Entries::open(path, &Columns::default())? {
            all.extend(entry?.smiles().map(str::to_owned));
        }
        settings.talk(&format!("{}: {} strings", path.display(), all.len() - before));
    }
    Ok(all)
}

/// Reads a file of conformers.
fn records(path: &Path) -> Result<Vec<Record>, Failure> {
    Ok(JsonlReader::open(path)?.collect::<Result<_, _>>()?)
}

/// Reads several files of conformers.
fn all(paths: &[PathBuf]) -> Result<Vec<Record>, Failure> {
    Ok(paths.iter().map(|path| records(path)).collect::<Result<Vec<_>, _>>()?.concat())
}

/// Molecules of a file as examples.
fn examples(records: &[Record], path: &Path, model: &ConformerConfig, settings: &Settings) -> Result<Vec<Example>, Failure> {
    let mut examples = Vec::new();
    for record in records {
        // A file that does not say its level is taken for the first.
        let level = model.levels.iter().position(|level| *level == record.level || record.level.is_empty()).ok_or_else(|| {
            Failure::data("data", format!("{}: {}: level '{}' is none of the config's", path.display(), record.name, record.level))
                .help(format!("its levels are: {}", model.levels.join(", ")))
        })?;
        let even = vec![1.0; record.conformers.len()];
        let weights = if record.weights.is_empty() { &even } else { &record.weights };
        let example = Example::new(&record.molecule, &record.conformers, weights, level);
        examples.push(example.map_err(|e| Failure::data("data", format!("{}: {}: {e}", path.display(), record.name)))?);
    }
    let conformers: usize = records.iter().map(|record| record.conformers.len()).sum();
    let centres: usize = examples.iter().map(|example| example.features.centres.len()).sum();
    settings.talk(&format!("{}: {} molecules, {conformers} conformers, {centres} centres", path.display(), examples.len()));
    Ok(examples)
}
