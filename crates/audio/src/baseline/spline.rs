//! Up-sampling by a cubic spline through the samples.

use crate::{
    error::{Error, Result},
    resample::check_rate,
};

/// A clip at a higher rate by the natural cubic spline through its samples: `round(n to / from)` samples, the first one at the same time. It has
/// no notion of what was above half the lower rate; its images of the low band fall there by about 80 dB a decade.
///
/// # Errors
/// No samples, a rate out of range, rates that do not rise, a sample that is not finite.
pub fn upsample_spline(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>> {
    check_rate(from)?;
    check_rate(to)?;
    if to <= from {
        return Err(Error::OutOfRange {
            what: "rate to up-sample to, in hertz,",
            got: f64::from(to),
            min: f64::from(from) + 1.0,
            max: 768_000.0,
        });
    }
    if samples.is_empty() {
        return Err(Error::TooFew { what: "samples to up-sample", got: 0, want: 1 });
    }
    if let Some(index) = samples.iter().position(|v| !v.is_finite()) {
        return Err(Error::NonFinite { what: "samples to up-sample", index });
    }
    let curvature = second_derivatives(samples);
    let last = samples.len() - 1;
    let count = (samples.len() as u64 * u64::from(to) * 2 + u64::from(from)) / (2 * u64::from(from));
    let at = |k: u64| {
        // Beyond the last sample nothing is known: it is held.
        let t = (k as f64 * f64::from(from) / f64::from(to)).min(last as f64);
        let i = (t as usize).min(last.saturating_sub(1));
        let b = t - i as f64;
        let a = 1.0 - b;
        let j = (i + 1).min(last);
        let (y, m) = ([f64::from(samples[i]), f64::from(samples[j])], [curvature[i], curvature[j]]);
        (a * y[0] + b * y[1] + ((a.powi(3) - a) * m[0] + (b.powi(3) - b) * m[1]) / 6.0) as f32
    };
    Ok((0..count.max(1)).map(at).collect())
}

/// Second derivatives at the samples, 0 at the ends: `m_(i-1) + 4 m_i + m_(i+1) = 6 (y_(i-1) - 2 y_i + y_(i+1))`, by elimination.
fn second_derivatives(y: &[f32]) -> Vec<f64> {
    let n = y.len();
    let mut m = vec![0.0; n];
    let mut factor = vec![0.0; n];
    for i in 1..n.saturating_sub(1) {
        let right = 6.0 * (f64::from(y[i - 1]) - 2.0 * f64::from(y[i]) + f64::from(y[i + 1]));
        let pivot = 4.0 - factor[i - 1];
        factor[i] = 1.0 / pivot;
        m[i] = (right - m[i - 1]) / pivot;
    }
    for i in (1..n.saturating_sub(1)).rev() {
        m[i] -= factor[i] * m[i + 1];
    }
    m
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_through_the_samples_and_bends_as_a_spline_does() {
        // Natural spline through 0, 1, 0: second derivative -3 in the middle, and value 11/16 half-way (worked by hand).
        let up = upsample_spline(&[0.0, 1.0, 0.0], 1000, 2000).unwrap();
        assert_eq!(up.len(), 6);
        for (got, want) in up.iter().zip([0.0, 11.0 / 16.0, 1.0, 11.0 / 16.0, 0.0, 0.0]) {
            assert!((got - want).abs() < 1e-6, "{up:?}");
        }
        let line: Vec<f32> = (0..9).map(|v| v as f32 * 0.1).collect();
        let up = upsample_spline(&line, 8000, 22_050).unwrap();
        assert_eq!(up.len(), 25);
        assert!(up.iter().enumerate().all(|(k, v)| (v - (k as f32 * 8000.0 / 22_050.0).min(8.0) * 0.1).abs() < 1e-5));
    }

    #[test]
    fn slow_tones_stay_and_bad_input_is_refused() {
        let tone = |rate: f64, n: usize| (0..n).map(|i| (300.0 * std::f64::consts::TAU * i as f64 / rate).sin() as f32).collect::<Vec<_>>();
        let up = upsample_spline(&tone(4000.0, 400), 4000, 8000).unwrap();
        assert!(up[20..780].iter().zip(&tone(8000.0, 800)[20..]).all(|(a, b)| (a - b).abs() < 0.01));
        assert_eq!(upsample_spline(&[0.5], 4000, 8000).unwrap(), [0.5, 0.5]);
        assert!(upsample_spline(&[], 4000, 8000).is_err() && upsample_spline(&[0.0], 8000, 8000).is_err());
        assert!(upsample_spline(&[f32::NAN], 4000, 8000).is_err() && upsample_spline(&[0.0], 1, 8000).is_err());
    }
}
