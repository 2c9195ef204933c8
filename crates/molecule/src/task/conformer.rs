//! The trained conformer model as a denoiser of core, and whole micro-batches of conformers from it.

use std::{
    cell::Cell,
    ops::{ControlFlow, Range},
};

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    Denoiser, Level, NoiseSource, Param, Philox, State as _,
    drive::{RePaint, VarianceDenoiser},
    noise::stream,
    recipe::{Run, Sampling},
    schedule::Schedule,
};

use langevin_nn::Constant;

use super::steer::{Held, Steer};
use crate::{
    Error, Point, Result,
    config::ConformerConfig,
    features::Features,
    geometry::{BoundsTable, table},
    model::{ConformerNet, GraphBatch, Preconditioning},
};

/// Conformers of a micro-batch: always computed together, so that a conformer is the same bytes whatever is asked for beside it.
pub(super) const MICRO_BATCH: u32 = 4;

/// A trained conformer model.
pub struct Conformers {
    /// Its config.
    pub config: ConformerConfig,
    net: ConformerNet,
    schedule: Box<dyn Schedule + Send + Sync>,
    bounds: BoundsTable,
    device: Device,
}

/// How noise becomes conformers.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    /// The run.
    pub run: &'a Run,
    /// Level of theory, as a number of the config's.
    pub level: usize,
    /// What is done to estimates on the way.
    pub steer: Steer<'a>,
}

impl std::fmt::Debug for Conformers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conformers").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Conformers {
    /// A model from its config, the constants of its checkpoint, and a network with the checkpoint's weights.
    ///
    /// # Errors
    /// When the table of bounds is not among the constants, or the schedule cannot be built.
    pub fn new(config: &ConformerConfig, constants: &[Constant], net: ConformerNet, device: &Device) -> Result<Self> {
        let bounds = constants.iter().find(|constant| constant.name == table::NAME);
        let missing = || Error::Constant { name: table::NAME, problem: "is missing".to_owned() };
        let bounds = BoundsTable::from_constant(bounds.ok_or_else(missing)?)?;
        Ok(Self { config: config.clone(), net, schedule: config.objective.schedule.build()?, bounds, device: device.clone() })
    }

    /// Lengths and angles of the training molecules.
    pub const fn bounds(&self) -> &BoundsTable {
        &self.bounds
    }

    /// Number of parameters of the network.
    pub fn parameters(&self) -> usize {
        langevin_nn::weights::count(&self.net)
    }

    /// Compiles a sampling run.
    ///
    /// # Errors
    /// When the method, the grid and this checkpoint do not go together.
    pub fn run(&self, sampling: &Sampling) -> Result<Run> {
        Ok(sampling.compile(&*self.schedule, self.config.objective.param, None, false)?)
    }

    /// Conformers `samples` (a whole micro-batch) of one molecule of at least two atoms, positions in angstrom.
    ///
    /// With held atoms the run is RePaint's (Lugmayr et al. 2022) along the nodes of `run`, and positions are in their frame.
    ///
    /// # Errors
    /// What the core refuses.
    pub fn sample(
        &self,
        molecule: &Features,
        samples: Range<u32>,
        walk: Walk<'_>,
        noise: Philox,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<Vec<Point>>>> {
        let noise = noise.rows_from(samples.start);
        let start = Tensor::<3>::zeros([samples.len(), molecule.atoms, 3], &self.device).noise_like(&noise, 0, stream::PRIOR);
        self.sample_from(start, molecule, walk, &noise, observe)
    }

    /// [`sample`](Self::sample) from standard noise `start` of one's own, shape `[conformers, atoms, 3]`; `noise` is what stochastic
    /// solvers add. What it makes turns with its start.
    ///
    /// # Errors
    /// What the core refuses.
    pub fn sample_from(
        &self,
        start: Tensor<3>,
        molecule: &Features,
        walk: Walk<'_>,
        noise: &dyn NoiseSource,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<Vec<Point>>>> {
        let Walk { run, level, steer } = walk;
        let rows = start.dims()[0];
        let graph = GraphBatch::new(&vec![molecule; rows], &self.device);
        let stopped = Cell::new(false);
        let denoiser = OfMolecule { model: self, graph: &graph, levels: vec![level; rows], steer, observe, stopped: &stopped };
        let start = graph.centred(start.mul_scalar(run.start()));
        let x = match steer.held {
            Some(held) => self.repaint(&start, held, &denoiser, run, noise)?,
            None => match run.sample(start, &denoiser, noise, &|| ControlFlow::Continue(()))? {
                ControlFlow::Continue(x) => graph.centred(x),
                ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
            },
        };
        Ok(if stopped.get() { ControlFlow::Break(()) } else { ControlFlow::Continue(points(x)) })
    }

    fn repaint(&self, start: &Tensor<3>, held: &Held, denoiser: &OfMolecule<'_>, run: &Run, noise: &dyn NoiseSource) -> Result<Tensor<3>> {
        let [rows, atoms, _] = start.dims();
        let (mut known, mut is_known) = (vec![0f32; atoms * 3], vec![0f32; atoms]);
        for &(a, p) in &held.atoms {
            is_known[a] = 1.0;
            p.iter().enumerate().for_each(|(k, v)| known[3 * a + k] = *v as f32);
        }
        let known = Tensor::<3>::from_data(TensorData::new(known, [1, atoms, 3]), &self.device).expand([rows, atoms, 3]);
        let is_known = Tensor::<3>::from_data(TensorData::new(is_known, [1, atoms, 1]), &self.device);
        let blend = |k: &Tensor<3>, x: &Tensor<3>| k.clone() * is_known.clone() + x.clone() * (is_known.clone().neg() + 1.0);
        // Short jumps: 20 levels are few, and each jump costs a walk.
        let repaint = RePaint { jump_length: 2, jump_samples: 2, eta: 1.0 };
        let x = blend(&(known.clone() + start.clone()), start);
        Ok(repaint.fill(x, &known, run.nodes(), denoiser, noise, blend)?)
    }
}

fn points(x: Tensor<3>) -> Vec<Vec<Point>> {
    let atoms = x.dims()[1];
    let values: Vec<f64> = x.into_data().iter::<f64>().collect();
    values.chunks(atoms * 3).map(|row| row.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect()).collect()
}

/// The network's noise input at a level.
pub(super) fn c_noise(at: Level) -> f32 {
    (-0.25 * at.lambda()).clamp(-5.0, 5.0) as f32
}

/// Coefficients of the preconditioning at a level.
pub(super) fn preconditioning(param: Param, at: Level) -> Preconditioning {
    let c = param.coef(at);
    (c.skip as f32, c.out as f32, c.input as f32)
}

/// Conformers of one molecule, denoised together.
struct OfMolecule<'a> {
    model: &'a Conformers,
    graph: &'a GraphBatch,
    levels: Vec<usize>,
    steer: Steer<'a>,
    observe: &'a dyn Fn() -> ControlFlow<()>,
    stopped: &'a Cell<bool>,
}

impl Denoiser<Tensor<3>> for OfMolecule<'_> {
    fn denoise(&self, x: &Tensor<3>, at: Level, _node: u32) -> Tensor<3> {
        // A run that was stopped goes through its last steps without the network.
        if self.stopped.get() || (self.observe)().is_break() {
            self.stopped.set(true);
            return x.clone();
        }
        let rows = self.levels.len();
        let param = self.model.config.objective.param;
        let c = preconditioning(param, at);
        let x = self.graph.centred(x.clone());
        let output = self.model.net.forward(&x, &vec![c_noise(at); rows], &vec![c; rows], self.graph, &self.levels);
        let raw = output.rounds.last().expect("a checked config has a round");
        let x0 = Tensor::lincomb(&[(f64::from(c.0), &x), (f64::from(c.1), raw)]);
        if self.steer.is_idle() {
            return x0;
        }
        let (dims, device) = (x0.dims(), x0.device());
        let mut conformers = points(x0);
        self.steer.apply(&mut conformers, at.ve_sigma());
        let values: Vec<f32> = conformers.iter().flatten().flatten().map(|v| *v as f32).collect();
        Tensor::from_data(TensorData::new(values, dims), &device)
    }
}

impl VarianceDenoiser<3> for OfMolecule<'_> {
    fn denoise_with_share(&self, x: &Tensor<3>, at: Level, node: u32) -> (Tensor<3>, Option<Tensor<3>>) {
        (self.denoise(x, at, node), None)
    }
}
