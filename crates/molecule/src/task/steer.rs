//! What is done to estimates of clean positions on the way: held atoms, restraints, diversity. All of it moves with the molecule.

use std::sync::Mutex;

use crate::{
    Point,
    geometry::{Restraints, align},
};

/// Noise, in angstrom, below which restraints pull on estimates: above it there is no geometry to correct.
const RESTRAINED_BELOW: f64 = 0.6;
/// Longest pull of restraints on an atom, in angstrom.
const LONGEST_PULL: f64 = 0.1;
/// Range, in angstrom, over which conformers of a micro-batch keep apart.
const APART: f64 = 1.0;

/// Atoms that stay where they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Number of the atom, and its position.
    pub atoms: Vec<(usize, Point)>,
}

/// Estimates and states of one conformer, node by node.
#[derive(Debug, Default)]
pub struct Trajectory(Mutex<Vec<Vec<Point>>>);

impl Trajectory {
    /// The frames seen so far.
    pub fn frames(&self) -> Vec<Vec<Point>> {
        self.0.lock().map(|frames| frames.clone()).unwrap_or_default()
    }

    fn push(&self, frame: &[Point]) {
        if let Ok(mut frames) = self.0.lock() {
            frames.push(frame.to_vec());
        }
    }
}

/// What steers the estimates of one molecule.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steer<'a> {
    /// Restraints, and the length of a step along their gradient in angstrom^2 per unit of energy; 0 is none.
    pub restraints: Option<(&'a Restraints, f64)>,
    /// Strength with which conformers of a micro-batch keep apart; 0 is none.
    pub diversity: f64,
    /// Atoms that stay.
    pub held: Option<&'a Held>,
    /// Where estimates of the first conformer are kept.
    pub trajectory: Option<&'a Trajectory>,
}

impl Steer<'_> {
    /// Whether estimates stay as they are and nobody looks at them.
    pub fn is_idle(&self) -> bool {
        self.restraints.is_none() && self.diversity == 0.0 && self.held.is_none() && self.trajectory.is_none()
    }

    /// Steers the estimates of a micro-batch at noise `sigma` (angstrom).
    pub fn apply(&self, conformers: &mut [Vec<Point>], sigma: f64) {
        if self.diversity > 0.0 {
            keep_apart(conformers, self.diversity * sigma / (1.0 + sigma));
        }
        for conformer in conformers.iter_mut() {
            if let Some((restraints, step)) = self.restraints
                && sigma < RESTRAINED_BELOW
            {
                pull(restraints, step, conformer);
            }
            if let Some(held) = self.held {
                hold(held, conformer);
            }
        }
        if let (Some(trajectory), Some(first)) = (self.trajectory, conformers.first()) {
            trajectory.push(first);
        }
    }
}

/// One bounded step down the restraints' energy.
fn pull(restraints: &Restraints, step: f64, conformer: &mut [Point]) {
    let mut gradient = vec![[0.0; 3]; conformer.len()];
    restraints.gradient(conformer, &mut gradient);
    for (p, g) in conformer.iter_mut().zip(&gradient) {
        let length = step * g.iter().map(|v| v * v).sum::<f64>().sqrt();
        let factor = if length > LONGEST_PULL { step * LONGEST_PULL / length } else { step };
        p.iter_mut().zip(g).for_each(|(p, g)| *p -= factor * g);
    }
}

/// Turns an estimate so that held atoms come to lie where they belong, and puts them there.
fn hold(held: &Held, conformer: &mut [Point]) {
    let mobile: Vec<Point> = held.atoms.iter().map(|&(a, _)| conformer[a]).collect();
    let fixed: Vec<Point> = held.atoms.iter().map(|&(_, p)| p).collect();
    let motion = align(&mobile, &fixed, None);
    conformer.iter_mut().for_each(|p| *p = motion.apply(*p));
    held.atoms.iter().for_each(|&(a, p)| conformer[a] = p);
}

/// Pushes conformers away from one another (Corso et al. 2024, arXiv:2310.13102): along the difference after superposition, with a
/// Gaussian of the RMSD.
fn keep_apart(conformers: &mut [Vec<Point>], strength: f64) {
    let n = conformers.len();
    let atoms = conformers.first().map_or(0, Vec::len);
    let mut pushes = vec![vec![[0.0; 3]; atoms]; n];
    for a in 0..n {
        for b in (0..n).filter(|&b| b != a) {
            let motion = align(&conformers[b], &conformers[a], None);
            let difference: Vec<Point> = conformers[a]
                .iter()
                .zip(&conformers[b])
                .map(|(&p, &q)| {
                    let q = motion.apply(q);
                    std::array::from_fn(|k| p[k] - q[k])
                })
                .collect();
            let square = difference.iter().flatten().map(|v| v * v).sum::<f64>() / atoms.max(1) as f64;
            let weight = strength * (-square / (2.0 * APART * APART)).exp();
            for (push, d) in pushes[a].iter_mut().zip(&difference) {
                push.iter_mut().zip(d).for_each(|(p, d)| *p += weight * d);
            }
        }
    }
    for (conformer, push) in conformers.iter_mut().zip(&pushes) {
        for (p, d) in conformer.iter_mut().zip(push) {
            p.iter_mut().zip(d).for_each(|(p, d)| *p += d);
        }
    }
}
