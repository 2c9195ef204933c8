//! Grids: which levels of a schedule a sampler visits.
//!
//! The plain functions return numbers (noise in variance exploding coordinates, or times); [`Grid`] turns them into levels of a
//! given schedule.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Level, schedule::Schedule};

/// Most levels of a grid: a bound on what a file can make us allocate.
const MOST_STEPS: usize = 1_000_000;

/// `n` numbers from `start` to `end`, both included (only `start` if `n = 1`).
fn linspace(start: f64, end: f64, n: usize) -> Vec<f64> {
    let step = (end - start) / n.saturating_sub(1).max(1) as f64;
    (0..n).map(|i| if i > 0 && i + 1 == n { end } else { start + i as f64 * step }).collect()
}

/// `n` falling noise levels, evenly spaced in `sigma^(1/rho)` (Karras et al. 2022, eq. 5; usual `rho` 7).
pub fn karras(sigma_max: f64, sigma_min: f64, rho: f64, n: usize) -> Vec<f64> {
    let (first, last) = (sigma_max.powf(1.0 / rho), sigma_min.powf(1.0 / rho));
    linspace(0.0, 1.0, n).into_iter().map(|u| ((1.0 - u) * first + u * last).powf(rho)).collect()
}

/// `n` falling noise levels, evenly spaced in `ln sigma`.
pub fn exponential(sigma_max: f64, sigma_min: f64, n: usize) -> Vec<f64> {
    linspace(sigma_max.ln(), sigma_min.ln(), n).into_iter().map(f64::exp).collect()
}

/// `n` falling noise levels, `ln sigma` linear in `u^rho` with `u` evenly spaced from 1 to 0; `rho = 1` is [`exponential`].
pub fn polyexponential(sigma_max: f64, sigma_min: f64, rho: f64, n: usize) -> Vec<f64> {
    let (first, last) = (sigma_max.ln(), sigma_min.ln());
    linspace(1.0, 0.0, n).into_iter().map(|u| ((1.0 - u.powf(rho)) * last + u.powf(rho) * first).exp()).collect()
}

/// `n` of the times `0..steps` at the whole stride `steps / n`, from 0, plus `offset` (Ho et al. 2020; DDIM).
pub fn leading(steps: usize, n: usize, offset: usize) -> Vec<f64> {
    let stride = steps / n.max(1);
    (0..n).rev().map(|i| (i * stride + offset) as f64).collect()
}

/// `n` evenly spaced times, the first and last of `0..steps` included, rounded to integers (half to even).
pub fn linspace_times(steps: usize, n: usize) -> Vec<f64> {
    let mut times = linspace(0.0, steps.saturating_sub(1) as f64, n);
    times.reverse();
    times.into_iter().map(f64::round_ties_even).collect()
}

/// `n` times counted back from the last of `0..steps` at the real stride `steps / n` (Lin et al. 2024, table 2).
pub fn trailing(steps: usize, n: usize) -> Vec<f64> {
    let stride = steps as f64 / n.max(1) as f64;
    (0..n).map(|i| (steps as f64 - i as f64 * stride).round_ties_even() - 1.0).collect()
}

/// A grid by name, with its numbers; `kind` is the tag, in snake_case. [`str::parse`] gives the usual numbers for a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Grid {
    /// [`karras`] noise, in variance exploding coordinates.
    Karras {
        /// Exponent; 7 in the paper.
        #[serde(default = "seven")]
        rho: f64,
        /// Least noise; by default that of the schedule.
        #[serde(default)]
        sigma_min: Option<f64>,
        /// Greatest noise; by default that of the schedule.
        #[serde(default)]
        sigma_max: Option<f64>,
    },
    /// Even in `lambda`, which is [`exponential`] in noise.
    #[serde(alias = "exponential")]
    Lambda {
        /// Least noise; by default that of the schedule.
        #[serde(default)]
        sigma_min: Option<f64>,
        /// Greatest noise; by default that of the schedule.
        #[serde(default)]
        sigma_max: Option<f64>,
    },
    /// [`polyexponential`] noise.
    Polyexponential {
        /// Power; 1 is `lambda`.
        #[serde(default = "one")]
        rho: f64,
        /// Least noise; by default that of the schedule.
        #[serde(default)]
        sigma_min: Option<f64>,
        /// Greatest noise; by default that of the schedule.
        #[serde(default)]
        sigma_max: Option<f64>,
    },
    /// Even in the schedule's own time.
    Linear {},
    /// [`leading`] times of a discrete schedule.
    Leading {
        /// Added to every time.
        #[serde(default)]
        offset: usize,
    },
    /// [`linspace_times`] of a discrete schedule.
    Linspace {},
    /// [`trailing`] times of a discrete schedule.
    Trailing {},
    /// The schedule's times as given, falling.
    Custom {
        /// The times.
        times: Vec<f64>,
    },
}

fn seven() -> f64 {
    7.0
}

fn one() -> f64 {
    1.0
}

impl Grid {
    /// Names that [`str::parse`] knows.
    pub const NAMES: [&str; 8] = ["karras", "lambda", "exponential", "polyexponential", "linear", "leading", "linspace", "trailing"];

    /// The levels of a sampling run in `steps` steps: `steps + 1` levels of falling noise, the last of them clean.
    ///
    /// Where the schedule ends in clean data and the grid reaches that end, it is the last level; elsewhere `steps` levels end at
    /// the least noise of the grid and the last step removes that.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for no or too many steps, a number of the grid that is out of range, or ends that are not finite (a
    /// schedule that starts at pure noise has `sigma / alpha = inf` there: give the grid its own `sigma_max`, or use `linear` or a
    /// discrete spacing); [`Error::Invalid`] for a spacing that the schedule's times do not allow.
    pub fn nodes(&self, schedule: &dyn Schedule, steps: usize) -> Result<Vec<Level>, Error> {
        let mut nodes = self.levels(schedule, steps)?;
        if nodes.last().is_some_and(|l| !l.is_clean()) {
            nodes.push(Level::clean());
        } else {
            nodes = self.levels(schedule, steps + 1)?;
        }
        if nodes.len() != steps + 1 {
            return Err(invalid(format!("{steps} steps asked of a custom grid that has {}", nodes.len() - 1)));
        }
        let falls = |w: &[Level]| w[1].ve_sigma() < w[0].ve_sigma();
        match nodes.windows(2).position(|w| !falls(w)) {
            Some(i) => Err(Error::Grid { node: i + 1, reason: "its noise is not below that of the node before" }),
            None => Ok(nodes),
        }
    }

    /// `count` levels of the schedule from the noisiest to the least noisy, without a clean one added.
    ///
    /// # Errors
    /// As [`Grid::nodes`].
    pub fn levels(&self, schedule: &dyn Schedule, count: usize) -> Result<Vec<Level>, Error> {
        if !(1..=MOST_STEPS).contains(&count) {
            return Err(Error::OutOfRange { name: "steps", value: count as f64, range: "between 1 and 1000000" });
        }
        let of_sigmas = |sigmas: Vec<f64>| sigmas.iter().map(|s| schedule.level(schedule.t_of_lambda(-s.ln()))).collect();
        let of_times = |times: Vec<f64>| times.iter().map(|&t| schedule.level(t)).collect();
        Ok(match *self {
            Self::Karras { rho, sigma_min, sigma_max } => {
                let (max, min) = ends(schedule, sigma_max, sigma_min)?;
                of_sigmas(karras(max, min, power(rho)?, count))
            }
            Self::Lambda { sigma_min, sigma_max } => {
                let (max, min) = ends(schedule, sigma_max, sigma_min)?;
                of_sigmas(exponential(max, min, count))
            }
            Self::Polyexponential { rho, sigma_min, sigma_max } => {
                let (max, min) = ends(schedule, sigma_max, sigma_min)?;
                of_sigmas(polyexponential(max, min, power(rho)?, count))
            }
            Self::Linear {} => {
                let (least, most) = schedule.span();
                of_times(linspace(most, least, count))
            }
            Self::Leading { offset } => of_times(leading(discrete(schedule, count, offset)?, count, offset)),
            Self::Linspace {} => of_times(linspace_times(discrete(schedule, count, 0)?, count)),
            Self::Trailing {} => of_times(trailing(discrete(schedule, count, 0)?, count)),
            Self::Custom { ref times } => {
                let (least, most) = schedule.span();
                if let Some(&value) = times.iter().find(|t| !(least..=most).contains(*t)) {
                    return Err(Error::OutOfRange { name: "times", value, range: "within the schedule's span" });
                }
                if times.is_empty() {
                    return Err(invalid("a custom grid without times".into()));
                }
                of_times(times.clone())
            }
        })
    }
}

impl FromStr for Grid {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let (sigma_min, sigma_max) = (None, None);
        Ok(match name {
            "karras" => Self::Karras { rho: seven(), sigma_min, sigma_max },
            "lambda" | "exponential" => Self::Lambda { sigma_min, sigma_max },
            "polyexponential" => Self::Polyexponential { rho: one(), sigma_min, sigma_max },
            "linear" => Self::Linear {},
            "leading" => Self::Leading { offset: 0 },
            "linspace" => Self::Linspace {},
            "trailing" => Self::Trailing {},
            _ => return Err(Error::UnknownName { kind: "grid", name: name.to_owned(), known: Self::NAMES.join(", ") }),
        })
    }
}

/// Greatest and least noise of a grid: its own numbers, or those of the schedule.
fn ends(schedule: &dyn Schedule, sigma_max: Option<f64>, sigma_min: Option<f64>) -> Result<(f64, f64), Error> {
    let (least, most) = schedule.span();
    let max = sigma_max.unwrap_or_else(|| schedule.level(most).ve_sigma());
    let min = sigma_min.unwrap_or_else(|| schedule.level(least).ve_sigma());
    if !(min > 0.0 && min.is_finite()) {
        return Err(Error::OutOfRange { name: "sigma_min", value: min, range: "a positive number (or another grid, such as linear)" });
    }
    if !(max >= min && max.is_finite()) {
        let range = "finite and at least sigma_min (or another grid, such as linear)";
        return Err(Error::OutOfRange { name: "sigma_max", value: max, range });
    }
    Ok((max, min))
}

fn power(rho: f64) -> Result<f64, Error> {
    if rho.is_finite() && rho > 0.0 { Ok(rho) } else { Err(Error::OutOfRange { name: "rho", value: rho, range: "a positive number" }) }
}

/// `T` of a schedule whose times are `0..T`, if `count` of them can be had.
fn discrete(schedule: &dyn Schedule, count: usize, offset: usize) -> Result<usize, Error> {
    let (least, most) = schedule.span();
    if least != 0.0 || most.fract() != 0.0 || most < 2.0 {
        return Err(invalid(format!("a discrete spacing needs the times 0, 1, .. of a table, but these run from {least} to {most}")));
    }
    let steps = most as usize + 1;
    let last = (count - 1).saturating_mul(steps / count).saturating_add(offset);
    if count > steps || last >= steps {
        return Err(invalid(format!("{count} steps with offset {offset} of a schedule of {steps}")));
    }
    Ok(steps)
}

fn invalid(reason: String) -> Error {
    Error::Invalid { what: "grid", reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Edm, Flow, Table, Vp, betas};
    use proptest::prelude::*;

    fn table(steps: usize) -> Table {
        Table::from_betas(&betas::linear(1e-4, 0.02, steps)).unwrap()
    }

    #[test]
    fn spacings_follow_their_definitions() {
        assert_eq!(leading(1000, 3, 1), [667.0, 334.0, 1.0]);
        assert_eq!(linspace_times(10, 3), [9.0, 4.0, 0.0]);
        assert_eq!(trailing(10, 4), [9.0, 7.0, 4.0, 1.0]);
        assert_eq!(trailing(1000, 1), [999.0]);
    }

    #[test]
    fn noise_grids_have_their_ends_and_their_middle() {
        let sigmas = karras(80.0, 0.002, 7.0, 3);
        assert!((sigmas[0] - 80.0).abs() < 1e-12 && (sigmas[2] - 0.002).abs() < 1e-15);
        let middle = (0.5 * (80f64.powf(1.0 / 7.0) + 0.002f64.powf(1.0 / 7.0))).powi(7);
        assert!((sigmas[1] - middle).abs() < 1e-12);
        let even = exponential(100.0, 1.0, 3);
        assert!((even[1] - 10.0).abs() < 1e-12);
        assert!((polyexponential(100.0, 1.0, 1.0, 3)[1] - 10.0).abs() < 1e-12);
    }

    #[test]
    fn every_name_gives_nodes_that_fall_to_clean_data() {
        for name in Grid::NAMES {
            let grid: Grid = name.parse().unwrap();
            for steps in [1, 2, 7, 50] {
                let nodes = grid.nodes(&table(1000), steps).unwrap();
                assert_eq!((nodes.len(), nodes[steps]), (steps + 1, Level::clean()), "{name}");
            }
        }
        assert!(matches!("karas".parse::<Grid>(), Err(Error::UnknownName { .. })));
    }

    #[test]
    fn a_schedule_that_ends_clean_gets_no_second_clean_node() {
        let nodes = Grid::Linear {}.nodes(&Flow::new(1.0).unwrap(), 4).unwrap();
        assert_eq!(nodes.iter().map(|l| l.sigma).collect::<Vec<_>>(), [1.0, 0.75, 0.5, 0.25, 0.0]);
        let nodes = Grid::Linear {}.nodes(&Vp::new(0.1, 20.0).unwrap(), 4).unwrap();
        assert_eq!(nodes.len(), 5);
        assert!(nodes[3].sigma > 0.0 && nodes[4].is_clean());
    }

    #[test]
    fn impossible_grids_are_errors() {
        let flow = Flow::new(1.0).unwrap();
        let karras = |sigma_min, sigma_max| Grid::Karras { rho: 7.0, sigma_min, sigma_max };
        assert!(karras(None, None).nodes(&flow, 10).is_err());
        assert!(karras(Some(0.01), Some(50.0)).nodes(&flow, 10).is_ok());
        assert!(Grid::Linear {}.nodes(&flow, 0).is_err());
        assert!(Grid::Trailing {}.nodes(&flow, 2).is_err());
        assert!(Grid::Leading { offset: 0 }.nodes(&table(10), 11).is_err());
        assert!(Grid::Leading { offset: 9 }.nodes(&table(10), 5).is_err());
        assert!(Grid::Custom { times: vec![1.0, 3.0] }.nodes(&table(10), 2).is_err());
        assert!(Grid::Custom { times: vec![30.0] }.nodes(&table(10), 1).is_err());
        assert!(Grid::Custom { times: vec![8.0, 3.0] }.nodes(&table(10), 5).is_err());
        assert!(Grid::Custom { times: vec![8.0, 3.0] }.nodes(&table(10), 2).is_ok());
    }

    #[test]
    fn configurations_are_read_with_defaults_and_without_mistakes() {
        let read = |text| serde_json::from_str::<Grid>(text);
        assert_eq!(read(r#"{"kind": "karras"}"#).unwrap(), "karras".parse().unwrap());
        assert_eq!(read(r#"{"kind": "exponential", "sigma_min": 0.1}"#).unwrap(), Grid::Lambda { sigma_min: Some(0.1), sigma_max: None });
        assert!(read(r#"{"kind": "karras", "roh": 3}"#).is_err() && read(r#"{"kind": "trailing", "x": 3}"#).is_err());
    }

    proptest! {
        #[test]
        fn noise_grids_fall_between_their_ends(max in 1.0..100f64, ratio in 1.1..1e5f64, rho in 0.3..3f64, n in 2usize..200) {
            let schedule = Edm::new(max / ratio, max).unwrap();
            for grid in [
                Grid::Karras { rho, sigma_min: None, sigma_max: None },
                Grid::Lambda { sigma_min: None, sigma_max: None },
                Grid::Polyexponential { rho, sigma_min: None, sigma_max: None },
            ] {
                let levels = grid.levels(&schedule, n).unwrap();
                prop_assert!((levels[0].sigma / max - 1.0).abs() < 1e-10);
                prop_assert!((levels[n - 1].sigma / max * ratio - 1.0).abs() < 1e-10);
                prop_assert!(levels.windows(2).all(|w| w[1].sigma < w[0].sigma));
            }
        }
    }
}
