//! The trained conformer model as a denoiser of core, and whole micro-batches of conformers from it.

use std::ops::{ControlFlow, Range};

use burn::tensor::{Device, Tensor};
use langevin_core::{
    Denoiser, Level, Param, Philox, State as _,
    drive::VarianceDenoiser,
    noise::stream,
    recipe::{Run, Sampling},
    schedule::Schedule,
};

use crate::{
    Point, Result,
    config::ConformerConfig,
    features::Features,
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
    device: Device,
}

impl std::fmt::Debug for Conformers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conformers").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Conformers {
    /// A model from its config and a network with the checkpoint's weights.
    ///
    /// # Errors
    /// When the schedule cannot be built.
    pub fn new(config: &ConformerConfig, net: ConformerNet, device: &Device) -> Result<Self> {
        Ok(Self { config: config.clone(), net, schedule: config.objective.schedule.build()?, device: device.clone() })
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
    /// # Errors
    /// What the core refuses.
    pub fn sample(
        &self,
        molecule: &Features,
        level: usize,
        samples: Range<u32>,
        run: &Run,
        noise: Philox,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<Vec<Point>>>> {
        let rows = samples.len();
        let graph = GraphBatch::new(&vec![molecule; rows], &self.device);
        let denoiser = OfMolecule { model: self, graph: &graph, levels: vec![level; rows] };
        let noise = noise.rows_from(samples.start);
        let start = Tensor::<3>::zeros([rows, molecule.atoms, 3], &self.device).noise_like(&noise, 0, stream::PRIOR);
        let start = graph.centred(start.mul_scalar(run.start()));
        let x = match run.sample(start, &denoiser, &noise, observe)? {
            ControlFlow::Continue(x) => graph.centred(x),
            ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
        };
        let values: Vec<f64> = x.into_data().iter::<f64>().collect();
        let conformer = |row: &[f64]| row.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect();
        Ok(ControlFlow::Continue(values.chunks(molecule.atoms * 3).map(conformer).collect()))
    }
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
}

impl Denoiser<Tensor<3>> for OfMolecule<'_> {
    fn denoise(&self, x: &Tensor<3>, at: Level, _node: u32) -> Tensor<3> {
        let rows = self.levels.len();
        let param = self.model.config.objective.param;
        let c = preconditioning(param, at);
        let x = self.graph.centred(x.clone());
        let output = self.model.net.forward(x.clone(), &vec![c_noise(at); rows], &vec![c; rows], self.graph, &self.levels);
        let raw = output.rounds.last().expect("a checked config has a round");
        Tensor::lincomb(&[(f64::from(c.0), &x), (f64::from(c.1), raw)])
    }
}

impl VarianceDenoiser<3> for OfMolecule<'_> {
    fn denoise_with_share(&self, x: &Tensor<3>, at: Level, node: u32) -> (Tensor<3>, Option<Tensor<3>>) {
        (self.denoise(x, at, node), None)
    }
}
