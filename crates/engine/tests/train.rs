//! The training loop from outside: a small network learns, and a run that is stopped, killed or spread over threads gives the same files.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::Mutex,
};

use burn::{
    module::Module,
    nn::Linear,
    tensor::{Device, Tensor, TensorData},
};
use langevin_core::{
    Philox,
    noise::{NoiseSource as _, stream},
};
use langevin_engine::{
    Cancel, Checkpoint, Error, METRICS_FILE, MODEL_FILE, Method, Outcome, Result, RunConfig, TrainConfig, TrainOptions, Verbosity, Workers,
    state::{self, STATE_FILE},
    train,
};
use langevin_nn::{Constant, Init, Trainable};
use serde_json::Value;

const INPUTS: usize = 3;
const FILES: [&str; 3] = [MODEL_FILE, STATE_FILE, METRICS_FILE];

#[derive(Module, Debug)]
struct Net {
    hidden: Linear,
    inner: Option<Linear>,
    output: Linear,
}

impl Net {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let h = self.hidden.forward(x).tanh();
        let h = match &self.inner {
            Some(inner) => h.clone() + inner.forward(h).tanh(),
            None => h,
        };
        self.output.forward(h)
    }
}

/// What happens to a run on its way.
enum Event {
    Nothing,
    /// Someone asks to stop during this step.
    Stop(u32, Cancel),
    /// The folder is copied during this step: what a power cut would leave.
    Copy(u32, PathBuf, PathBuf),
    /// The loss of this step is NaN.
    NanLoss(u32),
    /// The loss of this step is finite, its gradient is not.
    NanGradient(u32),
    /// The first validation gives NaN.
    NanValidation(Mutex<bool>),
}

/// Regression of `sin x0 + x1 x2 / 2` with a hidden layer, on data addressed by step and row.
struct Task {
    noise: Philox,
    width: usize,
    /// Whether there is a second hidden layer.
    deep: bool,
    event: Event,
}

impl Task {
    fn new(event: Event) -> Self {
        Self { noise: Philox::new(11), width: 12, deep: false, event }
    }

    /// A network with a matrix that Muon takes.
    fn deep(event: Event) -> Self {
        Self { width: 20, deep: true, ..Self::new(event) }
    }

    fn rows(&self, rows: Range<u32>, step: u32, stream: u32, device: &Device) -> (Tensor<2>, Tensor<2>) {
        let count = rows.len();
        let (mut x, mut y) = (vec![0f32; count * INPUTS], Vec::new());
        for (row, x) in rows.zip(x.chunks_mut(INPUTS)) {
            self.noise.fill(row, step, stream, x);
            y.push(x[0].sin() + 0.5 * x[1] * x[2]);
        }
        let tensor = |values, width| Tensor::from_data(TensorData::new(values, [count, width]), device);
        (tensor(x, INPUTS), tensor(y, 1))
    }
}

impl Trainable for Task {
    type Model = Net;

    fn init(&self, seed: u64, device: &Device) -> Net {
        let mut init = Init::new(seed, device);
        let hidden = init.linear(INPUTS, self.width, 1.0);
        let inner = self.deep.then(|| init.linear(self.width, self.width, 1.0));
        Net { hidden, inner, output: init.linear(self.width, 1, 1.0) }
    }

    fn loss(&self, model: &Net, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let first = rows.start == 0;
        let (x, y) = self.rows(rows, step, stream::TRAIN, device);
        let loss = (model.forward(x) - y).square().mean();
        match &self.event {
            Event::Stop(at, cancel) if step == *at => cancel.set(),
            Event::Copy(at, from, to) if step == *at && first => copy(from, to),
            Event::NanLoss(at) if step == *at => return loss.mul_scalar(f32::NAN),
            // The square root has no slope at zero.
            Event::NanGradient(at) if step == *at => return loss.clone() + loss.mul_scalar(0.0).sqrt(),
            _ => {}
        }
        loss
    }

    fn validation_rows(&self) -> u32 {
        150
    }

    fn validate(&self, model: &Net, rows: Range<u32>, device: &Device) -> Vec<f64> {
        if let Event::NanValidation(pending) = &self.event
            && rows.start == 0
            && std::mem::take(&mut *pending.lock().unwrap())
        {
            return vec![f64::NAN, 0.0];
        }
        let (x, y) = self.rows(rows, 0, stream::DATA, device);
        let error = model.forward(x) - y;
        vec![error.clone().square().sum().into_scalar::<f32>().into(), error.abs().sum().into_scalar::<f32>().into()]
    }

    fn constants(&self) -> Vec<Constant> {
        vec![Constant { name: "unit".to_owned(), shape: vec![2], values: vec![0.5, -2.0] }]
    }

    fn validation_names(&self) -> &'static [&'static str] {
        &["absolute_error"]
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in FILES {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// Saves at 7, 14, ..; validates at 4, 8, ..; so a stop or a cut falls between them.
fn config(steps: u32) -> RunConfig {
    let mut config = RunConfig::parse(Path::new("t.toml"), "name = 't'\ndomain = 'test'\nseed = 5\n[model]\nkind = 'net'\n").unwrap();
    config.train = TrainConfig {
        steps,
        batch: 22,
        micro_batch: 4,
        learning_rate: 0.02,
        warmup: 3,
        weight_decay: 0.01,
        ema: 0.9,
        validate_every: 4,
        save_every: 7,
        log_every: 3,
        ..TrainConfig::default()
    };
    config
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

struct Run<'a> {
    folder: &'a Path,
    resume: bool,
    threads: usize,
    initial: Option<&'a Checkpoint>,
    cancel: Cancel,
}

impl<'a> Run<'a> {
    fn new(folder: &'a Path) -> Self {
        Self { folder, resume: false, threads: 2, initial: None, cancel: Cancel::new() }
    }

    fn resumed(folder: &'a Path) -> Self {
        Self { resume: true, ..Self::new(folder) }
    }

    fn go(self, task: &Task, config: &RunConfig) -> Result<Outcome> {
        let (device, workers) = (Device::flex(), Workers::new(self.threads).unwrap());
        let options = TrainOptions {
            folder: self.folder,
            resume: self.resume,
            initial: self.initial,
            // A resumed run goes by the command that it was started by.
            command: if self.resume { "resumed" } else { "test" }.to_owned(),
            device: &device,
            workers: &workers,
            cancel: &self.cancel,
            verbosity: Verbosity::Quiet,
        };
        train(task, config, &options)
    }
}

fn whole(folder: &Path, config: &RunConfig) -> Outcome {
    Run::new(folder).go(&Task::new(Event::Nothing), config).unwrap()
}

fn assert_same_files(a: &Path, b: &Path) {
    for file in FILES {
        assert!(fs::read(a.join(file)).unwrap() == fs::read(b.join(file)).unwrap(), "{file} differs");
    }
    for folder in [a, b] {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, [METRICS_FILE, MODEL_FILE, STATE_FILE], "nothing else is left in a run's folder");
    }
}

fn log(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(METRICS_FILE)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_learns_and_keeps_its_best_weights() {
    let place = Place::new();
    let folder = place.at("a/b");
    let outcome = whole(&folder, &config(300));
    let log = log(&folder);
    let scores: Vec<(u64, f64)> =
        log.iter().filter_map(|line| Some((line["step"].as_u64().unwrap(), line.get("validation")?.as_f64().unwrap()))).collect();
    assert_eq!(scores.len(), 75);
    let best = scores.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!((u64::from(outcome.best_step), outcome.best_score), *best);
    assert!(outcome.best_score < 0.05 * scores[0].1, "{} after {}", outcome.best_score, scores[0].1);
    let losses: Vec<f64> = log.iter().filter_map(|line| line.get("loss")?.as_f64()).collect();
    assert!(losses.len() == 100 && losses[99] < 0.1 * losses[0], "{losses:?}");
    assert!(log.iter().filter(|l| l.get("validation").is_some()).all(|l| l["absolute_error"].as_f64() > Some(0.0)));

    // The file holds the weights that had this score, the constants, and what is true of them.
    let mut checkpoint = Checkpoint::read(&outcome.model).unwrap();
    let task = Task::new(Event::Nothing);
    let model = checkpoint.load(task.init(99, &Device::flex())).unwrap();
    let score: f64 = [0..64, 64..128, 128..150].map(|rows| task.validate(&model, rows, &Device::flex())[0]).iter().sum();
    assert!((score / 150.0 - outcome.best_score).abs() < 1e-12);
    assert_eq!(checkpoint.constants(), task.constants());
    let card = &checkpoint.header.card;
    assert_eq!((card.steps, card.validation, card.seed, card.command.as_str()), (outcome.best_step, Some(outcome.best_score), 5, "test"));
    assert_eq!(checkpoint.header.config, config(300));
}

#[test]
fn threads_do_not_change_a_byte() {
    let place = Place::new();
    for threads in [1, 2, 3] {
        let folder = place.at(&threads.to_string());
        Run { threads, ..Run::new(&folder) }.go(&Task::new(Event::Nothing), &config(30)).unwrap();
        assert_same_files(&place.at("1"), &folder);
    }
}

#[test]
fn another_seed_is_another_run() {
    let place = Place::new();
    whole(&place.at("a"), &config(8));
    whole(&place.at("b"), &RunConfig { seed: 6, ..config(8) });
    assert_ne!(fs::read(place.at("a").join(METRICS_FILE)).unwrap(), fs::read(place.at("b").join(METRICS_FILE)).unwrap());
}

#[test]
fn a_cancelled_run_resumes_to_the_same_bytes() {
    let place = Place::new();
    let config = config(30);
    whole(&place.at("whole"), &config);
    // The first step, one before a saved state, one after it, and the last step but one.
    for at in [0, 6, 7, 17, 28] {
        let folder = place.at(&at.to_string());
        let cancel = Cancel::new();
        let stopped = Run { cancel: cancel.clone(), ..Run::new(&folder) }.go(&Task::new(Event::Stop(at, cancel)), &config);
        match stopped {
            Err(Error::Interrupted { saved: Some(saved) }) => assert_eq!(saved, folder),
            other => panic!("{other:?}"),
        }
        assert_eq!(state::config_of(&folder).unwrap(), config);
        Run { threads: 1, ..Run::resumed(&folder) }.go(&Task::new(Event::Nothing), &config).unwrap();
        assert_same_files(&place.at("whole"), &folder);
    }
}

#[test]
fn a_run_with_muon_learns_and_resumes_to_the_same_bytes() {
    let place = Place::new();
    let run = |name: &str, threads, optimiser, steps| {
        let mut config = config(steps);
        config.train.optimiser = optimiser;
        let folder = place.at(name);
        let outcome = Run { threads, ..Run::new(&folder) }.go(&Task::deep(Event::Nothing), &config).unwrap();
        (outcome, config)
    };
    let (long, _) = run("long", 2, Method::Muon, 300);
    let scores: Vec<f64> = log(&place.at("long")).iter().filter_map(|line| line.get("validation")?.as_f64()).collect();
    assert!(long.best_score < 0.05 * scores[0], "{} after {}", long.best_score, scores[0]);

    let (_, config) = run("whole", 1, Method::Muon, 30);
    run("threads", 3, Method::Muon, 30);
    assert_same_files(&place.at("whole"), &place.at("threads"));
    run("adamw", 1, Method::AdamW, 30);
    assert_ne!(fs::read(place.at("whole").join(METRICS_FILE)).unwrap(), fs::read(place.at("adamw").join(METRICS_FILE)).unwrap());
    for at in [6, 17] {
        let (folder, cancel) = (place.at(&at.to_string()), Cancel::new());
        let stopped = Run { cancel: cancel.clone(), ..Run::new(&folder) }.go(&Task::deep(Event::Stop(at, cancel)), &config);
        assert!(matches!(stopped, Err(Error::Interrupted { saved: Some(_) })));
        Run::resumed(&folder).go(&Task::deep(Event::Nothing), &config).unwrap();
        assert_same_files(&place.at("whole"), &folder);
    }
    // The other optimiser is another run.
    let other = RunConfig { train: TrainConfig { optimiser: Method::AdamW, ..config.train }, ..config };
    let refused = Run::resumed(&place.at("whole")).go(&Task::deep(Event::Nothing), &other);
    assert!(matches!(refused, Err(Error::ResumeMismatch { what: "[train]", .. })), "{refused:?}");
}

#[test]
fn a_run_cancelled_before_it_starts_or_twice_resumes_to_the_same_bytes() {
    let place = Place::new();
    let (config, folder) = (config(30), place.at("a"));
    whole(&place.at("whole"), &config);
    let cancel = Cancel::new();
    cancel.set();
    let run = |event, cancel, resume| Run { cancel, resume, ..Run::new(&folder) }.go(&Task::new(event), &config);
    assert!(matches!(run(Event::Nothing, cancel, false), Err(Error::Interrupted { saved: Some(_) })));
    for at in [9, 20] {
        let cancel = Cancel::new();
        assert!(matches!(run(Event::Stop(at, cancel.clone()), cancel, true), Err(Error::Interrupted { saved: Some(_) })));
    }
    run(Event::Nothing, Cancel::new(), true).unwrap();
    assert_same_files(&place.at("whole"), &folder);
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes() {
    let place = Place::new();
    let config = config(30);
    // State of step 14, a better model of step 16, log lines of step 18: all three must come back into step.
    let (folder, cut) = (place.at("whole"), place.at("cut"));
    Run::new(&folder).go(&Task::new(Event::Copy(18, folder.clone(), cut.clone())), &config).unwrap();
    let log = fs::read_to_string(cut.join(METRICS_FILE)).unwrap();
    assert!(log.contains("\"step\":18") && !log.contains("\"step\":20"), "{log}");
    // The line that was being written.
    fs::write(cut.join(METRICS_FILE), log + "{\"loss\":0.1,\"st").unwrap();
    Run::resumed(&cut).go(&Task::new(Event::Nothing), &config).unwrap();
    assert_same_files(&folder, &cut);
}

#[test]
fn resuming_a_finished_run_changes_nothing_and_more_steps_go_on() {
    let place = Place::new();
    let (folder, before) = (place.at("a"), place.at("b"));
    let first = whole(&folder, &config(15));
    copy(&folder, &before);
    let again = Run::resumed(&folder).go(&Task::new(Event::Nothing), &config(15)).unwrap();
    assert_eq!((first.best_step, first.best_score), (again.best_step, again.best_score));
    assert_same_files(&before, &folder);
    Run::resumed(&folder).go(&Task::new(Event::Nothing), &config(25)).unwrap();
    assert_eq!(log(&folder).last().unwrap()["step"], 25);
    assert!(fs::read_to_string(folder.join(METRICS_FILE)).unwrap().starts_with(&fs::read_to_string(before.join(METRICS_FILE)).unwrap()));
}

#[test]
fn resuming_with_another_config_is_refused_and_changes_nothing() {
    let place = Place::new();
    let (folder, before) = (place.at("a"), place.at("b"));
    whole(&folder, &config(8));
    copy(&folder, &before);
    let changed = |change: fn(&mut RunConfig)| {
        let mut config = config(8);
        change(&mut config);
        config
    };
    let cases = [
        (changed(|c| c.seed = 9), "name, seed or card"),
        (changed(|c| c.train.batch = 23), "[train]"),
        (changed(|c| c.train.learning_rate = 0.03), "[train]"),
        (changed(|c| _ = c.model.insert("width".to_owned(), 3.into())), "[model]"),
    ];
    for (config, wanted) in cases {
        match Run::resumed(&folder).go(&Task::new(Event::Nothing), &config) {
            Err(Error::ResumeMismatch { path, what }) => assert_eq!((path, what), (folder.clone(), wanted)),
            other => panic!("{wanted}: {other:?}"),
        }
        assert_same_files(&before, &folder);
    }
    let wider = Task { width: 13, ..Task::new(Event::Nothing) };
    match Run::resumed(&folder).go(&wider, &config(8)) {
        Err(Error::Tensor { name, problem, .. }) => assert!(name.contains("hidden") && problem.contains("12"), "{name} {problem}"),
        other => panic!("{other:?}"),
    }
    assert_same_files(&before, &folder);
}

#[test]
fn a_missing_or_damaged_state_is_an_error() {
    let place = Place::new();
    let folder = place.at("a");
    let resume = || Run::resumed(&folder).go(&Task::new(Event::Nothing), &config(8));
    assert!(matches!(resume(), Err(Error::Io { .. })));
    assert!(matches!(state::config_of(&folder), Err(Error::Io { .. })));
    whole(&folder, &config(8));
    let (path, bytes) = (folder.join(STATE_FILE), fs::read(folder.join(STATE_FILE)).unwrap());
    let mut damaged: Vec<Vec<u8>> = (0..24).map(|k| bytes[..k * bytes.len() / 24].to_vec()).collect();
    damaged.push((0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect());
    damaged.push([&(1u64 << 63).to_le_bytes()[..], b"{}"].concat());
    damaged.push(fs::read(folder.join(MODEL_FILE)).unwrap());
    for bytes in damaged {
        fs::write(&path, &bytes).unwrap();
        let error = resume().unwrap_err();
        assert!(matches!(error, Error::NotACheckpoint { .. }), "{} bytes: {error}", bytes.len());
        assert!(error.to_string().contains(STATE_FILE), "{error}");
    }
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_state() {
    let place = Place::new();
    let config = config(30);
    whole(&place.at("whole"), &config);
    let folder = place.at("a");
    match Run::new(&folder).go(&Task::new(Event::NanLoss(18)), &config) {
        Err(Error::Diverged { step: 18, value, .. }) => assert!(value.is_nan()),
        other => panic!("{other:?}"),
    }
    Run::resumed(&folder).go(&Task::new(Event::Nothing), &config).unwrap();
    assert_same_files(&place.at("whole"), &folder);
}

/// Step 13 is followed by a save: weights made of NaN must not replace the last good state.
#[test]
fn a_gradient_that_is_not_finite_ends_the_run_and_keeps_the_last_state() {
    let place = Place::new();
    let config = config(30);
    whole(&place.at("whole"), &config);
    let folder = place.at("a");
    let ended = Run::new(&folder).go(&Task::new(Event::NanGradient(13)), &config);
    assert!(matches!(ended, Err(Error::Diverged { .. })), "{ended:?}");
    Run::resumed(&folder).go(&Task::new(Event::Nothing), &config).unwrap();
    assert_same_files(&place.at("whole"), &folder);
}

#[test]
fn a_score_that_is_not_finite_never_counts_as_the_best() {
    let place = Place::new();
    match Run::new(&place.at("a")).go(&Task::new(Event::NanValidation(Mutex::new(true))), &config(30)) {
        Ok(outcome) => assert!(outcome.best_score.is_finite() && outcome.best_step > 4, "{outcome:?}"),
        Err(error) => assert!(matches!(error, Error::Diverged { .. }), "{error}"),
    }
}

#[test]
fn training_starts_from_given_weights() {
    let place = Place::new();
    let trained = whole(&place.at("a"), &config(300));
    let checkpoint = Checkpoint::read(&trained.model).unwrap();
    let folder = place.at("b");
    Run { initial: Some(&checkpoint), ..Run::new(&folder) }.go(&Task::new(Event::Nothing), &config(6)).unwrap();
    let (cold, warm) = (log(&place.at("a"))[0]["loss"].as_f64().unwrap(), log(&folder)[0]["loss"].as_f64().unwrap());
    assert!(warm < 0.2 * cold, "{warm} {cold}");
    let wider = Task { width: 13, ..Task::new(Event::Nothing) };
    let refused = Run { initial: Some(&checkpoint), ..Run::new(&place.at("c")) }.go(&wider, &config(6));
    assert!(matches!(refused, Err(Error::Tensor { .. })), "{refused:?}");
}

#[test]
fn a_folder_that_cannot_be_made_and_bad_settings_are_errors() {
    let place = Place::new();
    fs::write(place.at("file"), "x").unwrap();
    let run = |folder: &Path, config: &RunConfig| Run::new(folder).go(&Task::new(Event::Nothing), config);
    assert!(matches!(run(&place.at("file"), &config(4)), Err(Error::Io { .. })));
    assert!(matches!(run(&place.at("file/below"), &config(4)), Err(Error::Io { .. })));
    let mut zero = config(4);
    zero.train.batch = 0;
    assert!(matches!(run(&place.at("new"), &zero), Err(Error::Setting { name: "train.batch", .. })));
    assert!(!place.at("new").exists());
}
