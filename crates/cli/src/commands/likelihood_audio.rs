//! `langevin eval audio --likelihood`: how probable recordings are under a prior or a model of waveforms.

use std::path::Path;

use langevin_audio::{
    data::Recordings,
    list_wavs, read_wav,
    task::{Bounds, Exact, Likelihood, Vectors, WaveLikelihood},
};
use langevin_engine::{Error, parallel::micro_batches};

use super::eval_audio::Args;
use crate::{
    audio::{self, Waveforms},
    output,
    report::Failure,
    settings::Settings,
};

/// Recordings in a worker's part.
const PART: u32 = 16;

pub(super) fn run(recordings: &Path, args: &Args, settings: &Settings) -> Result<(), Failure> {
    if audio::is_waveforms(&args.checkpoint.checkpoint)? {
        return of_waveforms(recordings, args, settings);
    }
    let cancel = settings.cancel();
    let device = settings.open_device()?;
    let workers = settings.workers()?;
    let (prior, checkpoint) = audio::open_prior(&args.checkpoint.checkpoint, &device)?;
    let found = Recordings::read(recordings, prior.config.codec.rate)?;
    for note in &found.notes {
        settings.talk(&format!("note: {note}"));
    }
    let vectors = Vectors::encode(&prior.config, &prior.codec, &found)?;
    let seed = args.seed.chosen(None, settings);
    let likelihood = Likelihood::new(&prior, &vectors, seed)?;
    let sampling = args.sampling.chosen(&prior.config.sampling)?;
    let parts = micro_batches(vectors.vectors.len() as u32, PART);
    let part = |k: usize| parts[k].start as usize..parts[k].end as usize;
    let progress = settings.progress((parts.len() * (1 + args.bound_steps.len())) as u64, "parts");
    // A cancelled part is skipped, and the whole then has no result.
    let go = || (!cancel.is_set()).then(|| progress.advance());

    let mut rows = Vec::new();
    for found in workers.map(parts.len(), |k| go().map(|()| likelihood.exact(part(k), args.ode_steps as usize))) {
        rows.extend(found.ok_or(Error::Interrupted { saved: None })??);
    }
    let exact = likelihood.summarise(&rows);
    let mut bounds = Vec::new();
    for steps in &args.bound_steps {
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

/// `-ln p` of each file by itself, label and speaker hidden: its name need not tell them.
fn of_waveforms(recordings: &Path, args: &Args, settings: &Settings) -> Result<(), Failure> {
    let cancel = settings.cancel();
    let device = settings.open_device()?;
    let workers = settings.workers()?;
    let (model, checkpoint) = audio::open_waveforms(&args.checkpoint.checkpoint, &device)?;
    let Waveforms::Wave(wave) = model else {
        return Err(Failure::data("likelihood", "a DiffWave predicts noise at the steps of a table, where the likelihood is only bounded")
            .help("give a checkpoint of kind `wave` or `prior`"));
    };
    let files = if recordings.is_dir() { list_wavs(recordings)? } else { vec![recordings.to_owned()] };
    let clips = workers.map(files.len(), |k| read_wav(&files[k], Some(wave.config.codec.rate)));
    let clips = clips.into_iter().map(|clip| Ok(clip?.0.samples)).collect::<Result<Vec<_>, Failure>>()?;
    let seed = args.seed.chosen(None, settings);
    let progress = settings.progress(files.len() as u64, "recordings");
    let found = workers.map(files.len(), |k| {
        let density = (!cancel.is_set()).then(|| wave.likelihood(&clips[k], (None, None), args.ode_steps as usize, seed, k as u32));
        progress.advance();
        density
    });
    progress.finish();
    let mut rows = Vec::with_capacity(files.len());
    for (file, density) in files.iter().zip(found) {
        let density = density.ok_or(Error::Interrupted { saved: None })??;
        rows.push((file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(), density));
    }
    let (nats, numbers) = rows.iter().fold((0.0, 0), |(nats, numbers), (_, d)| (nats + d.nats, numbers + d.numbers));
    let bits = nats / (numbers as f64 * std::f64::consts::LN_2);
    if settings.json {
        let of = |(file, d): &(String, WaveLikelihood)| serde_json::json!({ "file": file, "nats": d.nats, "numbers": d.numbers, "bits_per_dim": d.bits_per_number() });
        return output::json(&serde_json::json!({
            "checkpoint": checkpoint.header.config.name, "recordings": rows.iter().map(of).collect::<Vec<_>>(),
            "bits_per_dim": bits, "numbers": numbers, "seed": seed
        }));
    }
    let mut text: String = rows.iter().map(|(file, d)| format!("{:>10.4} bits a number  {file}\n", d.bits_per_number())).collect();
    text.push_str(&format!("{bits:>10.4} bits a number  all ({numbers} coefficients, {} recordings)\n", rows.len()));
    output::data(text.as_bytes())
}

fn table(exact: &Exact, bounds: &[Bounds]) -> String {
    let estimate = exact.negative_log_p;
    let mut text = format!(
        "-ln p             {:.2} +- {:.2} nats, {:.4} bits a number ({} recordings)\nprior mismatch    {:.4} nats\n\n",
        estimate.nats, estimate.standard_error, estimate.bits_per_dim, exact.recordings, exact.prior_mismatch
    );
    text.push_str("bound, bits a number by variance of the reverse step\nsteps      small      large   analytic    learned\n");
    let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
    for b in bounds {
        let (analytic, learned) = (optional(b.analytic), optional(b.learned));
        text.push_str(&format!("{:>5} {:>10.4} {:>10.4} {analytic:>10} {learned:>10}\n", b.steps, b.small, b.large));
    }
    text
}
