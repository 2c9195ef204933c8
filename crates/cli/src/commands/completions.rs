//! `langevin completions SHELL`.

use clap_complete::Shell;

use crate::{args, output, report::Failure};

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin completions bash > ~/.local/share/bash-completion/completions/langevin")]
pub(crate) struct Args {
    /// Shell to complete in
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "langevin", &mut script);
    output::data(&script)
}
