//! Training GeoDiff: denoising of distances, weighed where it counts, in coordinates.

use std::ops::Range;

use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use langevin_core::{
    NoiseSource as _, Philox,
    noise::stream,
    schedule::{Schedule as _, Table},
};
use langevin_nn::{Init, Trainable};

use crate::{
    Error, Point, Result,
    io::Record,
    model::geodiff::{GeoDiffConfig, GeoDiffNet, PairBatch, Skeleton},
};

/// Noise levels at which each validation molecule is scored.
const VALIDATION_LEVELS: u32 = 8;
/// Seed of validation noise: the same for every run, so that runs can be compared.
const VALIDATION_SEED: u64 = 0x0076_616c_6964;
/// Weight of the pairs further than three bonds apart.
const GLOBAL: f64 = 2.0;
/// Weight of the pairs within three bonds.
const LOCAL: f64 = 5.0;
/// Stream of the conformer drawn for a row.
const CONFORMER: u32 = stream::DOMAIN;

/// GeoDiff's data and loss.
#[derive(Debug)]
pub struct GeoDiffTask {
    config: GeoDiffConfig,
    schedule: Table,
    noise: Philox,
    train: Vec<Example>,
    valid: Vec<Example>,
}

/// A molecule with its conformers.
#[derive(Debug)]
struct Example {
    skeleton: Skeleton,
    conformers: Vec<Vec<Point>>,
}

/// A conformer under noise.
struct Noised<'a> {
    skeleton: &'a Skeleton,
    clean: &'a [Point],
    noised: Vec<Point>,
    /// `sigma / alpha` in angstrom.
    sigma: f64,
}

impl GeoDiffTask {
    /// Molecules with their conformers. Molecules of one atom teach nothing and are left out.
    ///
    /// # Errors
    /// For a bad config, a conformer that does not fit its molecule, or a set without a molecule.
    pub fn new(config: &GeoDiffConfig, seed: u64, train: &[Record], valid: &[Record]) -> Result<Self> {
        config.check()?;
        let (train, valid) = (examples(train, "training")?, examples(valid, "validation")?);
        Ok(Self { config: config.clone(), schedule: config.schedule()?, noise: Philox::new(seed), train, valid })
    }

    /// A row at time `t`, with the noise at an address.
    fn noised<'a>(&self, example: &'a Example, conformer: usize, t: usize, noise: Philox, [row, node]: [u32; 2]) -> Noised<'a> {
        let sigma = self.schedule.level(t as f64).ve_sigma();
        let clean = &example.conformers[conformer];
        let mut eps = vec![0.0; 3 * clean.len()];
        noise.fill_f64(row, node, stream::TRAIN, &mut eps);
        let noised = clean.iter().zip(eps.as_chunks::<3>().0).map(|(x, eps)| std::array::from_fn(|k| x[k] + sigma * eps[k])).collect();
        Noised { skeleton: &example.skeleton, clean, noised, sigma }
    }

    /// Loss of each atom, shape `[atoms]`: squared error of the projected scores, `2 |global|^2 + 5 |local|^2`.
    fn losses(&self, model: &GeoDiffNet, rows: &[Noised<'_>], device: &Device) -> Tensor<1> {
        let batch = PairBatch::new(rows.iter().map(|row| (row.skeleton, row.noised.as_slice())), self.config.cutoff);
        let scores = model.forward(&batch, true, device);
        let targets = targets(&batch, rows);
        let parts = [(scores.local, 0..batch.local(), LOCAL), (scores.global, batch.local()..batch.pairs(), GLOBAL)];
        let squares = parts.into_iter().filter_map(|(scores, range, weight)| {
            let errors = scores? - column(&targets[range.clone()], device);
            Some(project(&batch, range, errors, device).powi_scalar(2).sum_dim(1).squeeze_dim::<1>(1) * weight)
        });
        squares.fold(Tensor::zeros([batch.elements().len()], device), |sum, part| sum + part)
    }
}

/// `(d_0 - d_t) alpha / sigma` of each pair: how far its distance is from the clean one, in units of the noise.
fn targets(batch: &PairBatch, rows: &[Noised<'_>]) -> Vec<f32> {
    let clean: Vec<(Point, f64)> = rows.iter().flat_map(|row| row.clean.iter().map(|&x| (x, row.sigma))).collect();
    let of_pair = |(&[i, j], &d): (&[u32; 2], &f32)| {
        let ((a, sigma), (b, _)) = (clean[i as usize], clean[j as usize]);
        let before = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        ((before - f64::from(d)) / sigma) as f32
    };
    batch.ends().iter().zip(batch.lengths()).map(of_pair).collect()
}

fn column(values: &[f32], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), device)
}

/// [`PairBatch::project`] of some consecutive pairs as a tensor, shape `[atoms, 3]`.
fn project(batch: &PairBatch, pairs: Range<usize>, scores: Tensor<2>, device: &Device) -> Tensor<2> {
    let directions = batch.directions()[pairs.clone()].as_flattened().to_vec();
    let forces = scores * Tensor::from_data(TensorData::new(directions, [pairs.len(), 3]), device) * 2.0;
    let ends = |side: usize| {
        let ends: Vec<i32> = batch.ends()[pairs.clone()].iter().map(|ends| ends[side] as i32).collect();
        Tensor::<1, Int>::from_data(TensorData::new(ends, [pairs.len()]), device)
    };
    Tensor::zeros([batch.elements().len(), 3], device).select_assign(0, ends(0), forces.clone(), IndexingUpdateOp::Add).select_assign(
        0,
        ends(1),
        forces.neg(),
        IndexingUpdateOp::Add,
    )
}

fn examples(records: &[Record], set: &str) -> Result<Vec<Example>> {
    let mut examples = Vec::new();
    for Record { name, molecule, conformers, .. } in records {
        let atoms = molecule.atoms.len();
        if let Some(bad) = conformers.iter().find(|points| points.len() != atoms) {
            let reason = format!("{set} molecule '{name}': a conformer has {} positions for {atoms} atoms", bad.len());
            return Err(Error::Geometry { reason });
        }
        if atoms > 1 && !conformers.is_empty() {
            examples.push(Example { skeleton: Skeleton::of(molecule), conformers: conformers.clone() });
        }
    }
    if examples.is_empty() {
        return Err(Error::Geometry { reason: format!("the {set} set has no molecule with two atoms and a conformer") });
    }
    Ok(examples)
}

impl Trainable for GeoDiffTask {
    type Model = GeoDiffNet;

    fn init(&self, seed: u64, device: &Device) -> GeoDiffNet {
        GeoDiffNet::new(&self.config, &mut Init::new(seed, device))
    }

    /// The mean over atoms. Molecules and conformers are drawn with replacement, times in pairs `t, T - 1 - t` as published.
    fn loss(&self, model: &GeoDiffNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let draw = |row: u32| {
            let example = &self.train[self.noise.below(self.train.len(), row, step, stream::DATA)];
            let conformer = self.noise.below(example.conformers.len(), row, step, CONFORMER);
            let t = self.noise.below(self.config.steps, row / 2, step, stream::TIME);
            let t = if row.is_multiple_of(2) { t } else { self.config.steps - 1 - t };
            self.noised(example, conformer, t, self.noise, [row, step])
        };
        let rows: Vec<Noised<'_>> = rows.map(draw).collect();
        self.losses(model, &rows, device).mean()
    }

    fn validation_rows(&self) -> u32 {
        self.valid.len() as u32 * VALIDATION_LEVELS
    }

    /// The loss, a mean over the atoms of each molecule, at times spread over the schedule, and its part at times of the less noisy half.
    fn validate(&self, model: &GeoDiffNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let noise = Philox::new(VALIDATION_SEED);
        let draw = |row: u32| {
            let example = &self.valid[(row / VALIDATION_LEVELS) as usize];
            let conformer = noise.below(example.conformers.len(), row, 0, CONFORMER);
            let within = noise.uniform(row, 0, stream::TIME);
            let t = (f64::from(row % VALIDATION_LEVELS) + within) / f64::from(VALIDATION_LEVELS) * self.config.steps as f64;
            self.noised(example, conformer, (t as usize).min(self.config.steps - 1), noise, [row, 0])
        };
        let drawn: Vec<Noised<'_>> = rows.clone().map(draw).collect();
        let losses = self.losses(model, &drawn, device).into_data();
        let mut losses = losses.iter::<f64>();
        let mut sums = vec![0.0; 2];
        for (row, noised) in rows.zip(&drawn) {
            let atoms = noised.clean.len();
            let mean = losses.by_ref().take(atoms).sum::<f64>() / atoms as f64;
            sums[0] += mean;
            if row % VALIDATION_LEVELS < VALIDATION_LEVELS / 2 {
                // Half of the rows: twice their sum over all rows is their mean.
                sums[1] += 2.0 * mean;
            }
        }
        sums
    }

    fn validation_names(&self) -> &'static [&'static str] {
        &["low_noise"]
    }
}
