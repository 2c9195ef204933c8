//! The sampling half of a config: from noise to a sample.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Method, Run, name_or_table, run};
use crate::{Error, Param, grid::Grid, guide::dynamic_threshold, schedule::Schedule, variance::ScoreMoments};

/// How a model is sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// How levels are walked: a name or a table.
    pub solver: Method,
    /// Which levels are visited: a name or a table.
    #[serde(deserialize_with = "name_or_table")]
    pub grid: Grid,
    /// Steps.
    pub steps: usize,
    /// Weight of classifier-free guidance; 1 is unguided.
    pub guidance: f64,
    /// Share of guided estimates that is rescaled to the spread of the unguided ones (Lin et al. 2024); 0 is none.
    pub guidance_rescale: f64,
    /// Least and greatest noise `sigma / alpha` at which guidance acts (Kynkäänniemi et al. 2024); everywhere when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance_interval: Option<[f64; 2]>,
    /// What is done to every estimate of the clean data.
    pub threshold: Threshold,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            solver: Method::Solver(crate::solver::Solver::Dpmpp(crate::solver::DpmPp::default())),
            grid: Grid::Karras { rho: 7.0, sigma_min: None, sigma_max: None },
            steps: 16,
            guidance: 1.0,
            guidance_rescale: 0.0,
            guidance_interval: None,
            threshold: Threshold::None {},
        }
    }
}

/// Bounds on estimates of the clean data, in its units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Threshold {
    /// None.
    None {},
    /// Clips to `[-limit, limit]` (Ho et al. 2020).
    Static {
        /// Greatest size.
        limit: f64,
    },
    /// Clips each sample to its own quantile and rescales to `[-limit, limit]` (Saharia et al. 2022).
    Dynamic {
        /// Quantile of sizes; 0.995 is usual.
        quantile: f64,
        /// Size that data has at most.
        limit: f64,
    },
}

impl Threshold {
    /// Applies it to a batch of estimates.
    pub fn apply<const D: usize>(self, x0: Tensor<D>) -> Tensor<D> {
        match self {
            Self::None {} => x0,
            Self::Static { limit } => x0.clamp(-limit, limit),
            Self::Dynamic { quantile, limit } => dynamic_threshold(x0.div_scalar(limit), quantile).mul_scalar(limit),
        }
    }
}

impl Sampling {
    /// Refuses numbers out of range.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] names the first; [`Error::Invalid`] for an interval that is upside down.
    pub fn check(&self) -> Result<(), Error> {
        let within = |name, value: f64, low: f64, high: f64, range| {
            if (low..=high).contains(&value) { Ok(()) } else { Err(Error::OutOfRange { name, value, range }) }
        };
        within("steps", self.steps as f64, 1.0, 1e6, "between 1 and 1000000")?;
        within("guidance", self.guidance, -100.0, 100.0, "between -100 and 100")?;
        within("guidance_rescale", self.guidance_rescale, 0.0, 1.0, "between 0 and 1")?;
        if let Some([low, high]) = self.guidance_interval
            && !(low >= 0.0 && high > low)
        {
            let reason = format!("from {low} to {high}; give the least noise, then a greater one");
            return Err(Error::Invalid { what: "guidance_interval", reason });
        }
        match self.threshold {
            Threshold::None {} => Ok(()),
            Threshold::Static { limit } | Threshold::Dynamic { limit, .. } if !(limit.is_finite() && limit > 0.0) => {
                Err(Error::OutOfRange { name: "limit", value: limit, range: "a positive number" })
            }
            Threshold::Static { .. } => Ok(()),
            Threshold::Dynamic { quantile, .. } => within("quantile", quantile, 0.0, 1.0, "between 0 and 1"),
        }
    }

    /// Makes the run of a schedule for a network of a kind. `moments` are those of a checkpoint; `learned_variance` says that its network
    /// predicts a variance.
    ///
    /// # Errors
    /// What [`Sampling::check`] refuses, a grid or parameterisation that the schedule does not allow, or a method that needs what the
    /// checkpoint does not have, with the reason.
    pub fn compile(
        &self,
        schedule: &dyn Schedule,
        param: Param,
        moments: Option<&ScoreMoments>,
        learned_variance: bool,
    ) -> Result<Run, Error> {
        self.check()?;
        let nodes = self.grid.nodes(schedule, self.steps)?;
        let noisy = nodes.iter().copied().filter(|at| !at.is_clean()).collect::<Vec<_>>();
        param.check(&noisy)?;
        run::compile(self.solver, nodes, moments, learned_variance)
    }

    /// The noise levels at which guidance acts.
    pub fn guided_at(&self) -> std::ops::Range<f64> {
        self.guidance_interval.map_or(0.0..f64::INFINITY, |[low, high]| low..high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Edm, Table, betas};

    fn read(text: &str) -> Result<Sampling, String> {
        let sampling: Sampling = serde_json::from_str(text).map_err(|e| e.to_string())?;
        sampling.check().map_err(|e| e.to_string())?;
        Ok(sampling)
    }

    #[test]
    fn names_and_tables_mean_the_same() {
        let short = read(r#"{"solver": "unipc3", "grid": "lambda", "steps": 8}"#).unwrap();
        let long = read(r#"{"solver": {"kind": "unipc", "order": 3}, "grid": {"kind": "lambda"}, "steps": 8}"#).unwrap();
        assert_eq!(short, long);
        let again: Sampling = serde_json::from_value(serde_json::to_value(&short).unwrap()).unwrap();
        assert_eq!(again, short);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, reason) in [
            (r#"{"slover": "heun"}"#, "slover"),
            (r#"{"solver": "huen"}"#, "huen"),
            (r#"{"grid": "karas"}"#, "karas"),
            (r#"{"steps": 0}"#, "steps"),
            (r#"{"guidance_interval": [3, 1]}"#, "least noise"),
            (r#"{"guidance_rescale": 2}"#, "guidance_rescale"),
            (r#"{"threshold": {"kind": "dynamic", "quantile": 1.5, "limit": 1}}"#, "quantile"),
            (r#"{"threshold": {"kind": "static", "limit": 0}}"#, "limit"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn combinations_that_cannot_work_are_refused() {
        let edm = Edm::new(0.002, 80.0).unwrap();
        let eps = Param::Eps;
        let compile =
            |text: &str, schedule: &dyn Schedule| read(text).unwrap().compile(schedule, eps, None, false).map_err(|e| e.to_string());
        assert!(compile(r#"{"grid": "trailing"}"#, &edm).unwrap_err().contains("discrete"));
        assert!(compile(r#"{"solver": "ddpm-learned"}"#, &edm).unwrap_err().contains("learned variance"));
        let zero = Table::from_betas(&betas::cosine(0.008, 0.999, 50)).unwrap().zero_terminal_snr().unwrap();
        assert!(compile(r#"{"grid": "trailing", "steps": 5}"#, &zero).unwrap_err().contains("divides by zero"));
        assert!(compile("{}", &edm).is_ok());
    }
}
