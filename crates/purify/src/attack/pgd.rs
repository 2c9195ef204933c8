//! Projected gradient steps from a random start.

use langevin_core::noise::NoiseSource as _;

use super::{Job, Norm, project::low_pass};
use crate::Result;

/// Stream of random starts.
const START: u32 = 32;
/// Size of a step over `eps / steps`.
const PACE: f64 = 2.5;

/// A start within the bound: even in each number, or of random direction and half the length.
pub(super) fn start(job: &Job<'_>, row: &[f32], item: u32) -> Vec<f32> {
    let mut delta = vec![0f32; row.len()];
    job.noise.fill(item, job.restart, START, &mut delta);
    match job.attack.norm {
        // Normal numbers through their distribution function are even ones; a logistic curve is near enough for a start.
        Norm::Linf => delta.iter_mut().for_each(|v| *v = ((1.702 * *v / 2.0).tanh() * job.attack.eps as f32).clamp(-1e30, 1e30)),
        Norm::L2 => {
            let size = Norm::L2.of(&delta).max(1e-30);
            delta.iter_mut().for_each(|v| *v *= (0.5 * job.attack.eps / size) as f32);
        }
    }
    shape(job, &mut delta);
    delta
}

/// Keeps a perturbation in its part of the spectrum and in its bound.
pub(super) fn shape(job: &Job<'_>, delta: &mut [f32]) {
    if let Some(share) = job.attack.low_pass {
        low_pass(delta, share);
        // Clipping would bring the other frequencies back.
        let size = job.attack.norm.of(delta);
        if size > job.attack.eps {
            delta.iter_mut().for_each(|v| *v *= (job.attack.eps / size) as f32);
        }
    }
    job.attack.norm.project(delta, job.attack.eps);
}

/// Rows plus perturbations.
pub(super) fn add(rows: &[Vec<f32>], deltas: &[Vec<f32>]) -> Vec<Vec<f32>> {
    rows.iter().zip(deltas).map(|(row, delta)| row.iter().zip(delta).map(|(x, d)| x + d).collect()).collect()
}

pub(super) fn run(job: &Job<'_>) -> Result<Vec<Vec<f32>>> {
    let attack = job.attack;
    let pace = PACE * attack.eps / attack.steps as f64;
    let mut deltas: Vec<Vec<f32>> = job.rows.iter().zip(job.items).map(|(row, &item)| start(job, row, item)).collect();
    for step in 0..attack.steps {
        let slopes = job.slopes(&add(job.rows, &deltas), step)?;
        for (delta, gradient) in deltas.iter_mut().zip(&slopes.gradients) {
            let mut gradient = gradient.clone();
            if let Some(share) = attack.low_pass {
                low_pass(&mut gradient, share);
            }
            delta.iter_mut().zip(attack.norm.step(&gradient, pace)).for_each(|(d, s)| *d += s);
            shape(job, delta);
        }
    }
    Ok(add(job.rows, &deltas))
}
