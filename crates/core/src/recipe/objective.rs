//! The training half of a config: which levels, what the network predicts, and how its errors count.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{
    Error, Level, Param, Philox,
    loss::{EdmLoss, LossHistory, TimeSampler, Weight},
    schedule::{Schedule, ScheduleSpec},
};

/// How a Gaussian diffusion model is trained. The default is EDM with the numbers of its paper.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// The curve of noise levels.
    pub schedule: ScheduleSpec,
    /// What the network predicts.
    pub param: Param,
    /// Weight of its squared error.
    pub weight: Weight,
    /// Distribution of training times.
    pub times: TimeSampler,
    /// Draws times by the losses seen there instead of uniformly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub importance: Option<Importance>,
    /// Learns the variance of the reverse step beside its mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned_variance: Option<LearnedVariance>,
    /// Learns the schedule itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned_schedule: Option<LearnedSchedule>,
}

/// Importance sampling of times ([`LossHistory`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Importance {
    /// Equal parts of the span.
    pub bins: usize,
    /// Losses remembered in each.
    pub quota: usize,
}

impl Default for Importance {
    fn default() -> Self {
        Self { bins: 32, quota: 10 }
    }
}

/// Learned variance of the reverse step (Nichol & Dhariwal 2021, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearnedVariance {
    /// Weight of the variational bound beside the loss of the mean (eq. 16).
    pub vlb: f64,
}

impl Default for LearnedVariance {
    fn default() -> Self {
        Self { vlb: 0.001 }
    }
}

/// A monotone network for `gamma(t)`, trained to lower the variance of the loss (Kingma et al. 2021).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearnedSchedule {
    /// Hidden units.
    pub hidden: usize,
}

impl Default for LearnedSchedule {
    fn default() -> Self {
        Self { hidden: 1024 }
    }
}

impl Default for Objective {
    fn default() -> Self {
        let edm = EdmLoss::default();
        Self {
            schedule: ScheduleSpec::Edm { sigma_min: 0.002, sigma_max: 80.0 },
            param: edm.param(),
            weight: Weight::Unit,
            times: edm.sampler(),
            importance: None,
            learned_variance: None,
            learned_schedule: None,
        }
    }
}

/// Times of some rows of a training batch, their levels, and the weights of their errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Times of the schedule.
    pub times: Vec<f64>,
    /// Their levels.
    pub levels: Vec<Level>,
    /// Factors of the squared errors of the network's output.
    pub weights: Vec<f64>,
}

fn conflict(reason: impl Into<String>) -> Error {
    Error::Invalid { what: "objective", reason: reason.into() }
}

impl Objective {
    /// Refuses numbers out of range and choices that do not go together.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::ParamAtLevel`] for a parameterisation that an end of the schedule does not allow, or
    /// [`Error::Invalid`] with the reason.
    pub fn check(&self) -> Result<(), Error> {
        let schedule = self.schedule.build()?;
        self.weight.check()?;
        self.times.check_with(&*schedule)?;
        if let Param::Consistency { .. } = self.param {
            return Err(conflict("param `consistency` has no denoising target; train another kind and distil it"));
        }
        let (least, most) = schedule.span();
        self.param.check(&[schedule.level(most)])?;
        if self.importance.is_some() {
            LossHistory::new(self.importance.unwrap_or_default().bins, self.importance.unwrap_or_default().quota)?;
            if !matches!(self.times, TimeSampler::Uniform {} | TimeSampler::LowDiscrepancy {}) {
                return Err(conflict("`importance` learns its own distribution of times; set times to `uniform`"));
            }
        }
        if let Some(LearnedVariance { vlb }) = self.learned_variance {
            if !(vlb.is_finite() && vlb > 0.0) {
                return Err(Error::OutOfRange { name: "vlb", value: vlb, range: "a positive number" });
            }
            if self.schedule.table()?.is_none() {
                return Err(conflict(
                    "`learned_variance` is the variance of one step of a table; use a discrete schedule (linear, scaled_linear, cosine, ...)",
                ));
            }
        }
        if let Some(LearnedSchedule { hidden }) = self.learned_schedule {
            if !(1..=1_000_000).contains(&hidden) {
                return Err(Error::OutOfRange { name: "hidden", value: hidden as f64, range: "between 1 and 1000000" });
            }
            if !matches!(self.schedule, ScheduleSpec::Vdm { .. }) {
                return Err(conflict("`learned_schedule` bends the curve of schedule `vdm`; another schedule is fixed"));
            }
            if self.weight != Weight::Likelihood {
                return Err(conflict("`learned_schedule` leaves only the bound unchanged; set weight to `likelihood`"));
            }
            if self.importance.is_some() || !matches!(self.times, TimeSampler::Uniform {} | TimeSampler::LowDiscrepancy {}) {
                return Err(conflict(
                    "`learned_schedule` itself is the distribution of levels; set times to `low_discrepancy`, without `importance`",
                ));
            }
        }
        // A weight that is infinite or negative anywhere inside would end the training on its first unlucky draw.
        let inside = |k: u32| least + (most - least) * (f64::from(k) + 0.5) / 64.0;
        let factor = |t: f64| self.weight.factor(self.param, schedule.level(t), schedule.g2(t));
        match (0..64).map(inside).find(|&t| !(factor(t).is_finite() && factor(t) >= 0.0)) {
            Some(t) => Err(conflict(format!("the weight is {} at time {t} of this schedule", factor(t)))),
            None => Ok(()),
        }
    }

    /// An empty history, where the objective keeps one.
    pub fn history(&self) -> Option<LossHistory> {
        self.importance.and_then(|i| LossHistory::new(i.bins, i.quota).ok())
    }

    /// Draws rows `rows` of the batch of `batch` rows of a training step. `history` must be that of the step's start for all of its rows.
    ///
    /// Times of a discrete schedule are whole. Times that are not uniform are part of the weighting; only under `likelihood` is their
    /// density divided out, so that the loss stays a bound.
    pub fn draw(
        &self,
        schedule: &dyn Schedule,
        noise: Philox,
        step: u32,
        rows: Range<u32>,
        batch: u32,
        history: Option<&LossHistory>,
    ) -> Batch {
        let n = batch as usize;
        let (mut times, densities) = match history {
            Some(history) => history.times(schedule, noise, step, n),
            None => {
                let times = self.times.times(schedule, noise, step, n);
                let density = |t: &f64| match self.weight {
                    Weight::Likelihood => self.times.density_weight(schedule, *t).unwrap_or(1.0),
                    _ => 1.0,
                };
                let densities = times.iter().map(density).collect();
                (times, densities)
            }
        };
        if self.schedule.is_discrete() {
            let last = schedule.span().1;
            times.iter_mut().for_each(|t| *t = (*t * (last + 1.0) / last).floor().min(last));
        }
        let rows = rows.start as usize..rows.end as usize;
        let times = times[rows.clone()].to_vec();
        let weigh = |(&t, d): (&f64, &f64)| d * self.weight.factor(self.param, schedule.level(t), schedule.g2(t));
        Batch {
            levels: times.iter().map(|&t| schedule.level(t)).collect(),
            weights: times.iter().zip(&densities[rows]).map(weigh).collect(),
            times,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Objective, String> {
        let objective: Objective = serde_json::from_str(text).map_err(|e| e.to_string())?;
        objective.check().map_err(|e| e.to_string())?;
        Ok(objective)
    }

    const COSINE: &str = r#""schedule": {"kind": "cosine", "steps": 100, "s": 0.008, "max_beta": 0.999"#;

    #[test]
    fn every_part_has_a_name() {
        assert_eq!(read("{}").unwrap(), Objective::default());
        for text in [
            r#"{"schedule": {"kind": "vp", "beta_min": 0.1, "beta_max": 20}, "param": {"kind": "eps"}, "weight": {"kind": "simple"}, "times": {"kind": "uniform"}}"#.to_owned(),
            format!(r#"{{{COSINE}}}, "param": {{"kind": "eps"}}, "times": {{"kind": "uniform"}}, "importance": {{}}, "learned_variance": {{"vlb": 0.01}}}}"#),
            format!(r#"{{{COSINE}, "zero_terminal_snr": true}}, "param": {{"kind": "v"}}, "weight": {{"kind": "min_snr", "gamma": 5}}, "times": {{"kind": "low_discrepancy"}}}}"#),
            r#"{"schedule": {"kind": "flow", "shift": 1}, "param": {"kind": "flow"}, "times": {"kind": "logit_normal", "mean": 0, "std": 1}}"#.to_owned(),
            r#"{"schedule": {"kind": "vdm", "gamma_min": -10, "gamma_max": 5}, "param": {"kind": "eps"}, "weight": {"kind": "likelihood"}, "times": {"kind": "low_discrepancy"}, "learned_schedule": {}}"#.to_owned(),
        ] {
            let objective = read(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let again: Objective = serde_json::from_value(serde_json::to_value(objective).unwrap()).unwrap();
            assert_eq!(again, objective);
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        let zero = format!(r#"{{{COSINE}, "zero_terminal_snr": true}}, "param": {{"kind": "eps"}}, "times": {{"kind": "uniform"}}}}"#);
        for (text, reason) in [
            (zero.as_str(), "divides by zero"),
            (r#"{"importance": {}}"#, "its own distribution"),
            (r#"{"learned_variance": {}}"#, "discrete schedule"),
            (r#"{"learned_schedule": {}}"#, "vdm"),
            (r#"{"schedule": {"kind": "vdm", "gamma_min": -10, "gamma_max": 5}, "learned_schedule": {}}"#, "likelihood"),
            (
                r#"{"schedule": {"kind": "vdm", "gamma_min": -10, "gamma_max": 5}, "param": {"kind": "eps"}, "weight": {"kind": "likelihood"}, "times": {"kind": "uniform_lambda"}, "learned_schedule": {}}"#,
                "low_discrepancy",
            ),
            (r#"{"param": {"kind": "consistency", "sigma_data": 0.5, "sigma_min": 0.01}}"#, "distil"),
            (r#"{"wieght": {"kind": "unit"}}"#, "wieght"),
            (r#"{"weight": {"kind": "min_snr", "gamma": -1}}"#, "gamma"),
            (r#"{"times": {"kind": "log_normal", "p_mean": 0, "p_std": 0}}"#, "positive"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn rows_do_not_depend_on_the_part_they_are_drawn_in() {
        let objective = Objective { times: TimeSampler::LowDiscrepancy {}, ..Objective::default() };
        let schedule = objective.schedule.build().unwrap();
        let whole = objective.draw(&*schedule, Philox::new(3), 7, 0..12, 12, None);
        let part = objective.draw(&*schedule, Philox::new(3), 7, 4..9, 12, None);
        assert_eq!(part.times, whole.times[4..9]);
        assert_eq!(part.levels, whole.levels[4..9]);
    }

    #[test]
    fn times_of_a_table_are_whole_and_all_of_them_occur() {
        let objective = read(r#"{"schedule": {"kind": "linear", "steps": 7, "beta_start": 0.05, "beta_end": 0.3}, "param": {"kind": "eps"}, "times": {"kind": "uniform"}}"#).unwrap();
        let schedule = objective.schedule.build().unwrap();
        let mut seen = [0; 7];
        for t in objective.draw(&*schedule, Philox::new(3), 0, 0..7000, 7000, None).times {
            assert_eq!(t.fract(), 0.0);
            seen[t as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (800..1200).contains(&n)), "{seen:?}");
    }
}
