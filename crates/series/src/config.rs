//! The `[model]` table of a series config.

use langevin_core::{
    Param,
    grid::Grid,
    loss::{TimeSampler, Weight},
    recipe::{Objective, Sampling},
    schedule::ScheduleSpec,
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, model::csdi::CsdiConfig};

/// A series model by architecture; `kind` is the tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "a run has one")]
pub enum ModelConfig {
    /// What the anchor leaves over, for any number of columns.
    Residual(ResidualConfig),
    /// CSDI, as published, or the same network without conditions for RePaint.
    Csdi(CsdiConfig),
}

impl ModelConfig {
    /// Refuses settings out of range and choices that do not go together.
    ///
    /// # Errors
    /// As the architecture's own check.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Residual(config) => config.check(),
            Self::Csdi(config) => config.check(),
        }
    }
}

/// Settings of the residual model: an encoder that sees what is observed, once a window, and a denoiser for every sample and step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResidualConfig {
    /// Rows of a window.
    pub window: usize,
    /// Most columns of a window in training; a wider table shows some of its columns at a time.
    pub columns: usize,
    /// Width of a token in the encoder.
    pub width: usize,
    /// Width inside a block of the encoder.
    pub hidden: usize,
    /// Width of a token in the denoiser.
    pub state_width: usize,
    /// Width inside a block of the denoiser.
    pub state_hidden: usize,
    /// Heads of attention over columns; divides both widths.
    pub heads: usize,
    /// Blocks of the encoder, and as many of the denoiser; block `k` reads every `2^k`th row.
    pub blocks: usize,
    /// Width of the embedded noise level.
    pub condition: usize,
    /// Noised copies of each training window, at one level: they share the encoder's work.
    pub draws: usize,
    /// How it is trained.
    pub objective: Objective,
    /// How it is sampled when a request says nothing else.
    pub sampling: Sampling,
}

impl Default for ResidualConfig {
    fn default() -> Self {
        Self {
            window: 96,
            columns: 16,
            width: 64,
            hidden: 128,
            state_width: 48,
            state_hidden: 48,
            heads: 4,
            blocks: 4,
            condition: 64,
            draws: 2,
            objective: Objective {
                schedule: ScheduleSpec::Edm { sigma_min: 0.05, sigma_max: 40.0 },
                param: Param::Edm { sigma_data: 1.0 },
                weight: Weight::Unit,
                times: TimeSampler::LogNormal { p_mean: 0.5, p_std: 1.4 },
                importance: None,
                learned_variance: None,
                learned_schedule: None,
            },
            // In six steps on these levels normal residuals keep their spread within 10 % along directions of variance 0.2 to 100: cells of a
            // long gap err together, and a start at less noise would take a third off that.
            sampling: Sampling {
                steps: 6,
                grid: Grid::Karras { rho: 10.0, sigma_min: Some(0.1), sigma_max: Some(20.0) },
                ..Sampling::default()
            },
        }
    }
}

/// A whole number between two others.
pub(crate) fn within(name: &'static str, value: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::Setting { name, reason: format!("should be {least} to {most}, but is {value}") })
}

impl ResidualConfig {
    /// Refuses settings out of range and choices that do not go together.
    ///
    /// # Errors
    /// [`Error::Setting`] or what the core refuses.
    pub fn check(&self) -> Result<()> {
        within("window", self.window, 8, 4096)?;
        within("columns", self.columns, 1, crate::data::MOST_COLUMNS)?;
        within("width", self.width, 4, 2048)?;
        within("hidden", self.hidden, 4, 8192)?;
        within("state_width", self.state_width, 4, 2048)?;
        within("state_hidden", self.state_hidden, 4, 8192)?;
        within("heads", self.heads, 1, 64)?;
        within("blocks", self.blocks, 1, 10)?;
        within("condition", self.condition, 4, 4096)?;
        within("draws", self.draws, 1, 256)?;
        for (name, value) in [("width", self.width), ("state_width", self.state_width)] {
            if !value.is_multiple_of(self.heads) {
                return Err(Error::Setting { name, reason: format!("should be a multiple of heads = {}, but is {value}", self.heads) });
            }
        }
        let conflict = |reason: &str| Err(langevin_core::Error::Invalid { what: "objective", reason: reason.to_owned() }.into());
        if self.objective.param != (Param::Edm { sigma_data: 1.0 }) {
            return conflict("param should be { kind = \"edm\", sigma_data = 1.0 }: residuals are in units of the anchor's own error");
        }
        if self.objective.learned_variance.is_some() || self.objective.learned_schedule.is_some() || self.objective.importance.is_some() {
            return conflict("a residual model has no learned variance, learned schedule or importance sampling");
        }
        self.objective.check()?;
        self.sampling.check()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use langevin_core::{Denoiser, Level, Philox};

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        let refused = |change: fn(&mut ResidualConfig)| {
            let mut config = ResidualConfig::default();
            config.check().unwrap();
            change(&mut config);
            config.check().is_err()
        };
        assert!(refused(|c| c.window = 7));
        assert!(refused(|c| c.columns = 65));
        assert!(refused(|c| c.heads = 5));
        assert!(refused(|c| c.heads = 0));
        assert!(refused(|c| c.blocks = 0));
        assert!(refused(|c| c.draws = 0));
        assert!(refused(|c| c.sampling.steps = 0));
        assert!(refused(|c| c.objective.param = Param::V));
        assert!(refused(|c| c.objective.param = Param::Edm { sigma_data: 0.5 }));
        assert!(refused(|c| c.objective.learned_variance = Some(langevin_core::recipe::LearnedVariance::default())));
    }

    /// The exact denoiser of normal residuals: what six steps make of their spread, by the variance along a direction.
    #[test]
    fn few_steps_keep_the_spread_of_normal_residuals() {
        struct Normal(f64);
        impl Denoiser<Vec<f64>> for Normal {
            fn denoise(&self, x: &Vec<f64>, at: Level, _node: u32) -> Vec<f64> {
                x.iter().map(|x| x * self.0 / (self.0 + at.ve_sigma().powi(2))).collect()
            }
        }
        let config = ResidualConfig::default();
        let schedule = config.objective.schedule.build().unwrap();
        let run = config.sampling.compile(&*schedule, config.objective.param, None, false).unwrap();
        let plan = run.plan().expect("the default solver is a plan");
        for variance in [0.2, 0.5, 1.0, 3.0, 10.0, 30.0, 100.0] {
            let spread = plan.run(vec![run.start()], &Normal(variance), &Philox::new(1))[0] / f64::sqrt(variance);
            assert!((spread - 1.0).abs() < 0.1, "{variance}: {spread}");
        }
    }

    #[test]
    fn configs_go_through_json_and_name_what_they_do_not_know() {
        for config in [ModelConfig::Residual(ResidualConfig::default()), ModelConfig::Csdi(CsdiConfig::default())] {
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<ModelConfig>(&text).unwrap(), config);
            config.check().unwrap();
        }
        let error = serde_json::from_str::<ModelConfig>(r#"{"kind": "residual", "widht": 3}"#).unwrap_err().to_string();
        assert!(error.contains("widht"), "{error}");
    }
}
