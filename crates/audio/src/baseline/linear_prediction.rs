//! Gaps filled by linear prediction from both sides.

use std::ops::Range;

use crate::error::{Error, Result};

/// Usual order of the predictor.
pub const ORDER: usize = 32;
/// Most samples on each side that a predictor is fitted to: 128 ms at 8 kHz, over which speech keeps its spectrum.
pub(super) const CONTEXT: usize = 1024;

/// Coefficients `a_1 .. a_p` of the predictor `x_n = sum_k a_k x_(n-k)` that Burg's recursion fits (Burg 1975): each reflection coefficient
/// minimises the sum of squared forward and backward errors, so that all of them lie within -1..1 and an extrapolation never grows.
///
/// The order is lowered to half the number of samples; silence gives zeros.
pub fn burg(samples: &[f32], order: usize) -> Vec<f64> {
    let order = order.min(samples.len() / 2);
    let mut forward: Vec<f64> = samples.iter().map(|v| f64::from(*v)).collect();
    let mut backward = forward.clone();
    let mut coefficients: Vec<f64> = Vec::with_capacity(order);
    for m in 0..order {
        let n = samples.len() - m;
        // Errors of order m: forward[1..] beside backward[..n - 1], both about the same stretch.
        let pairs = || forward[1..n].iter().zip(&backward[..n - 1]);
        let power: f64 = pairs().map(|(f, b)| f * f + b * b).sum();
        let product: f64 = pairs().map(|(f, b)| f * b).sum();
        let reflection = if power > 0.0 { 2.0 * product / power } else { 0.0 };
        let before = coefficients.clone();
        for (k, c) in coefficients.iter_mut().enumerate() {
            *c -= reflection * before[m - 1 - k];
        }
        coefficients.push(reflection);
        for k in 0..n - 1 {
            let (f, b) = (forward[k + 1], backward[k]);
            forward[k] = f - reflection * b;
            backward[k] = b - reflection * f;
        }
    }
    coefficients
}

/// The next `count` samples by a predictor.
pub fn extrapolate(samples: &[f32], predictor: &[f64], count: usize) -> Vec<f32> {
    let order = predictor.len();
    let mut values: Vec<f64> = samples[samples.len() - order.min(samples.len())..].iter().map(|v| f64::from(*v)).collect();
    for _ in 0..count {
        let next = predictor.iter().zip(values.iter().rev()).map(|(a, v)| a * v).sum();
        values.push(next);
    }
    values[values.len() - count..].iter().map(|v| *v as f32).collect()
}

/// What a predictor of a gap is fitted to: the range with so many samples on each side, within a clip of `len` samples.
pub(super) fn around(range: &Range<usize>, context: usize, len: usize) -> Range<usize> {
    range.start.saturating_sub(context)..(range.end + context).min(len)
}

/// A clip with new samples in a range: predictions from the left and, backwards, from the right, cross-faded by a squared cosine. At an end of
/// the clip there is only one of them; where both are missing the range becomes silence. All other samples stay as they are, bit for bit.
///
/// # Errors
/// A range that is empty or reaches beyond the clip; a sample outside it that is not finite.
pub fn fill_gap(clip: &[f32], range: Range<usize>, order: usize) -> Result<Vec<f32>> {
    if range.is_empty() || range.end > clip.len() {
        return Err(Error::OutOfRange { what: "end of the gap", got: range.end as f64, min: 1.0, max: clip.len() as f64 });
    }
    if let Some(index) = clip.iter().enumerate().position(|(k, v)| !range.contains(&k) && !v.is_finite()) {
        return Err(Error::NonFinite { what: "samples around the gap", index });
    }
    let count = range.len();
    let near = around(&range, CONTEXT, clip.len());
    let left = &clip[near.start..range.start];
    let right: Vec<f32> = clip[range.end..near.end].iter().rev().copied().collect();
    let predict = |context: &[f32]| extrapolate(context, &burg(context, order), count);
    let (from_left, mut from_right) = (predict(left), predict(&right));
    from_right.reverse();
    let mut out = clip.to_vec();
    for (k, to) in out[range].iter_mut().enumerate() {
        let place = (k + 1) as f64 / (count + 1) as f64;
        let weight = match (left.is_empty(), right.is_empty()) {
            (false, true) => 1.0,
            (true, false) => 0.0,
            _ => (place * std::f64::consts::FRAC_PI_2).cos().powi(2),
        };
        *to = (weight * f64::from(from_left[k]) + (1.0 - weight) * f64::from(from_right[k])) as f32;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tones(n: usize) -> Vec<f32> {
        (0..n).map(|i| (0.3 * (0.21 * i as f64).sin() + 0.2 * (0.73 * i as f64 + 1.0).cos()) as f32).collect()
    }

    #[test]
    fn a_resonance_gives_its_own_coefficients() {
        // x_n = 1.6 x_(n-1) - 0.9 x_(n-2) + noise.
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        let mut x = vec![0.0f64, 0.0];
        for n in 2..20_000 {
            let next = 1.6 * x[n - 1] - 0.9 * x[n - 2] + noise();
            x.push(next);
        }
        let got = burg(&x.iter().map(|v| *v as f32).collect::<Vec<_>>(), 2);
        assert!((got[0] - 1.6).abs() < 0.02 && (got[1] + 0.9).abs() < 0.02, "{got:?}");
    }

    #[test]
    fn a_gap_in_tones_is_filled_with_them() {
        let clip = tones(3000);
        let mut broken = clip.clone();
        broken[1400..1600].fill(f32::NAN);
        let filled = fill_gap(&broken, 1400..1600, ORDER).unwrap();
        let error = filled.iter().zip(&clip).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error < 0.02, "{error}");
        assert!(filled[..1400] == clip[..1400] && filled[1600..] == clip[1600..]);
    }

    #[test]
    fn ends_and_short_clips() {
        let clip = tones(2000);
        for range in [0..150, 1850..2000] {
            let filled = fill_gap(&clip, range.clone(), ORDER).unwrap();
            let error = filled[range.clone()].iter().zip(&clip[range]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(error < 0.05, "{error}");
        }
        assert_eq!(fill_gap(&[0.5, 0.5], 0..2, ORDER).unwrap(), [0.0, 0.0]);
        assert_eq!(fill_gap(&[0.0; 100], 40..60, ORDER).unwrap(), [0.0; 100]);
        assert!(fill_gap(&clip, 1990..2001, ORDER).is_err() && fill_gap(&clip, 5..5, ORDER).is_err());
        assert!(fill_gap(&[f32::NAN, 0.0, 0.0], 1..2, ORDER).is_err());
    }

    #[test]
    fn an_extrapolation_never_grows() {
        let clip: Vec<f32> = (0..400).map(|i| ((i * i * 7919) % 1000) as f32 / 500.0 - 1.0).collect();
        let next = extrapolate(&clip, &burg(&clip, ORDER), 20_000);
        assert!(next.iter().all(|v| v.abs() < 10.0) && next[19_000..].iter().all(|v| v.abs() < 1.0));
    }
}
