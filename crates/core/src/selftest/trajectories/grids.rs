//! The times and levels that a recorded scheduler should have visited, from its settings alone.

use super::record::{Config, Ladder, Run};
use crate::{Level, grid};

/// What a run should have visited: a time and a level for each network call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Visits {
    pub(super) t: Vec<f64>,
    pub(super) at: Vec<Level>,
}

impl Visits {
    /// The times as they may be written down: a scheduler that starts from its sigmas keeps their times, rounds them or cuts them off.
    pub(super) fn listed(&self, recorded: &[f64]) -> Vec<f64> {
        let nearest = |(t, listed): (&f64, &f64)| {
            let forms = [*t, t.round_ties_even(), t.floor()];
            forms.into_iter().min_by(|a, b| (a - listed).abs().total_cmp(&(b - listed).abs())).unwrap_or(*t)
        };
        if self.t.len() == recorded.len() { self.t.iter().zip(recorded).map(nearest).collect() } else { self.t.clone() }
    }
}

/// `n` numbers from `a` to `b`.
fn linspace(a: f64, b: f64, n: usize) -> Vec<f64> {
    let step = (b - a) / n.saturating_sub(1).max(1) as f64;
    (0..n).map(|i| if i > 0 && i + 1 == n { b } else { a + step * i as f64 }).collect()
}

/// Integer times of the schedulers that step through a table (DDPM, DDIM and their kin), noisiest first.
pub(super) fn table_times(config: &Config, spacing: &str, n: usize) -> Option<Vec<f64>> {
    let total = config.train_steps();
    match spacing {
        "leading" => Some(grid::leading(total, n, config.steps_offset)),
        "linspace" => Some(grid::linspace_times(total, n)),
        "trailing" => Some(grid::trailing(total, n)),
        _ => None,
    }
}

/// Times of PNDM: with the Runge-Kutta start, its four stages for each of the first three steps; without, the second time twice.
pub(super) fn pndm_times(config: &Config, n: usize) -> Option<Vec<f64>> {
    let times = table_times(config, config.timestep_spacing.as_deref().unwrap_or("leading"), n)?;
    if config.skip_prk_steps {
        let second = times.get(1).copied();
        return Some(times[..times.len().min(2)].iter().copied().chain(second).chain(times.iter().skip(2).copied()).collect());
    }
    let half = half_step(config, n);
    let (start, rest) = times.split_at_checked(3)?;
    let mut all = Vec::new();
    for (k, t) in start.iter().enumerate() {
        let next = *times.get(k + 1)?;
        all.extend([*t, next + half, next + half, next]);
    }
    all.extend(rest);
    Some(all)
}

/// Half of PNDM's stride, rounded down.
pub(super) fn half_step(config: &Config, n: usize) -> f64 {
    (config.train_steps() / n.max(1) / 2) as f64
}

/// Times of latent consistency sampling: evenly spread over the times (usually 50) that the model was distilled on.
pub(super) fn latent_consistency_times(config: &Config, n: usize) -> Option<Vec<f64>> {
    let count = config.original_inference_steps.unwrap_or(50).clamp(1, config.train_steps());
    let stride = config.train_steps() / count;
    let origin: Vec<f64> = (1..=count).rev().map(|i| (i * stride - 1) as f64).collect();
    let pick = |k: usize| origin.get((k as f64 * count as f64 / n as f64).floor() as usize).copied();
    (0..n).map(pick).collect()
}

/// Times of the multistep schedulers, which leave out the last of `n + 1` nodes.
fn multistep_times(config: &Config, n: usize) -> Option<Vec<f64>> {
    let total = config.train_steps();
    let mut times = match config.timestep_spacing.as_deref().unwrap_or("linspace") {
        "linspace" => grid::linspace_times(total, n + 1),
        "leading" => grid::leading(total, n + 1, config.steps_offset),
        "trailing" => return Some(grid::trailing(total, n)),
        _ => return None,
    };
    times.pop();
    Some(times)
}

/// Times of the schedulers in variance exploding scale, not rounded.
fn exploding_times(config: &Config, n: usize) -> Option<Vec<f64>> {
    let total = config.train_steps();
    match config.timestep_spacing.as_deref().unwrap_or("linspace") {
        "linspace" => Some(linspace(total as f64 - 1.0, 0.0, n)),
        other => table_times(config, other, n),
    }
}

/// A list of `sigma / alpha`, with the times that the scheduler wrote down for them.
fn sigmas_of(run: &Run, ladder: &Ladder, times: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
    let config = &run.config;
    let exploding = run.mode == "ve";
    let n = times.len();
    // Variance exploding schedulers span the visited part of the table, the others all of it.
    let ends = if exploding { [times[0], times[n - 1]] } else { [(config.train_steps() - 1) as f64, 0.0] };
    let [max, min] = ends.map(|t| ladder.sigma_at(t));
    let (max, min) = (config.sigma_max.unwrap_or(max), config.sigma_min.unwrap_or(min));
    let sigmas = if config.use_karras_sigmas {
        grid::karras(max, min, 7.0, n)
    } else if config.use_lu_lambdas || config.use_exponential_sigmas {
        grid::exponential(max, min, n)
    } else {
        let sigmas = times.iter().map(|t| ladder.sigma_at(*t)).collect();
        return (times, sigmas);
    };
    (sigmas.iter().map(|s| ladder.time_of(*s)).collect(), sigmas)
}

/// A list in which every entry but the first comes twice, as two-stage methods write it.
fn doubled(list: &[f64]) -> Vec<f64> {
    list.iter().enumerate().flat_map(|(i, v)| std::iter::repeat_n(*v, if i == 0 { 1 } else { 2 })).collect()
}

/// Times of both stages of each step. KDPM2 writes down the time of the level between two nodes at which it takes its slope, though
/// its list of sigmas does not: their geometric mean, and with ancestral noise (which goes down to `s_next^2 / s`) the next node.
fn staged(scheduler: &str, ladder: &Ladder, t: &[f64], sigmas: &[f64]) -> Vec<f64> {
    let between = |pair: &[f64]| match scheduler {
        "KDPM2DiscreteScheduler" => (pair[0] * pair[1]).sqrt(),
        _ => pair[1],
    };
    if !scheduler.starts_with("KDPM2") {
        return doubled(t);
    }
    let time = |i: usize| sigmas.get(i..i + 2).map(|pair| ladder.time_of(between(pair)));
    t.iter().enumerate().flat_map(|(i, t)| [Some(*t), time(i)]).flatten().collect()
}

fn shifted(s: f64, shift: f64) -> f64 {
    shift * s / (1.0 + (shift - 1.0) * s)
}

/// What the run should have visited; none if its settings name a grid that is not known.
///
/// Two-stage schedulers visit every node but the first twice.
pub(super) fn visits(run: &Run) -> Option<Visits> {
    let (config, n) = (&run.config, run.asked);
    if n == 0 {
        return None;
    }
    let scheduler = run.scheduler.as_str();
    let two_stage = matches!(
        scheduler,
        "HeunDiscreteScheduler" | "FlowMatchHeunDiscreteScheduler" | "KDPM2DiscreteScheduler" | "KDPM2AncestralDiscreteScheduler"
    );
    match run.mode.as_str() {
        "disc" => {
            let ladder = run.ladder()?;
            let t = super::setup::discrete_times(run)?;
            let at = t.iter().map(|t| ladder.level(*t as usize)).collect::<Option<_>>()?;
            Some(Visits { t, at })
        }
        "vpsig" => {
            let ladder = run.ladder()?;
            let (t, sigmas) = sigmas_of(run, &ladder, multistep_times(config, n)?);
            let at = sigmas.iter().map(|s| Level::vp(1.0 / (1.0 + s * s))).collect();
            Some(Visits { t, at })
        }
        "ve" => {
            let ladder = run.ladder()?;
            let (t, sigmas) = sigmas_of(run, &ladder, exploding_times(config, n)?);
            let (t, sigmas) = if two_stage { (staged(scheduler, &ladder, &t, &sigmas), doubled(&sigmas)) } else { (t, sigmas) };
            Some(Visits { t, at: sigmas.into_iter().map(Level::ve).collect() })
        }
        "edm" => {
            let (max, min) = (config.sigma_max.unwrap_or(80.0), config.sigma_min.unwrap_or(0.002));
            let sigmas = match config.sigma_schedule.as_deref().unwrap_or("karras") {
                "karras" => grid::karras(max, min, config.rho.unwrap_or(7.0), n),
                "exponential" => grid::exponential(max, min, n),
                _ => return None,
            };
            Some(Visits { t: sigmas.iter().map(|s| 0.25 * s.ln()).collect(), at: sigmas.into_iter().map(Level::ve).collect() })
        }
        "ctm" => {
            let (max, min) = (config.sigma_max.unwrap_or(80.0), config.sigma_min.unwrap_or(0.002));
            let total = config.train_steps();
            // The list of n times is taken from the train grid, whose last entry is the least noise.
            let all = grid::karras(max, min, config.rho.unwrap_or(7.0), total);
            let sigmas: Vec<f64> = (0..n).map(|k| all.get(k * (total / n)).copied()).collect::<Option<_>>()?;
            Some(Visits { t: sigmas.iter().map(|s| 250.0 * s.ln()).collect(), at: sigmas.into_iter().map(Level::ve).collect() })
        }
        "flow" => flow(run, two_stage),
        _ => None,
    }
}

/// Flow levels stretched to a last one, or spread anew between their ends.
fn respaced(config: &Config, mut sigmas: Vec<f64>) -> Vec<f64> {
    let (n, first, last) = (sigmas.len(), sigmas[0], sigmas[sigmas.len() - 1]);
    if let Some(end) = config.shift_terminal {
        sigmas.iter_mut().for_each(|s| *s = 1.0 - (1.0 - *s) * (1.0 - end) / (1.0 - last));
    }
    let last = config.shift_terminal.unwrap_or(last);
    match (config.use_karras_sigmas, config.use_exponential_sigmas) {
        (true, _) => grid::karras(first, last, 7.0, n),
        (_, true) => grid::exponential(first, last, n),
        _ => sigmas,
    }
}

/// Flow grids: the flow schedulers shift a list whose ends were shifted before, the others shift once.
fn flow(run: &Run, two_stage: bool) -> Option<Visits> {
    let (config, n) = (&run.config, run.asked);
    let total = config.train_steps() as f64;
    let sigmas: Vec<f64> = match run.scheduler.as_str() {
        "FlowMatchEulerDiscreteScheduler" | "FlowMatchHeunDiscreteScheduler" => {
            let shift = config.shift.unwrap_or(1.0);
            let sigmas: Vec<f64> =
                linspace(shifted(1.0, shift), shifted(1.0 / total, shift), n).into_iter().map(|s| shifted(s, shift)).collect();
            respaced(config, sigmas)
        }
        "UniPCMultistepScheduler" => {
            // The first node would be pure noise, where lambda is infinite; it is moved by a millionth.
            let nodes = linspace(1.0, 1.0 / total, n + 1);
            let shift = config.flow_shift.unwrap_or(1.0);
            nodes[..n].iter().map(|s| if *s == 1.0 { 1.0 - 1e-6 } else { shifted(*s, shift) }).collect()
        }
        "DPMSolverMultistepScheduler" | "DEISMultistepScheduler" | "DPMSolverSinglestepScheduler" | "SASolverScheduler" => {
            let nodes = linspace(1.0, 1.0 / total, n + 1);
            let shift = config.flow_shift.unwrap_or(1.0);
            nodes[1..].iter().rev().map(|a| shifted(1.0 - a, shift)).collect()
        }
        _ => return None,
    };
    let whole = !matches!(run.scheduler.as_str(), "FlowMatchEulerDiscreteScheduler" | "FlowMatchHeunDiscreteScheduler");
    let t: Vec<f64> = sigmas.iter().map(|s| if whole { (s * total).floor() } else { s * total }).collect();
    let (t, sigmas) = if two_stage { (doubled(&t), doubled(&sigmas)) } else { (t, sigmas) };
    Some(Visits { t, at: sigmas.into_iter().map(Level::flow).collect() })
}

/// The entry after the last visited one in the list of sigmas: 0, the least sigma of the table, or the last visited one again.
pub(super) fn end_sigma(run: &Run) -> Option<f64> {
    let (config, scheduler) = (&run.config, run.scheduler.as_str());
    if run.mode == "ctm" {
        return Some(config.sigma_min.unwrap_or(0.002));
    }
    let keeps_noise = matches!(scheduler, "DEISMultistepScheduler" | "SASolverScheduler");
    let default = if keeps_noise { "sigma_min" } else { "zero" };
    if config.final_sigmas_type.as_deref().unwrap_or(default) != "sigma_min" {
        return Some(0.0);
    }
    if run.mode == "edm" {
        return Some(config.sigma_min.unwrap_or(0.002));
    }
    let respaced = config.use_karras_sigmas || config.use_exponential_sigmas || config.use_flow_sigmas;
    if respaced && (keeps_noise || scheduler == "UniPCMultistepScheduler") {
        let last = visits(run)?.at.last().copied()?;
        return Some(if run.mode == "flow" { last.sigma } else { last.ve_sigma() });
    }
    Some(run.ladder()?.sigma_at(0.0))
}
