//! Names of a recorded scheduler's settings, as the options of our solvers.

use super::record::{Config, Run};
use crate::{
    Level,
    solver::{Bh, DpmPp, Form, Reverse, Smooth, UniPc, Variance},
};

/// Least variance that the recorded ancestral sampler draws with.
const LEAST_VARIANCE: f64 = 1e-20;

/// Bound to which estimates are clipped, with the scheduler's default where the settings do not say.
pub(super) fn clipping(config: &Config, default: bool) -> Option<f64> {
    config.clip_sample.unwrap_or(default).then(|| config.clip_sample_range.unwrap_or(1.0))
}

pub(super) fn variance(config: &Config) -> Result<Variance, String> {
    match config.variance_type.as_deref().unwrap_or("fixed_small") {
        "fixed_small" | "fixed_small_log" => Ok(Variance::Small),
        "fixed_large" | "fixed_large_log" => Ok(Variance::Large),
        other => Err(format!("unknown variance_type {other}")),
    }
}

/// Standard deviation of what the ancestral sampler adds to its result: it draws at every time but 0, though its last step goes to clean
/// data from whatever time its list ends in.
pub(super) fn last_noise(run: &Run, variance: Variance) -> f64 {
    let last = &run.steps[run.steps.len() - 1];
    if last.t <= 0.0 {
        return 0.0;
    }
    let kernel = Reverse::between(last.at, Level::clean());
    let variance = match variance {
        // The recorded schedulers have the two fixed variances only; `variance` reads no other.
        Variance::Small | Variance::Analytic => kernel.variance,
        Variance::Large => kernel.forward_variance,
    };
    variance.max(LEAST_VARIANCE).sqrt()
}

pub(super) fn dpmpp(run: &Run) -> Result<DpmPp, String> {
    let config = &run.config;
    let (smooth, sde) = match config.algorithm_type.as_deref().unwrap_or("dpmsolver++") {
        "dpmsolver++" => (Smooth::X0, false),
        "dpmsolver" => (Smooth::Eps, false),
        "sde-dpmsolver++" => (Smooth::X0, true),
        "sde-dpmsolver" => (Smooth::Eps, true),
        other => return Err(format!("unknown algorithm_type {other}")),
    };
    let form = match config.solver_type.as_deref().unwrap_or("midpoint") {
        "midpoint" => Form::Midpoint,
        "heun" => Form::Heun,
        other => return Err(format!("unknown solver_type {other}")),
    };
    let order = config.solver_order.unwrap_or(2);
    let to_clean = run.sigmas.last() == Some(&0.0);
    let lower_order_final = if run.scheduler == "DPMSolverSinglestepScheduler" {
        // Without it only whole blocks can be walked, and none into clean data; the scheduler then switches it on.
        config.lower_order_final.unwrap_or(false) || to_clean || !run.asked.is_multiple_of(usize::from(order.max(1)))
    } else {
        config.lower_order_final.unwrap_or(true)
    };
    // A last step of order 1 is what short runs and runs into clean data have anyway.
    if config.euler_at_final && !(to_clean || order == 1 || (lower_order_final && run.asked < crate::solver::SHORT)) {
        return Err("euler_at_final".to_owned());
    }
    Ok(DpmPp { order, smooth, form, sde, lower_order_final })
}

pub(super) fn unipc(run: &Run) -> Result<UniPc, String> {
    let config = &run.config;
    let bh = match config.solver_type.as_deref().unwrap_or("bh2") {
        "bh1" => Bh::Bh1,
        "bh2" => Bh::Bh2,
        other => return Err(format!("unknown solver_type {other}")),
    };
    let smooth = if config.predict_x0.unwrap_or(true) { Smooth::X0 } else { Smooth::Eps };
    let lower_order_final = config.lower_order_final.unwrap_or(true);
    // The list names steps whose result is not corrected: the first ones, or all.
    let corrected_from = config.disable_corrector.len();
    if !(0..corrected_from).all(|i| config.disable_corrector.contains(&i)) {
        return Err("disable_corrector with gaps".to_owned());
    }
    Ok(UniPc { order: config.solver_order.unwrap_or(2), bh, smooth, corrector: true, corrected_from, lower_order_final })
}

/// The noise of SA-Solver's default, and the noises `sigma / alpha` between which it acts: times from 200 to 800, whatever the number of
/// training steps.
pub(super) fn tau(run: &Run) -> (f64, f64, f64) {
    let acting = run.steps.iter().filter(|s| (200.0..=800.0).contains(&s.t)).map(|s| s.at.ve_sigma());
    let (least, most) = acting.fold((f64::INFINITY, 0.0f64), |(a, b), s| (a.min(s), b.max(s)));
    if least <= most { (1.0, least * (1.0 - 1e-9), most * (1.0 + 1e-9)) } else { (0.0, 0.0, 0.0) }
}
