//! What the training of a prior remembers of its losses from step to step.

use langevin_core::{loss::LossHistory, schedule::Schedule};
use langevin_nn::Constant;

/// Share of a new step in the running mean of squared losses.
const NEW: f64 = 0.1;
const MEAN_SQUARE: &str = "mean_square";

/// The losses of the past, and those of the step that runs (row, time, loss).
#[derive(Clone, Debug)]
pub(super) struct Memory {
    /// For importance sampling of times.
    pub(super) history: Option<LossHistory>,
    /// Running mean of the squared losses, for a learned schedule; 0 before the first step.
    pub(super) mean_square: f64,
    seen: Vec<(u32, f64, f64)>,
}

impl Memory {
    pub(super) const fn new(history: Option<LossHistory>) -> Self {
        Self { history, mean_square: 0.0, seen: Vec::new() }
    }

    /// Takes in some rows of the running step, in any order. Losses are rounded to f32, as the state on disk keeps them: a resumed run
    /// remembers the same.
    pub(super) fn see(&mut self, rows: impl Iterator<Item = u32>, times: &[f64], losses: &[f64]) {
        self.seen.extend(rows.zip(times).zip(losses).map(|((row, &t), &loss)| (row, t, f64::from(loss as f32))));
    }

    /// Ends a step: what was seen, in the order of its rows, is now known.
    pub(super) fn end_of_step(&mut self, schedule: &dyn Schedule) {
        let mut seen = std::mem::take(&mut self.seen);
        // Workers finish in any order; rows have one.
        seen.sort_by_key(|(row, ..)| *row);
        let (times, losses): (Vec<f64>, Vec<f64>) = seen.into_iter().map(|(_, t, loss)| (t, loss)).unzip();
        let mean_square = losses.iter().map(|l| l * l).sum::<f64>() / losses.len().max(1) as f64;
        let mean_square = if self.mean_square > 0.0 { (1.0 - NEW) * self.mean_square + NEW * mean_square } else { mean_square };
        self.mean_square = f64::from(mean_square as f32);
        if let Some(history) = &mut self.history {
            history.update(schedule, &times, &losses);
        }
    }

    /// As arrays, for the state on disk.
    pub(super) fn to_constants(&self) -> Vec<Constant> {
        let constant = |name: String, values: Vec<f32>| Constant { name, shape: vec![values.len()], values };
        let of_bin = |(bin, losses): (usize, &Vec<f64>)| constant(format!("losses.{bin}"), losses.iter().map(|l| *l as f32).collect());
        let mut all: Vec<Constant> = self.history.iter().flat_map(|history| history.bins().iter().enumerate().map(of_bin)).collect();
        if self.history.is_none() && self.mean_square > 0.0 {
            all.push(constant(MEAN_SQUARE.to_owned(), vec![self.mean_square as f32]));
        }
        all
    }

    /// Takes back what [`to_constants`](Self::to_constants) gave.
    pub(super) fn recall(&mut self, memory: &[Constant]) {
        let kept = |name: &str| memory.iter().find(|c| c.name == name).map(|c| c.values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
        for (bin, losses) in self.history.iter_mut().flat_map(|history| history.bins_mut().iter_mut().enumerate()) {
            *losses = kept(&format!("losses.{bin}")).unwrap_or_default();
        }
        self.mean_square = kept(MEAN_SQUARE).and_then(|values| values.first().copied()).unwrap_or(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use langevin_core::schedule::Flow;

    #[test]
    fn neither_the_order_of_workers_nor_a_resumption_changes_what_is_known() {
        let schedule = Flow::new(1.0).expect("a shift");
        let step = |memory: &mut Memory, cuts: [(u32, usize); 2]| {
            let (times, losses) = ([0.1, 0.2, 0.7, 0.9], [1.0 / 3.0, 2.0, 0.1, 4.0]);
            for (first, count) in cuts {
                let part = first as usize..first as usize + count;
                memory.see(first..first + count as u32, &times[part.clone()], &losses[part]);
            }
            memory.end_of_step(&schedule);
        };
        for history in [None, Some(LossHistory::new(2, 3).expect("bins"))] {
            let fresh = || Memory::new(history.clone());
            let (mut a, mut b) = (fresh(), fresh());
            step(&mut a, [(0, 3), (3, 1)]);
            step(&mut b, [(2, 2), (0, 2)]);
            assert_eq!(a.to_constants(), b.to_constants());
            let mut resumed = fresh();
            resumed.recall(&a.to_constants());
            step(&mut a, [(0, 2), (2, 2)]);
            step(&mut resumed, [(0, 2), (2, 2)]);
            assert_eq!(a.to_constants(), resumed.to_constants());
            assert!((a.mean_square - (1.0 / 9.0 + 4.0 + 0.01 + 16.0) / 4.0).abs() < 1e-6);
        }
    }
}
