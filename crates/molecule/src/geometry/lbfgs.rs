//! Minimisation by limited-memory BFGS (Nocedal, Math. Comp. 35 (1980) 773) with a backtracking line search.

use std::collections::VecDeque;

/// Pairs of steps and gradient changes that are remembered.
const MEMORY: usize = 8;
/// Share of the decrease promised by the gradient that a step has to bring.
const ARMIJO: f64 = 1e-4;
/// Halvings of a step before giving up.
const MAX_HALVINGS: usize = 20;
/// Longest move of any coordinate in a step.
const MAX_MOVE: f64 = 0.3;
/// Longest move of the first step.
const FIRST_MOVE: f64 = 0.05;
/// Largest component of the gradient at which nothing is left to do.
const FLAT: f64 = 1e-5;

/// Moves `x` downhill for at most `steps` steps and returns the value reached, which is never above that of the start.
///
/// `value` writes the gradient into its second argument. Values that are not finite are walked away from; if the start is one, `x` stays.
pub(super) fn minimise(x: &mut [f64], steps: usize, mut value: impl FnMut(&[f64], &mut [f64]) -> f64) -> f64 {
    let n = x.len();
    let mut gradient = vec![0.0; n];
    let mut energy = value(x, &mut gradient);
    let (mut trial, mut trial_gradient) = (vec![0.0; n], vec![0.0; n]);
    let mut memory: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::with_capacity(MEMORY + 1);
    for _ in 0..steps {
        if !energy.is_finite() || gradient.iter().all(|g| g.abs() < FLAT) {
            break;
        }
        let mut direction = two_loops(&gradient, &memory);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            memory.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = -dot(&gradient, &gradient);
        }
        let longest = direction.iter().fold(0f64, |m, d| m.max(d.abs()));
        let mut step = (MAX_MOVE / longest).min(1.0);
        let mut found = false;
        for _ in 0..MAX_HALVINGS {
            for ((t, x), d) in trial.iter_mut().zip(&*x).zip(&direction) {
                *t = x + step * d;
            }
            let reached = value(&trial, &mut trial_gradient);
            if reached <= energy + ARMIJO * step * slope {
                energy = reached;
                found = true;
                break;
            }
            step *= 0.5;
        }
        if !found {
            break;
        }
        let moved: Vec<f64> = trial.iter().zip(&*x).map(|(t, x)| t - x).collect();
        let turned: Vec<f64> = trial_gradient.iter().zip(&gradient).map(|(t, g)| t - g).collect();
        x.copy_from_slice(&trial);
        std::mem::swap(&mut gradient, &mut trial_gradient);
        let curvature = dot(&moved, &turned);
        if curvature > 1e-12 * dot(&turned, &turned) {
            memory.push_back((moved, turned, 1.0 / curvature));
            if memory.len() > MEMORY {
                memory.pop_front();
            }
        }
    }
    energy
}

/// Minus the approximate inverse Hessian times the gradient.
fn two_loops(gradient: &[f64], memory: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut weights = [0.0; MEMORY];
    for (k, (moved, turned, rho)) in memory.iter().enumerate().rev() {
        weights[k] = rho * dot(moved, &q);
        q.iter_mut().zip(turned).for_each(|(q, y)| *q -= weights[k] * y);
    }
    // Before anything is known a step along the gradient is short.
    let steepest = || gradient.iter().fold(FIRST_MOVE, |m, g| m.max(g.abs()));
    let scale = memory.back().map_or_else(|| FIRST_MOVE / steepest(), |(_, turned, rho)| 1.0 / (rho * dot(turned, turned)));
    q.iter_mut().for_each(|q| *q *= scale);
    for (k, (moved, turned, rho)) in memory.iter().enumerate() {
        let weight = weights[k] - rho * dot(turned, &q);
        q.iter_mut().zip(moved).for_each(|(q, s)| *q += weight * s);
    }
    q
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_bottom_of_rosenbrocks_valley() {
        let valley = |x: &[f64], g: &mut [f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            g[0] = -2.0 * a - 400.0 * x[0] * b;
            g[1] = 200.0 * b;
            a * a + 100.0 * b * b
        };
        let mut x = [-1.2, 1.0];
        assert!(minimise(&mut x, 200, valley) < 1e-9);
        assert!((x[0] - 1.0).abs() < 1e-4 && (x[1] - 1.0).abs() < 1e-4);
    }

    #[test]
    fn stays_where_there_is_no_value() {
        let mut x = [1.0];
        assert!(minimise(&mut x, 10, |_, _| f64::NAN).is_nan());
        assert_eq!(x, [1.0]);
        // Half of the line has no value; the minimum is at its border.
        let mut x = [3.0];
        let energy = minimise(&mut x, 100, |x, g| {
            g[0] = 1.0;
            if x[0] < 0.0 { f64::NAN } else { x[0] }
        });
        assert!((0.0..0.1).contains(&energy), "{energy}");
    }
}
