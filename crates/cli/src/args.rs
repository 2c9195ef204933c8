//! The command line: the program's own flags, and groups of flags that commands share by name.

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{
    CommandFactory as _, FromArgMatches as _, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};
use langevin_engine::{Shard, device};

use crate::{
    commands::Command,
    report::{Exit, Failure},
    settings::Settings,
    values,
};

/// Generate and repair data that is not pictures, with diffusion models inside one program.
#[derive(Debug, Parser)]
#[command(name = "langevin", version = version(), arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "Example: langevin gen audio --label 7 -n 8 -o out/\n\nExit codes: 0 done, 1 input or data wrong, 2 usage, 3 done but for some rows, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) globals: Globals,
}

/// Flags of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Globals {
    /// Device to compute on; `langevin doctor` lists them [env: LANGEVIN_DEVICE] [default: flex]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// Worker threads [env: LANGEVIN_THREADS] [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = values::threads)]
    pub(crate) threads: Option<u32>,
    /// Print JSON, each object with a schema_version
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print what a developer wants to know
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// `--seed`, for commands that draw random numbers.
#[derive(Debug, clap::Args)]
pub(crate) struct SeedArg {
    /// Seed of all random numbers; the same seed gives the same result [default: 0]
    #[arg(long, value_name = "N", value_parser = values::seed)]
    pub(crate) seed: Option<u64>,
}

/// Seed when none is given.
pub(crate) const DEFAULT_SEED: u64 = 0;

impl SeedArg {
    /// The seed of this run, told on stderr. `otherwise` is what a config or a checkpoint says, if one does.
    pub(crate) fn chosen(&self, otherwise: Option<u64>, settings: &Settings) -> u64 {
        let seed = self.seed.or(otherwise).unwrap_or(DEFAULT_SEED);
        settings.talk(&format!("seed {seed}"));
        seed
    }
}

/// `--force` and `--dry-run`, for commands that write files.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct WriteArgs {
    /// Replace files that are already there
    #[arg(long)]
    pub(crate) force: bool,
    /// Print the effective settings and what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `--shard`, for commands that handle rows.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct ShardArg {
    /// Do part I of N only, counted from 0; the parts together are the whole job
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
}

impl ShardArg {
    /// The part to do; the whole job without the flag.
    pub(crate) fn part(self) -> Shard {
        self.shard.unwrap_or(Shard::WHOLE)
    }
}

/// Version and devices of this build.
fn version() -> &'static str {
    static VERSION: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let built: Vec<_> = device::KINDS.iter().filter(|kind| kind.built).map(|kind| kind.name).collect();
        format!("{} (devices: {})", env!("CARGO_PKG_VERSION"), built.join(", "))
    });
    &VERSION
}

/// The definition of the command line.
pub(crate) fn command() -> clap::Command {
    fn with_negative_values(command: clap::Command) -> clap::Command {
        // `-n -3` should reach the parser that says what is wrong with it, and not be taken for a flag.
        let command = command.mut_args(|arg| if arg.get_action().takes_values() { arg.allow_negative_numbers(true) } else { arg });
        command.mut_subcommands(with_negative_values)
    }
    with_negative_values(Cli::command())
}

/// Parses the command line of this process.
///
/// # Errors
/// The exit code after help, version or a usage error has been printed.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    let mut command = command();
    let parsed =
        command.try_get_matches_from_mut(with_report(std::env::args_os().collect())).and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        if let (ErrorKind::InvalidSubcommand, Some(ContextValue::String(name))) = (error.kind(), error.get(ContextKind::InvalidSubcommand))
        {
            return unknown_subcommand(name, &command, std::env::args_os().map(|arg| arg.to_string_lossy().into_owned())).report();
        }
        // A closed pipe takes no help text; there is nobody to tell.
        error.print().ok();
        if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
    })
}

/// `impute series --json FILE` names a file for the report, where `--json` alone prints it: the one place where the flag may have a value. A
/// word after it is a file when it looks like one that is to be made: it ends in `.json`, or is not there yet.
fn with_report(mut args: Vec<OsString>) -> Vec<OsString> {
    let imputes = args.iter().skip(1).find(|arg| !arg.to_string_lossy().starts_with('-')).is_some_and(|first| first == "impute");
    if !imputes {
        return args;
    }
    for at in 0..args.len() {
        let text = args[at].to_string_lossy().into_owned();
        if let Some(path) = text.strip_prefix("--json=") {
            args[at] = format!("--report={path}").into();
        } else if text == "--json"
            && let Some(next) = args.get(at + 1).map(|next| next.to_string_lossy().into_owned())
            && (!next.starts_with('-') || next == "-")
            && (next.ends_with(".json") || !Path::new(&next).exists())
        {
            args[at] = "--report".into();
        }
    }
    args
}

/// Says which names there are at the place where an unknown one stands.
fn unknown_subcommand(name: &str, root: &clap::Command, args: impl Iterator<Item = String>) -> Failure {
    let mut at = root;
    let mut path = vec![root.get_name()];
    for arg in args.skip(1).take_while(|arg| arg != name) {
        if let Some(below) = at.find_subcommand(&arg) {
            path.push(below.get_name());
            at = below;
        }
    }
    let known: Vec<_> = at.get_subcommands().map(clap::Command::get_name).filter(|known| *known != "help").collect();
    let what = if path.len() > 1 { "domain" } else { "command" };
    let meant = values::nearest(name, known.iter().copied()).map(|known| format!("did you mean `{known}`? ")).unwrap_or_default();
    Failure::usage(what, format!("'{}' has no {what} named '{name}'", path.join(" "))).help(format!("{meant}known: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command) {
            command.get_subcommands().for_each(check);
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example: langevin "), "{} has no example", command.get_name());
        }
        check(&command());
    }

    #[test]
    fn a_report_is_asked_for_by_json_with_a_file() {
        let of = |line: &str| {
            with_report(line.split(' ').map(Into::into).collect()).join(std::ffi::OsStr::new(" ")).into_string().expect("text")
        };
        assert_eq!(of("langevin impute series a.csv --json r.json -q"), "langevin impute series a.csv --report r.json -q");
        assert_eq!(of("langevin impute series a.csv --json=r.json"), "langevin impute series a.csv --report=r.json");
        assert_eq!(of("langevin impute series a.csv --json -o b.csv"), "langevin impute series a.csv --json -o b.csv");
        assert_eq!(of("langevin -q list --json x.json"), "langevin -q list --json x.json");
    }

    #[test]
    fn unknown_names_are_told_what_exists() {
        let args = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>().into_iter();
        let domain = unknown_subcommand("audoi", &command(), args("langevin --json gen audoi"));
        let text = format!("{domain} {}", miette::Diagnostic::help(&domain).expect("helps"));
        assert!(text.contains("'langevin gen' has no domain named 'audoi'") && text.contains("did you mean `audio`?"), "{text}");
        let far = unknown_subcommand("zzz", &command(), args("langevin zzz"));
        let help = miette::Diagnostic::help(&far).expect("helps").to_string();
        assert!(help.contains("doctor") && !help.contains("did you mean"), "{help}");
    }
}
