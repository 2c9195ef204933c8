//! Recorded sampler runs on a mixture: each is repeated with our plan, and every number of the record is compared.

mod corrector;
mod grids;
mod infer;
mod record;
mod repaint;
mod replay;
mod setup;

use record::Run;
use replay::Trace;
use setup::{Output, Setup};

use super::{
    SelftestError,
    json::At,
    report::{Compare, Report},
};
use crate::{Level, mixture::GaussianMixture};

/// Tolerance of host arithmetic, relative to `max(1, |value|)`.
const F64: f64 = 1e-10;
/// Tolerance of a device in f32.
const F32: f64 = 1e-4;

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
    let setup = match setup::setup(run) {
        Ok(setup) => setup,
        Err(unknown) => return report.skip(name, unknown),
    };
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
            compare_trace(run, &setup, &trace, &mut compare);
            if let Some(targets) = &setup.steps_to {
                single_steps(run, mixture, &setup, targets, &mut compare);
            }
            if let Some(device) = report.device {
                // Where f32 tables alone move the reference by more, so may we; and where rounding nothing but the start to f32
                // moves an exact run, each of a device's roundings may do as much.
                let rounded = run.x_init.iter().map(|x| f64::from(*x as f32)).collect();
                let moved = replay::host(mixture, run, &setup, &plan, rounded).distance(&trace);
                let tolerance = F32.max(run.narrow_error).min(10.0 * F32).max(moved * trace.calls.len() as f64);
                let mut narrow = Compare::new(tolerance);
                let trace32 = replay::device(mixture, run, &setup, &plan, device);
                for (k, (ours, exact)) in trace32.calls.iter().zip(&trace.calls).enumerate() {
                    narrow.numbers(&format!("step {k}: x"), ours, exact);
                }
                narrow.numbers("final", &trace32.last, &trace.last);
                report.add(&format!("{name}/f32"), narrow);
            }
        }
    }
    report.add(name, compare);
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
        && let Some(table) = run.table()
    {
        compare.number("alphas_cumprod head", table.alpha_bar()[0], *head);
        compare.number("alphas_cumprod tail", table.alpha_bar()[table.alpha_bar().len() - 1], *tail);
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
        recorded(compare, &format!("step {k}: model_output"), &output, &step.output, run);
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
fn recorded(compare: &mut Compare, what: &str, ours: &[f64], expected: &[f64], run: &Run) {
    if run.quirk.is_some() && expected.iter().all(|v| v.is_nan()) {
        return;
    }
    compare.numbers(what, ours, expected);
}

fn compare_trace(run: &Run, setup: &Setup, trace: &Trace, compare: &mut Compare) {
    if trace.noise_missing {
        compare.fail("the record lacks noise that the solver draws".to_owned());
    }
    if !trace.last.iter().all(|v| v.is_finite()) {
        compare.fail("our run is not finite".to_owned());
    }
    if let Some(reference) = &run.reference {
        compare.numbers("reference_final", &trace.last, reference);
    }
    if setup.steps_to.is_some() {
        return;
    }
    for (k, step) in run.steps.iter().enumerate() {
        if let Some(x) = trace.calls.get(k) {
            recorded(compare, &format!("step {k}: x"), x, &step.x, run);
        }
        let next = trace.calls.get(k + 1).unwrap_or(&trace.last);
        if k + 1 == run.steps.len() && run.reference.is_some() {
            // The reference is the better number; the recorded end must be as far from it as it says.
            continue;
        }
        recorded(compare, &format!("step {k}: x_next"), next, &step.x_next, run);
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
                recorded(compare, &format!("step {k} alone: x_next"), &trace.last, &step.x_next, run);
            }
        }
    }
}
