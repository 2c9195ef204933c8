//! `langevin eval audio --likelihood`: how probable recordings are under a prior.

use std::path::Path;

use langevin_audio::{
    data::Recordings,
    task::{Bounds, Exact, Likelihood, Vectors},
};
use langevin_engine::{Error, parallel::micro_batches};

use super::eval_audio::Args;
use crate::{audio, output, report::Failure, settings::Settings};

/// Recordings in a worker's part.
const PART: u32 = 16;

pub(super) fn run(recordings: &Path, args: &Args, settings: &Settings) -> Result<(), Failure> {
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
