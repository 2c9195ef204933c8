//! Attacks that ask for scores only.

use langevin_core::noise::NoiseSource as _;

use super::{
    Job,
    pgd::{add, shape, start},
};
use crate::Result;

/// Streams of their draws.
const WINDOW: u32 = 33;
const PLACE: u32 = 34;
const SIGN: u32 = 35;
const DIRECTION: u32 = 36;
/// Share of a row that a window covers at first.
const FIRST_SHARE: f64 = 0.3;
/// Steps of the schedule, as shares of all queries, at which windows halve.
const HALVINGS: [f64; 7] = [0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8];
/// Pairs of directions of an estimated gradient.
pub(super) const PAIRS: usize = 16;

/// Windows of `+-eps` at random places, kept when they raise the loss.
pub(super) fn square(job: &Job<'_>) -> Result<Vec<Vec<f32>>> {
    let eps = job.attack.eps as f32;
    let sign = |item: u32, node: u32| if job.noise.uniform(item, node, SIGN) < 0.5 { -eps } else { eps };
    let stripes = |row: &Vec<f32>, item: u32| -> Vec<f32> {
        let width = (row.len() / 64).max(1);
        (0..row.len()).map(|n| sign(item, ((n / width) as u32) ^ (job.restart << 20))).collect()
    };
    let mut deltas: Vec<Vec<f32>> = job.rows.iter().zip(job.items).map(|(row, &item)| stripes(row, item)).collect();
    let mut best = job.losses(&add(job.rows, &deltas), 0)?;
    for step in 1..job.attack.steps {
        let halvings = HALVINGS.iter().filter(|&&share| share * job.attack.steps as f64 <= step as f64).count() as i32;
        let tried: Vec<Vec<f32>> = deltas
            .iter()
            .zip(job.items)
            .map(|(delta, &item)| {
                let node = (step as u32).wrapping_add(job.restart.wrapping_mul(1_000_003));
                let width = ((FIRST_SHARE * 0.5f64.powi(halvings) * delta.len() as f64) as usize).max(1);
                let place = job.noise.below(delta.len() + 1 - width, item, node, PLACE);
                let value = if job.noise.uniform(item, node, WINDOW) < 0.5 { -eps } else { eps };
                let mut tried = delta.clone();
                tried[place..place + width].fill(value);
                tried
            })
            .collect();
        let losses = job.losses(&add(job.rows, &tried), step as u32)?;
        for (((delta, best), tried), loss) in deltas.iter_mut().zip(&mut best).zip(tried).zip(losses) {
            if loss > *best {
                (*delta, *best) = (tried, loss);
            }
        }
    }
    Ok(add(job.rows, &deltas))
}

/// Steps along gradients that are estimated from pairs of differences.
pub(super) fn nes(job: &Job<'_>) -> Result<Vec<Vec<f32>>> {
    let attack = job.attack;
    let pace = 2.5 * attack.eps / attack.steps as f64;
    let mut deltas: Vec<Vec<f32>> = job.rows.iter().zip(job.items).map(|(row, &item)| start(job, row, item)).collect();
    for step in 0..attack.steps {
        let slopes = estimated(job, &deltas, step)?;
        for (delta, slope) in deltas.iter_mut().zip(&slopes) {
            delta.iter_mut().zip(attack.norm.step(slope, pace)).for_each(|(d, s)| *d += s);
            shape(job, delta);
        }
    }
    Ok(add(job.rows, &deltas))
}

/// The gradient at `rows + deltas`, from differences along random directions there and back (Ilyas et al. 2018, section 2.2): its mean is the
/// gradient of the loss smoothed by the directions.
pub(super) fn estimated(job: &Job<'_>, deltas: &[Vec<f32>], step: usize) -> Result<Vec<Vec<f32>>> {
    let reach = 0.25 * job.attack.eps as f32;
    let mut slopes: Vec<Vec<f32>> = job.rows.iter().map(|row| vec![0f32; row.len()]).collect();
    for pair in 0..PAIRS {
        let node = ((step * PAIRS + pair) as u32).wrapping_add(job.restart.wrapping_mul(1_000_003));
        let draw = |(row, &item): (&Vec<f32>, &u32)| {
            let mut direction = vec![0f32; row.len()];
            job.noise.fill(item, node, DIRECTION, &mut direction);
            direction
        };
        let directions: Vec<Vec<f32>> = job.rows.iter().zip(job.items).map(draw).collect();
        let side = |side: f32| {
            let moved = deltas.iter().zip(&directions).map(|(d, z)| d.iter().zip(z).map(|(d, z)| d + side * reach * z).collect());
            job.losses(&add(job.rows, &moved.collect::<Vec<_>>()), step as u32)
        };
        let (up, down) = (side(1.0)?, side(-1.0)?);
        for ((slope, direction), (up, down)) in slopes.iter_mut().zip(&directions).zip(up.iter().zip(&down)) {
            let along = (up - down) as f32 / (2.0 * reach * PAIRS as f32);
            slope.iter_mut().zip(direction).for_each(|(s, z)| *s += along * z);
        }
    }
    Ok(slopes)
}
