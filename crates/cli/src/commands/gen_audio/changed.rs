//! `gen audio` with a source: each recording becomes one sound or several, in files of the same names.

use std::{
    cell::Cell,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use langevin_audio::WavFormat;
use langevin_engine::{Cancel, Error, Workers};
use serde::Serialize;

use super::{
    Args, format_name,
    maker::{About, Maker, check},
    resume,
    sources::Sources,
    targets::{Beside, Entry, Made, Target},
    uses::Use,
};
use crate::{output, report::Failure, settings::Settings, values};

/// Results of each worker that are in memory at once.
const TOGETHER: usize = 4;
/// Least time between two writings of the manifest of a folder that is being filled.
const OFTEN: Duration = Duration::from_secs(1);

/// What decides the bytes of every result, and the results.
#[derive(Serialize)]
pub(super) struct Document {
    schema_version: u32,
    version: &'static str,
    r#use: &'static str,
    #[serde(flatten)]
    about: About,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strength: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    /// Of an interpolation.
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_guidance: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker_guidance: Option<f64>,
    device: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    /// Endings of what is beside each clip.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    beside: Vec<&'static str>,
    /// Of all results together.
    pub(super) network_evaluations: u64,
    /// Whether all results are there; the command that was stopped goes on when it is given again.
    pub(super) complete: bool,
    pub(super) clips: Vec<Entry>,
}

impl Document {
    /// Takes in the results that are there.
    fn list(&mut self, entries: &[Option<Entry>]) {
        self.clips = entries.iter().flatten().cloned().collect();
        self.network_evaluations = self.clips.iter().map(|clip| clip.network_evaluations).sum();
        self.complete = self.clips.len() == entries.len();
    }
}

pub(super) fn run(chosen: &Use, args: &Args, settings: &Settings) -> Result<(), Failure> {
    let cancel = settings.cancel();
    let device = settings.open_device()?;
    let workers = settings.workers()?;
    let seed = args.seed.chosen(None, settings);
    let (maker, about) = Maker::open(chosen, args, seed, &device)?;
    let sources = sources(chosen, &maker)?;
    let jobs = jobs(chosen, args, &sources);
    let save_mel = matches!(chosen, Use::Vocode { save_mel: true, .. });
    let beside = Beside { png: args.png, mel: save_mel };
    let mut document = document(chosen, args, settings, about, seed, beside);
    sources.check(settings, &workers, &cancel, &|path, source| check(chosen, path, source))?;
    if args.write.dry_run {
        let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        return output::json(&serde_json::json!({ "settings": document, "results": names }));
    }
    let mut kept = if args.write.force { None } else { resume::kept(args.output(), &document)? };
    let replace = args.write.force || kept.is_some();
    let mut entries = Vec::with_capacity(jobs.len());
    for job in &jobs {
        let entry = kept.as_mut().and_then(|kept| kept.remove(&format!("{}.wav", job.name)));
        entries.push(entry.filter(|entry| sources.hashes(&job.sources).is_ok_and(|hashes| entry.from_hash == hashes)));
    }
    let left: Vec<usize> = (0..jobs.len()).filter(|k| entries[*k].is_none()).collect();
    if left.len() < jobs.len() {
        settings.talk(&format!("{} of {} clips are already there", jobs.len() - left.len(), jobs.len()));
    }
    let names: Vec<&str> = left.iter().map(|k| jobs[*k].name.as_str()).collect();
    let target = Target::claim(args.output(), &names, sources.folder || kept.is_some(), beside, replace)?;

    let started = Instant::now();
    let progress = settings.progress(left.len() as u64, "clips");
    let make = |k: usize| {
        let made = make(&maker, chosen, &sources, &jobs[k], args.format.map(WavFormat::from), &cancel);
        progress.advance();
        made
    };
    let ended = fill(
        &left,
        &workers,
        &make,
        &mut entries,
        &mut |k, made: &Made, evaluations| {
            let from = |k: &usize| sources.paths[*k].file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let from: Vec<String> = jobs[k].sources.iter().map(from).collect();
            let entry = target.put(&jobs[k].name, jobs[k].row, made, args.png, seed)?;
            Ok(Entry { from, from_hash: sources.hashes(&jobs[k].sources)?, network_evaluations: evaluations, ..entry })
        },
        &mut |entries| {
            document.list(entries);
            target.finish(&document)
        },
    );
    progress.finish();
    document.list(&entries);
    let (count, all) = (document.clips.len(), jobs.len());
    if ended.is_err() && target.is_folder() && count > 0 {
        target.finish(&document)?;
        settings.talk(&format!("{count} of {all} clips are in {}; the same command goes on from there", args.output().display()));
    }
    ended?;
    target.finish(&document)?;
    if matches!(target, Target::Stdout) {
        return Ok(());
    }
    let seconds = started.elapsed().as_secs_f64();
    settings.talk(&format!("{count} clips in {}, {:.0} ms each", args.output().display(), 1e3 * seconds / left.len().max(1) as f64));
    if settings.json {
        return output::json(&serde_json::json!({
            "clips": document.clips, "seed": seed, "network_evaluations": document.network_evaluations
        }));
    }
    Ok(())
}

/// Makes the result of a number, with its network evaluations; interrupted by Ctrl-C.
type Make<'a> = dyn Fn(usize) -> Result<ControlFlow<(), (Made, u64)>, Failure> + Sync + 'a;

/// Puts a result in its place.
type Put<'a> = dyn FnMut(usize, &Made, u64) -> Result<Entry, Failure> + 'a;

/// Lists what is there.
type List<'a> = dyn FnMut(&[Option<Entry>]) -> Result<(), Failure> + 'a;

/// Makes the results that are left, some at a time, and puts each in its place; from time to time what is there is listed.
///
/// # Errors
/// The first failure, after the results beside it have been put, and [`Error::Interrupted`] after Ctrl-C.
fn fill(
    left: &[usize],
    workers: &Workers,
    make: &Make<'_>,
    entries: &mut [Option<Entry>],
    put: &mut Put<'_>,
    list: &mut List<'_>,
) -> Result<(), Failure> {
    let mut listed = Instant::now();
    for part in left.chunks(TOGETHER * workers.threads()) {
        let mut failed = None;
        for (&k, made) in part.iter().zip(workers.map(part.len(), |at| make(part[at]))) {
            let entry = match made {
                Ok(ControlFlow::Continue((made, evaluations))) => put(k, &made, evaluations),
                Ok(ControlFlow::Break(())) => Err(Error::Interrupted { saved: None }.into()),
                Err(failure) => Err(failure),
            };
            match entry {
                Ok(entry) => entries[k] = Some(entry),
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        if listed.elapsed() > OFTEN {
            list(entries)?;
            listed = Instant::now();
        }
    }
    Ok(())
}

/// One result: the recordings that it is made of, its number among theirs, and its name.
struct Job {
    sources: Vec<usize>,
    row: u32,
    name: String,
}

fn sources(chosen: &Use, maker: &Maker) -> Result<Sources, Failure> {
    match chosen {
        Use::Vocode { from, .. } => Sources::find(from, maker.rate(chosen), maker.bands()),
        Use::Inpaint { input, .. } | Use::Upsample { input, .. } | Use::Vary { input, .. } => {
            Sources::find(input, maker.rate(chosen), None)
        }
        Use::Interpolate { ends, .. } => Ok(Sources::of(ends, maker.rate(chosen))),
        Use::Sample { .. } => Ok(Sources::of(&[], None)),
    }
}

fn jobs(chosen: &Use, args: &Args, sources: &Sources) -> Vec<Job> {
    let numbered = |sources: Vec<usize>, stem: &str, count: u32| -> Vec<Job> {
        (0..count).map(|row| Job { sources: sources.clone(), row, name: format!("{stem}_{row}") }).collect()
    };
    match chosen {
        Use::Interpolate { count, .. } => numbered(vec![0, 1], &format!("{}_{}", sources.stem(0), sources.stem(1)), *count),
        Use::Sample { count, .. } => {
            let name = |of: &Option<String>| of.clone().unwrap_or_else(|| "any".to_owned());
            numbered(Vec::new(), &format!("{}_{}", name(&args.label), name(&args.speaker)), *count)
        }
        Use::Vary { count, .. } if *count > 1 => {
            (0..sources.paths.len()).flat_map(|k| numbered(vec![k], &sources.stem(k), *count)).collect()
        }
        _ => (0..sources.paths.len()).map(|k| Job { sources: vec![k], row: 0, name: sources.stem(k) }).collect(),
    }
}

/// Reads the sources of a job again and makes its result, counting evaluations; a job whose turn comes after Ctrl-C is left out.
fn make(
    maker: &Maker,
    chosen: &Use,
    sources: &Sources,
    job: &Job,
    format: Option<WavFormat>,
    cancel: &Cancel,
) -> Result<ControlFlow<(), (Made, u64)>, Failure> {
    if cancel.is_set() {
        return Ok(ControlFlow::Break(()));
    }
    let evaluations = Cell::new(0);
    let observe = || {
        evaluations.set(evaluations.get() + 1);
        cancel.check()
    };
    let read = job.sources.iter().map(|k| Ok(sources.read(*k)?.0)).collect::<Result<Vec<_>, Failure>>()?;
    Ok(maker.make(chosen, &read, job.row, format, &observe)?.map_continue(|made| (made, evaluations.get())))
}

fn document(chosen: &Use, args: &Args, settings: &Settings, about: About, seed: u64, beside: Beside) -> Document {
    let (mut range, mut strength, mut rate, mut duration, mut points) = (None, None, None, None, None);
    match chosen {
        Use::Inpaint { range: values::Range { from, to }, .. } => range = Some([*from, *to]),
        Use::Vary { strength: s, .. } => strength = Some(*s),
        Use::Upsample { rate: r, .. } => rate = Some(*r),
        Use::Sample { seconds, .. } => duration = Some(*seconds),
        Use::Interpolate { count, .. } => points = Some(*count),
        Use::Vocode { .. } => {}
    }
    Document {
        schema_version: output::SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION"),
        r#use: chosen.name(),
        about,
        seed,
        label: args.label.clone(),
        speaker: args.speaker.clone(),
        range,
        strength,
        rate,
        duration,
        points,
        label_guidance: args.label_guidance,
        speaker_guidance: args.speaker_guidance,
        device: settings.device.name,
        format: args.format.map(|format| format_name(format.into())),
        beside: beside.endings().collect(),
        network_evaluations: 0,
        complete: false,
        clips: Vec::new(),
    }
}
