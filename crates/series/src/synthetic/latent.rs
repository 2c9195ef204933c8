//! Latent signals: Gaussian processes, autoregressions, seasons, trends and jumps, of unit variance.

use crate::draws::Draws;

/// The season that the columns of a table share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Season {
    /// Rows of a period; `None` without a season.
    period: Option<f64>,
    /// Rows of a longer period, a week over days for instance.
    longer: Option<f64>,
}

impl Season {
    /// Periods that calendars have, or any other.
    pub(super) fn draw(draws: &mut Draws, rows: usize) -> Self {
        const USUAL: [f64; 8] = [7.0, 12.0, 24.0, 24.0, 48.0, 52.0, 96.0, 144.0];
        if draws.chance(0.3) {
            return Self { period: None, longer: None };
        }
        let most = (rows as f64 / 3.0).max(5.0);
        let period = if draws.chance(0.7) { USUAL[draws.below(USUAL.len())] } else { draws.log_between(4.0, 200.0) };
        let period = period.min(most);
        let longer = Some(7.0 * period).filter(|longer| *longer <= most && draws.chance(0.3));
        Self { period: Some(period), longer }
    }
}

/// One signal of unit variance: a sum of one to three parts.
pub(super) fn signal(rows: usize, season: &Season, draws: &mut Draws) -> Vec<f64> {
    let mut sum = vec![0.0; rows];
    for _ in 0..1 + draws.below(3) {
        let weight = draws.log_between(0.3, 2.0);
        let mut part = part(rows, season, draws);
        standardise(&mut part);
        sum.iter_mut().zip(part).for_each(|(s, p)| *s += weight * p);
    }
    standardise(&mut sum);
    sum
}

fn part(rows: usize, season: &Season, draws: &mut Draws) -> Vec<f64> {
    let kind = draws.uniform();
    match season.period {
        Some(period) if kind < 0.35 => seasonal(rows, period, draws),
        Some(period) if kind < 0.40 => seasonal(rows, season.longer.unwrap_or(period), draws),
        _ if kind < 0.55 => {
            let scale = draws.log_between(1.0, (rows as f64 / 2.0).max(2.0));
            let smoothness = draws.below(4);
            features(rows, scale, smoothness, draws)
        }
        _ if kind < 0.80 => autoregression(rows, draws),
        _ if kind < 0.88 => walk(rows, draws),
        _ if kind < 0.95 => levels(rows, draws),
        _ => trend(rows, draws),
    }
}

/// A Gaussian process by random Fourier features (Rahimi & Recht 2007): frequencies follow the kernel's spectrum, which is normal for the
/// squared exponential and Student's t for Matern kernels (`smoothness` 1 to 3: nu of 1/2, 3/2, 5/2).
fn features(rows: usize, scale: f64, smoothness: usize, draws: &mut Draws) -> Vec<f64> {
    const FEATURES: usize = 48;
    let mut values = vec![0.0; rows];
    for _ in 0..FEATURES {
        let mut frequency = draws.normal() / scale;
        if smoothness > 0 {
            // Student's t of 2 nu degrees of freedom: a normal over a root of a mean of squares.
            let degrees = 2 * smoothness - 1;
            let squares = (0..degrees).map(|_| draws.normal().powi(2)).sum::<f64>() / degrees as f64;
            frequency /= squares.sqrt().max(1e-6);
        }
        // A frequency above one turn in two rows is noise; it folds back by itself.
        let (amplitude, phase) = (draws.normal(), draws.between(0.0, std::f64::consts::TAU));
        wave(&mut values, amplitude, frequency, phase);
    }
    values
}

/// Adds `amplitude cos(frequency t + phase)` by turning one vector: two products a row instead of a cosine.
fn wave(values: &mut [f64], amplitude: f64, frequency: f64, phase: f64) {
    let ((sin, cos), (mut y, mut x)) = (frequency.sin_cos(), phase.sin_cos());
    for value in values {
        *value += amplitude * x;
        (x, y) = (x * cos - y * sin, y * cos + x * sin);
    }
}

/// A season of a few harmonics, whose size may drift.
fn seasonal(rows: usize, period: f64, draws: &mut Draws) -> Vec<f64> {
    let mut values = vec![0.0; rows];
    let decay = draws.between(0.3, 1.5);
    for k in 1..=1 + draws.below(6) {
        let k = k as f64;
        let (amplitude, phase) = (draws.normal() * k.powf(-decay), draws.between(0.0, std::f64::consts::TAU));
        wave(&mut values, amplitude, std::f64::consts::TAU * k / period, phase);
    }
    if draws.chance(0.5) {
        let mut drift = features(rows, draws.log_between(2.0, 20.0) * period, 0, draws);
        standardise(&mut drift);
        let strength = draws.between(0.1, 0.6);
        values.iter_mut().zip(drift).for_each(|(v, d)| *v *= (strength * d).exp());
    }
    values
}

/// An autoregression of order 1 or 2, whose innovations may be heavy-tailed or come in bursts.
fn autoregression(rows: usize, draws: &mut Draws) -> Vec<f64> {
    // Roots in polar form: radius below 1 is stationary.
    let radius = 1.0 - draws.log_between(0.002, 0.8);
    let (a, b) = if draws.chance(0.5) {
        (radius, 0.0)
    } else {
        let angle = draws.log_between(0.02, 2.0);
        (2.0 * radius * angle.cos(), -radius * radius)
    };
    let heavy = draws.chance(0.25);
    let bursts = draws.chance(0.2);
    let mut volatility = 1.0f64;
    let (mut last, mut before) = (0.0, 0.0);
    let mut next = |draws: &mut Draws| {
        if bursts {
            volatility = (0.95 * volatility.ln() + 0.3 * draws.normal()).exp();
        }
        let shock = if heavy {
            draws.normal() / (draws.normal().powi(2) + draws.normal().powi(2) + draws.normal().powi(2)).sqrt()
        } else {
            draws.normal()
        };
        let value: f64 = a * last + b * before + volatility * shock.clamp(-30.0, 30.0);
        (last, before) = (value, last);
        value
    };
    // The first rows only forget the start.
    (0..200).for_each(|_| _ = next(draws));
    (0..rows).map(|_| next(draws)).collect()
}

fn walk(rows: usize, draws: &mut Draws) -> Vec<f64> {
    let mut level = 0.0;
    (0..rows)
        .map(|_| {
            level += draws.normal();
            level
        })
        .collect()
}

/// Levels that jump, or regimes that come back.
fn levels(rows: usize, draws: &mut Draws) -> Vec<f64> {
    let chance = 1.0 / draws.log_between(10.0, 200.0);
    let regimes: Vec<f64> = (0..2 + draws.below(3)).map(|_| draws.normal()).collect();
    let returns = draws.chance(0.5);
    let mut level = regimes[0];
    (0..rows)
        .map(|_| {
            if draws.chance(chance) {
                level = if returns { regimes[draws.below(regimes.len())] } else { level + draws.normal() };
            }
            level
        })
        .collect()
}

/// A line that may bend once.
fn trend(rows: usize, draws: &mut Draws) -> Vec<f64> {
    let (bend, before, after) = (draws.uniform() * rows as f64, draws.normal(), draws.normal());
    (0..rows).map(|row| before * (row as f64 - bend).min(0.0) + after * (row as f64 - bend).max(0.0)).collect()
}

/// Mean 0 and variance 1; a constant becomes zeros.
pub(super) fn standardise(values: &mut [f64]) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    let factor = if deviation > 1e-9 { 1.0 / deviation } else { 0.0 };
    values.iter_mut().for_each(|v| *v = (*v - mean) * factor);
}

#[cfg(test)]
mod tests {
    use super::*;
    use langevin_core::Philox;

    /// The covariance of random features is the kernel's.
    #[test]
    fn features_have_the_correlations_of_their_kernel() {
        for (smoothness, kernel) in [(0, (-0.5f64).exp()), (1, (-1f64).exp())] {
            let draws = &mut Draws::new(Philox::new(2), smoothness as u32, 0, 0);
            let (mut same, mut apart) = (0.0, 0.0);
            for _ in 0..2000 {
                let values = features(9, 8.0, smoothness, draws);
                same += values[0] * values[0];
                apart += values[0] * values[8];
            }
            assert!((apart / same - kernel).abs() < 0.06, "{smoothness}: {} not {kernel}", apart / same);
        }
    }

    #[test]
    fn waves_are_cosines() {
        let mut values = vec![0.0; 500];
        wave(&mut values, 2.0, 0.3, 1.0);
        assert!(values.iter().enumerate().all(|(t, v)| (v - 2.0 * (0.3 * t as f64 + 1.0).cos()).abs() < 1e-9));
    }
}
