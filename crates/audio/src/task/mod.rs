//! What users ask for: train a prior or a judge, distil, generate, score.

mod code;
mod diffwave;
mod distill;
mod dither;
mod generate;
mod guided;
mod judge;
mod likelihood;
mod memory;
mod moments;
mod prior;
mod score;
mod train_diffwave;
mod train_judge;
mod train_prior;
mod train_wave;
mod vectors;
mod wave;
mod wave_generation;
mod wave_likelihood;
mod wave_uses;

pub use diffwave::{DiffWave, DiffWaveGeneration};
pub use distill::{DistillTask, student_config};
pub use dither::dither;
pub use generate::{Generation, Request, Sound, Vocode};
pub use guided::Guidance;
pub use judge::{Judge, Judged};
pub use likelihood::{Bounds, Errors, Estimate, Exact, Likelihood};
pub use prior::Prior;
pub use score::{Reference, Scores, score};
pub use train_diffwave::DiffWaveTask;
pub use train_judge::JudgeTask;
pub use train_prior::PriorTask;
pub use train_wave::WaveTask;
pub use vectors::Vectors;
pub use wave::{Given, GuidedWave, Wave};
pub use wave_generation::WaveGeneration;
pub use wave_likelihood::{WaveDensity, WaveLikelihood};
pub use wave_uses::{WaveRequest, WaveUse};

use std::ops::{ControlFlow, Range};

use langevin_core::{Philox, noise::stream};

use crate::Result;

/// Rows made one by one, until one of them is stopped: the sampling of models whose rows differ in length.
fn one_by_one<T>(rows: Range<u32>, make: impl Fn(u32) -> Result<ControlFlow<(), T>>) -> ControlFlow<(), Vec<Result<T>>> {
    let mut made = Vec::with_capacity(rows.len());
    for row in rows {
        made.push(match make(row) {
            Ok(ControlFlow::Continue(item)) => Ok(item),
            Ok(ControlFlow::Break(())) => return ControlFlow::Break(()),
            Err(error) => Err(error),
        });
    }
    ControlFlow::Continue(made)
}

/// Number of the training example in row `row` of step `step`: every epoch visits all examples in an order of its own.
fn example(noise: Philox, examples: usize, batch: u32, step: u32, row: u32) -> usize {
    let position = u64::from(step) * u64::from(batch) + u64::from(row);
    let (epoch, place) = (position / examples as u64, (position % examples as u64) as usize);
    // A format-preserving shuffle: cheaper than a permutation per row, and still each example once per epoch.
    shuffled(noise, examples, epoch as u32, place)
}

/// Place `place` of a permutation of `0..count`: a four-round Feistel network on the next power of four, walked until inside.
fn shuffled(noise: Philox, count: usize, epoch: u32, place: usize) -> usize {
    let half_bits = (usize::BITS - (count - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u32 << half_bits) - 1;
    let mut value = place as u32;
    loop {
        let (mut left, mut right) = (value >> half_bits, value & mask);
        for round in 0..4 {
            let word = noise.words([round, right, epoch, stream::DATA])[0];
            (left, right) = (right, left ^ (word & mask));
        }
        value = left << half_bits | right;
        if (value as usize) < count {
            return value as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_epoch_visits_every_example_once_in_its_own_order() {
        for count in [1, 2, 3, 97, 256, 2400] {
            let order = |epoch| (0..count).map(|k| shuffled(Philox::new(4), count, epoch, k)).collect::<Vec<_>>();
            let (first, second) = (order(0), order(1));
            let mut sorted = first.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..count).collect::<Vec<_>>());
            assert!(count < 90 || first != second);
        }
    }

    #[test]
    fn batches_continue_across_epochs() {
        let noise = Philox::new(1);
        let seen: Vec<_> = (0..5).flat_map(|step| (0..4).map(move |row| example(noise, 10, 4, step, row))).collect();
        let mut epoch = seen[..10].to_vec();
        epoch.sort_unstable();
        assert_eq!(epoch, (0..10).collect::<Vec<_>>());
    }
}
