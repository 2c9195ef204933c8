//! What `train` commands of all domains share: the flags of a run, its config, and the drive.

use std::path::{Path, PathBuf};

use langevin_engine::{Checkpoint, RunConfig, TrainOptions, state, train};
use langevin_nn::Trainable;

use crate::{models, output, report::Failure, settings::Settings, values};

/// Flags of a training run.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Config; its [model] kind names the architecture [default: that of the shipped checkpoint]
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub(crate) config: Option<PathBuf>,
    /// Start from the weights of a checkpoint (a shipped name or a file), and without --config from its config
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "resume")]
    pub(crate) from: Option<PathBuf>,
    /// Continue the run of this folder to the same bits
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    pub(crate) resume: Option<PathBuf>,
    /// Folder of the run
    #[arg(short, long, value_name = "DIR", required_unless_present = "resume")]
    output: Option<PathBuf>,
    /// Train this many steps instead of the config's
    #[arg(long, value_name = "N", value_parser = values::whole(1..=100_000_000))]
    steps: Option<u32>,
    /// Seed instead of the config's
    #[arg(long, value_name = "N", value_parser = values::seed, conflicts_with = "resume")]
    seed: Option<u64>,
    /// Start anew in a folder that already holds a run
    #[arg(long)]
    force: bool,
    /// Print the effective config and sizes, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl RunArgs {
    /// Folder of the run.
    ///
    /// # Errors
    /// Neither `-o` nor `--resume`.
    pub(crate) fn folder(&self) -> Result<&Path, Failure> {
        let folder = self.resume.as_deref().or(self.output.as_deref());
        folder.ok_or_else(|| Failure::usage("output", "give -o DIR or --resume DIR"))
    }

    /// The checkpoint of `--from`.
    ///
    /// # Errors
    /// It is not there or cannot be read.
    pub(crate) fn initial(&self) -> Result<Option<Checkpoint>, Failure> {
        self.from.as_deref().map(models::open).transpose()
    }

    /// Refuses a folder that already holds a run.
    ///
    /// # Errors
    /// It does, and neither `--resume` nor `--force` says what to do with it.
    pub(crate) fn check_folder(&self) -> Result<(), Failure> {
        let folder = self.folder()?;
        if self.resume.is_none() && folder.join(state::STATE_FILE).exists() && !self.force {
            return Err(Failure::data("output", format!("{} already holds a run", folder.display()))
                .help(format!("continue it with --resume {}, choose another folder, or give --force to start anew", folder.display())));
        }
        Ok(())
    }

    /// The config of this run, with what the flags change, and the name that messages about it give; `default` is the file name and
    /// text of the config used without any flag.
    ///
    /// # Errors
    /// A config that cannot be read, or a training loop with numbers out of range.
    pub(crate) fn config(&self, initial: Option<&Checkpoint>, default: (&str, &str)) -> Result<(RunConfig, PathBuf), Failure> {
        let mut config = match (&self.resume, &self.config, initial) {
            (Some(folder), _, _) => state::config_of(folder)?,
            (_, Some(path), _) => {
                let text = std::fs::read_to_string(path).map_err(|e| Failure::io(path, e))?;
                RunConfig::parse(path, &text)?
            }
            (_, _, Some(checkpoint)) => checkpoint.header.config.clone(),
            _ => RunConfig::parse(default.0.as_ref(), default.1)?,
        };
        config.train.steps = self.steps.unwrap_or(config.train.steps);
        config.seed = self.seed.unwrap_or(config.seed);
        config.train.check()?;
        let source = self.config.clone().or_else(|| self.from.clone()).unwrap_or_else(|| PathBuf::from(&config.name));
        Ok((config, source))
    }

    /// What the card says of how the checkpoint is made, without the paths of one machine: the stages that `initial` went through, and this one.
    fn command(&self, config: &RunConfig, initial: Option<&Checkpoint>) -> String {
        let file = self.config.as_deref().and_then(Path::file_name).map(|file| file.to_string_lossy().into_owned());
        let from = if initial.is_some() { " --from BEFORE" } else { "" };
        let settings = match file {
            Some(file) => format!(" --config configs/{file}"),
            // The config is then that of the checkpoint before.
            None if initial.is_some() => String::new(),
            None => format!(" --config configs/{}.toml", config.name),
        };
        let own = format!("langevin train {}{settings}{from} --data TRAIN --valid VALID -o RUN", config.domain);
        let before = initial.map_or("", |checkpoint| checkpoint.header.card.command.as_str());
        before.lines().chain([own.as_str()]).collect::<Vec<_>>().join("\n")
    }

    /// Trains, and says where the best checkpoint is.
    ///
    /// # Errors
    /// What the engine refuses, or an interruption.
    pub(crate) fn drive<T: Trainable>(
        &self,
        task: &T,
        config: &RunConfig,
        initial: Option<&Checkpoint>,
        settings: &Settings,
    ) -> Result<(), Failure> {
        let device = settings.open_device()?;
        let workers = settings.workers()?;
        let cancel = settings.cancel();
        let claimed = output::Folder::claim(self.folder()?)?;
        let options = TrainOptions {
            folder: claimed.path(),
            resume: self.resume.is_some(),
            initial,
            command: self.command(config, initial),
            device: &device,
            workers: &workers,
            cancel: &cancel,
            verbosity: settings.verbosity,
        };
        let outcome = train(task, config, &options)?;
        settings.talk(&format!(
            "best validation score {:.5} at step {}, {:.0} s; {}",
            outcome.best_score,
            outcome.best_step,
            outcome.seconds,
            outcome.model.display()
        ));
        if settings.json {
            return output::json(&serde_json::json!({
                "model": outcome.model, "best_step": outcome.best_step, "best_score": outcome.best_score, "seconds": outcome.seconds
            }));
        }
        Ok(())
    }
}

/// Prints a config as TOML.
///
/// # Errors
/// It cannot be printed.
pub(crate) fn show(config: &RunConfig) -> Result<(), Failure> {
    let text = toml::to_string(config).map_err(|e| Failure::data("config", "the config cannot be printed").because(e))?;
    output::data(text.as_bytes())
}
