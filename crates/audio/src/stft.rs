//! Short-time Fourier transform and its inverse.

use crate::error::{Error, Result};
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Longest transform accepted.
const MAX_N_FFT: usize = 65536;

/// A complex spectrogram, frame by frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    /// Number of frames.
    pub frames: usize,
    /// Number of bins, `n_fft / 2 + 1`; bin `k` is at `k * rate / n_fft` hertz.
    pub bins: usize,
    /// Values, shape `[frames, bins]`, row-major.
    pub data: Vec<Complex<f32>>,
}

impl Spectrogram {
    /// Magnitudes, shape `[frames, bins]`, row-major.
    pub fn magnitudes(&self) -> Vec<f32> {
        self.data.iter().map(|c| c.norm_sqr().sqrt()).collect()
    }
}

/// A planned transform: periodic Hann window centred in `n_fft`, frames centred on multiples of `hop`,
/// the clip reflected about its first and last sample beyond its ends.
///
/// Cheap to clone; plans are shared.
#[derive(Clone)]
pub struct Stft {
    n_fft: usize,
    hop: usize,
    /// Window of length `n_fft`, zero outside `first..last`.
    window: Vec<f32>,
    first: usize,
    last: usize,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

impl std::fmt::Debug for Stft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stft {{ n_fft: {}, window: {}, hop: {} }}", self.n_fft, self.last - self.first, self.hop)
    }
}

/// Buffers of one transform, reused from frame to frame.
pub(crate) struct Scratch {
    pub(crate) frame: Vec<f32>,
    pub(crate) row: Vec<Complex<f32>>,
    forward: Vec<Complex<f32>>,
    inverse: Vec<Complex<f32>>,
}

impl Stft {
    /// Plans a transform of length `n_fft` with a window of `window` samples every `hop` samples.
    ///
    /// # Errors
    /// Odd or too long `n_fft`, a window outside `4..=n_fft`, a hop of 0 or above 2/5 of the window: beyond that the
    /// last samples of a clip would be divided by a window square near zero on the way back.
    pub fn new(n_fft: usize, window: usize, hop: usize) -> Result<Self> {
        let fits = n_fft.is_multiple_of(2) && n_fft <= MAX_N_FFT && (4..=n_fft).contains(&window) && hop >= 1 && hop * 5 <= window * 2;
        if !fits {
            return Err(Error::StftSize { n_fft, window, hop });
        }
        let first = (n_fft - window) / 2;
        let mut padded = vec![0.0; n_fft];
        for (i, value) in padded[first..first + window].iter_mut().enumerate() {
            *value = (0.5 - 0.5 * (TAU * i as f64 / window as f64).cos()) as f32;
        }
        let mut planner = RealFftPlanner::new();
        Ok(Self {
            n_fft,
            hop,
            window: padded,
            first,
            last: first + window,
            forward: planner.plan_fft_forward(n_fft),
            inverse: planner.plan_fft_inverse(n_fft),
        })
    }

    /// Transform length.
    pub fn n_fft(&self) -> usize {
        self.n_fft
    }

    /// Samples between frames.
    pub fn hop(&self) -> usize {
        self.hop
    }

    /// Bins of a spectrum, `n_fft / 2 + 1`.
    pub fn bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    /// Frames of a clip of `samples` samples, `1 + samples / hop`.
    pub fn frames(&self, samples: usize) -> usize {
        1 + samples / self.hop
    }

    /// Spectrogram of a clip.
    ///
    /// # Errors
    /// No samples; NaN or infinite samples.
    pub fn forward(&self, samples: &[f32]) -> Result<Spectrogram> {
        if samples.is_empty() {
            return Err(Error::TooFew { what: "samples to transform", got: 0, want: 1 });
        }
        if let Some(index) = samples.iter().position(|v| !v.is_finite()) {
            return Err(Error::NonFinite { what: "samples to transform", index });
        }
        let (frames, bins) = (self.frames(samples.len()), self.bins());
        let mut padded = vec![0.0; samples.len() + self.n_fft];
        padded[self.n_fft / 2..][..samples.len()].copy_from_slice(samples);
        self.reflect(&mut padded);
        let mut scratch = self.scratch();
        let mut data = Vec::with_capacity(frames * bins);
        for frame in 0..frames {
            self.analyse(&padded[frame * self.hop..], &mut scratch);
            data.extend_from_slice(&scratch.row);
        }
        Ok(Spectrogram { frames, bins, data })
    }

    /// The clip of `samples` samples whose windowed frames are nearest to the spectrogram in the least-squares sense
    /// (Griffin & Lim 1984, Eq. 6): overlap-add divided by the sum of squared windows.
    ///
    /// # Errors
    /// A spectrogram whose bins or frames are not those of a clip of this length.
    pub fn inverse(&self, spectrogram: &Spectrogram, samples: usize) -> Result<Vec<f32>> {
        let (frames, bins) = (spectrogram.frames, spectrogram.bins);
        self.check(spectrogram.data.len(), frames, bins, samples)?;
        let mut scratch = self.scratch();
        let mut sum = vec![0.0; samples + self.n_fft];
        for (frame, row) in spectrogram.data.chunks_exact(bins).enumerate() {
            scratch.row.copy_from_slice(row);
            self.synthesise(&mut scratch, &mut sum[frame * self.hop..]);
        }
        let weights = self.weights(samples);
        let middle = &sum[self.n_fft / 2..][..samples];
        Ok(middle.iter().zip(&weights).map(|(v, w)| v * w).collect())
    }

    /// Checks that `data` values of `frames x bins` describe a clip of `samples` samples.
    pub(crate) fn check(&self, data: usize, frames: usize, bins: usize, samples: usize) -> Result<()> {
        let same = |what, got, want| if got == want { Ok(()) } else { Err(Error::Shape { what, got, want }) };
        if samples == 0 {
            return Err(Error::TooFew { what: "samples to synthesise", got: 0, want: 1 });
        }
        same("bins of the spectrogram", bins, self.bins())?;
        same("frames of the spectrogram", frames, self.frames(samples))?;
        same("values of the spectrogram", data, frames * bins)
    }

    pub(crate) fn scratch(&self) -> Scratch {
        Scratch {
            frame: self.forward.make_input_vec(),
            row: self.forward.make_output_vec(),
            forward: self.forward.make_scratch_vec(),
            inverse: self.inverse.make_scratch_vec(),
        }
    }

    /// Fills the `n_fft / 2` samples before and after the clip in `padded` with its mirror image; a clip shorter than
    /// that is reflected back and forth.
    pub(crate) fn reflect(&self, padded: &mut [f32]) {
        let half = self.n_fft / 2;
        let samples = padded.len() - self.n_fft;
        let period = (2 * (samples - 1)).max(1) as isize;
        let mirror = |at: isize| {
            let at = at.rem_euclid(period);
            half + at.min(period - at).min(samples as isize - 1) as usize
        };
        for i in 0..half {
            padded[i] = padded[mirror(i as isize - half as isize)];
            padded[half + samples + i] = padded[mirror((samples + i) as isize)];
        }
    }

    /// Spectrum of the frame that starts at `padded[0]`, into `scratch.row`.
    pub(crate) fn analyse(&self, padded: &[f32], scratch: &mut Scratch) {
        let (first, last) = (self.first, self.last);
        scratch.frame.fill(0.0);
        let windowed = scratch.frame[first..last].iter_mut().zip(&padded[first..last]).zip(&self.window[first..last]);
        for ((to, from), window) in windowed {
            *to = from * window;
        }
        self.forward
            .process_with_scratch(&mut scratch.frame, &mut scratch.row, &mut scratch.forward)
            .expect("buffers come from the same plan");
    }

    /// Adds the windowed frame whose spectrum is `scratch.row` (destroyed) to `sum`, `n_fft` times too large.
    pub(crate) fn synthesise(&self, scratch: &mut Scratch, sum: &mut [f32]) {
        let (first, last) = (self.first, self.last);
        // A real signal has real values there; the plan refuses anything else.
        scratch.row[0].im = 0.0;
        scratch.row[self.n_fft / 2].im = 0.0;
        self.inverse
            .process_with_scratch(&mut scratch.row, &mut scratch.frame, &mut scratch.inverse)
            .expect("buffers come from the same plan and the ends are real");
        let added = sum[first..last].iter_mut().zip(&scratch.frame[first..last]).zip(&self.window[first..last]);
        for ((to, from), window) in added {
            *to += from * window;
        }
    }

    /// `1 / (n_fft * sum of squared windows)` at each of `samples` samples: what overlap-add is multiplied with.
    pub(crate) fn weights(&self, samples: usize) -> Vec<f32> {
        let mut sum = vec![0.0f32; samples + self.n_fft];
        for frame in 0..self.frames(samples) {
            let squares = sum[frame * self.hop..][self.first..self.last].iter_mut();
            squares.zip(&self.window[self.first..self.last]).for_each(|(s, w)| *s += w * w);
        }
        let scale = self.n_fft as f32;
        sum[self.n_fft / 2..][..samples].iter().map(|s| 1.0 / (s * scale)).collect()
    }
}
