//! A local-level model of one column, smoothed.
//!
//! `y_t = a_t + e_t`, `a_{t+1} = a_t + u_t`: observations are a random walk seen through noise. The ratio of the two variances is chosen by
//! likelihood from a grid, the smoother is the one of Rauch, Tung and Striebel (1965).

/// Ratios of the walk's variance to the noise's that are tried.
const RATIOS: [f64; 8] = [1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 10.0];
/// Variance of the unknown first level, in the noise's.
const DIFFUSE: f64 = 1e7;

/// Fills the holes of a column with the smoothed level; 0 in an empty column.
pub(super) fn smooth(values: &[f64]) -> Vec<f64> {
    if values.iter().filter(|v| !v.is_nan()).count() < 2 {
        let only = values.iter().copied().find(|v| !v.is_nan()).unwrap_or(0.0);
        return vec![only; values.len()];
    }
    let best = RATIOS.iter().map(|&ratio| filter(values, ratio)).max_by(|a, b| a.likelihood.total_cmp(&b.likelihood));
    let filtered = best.expect("the grid of ratios is not empty");
    let mut level = filtered.mean.clone();
    for row in (0..values.len() - 1).rev() {
        let gain = filtered.variance[row] / (filtered.variance[row] + filtered.ratio);
        level[row] += gain * (level[row + 1] - filtered.mean[row]);
    }
    level.iter().zip(values).map(|(l, v)| if v.is_nan() { *l } else { *v }).collect()
}

struct Filtered {
    ratio: f64,
    likelihood: f64,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

/// The forward pass with the noise's variance concentrated out of the likelihood.
fn filter(values: &[f64], ratio: f64) -> Filtered {
    let first = values.iter().copied().find(|v| !v.is_nan()).unwrap_or(0.0);
    let (mut a, mut p) = (first, DIFFUSE);
    let (mut mean, mut variance) = (Vec::with_capacity(values.len()), Vec::with_capacity(values.len()));
    let (mut squares, mut logs, mut count) = (0.0, 0.0, 0.0);
    for &value in values {
        if !value.is_nan() {
            let spread = p + 1.0;
            let error = value - a;
            if p < DIFFUSE {
                squares += error * error / spread;
                logs += spread.ln();
                count += 1.0;
            }
            a += p / spread * error;
            p /= spread;
        }
        mean.push(a);
        variance.push(p);
        p = (p + ratio).min(DIFFUSE);
    }
    let likelihood = if count > 0.0 { -0.5 * count * (squares / count).max(1e-300).ln() - 0.5 * logs } else { f64::NEG_INFINITY };
    Filtered { ratio, likelihood, mean, variance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_is_interpolated_and_noise_is_averaged() {
        let mut walk: Vec<f64> = (0..200).map(|i| f64::from(i) * 0.5).collect();
        walk[50..60].fill(f64::NAN);
        let filled = smooth(&walk);
        assert!((filled[55] - 27.5).abs() < 0.2, "{}", filled[55]);
        let mut noise: Vec<f64> = (0..400).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        noise[101] = f64::NAN;
        assert!(smooth(&noise)[101].abs() < 0.3);
        assert_eq!(smooth(&[f64::NAN, 3.0]), [3.0, 3.0]);
        assert_eq!(smooth(&[f64::NAN; 3]), [0.0; 3]);
    }
}
