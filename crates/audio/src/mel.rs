//! Mel filter bank (Slaney's scale and area normalisation), log-mel and the way back to magnitudes.

use crate::error::{Error, Result};

/// What a mel band sums up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Energy {
    /// Magnitudes `|X|`.
    #[default]
    Magnitude,
    /// Powers `|X|^2`.
    Power,
}

/// Frequency in hertz to mel: linear (3 mel per 200 Hz) below 1 kHz, logarithmic (27 mel per factor 6.4) above.
/// Slaney, "Auditory Toolbox" (1998).
pub fn hz_to_mel(hertz: f64) -> f64 {
    if hertz < 1000.0 { hertz * 3.0 / 200.0 } else { 15.0 + 27.0 * (hertz / 1000.0).ln() / 6.4f64.ln() }
}

/// Mel to hertz, the inverse of [`hz_to_mel`].
pub fn mel_to_hz(mel: f64) -> f64 {
    if mel < 15.0 { mel * 200.0 / 3.0 } else { 1000.0 * 6.4f64.powf((mel - 15.0) / 27.0) }
}

/// A bank of triangular filters, equally spaced on the mel scale, each with area 1 over frequency in hertz.
#[derive(Debug, Clone)]
pub struct MelBank {
    n_mels: usize,
    bins: usize,
    energy: Energy,
    /// Per bin: index of the band that rises there, its weight, the weight of the band below it, which falls.
    /// Neighbouring triangles overlap in pairs, so that no bin has a third.
    taps: Vec<Tap>,
    /// Sum over the bands of the weights of each bin.
    bin_sums: Vec<f32>,
}

#[derive(Debug, Clone, Copy)]
struct Tap {
    band: usize,
    rising: f32,
    falling: f32,
}

impl MelBank {
    /// `n_mels` bands from `fmin` to `fmax` hertz over the bins of a transform of length `n_fft` at `rate` hertz.
    ///
    /// # Errors
    /// No bands, a frequency range that is empty or beyond half the rate, or bands so narrow that one holds no bin.
    pub fn new(rate: u32, n_fft: usize, n_mels: usize, fmin: f32, fmax: f32, energy: Energy) -> Result<Self> {
        let bins = n_fft / 2 + 1;
        let wrong = Error::MelRange { n_mels, fmin, fmax, bins, rate };
        let nyquist = f64::from(rate) / 2.0;
        let (low, high) = (f64::from(fmin), f64::from(fmax));
        if n_mels == 0 || n_mels >= bins || !(0.0 <= low && low < high && high <= nyquist) {
            return Err(wrong);
        }
        let (from, to) = (hz_to_mel(low), hz_to_mel(high));
        let edges: Vec<f64> = (0..n_mels + 2).map(|i| mel_to_hz(from + (to - from) * i as f64 / (n_mels + 1) as f64)).collect();
        let mut taps = vec![Tap { band: 0, rising: 0.0, falling: 0.0 }; bins];
        let mut band_sums = vec![0.0f32; n_mels];
        let mut bin_sums = vec![0.0f32; bins];
        for (bin, tap) in taps.iter_mut().enumerate() {
            let hertz = nyquist * bin as f64 / (bins - 1) as f64;
            // Band i rises from edge i to i + 1 and falls to i + 2.
            let interval = edges.partition_point(|&edge| edge <= hertz);
            let Some(band) = interval.checked_sub(1).filter(|&band| band <= n_mels) else { continue };
            tap.band = band;
            let share = (hertz - edges[band]) / (edges[band + 1] - edges[band]);
            if band < n_mels {
                tap.rising = (share * 2.0 / (edges[band + 2] - edges[band])) as f32;
                band_sums[band] += tap.rising;
            }
            if band > 0 {
                tap.falling = ((1.0 - share) * 2.0 / (edges[band + 1] - edges[band - 1])) as f32;
                band_sums[band - 1] += tap.falling;
            }
            bin_sums[bin] = tap.rising + tap.falling;
        }
        if band_sums.iter().any(|&sum| sum <= 0.0) {
            return Err(wrong);
        }
        Ok(Self { n_mels, bins, energy, taps, bin_sums })
    }

    /// Number of bands.
    pub fn n_mels(&self) -> usize {
        self.n_mels
    }

    /// Number of bins of the spectrum.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// The bands that each bin belongs to, with shares that sum to 1; bins outside all bands belong to the nearest.
    pub(crate) fn bin_shares(&self) -> Vec<Vec<(usize, f32)>> {
        let lowest = self.taps.iter().position(|tap| tap.rising + tap.falling > 0.0).unwrap_or(0);
        let of = |(bin, tap): (usize, &Tap)| {
            let sum = tap.rising + tap.falling;
            let pair = [(tap.band, tap.rising), (tap.band.wrapping_sub(1), tap.falling)];
            let inside: Vec<_> = pair.into_iter().filter(|p| p.1 > 0.0).map(|(band, weight)| (band, weight / sum)).collect();
            let nearest = if bin < lowest { 0 } else { self.n_mels - 1 };
            if inside.is_empty() { vec![(nearest, 1.0)] } else { inside }
        };
        self.taps.iter().enumerate().map(of).collect()
    }

    /// The filters as a dense matrix, shape `[n_mels, bins]`, row-major.
    pub fn matrix(&self) -> Vec<f32> {
        let mut matrix = vec![0.0; self.n_mels * self.bins];
        for (bin, tap) in self.taps.iter().enumerate() {
            if tap.band < self.n_mels {
                matrix[tap.band * self.bins + bin] = tap.rising;
            }
            if tap.band > 0 {
                matrix[(tap.band - 1) * self.bins + bin] = tap.falling;
            }
        }
        matrix
    }

    /// Mel energies, shape `[frames, n_mels]`, of magnitudes of shape `[frames, bins]`.
    ///
    /// # Errors
    /// A length that is no multiple of `bins`.
    pub fn mel(&self, magnitudes: &[f32]) -> Result<Vec<f32>> {
        check_rows("magnitudes", magnitudes.len(), self.bins)?;
        let mut mel = vec![0.0; magnitudes.len() / self.bins * self.n_mels];
        let mut energies = vec![0.0; self.bins];
        for (row, out) in magnitudes.chunks_exact(self.bins).zip(mel.chunks_exact_mut(self.n_mels)) {
            match self.energy {
                Energy::Magnitude => energies.copy_from_slice(row),
                Energy::Power => energies.iter_mut().zip(row).for_each(|(e, m)| *e = m * m),
            }
            self.apply(&energies, out);
        }
        Ok(mel)
    }

    /// Natural logarithm of [`MelBank::mel`], energies below `floor` raised to it.
    ///
    /// # Errors
    /// As [`MelBank::mel`]; a floor that is not positive.
    pub fn log_mel(&self, magnitudes: &[f32], floor: f32) -> Result<Vec<f32>> {
        if !(floor > 0.0 && floor.is_finite()) {
            let (min, max) = (f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX));
            return Err(Error::OutOfRange { what: "floor", got: f64::from(floor), min, max });
        }
        let mut mel = self.mel(magnitudes)?;
        mel.iter_mut().for_each(|v| *v = v.max(floor).ln());
        Ok(mel)
    }

    /// Non-negative magnitudes, shape `[frames, bins]`, whose mel energies approach `mel`, shape `[frames, n_mels]`.
    ///
    /// The back-projection `W^T m / sum(W^T)` followed by `updates` multiplicative steps of non-negative least squares,
    /// `x <- x * (W^T m) / (W^T W x)` (Lee & Seung 2001, Eq. 4). On spoken digits (48 bands of 257 bins, magnitudes) the
    /// relative error of the mel energies is 0.21, 0.036, 0.016, 0.006, 0.002 after 0, 5, 10, 20, 50 updates, against
    /// 0.032 for the pseudo-inverse with negative values cut; 30 updates are a good default.
    /// Bins outside `fmin..fmax` are zero.
    ///
    /// # Errors
    /// A length that is no multiple of `n_mels`; a negative, NaN or infinite energy.
    pub fn magnitudes(&self, mel: &[f32], updates: usize) -> Result<Vec<f32>> {
        check_rows("mel energies", mel.len(), self.n_mels)?;
        check_energies("mel energies", mel)?;
        let mut out = vec![0.0; mel.len() / self.n_mels * self.bins];
        let mut back = vec![0.0; self.bins];
        let mut model = vec![0.0; self.n_mels];
        for (target, x) in mel.chunks_exact(self.n_mels).zip(out.chunks_exact_mut(self.bins)) {
            self.apply_transposed(target, &mut back);
            for ((x, back), sum) in x.iter_mut().zip(&back).zip(&self.bin_sums) {
                // Each filter has area 1 in hertz; dividing by a bin's total weight turns it into a local mean.
                *x = if *sum > 0.0 { back / sum / self.width() } else { 0.0 };
            }
            for _ in 0..updates {
                self.apply(x, &mut model);
                self.update(&back, &model, x);
            }
            if self.energy == Energy::Power {
                x.iter_mut().for_each(|v| *v = v.sqrt());
            }
        }
        Ok(out)
    }

    /// As [`MelBank::magnitudes`], from log-mel energies.
    ///
    /// # Errors
    /// As [`MelBank::magnitudes`]; a logarithm whose exponential overflows counts as infinite.
    pub fn magnitudes_from_log(&self, log_mel: &[f32], updates: usize) -> Result<Vec<f32>> {
        let mel: Vec<f32> = log_mel.iter().map(|v| v.exp()).collect();
        self.magnitudes(&mel, updates)
    }

    /// Typical sum of one filter over its bins: 1 / (hertz per bin), as each has area 1 in hertz.
    fn width(&self) -> f32 {
        self.bin_sums.iter().sum::<f32>() / self.n_mels as f32
    }

    /// `out = W x`.
    fn apply(&self, x: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        for (tap, x) in self.taps.iter().zip(x) {
            if tap.band < self.n_mels {
                out[tap.band] += tap.rising * x;
            }
            if tap.band > 0 {
                out[tap.band - 1] += tap.falling * x;
            }
        }
    }

    /// `out = W^T m`.
    fn apply_transposed(&self, m: &[f32], out: &mut [f32]) {
        for (tap, out) in self.taps.iter().zip(out) {
            *out = self.transposed(tap, m);
        }
    }

    /// One element of `W^T m`.
    fn transposed(&self, tap: &Tap, m: &[f32]) -> f32 {
        let rising = if tap.band < self.n_mels { tap.rising * m[tap.band] } else { 0.0 };
        let falling = if tap.band > 0 { tap.falling * m[tap.band - 1] } else { 0.0 };
        rising + falling
    }

    /// One multiplicative step, given `back = W^T m` and `model = W x`.
    fn update(&self, back: &[f32], model: &[f32], x: &mut [f32]) {
        for ((tap, x), back) in self.taps.iter().zip(x).zip(back) {
            let below = self.transposed(tap, model);
            *x = if below > f32::MIN_POSITIVE { *x * (back / below) } else { 0.0 };
        }
    }
}

fn check_rows(what: &'static str, got: usize, row: usize) -> Result<()> {
    if got > 0 && got.is_multiple_of(row) { Ok(()) } else { Err(Error::Shape { what, got, want: got.div_ceil(row).max(1) * row }) }
}

/// Checks that all values are finite and none is negative.
pub(crate) fn check_energies(what: &'static str, values: &[f32]) -> Result<()> {
    match values.iter().position(|v| !v.is_finite() || *v < 0.0) {
        Some(index) if values[index].is_finite() => Err(Error::Negative { what, index }),
        Some(index) => Err(Error::NonFinite { what, index }),
        None => Ok(()),
    }
}
