//! `langevin purify`, and below it `attack` and `certify`.

mod attack;
mod certify;
mod clean;

use std::path::PathBuf;

use clap::Subcommand;

use crate::{
    args::{SeedArg, WriteArgs},
    purify::{ProtectArgs, WalkArgs},
    report::Failure,
    settings::Settings,
    values,
};

/// Clean adversarial inputs before a classifier reads them
///
/// Every input is drowned in a little noise and walked back to clean data, once for each vote; the classifier's votes decide, and what they
/// agree on is written: one WAV for each WAV, of the same name, or a CSV with the same columns. What this is worth for a classifier is
/// measured by `langevin eval purify`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Example: langevin purify --classifier model.onnx --input clips/ -o clean/ --report report.json")]
pub(crate) struct Args {
    #[command(subcommand)]
    below: Option<Below>,
    #[command(flatten)]
    protect: Option<ProtectArgs>,
    #[command(flatten)]
    walk: WalkArgs,
    /// Largest change of a number that an attacker may have made, in the inputs' units: sets the noise
    #[arg(long, value_name = "E", value_parser = values::number(1e-9..=1e6))]
    eps: Option<f64>,
    /// Add the denoising error of each input, in deviations of clean ones. The report's `shift`, from 0 to 2, is always there: how far
    /// purification moves the classifier's decision, which tells attacks on the classifier alone
    #[arg(long)]
    detect: bool,
    /// File for what was found of each input, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Purified WAV (for a WAV), folder (for a folder), or CSV (for a CSV)
    #[arg(short, long, value_name = "FILE|DIR|CSV", required = true)]
    output: Option<PathBuf>,
    #[command(flatten)]
    seed: SeedArg,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "parsed once")]
enum Below {
    Attack(attack::Args),
    Certify(certify::Args),
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    match &args.below {
        Some(Below::Attack(args)) => attack::run(args, settings),
        Some(Below::Certify(args)) => certify::run(args, settings),
        None => {
            let missing = || Failure::usage("arguments", "give --classifier, --input and -o; see `langevin purify --help`");
            let protect = args.protect.as_ref().ok_or_else(missing)?;
            clean::run(args, protect, args.output.as_deref().ok_or_else(missing)?, settings)
        }
    }
}
