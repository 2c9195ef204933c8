//! How levels are walked: a solver, which compiles to a plan, or a driver, which is a loop of its own.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{Error, solver::Solver};

/// A sampling loop that is not a linear plan.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Driver {
    /// Reverse diffusion steps with Langevin corrections at each level (Song et al. 2021); `steps = 0` is the predictor alone.
    PredictorCorrector {
        /// Signal-to-noise ratio of a correction; 0.16 in the paper.
        #[serde(default = "paper_snr")]
        snr: f64,
        /// Corrections at each level.
        #[serde(default = "one")]
        steps: usize,
    },
    /// The probability-flow ODE with error control, between the grid's ends; then one step to clean data.
    AdaptiveOde {
        /// Error allowed per step.
        #[serde(default = "usual_tolerance")]
        tolerance: f64,
    },
    /// Ancestral sampling with the variance that the network learned (Nichol & Dhariwal 2021).
    LearnedVariance {},
}

const fn paper_snr() -> f64 {
    0.16
}

const fn one() -> usize {
    1
}

const fn usual_tolerance() -> f64 {
    1e-4
}

impl Driver {
    /// Every short name with the driver it stands for.
    pub const NAMED: [(&'static str, Self); 4] = [
        ("pc", Self::PredictorCorrector { snr: paper_snr(), steps: one() }),
        ("reverse-diffusion", Self::PredictorCorrector { snr: paper_snr(), steps: 0 }),
        ("adaptive", Self::AdaptiveOde { tolerance: usual_tolerance() }),
        ("ddpm-learned", Self::LearnedVariance {}),
    ];
    const KINDS: [&'static str; 3] = ["predictor_corrector", "adaptive_ode", "learned_variance"];
}

/// A solver or a driver. In a config: a short name, or a table with a `kind` and settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Method {
    /// Compiles to a plan.
    Solver(Solver),
    /// Is a loop of its own.
    Driver(Driver),
}

impl Method {
    /// Every short name with what it stands for.
    pub fn named() -> Vec<(&'static str, Self)> {
        let solvers = Solver::named().into_iter().map(|(name, solver)| (name, Self::Solver(solver)));
        solvers.chain(Driver::NAMED.into_iter().map(|(name, driver)| (name, Self::Driver(driver)))).collect()
    }

    /// Whether noise enters on the way.
    pub fn is_stochastic(&self) -> bool {
        match self {
            Self::Solver(solver) => solver.is_stochastic(),
            Self::Driver(driver) => !matches!(driver, Driver::AdaptiveOde { .. }),
        }
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let fold = |s: &str| s.to_lowercase().replace(['-', '_', ' '], "");
        if let Some((_, driver)) = Driver::NAMED.iter().find(|(known, _)| fold(known) == fold(name)) {
            return Ok(Self::Driver(*driver));
        }
        Solver::from_name(name).map(Self::Solver).map_err(|_| Error::UnknownName {
            kind: "solver",
            name: name.to_owned(),
            known: Self::named().iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", "),
        })
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if let Some(name) = value.as_str() {
            return name.parse().map_err(D::Error::custom);
        }
        let kind = value.get("kind").and_then(serde_json::Value::as_str).unwrap_or_default();
        if Driver::KINDS.contains(&kind) {
            return Driver::deserialize(value).map(Self::Driver).map_err(D::Error::custom);
        }
        Solver::deserialize(value).map(Self::Solver).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_its_table_read_back() {
        for (name, method) in Method::named() {
            assert_eq!(name.parse::<Method>().unwrap(), method, "{name}");
            let table = serde_json::to_value(method).unwrap();
            assert_eq!(serde_json::from_value::<Method>(table.clone()).unwrap(), method, "{table}");
        }
        assert_eq!("Reverse_Diffusion".parse::<Method>().unwrap(), Method::Driver(Driver::NAMED[1].1));
        let Err(Error::UnknownName { known, .. }) = "predictor".parse::<Method>() else { panic!("is refused") };
        assert!(known.contains("dpmpp2m") && known.contains("ddpm-learned"));
        assert!(
            serde_json::from_str::<Method>(r#"{"kind": "adaptive_ode", "tolernace": 1}"#).unwrap_err().to_string().contains("tolernace")
        );
        assert!(serde_json::from_str::<Method>(r#"{"kind": "dpmp"}"#).unwrap_err().to_string().contains("dpmpp"));
    }
}
