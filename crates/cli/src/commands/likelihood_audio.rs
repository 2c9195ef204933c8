//! `gen audio --likelihood` and `eval audio --likelihood`: how probable recordings are under a prior or a model of waveforms.

use std::path::{Path, PathBuf};

use langevin_audio::{
    list_items, list_wavs, read_wav,
    task::{Bounds, Exact, Likelihood, Vectors, Wave, WaveDensity, WaveLikelihood},
};
use langevin_core::recipe::Sampling;
use langevin_engine::{Error, parallel::micro_batches};
use serde::Serialize;

use crate::{
    args::SeedArg,
    audio::{self, Waveforms},
    output,
    report::Failure,
    sampling::SamplingArgs,
    settings::Settings,
    values,
};

/// Recordings in a worker's part.
const PART: u32 = 16;
/// Runge-Kutta steps where none are asked for. A waveform model's bits move by 0.002 from 16 to 50 steps, by 0.015 from draw to draw.
const STEPS: (u32, u32) = (50, 16);
/// Draws of each recording under a waveform model where none are asked for.
const DRAWS: u32 = 4;

/// How the likelihood is computed.
#[derive(Debug, clap::Args)]
pub(super) struct OdeArgs {
    /// Runge-Kutta steps of the exact likelihood [default: 50; 16 for models of waveforms]
    #[arg(long, value_name = "N", requires = "likelihood", value_parser = values::whole(1..=10_000))]
    ode_steps: Option<u32>,
    /// Draws of noise and probe whose mean is the likelihood of a recording under a model of waveforms; their spread gives its standard error [default: 4]
    #[arg(long, value_name = "N", requires = "likelihood", value_parser = values::whole(1..=10_000))]
    draws: Option<u32>,
}

impl OdeArgs {
    /// Refuses these flags where no likelihood is asked for: clap drops `requires` where the required flag conflicts with another one.
    pub(super) fn refuse(&self) -> Result<(), Failure> {
        match (self.ode_steps, self.draws) {
            (None, None) => Ok(()),
            _ => Err(Failure::usage("flags", "--ode-steps and --draws are for --likelihood, which is not asked for")),
        }
    }
}

/// What is asked about recordings.
pub(super) struct Asked<'a> {
    pub(super) recordings: &'a Path,
    pub(super) checkpoint: &'a Path,
    /// What is given of all of them, to a model of waveforms.
    pub(super) label: Option<&'a str>,
    pub(super) speaker: Option<&'a str>,
    pub(super) ode: &'a OdeArgs,
    pub(super) seed: &'a SeedArg,
    /// The chains of a prior whose likelihood is bounded: settings of the grid, and numbers of steps.
    pub(super) bounds: Option<(&'a SamplingArgs, &'a [u32])>,
    /// Say what would be done, and do nothing.
    pub(super) dry_run: bool,
}

pub(super) fn run(asked: &Asked<'_>, settings: &Settings) -> Result<(), Failure> {
    if audio::is_waveforms(asked.checkpoint)? {
        return of_waveforms(asked, settings);
    }
    let cancel = settings.cancel();
    if asked.label.or(asked.speaker).is_some() || asked.ode.draws.is_some() {
        let message = "a prior reads label and speaker from the name of each recording, and draws once for each";
        return Err(Failure::usage("flags", message).help("leave --label, --speaker and --draws out, or give --checkpoint audio-wave"));
    }
    let device = settings.open_device()?;
    let workers = settings.workers()?;
    let (prior, checkpoint) = audio::open_prior(asked.checkpoint, &device)?;
    let found = audio::recordings(asked.recordings, prior.config.codec.rate, settings)?;
    for note in &found.notes {
        settings.talk(&format!("note: {note}"));
    }
    let vectors = Vectors::encode(&prior.config, &prior.codec, &found)?;
    let seed = asked.seed.chosen(None, settings);
    let ode_steps = asked.ode.ode_steps.unwrap_or(STEPS.0);
    let (sampling, bound_steps): (Sampling, &[u32]) = match asked.bounds {
        Some((flags, steps)) => (flags.chosen(&prior.config.sampling)?, steps),
        None => (prior.config.sampling.clone(), &[]),
    };
    let likelihood = Likelihood::new(&prior, &vectors, seed)?;
    if asked.dry_run {
        let name = &checkpoint.header.config.name;
        return output::json(
            &serde_json::json!({ "checkpoint": name, "ode_steps": ode_steps, "seed": seed, "recordings": found.items.len() }),
        );
    }
    let parts = micro_batches(vectors.vectors.len() as u32, PART);
    let part = |k: usize| parts[k].start as usize..parts[k].end as usize;
    let progress = settings.progress((parts.len() * (1 + bound_steps.len())) as u64, "parts");
    // A cancelled part is skipped, and the whole then has no result.
    let go = || (!cancel.is_set()).then(|| progress.advance());

    let mut rows = Vec::new();
    for found in workers.map(parts.len(), |k| go().map(|()| likelihood.exact(part(k), ode_steps as usize))) {
        rows.extend(found.ok_or(Error::Interrupted { saved: None })??);
    }
    let exact = likelihood.summarise(&rows);
    let mut bounds = Vec::new();
    for steps in bound_steps {
        let levels = likelihood.levels(&sampling.grid, *steps as usize)?;
        let sums = workers.map(parts.len(), |k| go().map(|()| likelihood.errors(part(k), &levels)));
        let sums = sums.into_iter().collect::<Option<Vec<_>>>().ok_or(Error::Interrupted { saved: None })?;
        bounds.push(likelihood.bounds(&levels, &sums)?);
    }
    progress.finish();
    if settings.json {
        return output::json(&serde_json::json!({
            "checkpoint": checkpoint.header.config.name, "numbers": likelihood.dim(), "exact": exact, "bounds": bounds, "seed": seed
        }));
    }
    output::data(table(&exact, &bounds).as_bytes())
}

/// Bits of one recording.
#[derive(Serialize)]
struct Row {
    file: String,
    seconds: f64,
    samples: usize,
    numbers: usize,
    nats: f64,
    /// Of `nats`, over the draws.
    standard_error: Option<f64>,
    bits_per_dim: f64,
    bits_per_sample: f64,
    /// Not part of `nats`.
    prior_mismatch: f64,
}

impl Row {
    fn new(file: &Path, rate: u32, samples: usize, draws: &[WaveLikelihood]) -> Self {
        let estimate = WaveLikelihood::summarise(draws);
        Self {
            file: file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
            seconds: samples as f64 / f64::from(rate),
            samples,
            numbers: draws.first().map_or(0, |d| d.numbers),
            nats: estimate.nats,
            standard_error: estimate.standard_error,
            bits_per_dim: estimate.bits_per_dim,
            bits_per_sample: bits(estimate.nats, samples),
            prior_mismatch: draws.iter().map(|d| d.prior_mismatch).sum::<f64>() / draws.len().max(1) as f64,
        }
    }
}

fn bits(nats: f64, of: usize) -> f64 {
    nats / (of as f64 * std::f64::consts::LN_2)
}

/// `-ln p` of each file by itself; what is not given of label and speaker is hidden, since its name need not tell them.
fn of_waveforms(asked: &Asked<'_>, settings: &Settings) -> Result<(), Failure> {
    let cancel = settings.cancel();
    let device = settings.open_device()?;
    let workers = settings.workers()?;
    let (model, checkpoint) = audio::open_waveforms(asked.checkpoint, &device)?;
    let Waveforms::Wave(wave) = model else {
        return Err(Failure::data("likelihood", "a DiffWave predicts noise at the steps of a table, where the likelihood is only bounded")
            .help("give a checkpoint of kind `wave` or `prior`"));
    };
    let rate = wave.config.codec.rate;
    let density = density(&wave, asked, settings)?;
    let draws = asked.ode.draws.unwrap_or(DRAWS) as usize;
    let files = files(asked.recordings)?;
    let mut clips = Vec::with_capacity(files.len());
    for (file, read) in files.iter().zip(workers.map(files.len(), |k| (!cancel.is_set()).then(|| read_wav(&files[k], Some(rate))))) {
        let (clip, notes) = read.ok_or(Error::Interrupted { saved: None })??;
        notes.iter().for_each(|note| settings.talk(&format!("note: {}: {note}", file.display())));
        clips.push(clip.samples);
    }
    if asked.dry_run {
        return output::json(&serde_json::json!({
            "checkpoint": checkpoint.header.config.name, "ode_steps": density.steps, "draws": draws, "seed": density.seed,
            "label": asked.label, "speaker": asked.speaker, "network_evaluations": 4 * density.steps * draws * files.len(),
            "recordings": files.len()
        }));
    }
    let progress = settings.progress((files.len() * draws) as u64, "draws");
    let observe = || cancel.check();
    let found = workers.map(files.len() * draws, |unit| {
        let (k, draw) = (unit / draws, unit % draws);
        let found = wave.likelihood(&clips[k], &density, (k as u32, draw as u32), &observe);
        progress.advance();
        found
    });
    progress.finish();
    let found = found.into_iter().map(|found| found?.continue_value().ok_or_else(|| Error::Interrupted { saved: None }.into()));
    let found = found.collect::<Result<Vec<WaveLikelihood>, Failure>>()?;
    let row = |k: usize| Row::new(&files[k], rate, clips[k].len(), &found[k * draws..(k + 1) * draws]);
    let rows: Vec<Row> = (0..files.len()).map(row).collect();
    let all = All::of(&rows);
    if settings.json {
        return output::json(&serde_json::json!({
            "checkpoint": checkpoint.header.config.name, "recordings": rows, "bits_per_dim": all.bits_per_dim,
            "standard_error": all.standard_error, "bits_per_sample": all.bits_per_sample, "numbers": all.numbers, "samples": all.samples,
            "sigma": wave.schedule().level(wave.schedule().span().0).sigma, "label": asked.label, "speaker": asked.speaker,
            "ode_steps": density.steps, "draws": draws, "seed": density.seed
        }));
    }
    settings.talk(&format!(
        "-log2 of the density of each clip's companded MDCT coefficients at the standard loudness, with noise of {} in them: fewer bits are likelier, \
         and they may be negative; +- is one standard error",
        wave.schedule().level(wave.schedule().span().0).sigma
    ));
    output::data(wave_table(&rows, &all).as_bytes())
}

/// What of a waveform model's density does not differ from clip to clip.
fn density(wave: &Wave, asked: &Asked<'_>, settings: &Settings) -> Result<WaveDensity, Failure> {
    let names = &wave.config.vocabulary;
    Ok(WaveDensity {
        label: asked.label.map(|name| names.label(name)).transpose()?,
        speaker: asked.speaker.map(|name| names.speaker(name)).transpose()?,
        steps: asked.ode.ode_steps.unwrap_or(STEPS.1) as usize,
        seed: asked.seed.chosen(None, settings),
    })
}

/// The files of a folder, those that a CSV manifest names, or one file.
fn files(recordings: &Path) -> Result<Vec<PathBuf>, Failure> {
    if recordings.is_dir() {
        return Ok(list_wavs(recordings)?);
    }
    if recordings.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
        return Ok(list_items(recordings)?.into_iter().map(|item| item.path).collect());
    }
    Ok(vec![recordings.to_owned()])
}

/// All recordings together, each counted by its length.
struct All {
    numbers: usize,
    samples: usize,
    bits_per_dim: f64,
    bits_per_sample: f64,
    /// Of `bits_per_dim`: over the recordings, or of one recording over its draws.
    standard_error: Option<f64>,
}

impl All {
    fn of(rows: &[Row]) -> Self {
        let sum = |of: fn(&Row) -> f64| rows.iter().map(of).sum::<f64>();
        let (nats, numbers, samples) = (sum(|r| r.nats), rows.iter().map(|r| r.numbers).sum(), rows.iter().map(|r| r.samples).sum());
        let mean = nats / numbers as f64;
        let n = rows.len() as f64;
        // Of a ratio of sums: the spread of what each recording has beyond its share.
        let beyond = rows.iter().map(|r| (r.nats - mean * r.numbers as f64).powi(2)).sum::<f64>();
        let error = match rows {
            [one] => one.standard_error,
            _ => Some((beyond * n / (n - 1.0)).sqrt()),
        };
        Self {
            numbers,
            samples,
            bits_per_dim: bits(nats, numbers),
            bits_per_sample: bits(nats, samples),
            standard_error: error.map(|nats| bits(nats, numbers)),
        }
    }
}

fn wave_table(rows: &[Row], all: &All) -> String {
    let error = |nats: Option<f64>, numbers: usize| nats.map_or_else(|| "-".to_owned(), |nats| format!("{:.4}", bits(nats, numbers)));
    let mut text = format!("{:>13} {:>9} {:>13}  recording\n", "bits a number", "+-", "bits a sample");
    let mut line =
        |dim: f64, error: String, sample: f64, name: &str| text.push_str(&format!("{dim:>13.4} {error:>9} {sample:>13.4}  {name}\n"));
    for row in rows {
        line(row.bits_per_dim, error(row.standard_error, row.numbers), row.bits_per_sample, &row.file);
    }
    let of_all = all.standard_error.map_or_else(|| "-".to_owned(), |bits| format!("{bits:.4}"));
    line(all.bits_per_dim, of_all, all.bits_per_sample, &format!("all {} ({} numbers, {} samples)", rows.len(), all.numbers, all.samples));
    text
}

fn table(exact: &Exact, bounds: &[Bounds]) -> String {
    let estimate = exact.negative_log_p;
    let optional = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let mut text = format!(
        "-ln p             {:.2} +- {} nats, {:.4} bits a number ({} recordings)\nprior mismatch    {:.4} nats\n",
        estimate.nats,
        optional(estimate.standard_error.map(|e| format!("{e:.2}"))),
        estimate.bits_per_dim,
        exact.recordings,
        exact.prior_mismatch
    );
    if bounds.is_empty() {
        return text;
    }
    text.push_str("\nbound, bits a number by variance of the reverse step\nsteps      small      large   analytic    learned\n");
    for b in bounds {
        let (analytic, learned) = (optional(b.analytic.map(|v| format!("{v:.4}"))), optional(b.learned.map(|v| format!("{v:.4}"))));
        text.push_str(&format!("{:>5} {:>10.4} {:>10.4} {analytic:>10} {learned:>10}\n", b.steps, b.small, b.large));
    }
    text
}
