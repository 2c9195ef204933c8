//! Phase from magnitudes: the fast Griffin-Lim algorithm.

use crate::error::{Error, Result};
use crate::mel::check_energies;
use crate::stft::{Scratch, Stft};
use realfft::num_complex::Complex;

/// Momentum of the fast variant (Perraudin, Balazs, Sondergaard 2013, section 4).
pub const MOMENTUM: f32 = 0.99;

/// Fast Griffin-Lim (Perraudin et al. 2013, Algorithm 2) with fixed sizes; deterministic.
///
/// Spectral convergence on recorded digits after 5, 10, 20, 40, 100 iterations from the true magnitudes: 0.29, 0.18, 0.10,
/// 0.056, 0.028. From inverted mel energies it stays above 0.15, and 20 iterations are within 2 % of 40 in
/// log-spectral distance.
#[derive(Debug, Clone)]
pub struct GriffinLim {
    stft: Stft,
    iterations: usize,
}

/// A clip and how well its spectrogram fits.
#[derive(Debug, Clone)]
pub struct Reconstruction {
    /// The clip.
    pub samples: Vec<f32>,
    /// Spectral convergence before the last update, `|| |X| - M || / || M ||`; 0 is perfect.
    pub convergence: f32,
}

impl GriffinLim {
    /// Prepares `iterations` (at least 1) rounds on the given transform.
    ///
    /// # Errors
    /// No iterations.
    pub fn new(stft: Stft, iterations: usize) -> Result<Self> {
        if iterations == 0 {
            return Err(Error::TooFew { what: "Griffin-Lim iterations", got: 0, want: 1 });
        }
        Ok(Self { stft, iterations })
    }

    /// A clip of `samples` samples with the given magnitudes, shape `[frames, bins]`.
    ///
    /// `start` gives the first phases in radians, same shape; `None` starts every bin of every frame as a pulse in the
    /// middle of its window (zero phase there).
    ///
    /// # Errors
    /// Magnitudes or phases of another shape; negative, NaN or infinite magnitudes; NaN or infinite phases.
    pub fn run(&self, magnitudes: &[f32], samples: usize, start: Option<&[f32]>) -> Result<Reconstruction> {
        let bins = self.stft.bins();
        self.stft.check(magnitudes.len(), magnitudes.len() / bins, bins, samples)?;
        check_energies("magnitudes", magnitudes)?;
        if let Some(phases) = start {
            if phases.len() != magnitudes.len() {
                return Err(Error::Shape { what: "start phases", got: phases.len(), want: magnitudes.len() });
            }
            if let Some(index) = phases.iter().position(|p| !p.is_finite()) {
                return Err(Error::NonFinite { what: "start phases", index });
            }
        }
        let (hop, half) = (self.stft.hop(), self.stft.n_fft() / 2);
        let weights = self.stft.weights(samples);
        let mut scratch = self.stft.scratch();
        let mut clip = vec![0.0; samples + 2 * half];
        let mut sum = clip.clone();
        for (frame, row) in magnitudes.chunks_exact(bins).enumerate() {
            match start {
                Some(phases) => {
                    let phases = &phases[frame * bins..];
                    scratch.row.iter_mut().zip(row.iter().zip(phases)).for_each(|(c, (&m, &p))| *c = Complex::from_polar(m, p));
                }
                // The middle of the frame is half a period of bin 1 away from its start.
                None => scratch.row.iter_mut().zip(row).enumerate().for_each(|(k, (c, &m))| {
                    *c = Complex::new(if k % 2 == 0 { m } else { -m }, 0.0);
                }),
            }
            self.stft.synthesise(&mut scratch, &mut sum[frame * hop..]);
        }
        let norm: f64 = magnitudes.iter().map(|&m| f64::from(m) * f64::from(m)).sum();
        let mut before = vec![Complex::new(0.0, 0.0); magnitudes.len()];
        let mut misfit = 0.0;
        for iteration in 0..self.iterations {
            for (to, (from, weight)) in clip[half..].iter_mut().zip(sum[half..].iter().zip(&weights)) {
                *to = from * weight;
            }
            self.stft.reflect(&mut clip);
            sum.fill(0.0);
            // There is no earlier spectrogram to move away from in the first round.
            let momentum = if iteration == 0 { 0.0 } else { MOMENTUM };
            misfit = 0.0;
            let rows = magnitudes.chunks_exact(bins).zip(before.chunks_exact_mut(bins));
            for (frame, (wanted, before)) in rows.enumerate() {
                self.stft.analyse(&clip[frame * hop..], &mut scratch);
                misfit += f64::from(project(&mut scratch, wanted, before, momentum));
                self.stft.synthesise(&mut scratch, &mut sum[frame * hop..]);
            }
        }
        let samples = sum[half..].iter().zip(&weights).map(|(v, w)| v * w).collect();
        let convergence = if norm > 0.0 { (misfit / norm).sqrt() as f32 } else { 0.0 };
        Ok(Reconstruction { samples, convergence })
    }
}

/// Replaces `scratch.row = t_n` by the wanted magnitudes with the phase of `t_n + a (t_n - t_(n-1))`, stores `t_n` in
/// `before` and returns the squared distance of its magnitudes from the wanted ones.
fn project(scratch: &mut Scratch, wanted: &[f32], before: &mut [Complex<f32>], momentum: f32) -> f32 {
    // Keeps the division finite where the spectrum vanishes; far below the square of any audible magnitude.
    const TINY: f32 = 1e-30;
    let mut misfit = [0.0f32; 8];
    for (i, ((t, wanted), before)) in scratch.row.iter_mut().zip(wanted).zip(before).enumerate() {
        let ahead = *t + (*t - *before) * momentum;
        let off = t.norm_sqr().sqrt() - wanted;
        misfit[i % 8] += off * off;
        *before = *t;
        *t = ahead * (wanted / (ahead.norm_sqr() + TINY).sqrt());
    }
    misfit.iter().sum()
}
