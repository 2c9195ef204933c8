//! The program `langevin`: arguments in, exit code out. Each command is one file in `commands/`.

mod args;
mod audio;
mod commands;
mod env;
mod models;
mod molecule;
mod output;
mod purify;
mod report;
mod sampling;
mod series;
mod settings;
mod text;
mod training;
mod values;

use std::process::ExitCode;

use report::{Exit, Failure};

fn main() -> ExitCode {
    report::install_panic_hook();
    match args::parse() {
        Ok(cli) => run(cli).map_or_else(|failure| failure.report(), |()| Exit::Done.into()),
        Err(code) => code,
    }
}

fn run(cli: args::Cli) -> Result<(), Failure> {
    let settings = settings::Settings::check(&cli.globals)?;
    // Before any call into burn, and while there is one thread.
    langevin_engine::device::pin(settings.device.name)?;
    commands::run(cli.command, &settings)
}
