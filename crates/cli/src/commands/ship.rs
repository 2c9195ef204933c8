//! `langevin ship`.

use std::path::{Path, PathBuf};

use langevin_core::recipe::Sampling;
use langevin_engine::{Checkpoint, MODEL_FILE, card::Metric, checkpoint::Precision};

use serde::{Serialize, de::DeserializeOwned};

use crate::{args::WriteArgs, output, report::Failure, sampling, settings::Settings, text};

/// Pack the best checkpoint of a run for others: half precision, with date, training time and measured scores on its card
///
/// Writes the checkpoint and, beside it, the card as Markdown.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin ship run/ -o model.safetensors --date 2026-11-22 --scores scores.json")]
pub(crate) struct Args {
    /// Folder of a training run, or a checkpoint
    #[arg(value_name = "RUN|FILE")]
    run: PathBuf,
    /// The packed checkpoint
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Store single precision
    #[arg(long)]
    f32: bool,
    /// Day it was made, YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    date: Option<String>,
    /// Training time and machine, in words
    #[arg(long, value_name = "TEXT")]
    training_time: Option<String>,
    /// Output of `langevin eval ... --json` on this checkpoint
    #[arg(long, value_name = "FILE", requires = "measured_by")]
    scores: Option<PathBuf>,
    /// The command that measured the scores
    #[arg(long, value_name = "COMMAND", requires = "scores")]
    measured_by: Option<String>,
    /// TOML file whose [sampling] table the checkpoint is to be sampled by, as chosen on validation data
    #[arg(long, value_name = "FILE")]
    sampling: Option<PathBuf>,
    #[command(flatten)]
    write: WriteArgs,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let path = if args.run.is_dir() { args.run.join(MODEL_FILE) } else { args.run.clone() };
    let mut checkpoint = Checkpoint::read(&path)?;
    let card = args.output.with_extension("md");
    output::claim(&args.output, args.write.force)?;
    output::claim(&card, args.write.force)?;
    if let Some(path) = &args.sampling {
        let config = &mut checkpoint.header.config;
        let table = if config.domain == text::DOMAIN {
            chosen::<langevin_text::config::Sampling>(path, &config.model, |sampling| Ok(sampling.check()?))?
        } else {
            chosen::<Sampling>(path, &config.model, |sampling| Ok(sampling.check()?))?
        };
        config.model.insert("sampling".to_owned(), table);
    }
    checkpoint.header.card.date.clone_from(&args.date);
    checkpoint.header.card.training_time.clone_from(&args.training_time);
    if let (Some(scores), Some(command)) = (&args.scores, &args.measured_by) {
        let text = std::fs::read_to_string(scores).map_err(|e| Failure::io(scores, e))?;
        let wrong = || Failure::data("scores", format!("{} is not the output of `langevin eval --json`", scores.display()));
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| wrong().because(e))?;
        let numbers = value.get("scores").and_then(|s| s.as_object()).ok_or_else(wrong)?;
        let metric = |(name, value): (&String, &serde_json::Value)| {
            value.as_f64().map(|value| Metric { name: name.clone(), value, command: command.clone() })
        };
        // What other commands measured stays.
        let metrics = &mut checkpoint.header.card.metrics;
        metrics.retain(|metric| metric.command != *command);
        metrics.extend(numbers.iter().filter_map(metric));
    }
    if args.write.dry_run {
        return output::data(checkpoint.header.card.to_markdown(&checkpoint.header.config.name).as_bytes());
    }
    checkpoint.write(&args.output, if args.f32 { Precision::F32 } else { Precision::F16 })?;
    output::put(&card, checkpoint.header.card.to_markdown(&checkpoint.header.config.name).as_bytes())?;
    settings.talk(&format!("{} ({}), card {}", args.output.display(), checkpoint.hash, card.display()));
    Ok(())
}

/// The `[model.sampling]` of a checkpoint with what a file's `[sampling]` changes, checked.
fn chosen<S: Serialize + DeserializeOwned>(
    path: &Path,
    model: &toml::Table,
    check: impl Fn(&S) -> Result<(), Failure>,
) -> Result<toml::Value, Failure> {
    let own = model.get("sampling").cloned().unwrap_or_else(|| toml::Value::Table(toml::Table::new()));
    let wrong = |e: toml::de::Error| Failure::data("config", "the checkpoint's own [model.sampling] cannot be read").because(e);
    let chosen = sampling::overlay(path, &own.try_into::<S>().map_err(wrong)?)?;
    check(&chosen)?;
    toml::Value::try_from(&chosen).map_err(|e| Failure::data("config", "the settings cannot be written").because(e))
}
