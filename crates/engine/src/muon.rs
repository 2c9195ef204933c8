//! Muon: momentum made orthogonal, for the matrices inside a network (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural
//! networks"), scaled as Liu et al. 2025 (arXiv:2502.16982) do, so that AdamW's learning rate and weight decay serve.

use langevin_nn::fused::{Place, product};

use crate::{
    config::TrainConfig,
    optim::{Slot, average_at, sum_of_squares},
};

/// Rows and columns that a matrix needs at least: a few directions are no reason for a decomposition.
pub(crate) const LEAST: usize = 16;
/// Decay of the momentum, as published.
const MOMENTUM: f32 = 0.95;
/// Iterations, as published.
const ITERATIONS: usize = 5;
/// Coefficients of the odd polynomial that each iteration applies to the singular values: it sends small ones up fastest and keeps the others
/// within about 0.7 and 1.2, which is as good as 1 here (Jordan et al. 2024).
const POLYNOMIAL: [f32; 3] = [3.4445, -4.7750, 2.0315];
/// Root mean square of AdamW's steps in units of the learning rate (Liu et al. 2025, equation 4).
const SIZE: f64 = 0.2;

/// One step of a matrix `[rows, columns]`: with `m = 0.95 m + 0.05 g` and Nesterov's `u = 0.95 m + 0.05 g`,
/// `raw = (1 - rate decay) raw - rate 0.2 sqrt(max(rows, columns)) orthogonal(u)`, then the moving average.
pub(crate) fn step(slot: &mut Slot, shape: [usize; 2], config: &TrainConfig, step: u32, scale: f32, gradient: &[f32]) {
    let ahead = slot.first.iter_mut().zip(gradient).map(|(first, gradient)| {
        let g = gradient * scale;
        *first = MOMENTUM * *first + (1.0 - MOMENTUM) * g;
        MOMENTUM * *first + (1.0 - MOMENTUM) * g
    });
    let direction = orthogonal(ahead.collect(), shape);
    let rate = config.rate_at(step);
    let (keep, length) = ((1.0 - rate * config.weight_decay) as f32, (rate * SIZE * (shape[0].max(shape[1]) as f64).sqrt()) as f32);
    let average = average_at(config, step);
    for ((raw, ema), direction) in slot.raw.iter_mut().zip(&mut slot.ema).zip(&direction) {
        *raw = *raw * keep - length * direction;
        *ema = average * *ema + (1.0 - average) * *raw;
    }
}

/// A matrix `[rows, columns]` with the same singular vectors and singular values near 1 (Newton-Schulz iterations). Zeros stay zeros.
fn orthogonal(matrix: Vec<f32>, [rows, columns]: [usize; 2]) -> Vec<f32> {
    // With few rows the products of the iterations are small.
    if rows > columns {
        return transposed(&orthogonal(transposed(&matrix, [rows, columns]), [columns, rows]), [columns, rows]);
    }
    let norm = sum_of_squares(&matrix).sqrt();
    if norm == 0.0 {
        return matrix;
    }
    let mut x: Vec<f32> = matrix.iter().map(|value| (f64::from(*value) / norm) as f32).collect();
    let (mut gram, mut even, mut next) = (vec![0.0; rows * rows], vec![0.0; rows * rows], matrix);
    let (wide, square) = (Place::rows(columns), Place::rows(rows));
    let [a, b, c] = POLYNOMIAL;
    for _ in 0..ITERATIONS {
        // X <- a X + (b G + c G^2) X with G = X X'.
        product([rows, rows, columns], 1.0, (&x, wide), (&x, wide.transposed()), (&mut gram, square), false);
        product([rows, rows, rows], c, (&gram, square), (&gram, square), (&mut even, square), false);
        even.iter_mut().zip(&gram).for_each(|(even, gram)| *even += b * gram);
        (0..rows).for_each(|i| even[i * rows + i] += a);
        product([rows, columns, rows], 1.0, (&even, square), (&x, wide), (&mut next, wide), false);
        std::mem::swap(&mut x, &mut next);
    }
    x
}

fn transposed(matrix: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
    (0..rows * columns).map(|i| matrix[i % rows * columns + i / rows]).collect()
}

#[cfg(test)]
mod tests {
    use langevin_nn::Layout;

    use super::*;
    use crate::{
        Workers,
        optim::{Optimiser, Update},
    };

    /// `U diag(values) V'` with orthogonal reflections `U` of `[rows, rows]` and `V` of `[columns, columns]`.
    fn made_of(values: &[f64], [rows, columns]: [usize; 2]) -> Vec<f32> {
        let axis = |len: usize, i: usize| (1.0 + ((i * i + 3 * len) as f64).sin()) / 2.0;
        let length = |len: usize| (0..len).map(|i| axis(len, i).powi(2)).sum::<f64>();
        let (left, right) = (length(rows), length(columns));
        let entry = |len: usize, square: f64, i: usize, k: usize| f64::from(i == k) - 2.0 * axis(len, i) * axis(len, k) / square;
        let at = |i: usize, j: usize| {
            let terms = values.iter().enumerate().map(|(k, value)| entry(rows, left, i, k) * value * entry(columns, right, j, k));
            terms.sum::<f64>() as f32
        };
        (0..rows * columns).map(|index| at(index / columns, index % columns)).collect()
    }

    #[test]
    fn singular_vectors_stay_and_values_come_near_one() {
        for shape in [[16, 16], [17, 40], [40, 17], [16, 200], [96, 96]] {
            let least = shape[0].min(shape[1]);
            for size in [1e-6, 1.0, 1e4] {
                let values: Vec<f64> = (0..least).map(|k| size * (0.2 + 0.8 * (k as f64).cos().abs())).collect();
                let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
                // The iteration, on each singular value alone.
                let [a, b, c] = POLYNOMIAL.map(f64::from);
                let ends: Vec<f64> =
                    values.iter().map(|v| (0..ITERATIONS).fold(v / norm, |s, _| a * s + b * s.powi(3) + c * s.powi(5))).collect();
                assert!(ends.iter().all(|v| (0.65..1.25).contains(v)), "{ends:?}");
                let (found, wanted) = (orthogonal(made_of(&values, shape), shape), made_of(&ends, shape));
                let apart = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart < 2e-4, "{shape:?} {size}: {apart}");
            }
        }
    }

    #[test]
    fn no_direction_is_no_step() {
        assert_eq!(orthogonal(vec![0.0; 16 * 20], [16, 20]), [0.0; 16 * 20]);
        let mut slot = Slot { raw: vec![2.0; 256], ema: vec![2.0; 256], first: vec![0.0; 256], second: vec![0.0; 256] };
        let config = TrainConfig { warmup: 0, learning_rate: 0.1, final_rate: 1.0, weight_decay: 0.5, ..TrainConfig::default() };
        step(&mut slot, [16, 16], &config, 0, 1.0, &[0.0; 256]);
        assert!(slot.raw.iter().all(|v| (v - 2.0 * 0.95).abs() < 1e-6), "decay alone");
    }

    #[test]
    fn a_step_is_as_long_as_one_of_adamw() {
        let config = TrainConfig { warmup: 0, learning_rate: 0.1, final_rate: 1.0, ..TrainConfig::default() };
        for shape in [[32, 32], [16, 64], [64, 16]] {
            let len = shape[0] * shape[1];
            let mut slot = Slot { raw: vec![0.0; len], ema: vec![0.0; len], first: vec![0.0; len], second: vec![0.0; len] };
            let gradient = made_of(&vec![3.0; shape[0].min(shape[1])], shape);
            step(&mut slot, shape, &config, 0, 1.0, &gradient);
            let size = (sum_of_squares(&slot.raw) / len as f64).sqrt();
            assert!((size / (0.1 * SIZE) - 1.0).abs() < 0.3, "{shape:?}: {size}");
            // Downhill, by the momentum that the first gradient leaves.
            assert!(slot.raw.iter().zip(&gradient).map(|(a, b)| a * b).sum::<f32>() < 0.0);
            assert!(slot.first.iter().zip(&gradient).all(|(a, b)| (a - 0.05 * b).abs() < 1e-6));
        }
    }

    /// Least squares of a matrix against a target, beside a vector that AdamW trains.
    fn descend(threads: usize, steps: u32) -> (f64, Vec<Vec<f32>>) {
        const SHAPE: [usize; 2] = [24, 16];
        let layout = vec![
            Layout { name: "w".into(), shape: SHAPE.to_vec(), linear: true },
            Layout { name: "b".into(), shape: vec![5], linear: true },
        ];
        let target: Vec<f32> = (0..24 * 16).map(|i| ((i * 7) as f32).sin()).collect();
        let optimiser = Optimiser::new(layout, vec![vec![0.0; 24 * 16], vec![1.0; 5]]);
        let workers = Workers::new(threads).expect("threads start");
        let config = TrainConfig { steps, warmup: 0, learning_rate: 0.1, clip: 1e9, ..TrainConfig::default() };
        let update = |parameter: &Layout| if parameter.shape.len() == 2 { Update::Muon } else { Update::AdamW };
        let mut error = 0.0;
        for step in 0..=steps {
            let now = optimiser.weights(&workers);
            let gradient: Vec<f32> = now[0].iter().zip(&target).map(|(a, b)| a - b).collect();
            error = (sum_of_squares(&gradient) / gradient.len() as f64).sqrt();
            optimiser.step(&config, step, &[(1.0, vec![gradient, now[1].clone()])], &workers, update);
        }
        assert!(optimiser.collect(|slot| &slot.second)[0].iter().all(|v| *v == 0.0));
        (error, optimiser.weights(&workers))
    }

    #[test]
    fn finds_the_minimum_of_a_quadratic() {
        let (error, weights) = descend(1, 300);
        assert!(error < 0.01, "{error}");
        assert!(weights[1].iter().all(|v| v.abs() < 0.05), "{:?}", weights[1]);
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        assert_eq!(descend(1, 20), descend(3, 20));
    }
}
