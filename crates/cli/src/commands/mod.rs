//! The commands: one file each, with its `Args` (whose comment is the help text) and its `run`.
//!
//! A new command is a file here and its three lines below. A command of a domain (`gen audio`) has them in `domains.rs`.

mod completions;
mod distill_audio;
mod doctor;
mod domains;
mod eval_audio;
mod eval_molecule;
mod eval_series;
mod eval_text;
mod explain;
mod gen_audio;
mod gen_molecule;
mod gen_text;
mod impute_series;
mod infilled_text;
mod info;
mod likelihood_audio;
mod likelihood_text;
mod list;
mod merge;
mod pairs_audio;
mod selftest;
mod ship;
mod train_audio;
mod train_molecule;
mod train_purify;
mod train_series;
mod train_text;
mod tune_audio;

use clap::Subcommand;

use crate::{report::Failure, settings::Settings};

/// What the program can do.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "parsed once")]
pub(crate) enum Command {
    Gen(domains::Gen),
    Impute(domains::Impute),
    Train(domains::Train),
    Distill(domains::Distill),
    Eval(domains::Eval),
    Tune(domains::Tune),
    Merge(merge::Args),
    Explain(explain::Args),
    Info(info::Args),
    List(list::Args),
    Doctor(doctor::Args),
    Selftest(selftest::Args),
    Ship(ship::Args),
    Completions(completions::Args),
}

/// Runs one.
///
/// # Errors
/// Whatever keeps it from succeeding; see [`Failure`].
pub(crate) fn run(command: Command, settings: &Settings) -> Result<(), Failure> {
    if matches!(command, Command::Train(_) | Command::Distill(_)) {
        langevin_engine::memory::keep_freed();
    }
    match command {
        Command::Gen(domain) => domain.run(settings),
        Command::Impute(domain) => domain.run(settings),
        Command::Train(domain) => domain.run(settings),
        Command::Distill(domain) => domain.run(settings),
        Command::Eval(domain) => domain.run(settings),
        Command::Tune(domain) => domain.run(settings),
        Command::Merge(args) => merge::run(&args, settings),
        Command::Explain(args) => explain::run(&args, settings),
        Command::Info(args) => info::run(&args, settings),
        Command::List(args) => list::run(&args, settings),
        Command::Doctor(args) => doctor::run(&args, settings),
        Command::Selftest(args) => selftest::run(&args, settings),
        Command::Ship(args) => ship::run(&args, settings),
        Command::Completions(args) => completions::run(&args),
    }
}
