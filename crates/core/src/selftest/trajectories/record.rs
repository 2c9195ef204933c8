//! One recorded sampler run, as the file has it.

use serde::Deserialize;

use crate::{
    Level,
    schedule::{Table, betas},
    selftest::{SelftestError, json::At},
};

/// Bound on counts from a file, before anything is allocated for them.
pub(super) const MOST_STEPS: usize = 100_000;

/// Settings of the recorded scheduler that change its result; an unknown one makes the entry a skip.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    pub(super) beta_start: Option<f64>,
    pub(super) beta_end: Option<f64>,
    pub(super) beta_schedule: Option<String>,
    pub(super) rescale_betas_zero_snr: bool,
    pub(super) num_train_timesteps: Option<usize>,
    pub(super) timestep_spacing: Option<String>,
    pub(super) steps_offset: usize,
    pub(super) set_alpha_to_one: Option<bool>,
    pub(super) prediction_type: Option<String>,
    pub(super) variance_type: Option<String>,
    pub(super) clip_sample: Option<bool>,
    pub(super) clip_sample_range: Option<f64>,
    pub(super) thresholding: bool,
    pub(super) eta: Option<f64>,
    pub(super) skip_prk_steps: bool,
    pub(super) solver_order: Option<u8>,
    pub(super) solver_type: Option<String>,
    pub(super) algorithm_type: Option<String>,
    pub(super) final_sigmas_type: Option<String>,
    pub(super) lower_order_final: Option<bool>,
    pub(super) predict_x0: Option<bool>,
    pub(super) use_karras_sigmas: bool,
    pub(super) use_exponential_sigmas: bool,
    pub(super) use_lu_lambdas: bool,
    pub(super) use_flow_sigmas: bool,
    pub(super) flow_shift: Option<f64>,
    pub(super) shift: Option<f64>,
    pub(super) sigma_min: Option<f64>,
    pub(super) sigma_max: Option<f64>,
    pub(super) sigma_data: Option<f64>,
    pub(super) sigma_schedule: Option<String>,
    pub(super) rho: Option<f64>,
    pub(super) predictor_order: Option<u8>,
    pub(super) corrector_order: Option<u8>,
    pub(super) snr: Option<f64>,
    pub(super) sampling_eps: Option<f64>,
    pub(super) correct_steps: Option<usize>,
    pub(super) clip_denoised: Option<bool>,
    pub(super) s_noise: Option<f64>,
    pub(super) timestep_scaling: Option<f64>,
    pub(super) original_inference_steps: Option<usize>,
    pub(super) euler_at_final: bool,
    pub(super) disable_corrector: Vec<usize>,
    pub(super) shift_terminal: Option<f64>,
}

impl Config {
    /// Defaults that are not those of most schedulers.
    fn fill(&mut self, scheduler: &str) {
        match scheduler {
            "CMStochasticIterativeScheduler" => {
                self.num_train_timesteps.get_or_insert(40);
            }
            "LCMScheduler" => {
                self.beta_start.get_or_insert(0.00085);
                self.beta_end.get_or_insert(0.012);
                self.beta_schedule.get_or_insert_with(|| "scaled_linear".to_owned());
            }
            _ => {}
        }
    }

    pub(super) fn train_steps(&self) -> usize {
        self.num_train_timesteps.unwrap_or(1000)
    }

    /// The levels of the named betas; none for a name that is not known.
    ///
    /// Schedulers that work with sigmas end a schedule of zero terminal SNR in `2^-24` instead of 0; that entry may lie above the one
    /// before it.
    fn ladder(&self, finite: bool) -> Option<Ladder> {
        let (start, end, steps) = (self.beta_start.unwrap_or(1e-4), self.beta_end.unwrap_or(0.02), self.train_steps());
        let betas = match self.beta_schedule.as_deref().unwrap_or("linear") {
            "linear" => betas::linear(start, end, steps),
            "scaled_linear" => betas::scaled_linear(start, end, steps),
            "squaredcos_cap_v2" | "cosine" => betas::cosine(0.008, 0.999, steps),
            "sigmoid" => betas::sigmoid_beta(start, end, 6.0, steps),
            _ => return None,
        };
        let table = Table::from_betas(&betas).ok()?;
        let table = if self.rescale_betas_zero_snr { table.zero_terminal_snr().ok()? } else { table };
        let mut alpha_bar = table.alpha_bar().to_vec();
        match alpha_bar.last_mut() {
            Some(last) if *last == 0.0 && finite => *last = 2f64.powi(-24),
            _ => {}
        }
        Some(Ladder { alpha_bar })
    }
}

/// `alpha_bar` of every training step, and the rules by which schedulers read it between entries.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ladder {
    pub(super) alpha_bar: Vec<f64>,
}

impl Ladder {
    /// The level of an entry; none beyond the last.
    pub(super) fn level(&self, i: usize) -> Option<Level> {
        self.alpha_bar.get(i).map(|a| Level::vp(*a))
    }

    /// `sigma / alpha` of an entry, of the last one beyond it.
    fn sigma(&self, i: usize) -> f64 {
        Level::vp(self.alpha_bar[i.min(self.alpha_bar.len() - 1)]).ve_sigma()
    }

    /// `sigma / alpha` at a time between the entries, linear in sigma.
    pub(super) fn sigma_at(&self, t: f64) -> f64 {
        let i = t.max(0.0).floor();
        let (low, u) = (self.sigma(i as usize), t.max(0.0) - i);
        if u == 0.0 { low } else { low + u * (self.sigma(i as usize + 1) - low) }
    }

    /// The time of a `sigma / alpha`, linear in its logarithm, within the first and the last entry.
    pub(super) fn time_of(&self, sigma: f64) -> f64 {
        let log = |i: usize| self.sigma(i).ln();
        let most = self.alpha_bar.len() - 2;
        let low = (0..=most).rev().find(|i| log(*i) <= sigma.ln()).unwrap_or(0);
        let (a, b) = (log(low), log(low + 1));
        low as f64 + ((sigma.ln() - a) / (b - a)).clamp(0.0, 1.0)
    }
}

/// One network call of a recorded run.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) t: f64,
    pub(super) at: Level,
    pub(super) x: Vec<f64>,
    pub(super) output: Vec<f64>,
    /// Rows of `noise` that the step used.
    pub(super) noise: std::ops::Range<usize>,
    pub(super) x_next: Vec<f64>,
}

/// A recorded run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) scheduler: String,
    pub(super) config: Config,
    pub(super) mode: String,
    /// Steps that were asked for.
    pub(super) asked: usize,
    pub(super) timesteps: Vec<f64>,
    pub(super) sigmas: Vec<f64>,
    pub(super) head_tail: Vec<f64>,
    pub(super) x_init: Vec<f64>,
    pub(super) noise: Vec<Vec<f64>>,
    pub(super) steps: Vec<Step>,
    pub(super) last: Vec<f64>,
    pub(super) reference: Option<Vec<f64>>,
    pub(super) reference_diff: Option<f64>,
    pub(super) quirk: Option<String>,
    /// How far f32 tables moved the recorded end.
    pub(super) narrow_error: f64,
}

impl Run {
    /// Reads an entry, or says why its settings are not understood.
    pub(super) fn read(entry: &At<'_>) -> Result<Result<Self, String>, SelftestError> {
        let mut config: Config = match entry.get("config")?.parse() {
            Ok(config) => config,
            Err(unknown) => return Ok(Err(unknown.to_string())),
        };
        let scheduler = entry.get("scheduler")?.str()?.to_owned();
        config.fill(&scheduler);
        if !(2..=MOST_STEPS).contains(&config.train_steps()) {
            return Err(entry.get("config")?.expected(format!("num_train_timesteps from 2 to {MOST_STEPS}")));
        }
        let list = |key: &str| entry.opt(key).map_or(Ok(Vec::new()), |at| at.f64s());
        let steps = entry.get("steps")?.items()?.iter().map(Step::read).collect::<Result<Vec<_>, _>>()?;
        if steps.is_empty() {
            return Err(entry.get("steps")?.expected("at least one step"));
        }
        let quirky = entry.get("status")?.str()? == "quirk";
        Ok(Ok(Self {
            scheduler,
            config,
            mode: entry.get("mode")?.str()?.to_owned(),
            asked: entry.get("set_timesteps")?.index_below(MOST_STEPS)?,
            timesteps: entry.get("timesteps")?.f64s()?,
            sigmas: list("sigmas")?,
            head_tail: list("alphas_cumprod_head_tail")?,
            x_init: entry.get("x_init")?.f64s()?,
            noise: entry.get("noise")?.items()?.iter().map(At::f64s).collect::<Result<_, _>>()?,
            steps,
            last: entry.get("final")?.f64s()?,
            reference: entry.opt("reference_final").map(|at| at.f64s()).transpose()?,
            reference_diff: entry.opt("reference_max_abs_diff").map(|at| at.f64()).transpose()?,
            narrow_error: entry.opt("float32_table_error").map_or(Ok(0.0), |at| at.f64())?,
            quirk: if quirky { Some(entry.opt("quirk").map_or(Ok(""), |at| at.str())?.to_owned()) } else { None },
        }))
    }

    /// The levels of the run's betas.
    pub(super) fn ladder(&self) -> Option<Ladder> {
        self.config.ladder(self.mode != "disc")
    }

    /// Level of each step.
    pub(super) fn levels(&self) -> Vec<Level> {
        self.steps.iter().map(|s| s.at).collect()
    }
}

impl Step {
    fn read(at: &At<'_>) -> Result<Self, SelftestError> {
        let noise = match at.opt("noise_index") {
            None => 0..0,
            Some(range) => match range.items()?.as_slice() {
                [from, to] => from.index()?..to.index()?,
                _ => return Err(range.expected("a pair of indices")),
            },
        };
        Ok(Self {
            t: at.get("t")?.f64()?,
            at: Level::new(at.get("alpha")?.f64()?, at.get("sigma")?.f64()?),
            x: at.get("x")?.f64s()?,
            output: at.get("model_output")?.f64s()?,
            noise,
            x_next: at.get("x_next")?.f64s()?,
        })
    }
}
