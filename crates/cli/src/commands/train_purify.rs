//! `langevin train purify`.

use std::path::PathBuf;

use langevin_engine::{Checkpoint, state};
use langevin_purify::task::PurifyTask;

use crate::{
    purify,
    report::Failure,
    settings::Settings,
    training::{self, RunArgs},
};

/// The config of the shipped purifier of clips: what training does when no other is given.
const DEFAULT_CONFIG: (&str, &str) = ("purify-digits.toml", include_str!("../../../../configs/purify-digits.toml"));

/// Train a purifier on labelled clips, or on the rows of a table
///
/// Clips are a folder of WAV files named {label}_{speaker}_{take}.wav, or a CSV with columns file,label,speaker; rows are a CSV of numbers
/// with one column of classes. The classifier that is to be protected is not needed, and not seen.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin train purify --config configs/purify-breast-cancer.toml --data rows.csv -o run/")]
pub(crate) struct Args {
    /// Training data: a folder or manifest of clips, or a CSV of rows
    #[arg(long, value_name = "DIR|CSV")]
    data: PathBuf,
    /// Validation data; every tenth training example is held out when absent
    #[arg(long, value_name = "DIR|CSV")]
    valid: Option<PathBuf>,
    /// Column of the class in a CSV of rows: its name, or its number from 0 [default: found by name or by its few whole numbers]
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let initial = args.run.initial()?;
    let (mut config, source) = args.run.config(initial.as_ref(), DEFAULT_CONFIG)?;
    let mut model = purify::model_config(&config, &source)?;
    args.run.check_folder()?;

    let mut train = purify::read_examples(&model, &args.data, args.label.as_deref(), settings)?;
    let valid = match &args.valid {
        Some(valid) => purify::read_examples(&model, valid, args.label.as_deref(), settings)?,
        None => train.hold_out(),
    };
    if valid.rows.is_empty() {
        return Err(Failure::data("data", "there are too few examples to hold some out for validation").help("give --valid"));
    }
    if valid.columns() != train.columns() {
        return Err(Failure::data("data", format!("training rows have {} numbers, validation rows {}", train.columns(), valid.columns())));
    }
    model.fill_in(&train.names, train.columns())?;
    config.model = toml::Table::try_from(&model).map_err(|e| Failure::data("config", "the config cannot be completed").because(e))?;
    settings.talk(&format!(
        "{} training and {} validation examples of {} numbers, {} classes, seed {}",
        train.rows.len(),
        valid.rows.len(),
        train.columns(),
        model.classes().len(),
        config.seed
    ));
    if args.run.dry_run {
        return training::show(&config);
    }
    let constants = match &args.run.resume {
        Some(folder) => Some(state::constants_of(folder)?),
        None => initial.as_ref().map(Checkpoint::constants),
    };
    let task = PurifyTask::new(&model, config.seed, constants.as_deref(), train, valid)?;
    args.run.drive(&task, &config, initial.as_ref(), settings)
}
