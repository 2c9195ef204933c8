//! `langevin train audio`.

use std::path::PathBuf;

use langevin_audio::{
    ModelConfig,
    task::{DiffWaveTask, JudgeTask, PriorTask, WaveTask},
};
use langevin_engine::{Checkpoint, state};

use crate::{
    audio,
    report::Failure,
    settings::Settings,
    training::{self, RunArgs},
};

/// The config of the shipped prior: what training does when no other is given.
const DEFAULT_CONFIG: (&str, &str) = ("audio-digits.toml", include_str!("../../../../configs/audio-digits.toml"));

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
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let initial = args.run.initial()?;
    let (mut config, source) = args.run.config(initial.as_ref(), DEFAULT_CONFIG)?;
    let mut model = audio::model_config(&config, &source)?;
    args.run.check_folder()?;

    let mut recordings = audio::recordings(&args.data, model.rate(), settings)?;
    let held = match &args.valid {
        Some(valid) => audio::recordings(valid, model.rate(), settings)?,
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
    if args.run.dry_run {
        return training::show(&config);
    }
    let (seed, batch) = (config.seed, config.train.batch);
    let constants = || match &args.run.resume {
        Some(folder) => Ok::<_, Failure>(Some(state::constants_of(folder)?)),
        None => Ok(initial.as_ref().map(Checkpoint::constants)),
    };
    match &model {
        ModelConfig::Prior(prior) => {
            let constants = constants()?;
            let task = PriorTask::new(prior, seed, batch, constants.as_deref(), &recordings, &held)?;
            args.run.drive(&task, &config, initial.as_ref(), settings)
        }
        ModelConfig::Wave(wave) => {
            let constants = constants()?;
            let task = WaveTask::new(wave, seed, batch, constants.as_deref(), &recordings, &held)?;
            args.run.drive(&task, &config, initial.as_ref(), settings)
        }
        ModelConfig::DiffWave(diffwave) => {
            let task = DiffWaveTask::new(diffwave, seed, batch, &recordings, &held)?;
            args.run.drive(&task, &config, initial.as_ref(), settings)
        }
        ModelConfig::Judge(judge) => {
            let task = JudgeTask::new(judge, seed, batch, &recordings, &held)?;
            args.run.drive(&task, &config, initial.as_ref(), settings)
        }
    }
}
