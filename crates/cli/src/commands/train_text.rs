//! `langevin train text`.

use std::path::PathBuf;

use langevin_text::{Tokenizer, config::ModelConfig, corpus::Corpus, task::TextTask};

use crate::{
    report::Failure,
    settings::Settings,
    text,
    training::{self, RunArgs},
};

/// The config of the shipped model: what training does when no other is given.
const DEFAULT_CONFIG: (&str, &str) = ("text-novels.toml", include_str!("../../../../configs/text-novels.toml"));

/// One part in so many at the end of a corpus validates when no other text does.
const HELD_OUT: usize = 20;

/// Train a text model on a corpus
///
/// A corpus is a text file (.txt, .txt.gz) or a folder of them, whose sub-folders are labels. The best checkpoint on validation, the log and the
/// resumable state go to one folder. Ctrl-C saves the state first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin train text --corpus novels/ --tokenizer ascii -o run/")]
pub(crate) struct Args {
    /// Text file or folder to learn from
    #[arg(long, value_name = "PATH")]
    corpus: PathBuf,
    /// Text file or folder to validate on [default: the last twentieth of the corpus]
    #[arg(long, value_name = "PATH")]
    valid: Option<PathBuf>,
    /// Table `label,characters` of the texts in a corpus of one file
    #[arg(long, value_name = "CSV")]
    labels: Option<PathBuf>,
    /// Map characters outside the alphabet to ones inside
    #[arg(long)]
    normalise: bool,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let initial = args.run.initial()?;
    let (mut config, source) = args.run.config(initial.as_ref(), DEFAULT_CONFIG)?;
    let ModelConfig::D3pm(mut model) = text::model_config(&config, &source)?;
    args.run.check_folder()?;
    let tokenizer = Tokenizer::new(&model.tokenizer)?;
    let train = Corpus::read(&args.corpus, &tokenizer, args.normalise, args.labels.as_deref())?;
    let (train, valid) = match &args.valid {
        Some(path) => (train, Corpus::read(path, &tokenizer, args.normalise, None)?),
        None => {
            let at = train.tokens().len() - train.tokens().len() / HELD_OUT;
            train.split(at)
        }
    };
    if model.labels.is_empty() {
        model.labels = train.labels().to_vec();
    }
    let train = train.with_labels(&model.labels)?;
    let valid = valid.with_labels(&model.labels)?;
    let model = ModelConfig::D3pm(model);
    config.model = toml::Table::try_from(&model).map_err(|e| Failure::data("config", "the config cannot be completed").because(e))?;
    if args.run.dry_run {
        return training::show(&config);
    }
    let ModelConfig::D3pm(model) = model;
    let task = TextTask::new(&model, config.seed, config.train.micro_batch, train, &valid)?;
    let (tokens, windows) = task.len();
    settings.talk(&format!("{tokens} tokens to learn from, {windows} windows to validate on, seed {}", config.seed));
    args.run.drive(&task, &config, initial.as_ref(), settings)
}
