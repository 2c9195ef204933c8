//! Training the conformer network by denoising of positions.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};
use langevin_core::{
    NoiseSource as _, Philox,
    loss::{Dsm, row_mse},
    noise::stream,
    recipe::Batch,
    schedule::Schedule,
};
use langevin_nn::{Constant, Init, Trainable};

use super::conformer::{c_noise, preconditioning};
use crate::{
    Result,
    config::ConformerConfig,
    data::{Example, Examples, Mixture},
    geometry::{BoundsTable, align},
    model::{ConformerNet, GraphBatch},
};

/// Noise levels at which each validation molecule is scored.
const VALIDATION_LEVELS: u32 = 4;
/// Seed of validation noise: the same for every run, so that runs can be compared.
const VALIDATION_SEED: u64 = 0x0076_616c_6964;
/// Stream that picks a conformer.
const PICK: u32 = stream::DOMAIN + 1;

/// The conformer network's data and loss.
pub struct ConformerTask {
    config: ConformerConfig,
    schedule: Box<dyn Schedule + Send + Sync>,
    noise: Philox,
    batch: u32,
    group: u32,
    train: Mixture,
    valid: Examples,
    bounds: BoundsTable,
}

impl std::fmt::Debug for ConformerTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConformerTask").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Noised rows with their targets.
struct Rows<'a> {
    examples: Vec<&'a Example>,
    /// Clean positions, turned to the noised ones.
    clean: Vec<Vec<f32>>,
    noisy: Vec<Vec<f32>>,
}

impl ConformerTask {
    /// A task for a checked config; `batch` rows a step, in micro-batches of `group`. The checkpoint keeps `bounds`.
    ///
    /// # Errors
    /// When the schedule cannot be built.
    pub fn new(
        config: &ConformerConfig,
        seed: u64,
        [batch, group]: [u32; 2],
        train: Mixture,
        valid: Examples,
        bounds: BoundsTable,
    ) -> Result<Self> {
        let schedule = config.objective.schedule.build()?;
        Ok(Self { config: config.clone(), schedule, noise: Philox::new(seed), batch, group: group.max(1), train, valid, bounds })
    }

    fn dsm(&self) -> Dsm {
        Dsm { param: self.config.objective.param, weight: self.config.objective.weight }
    }

    /// Errors of each row before weights: of the output, of distances, of the rounds before the last; each of shape `[rows]`.
    fn errors(&self, model: &ConformerNet, rows: &Rows<'_>, batch: &Batch, device: &Device) -> [Tensor<1>; 3] {
        let dsm = self.dsm();
        let count = rows.examples.len();
        let features: Vec<_> = rows.examples.iter().map(|e| &e.features).collect();
        let graph = GraphBatch::new(&features, device);
        let [_, n] = graph.dims();
        let tensor = |of: &[Vec<f32>]| {
            let mut values = vec![0f32; count * n * 3];
            values.chunks_mut(n * 3).zip(of).for_each(|(row, x)| row[..x.len()].copy_from_slice(x));
            Tensor::<3>::from_data(TensorData::new(values, [count, n, 3]), device)
        };
        let (x0, x) = (tensor(&rows.clean), tensor(&rows.noisy));
        let inputs: Vec<f32> = batch.levels.iter().map(|&at| c_noise(at)).collect();
        let c: Vec<_> = batch.levels.iter().map(|&at| preconditioning(dsm.param, at)).collect();
        let levels: Vec<usize> = rows.examples.iter().map(|e| e.level).collect();
        let output = model.forward(&x, &inputs, &c, &graph, &levels);
        let target = dsm.outputs(x.clone(), x0.clone(), &batch.levels);
        let mut of_rounds: Vec<_> =
            output.rounds.iter().map(|raw| row_mse(raw.clone(), target.clone(), Some(graph.mask.clone()))).collect();
        let last = of_rounds.pop().expect("a checked config has a round");
        let early = of_rounds.into_iter().reduce(|a, b| a + b).unwrap_or_else(|| last.zeros_like());
        let raw = output.rounds.last().expect("a checked config has a round").clone();
        let estimate = dsm.estimates(x, raw, &batch.levels);
        let distances = distance_errors(estimate, x0, &rows.examples, n, device);
        // In the units of the output, as the coordinates are.
        let scale: Vec<f32> = c.iter().map(|c| 1.0 / (c.1 * c.1)).collect();
        let distances = distances * Tensor::<1>::from_data(TensorData::new(scale, [count]), device);
        [last, distances, early]
    }

    /// Corrupts a row and turns its clean positions to the noised ones: the network is equivariant, so a turned target is as true, and
    /// says nothing of an orientation that noise has hidden (Abramson et al. 2024, section 3.7.1).
    fn corrupted(conformer: &[f32], sigma: f64, noise: Philox, row: u32, step: u32) -> (Vec<f32>, Vec<f32>) {
        let mut eps = vec![0f32; conformer.len()];
        noise.fill(row, step, stream::TRAIN, &mut eps);
        let mut noisy: Vec<f32> = conformer.iter().zip(&eps).map(|(x, e)| (f64::from(*x) + sigma * f64::from(*e)) as f32).collect();
        let n = noisy.len() / 3;
        for axis in 0..3 {
            let mean = (0..n).map(|a| noisy[3 * a + axis]).sum::<f32>() / n as f32;
            (0..n).for_each(|a| noisy[3 * a + axis] -= mean);
        }
        let points = |x: &[f32]| x.chunks_exact(3).map(|p| [p[0], p[1], p[2]].map(f64::from)).collect::<Vec<_>>();
        let clean = points(conformer);
        let turn = align(&clean, &points(&noisy), None);
        let clean = clean.into_iter().flat_map(|p| turn.apply(p).map(|v| v as f32)).collect();
        (clean, noisy)
    }
}

/// Mean squared error of the distances of each molecule's local pairs, shape `[rows]`.
fn distance_errors(x: Tensor<3>, x0: Tensor<3>, examples: &[&Example], atoms: usize, device: &Device) -> Tensor<1> {
    let rows = examples.len();
    let most = examples.iter().map(|e| e.features.local.len()).max().unwrap_or(0).max(1);
    let (mut first, mut second) = (vec![0i64; rows * most], vec![0i64; rows * most]);
    let mut weights = vec![0f32; rows * most];
    for (row, example) in examples.iter().enumerate() {
        let local = &example.features.local;
        for (k, &(i, j)) in local.iter().enumerate() {
            let at = row * most + k;
            first[at] = (row * atoms) as i64 + i64::from(i);
            second[at] = (row * atoms) as i64 + i64::from(j);
            weights[at] = 1.0 / local.len() as f32;
        }
    }
    let index = |of: Vec<i64>| Tensor::<1, Int>::from_data(TensorData::new(of, [rows * most]), device);
    let (first, second) = (index(first), index(second));
    let lengths = |x: Tensor<3>| {
        let flat = x.reshape([rows * atoms, 3]);
        ((flat.clone().select(0, first.clone()) - flat.select(0, second.clone())).square().sum_dim(1) + 1e-8).sqrt()
    };
    let errors = (lengths(x) - lengths(x0)).square().reshape([rows, most]);
    (errors * Tensor::from_data(TensorData::new(weights, [rows, most]), device)).sum_dim(1).reshape([rows])
}

impl Trainable for ConformerTask {
    type Model = ConformerNet;

    fn init(&self, seed: u64, device: &Device) -> ConformerNet {
        ConformerNet::new(&self.config, &mut Init::new(seed, device))
    }

    fn loss(&self, model: &ConformerNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let batch = self.config.objective.draw(&*self.schedule, self.noise, step, rows.clone(), self.batch, None);
        let mut drawn = Rows { examples: Vec::new(), clean: Vec::new(), noisy: Vec::new() };
        for (row, at) in rows.zip(&batch.levels) {
            let example = self.train.draw(self.noise, step, row, self.group);
            let conformer = example.pick(self.noise.uniform(row, step, PICK), self.config.boltzmann);
            let (clean, noisy) = Self::corrupted(conformer, at.ve_sigma(), self.noise, row, step);
            drawn.examples.push(example);
            drawn.clean.push(clean);
            drawn.noisy.push(noisy);
        }
        let [last, distances, early] = self.errors(model, &drawn, &batch, device);
        let weights = Tensor::<1>::from_data(TensorData::new(batch.weights.clone(), [batch.weights.len()]), device);
        let errors = last + distances.mul_scalar(self.config.distances) + early.mul_scalar(self.config.early);
        (errors * weights).mean()
    }

    fn validation_rows(&self) -> u32 {
        self.valid.len() as u32 * VALIDATION_LEVELS
    }

    /// The loss of the last round at fixed levels and noise; then the root-free mean square errors of distances in units of the output.
    fn validate(&self, model: &ConformerNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let noise = Philox::new(VALIDATION_SEED);
        let mut batch = Batch { times: Vec::new(), levels: Vec::new(), weights: Vec::new() };
        let mut drawn = Rows { examples: Vec::new(), clean: Vec::new(), noisy: Vec::new() };
        for row in rows {
            // Molecules of one size stand together, so a micro-batch holds the levels of a few of them.
            let (molecule, level) = (row / VALIDATION_LEVELS, row % VALIDATION_LEVELS);
            let one = self.config.objective.draw(&*self.schedule, noise, molecule, level..level + 1, VALIDATION_LEVELS, None);
            let example = self.valid.get(molecule as usize);
            let conformer = example.pick(noise.uniform(row, 0, PICK), 0.0);
            let (clean, noisy) = Self::corrupted(conformer, one.levels[0].ve_sigma(), noise, row, 0);
            drawn.examples.push(example);
            drawn.clean.push(clean);
            drawn.noisy.push(noisy);
            batch.times.extend(one.times);
            batch.levels.extend(one.levels);
            batch.weights.extend(one.weights);
        }
        let errors = self.errors(model, &drawn, &batch, device);
        errors.into_iter().take(2).map(|e| e.into_data().iter::<f64>().zip(&batch.weights).map(|(e, w)| e * w).sum()).collect()
    }

    /// Lengths and angles of the training molecules.
    fn constants(&self) -> Vec<Constant> {
        vec![self.bounds.to_constant()]
    }

    fn validation_names(&self) -> &'static [&'static str] {
        &["distances"]
    }
}
