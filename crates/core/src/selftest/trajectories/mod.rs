//! Recorded sampler runs on a mixture: each is repeated with our plan, and every number of the record is compared.

mod corrector;
mod grids;
mod infer;
mod network;
mod record;
mod repaint;
mod replay;
mod rounding;
mod settings;
mod setup;

use record::Run;
use replay::Trace;
use setup::{Output, Setup};

use super::{
    SelftestError,
    json::At,
    report::{Compare, Report},
};
use crate::{Level, mixture::GaussianMixture, solver::Solver};

/// Tolerance of host arithmetic, relative to `max(1, |value|)`.
const F64: f64 = 1e-10;
/// Tolerance of a device in f32.
const F32: f64 = 1e-4;
/// What rounding does to a run, times this, is what it may do to another program's.
const ROUNDINGS: f64 = 16.0;
/// Most that rounding excuses in host arithmetic.
const MOST_F64: f64 = 1e-6;
/// Most that rounding excuses on a device in f32.
const MOST_F32: f64 = 1e-2;

/// Checks every entry of a document of trajectories.
pub(super) fn check(doc: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let mixture: GaussianMixture = doc.get("mixture")?.parse()?;
    for (name, entry) in doc.get("cases")?.entries()? {
        let scheduler = entry.get("scheduler")?.str()?;
        match scheduler {
            "RePaintScheduler" => repaint::check(name, &entry, &mixture, report)?,
            "ScoreSdeVeScheduler" => corrector::check(name, &entry, &mixture, report)?,
            _ => match Run::read(&entry)? {
                Err(unknown) => report.skip(name, unknown),
                Ok(run) => check_run(name, &run, &mixture, report),
            },
        }
    }
    Ok(())
}

fn check_run(name: &str, run: &Run, mixture: &GaussianMixture, report: &mut Report<'_>) {
    let mut setup = match setup::setup(run) {
        Ok(setup) => setup,
        Err(unknown) => return report.skip(name, unknown),
    };
    if let Solver::Lms(_) = setup.solver {
        setup.solver = Solver::Lms(infer::lms_order(mixture, run, &setup));
    }
    let mut compare = Compare::new(F64);
    if let Some(quirk) = &run.quirk {
        compare.quirk(quirk);
    }
    if run.x_init.is_empty() || !run.x_init.len().is_multiple_of(mixture.dim()) {
        compare.fail(format!("x_init has {} numbers for points of dimension {}", run.x_init.len(), mixture.dim()));
        return report.add(name, compare);
    }
    consistent(run, mixture, &setup, &mut compare);
    match setup.plan() {
        Err(error) => compare.fail(error.to_string()),
        Ok(plan) => {
            let trace = replay::host(mixture, run, &setup, &plan, run.x_init.clone());
            // Where rounding alone moves the run by more than the tolerance, it may move the reference by as much.
            let shaken = replay::rounded::<52>(mixture, run, &setup, &plan).distances(&trace);
            compare_trace(run, &setup, &trace, &allowed(F64, MOST_F64, &shaken), &mut compare);
            if let Some(targets) = &setup.steps_to {
                single_steps(run, mixture, &setup, targets, &mut compare);
            }
            if let Some(device) = report.device {
                // Where f32 tables alone move the reference by more, so may we; and where rounding nothing but the start to f32
                // moves an exact run, each of a device's roundings may do as much.
                let rounded = run.x_init.iter().map(|x| f64::from(*x as f32)).collect();
                let moved = replay::host(mixture, run, &setup, &plan, rounded).distance(&trace);
                let tolerance = F32.max(run.narrow_error).min(10.0 * F32).max(moved * trace.calls.len() as f64);
                let shaken = replay::rounded::<23>(mixture, run, &setup, &plan).distances(&trace);
                let tolerances = allowed(tolerance, tolerance.max(MOST_F32), &shaken);
                let mut narrow = Compare::new(tolerance);
                let trace32 = replay::device(mixture, run, &setup, &plan, device);
                for (k, (ours, exact)) in trace32.calls.iter().zip(&trace.calls).enumerate() {
                    narrow.numbers_to(tolerances[k], &format!("step {k}: x"), ours, exact);
                }
                narrow.numbers_to(tolerances[trace.calls.len()], "final", &trace32.last, &trace.last);
                report.add(&format!("{name}/f32"), narrow);
            }
        }
    }
    report.add(name, compare);
}

/// Tolerance of each call and of the end: the usual one, or a few times what rounding did up to there.
fn allowed(usual: f64, most: f64, shaken: &[f64]) -> Vec<f64> {
    let grown = shaken.iter().scan(0.0f64, |worst, d| {
        *worst = worst.max(*d);
        Some(*worst)
    });
    grown.map(|d| (ROUNDINGS * d).min(most).max(usual)).collect()
}

/// What a record must satisfy before anything is run: its parts repeat one another, and its settings give its levels.
fn consistent(run: &Run, mixture: &GaussianMixture, setup: &Setup, compare: &mut Compare) {
    let steps = &run.steps;
    compare.numbers("timesteps", &run.timesteps, &steps.iter().map(|s| s.t).collect::<Vec<_>>());
    compare.numbers("first x", &steps[0].x, &run.x_init);
    for (k, pair) in steps.windows(2).enumerate() {
        compare.numbers(&format!("step {}: x", k + 1), &pair[1].x, &pair[0].x_next);
        if pair[1].noise.start != pair[0].noise.end && !(pair[0].noise.is_empty() && pair[1].noise.is_empty()) {
            compare.fail(format!("step {}: noise_index does not follow the one before", k + 1));
        }
    }
    let end = &steps[steps.len() - 1];
    compare.numbers("last x_next", &end.x_next, &run.last);
    if steps[0].noise.start != 0 || end.noise.end != run.noise.len() {
        compare.fail("noise_index does not cover the noise".to_owned());
    }
    if let (Some(reference), Some(diff)) = (&run.reference, run.reference_diff) {
        let own = reference.iter().zip(&run.last).map(|(a, b)| (a - b).abs()).fold(0.0, |m: f64, d| if d.is_nan() { d } else { m.max(d) });
        compare.number("reference_max_abs_diff", own, diff);
    }
    if let [head, .., tail] = run.head_tail.as_slice()
        && let Some(ladder) = run.ladder()
    {
        compare.number("alphas_cumprod head", ladder.alpha_bar[0], *head);
        compare.number("alphas_cumprod tail", ladder.alpha_bar[ladder.alpha_bar.len() - 1], *tail);
    }
    if let (Some(last), Some(end)) = (run.sigmas.last(), grids::end_sigma(run)) {
        compare.number("last of sigmas", end, *last);
    }
    match grids::visits(run) {
        None => compare.fail("settings of the grid are not known".to_owned()),
        Some(visits) => {
            compare.numbers_to(1e-9, "t", &visits.listed(&run.timesteps), &run.timesteps);
            for (k, (ours, step)) in visits.at.iter().zip(steps).enumerate() {
                let (ours, listed) = ([ours.alpha, ours.sigma], [step.at.alpha, step.at.sigma]);
                compare.numbers(&format!("step {k}: alpha, sigma"), &ours, &listed);
            }
        }
    }
    for (k, step) in steps.iter().enumerate() {
        let x0 = mixture.mean_x0(&step.x, step.at);
        let output = predicted(setup.output, &step.x, &x0, step.at);
        recorded(compare, F64, &format!("step {k}: model_output"), &output, &step.output, run);
        if let Some(sigma) = run.sigmas.get(k) {
            let used = if run.mode == "vpsig" { step.at.ve_sigma() } else { step.at.sigma };
            compare.number(&format!("sigmas[{k}]"), used, *sigma);
        }
    }
}

/// What a network returns that estimates `x0`.
fn predicted(output: Output, x: &[f64], x0: &[f64], at: Level) -> Vec<f64> {
    let (of_x0, of_x) = output.factors(at);
    x.iter().zip(x0).map(|(x, d)| of_x0 * d + of_x * x).collect()
}

/// Compares with recorded numbers; where the reference is known to be wrong, its NaNs say nothing.
fn recorded(compare: &mut Compare, tolerance: f64, what: &str, ours: &[f64], expected: &[f64], run: &Run) {
    if run.quirk.is_some() && expected.iter().all(|v| v.is_nan()) {
        return;
    }
    compare.numbers_to(tolerance, what, ours, expected);
}

fn compare_trace(run: &Run, setup: &Setup, trace: &Trace, tolerances: &[f64], compare: &mut Compare) {
    let end = tolerances.last().copied().unwrap_or(F64);
    if trace.noise_missing {
        compare.fail("the record lacks noise that the solver draws".to_owned());
    }
    if !trace.last.iter().all(|v| v.is_finite()) {
        compare.fail("our run is not finite".to_owned());
    }
    if let Some(reference) = &run.reference {
        compare.numbers_to(end, "reference_final", &trace.last, reference);
    }
    if setup.steps_to.is_some() {
        return;
    }
    for (k, step) in run.steps.iter().enumerate() {
        let tolerance = |k: usize| tolerances.get(k).copied().unwrap_or(F64);
        if let Some(x) = trace.calls.get(k) {
            recorded(compare, tolerance(k), &format!("step {k}: x"), x, &step.x, run);
        }
        let next = trace.calls.get(k + 1).unwrap_or(&trace.finished);
        if k + 1 == run.steps.len() && run.reference.is_some() {
            // The reference is the better number; the recorded end must be as far from it as it says.
            continue;
        }
        recorded(compare, tolerance(k + 1), &format!("step {k}: x_next"), next, &step.x_next, run);
    }
}

/// Each recorded step by itself, from the recorded state to where the scheduler went.
fn single_steps(run: &Run, mixture: &GaussianMixture, setup: &Setup, targets: &[Level], compare: &mut Compare) {
    for (k, (step, to)) in run.steps.iter().zip(targets).enumerate() {
        let nodes = vec![step.at, *to];
        let setup = Setup { nodes, noise_step: vec![k], ..setup.clone() };
        match setup.plan() {
            Err(error) => compare.fail(format!("step {k}: {error}")),
            Ok(plan) => {
                let alone = Run { x_init: step.x.clone(), ..run.clone() };
                let trace = replay::host(mixture, &alone, &setup, &plan, alone.x_init.clone());
                recorded(compare, F64, &format!("step {k} alone: x_next"), &trace.last, &step.x_next, run);
            }
        }
    }
}
