//! The short-time Fourier transform as matrix products, so that gradients go through it.

use std::f64::consts::PI;

use burn::tensor::{Device, Tensor, ops::PadMode};

/// Frames of a sine window, as real and imaginary parts, scaled so that white noise keeps its variance in every complex bin.
///
/// The window's squares sum to the same number everywhere, so the transform is a tight frame: analysis then synthesis is the identity,
/// whatever the clip.
#[derive(Clone, Debug)]
pub struct Spectrum {
    window: usize,
    hop: usize,
    /// `[window, 2 bins]`.
    analysis: Tensor<2>,
    /// `[2 bins, window]`.
    synthesis: Tensor<2>,
}

impl Spectrum {
    /// A transform with frames of `window` samples every `hop`; `hop` divides `window`.
    pub fn new(window: usize, hop: usize, device: &Device) -> Self {
        let bins = window / 2 + 1;
        let sine = |n: usize| (PI * (n as f64 + 0.5) / window as f64).sin();
        let norm = (2.0 / window as f64).sqrt();
        let mut analysis = vec![0f32; window * 2 * bins];
        let mut synthesis = vec![0f32; 2 * bins * window];
        // Squares of the windows over one sample sum to window / (2 hop); the inverse transform counts inner bins twice.
        let back = hop as f64 * 2.0 / window as f64;
        for n in 0..window {
            for k in 0..bins {
                let angle = 2.0 * PI * ((n * k) % window) as f64 / window as f64;
                let (re, im) = (norm * sine(n) * angle.cos(), -norm * sine(n) * angle.sin());
                let twice = if k == 0 || 2 * k == window { 0.5 } else { 1.0 };
                analysis[n * 2 * bins + k] = re as f32;
                analysis[n * 2 * bins + bins + k] = im as f32;
                synthesis[k * window + n] = (re * back * twice) as f32;
                synthesis[(bins + k) * window + n] = (im * back * twice) as f32;
            }
        }
        Self {
            window,
            hop,
            analysis: crate::tensor::rows(analysis, window, device),
            synthesis: crate::tensor::rows(synthesis, 2 * bins, device),
        }
    }

    /// Bins of a frame.
    pub const fn bins(&self) -> usize {
        self.window / 2 + 1
    }

    /// Whether frame `frame` lies within samples `first..=last`.
    pub(crate) const fn covers(&self, frame: usize, first: usize, last: usize) -> bool {
        (frame + 1) * self.hop >= first + self.window && (frame + 1) * self.hop <= last + 1
    }

    /// Real parts, then imaginary parts, `[B, frames, 2 bins]`, of clips `[B, samples]`.
    pub fn analyse(&self, x: Tensor<2>) -> Tensor<3> {
        let [batch, samples] = x.dims();
        let (hop, parts) = (self.hop, self.window / self.hop);
        let edge = self.window - hop;
        let end = samples.next_multiple_of(hop) - samples + edge;
        let x = x.pad([(0, 0), (edge, end)], PadMode::Constant(0.0));
        let hops = x.dims()[1] / hop;
        let frames = hops + 1 - parts;
        let x = x.reshape([batch, hops, hop]);
        let shifted = (0..parts).map(|k| x.clone().narrow(1, k, frames)).collect();
        let framed: Tensor<3> = Tensor::cat(shifted, 2);
        framed.reshape([batch * frames, self.window]).matmul(self.analysis.clone()).reshape([batch, frames, 2 * self.bins()])
    }

    /// Clips `[B, samples]` with magnitudes shrunk by `threshold` `[B, 1]` (soft threshold, Donoho 1995), in units of white noise of that deviation.
    pub fn shrink(&self, x: Tensor<2>, threshold: &Tensor<2>) -> Tensor<2> {
        let [batch, samples] = x.dims();
        let (parts, bins) = (self.analyse(x), self.bins());
        let power = parts.clone().narrow(2, 0, bins).square() + parts.clone().narrow(2, bins, bins).square();
        let share = threshold.clone().reshape([batch, 1, 1]) / power.add_scalar(1e-20).sqrt();
        let gate = share.neg().add_scalar(1.0).clamp_min(0.0);
        self.synthesise(parts * Tensor::cat(vec![gate.clone(), gate], 2), samples)
    }

    /// Clips `[B, samples]` from what [`analyse`](Self::analyse) gives for clips of that length.
    pub fn synthesise(&self, spectrum: Tensor<3>, samples: usize) -> Tensor<2> {
        let [batch, frames, wide] = spectrum.dims();
        let (hop, parts) = (self.hop, self.window / self.hop);
        let framed = spectrum.reshape([batch * frames, wide]).matmul(self.synthesis.clone()).reshape([batch, frames, self.window]);
        let shifted = (0..parts).map(|k| {
            let part = framed.clone().narrow(2, k * hop, hop);
            part.pad([(0, 0), (k, parts - 1 - k), (0, 0)], PadMode::Constant(0.0))
        });
        let sum = shifted.reduce(|sum, part| sum + part).expect("a window has at least one hop");
        sum.reshape([batch, (frames + parts - 1) * hop]).narrow(1, self.window - hop, samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use langevin_core::noise::{NoiseSource as _, Philox};

    #[test]
    fn synthesis_undoes_analysis_and_white_noise_stays_white() {
        let device = Device::flex();
        for (window, hop, samples) in [(256, 64, 8000), (32, 8, 4003), (16, 8, 4000)] {
            let spectrum = Spectrum::new(window, hop, &device);
            let mut noise = vec![0f32; 2 * samples];
            Philox::new(5).fill(0, 0, 0, &mut noise);
            let x = crate::tensor::rows(noise, 2, &device);
            let y = spectrum.analyse(x.clone());
            let frames = y.dims()[1];
            let inner = y.clone().narrow(1, window / hop, frames - 2 * window / hop);
            let bins = spectrum.bins();
            // Of complex bins but the first and last, E |X|^2 = 1.
            let power = (inner.clone().narrow(2, 1, bins - 2).square() + inner.narrow(2, bins + 1, bins - 2).square()).mean();
            assert!((power.into_scalar::<f32>() - 1.0).abs() < 0.2, "{window}");
            let back = spectrum.synthesise(y, samples);
            let error = (back - x).abs().max().into_scalar::<f32>();
            assert!(error < 1e-4, "{window}: {error}");
        }
    }
}
