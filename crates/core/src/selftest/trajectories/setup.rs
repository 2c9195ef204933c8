//! From a recorded scheduler to the solver, the nodes and the conventions that repeat its run.

use super::{grids, infer, record::Run};
use crate::{
    Error, Level, Param, Plan, drive,
    schedule::Table,
    solver::{
        Bh, Consistency, Coordinates, Ddim, Ddpm, Deis, Dpm2, DpmPp, DpmPpSingle, Edm, Euler, EulerAncestral, Form, Heun, Lms, Pndm, Sa,
        Smooth, Solver, UniPc, Variance,
    },
};

/// How to repeat a run with a plan.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) solver: Solver,
    /// Whether the run goes from data to noise, with DDIM's inversion in the place of the solver.
    pub(super) inverted: bool,
    /// Nodes of the plan.
    pub(super) nodes: Vec<Level>,
    /// What `model_output` is.
    pub(super) output: Output,
    /// Step whose noise the plan draws at each node.
    pub(super) noise_step: Vec<usize>,
    /// Bound to which estimates are clipped, while the network's noise estimate stays as it is.
    pub(super) clip: Option<f64>,
    /// What the recorded network was shown.
    pub(super) seen: Seen,
    /// Where each step went, if not to the next node: then only single steps are compared, and the reference.
    pub(super) steps_to: Option<Vec<Level>>,
}

/// What `model_output` is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Output {
    /// One of our parameterisations; of the state at unit variance, where the run itself is variance exploding.
    Param {
        /// The parameterisation.
        param: Param,
        /// Whether the network's state is that of the run divided by `sqrt(alpha^2 + sigma^2)`.
        normalised: bool,
    },
    /// A consistency function with its boundary at `sigma_min` (Song et al. 2023, eq. 5 and appendix C).
    Consistency { sigma_data: f64, sigma_min: f64 },
}

impl Output {
    /// Factors of `x0` and `x` in the network's output.
    pub(super) fn factors(self, at: Level) -> (f64, f64) {
        match self {
            Self::Param { param, normalised } => {
                let norm = if normalised { at.alpha.hypot(at.sigma) } else { 1.0 };
                let target = param.target(Level::new(at.alpha / norm, at.sigma / norm));
                (target.of_x0 - target.of_eps * at.alpha / at.sigma, target.of_eps / at.sigma)
            }
            Self::Consistency { sigma_data, sigma_min } => {
                let (d2, s) = (sigma_data * sigma_data, at.sigma);
                let skip = d2 / ((s - sigma_min).powi(2) + d2);
                let out = (s - sigma_min) * sigma_data / (s * s + d2).sqrt();
                (1.0 / out, -skip / out)
            }
        }
    }
}

/// What a recorded network was shown, where that is not what our plan shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seen {
    /// The same.
    Same,
    /// The recorded level, though the state lies at another.
    RecordedLevel,
    /// The state before churn, at its level.
    BeforeChurn(Edm),
    /// A state that is a mixture of its own with the network's boundary weights (latent consistency).
    Boundary,
}

/// Times of the schedulers that step through a table.
pub(super) fn discrete_times(run: &Run) -> Option<Vec<f64>> {
    let spacing = run.config.timestep_spacing.as_deref().unwrap_or("leading");
    match run.scheduler.as_str() {
        "DDPMScheduler" | "DDIMScheduler" => grids::table_times(&run.config, spacing, run.asked),
        "DDIMInverseScheduler" => grids::table_times(&run.config, spacing, run.asked).map(|t| t.into_iter().rev().collect()),
        "PNDMScheduler" => grids::pndm_times(&run.config, run.asked),
        "LCMScheduler" => grids::latent_consistency_times(&run.config, run.asked),
        _ => None,
    }
}

impl Setup {
    /// The plan that repeats the run.
    pub(super) fn plan(&self) -> Result<Plan, Error> {
        if self.inverted { drive::invert(&self.nodes, 0) } else { self.solver.plan(&self.nodes) }
    }
}

/// The setup of a run, or why there is none.
pub(super) fn setup(run: &Run) -> Result<Setup, String> {
    if run.config.thresholding {
        return Err("dynamic thresholding inside a recorded run".to_owned());
    }
    let mut nodes = run.levels();
    let output = output(run)?;
    let mut noise_step: Vec<usize> = (0..run.steps.len()).collect();
    let mut clip = None;
    let mut steps_to = None;
    let mut seen = Seen::Same;
    let end = run.sigmas.last().copied();
    let solver = match run.scheduler.as_str() {
        "DDPMScheduler" => {
            nodes.push(Level::clean());
            clip = clipping(run);
            Solver::Ddpm(Ddpm { variance: variance(run)? })
        }
        "DDIMScheduler" => {
            clip = clipping(run);
            steps_to = table_steps(run)?;
            let last = table_end(run)?;
            nodes.push(last);
            if nodes[nodes.len() - 2] == last {
                nodes.pop();
            }
            let targets = steps_to.clone().unwrap_or_else(|| nodes[1..].to_vec());
            let eta = run.config.eta.unwrap_or_else(|| infer::ddim_eta(run, output, &targets, clip));
            Solver::Ddim(Ddim { eta, ..Ddim::default() })
        }
        "DDIMInverseScheduler" => {
            if run.config.clip_sample.unwrap_or(true) {
                return Err("clipping inside an inversion".to_owned());
            }
            nodes.insert(0, table_end(run)?);
            Solver::Ddim(Ddim::default())
        }
        "DPMSolverMultistepScheduler" | "EDMDPMSolverMultistepScheduler" => {
            nodes.push(of_sigma(run, end.ok_or("no sigmas")?));
            Solver::Dpmpp(dpmpp(run)?)
        }
        "EulerDiscreteScheduler" | "EDMEulerScheduler" | "FlowMatchEulerDiscreteScheduler" if run.noise.is_empty() => {
            nodes.push(of_sigma(run, end.ok_or("no sigmas")?));
            Solver::Euler(Euler {})
        }
        "EulerAncestralDiscreteScheduler" => {
            nodes.push(Level::clean());
            Solver::EulerAncestral(EulerAncestral::default())
        }
        "HeunDiscreteScheduler" | "FlowMatchHeunDiscreteScheduler" => {
            nodes = every_other(&nodes);
            noise_step = (0..nodes.len()).map(|i| 2 * i).collect();
            nodes.push(Level::clean());
            let coordinates = if run.mode == "flow" { Coordinates::Flow } else { Coordinates::Exploding };
            Solver::Heun(Heun { coordinates })
        }
        "EulerDiscreteScheduler" => {
            nodes.push(Level::clean());
            let edm = infer::churn(run, output);
            seen = Seen::BeforeChurn(edm);
            Solver::Edm(edm)
        }
        "KDPM2DiscreteScheduler" | "KDPM2AncestralDiscreteScheduler" => {
            let ancestral = run.scheduler == "KDPM2AncestralDiscreteScheduler";
            nodes = every_other(&nodes);
            noise_step = (0..nodes.len()).map(|i| 2 * i + 1).collect();
            nodes.push(Level::clean());
            seen = Seen::RecordedLevel;
            Solver::Dpm2(Dpm2 { eta: if ancestral { 1.0 } else { 0.0 } })
        }
        "DPMSolverSinglestepScheduler" => {
            nodes.push(of_sigma(run, end.ok_or("no sigmas")?));
            let DpmPp { order, smooth, form, sde, lower_order_final } = dpmpp(run)?;
            if sde || !lower_order_final {
                return Err("singlestep with noise, or without lower_order_final".to_owned());
            }
            Solver::DpmppSingle(DpmPpSingle { order, smooth, form })
        }
        "UniPCMultistepScheduler" => {
            nodes.push(of_sigma(run, end.ok_or("no sigmas")?));
            Solver::Unipc(unipc(run)?)
        }
        "DEISMultistepScheduler" => {
            nodes.push(of_sigma(run, end.ok_or("no sigmas")?));
            let lower_order_final = run.config.lower_order_final.unwrap_or(true);
            Solver::Deis(Deis { order: run.config.solver_order.unwrap_or(2), lower_order_final })
        }
        "LMSDiscreteScheduler" => {
            nodes.push(Level::clean());
            Solver::Lms(Lms { order: 4 })
        }
        "PNDMScheduler" => {
            let runge_kutta = !run.config.skip_prk_steps;
            nodes = distinct(&nodes);
            let last = if run.config.set_alpha_to_one.unwrap_or(false) { Level::clean() } else { Level::vp(table(run)?.alpha_bar()[0]) };
            if nodes.last() != Some(&last) {
                nodes.push(last);
            }
            Solver::Pndm(Pndm { runge_kutta })
        }
        "SASolverScheduler" => {
            if run.config.algorithm_type.as_deref().is_some_and(|kind| kind != "data_prediction") {
                return Err("SA-Solver in noise prediction".to_owned());
            }
            nodes.push(of_sigma(run, end.ok_or("no sigmas")?));
            // Its default tau is 1 for times from 200 to 800, and 0 outside.
            let table = table(run)?;
            let bound = |t: usize| table.alpha_bar().get(t).map_or(0.0, |a| Level::vp(*a).ve_sigma());
            Solver::Sa(Sa {
                predictor: run.config.predictor_order.unwrap_or(2),
                corrector: run.config.corrector_order.unwrap_or(2),
                tau: 1.0,
                tau_min: bound(200) * (1.0 - 1e-9),
                tau_max: Some(bound(800) * (1.0 + 1e-9)),
                lower_order_final: run.config.lower_order_final.unwrap_or(true),
            })
        }
        "CMStochasticIterativeScheduler" => {
            nodes.push(of_sigma(run, end.ok_or("no sigmas")?));
            clip = Some(1.0);
            Solver::Consistency(Consistency { sigma_min: run.config.sigma_min.unwrap_or(0.002) })
        }
        "LCMScheduler" => {
            nodes.push(Level::clean());
            clip = clipping_unless(run, false);
            seen = Seen::Boundary;
            Solver::Consistency(Consistency::default())
        }
        other => return Err(format!("no solver for {other} in mode {}", run.mode)),
    };
    Ok(Setup { solver, inverted: run.scheduler == "DDIMInverseScheduler", nodes, output, noise_step, clip, seen, steps_to })
}

/// Consecutive levels without repetitions.
fn distinct(levels: &[Level]) -> Vec<Level> {
    let mut nodes = levels.to_vec();
    nodes.dedup();
    nodes
}

fn table(run: &Run) -> Result<Table, String> {
    run.table().ok_or_else(|| "unknown beta_schedule".to_owned())
}

/// The nodes of a two-stage run: the first entry and every second one after it.
fn every_other(levels: &[Level]) -> Vec<Level> {
    levels[..1].iter().chain(levels[1..].iter().step_by(2)).copied().collect()
}

/// The level of an entry of the run's list of sigmas.
fn of_sigma(run: &Run, sigma: f64) -> Level {
    match run.mode.as_str() {
        "vpsig" => Level::vp(1.0 / (1.0 + sigma * sigma)),
        "flow" => Level::flow(sigma),
        _ => Level::ve(sigma),
    }
}

fn output(run: &Run) -> Result<Output, String> {
    if run.mode == "ctm" {
        let (sigma_data, sigma_min) = (run.config.sigma_data.unwrap_or(0.5), run.config.sigma_min.unwrap_or(0.002));
        return Ok(Output::Consistency { sigma_data, sigma_min });
    }
    let param = |param| Output::Param { param, normalised: run.mode == "ve" };
    let default = match run.mode.as_str() {
        "flow" => "flow_prediction",
        "edm" => "edm",
        _ => "epsilon",
    };
    match run.config.prediction_type.as_deref().unwrap_or(default) {
        "epsilon" if run.mode != "edm" => Ok(param(Param::Eps)),
        other if run.mode == "edm" && !matches!(other, "epsilon" | "edm") => Err(format!("preconditioned {other}")),
        "epsilon" | "edm" => Ok(param(Param::Edm { sigma_data: run.config.sigma_data.unwrap_or(0.5) })),
        "sample" => Ok(param(Param::X0)),
        "v_prediction" => Ok(param(Param::V)),
        "flow_prediction" => Ok(param(Param::Flow)),
        other => Err(format!("unknown prediction_type {other}")),
    }
}

fn variance(run: &Run) -> Result<Variance, String> {
    match run.config.variance_type.as_deref().unwrap_or("fixed_small") {
        "fixed_small" | "fixed_small_log" => Ok(Variance::Small),
        "fixed_large" | "fixed_large_log" => Ok(Variance::Large),
        other => Err(format!("unknown variance_type {other}")),
    }
}

/// Clipping is on unless it is switched off.
fn clipping(run: &Run) -> Option<f64> {
    clipping_unless(run, true)
}

fn clipping_unless(run: &Run, default: bool) -> Option<f64> {
    run.config.clip_sample.unwrap_or(default).then(|| run.config.clip_sample_range.unwrap_or(1.0))
}

/// The level that a table scheduler ends in.
fn table_end(run: &Run) -> Result<Level, String> {
    if run.config.set_alpha_to_one.unwrap_or(true) {
        return Ok(Level::clean());
    }
    Ok(Level::vp(table(run)?.alpha_bar()[0]))
}

/// Where DDIM's steps went, if the recorded scheduler stepped to `t - T / n` although the next listed time is another.
fn table_steps(run: &Run) -> Result<Option<Vec<Level>>, String> {
    let table = table(run)?;
    let stride = run.config.train_steps() / run.asked.max(1);
    let end = table_end(run)?;
    let mut agrees = true;
    let mut targets = Vec::new();
    for (i, step) in run.steps.iter().enumerate() {
        let to = step.t - stride as f64;
        agrees &= run.steps.get(i + 1).is_none_or(|next| next.t == to);
        let entry = table.alpha_bar().get(to.max(0.0) as usize).ok_or("a time outside the table")?;
        targets.push(if to < 0.0 { end } else { Level::vp(*entry) });
    }
    Ok((!agrees).then_some(targets))
}

fn dpmpp(run: &Run) -> Result<DpmPp, String> {
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
    let lower_order_final = config.lower_order_final.unwrap_or(true);
    Ok(DpmPp { order: config.solver_order.unwrap_or(2), smooth, form, sde, lower_order_final })
}

fn unipc(run: &Run) -> Result<UniPc, String> {
    let config = &run.config;
    let bh = match config.solver_type.as_deref().unwrap_or("bh2") {
        "bh1" => Bh::Bh1,
        "bh2" => Bh::Bh2,
        other => return Err(format!("unknown solver_type {other}")),
    };
    let smooth = if config.predict_x0.unwrap_or(true) { Smooth::X0 } else { Smooth::Eps };
    let lower_order_final = config.lower_order_final.unwrap_or(true);
    Ok(UniPc { order: config.solver_order.unwrap_or(2), bh, smooth, corrector: true, lower_order_final })
}
