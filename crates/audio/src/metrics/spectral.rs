//! Distances between two clips that should sound alike, frame against frame.

use crate::error::{Error, Result};
use std::f64::consts::PI;

/// Log-spectral distance in decibels: root mean square over the bins of `20 log10(a / b)`, averaged over the frames
/// (Gray & Markel 1976).
///
/// Both are magnitudes of shape `[frames, bins]`. Magnitudes below `floor` count as `floor`: without it, digital silence
/// would decide the result. A floor of 1e-5 of the largest magnitude is -100 dB.
///
/// # Errors
/// Different or empty shapes, a floor that is not positive, NaN or infinite values.
pub fn log_spectral_distance(a: &[f32], b: &[f32], bins: usize, floor: f32) -> Result<f64> {
    check("magnitudes", a, b, bins)?;
    if !(floor > 0.0 && floor.is_finite()) {
        return Err(Error::OutOfRange {
            what: "floor",
            got: f64::from(floor),
            min: f64::from(f32::MIN_POSITIVE),
            max: f64::from(f32::MAX),
        });
    }
    let decibel = |v: f32| 20.0 * f64::from(v.max(floor)).log10();
    let frame = |(a, b): (&[f32], &[f32])| {
        let squares: f64 = a.iter().zip(b).map(|(&a, &b)| (decibel(a) - decibel(b)).powi(2)).sum();
        (squares / bins as f64).sqrt()
    };
    Ok(a.chunks_exact(bins).zip(b.chunks_exact(bins)).map(frame).sum::<f64>() / (a.len() / bins) as f64)
}

/// Mel-cepstral distortion in decibels: `10 / ln 10 * sqrt(2 * sum_d (c_d - c'_d)^2)` over the cepstral coefficients
/// 1 to `order` (13 is usual; 0, the level, is left out), averaged over the frames (Kubichek 1993).
///
/// Both are natural log-mel **magnitudes** of shape `[frames, n_mels]`; halve log powers first. The clips must be
/// aligned: there is no time warping. The cepstrum is `c_d = 1/N * sum_n log m_n * cos(pi d (n + 1/2) / N)`.
///
/// # Errors
/// Different or empty shapes, an order outside `1..n_mels`, NaN or infinite values.
pub fn mel_cepstral_distortion(a: &[f32], b: &[f32], n_mels: usize, order: usize) -> Result<f64> {
    check("log-mel energies", a, b, n_mels)?;
    if order == 0 || order >= n_mels {
        return Err(Error::OutOfRange { what: "cepstral order", got: order as f64, min: 1.0, max: n_mels as f64 - 1.0 });
    }
    let n = n_mels as f64;
    let basis: Vec<f64> = (1..=order).flat_map(|d| (0..n_mels).map(move |i| (PI * d as f64 * (i as f64 + 0.5) / n).cos() / n)).collect();
    let frame = |(a, b): (&[f32], &[f32])| {
        // The transform is linear: one transform of the difference.
        let coefficient = |row: &[f64]| {
            let sum: f64 = row.iter().zip(a.iter().zip(b)).map(|(w, (&a, &b))| w * (f64::from(a) - f64::from(b))).sum();
            sum * sum
        };
        (2.0 * basis.chunks_exact(n_mels).map(coefficient).sum::<f64>()).sqrt()
    };
    let total: f64 = a.chunks_exact(n_mels).zip(b.chunks_exact(n_mels)).map(frame).sum();
    Ok(10.0 / std::f64::consts::LN_10 * total / (a.len() / n_mels) as f64)
}

fn check(what: &'static str, a: &[f32], b: &[f32], row: usize) -> Result<()> {
    if a.len() != b.len() {
        return Err(Error::Shape { what, got: b.len(), want: a.len() });
    }
    if row == 0 || a.is_empty() || !a.len().is_multiple_of(row) {
        return Err(Error::Shape { what, got: a.len(), want: a.len().div_ceil(row.max(1)).max(1) * row.max(1) });
    }
    match a.iter().chain(b).position(|v| !v.is_finite()) {
        Some(index) => Err(Error::NonFinite { what, index: index % a.len() }),
        None => Ok(()),
    }
}
