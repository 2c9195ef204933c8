//! `gen audio` with a source: each recording becomes one sound or several, in files of the same names.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicU64, Ordering},
};

use langevin_audio::WavFormat;
use langevin_engine::{Cancel, Error};
use serde::Serialize;

use super::{
    Args, format_name,
    maker::{About, Maker, check},
    sources::Sources,
    targets::{Beside, Entry, Made, Target},
    uses::Use,
};
use crate::{output, report::Failure, settings::Settings, values};

/// Results that are in memory at once.
const TOGETHER: usize = 64;

/// What decides the bytes of every result, and the results.
#[derive(Serialize)]
struct Document {
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
    device: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    /// Of all results together.
    network_evaluations: u64,
    clips: Vec<Entry>,
}

pub(super) fn run(chosen: &Use, args: &Args, settings: &Settings) -> Result<(), Failure> {
    let cancel = settings.cancel();
    let device = settings.open_device()?;
    let workers = settings.workers()?;
    let seed = args.seed.chosen(None, settings);
    let (maker, about) = Maker::open(chosen, args, seed, &device)?;
    let sources = sources(chosen, &maker)?;
    let jobs = jobs(chosen, args, &sources);
    let mut document = document(chosen, args, settings, about, seed);
    sources.check(settings, &workers, &|path, source| check(chosen, path, source))?;
    let names: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
    if args.write.dry_run {
        return output::json(&serde_json::json!({ "settings": document, "results": names }));
    }
    let save_mel = matches!(chosen, Use::Vocode { save_mel: true, .. });
    let target = Target::claim(&args.output, &names, sources.folder, Beside { png: args.png, mel: save_mel }, args.write.force)?;

    let started = std::time::Instant::now();
    let evaluations = AtomicU64::new(0);
    let observe = || {
        evaluations.fetch_add(1, Ordering::Relaxed);
        cancel.check()
    };
    let format = args.format.map(WavFormat::from);
    let progress = settings.progress(jobs.len() as u64, "clips");
    for jobs in jobs.chunks(TOGETHER) {
        let made = workers.map(jobs.len(), |k| {
            let made = make(&maker, chosen, &sources, &jobs[k], format, &cancel, &observe);
            progress.advance();
            made
        });
        for (job, made) in jobs.iter().zip(made) {
            let ControlFlow::Continue(made) = made? else { return Err(Error::Interrupted { saved: None }.into()) };
            let from = |k: &usize| sources.paths[*k].file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let from: Vec<String> = job.sources.iter().map(from).collect();
            document.clips.push(target.put(&job.name, job.row, from, &made, args.png, seed)?);
        }
    }
    progress.finish();
    document.network_evaluations = evaluations.into_inner();
    target.finish(&document)?;
    if matches!(target, Target::Stdout) {
        return Ok(());
    }
    let (count, seconds) = (document.clips.len(), started.elapsed().as_secs_f64());
    settings.talk(&format!("{count} clips in {}, {:.0} ms each", args.output.display(), 1e3 * seconds / count.max(1) as f64));
    if settings.json {
        return output::json(&serde_json::json!({
            "clips": document.clips, "seed": seed, "network_evaluations": document.network_evaluations
        }));
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

/// Reads the sources of a job again and makes its result; a job whose turn comes after Ctrl-C is left out.
fn make(
    maker: &Maker,
    chosen: &Use,
    sources: &Sources,
    job: &Job,
    format: Option<WavFormat>,
    cancel: &Cancel,
    observe: &dyn Fn() -> ControlFlow<()>,
) -> Result<ControlFlow<(), Made>, Failure> {
    if cancel.is_set() {
        return Ok(ControlFlow::Break(()));
    }
    let read = job.sources.iter().map(|k| Ok(sources.read(*k)?.0)).collect::<Result<Vec<_>, Failure>>()?;
    maker.make(chosen, &read, job.row, format, observe)
}

fn document(chosen: &Use, args: &Args, settings: &Settings, about: About, seed: u64) -> Document {
    let (mut range, mut strength, mut rate, mut duration) = (None, None, None, None);
    match chosen {
        Use::Inpaint { range: values::Range { from, to }, .. } => range = Some([*from, *to]),
        Use::Vary { strength: s, .. } => strength = Some(*s),
        Use::Upsample { rate: r, .. } => rate = Some(*r),
        Use::Sample { seconds, .. } => duration = Some(*seconds),
        Use::Vocode { .. } | Use::Interpolate { .. } => {}
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
        device: settings.device.name,
        format: args.format.map(|format| format_name(format.into())),
        network_evaluations: 0,
        clips: Vec::new(),
    }
}
