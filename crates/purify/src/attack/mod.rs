//! Attacks on a classifier behind a defence, from blind to adaptive.

mod apgd;
mod black_box;
mod gradient;
mod pgd;
mod project;

pub(crate) use gradient::best;
pub use gradient::{Loss, Path, Slopes, Target};
pub use project::Norm;

use langevin_core::Philox;

use crate::{Error, Result};

/// First vote that attacks draw noise at: a defender's own votes lie below.
pub(crate) const FIRST_VOTE: u32 = 10_000;

/// How perturbations are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Projected gradient steps (Madry et al. 2018, arXiv:1706.06083).
    Pgd,
    /// With momentum and a step that halves by itself (Croce & Hein 2020, arXiv:2003.01690).
    Apgd,
    /// Random windows of `+-eps`, no gradient (Andriushchenko et al. 2020, arXiv:1912.00049).
    Square,
    /// Gradients estimated from differences along random directions (Ilyas et al. 2018, arXiv:1804.08598).
    Nes,
}

/// One attack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attack {
    /// How it searches.
    pub method: Method,
    /// What it knows of the defence.
    pub path: Path,
    /// What it maximises.
    pub loss: Loss,
    /// Norm of the bound.
    pub norm: Norm,
    /// Bound of a perturbation, data units.
    pub eps: f64,
    /// Steps (queries, of Square).
    pub steps: usize,
    /// Starts, of which the best is kept.
    pub restarts: usize,
    /// Draws of the defence that a gradient is the mean of (Athalye et al. 2018, arXiv:1707.07397).
    pub eot: usize,
    /// Whether it knows the noise that the defence will use, and attacks that draw alone.
    pub fixed_seed: bool,
    /// Keeps perturbations below this share of the spectrum.
    pub low_pass: Option<f64>,
    /// Seed of starts and directions.
    pub seed: u64,
}

impl Attack {
    /// PGD in the greatest norm through everything, one draw a step.
    pub const fn pgd(eps: f64, steps: usize) -> Self {
        Self {
            method: Method::Pgd,
            path: Path::Full,
            loss: Loss::CrossEntropy,
            norm: Norm::Linf,
            eps,
            steps,
            restarts: 1,
            eot: 1,
            fixed_seed: false,
            low_pass: None,
            seed: 0,
        }
    }

    /// Refuses what cannot be run.
    ///
    /// # Errors
    /// [`Error::Setting`] names it.
    pub fn check(&self, target: &Target<'_>) -> Result<()> {
        let refuse = |name, reason: &str| Err(Error::Setting { name, reason: reason.to_owned() });
        if !(self.eps.is_finite() && self.eps > 0.0) {
            return refuse("eps", "should be a positive number in data units");
        }
        if self.steps == 0 || self.restarts == 0 || self.eot == 0 {
            return refuse("steps", "restarts and draws should be at least 1");
        }
        let needs_gradient = matches!(self.method, Method::Pgd | Method::Apgd);
        if needs_gradient && !target.classifier.has_gradient() {
            return refuse("method", "needs a gradient, which this classifier does not have; use square or nes");
        }
        if self.method == Method::Square && self.norm == Norm::L2 {
            return refuse("norm", "of square is linf; use pgd, apgd or nes for l2");
        }
        Ok(())
    }

    /// Perturbed rows of `rows` with classes `classes`; `items` addresses each row's draws. The result depends on the rows and their items,
    /// not on what is attacked beside them, as far as the classifier's own arithmetic does not.
    ///
    /// # Errors
    /// As [`check`](Self::check); when the classifier cannot be run.
    pub fn run(&self, target: &Target<'_>, rows: &[Vec<f32>], classes: &[usize], items: &[u32]) -> Result<Vec<Vec<f32>>> {
        self.check(target)?;
        let mut best: Vec<(f64, Vec<f32>)> = vec![(f64::NEG_INFINITY, Vec::new()); rows.len()];
        for restart in 0..self.restarts {
            let job = Job { attack: self, target, rows, classes, items, noise: Philox::new(self.seed), restart: restart as u32 };
            let found = match self.method {
                Method::Pgd => pgd::run(&job)?,
                Method::Apgd => apgd::run(&job)?,
                Method::Square => black_box::square(&job)?,
                Method::Nes => black_box::nes(&job)?,
            };
            // One start needs no comparison.
            let losses = if self.restarts == 1 { vec![0.0; rows.len()] } else { job.losses(&found, u32::MAX / 2)? };
            for (best, (loss, row)) in best.iter_mut().zip(losses.into_iter().zip(found)) {
                if loss > best.0 || best.1.is_empty() {
                    *best = (loss, row);
                }
            }
        }
        Ok(best.into_iter().map(|(_, row)| row).collect())
    }
}

/// One start of an attack on a batch.
struct Job<'a> {
    attack: &'a Attack,
    target: &'a Target<'a>,
    rows: &'a [Vec<f32>],
    classes: &'a [usize],
    items: &'a [u32],
    noise: Philox,
    restart: u32,
}

impl Job<'_> {
    /// Gradients and losses of perturbed rows at a step.
    fn slopes(&self, perturbed: &[Vec<f32>], step: usize) -> Result<Slopes> {
        self.target.slopes(self.attack, perturbed, self.classes, self.items, self.first_vote(step as u32))
    }

    /// Losses of perturbed rows at a step, without gradients.
    fn losses(&self, perturbed: &[Vec<f32>], step: u32) -> Result<Vec<f64>> {
        self.target.losses(self.attack, perturbed, self.classes, self.items, self.first_vote(step))
    }

    fn first_vote(&self, step: u32) -> u32 {
        if self.attack.fixed_seed {
            return 0;
        }
        // Starts and steps see draws of their own.
        let step = step.wrapping_add(self.restart.wrapping_mul(1_000_003));
        FIRST_VOTE.wrapping_add(step.wrapping_mul(self.attack.eot as u32))
    }
}

#[cfg(test)]
mod tests;
