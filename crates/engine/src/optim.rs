//! AdamW, Muon and the moving average of weights over host memory, one worker per parameter.

use std::sync::Mutex;

use langevin_nn::{Layout, Trainable};

use crate::{
    Workers,
    config::{Method, TrainConfig},
    muon,
};

/// A parameter with everything that training keeps about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Values being trained.
    pub raw: Vec<f32>,
    /// Their moving average: what is validated and shipped.
    pub ema: Vec<f32>,
    /// First moment of the gradient: Muon's momentum.
    pub first: Vec<f32>,
    /// Second moment of the gradient; zeros where Muon trains.
    pub second: Vec<f32>,
}

/// Optimiser state of a model, in the order of its layout.
#[derive(Debug)]
pub struct Optimiser {
    layout: Vec<Layout>,
    slots: Vec<Mutex<Slot>>,
}

/// What a step does with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// It becomes its moving average and stays.
    Stay,
    /// AdamW.
    AdamW,
    /// Muon, for a matrix.
    Muon,
}

impl Update {
    /// What the config and the task say about a parameter at a step. Muon takes the matrices of linear layers inside the network that are large
    /// enough for directions to mean something.
    pub fn of<T: Trainable>(task: &T, config: &TrainConfig, step: u32, parameter: &Layout) -> Self {
        if !task.trains(step, &parameter.name) {
            return Self::Stay;
        }
        let is_large = matches!(parameter.shape[..], [rows, columns] if rows.min(columns) >= muon::LEAST);
        match config.optimiser {
            Method::Muon if parameter.linear && is_large && task.is_inner(&parameter.name) => Self::Muon,
            Method::Muon | Method::AdamW => Self::AdamW,
        }
    }
}

const LOCK: &str = "each parameter is touched by one worker at a time, and a panic ends the run";

impl Optimiser {
    /// A fresh state around initial weights.
    pub fn new(layout: Vec<Layout>, weights: Vec<Vec<f32>>) -> Self {
        let slot = |raw: Vec<f32>| Slot { ema: raw.clone(), first: vec![0.0; raw.len()], second: vec![0.0; raw.len()], raw };
        Self { layout, slots: weights.into_iter().map(|raw| Mutex::new(slot(raw))).collect() }
    }

    /// A state from saved slots.
    pub fn from_slots(layout: Vec<Layout>, slots: Vec<Slot>) -> Self {
        Self { layout, slots: slots.into_iter().map(Mutex::new).collect() }
    }

    /// Names and shapes of the parameters.
    pub fn layout(&self) -> &[Layout] {
        &self.layout
    }

    /// A copy of one array of every slot.
    pub fn collect(&self, part: impl Fn(&Slot) -> &Vec<f32>) -> Vec<Vec<f32>> {
        self.slots.iter().map(|slot| part(&slot.lock().expect(LOCK)).clone()).collect()
    }

    /// A copy of the values being trained, made by all workers.
    pub fn weights(&self, workers: &Workers) -> Vec<Vec<f32>> {
        workers.map(self.slots.len(), |p| self.slots[p].lock().expect(LOCK).raw.clone())
    }

    /// One step of AdamW (Loshchilov & Hutter 2019, algorithm 2) or Muon (Jordan et al. 2024), as `update` says for each parameter, with the gradient
    /// clipped to a global norm (Pascanu et al. 2013), then `ema = d ema + (1 - d) raw`. `micro_batches` are mean gradients with their
    /// weights, reduced in the order given.
    ///
    /// Returns the gradient's norm before clipping. When that is not finite, nothing is changed.
    pub fn step(
        &self,
        config: &TrainConfig,
        step: u32,
        micro_batches: &[(f32, Vec<Vec<f32>>)],
        workers: &Workers,
        update: impl Fn(&Layout) -> Update + Sync,
    ) -> f64 {
        let sums = workers.map(self.slots.len(), |p| reduce(p, micro_batches));
        let (sums, squares): (Vec<_>, Vec<_>) = sums.into_iter().unzip();
        // In order of the parameters: the norm does not depend on threads either.
        let norm = squares.iter().sum::<f64>().sqrt();
        if !norm.is_finite() {
            return norm;
        }
        let scale = if norm > config.clip { config.clip / norm } else { 1.0 } as f32;
        workers.map(self.slots.len(), |p| {
            let slot = &mut *self.slots[p].lock().expect(LOCK);
            match update(&self.layout[p]) {
                Update::Stay => slot.raw.copy_from_slice(&slot.ema),
                Update::AdamW => adamw(slot, self.layout[p].shape.len() > 1, config, step, scale, &sums[p]),
                Update::Muon => muon::step(slot, [self.layout[p].shape[0], self.layout[p].shape[1]], config, step, scale, &sums[p]),
            }
        });
        norm
    }
}

/// Decay of the moving average after a step.
pub(crate) fn average_at(config: &TrainConfig, step: u32) -> f32 {
    let time = f64::from(step + 1);
    config.ema.min((1.0 + time) / (10.0 + time)) as f32
}

fn adamw(slot: &mut Slot, is_matrix: bool, config: &TrainConfig, step: u32, scale: f32, gradient: &[f32]) {
    let time = f64::from(step + 1);
    let rate = config.rate_at(step);
    let (b1, b2) = (config.beta1 as f32, config.beta2 as f32);
    let unbias1 = (1.0 / (1.0 - config.beta1.powf(time))) as f32;
    let unbias2 = (1.0 / (1.0 - config.beta2.powf(time))) as f32;
    let average = average_at(config, step);
    let keep = if is_matrix { (1.0 - rate * config.weight_decay) as f32 } else { 1.0 };
    let values = slot.raw.iter_mut().zip(&mut slot.ema).zip(slot.first.iter_mut().zip(&mut slot.second)).zip(gradient);
    for (((raw, ema), (first, second)), gradient) in values {
        let g = gradient * scale;
        *first = b1 * *first + (1.0 - b1) * g;
        *second = b2 * *second + (1.0 - b2) * g * g;
        *raw = *raw * keep - rate as f32 * (*first * unbias1) / ((*second * unbias2).sqrt() + 1e-8);
        *ema = average * *ema + (1.0 - average) * *raw;
    }
}

/// Weighted sum over micro-batches of one parameter's gradient, in order, and the sum of its squares.
fn reduce(parameter: usize, micro_batches: &[(f32, Vec<Vec<f32>>)]) -> (Vec<f32>, f64) {
    let mut sum = vec![0f32; micro_batches.first().map_or(0, |(_, g)| g[parameter].len())];
    for (weight, gradients) in micro_batches {
        sum.iter_mut().zip(&gradients[parameter]).for_each(|(s, g)| *s += weight * g);
    }
    let squares = sum_of_squares(&sum);
    (sum, squares)
}

/// Sum of squares in f64, in a fixed order of eight sums at once: one alone would wait for every addition.
pub(crate) fn sum_of_squares(values: &[f32]) -> f64 {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut lanes = [0f64; 8];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(value) * f64::from(value);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: f32) -> Optimiser {
        Optimiser::new(vec![Layout { name: "w".into(), shape: vec![1, 1], linear: true }], vec![vec![value]])
    }

    #[test]
    fn first_step_moves_by_the_rate_and_decays_by_hand() {
        let config = TrainConfig {
            warmup: 0,
            learning_rate: 0.1,
            final_rate: 1.0,
            weight_decay: 0.5,
            clip: 1e9,
            ema: 0.5,
            ..TrainConfig::default()
        };
        let optimiser = one(2.0);
        let workers = Workers::new(1).expect("threads start");
        let norm = optimiser.step(&config, 0, &[(0.5, vec![vec![3.0]]), (0.5, vec![vec![5.0]])], &workers, |_| Update::AdamW);
        assert!((norm - 4.0).abs() < 1e-9);
        // Bias-corrected moments of a first step are g and g^2: the step is the rate, after decay 2 (1 - 0.1 * 0.5).
        let raw = optimiser.collect(|s| &s.raw)[0][0];
        assert!((raw - (2.0 * 0.95 - 0.1)).abs() < 1e-6, "{raw}");
        // Warm-up of the average: (1 + 1) / (10 + 1).
        let ema = optimiser.collect(|s| &s.ema)[0][0];
        assert!((ema - (2.0 / 11.0 * 2.0 + 9.0 / 11.0 * raw)).abs() < 1e-6, "{ema}");
    }

    #[test]
    fn what_does_not_train_becomes_its_average_and_stays() {
        let config = TrainConfig { weight_decay: 0.5, ..TrainConfig::default() };
        let optimiser = one(2.0);
        let workers = Workers::new(1).expect("threads start");
        let update = |trains: bool| if trains { Update::AdamW } else { Update::Stay };
        let step = |k: u32, trains: bool| optimiser.step(&config, k, &[(1.0, vec![vec![3.0]])], &workers, |_| update(trains));
        (0..3).for_each(|k| assert!((step(k, true) - 3.0).abs() < 1e-9));
        let average = optimiser.collect(|s| &s.ema)[0][0];
        assert_ne!(average, optimiser.collect(|s| &s.raw)[0][0]);
        (3..6).for_each(|k| assert!((step(k, false) - 3.0).abs() < 1e-9));
        assert_eq!((optimiser.collect(|s| &s.raw)[0][0], optimiser.collect(|s| &s.ema)[0][0]), (average, average));
    }

    #[test]
    fn clipping_scales_to_the_norm() {
        let config = TrainConfig { clip: 1.0, ..TrainConfig::default() };
        let optimiser = one(0.0);
        optimiser.step(&config, 0, &[(1.0, vec![vec![50.0]])], &Workers::new(1).expect("threads start"), |_| Update::AdamW);
        let first = optimiser.collect(|s| &s.first)[0][0];
        assert!((first - 0.1).abs() < 1e-6, "{first}");
    }

    #[test]
    fn a_step_of_many_parameters_is_the_same_for_any_number_of_threads() {
        let sizes = [1usize, 7, 8, 1000, 33];
        let layout = || sizes.iter().map(|&len| Layout { name: format!("w{len}"), shape: vec![len, 1], linear: true }).collect::<Vec<_>>();
        let values =
            |seed: usize| sizes.iter().map(|&len| (0..len).map(|i| ((i * 7 + seed) as f32).sin()).collect()).collect::<Vec<Vec<f32>>>();
        let gradients = [(0.25, values(1)), (0.75, values(2))];
        let run = |threads: usize| {
            let (optimiser, workers) = (Optimiser::new(layout(), values(0)), Workers::new(threads).expect("threads start"));
            let norm = optimiser.step(&TrainConfig { clip: 1.0, ..TrainConfig::default() }, 3, &gradients, &workers, |_| Update::AdamW);
            assert_eq!(optimiser.weights(&workers), optimiser.collect(|slot| &slot.raw));
            (norm, optimiser.weights(&workers))
        };
        let pairs = gradients[0].1.iter().flatten().zip(gradients[1].1.iter().flatten());
        let exact = pairs.map(|(a, b)| (0.25 * f64::from(*a) + 0.75 * f64::from(*b)).powi(2)).sum::<f64>().sqrt();
        let one = run(1);
        assert!((one.0 / exact - 1.0).abs() < 1e-6, "{} not {exact}", one.0);
        assert_eq!(one, run(3));
    }

    #[test]
    fn finds_the_minimum_of_a_quadratic() {
        let config = TrainConfig { steps: 400, warmup: 0, learning_rate: 0.1, clip: 10.0, ..TrainConfig::default() };
        let optimiser = one(5.0);
        let workers = Workers::new(1).expect("threads start");
        for step in 0..400 {
            let x = optimiser.collect(|s| &s.raw)[0][0];
            optimiser.step(&config, step, &[(1.0, vec![vec![2.0 * (x - 1.5)]])], &workers, |_| Update::AdamW);
        }
        assert!((optimiser.collect(|s| &s.raw)[0][0] - 1.5).abs() < 0.02);
    }
}
