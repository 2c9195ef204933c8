//! `langevin distill audio`.

use std::path::{Path, PathBuf};

use langevin_audio::{
    ModelConfig,
    config::{Distillation, PriorConfig},
    task::{DistillTask, Vectors, student_config},
};
use langevin_engine::{Checkpoint, DistillRunConfig, Outcome, RunConfig, TrainOptions, state, train};

use crate::{audio, models, output, report::Failure, settings::Settings, values};

/// The config of the shipped prior's students: what distillation does when no other is given.
const DEFAULT_CONFIG: &str = include_str!("../../../../configs/audio-digits-progressive.toml");

/// Distil a speech model into students that need fewer steps
///
/// Progressive distillation halves the steps, round after round, until told to stop; each round is a folder with its own checkpoint.
/// Consistency distillation makes one student that jumps from any noise to the sound. Ctrl-C saves the state of the round first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin distill audio --data clips/ --stop-at 4 -o run/")]
pub(crate) struct Args {
    /// Training recordings: a folder or a CSV manifest
    #[arg(long, value_name = "DIR|CSV")]
    data: PathBuf,
    /// Validation recordings; every tenth training recording is held out when absent
    #[arg(long, value_name = "DIR|CSV")]
    valid: Option<PathBuf>,
    /// Config [default: progressive distillation of the shipped audio-digits]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Teacher instead of the config's: a shipped name or a file
    #[arg(long, value_name = "NAME|FILE")]
    from: Option<String>,
    /// Way instead of the config's
    #[arg(long, value_name = "WAY", value_parser = ["progressive", "consistency"])]
    method: Option<String>,
    /// Sampling steps at which to stop instead of the config's
    #[arg(long, value_name = "N", value_parser = values::whole(1..=10_000))]
    stop_at: Option<u32>,
    /// Train each round this many steps instead of the config's
    #[arg(long, value_name = "N", value_parser = values::whole(1..=100_000_000))]
    steps: Option<u32>,
    /// Folder of the run
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Go on with the run that the folder holds: finished rounds are kept, a started one continues to the same bits
    #[arg(long)]
    resume: bool,
    /// Start anew in a folder that already holds a run
    #[arg(long, conflicts_with = "resume")]
    force: bool,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let config = config(args)?;
    let method = way(&config)?;
    let mut teacher = PathBuf::from(&config.distill.from);
    let (first, model) = open_teacher(&teacher)?;
    let guidance = config.distill.guidance.unwrap_or(model.sampling.guidance);
    let path = config.distill.path;
    let rounds = rounds(method, path, config.distill.steps)?;
    let folders: Vec<PathBuf> = rounds.iter().map(|n| args.output.join(format!("steps-{n}"))).collect();
    if let Some(taken) = folders.iter().find(|folder| folder.join(state::STATE_FILE).exists() && !args.resume && !args.force) {
        return Err(Failure::data("output", format!("{} already holds a round", taken.display()))
            .help("continue with --resume, choose another folder, or give --force to start anew"));
    }
    let from = first.header.config.name;
    let mut students = Vec::new();
    for &steps in &rounds {
        let student = student_config(&model, &from, method, path, steps, guidance)?;
        let table = toml::Table::try_from(ModelConfig::Prior(student.clone()));
        let table = table.map_err(|e| Failure::data("config", "the student's config cannot be written").because(e))?;
        students.push((student, config.round(steps, table)));
    }

    let mut recordings = audio::recordings(&args.data, model.codec.rate, settings)?;
    let held = match &args.valid {
        Some(valid) => audio::recordings(valid, model.codec.rate, settings)?,
        None => recordings.hold_out(),
    };
    for note in recordings.notes.iter().chain(&held.notes) {
        settings.talk(&format!("note: {note}"));
    }
    if held.items.is_empty() || recordings.items.is_empty() {
        return Err(Failure::data("data", "there are too few recordings to hold some out for validation").help("give --valid DIR"));
    }
    let device = settings.open_device()?;
    let codec = audio::open_prior(&teacher, &device)?.0.codec;
    let vectors = (Vectors::encode(&model, &codec, &recordings)?, Vectors::encode(&model, &codec, &held)?);
    let mut done = Vec::new();
    for ((student, round), folder) in students.iter().zip(&folders) {
        let of_teacher = if teacher == Path::new(&config.distill.from) { guidance } else { 1.0 };
        let (prior, _) = audio::open_prior(&teacher, &device)?;
        let task = DistillTask::new(student, prior, of_teacher, path, config.seed, round.train.batch, vectors.clone())?;
        let outcome = drive(&task, round, folder, &models::open(&teacher)?, args, settings)?;
        let steps = student.sampling.steps;
        settings.talk(&format!("{steps} steps: validation score {:.5}; {}", outcome.best_score, outcome.model.display()));
        teacher.clone_from(&outcome.model);
        done.push((steps, outcome));
    }
    if settings.json {
        let round = |(steps, o): &(usize, Outcome)| serde_json::json!({ "steps": steps, "model": o.model, "best_score": o.best_score });
        return output::json(&serde_json::json!({ "rounds": done.iter().map(round).collect::<Vec<_>>() }));
    }
    Ok(())
}

fn config(args: &Args) -> Result<DistillRunConfig, Failure> {
    let mut config = match &args.config {
        Some(path) => DistillRunConfig::parse(path, &std::fs::read_to_string(path).map_err(|e| Failure::io(path, e))?)?,
        None => DistillRunConfig::parse("audio-digits-progressive.toml".as_ref(), DEFAULT_CONFIG)?,
    };
    if config.domain != audio::DOMAIN {
        return Err(Failure::data("domain", format!("the config is for '{}', not for audio", config.domain)));
    }
    config.distill.from = args.from.clone().unwrap_or(config.distill.from);
    config.distill.method = args.method.clone().unwrap_or(config.distill.method);
    config.distill.steps = args.stop_at.map_or(config.distill.steps, |n| n as usize);
    config.train.steps = args.steps.unwrap_or(config.train.steps);
    Ok(config)
}

fn way(config: &DistillRunConfig) -> Result<Distillation, Failure> {
    match config.distill.method.as_str() {
        "progressive" => Ok(Distillation::Progressive),
        "consistency" => Ok(Distillation::Consistency),
        other => {
            let known = ["progressive", "consistency"];
            let meant = values::nearest(other, known).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
            let help = format!("{meant}known: {}", known.join(", "));
            Err(Failure::data("config", format!("distill.method '{other}' does not exist")).help(help))
        }
    }
}

/// Steps of each round's student, most first.
fn rounds(method: Distillation, path: usize, stop_at: usize) -> Result<Vec<usize>, Failure> {
    if !(1..=10_000).contains(&stop_at) || !(2..=10_000).contains(&path) {
        return Err(Failure::data("config", format!("distill.path is {path} and distill.steps {stop_at}"))
            .help("give a path of 2 to 10000 steps, and 1 to 10000 steps to stop at"));
    }
    if method == Distillation::Consistency {
        return Ok(vec![stop_at]);
    }
    let halved: Vec<usize> = std::iter::successors(Some(path), |n| n.is_multiple_of(2).then_some(n / 2)).skip(1).collect();
    match halved.iter().position(|n| *n == stop_at) {
        Some(last) => Ok(halved[..=last].to_vec()),
        None => Err(Failure::data("config", format!("{path} steps do not become {stop_at} by halving"))
            .help(format!("stop at one of {}", halved.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))),
    }
}

fn open_teacher(name: &Path) -> Result<(Checkpoint, PriorConfig), Failure> {
    let checkpoint = models::open(name)?;
    match audio::model_config(&checkpoint.header.config, name)? {
        ModelConfig::Prior(config) => Ok((checkpoint, config)),
        _ => Err(Failure::data("checkpoint", format!("{} is not a prior", name.display())).help("only a prior can be distilled")),
    }
}

fn drive(
    task: &DistillTask,
    round: &RunConfig,
    folder: &Path,
    teacher: &Checkpoint,
    args: &Args,
    settings: &Settings,
) -> Result<Outcome, Failure> {
    let (device, workers, cancel) = (settings.open_device()?, settings.workers()?, settings.cancel());
    let claimed = output::Folder::claim(folder)?;
    let base = round.name.rsplit_once('-').map_or(round.name.as_str(), |(base, _)| base);
    let options = TrainOptions {
        folder: claimed.path(),
        resume: args.resume && folder.join(state::STATE_FILE).exists(),
        initial: Some(teacher),
        command: format!("langevin distill audio --config configs/{base}.toml --data TRAIN --valid VALID -o RUN"),
        device: &device,
        workers: &workers,
        cancel: &cancel,
        verbosity: settings.verbosity,
    };
    Ok(train(task, round, &options)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_halved_until_told_to_stop() {
        let of = |path, stop| rounds(Distillation::Progressive, path, stop).ok();
        assert_eq!(of(32, 1), Some(vec![16, 8, 4, 2, 1]));
        assert_eq!(of(24, 3), Some(vec![12, 6, 3]));
        assert_eq!(of(32, 32), None);
        assert_eq!(of(24, 1), None);
        assert_eq!(rounds(Distillation::Consistency, 32, 2).ok(), Some(vec![2]));
    }
}
