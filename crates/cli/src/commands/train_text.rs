//! `langevin train text`.

use std::path::PathBuf;

use langevin_core::process::categorical::CategoricalLoss;
use langevin_text::{
    Corpus, Tokenizer, TokenizerSpec,
    config::{BlockShare, ChainSpec, ModelConfig, ProcessSpec, RateSpec, ReverseSpec, TextConfig},
    task::TextTask,
};

use crate::{
    report::Failure,
    settings::Settings,
    text,
    training::{self, RunArgs},
    values,
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
    /// Tokenizer instead of the config's: char27, ascii, byte, bpe:1024
    #[arg(long, value_name = "NAME")]
    tokenizer: Option<TokenizerSpec>,
    /// Process instead of the config's: masking, autoregressive, or a chain with the kernel uniform, absorbing, gaussian, band:WIDTH,
    /// mask-and-replace:GAMMA, nearest:NEIGHBOURS
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Schedule of a chain: linear:START:END, cosine, cosine-squared, inverse-time, constant:BETA, mutual-information
    #[arg(long, value_name = "NAME")]
    schedule: Option<RateSpec>,
    /// Loss of a chain: vlb, ce, hybrid:LAMBDA
    #[arg(long, value_name = "NAME", value_parser = loss)]
    loss: Option<CategoricalLoss>,
    /// Reverse step of a chain: bayes, d3pm
    #[arg(long, value_name = "NAME")]
    reverse: Option<ReverseSpec>,
    /// Steps of a chain
    #[arg(long, value_name = "T", value_parser = values::whole(1..=4000))]
    chain_steps: Option<u32>,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let initial = args.run.initial()?;
    let (mut config, source) = args.run.config(initial.as_ref(), DEFAULT_CONFIG)?;
    let ModelConfig::D3pm(mut model) = text::model_config(&config, &source)?;
    args.run.check_folder()?;
    choose(args, &mut model)?;
    if model.tokenizer.unlearned() {
        let bytes = Tokenizer::new(&TokenizerSpec::Byte {})?;
        settings.talk(&format!("learning pairs of bytes for {}", model.tokenizer));
        model.tokenizer = model.tokenizer.learned(&Corpus::read(&args.corpus, &bytes, false, None)?);
    }
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
    model.process = model.process.learned(&train, tokenizer.classes())?;
    model.check()?;
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

/// Puts what the flags choose into the config.
fn choose(args: &Args, model: &mut TextConfig) -> Result<(), Failure> {
    if args.run.resume.is_some() || args.run.from.is_some() {
        let flags = [args.tokenizer.is_some(), args.kernel.is_some(), args.schedule.is_some(), args.reverse.is_some()];
        if flags.contains(&true) {
            return Err(Failure::usage(
                "tokenizer",
                "--tokenizer, --kernel, --schedule and --reverse go with a new model, not with --from or --resume",
            ));
        }
    }
    if let Some(tokenizer) = &args.tokenizer {
        model.tokenizer = tokenizer.clone();
    }
    let whole = |size| vec![BlockShare { size, share: 1.0 }];
    match args.kernel.as_deref() {
        None => {}
        Some("masking") => model.process = ProcessSpec::Masking {},
        Some("autoregressive") => {
            model.process = ProcessSpec::Masking {};
            model.blocks = whole(1);
            model.sampling.block = 1;
        }
        Some(kernel) => {
            model.process = ProcessSpec::Chain(ChainSpec { kernel: kernel.parse()?, ..ChainSpec::default() });
            model.blocks = whole(0);
            model.sampling.block = 0;
        }
    }
    match &mut model.process {
        ProcessSpec::Chain(chain) => {
            chain.schedule = args.schedule.clone().unwrap_or_else(|| chain.schedule.clone());
            chain.loss = args.loss.unwrap_or(chain.loss);
            chain.reverse = args.reverse.unwrap_or(chain.reverse);
            chain.steps = args.chain_steps.map_or(chain.steps, |steps| steps as usize);
        }
        ProcessSpec::Masking {}
            if args.schedule.is_some() || args.loss.is_some() || args.reverse.is_some() || args.chain_steps.is_some() =>
        {
            return Err(Failure::usage(
                "schedule",
                "--schedule, --loss, --reverse and --chain-steps are those of a chain; give its --kernel",
            ));
        }
        ProcessSpec::Masking {} => {}
    }
    Ok(())
}

/// A loss by its name.
fn loss(text: &str) -> Result<CategoricalLoss, String> {
    match (text, text.strip_prefix("hybrid:").map(str::parse)) {
        ("vlb", _) => Ok(CategoricalLoss::Vlb {}),
        ("ce", _) => Ok(CategoricalLoss::CrossEntropy {}),
        (_, Some(Ok(lambda))) => Ok(CategoricalLoss::Hybrid { lambda }),
        _ => Err("should be vlb, ce or hybrid:LAMBDA".to_owned()),
    }
}
