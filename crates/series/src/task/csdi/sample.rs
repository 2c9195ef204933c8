//! Filling windows with CSDI (algorithm 2 of the paper), or with the unconditional model by RePaint.

use std::{cell::Cell, ops::ControlFlow};

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    Denoiser, Level, NoiseSource, Param, State as _,
    drive::{RePaint, VarianceDenoiser},
    grid::Grid,
    noise::stream,
    recipe::{Method as Recipe, Sampling},
    schedule::{Schedule as _, Table},
    solver::{Ddpm, Solver, Variance},
};
use langevin_nn::Constant;

use super::train::scales_of;
use crate::{
    Error, Result,
    model::csdi::{CsdiConfig, CsdiNet, Side},
};

/// How a window is filled.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// A solver of the core: as published, [`CsdiModel::published`].
    Solver(Sampling),
    /// RePaint (Lugmayr et al. 2022) with the unconditional model.
    Repaint(RePaint),
}

/// A trained CSDI.
pub struct CsdiModel {
    /// Its config.
    pub config: CsdiConfig,
    net: CsdiNet,
    schedule: Table,
    scales: [Vec<f32>; 2],
    device: Device,
}

impl std::fmt::Debug for CsdiModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsdiModel").field("config", &self.config).finish_non_exhaustive()
    }
}

impl CsdiModel {
    /// A model from its checked config, the constants of its checkpoint, and a network with the checkpoint's weights.
    ///
    /// # Errors
    /// Constants that are missing or do not fit.
    pub fn new(config: &CsdiConfig, constants: &[Constant], net: CsdiNet, device: &Device) -> Result<Self> {
        let scales = scales_of(constants, config.columns.len())?;
        Ok(Self { config: config.clone(), net, schedule: config.schedule()?, scales, device: device.clone() })
    }

    /// Number of parameters of the network.
    pub fn parameters(&self) -> usize {
        langevin_nn::weights::count(&self.net)
    }

    /// Network evaluations of a method.
    ///
    /// # Errors
    /// What the core refuses, and methods that this model has not been trained for.
    pub fn evaluations(&self, method: &Method) -> Result<usize> {
        let run = self.run(method)?;
        Ok(match method {
            Method::Repaint(repaint) => {
                let walk = langevin_core::drive::jump_list(self.config.steps, repaint.jump_length, repaint.jump_samples);
                // Steps up need no network.
                1 + walk.windows(2).filter(|pair| pair[1] < pair[0]).count()
            }
            _ => run.nfe(),
        })
    }

    /// Sampling as published: ancestral steps through the whole schedule with the posterior's variance.
    #[must_use]
    pub fn published(&self) -> Sampling {
        Sampling {
            solver: Recipe::Solver(Solver::Ddpm(Ddpm { variance: Variance::Small })),
            grid: Grid::Linspace {},
            steps: self.config.steps,
            ..Sampling::default()
        }
    }

    fn run(&self, method: &Method) -> Result<langevin_core::recipe::Run> {
        let repaints = matches!(method, Method::Repaint(_));
        if repaints != self.config.unconditional {
            let reason = if repaints {
                "RePaint needs a model without conditions; this one is given what is observed: leave --repaint away"
            } else {
                "this model has no conditions and fills holes by RePaint alone: give --repaint"
            };
            return Err(langevin_core::Error::Invalid { what: "sampling", reason: reason.to_owned() }.into());
        }
        let sampling = match method {
            Method::Solver(sampling) => sampling.clone(),
            // RePaint walks the same levels.
            Method::Repaint(_) => self.published(),
        };
        Ok(sampling.compile(&self.schedule, Param::Eps, None, false)?)
    }

    /// Samples of a window, `[sample][column][row]` in the units of the columns; what is observed stays as it is. `window` has the
    /// columns of the config, any number of rows, and NaN at holes. Row `i` of `noise` is sample `i`, of columns times rows numbers.
    /// `observe` is called before each network evaluation and may stop the run.
    ///
    /// # Errors
    /// A window of other columns, and what the core refuses.
    pub fn fill(
        &self,
        window: &[Vec<f64>],
        samples: usize,
        method: &Method,
        noise: &dyn NoiseSource,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<Vec<Vec<f64>>>>> {
        let (columns, rows) = (self.config.columns.len(), window.first().map_or(0, Vec::len));
        if window.len() != columns || rows == 0 || window.iter().any(|column| column.len() != rows) {
            let reason = format!("should be of the {columns} columns {}, of equal length", self.config.columns.join(", "));
            return Err(Error::Setting { name: "window", reason });
        }
        let run = self.run(method)?;
        let [mean, deviation] = &self.scales;
        let scaled = |column: usize, value: f64| ((value - f64::from(mean[column])) / f64::from(deviation[column])) as f32;
        let values: Vec<f32> = window.iter().enumerate().flat_map(|(k, column)| column.iter().map(move |&v| scaled(k, v))).collect();
        let given: Vec<f32> = values.iter().map(|value| f32::from(u8::from(!value.is_nan()))).collect();
        let known: Vec<f32> = values.iter().map(|value| if value.is_nan() { 0.0 } else { *value }).collect();
        let cells = columns * rows;
        let row = |values: &[f32]| Tensor::<2>::from_data(TensorData::new(values.to_vec(), [1, cells]), &self.device);
        let (given, known) = (row(&given), row(&known));
        let times: Vec<f64> = (0..rows).map(|row| row as f64).collect();
        let mask = (!self.config.unconditional).then(|| given.clone().reshape([1, columns, rows, 1]));
        let side = self.net.side(&self.config, &times, mask, &self.device);
        let stopped = Cell::new(false);
        let denoiser = OfWindow {
            model: self,
            side,
            known: known.clone().expand([samples, cells]),
            hidden: given.clone().neg() + 1.0,
            dims: [samples, columns, rows],
            observe,
            stopped: &stopped,
        };
        let start = Tensor::<2>::zeros([samples, cells], &self.device).noise_like(noise, 0, stream::PRIOR).mul_scalar(run.start());
        let x = if let Method::Repaint(repaint) = method {
            let blend = |known: &Tensor<2>, x: &Tensor<2>| known.clone() * given.clone() + x.clone() * denoiser.hidden.clone();
            // The known cells start at the first level too.
            let level = run.nodes()[0];
            let begin = blend(&Tensor::lincomb(&[(level.alpha, &denoiser.known), (1.0, &start)]), &start);
            repaint.fill(begin, &denoiser.known, run.nodes(), &denoiser, noise, blend)?
        } else {
            match run.sample(start, &denoiser, noise, &|| ControlFlow::Continue(()))? {
                ControlFlow::Continue(x) => x,
                ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
            }
        };
        if stopped.get() {
            return Ok(ControlFlow::Break(()));
        }
        let sampled: Vec<f64> = x.into_data().iter::<f64>().collect();
        let unscaled = |column: usize, z: f64| f64::from(mean[column]) + f64::from(deviation[column]) * z;
        let sample = |x: &[f64]| {
            let column = |(k, (seen, x)): (usize, (&Vec<f64>, &[f64]))| {
                seen.iter().zip(x).map(|(&seen, &x)| if seen.is_nan() { unscaled(k, x) } else { seen }).collect()
            };
            window.iter().zip(x.chunks(rows)).enumerate().map(column).collect()
        };
        Ok(ControlFlow::Continue(sampled.chunks(cells).map(sample).collect()))
    }
}

/// Samples of one window, denoised together.
struct OfWindow<'a> {
    model: &'a CsdiModel,
    side: Side,
    /// Observed values and zeros, shape `[samples, cells]`.
    known: Tensor<2>,
    /// 1 at holes, shape `[1, cells]`.
    hidden: Tensor<2>,
    dims: [usize; 3],
    observe: &'a dyn Fn() -> ControlFlow<()>,
    stopped: &'a Cell<bool>,
}

impl Denoiser<Tensor<2>> for OfWindow<'_> {
    fn denoise(&self, x: &Tensor<2>, at: Level, _node: u32) -> Tensor<2> {
        // A run that was stopped goes through its last steps without the network.
        if self.stopped.get() || (self.observe)().is_break() {
            self.stopped.set(true);
            return x.clone();
        }
        let [samples, columns, rows] = self.dims;
        let channel = |x: Tensor<2>| x.reshape([samples, columns, rows, 1]);
        let input = if self.model.config.unconditional {
            channel(x.clone())
        } else {
            Tensor::cat(vec![channel(self.known.clone()), channel(x.clone() * self.hidden.clone())], 3)
        };
        let step = self.model.step_of(at);
        let raw = self.model.net.forward(input, &[step], &self.side).reshape([samples, columns * rows]);
        let c = Param::Eps.coef(at);
        Tensor::lincomb(&[(c.skip, x), (c.out, &raw)])
    }
}

impl VarianceDenoiser<2> for OfWindow<'_> {
    fn denoise_with_share(&self, x: &Tensor<2>, at: Level, node: u32) -> (Tensor<2>, Option<Tensor<2>>) {
        (self.denoise(x, at, node), None)
    }
}

impl CsdiModel {
    /// The diffusion step of a level, between steps for levels of other grids.
    fn step_of(&self, at: Level) -> f32 {
        let time = self.schedule.t_of_lambda(at.lambda());
        // Levels of the table are whole steps, but for rounding.
        if (time - time.round()).abs() < 1e-6 { time.round() as f32 } else { time as f32 }
    }
}

#[cfg(test)]
pub(super) mod tests;
