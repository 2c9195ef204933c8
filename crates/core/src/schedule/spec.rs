//! Schedules as they are written in a configuration.

use serde::{Deserialize, Serialize};

use super::{Edm, Flow, LinearGamma, Schedule, SubVp, Table, Ve, Vp, VpCosine, betas, positive};
use crate::Error;

/// Most steps of a discrete table: a bound on what a file can make us allocate.
const MOST_STEPS: usize = 1_000_000;

/// A schedule by name, with its numbers; `kind` is the tag, in snake_case.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleSpec {
    /// Discrete, evenly spaced betas (Ho et al. 2020).
    Linear {
        /// Entries of the table, `T`.
        steps: usize,
        /// First beta.
        beta_start: f64,
        /// Last beta.
        beta_end: f64,
        /// Whether to rescale to pure noise at the end (Lin et al. 2024).
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// Discrete, squares of evenly spaced roots (Rombach et al. 2022).
    ScaledLinear {
        /// Entries of the table, `T`.
        steps: usize,
        /// First beta.
        beta_start: f64,
        /// Last beta.
        beta_end: f64,
        /// Whether to rescale to pure noise at the end.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// Discrete cosine (Nichol & Dhariwal 2021).
    Cosine {
        /// Entries of the table, `T`.
        steps: usize,
        /// Offset that keeps the first betas from vanishing; 0.008 in the paper.
        s: f64,
        /// Bound of every beta; 0.999 in the paper.
        max_beta: f64,
        /// Whether to rescale to pure noise at the end.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// Discrete, betas a sigmoid.
    SigmoidBeta {
        /// Entries of the table, `T`.
        steps: usize,
        /// Beta far to the left of the sigmoid.
        beta_start: f64,
        /// Beta far to its right.
        beta_end: f64,
        /// The sigmoid is taken on `[-range, range]`.
        range: f64,
        /// Whether to rescale to pure noise at the end.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// Discrete, `alpha_bar` a sigmoid (Jabri et al. 2022).
    SigmoidAlphaBar {
        /// Entries of the table, `T`.
        steps: usize,
        /// Left end of the sigmoid's argument.
        start: f64,
        /// Right end.
        end: f64,
        /// Temperature, a divisor of the argument.
        tau: f64,
        /// Bound of every beta.
        max_beta: f64,
        /// Whether to rescale to pure noise at the end.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// Continuous VP SDE with linear beta.
    Vp {
        /// Rate at `t = 0`.
        beta_min: f64,
        /// Rate at `t = 1`.
        beta_max: f64,
    },
    /// Continuous cosine.
    VpCosine {
        /// Offset.
        s: f64,
    },
    /// Continuous sub-VP SDE.
    SubVp {
        /// Rate at `t = 0`.
        beta_min: f64,
        /// Rate at `t = 1`.
        beta_max: f64,
    },
    /// Continuous, geometric VE SDE.
    Ve {
        /// Least noise.
        sigma_min: f64,
        /// Greatest noise.
        sigma_max: f64,
    },
    /// `sigma = t` (Karras et al. 2022).
    Edm {
        /// Least noise.
        sigma_min: f64,
        /// Greatest noise.
        sigma_max: f64,
    },
    /// Flow matching.
    Flow {
        /// Time shift; 1 is none.
        shift: f64,
    },
    /// Linear negative log-SNR (Kingma et al. 2021).
    Vdm {
        /// `gamma` of the least noise.
        gamma_min: f64,
        /// `gamma` of the most noise.
        gamma_max: f64,
    },
}

impl ScheduleSpec {
    /// The table of a discrete schedule; none for a continuous one.
    ///
    /// # Errors
    /// As [`ScheduleSpec::build`].
    pub fn table(&self) -> Result<Option<Table>, Error> {
        let (betas, zero) = match *self {
            Self::Linear { steps, beta_start, beta_end, zero_terminal_snr } => {
                check(steps, &[("beta_start", beta_start), ("beta_end", beta_end)])?;
                (betas::linear(beta_start, beta_end, steps), zero_terminal_snr)
            }
            Self::ScaledLinear { steps, beta_start, beta_end, zero_terminal_snr } => {
                check(steps, &[("beta_start", beta_start), ("beta_end", beta_end)])?;
                (betas::scaled_linear(beta_start, beta_end, steps), zero_terminal_snr)
            }
            Self::Cosine { steps, s, max_beta, zero_terminal_snr } => {
                check(steps, &[("max_beta", max_beta)])?;
                VpCosine::new(s)?;
                (betas::cosine(s, max_beta, steps), zero_terminal_snr)
            }
            Self::SigmoidBeta { steps, beta_start, beta_end, range, zero_terminal_snr } => {
                check(steps, &[("beta_start", beta_start), ("beta_end", beta_end)])?;
                positive("range", range)?;
                (betas::sigmoid_beta(beta_start, beta_end, range, steps), zero_terminal_snr)
            }
            Self::SigmoidAlphaBar { steps, start, end, tau, max_beta, zero_terminal_snr } => {
                check(steps, &[("max_beta", max_beta)])?;
                positive("tau", tau)?;
                if !(start.is_finite() && end.is_finite() && start < end) {
                    return Err(Error::OutOfRange { name: "end", value: end, range: "finite and greater than start" });
                }
                (betas::sigmoid_alpha_bar(start, end, tau, max_beta, steps), zero_terminal_snr)
            }
            _ => return Ok(None),
        };
        let table = Table::from_betas(&betas)?;
        Ok(Some(if zero { table.zero_terminal_snr()? } else { table }))
    }

    /// Whether the schedule is a table with whole times.
    pub const fn is_discrete(&self) -> bool {
        matches!(
            self,
            Self::Linear { .. } | Self::ScaledLinear { .. } | Self::Cosine { .. } | Self::SigmoidBeta { .. } | Self::SigmoidAlphaBar { .. }
        )
    }

    /// The schedule.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] names the setting that is wrong; [`Error::Invalid`] an entry of a table that is.
    pub fn build(&self) -> Result<Box<dyn Schedule + Send + Sync>, Error> {
        if let Some(table) = self.table()? {
            return Ok(Box::new(table));
        }
        Ok(match *self {
            Self::Vp { beta_min, beta_max } => Box::new(Vp::new(beta_min, beta_max)?),
            Self::VpCosine { s } => Box::new(VpCosine::new(s)?),
            Self::SubVp { beta_min, beta_max } => Box::new(SubVp::new(beta_min, beta_max)?),
            Self::Ve { sigma_min, sigma_max } => Box::new(Ve::new(sigma_min, sigma_max)?),
            Self::Edm { sigma_min, sigma_max } => Box::new(Edm::new(sigma_min, sigma_max)?),
            Self::Flow { shift } => Box::new(Flow::new(shift)?),
            Self::Vdm { gamma_min, gamma_max } => Box::new(LinearGamma::new(gamma_min, gamma_max)?),
            Self::Linear { .. }
            | Self::ScaledLinear { .. }
            | Self::Cosine { .. }
            | Self::SigmoidBeta { .. }
            | Self::SigmoidAlphaBar { .. } => unreachable!("discrete kinds have a table"),
        })
    }
}

fn check(steps: usize, betas: &[(&'static str, f64)]) -> Result<(), Error> {
    if !(2..=MOST_STEPS).contains(&steps) {
        return Err(Error::OutOfRange { name: "steps", value: steps as f64, range: "between 2 and 1000000" });
    }
    for &(name, value) in betas {
        if !(value > 0.0 && value < 1.0) {
            return Err(Error::OutOfRange { name, value, range: "between 0 and 1" });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ScheduleSpec, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_spec_is_read_and_built() {
        let spec = parse(r#"{"kind": "scaled_linear", "steps": 1000, "beta_start": 0.00085, "beta_end": 0.012}"#).unwrap();
        let schedule = spec.build().unwrap();
        assert_eq!(schedule.span(), (0.0, 999.0));
        assert!((schedule.level(0.0).alpha.powi(2) - 0.99915).abs() < 1e-15);
        let zero = parse(r#"{"kind": "cosine", "steps": 50, "s": 0.008, "max_beta": 0.999, "zero_terminal_snr": true}"#).unwrap();
        assert_eq!(zero.build().unwrap().level(49.0).alpha, 0.0);
        assert_eq!(parse(r#"{"kind": "flow", "shift": 3}"#).unwrap().build().unwrap().level(0.5).sigma, 0.75);
    }

    #[test]
    fn mistakes_are_errors() {
        assert!(parse(r#"{"kind": "flow", "shift": 3, "shfit": 1}"#).is_err());
        assert!(parse(r#"{"kind": "linaer", "steps": 10}"#).is_err());
        for text in [
            r#"{"kind": "linear", "steps": 1, "beta_start": 0.1, "beta_end": 0.2}"#,
            r#"{"kind": "linear", "steps": 10, "beta_start": 0.1, "beta_end": 1.5}"#,
            r#"{"kind": "linear", "steps": 99999999999, "beta_start": 0.1, "beta_end": 0.5}"#,
            r#"{"kind": "sigmoid_alpha_bar", "steps": 10, "start": 3, "end": -3, "tau": 1, "max_beta": 0.999}"#,
            r#"{"kind": "ve", "sigma_min": 2, "sigma_max": 1}"#,
            r#"{"kind": "flow", "shift": 0}"#,
        ] {
            assert!(parse(text).unwrap().build().is_err(), "{text}");
        }
    }
}
