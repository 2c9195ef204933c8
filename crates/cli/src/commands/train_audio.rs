//! `langevin train audio`.

use std::path::PathBuf;

use langevin_audio::{
    ModelConfig,
    data::Recordings,
    task::{JudgeTask, PriorTask},
};
use langevin_engine::{Checkpoint, RunConfig, TrainOptions, state, train};
use langevin_nn::Trainable;

use crate::{audio, models, output, report::Failure, settings::Settings, values};

/// The config of the shipped prior: what training does when no other is given.
const DEFAULT_CONFIG: &str = include_str!("../../../../configs/audio-digits.toml");

/// Train a speech model on a folder of labelled WAV files
///
/// Files are named {label}_{speaker}_{take}.wav, or listed in a CSV with columns file,label,speaker. The best checkpoint on validation,
/// the log and the resumable state go to one folder. Ctrl-C saves the state first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin train audio --data clips/ -o run/")]
pub(crate) struct Args {
    /// Training recordings: a folder or a CSV manifest
    #[arg(long, value_name = "DIR|CSV")]
    data: PathBuf,
    /// Validation recordings; every tenth training recording is held out when absent
    #[arg(long, value_name = "DIR|CSV")]
    valid: Option<PathBuf>,
    /// Config; its [model] kind names the architecture [default: that of the shipped audio-digits]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "resume"])]
    config: Option<PathBuf>,
    /// Start from the weights and config of a checkpoint (a shipped name or a file)
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// Continue the run of this folder to the same bits
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    resume: Option<PathBuf>,
    /// Folder of the run
    #[arg(short, long, value_name = "DIR", required_unless_present = "resume")]
    output: Option<PathBuf>,
    /// Train this many steps instead of the config's
    #[arg(long, value_name = "N", value_parser = values::whole(1..=100_000_000))]
    steps: Option<u32>,
    /// Seed instead of the config's
    #[arg(long, value_name = "N", value_parser = values::seed, conflicts_with = "resume")]
    seed: Option<u64>,
    /// Start anew in a folder that already holds a run
    #[arg(long)]
    force: bool,
    /// Print the effective config and sizes, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let initial = args.from.as_deref().map(models::open).transpose()?;
    let folder = args.resume.as_ref().or(args.output.as_ref()).ok_or_else(|| Failure::usage("output", "give -o DIR or --resume DIR"))?;
    let mut config = config(args, initial.as_ref())?;
    let source = args.config.clone().or_else(|| args.from.clone()).unwrap_or_else(|| PathBuf::from(&config.name));
    let mut model = audio::model_config(&config, &source)?;
    if args.resume.is_none() && folder.join(state::STATE_FILE).exists() && !args.force {
        return Err(Failure::data("output", format!("{} already holds a run", folder.display()))
            .help(format!("continue it with --resume {}, choose another folder, or give --force to start anew", folder.display())));
    }

    let mut recordings = Recordings::read(&args.data, model.rate())?;
    let held = match &args.valid {
        Some(valid) => Recordings::read(valid, model.rate())?,
        None => recordings.hold_out(),
    };
    for note in recordings.notes.iter().chain(&held.notes) {
        settings.talk(&format!("note: {note}"));
    }
    if held.items.is_empty() {
        return Err(Failure::data("data", "there are too few recordings to hold some out for validation").help("give --valid DIR"));
    }
    if model.vocabulary().labels.is_empty() && model.vocabulary().speakers.is_empty() {
        *model.vocabulary_mut() = recordings.vocabulary();
        config.model = toml::Table::try_from(&model).map_err(|e| Failure::data("config", "the config cannot be completed").because(e))?;
    }
    settings.talk(&format!(
        "{} training and {} validation recordings, {} labels, {} speakers, seed {}",
        recordings.items.len(),
        held.items.len(),
        model.vocabulary().labels.len(),
        model.vocabulary().speakers.len(),
        config.seed
    ));
    if args.dry_run {
        let text = toml::to_string(&config).map_err(|e| Failure::data("config", "the config cannot be printed").because(e))?;
        return output::data(text.as_bytes());
    }
    let (seed, batch) = (config.seed, config.train.batch);
    match &model {
        ModelConfig::Prior(prior) => {
            let constants = match &args.resume {
                Some(folder) => Some(state::constants_of(folder)?),
                None => initial.as_ref().map(Checkpoint::constants),
            };
            let task = PriorTask::new(prior, seed, batch, constants.as_deref(), &recordings, &held)?;
            drive(&task, &config, args, initial.as_ref(), folder, settings)
        }
        ModelConfig::Judge(judge) => {
            drive(&JudgeTask::new(judge, seed, batch, &recordings, &held)?, &config, args, initial.as_ref(), folder, settings)
        }
    }
}

/// The config of this run, with what the flags change.
fn config(args: &Args, initial: Option<&Checkpoint>) -> Result<RunConfig, Failure> {
    let mut config = match (&args.resume, &args.config, initial) {
        (Some(folder), _, _) => state::config_of(folder)?,
        (_, Some(path), _) => {
            let text = std::fs::read_to_string(path).map_err(|e| Failure::io(path, e))?;
            RunConfig::parse(path, &text)?
        }
        (_, _, Some(checkpoint)) => checkpoint.header.config.clone(),
        _ => RunConfig::parse("audio-digits.toml".as_ref(), DEFAULT_CONFIG)?,
    };
    config.train.steps = args.steps.unwrap_or(config.train.steps);
    config.seed = args.seed.unwrap_or(config.seed);
    config.train.check()?;
    Ok(config)
}

fn drive<T: Trainable>(
    task: &T,
    config: &RunConfig,
    args: &Args,
    initial: Option<&Checkpoint>,
    folder: &std::path::Path,
    settings: &Settings,
) -> Result<(), Failure> {
    let device = settings.open_device()?;
    let workers = settings.workers()?;
    let cancel = settings.cancel();
    let claimed = output::Folder::claim(folder)?;
    // The same whether the run was resumed or not, and without the paths of one machine.
    let command = format!("langevin train audio --config configs/{}.toml --data TRAIN --valid VALID -o RUN", config.name);
    let options = TrainOptions {
        folder: claimed.path(),
        resume: args.resume.is_some(),
        initial,
        command,
        device: &device,
        workers: &workers,
        cancel: &cancel,
        verbosity: settings.verbosity,
    };
    let outcome = train(task, config, &options)?;
    settings.talk(&format!(
        "best validation score {:.5} at step {}, {:.0} s; {}",
        outcome.best_score,
        outcome.best_step,
        outcome.seconds,
        outcome.model.display()
    ));
    if settings.json {
        return output::json(&serde_json::json!({
            "model": outcome.model, "best_step": outcome.best_step, "best_score": outcome.best_score, "seconds": outcome.seconds
        }));
    }
    Ok(())
}
