//! `langevin tune audio`.

use std::ops::ControlFlow;

use langevin_audio::task::{Generation, Guidance, Prior, Request};
use langevin_core::{
    recipe::{Method, Sampling},
    solver::Solver,
};
use langevin_engine::{Cancel, Error, Workers, parallel::whole_micro_batches};
use langevin_nn::Sampler as _;
use serde::Serialize;

use crate::{args::SeedArg, audio, audio::CheckpointArg, output, report::Failure, settings::Settings, values};

/// Steps tried for every solver, fewest first.
const STEPS: [usize; 11] = [3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32];
/// Grids tried for every solver.
const GRIDS: [&str; 2] = ["karras", "lambda"];
/// The long run that others are compared with.
const REFERENCE: (&str, &str, usize) = ("dpmpp3m", "karras", 256);

/// Find the cheapest solver, grid and number of steps whose samples stay near a long reference run
///
/// The distance is the root mean square difference of the samples, from the same starting noise, relative to the spread of the data. Only solvers without
/// noise of their own take part: the others have no sample to stay near.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin tune audio --tolerance 0.05")]
pub(crate) struct Args {
    /// Greatest distance allowed
    #[arg(long, value_name = "X", value_parser = values::number(1e-6..=10.0))]
    tolerance: f64,
    /// Number of samples compared
    #[arg(long, value_name = "N", default_value = "16", value_parser = values::whole(1..=4096))]
    samples: u32,
    /// Guidance weight [default: the checkpoint's]
    #[arg(long, value_name = "W", value_parser = values::number(0.0..=20.0))]
    guidance: Option<f64>,
    #[command(flatten)]
    checkpoint: CheckpointArg,
    #[command(flatten)]
    seed: SeedArg,
}

#[derive(Clone, Debug, Serialize)]
struct Tried {
    solver: &'static str,
    grid: &'static str,
    steps: usize,
    network_evaluations: usize,
    distance: f64,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let cancel = settings.cancel();
    let device = settings.open_device()?;
    let workers = settings.workers()?;
    let (prior, _) = audio::open_prior(&args.checkpoint.checkpoint, &device)?;
    let weight = args.guidance.unwrap_or(prior.config.sampling.guidance);
    let seed = args.seed.chosen(None, settings);
    let request = |solver: Solver, grid: &str, steps: usize| -> Result<Request, Failure> {
        let guidance = Guidance { label: weight, speaker: weight };
        let sampling = Sampling { solver: Method::Solver(solver), grid: grid.parse()?, steps, ..prior.config.sampling.clone() };
        Ok(Request { labels: Vec::new(), takes: 1, speaker: None, guidance, sampling, seconds: None, seed })
    };
    let (name, grid, steps) = REFERENCE;
    let reference = vectors(&prior, &request(Solver::from_name(name)?, grid, steps)?, args.samples, &workers, &cancel)?
        .ok_or_else(|| Failure::data("tune", "the reference run is not finite; the checkpoint is damaged"))?;
    let spread = prior.config.sigma_data;

    let solvers: Vec<_> = Solver::named().into_iter().filter(|(_, solver)| !solver.is_stochastic()).collect();
    let progress = settings.progress((solvers.len() * GRIDS.len()) as u64, "solvers and grids");
    let mut found = Vec::new();
    for (solver, how) in &solvers {
        for grid in GRIDS {
            // Fewest steps first: the first that is near enough is the cheapest of this pair.
            for steps in STEPS {
                let request = request(*how, grid, steps)?;
                // A solver that cannot walk so few steps takes part with more.
                let Ok(generation) = Generation::new(&prior, &request) else { continue };
                let network_evaluations = generation.run().nfe();
                let Some(samples) = vectors(&prior, &request, args.samples, &workers, &cancel)? else { continue };
                let distance = distance(&samples, &reference) / spread;
                if distance <= args.tolerance {
                    found.push(Tried { solver, grid, steps, network_evaluations, distance });
                    break;
                }
            }
            progress.advance();
        }
    }
    progress.finish();
    found.sort_by(|a, b| {
        (a.network_evaluations, a.distance).partial_cmp(&(b.network_evaluations, b.distance)).unwrap_or(std::cmp::Ordering::Equal)
    });
    let Some(best) = found.first().cloned() else {
        let most = STEPS[STEPS.len() - 1];
        return Err(
            Failure::data("tune", format!("no solver stays within {} in {most} steps", args.tolerance)).help("allow a greater --tolerance")
        );
    };
    if settings.json {
        return output::json(
            &serde_json::json!({ "best": best, "within_tolerance": found, "tolerance": args.tolerance, "seed": seed, "samples": args.samples }),
        );
    }
    let mut text = String::from("evaluations  steps  solver          grid      distance\n");
    for tried in &found {
        let Tried { solver, grid, steps, network_evaluations, distance } = tried;
        text.push_str(&format!("{network_evaluations:>11}  {steps:>5}  {solver:<14}  {grid:<8}  {distance:.5}\n"));
    }
    text.push_str(&format!("use: --solver {} --grid {} --steps {}\n", best.solver, best.grid, best.steps));
    output::data(text.as_bytes())
}

/// The prior's vectors of a request, or nothing when one is not finite.
fn vectors(prior: &Prior, request: &Request, samples: u32, workers: &Workers, cancel: &Cancel) -> Result<Option<Vec<f32>>, Failure> {
    let generation = Generation::new(prior, request)?;
    let batches = whole_micro_batches(0..samples, generation.micro_batch());
    let mut values = Vec::new();
    for part in workers.map(batches.len(), |k| generation.sample(batches[k].clone(), &|| cancel.check())) {
        match part {
            ControlFlow::Continue(rows) => {
                for row in rows {
                    values.extend(row?);
                }
            }
            ControlFlow::Break(()) => return Err(Error::Interrupted { saved: None }.into()),
        }
    }
    Ok(values.iter().all(|v| v.is_finite()).then_some(values))
}

/// Root mean square difference.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (sum / a.len().max(1) as f64).sqrt()
}
