//! Schedules of discrete processes: `T` probabilities of being replaced, one a step.

/// Even steps from `start` to `end`, both included.
pub fn linear(start: f64, end: f64, steps: usize) -> Vec<f64> {
    crate::schedule::betas::linear(start, end, steps)
}

/// `1 - f(t) / f(t - 1)` with `f = cos((t/T + s) / (1 + s) pi/2)`, at most `most` (Hoogeboom et al. 2021, multinomial diffusion).
pub fn cosine(s: f64, most: f64, steps: usize) -> Vec<f64> {
    let f = |t: usize| ((t as f64 / steps as f64 + s) / (1.0 + s) * std::f64::consts::FRAC_PI_2).cos();
    (1..=steps).map(|t| (1.0 - f(t) / f(t - 1)).min(most)).collect()
}

/// As [`cosine`] with the square of `f` (Nichol & Dhariwal 2021).
pub fn cosine_squared(s: f64, most: f64, steps: usize) -> Vec<f64> {
    crate::schedule::betas::cosine(s, most, steps)
}

/// `1 / (T - t + 1)`: an absorbing process then masks a token at a uniform time (Sohl-Dickstein et al. 2015; Austin et al. 2021).
pub fn inverse_time(steps: usize) -> Vec<f64> {
    (1..=steps).map(|t| 1.0 / (steps - t + 1) as f64).collect()
}

/// The same at every step.
pub fn constant(beta: f64, steps: usize) -> Vec<f64> {
    vec![beta; steps]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_follows_the_curve() {
        let kept = |betas: &[f64]| betas.iter().map(|b| 1.0 - b).product::<f64>();
        for t in 1..10 {
            assert!((kept(&inverse_time(10)[..t]) - (1.0 - t as f64 / 10.0)).abs() < 1e-14);
            let f = |t: f64| ((t / 10.0 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos();
            assert!((kept(&cosine(0.008, 0.999, 10)[..t]) - f(t as f64) / f(0.0)).abs() < 1e-14);
            assert!((kept(&cosine_squared(0.008, 0.999, 10)[..t]) - (f(t as f64) / f(0.0)).powi(2)).abs() < 1e-14);
        }
        assert_eq!(inverse_time(10)[9], 1.0);
        assert_eq!(constant(0.2, 3), [0.2; 3]);
    }
}
