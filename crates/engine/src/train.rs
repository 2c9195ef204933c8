//! The training loop: micro-batches over workers, AdamW or Muon, moving average, validation, and a state that resumes to the same bits.

use std::{
    io::Write as _,
    ops::Range,
    path::{Path, PathBuf},
    time::Instant,
};

use burn::{
    module::Module as _,
    tensor::{Device, Tensor},
};
use langevin_nn::{Layout, Trainable, weights};
use serde::{Deserialize, Serialize};

use crate::{
    Cancel, Error, Result, Workers,
    card::Card,
    checkpoint::{Checkpoint, Precision},
    config::RunConfig,
    optim::{Optimiser, Update},
    parallel::micro_batches,
    progress::{Progress, Verbosity},
    state,
};

/// Name of the best checkpoint inside a run's folder.
pub const MODEL_FILE: &str = "model.safetensors";
/// Name of the log inside a run's folder.
pub const METRICS_FILE: &str = "metrics.jsonl";

/// Where and how a run executes: nothing here changes its result.
#[derive(Debug)]
pub struct TrainOptions<'a> {
    /// The run's folder: state, log and best checkpoint.
    pub folder: &'a Path,
    /// Continue the state in the folder instead of starting anew.
    pub resume: bool,
    /// Weights to start from instead of random ones.
    pub initial: Option<&'a Checkpoint>,
    /// The command line for the card, one line for each stage; a resumed run keeps the one it was started by.
    pub command: String,
    /// Device of the tensors.
    pub device: &'a Device,
    /// Workers for micro-batches.
    pub workers: &'a Workers,
    /// Asked between steps.
    pub cancel: &'a Cancel,
    /// How much to print.
    pub verbosity: Verbosity,
}

/// How a finished run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The best checkpoint.
    pub model: PathBuf,
    /// Its step.
    pub best_step: u32,
    /// Its validation score.
    pub best_score: f64,
    /// Seconds of this call (a resumed run counts its last part).
    pub seconds: f64,
}

/// What a run remembers beside its weights: what depends on the run's inputs, never on time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Steps done.
    pub step: u32,
    /// Step of the best validation score.
    pub best_step: u32,
    /// The best validation score; `None` before the first validation.
    pub best_score: Option<f64>,
    /// Sum of the losses since the last line of the log.
    pub loss_sum: f64,
    /// Number of those losses.
    pub loss_count: u32,
    /// The command line that the run was started by, for the card.
    #[serde(default)]
    pub command: String,
}

/// Trains until the config's last step.
///
/// # Errors
/// [`Error::Interrupted`] after saving the state when cancelled; [`Error::Diverged`] on a loss, gradient or score that is not finite;
/// [`Error::ResumeMismatch`] when the folder's state is of another config; [`Error::Io`].
pub fn train<T: Trainable>(task: &T, config: &RunConfig, options: &TrainOptions<'_>) -> Result<Outcome> {
    let started = Instant::now();
    let train = config.train;
    train.check()?;
    std::fs::create_dir_all(options.folder).map_err(Error::io(options.folder))?;
    let mut model = task.init(config.seed, options.device);
    if let Some(initial) = options.initial {
        model = initial.clone().load(model)?;
    }
    let layout = weights::layout(&model);
    let (optimiser, mut counters) = if options.resume {
        let (slots, mut counters) = state::read(options.folder, config, &layout)?;
        task.recall(&state::memory_of(options.folder)?);
        if counters.command.is_empty() {
            counters.command.clone_from(&options.command);
        }
        (Optimiser::from_slots(layout, slots), counters)
    } else {
        let fresh = Counters { step: 0, best_step: 0, best_score: None, loss_sum: 0.0, loss_count: 0, command: options.command.clone() };
        (Optimiser::new(layout, weights::export(&model).map_err(unreadable(config))?), fresh)
    };
    let mut log = Log::open(&options.folder.join(METRICS_FILE), counters.step)?;
    let progress = Progress::new(options.verbosity, u64::from(train.steps), u64::from(counters.step), "steps");
    let constants = task.constants();
    let batches = micro_batches(train.batch, train.micro_batch);
    model = weights::import(model, optimiser.weights(options.workers));

    while counters.step < train.steps {
        if options.cancel.is_set() {
            state::write(options.folder, config, &optimiser, &counters, &constants, &task.memory())?;
            progress.finish();
            return Err(Error::Interrupted { saved: Some(options.folder.to_owned()) });
        }
        let step = counters.step;
        let parts = options.workers.map(batches.len(), |k| {
            let _entered = train.precision.enter();
            gradient(task, &model, step, &batches[k], options.device)
        });
        let mut gradients = Vec::with_capacity(parts.len());
        let mut loss = 0.0;
        for (part, rows) in parts.into_iter().zip(&batches) {
            let (part_loss, part_gradients) = part.map_err(unreadable(config))?;
            let share = rows.len() as f32 / train.batch as f32;
            loss += part_loss * f64::from(share);
            gradients.push((share, part_gradients));
        }
        if !loss.is_finite() {
            progress.finish();
            return Err(Error::Diverged { what: "loss", step, value: loss });
        }
        let update = |parameter: &Layout| Update::of(task, &train, step, parameter);
        let norm = optimiser.step(&train, step, &gradients, options.workers, update);
        if !norm.is_finite() {
            progress.finish();
            return Err(Error::Diverged { what: "gradient", step, value: norm });
        }
        model = weights::import(model, optimiser.weights(options.workers));
        task.end_of_step(step);
        counters.step += 1;
        counters.loss_sum += loss;
        counters.loss_count += 1;
        progress.advance();

        let last = counters.step == train.steps;
        if counters.step.is_multiple_of(train.log_every) || last {
            let mean = counters.loss_sum / f64::from(counters.loss_count);
            (counters.loss_sum, counters.loss_count) = (0.0, 0);
            log.line(&serde_json::json!({"step": counters.step, "loss": mean, "rate": train.rate_at(step), "gradient_norm": norm}))?;
            progress.message(format!("loss {mean:.4}  best {:.4} at {}", counters.best_score.unwrap_or(f64::NAN), counters.best_step));
        }
        if counters.step.is_multiple_of(train.validate_every) || last {
            let average = weights::import(model.clone(), optimiser.collect(|s| &s.ema));
            let scores = validate(task, &average, options);
            if !scores[0].is_finite() {
                progress.finish();
                return Err(Error::Diverged { what: "validation score", step, value: scores[0] });
            }
            let mut line =
                serde_json::Map::from_iter([("step".to_owned(), counters.step.into()), ("validation".to_owned(), scores[0].into())]);
            line.extend(task.validation_names().iter().zip(&scores[1..]).map(|(name, v)| ((*name).to_owned(), (*v).into())));
            log.line(&line.into())?;
            if counters.best_score.is_none_or(|best| scores[0] < best) {
                (counters.best_score, counters.best_step) = (Some(scores[0]), counters.step);
                let card = card_of(config, &counters);
                Checkpoint::of(&average, constants.clone(), config.clone(), card)?
                    .write(&options.folder.join(MODEL_FILE), Precision::F32)?;
            }
        }
        if counters.step.is_multiple_of(train.save_every) || last {
            state::write(options.folder, config, &optimiser, &counters, &constants, &task.memory())?;
        }
    }
    progress.finish();
    add_estimates(task, model, options)?;
    Ok(Outcome {
        model: options.folder.join(MODEL_FILE),
        best_step: counters.best_step,
        best_score: counters.best_score.unwrap_or(f64::NAN),
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Adds to the best checkpoint what a task estimates once from its weights.
fn add_estimates<T: Trainable>(task: &T, model: T::Model, options: &TrainOptions<'_>) -> Result<()> {
    let path = options.folder.join(MODEL_FILE);
    let mut best = Checkpoint::read(&path)?;
    let whole = best.clone();
    let estimates = task.estimates(&best.load(model)?, options.device);
    if estimates.is_empty() {
        return Ok(());
    }
    whole.with_constants(estimates).write(&path, Precision::F32)?;
    Ok(())
}

type Part = std::result::Result<(f64, Vec<Vec<f32>>), langevin_nn::WeightsError>;

/// Loss and gradient of one micro-batch. Each has parameters of its own (sharing memory, not nodes): burn's graphs lock one another
/// when workers share nodes.
fn gradient<T: Trainable>(task: &T, model: &T::Model, step: u32, rows: &Range<u32>, device: &Device) -> Part {
    let model = model.clone().train();
    let loss: Tensor<1> = task.loss(&model, step, rows.clone(), &device.clone().autodiff());
    let gradients = weights::take_gradients(&model, loss.backward())?;
    Ok((f64::from(loss.into_scalar::<f32>()), gradients))
}

/// Means of the validation sums over the whole validation set, on weights without a graph.
fn validate<T: Trainable>(task: &T, model: &T::Model, options: &TrainOptions<'_>) -> Vec<f64> {
    const ROWS: u32 = 64;
    let rows = task.validation_rows();
    let batches = micro_batches(rows, ROWS);
    let parts = options.workers.map(batches.len(), |k| task.validate(model, batches[k].clone(), options.device));
    let mut sums = vec![0.0; 1 + task.validation_names().len()];
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().map(|sum| sum / f64::from(rows.max(1))).collect()
}

fn card_of(config: &RunConfig, counters: &Counters) -> Card {
    let card = config.card.clone();
    Card {
        about: card.about,
        data: card.data,
        licence: card.licence,
        split: card.split,
        limits: card.limits,
        command: counters.command.clone(),
        steps: counters.best_step,
        seed: config.seed,
        validation: counters.best_score,
        ..Card::default()
    }
}

fn unreadable(config: &RunConfig) -> impl Fn(langevin_nn::WeightsError) -> Error + '_ {
    |e| Error::Tensor { path: PathBuf::from(&config.name), name: e.name, problem: e.reason }
}

/// The log of a run: one JSON object a line. A resumed run first drops the lines after its state.
struct Log {
    path: PathBuf,
    file: std::fs::File,
}

impl Log {
    fn open(path: &Path, step: u32) -> Result<Self> {
        let old = if step == 0 { String::new() } else { std::fs::read_to_string(path).unwrap_or_default() };
        let keep: String = old.lines().filter(|line| step_of(line).is_some_and(|s| s <= step)).map(|line| format!("{line}\n")).collect();
        let mut file = std::fs::File::create(path).map_err(Error::io(path))?;
        file.write_all(keep.as_bytes()).map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn line(&mut self, value: &serde_json::Value) -> Result<()> {
        writeln!(self.file, "{value}").map_err(Error::io(&self.path))
    }
}

fn step_of(line: &str) -> Option<u32> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    value.get("step")?.as_u64()?.try_into().ok()
}
