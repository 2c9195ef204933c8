//! The commands that every kind of data has: which domains each of them knows.

use clap::Subcommand;

use super::{
    distill_audio, eval_audio, eval_molecule, eval_series, eval_text, gen_audio, gen_molecule, gen_text, impute_series, train_audio,
    train_molecule, train_purify, train_series, train_text, tune_audio,
};
use crate::{report::Failure, settings::Settings};

/// Generate data
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Example: langevin gen audio --label 7 -n 8 -o out/")]
pub(crate) struct Gen {
    #[command(subcommand)]
    domain: GenDomain,
}

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "DOMAIN", subcommand_help_heading = "Domains")]
#[allow(clippy::large_enum_variant, reason = "parsed once")]
enum GenDomain {
    Audio(gen_audio::Args),
    Molecule(gen_molecule::Args),
    Text(gen_text::Args),
}

impl Gen {
    pub(super) fn run(&self, settings: &Settings) -> Result<(), Failure> {
        match &self.domain {
            GenDomain::Audio(args) => gen_audio::run(args, settings),
            GenDomain::Molecule(args) => gen_molecule::run(args, settings),
            GenDomain::Text(args) => gen_text::run(args, settings),
        }
    }
}

/// Fill what is missing in data
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Example: langevin impute series plant.csv -o filled.csv")]
pub(crate) struct Impute {
    #[command(subcommand)]
    domain: ImputeDomain,
}

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "DOMAIN", subcommand_help_heading = "Domains")]
#[allow(clippy::large_enum_variant, reason = "parsed once")]
enum ImputeDomain {
    Series(impute_series::Args),
}

impl Impute {
    pub(super) fn run(&self, settings: &Settings) -> Result<(), Failure> {
        match &self.domain {
            ImputeDomain::Series(args) => impute_series::run(args, settings),
        }
    }
}

/// Train a model on your own data
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Example: langevin train audio --data clips/ -o run/")]
pub(crate) struct Train {
    #[command(subcommand)]
    domain: TrainDomain,
}

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "DOMAIN", subcommand_help_heading = "Domains")]
enum TrainDomain {
    Audio(train_audio::Args),
    Molecule(train_molecule::Args),
    Purify(train_purify::Args),
    Series(train_series::Args),
    Text(train_text::Args),
}

impl Train {
    pub(super) fn run(&self, settings: &Settings) -> Result<(), Failure> {
        match &self.domain {
            TrainDomain::Audio(args) => train_audio::run(args, settings),
            TrainDomain::Molecule(args) => train_molecule::run(args, settings),
            TrainDomain::Purify(args) => train_purify::run(args, settings),
            TrainDomain::Series(args) => train_series::run(args, settings),
            TrainDomain::Text(args) => train_text::run(args, settings),
        }
    }
}

/// Distil a model into one that samples in fewer steps
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Example: langevin distill audio --data clips/ --stop-at 4 -o run/")]
pub(crate) struct Distill {
    #[command(subcommand)]
    domain: DistillDomain,
}

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "DOMAIN", subcommand_help_heading = "Domains")]
enum DistillDomain {
    Audio(distill_audio::Args),
}

impl Distill {
    pub(super) fn run(&self, settings: &Settings) -> Result<(), Failure> {
        match &self.domain {
            DistillDomain::Audio(args) => distill_audio::run(args, settings),
        }
    }
}

/// Measure how good generated data is
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Example: langevin eval audio out/")]
pub(crate) struct Eval {
    #[command(subcommand)]
    domain: EvalDomain,
}

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "DOMAIN", subcommand_help_heading = "Domains")]
#[allow(clippy::large_enum_variant, reason = "parsed once")]
enum EvalDomain {
    Audio(eval_audio::Args),
    Molecule(eval_molecule::Args),
    Series(eval_series::Args),
    Text(eval_text::Args),
}

impl Eval {
    pub(super) fn run(&self, settings: &Settings) -> Result<(), Failure> {
        match &self.domain {
            EvalDomain::Audio(args) => eval_audio::run(args, settings),
            EvalDomain::Molecule(args) => eval_molecule::run(args, settings),
            EvalDomain::Series(args) => eval_series::run(args, settings),
            EvalDomain::Text(args) => eval_text::run(args, settings),
        }
    }
}

/// Find the cheapest way to sample a model
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Example: langevin tune audio --tolerance 0.05")]
pub(crate) struct Tune {
    #[command(subcommand)]
    domain: TuneDomain,
}

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "DOMAIN", subcommand_help_heading = "Domains")]
enum TuneDomain {
    Audio(tune_audio::Args),
}

impl Tune {
    pub(super) fn run(&self, settings: &Settings) -> Result<(), Failure> {
        match &self.domain {
            TuneDomain::Audio(args) => tune_audio::run(args, settings),
        }
    }
}
