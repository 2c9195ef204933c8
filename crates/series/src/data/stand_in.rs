//! An anchor and tables for tests of what is built on them.

use langevin_core::Philox;

use super::{Anchored, Anchoring, Prepared};
use crate::{Frame, Result, draws::Draws};

/// Linear interpolation with an error that grows with the distance: enough to test what is built on anchors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interpolation;

impl Anchoring for Interpolation {
    fn prepare(&self, masked: &Frame, truth: &Frame) -> Result<Prepared> {
        let mut prepared = Prepared {
            values: Vec::new(),
            truth: Vec::new(),
            anchored: Anchored { mean: Vec::new(), scale: Vec::new() },
            period: Some(24.0),
        };
        for (values, truth) in masked.values.iter().zip(&truth.values) {
            let seen: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
            let n = seen.len().max(1) as f64;
            let centre = seen.iter().sum::<f64>() / n;
            let spread = (seen.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / n).sqrt().max(1e-9);
            let scaled = |v: &[f64]| v.iter().map(|v| (v - centre) / spread).collect::<Vec<_>>();
            let z = scaled(values);
            let at: Vec<usize> = (0..z.len()).filter(|&row| !z[row].is_nan()).collect();
            let estimate = |row: usize| {
                let next = at.partition_point(|&seen| seen < row);
                match (next.checked_sub(1).map(|k| at[k]), at.get(next)) {
                    (_, Some(&b)) if b == row => (z[row], 0.0),
                    (Some(a), Some(&b)) => {
                        let u = (row - a) as f64 / (b - a) as f64;
                        (z[a] * (1.0 - u) + z[b] * u, 0.3 * ((row - a).min(b - row) as f64).sqrt())
                    }
                    (Some(a), None) => (z[a], 0.4 * ((row - a) as f64).sqrt()),
                    (None, Some(&b)) => (z[b], 0.4 * ((b - row) as f64).sqrt()),
                    (None, None) => (0.0, 1.0),
                }
            };
            let (mean, scale) = (0..z.len()).map(estimate).unzip();
            prepared.anchored.mean.push(mean);
            prepared.anchored.scale.push(scale);
            prepared.truth.push(scaled(truth));
            prepared.values.push(z);
        }
        Ok(prepared)
    }
}

pub(crate) fn waves(rows: usize, columns: usize, seed: u64) -> Frame {
    let mut draws = Draws::new(Philox::new(seed), 0, 0, 0);
    let phases: Vec<f64> = (0..columns).map(|_| draws.between(0.0, 6.0)).collect();
    let value = |row: usize, phase: f64| (row as f64 / 3.0 + phase).sin() + 0.5 * (row as f64 / 17.0 - phase).cos();
    Frame {
        names: (0..columns).map(|k| format!("c{k}")).collect(),
        positions: (0..rows).map(|row| row as f64).collect(),
        values: phases.iter().map(|&phase| (0..rows).map(|row| value(row, phase)).collect()).collect(),
    }
}
