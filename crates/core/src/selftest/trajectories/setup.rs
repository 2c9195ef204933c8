//! From a recorded scheduler to the solver, the nodes and the conventions that repeat its run.

use super::{
    grids, infer,
    network::Seen,
    record::{Ladder, Run},
    settings,
};
use crate::{
    Error, Level, Param, Plan, drive,
    solver::{Consistency, Coordinates, Ddim, Ddpm, Deis, Dpm2, DpmPp, DpmPpSingle, Euler, EulerAncestral, Heun, Lms, Pndm, Sa, Solver},
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
    /// Standard deviation of the noise that the scheduler adds after its last step.
    pub(super) last_noise: f64,
    /// Factor of the recorded noise.
    pub(super) noise_scale: f64,
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
    /// The preconditioned output with its sign turned, which is what EDM schedulers call a velocity.
    NegatedEdm { sigma_data: f64 },
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
            Self::NegatedEdm { sigma_data } => {
                let (of_x0, of_x) = Self::Param { param: Param::Edm { sigma_data }, normalised: false }.factors(at);
                (-of_x0, -of_x)
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
    let config = &run.config;
    let mut nodes = run.levels();
    let output = output(run)?;
    let mut noise_step: Vec<usize> = (0..run.steps.len()).collect();
    let mut clip = None;
    let mut steps_to = None;
    let mut seen = Seen::Same;
    let (mut last_noise, mut noise_scale) = (0.0, 1.0);
    let solver = match run.scheduler.as_str() {
        "DDPMScheduler" => {
            nodes.push(Level::clean());
            clip = settings::clipping(config, true);
            let variance = settings::variance(config)?;
            last_noise = settings::last_noise(run, variance);
            Solver::Ddpm(Ddpm { variance })
        }
        "DDIMScheduler" => {
            clip = settings::clipping(config, true);
            steps_to = table_steps(run)?;
            let last = table_end(run)?;
            nodes.push(last);
            if nodes[nodes.len() - 2] == last {
                nodes.pop();
            }
            let targets = steps_to.clone().unwrap_or_else(|| nodes[1..].to_vec());
            let eta = config.eta.unwrap_or_else(|| infer::ddim_eta(run, output, &targets, clip));
            Solver::Ddim(Ddim { eta, ..Ddim::default() })
        }
        "DDIMInverseScheduler" => {
            clip = settings::clipping(config, true);
            seen = Seen::Inversion;
            let start = table_end(run)?;
            let still = start.ve_sigma() >= nodes[0].ve_sigma();
            nodes.insert(0, if still { Level::vp(1.0 / (1.0 + (start.ve_sigma() * (1.0 - STILL)).powi(2))) } else { start });
            Solver::Ddim(Ddim::default())
        }
        "DPMSolverMultistepScheduler" | "EDMDPMSolverMultistepScheduler" => {
            end(run, &mut nodes)?;
            Solver::Dpmpp(settings::dpmpp(run)?)
        }
        "EulerDiscreteScheduler" | "EDMEulerScheduler" | "FlowMatchEulerDiscreteScheduler" if run.noise.is_empty() => {
            end(run, &mut nodes)?;
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
            clip = settings::clipping(config, false);
            let coordinates = if run.mode == "flow" { Coordinates::Flow } else { Coordinates::Exploding };
            Solver::Heun(Heun { coordinates })
        }
        "EulerDiscreteScheduler" => {
            end(run, &mut nodes)?;
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
            end(run, &mut nodes)?;
            let DpmPp { order, smooth, form, sde, lower_order_final } = settings::dpmpp(run)?;
            Solver::DpmppSingle(DpmPpSingle { order, smooth, form, sde, lower_order_final })
        }
        "UniPCMultistepScheduler" => {
            end(run, &mut nodes)?;
            Solver::Unipc(settings::unipc(run)?)
        }
        "DEISMultistepScheduler" => {
            end(run, &mut nodes)?;
            let lower_order_final = config.lower_order_final.unwrap_or(true);
            Solver::Deis(Deis { order: config.solver_order.unwrap_or(2), lower_order_final })
        }
        "LMSDiscreteScheduler" => {
            nodes.push(Level::clean());
            Solver::Lms(Lms::default())
        }
        "PNDMScheduler" => {
            let runge_kutta = !config.skip_prk_steps;
            if output.is(Param::V) {
                return Err("averages of velocities at different levels".to_owned());
            }
            if let Some(halves) = half_steps(run).filter(|_| runge_kutta) {
                seen = Seen::HalfSteps(halves);
            }
            nodes = distinct(&nodes);
            let last = if config.set_alpha_to_one.unwrap_or(false) { Level::clean() } else { first_level(&ladder(run)?)? };
            if nodes.last() != Some(&last) {
                nodes.push(last);
            }
            Solver::Pndm(Pndm { runge_kutta })
        }
        "SASolverScheduler" => {
            if config.algorithm_type.as_deref().is_some_and(|kind| kind != "data_prediction") {
                return Err("SA-Solver in noise prediction".to_owned());
            }
            let (tau, tau_min, tau_max) = settings::tau(run);
            end(run, &mut nodes)?;
            Solver::Sa(Sa {
                predictor: config.predictor_order.unwrap_or(2),
                corrector: config.corrector_order.unwrap_or(2),
                tau,
                tau_min,
                tau_max: Some(tau_max),
                lower_order_final: config.lower_order_final.unwrap_or(true),
            })
        }
        "CMStochasticIterativeScheduler" => {
            end(run, &mut nodes)?;
            clip = config.clip_denoised.unwrap_or(true).then_some(1.0);
            noise_scale = config.s_noise.unwrap_or(1.0);
            Solver::Consistency(Consistency { sigma_min: config.sigma_min.unwrap_or(0.002) })
        }
        "LCMScheduler" => {
            nodes.push(Level::clean());
            clip = settings::clipping(config, false);
            seen = Seen::Boundary { scaling: config.timestep_scaling.unwrap_or(10.0) };
            Solver::Consistency(Consistency::default())
        }
        other => return Err(format!("no solver for {other} in mode {}", run.mode)),
    };
    let inverted = run.scheduler == "DDIMInverseScheduler";
    Ok(Setup { solver, inverted, nodes, output, noise_step, clip, seen, steps_to, last_noise, noise_scale })
}

/// By how much a step that goes nowhere changes the noise in our replay of it.
const STILL: f64 = 1e-11;

/// Appends the level in which the run ends. Where the list of sigmas ends in the same one twice, the last step goes nowhere: it is
/// replayed as one that goes down by a rounding.
fn end(run: &Run, nodes: &mut Vec<Level>) -> Result<(), String> {
    let sigma = run.sigmas.last().copied().ok_or("no sigmas")?;
    let (to, from) = (of_sigma(run, sigma), nodes[nodes.len() - 1]);
    let again = (to.ve_sigma() - from.ve_sigma()).abs() <= 1e-9 * from.ve_sigma();
    nodes.push(if again { of_sigma(run, run.sigmas[nodes.len() - 1] * (1.0 - STILL)) } else { to });
    Ok(())
}

/// Levels of the second stage of PNDM's three Runge-Kutta steps: half a stride below where each of them starts.
fn half_steps(run: &Run) -> Option<[Level; 3]> {
    let (ladder, half) = (run.ladder()?, grids::half_step(&run.config, run.asked));
    let level = |k: usize| ladder.level((run.steps.get(4 * k)?.t - half).max(0.0) as usize);
    Some([level(0)?, level(1)?, level(2)?])
}

/// Consecutive levels without repetitions.
fn distinct(levels: &[Level]) -> Vec<Level> {
    let mut nodes = levels.to_vec();
    nodes.dedup();
    nodes
}

fn ladder(run: &Run) -> Result<Ladder, String> {
    run.ladder().ok_or_else(|| "unknown beta_schedule".to_owned())
}

fn first_level(ladder: &Ladder) -> Result<Level, String> {
    ladder.level(0).ok_or_else(|| "a schedule without steps".to_owned())
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
        "v_prediction" if run.mode == "edm" => Ok(Output::NegatedEdm { sigma_data: run.config.sigma_data.unwrap_or(0.5) }),
        other if run.mode == "edm" && !matches!(other, "epsilon" | "edm") => Err(format!("preconditioned {other}")),
        "epsilon" | "edm" => Ok(param(Param::Edm { sigma_data: run.config.sigma_data.unwrap_or(0.5) })),
        "sample" => Ok(param(Param::X0)),
        "v_prediction" => Ok(param(Param::V)),
        "flow_prediction" => Ok(param(Param::Flow)),
        other => Err(format!("unknown prediction_type {other}")),
    }
}

/// The level that a table scheduler ends in.
fn table_end(run: &Run) -> Result<Level, String> {
    if run.config.set_alpha_to_one.unwrap_or(true) {
        return Ok(Level::clean());
    }
    first_level(&ladder(run)?)
}

/// Where DDIM's steps went, if the recorded scheduler stepped to `t - T / n` although the next listed time is another.
fn table_steps(run: &Run) -> Result<Option<Vec<Level>>, String> {
    let ladder = ladder(run)?;
    let stride = run.config.train_steps() / run.asked.max(1);
    let end = table_end(run)?;
    let mut agrees = true;
    let mut targets = Vec::new();
    for (i, step) in run.steps.iter().enumerate() {
        let to = step.t - stride as f64;
        agrees &= run.steps.get(i + 1).is_none_or(|next| next.t == to);
        // A time outside the table is found where times are compared.
        let entry = ladder.level((to.max(0.0) as usize).min(ladder.alpha_bar.len() - 1)).unwrap_or(end);
        targets.push(if to < 0.0 { end } else { entry });
    }
    Ok((!agrees).then_some(targets))
}
