//! The modified discrete cosine transform: sound as frames of band coefficients, as many numbers as samples.
//!
//! With `N` bands and frames of `2 N` samples, frame `t` centred at sample `t N`,
//!
//! `X[t, k] = sqrt(2 / N) sum_n w[n] x[(t - 1) N + n] cos(pi / N (n + 1/2 + N / 2) (k + 1/2))`, `n` in `0..2 N`,
//!
//! with the sine window `w[n] = sin(pi / (2 N) (n + 1/2))` (Princen & Bradley 1986; Malvar 1992, the modulated lapped transform). The
//! transposed matrix is the way back: what each frame folds over is taken off by its neighbour. The transform is orthonormal, so energy is
//! kept and white noise stays white.

use std::f64::consts::PI;

/// A transform of `bands` bands every `bands` samples.
#[derive(Clone, Debug)]
pub struct Mdct {
    bands: usize,
    /// Window times cosine, shape `[bands, 2 bands]`. At 64 bands the product with it is as quick as a Fourier transform.
    basis: Vec<f32>,
}

impl Mdct {
    /// A transform of `bands` bands (at least 1).
    pub fn new(bands: usize) -> Self {
        let bands = bands.max(1);
        let n = bands as f64;
        let value = |k: usize, i: usize| {
            let at = i as f64 + 0.5;
            (2.0 / n).sqrt() * (PI / (2.0 * n) * at).sin() * (PI / n * (at + n / 2.0) * (k as f64 + 0.5)).cos()
        };
        let basis = (0..bands).flat_map(|k| (0..2 * bands).map(move |i| value(k, i) as f32)).collect();
        Self { bands, basis }
    }

    /// Number of bands, and of samples between frames.
    pub const fn bands(&self) -> usize {
        self.bands
    }

    /// Frames of a clip of `samples` samples: one centred on its first sample, one on or after its last.
    pub const fn frames(&self, samples: usize) -> usize {
        samples.div_ceil(self.bands) + 1
    }

    /// Coefficients of a clip that is silent beyond its ends, shape `[frames, bands]`, row-major.
    pub fn forward(&self, samples: &[f32]) -> Vec<f32> {
        let (bands, frames) = (self.bands, self.frames(samples.len()));
        let mut padded = vec![0.0; (frames + 1) * bands];
        padded[bands..bands + samples.len()].copy_from_slice(samples);
        let mut out = vec![0.0; frames * bands];
        for (out, frame) in out.chunks_exact_mut(bands).zip(padded.windows(2 * bands).step_by(bands)) {
            for (out, row) in out.iter_mut().zip(self.basis.chunks_exact(2 * bands)) {
                *out = dot(row, frame);
            }
        }
        out
    }

    /// The clip of `samples` samples whose coefficients these are; frames beyond [`frames`](Self::frames) are not heard, missing ones are silent.
    pub fn inverse(&self, coefficients: &[f32], samples: usize) -> Vec<f32> {
        let (bands, frames) = (self.bands, self.frames(samples));
        let mut padded = vec![0.0f32; (frames + 1) * bands];
        for (t, frame) in coefficients.chunks_exact(bands).take(frames).enumerate() {
            let target = &mut padded[t * bands..(t + 2) * bands];
            for (value, row) in frame.iter().zip(self.basis.chunks_exact(2 * bands)) {
                target.iter_mut().zip(row).for_each(|(to, w)| *to += value * w);
            }
        }
        padded[bands..bands + samples].to_vec()
    }
}

/// Scalar product with eight sums at once, so that the compiler may use vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let ((a8, ra), (b8, rb)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a8.iter().zip(b8) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f32>() + ra.iter().zip(rb).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use langevin_core::{Philox, noise::NoiseSource as _};

    fn white(samples: usize) -> Vec<f32> {
        let mut noise = vec![0f32; samples];
        Philox::new(7).fill(0, 0, 0, &mut noise);
        noise
    }

    fn energy(x: &[f32]) -> f64 {
        x.iter().map(|v| f64::from(*v).powi(2)).sum()
    }

    #[test]
    fn every_length_comes_back_with_its_energy() {
        for bands in [4, 64] {
            let mdct = Mdct::new(bands);
            for samples in [0, 1, 5, bands - 1, bands, bands + 1, 10 * bands + 3] {
                let clip = white(samples);
                let coefficients = mdct.forward(&clip);
                assert_eq!(coefficients.len(), mdct.frames(samples) * bands);
                let back = mdct.inverse(&coefficients, samples);
                assert_eq!(back.len(), samples);
                assert!(clip.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-5), "{bands} bands, {samples} samples");
                assert!((energy(&clip) - energy(&coefficients)).abs() <= 1e-5 * energy(&clip));
            }
        }
    }

    #[test]
    fn white_noise_stays_white() {
        let (mdct, samples) = (Mdct::new(16), 16 * 4000);
        let coefficients = mdct.forward(&white(samples));
        let frames = samples / 16;
        for band in 0..16 {
            let of_band: Vec<f32> = coefficients.iter().skip(16 + band).step_by(16).take(frames - 1).copied().collect();
            let variance = energy(&of_band) / of_band.len() as f64;
            let next: f64 = of_band.windows(2).map(|p| f64::from(p[0] * p[1])).sum::<f64>() / of_band.len() as f64;
            // Standard errors of 4000 draws: 0.022 and 0.016.
            assert!((variance - 1.0).abs() < 0.1 && next.abs() < 0.07, "band {band}: {variance} {next}");
        }
    }

    #[test]
    fn a_coefficient_by_its_definition() {
        let (mdct, clip) = (Mdct::new(4), white(12));
        let coefficients = mdct.forward(&clip);
        let (t, k) = (2usize, 3usize);
        let sum: f64 = (0..8)
            .map(|n| {
                let window = (PI / 8.0 * (n as f64 + 0.5)).sin();
                let x = clip.get((t - 1) * 4 + n).copied().unwrap_or(0.0);
                window * f64::from(x) * (PI / 4.0 * (n as f64 + 0.5 + 2.0) * (k as f64 + 0.5)).cos()
            })
            .sum();
        assert!((f64::from(coefficients[t * 4 + k]) - (0.5f64).sqrt() * sum).abs() < 1e-5);
    }

    #[test]
    fn a_tone_lies_in_its_band() {
        let mdct = Mdct::new(64);
        // 1000 Hz at 8000 Hz lies at the edge of bands 15 and 16.
        let tone: Vec<f32> = (0..6400).map(|n| (std::f64::consts::TAU * n as f64 / 8.0).sin() as f32).collect();
        let coefficients = mdct.forward(&tone);
        let inside: f64 = coefficients.chunks(64).map(|frame| energy(&frame[13..19])).sum();
        assert!(inside > 0.98 * energy(&coefficients));
    }
}
