//! Change of sample rate.

use crate::error::{Error, Result};
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

/// Lowest sample rate accepted, hertz.
pub const MIN_RATE: u32 = 1_000;
/// Highest sample rate accepted, hertz.
pub const MAX_RATE: u32 = 768_000;

pub(crate) fn check_rate(rate: u32) -> Result<()> {
    if (MIN_RATE..=MAX_RATE).contains(&rate) { Ok(()) } else { Err(Error::Rate { rate, min: MIN_RATE, max: MAX_RATE }) }
}

/// Resamples from `from` to `to` hertz: `round(n * to / from)` samples (at least one), without delay.
///
/// # Errors
/// No samples, a rate outside [`MIN_RATE`]..=[`MAX_RATE`], a NaN or infinite sample.
pub fn resample(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>> {
    check_rate(from)?;
    check_rate(to)?;
    if samples.is_empty() {
        return Err(Error::TooFew { what: "samples to resample", got: 0, want: 1 });
    }
    if let Some(index) = samples.iter().position(|v| !v.is_finite()) {
        return Err(Error::NonFinite { what: "samples to resample", index });
    }
    if from == to {
        return Ok(samples.to_vec());
    }
    let build = |source| Error::BuildResampler { from, to, source };
    let run = |source| Error::Resample { from, to, source };
    let (input, output) = (from as usize, to as usize);
    let mut filter =
        Fft::<f32>::new_custom(input, output, chunk_length(input, output), 1, 1, WindowFunction::BlackmanHarris2, FixedSync::Input)
            .map_err(build)?;
    let buffer = SequentialSlice::new(samples, 1, samples.len()).map_err(|_| Error::Shape {
        what: "resampler buffer",
        got: samples.len(),
        want: samples.len(),
    })?;
    let mut out = filter.process_all(&buffer, samples.len(), None).map_err(run)?.take_data();
    let wanted = (samples.len() as u64 * u64::from(to) * 2 + u64::from(from)) / (2 * u64::from(from));
    out.resize((wanted as usize).max(1), 0.0);
    Ok(out)
}

/// Input frames per block: an even multiple of the smallest whole block, at least about 1024.
///
/// An odd block puts the middle of the anti-aliasing filter between two samples: the delay would be off by half of one.
fn chunk_length(input: usize, output: usize) -> usize {
    let unit = input / gcd(input, output);
    2 * unit * 512usize.div_ceil(unit)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sine(rate: u32, n: usize, hertz: f64) -> Vec<f32> {
        (0..n).map(|i| (0.5 * (std::f64::consts::TAU * hertz * i as f64 / f64::from(rate)).sin()) as f32).collect()
    }

    #[test]
    fn a_sine_stays_that_sine_at_every_rate() {
        for (from, to, n) in [(16000, 8000, 16000), (8000, 16000, 8001), (22050, 8000, 30011), (44100, 8000, 9000)] {
            let got = resample(&sine(from, n, 997.0), from, to).unwrap();
            assert_eq!(got.len(), (n as f64 * f64::from(to) / f64::from(from)).round() as usize);
            let want = sine(to, got.len(), 997.0);
            let edge = 600; // the filter sees silence beyond the ends
            let error = got[edge..got.len() - edge].iter().zip(&want[edge..]).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
            let power = want[edge..want.len() - edge].iter().map(|b| b * b).sum::<f32>();
            let decibel = 10.0 * (error / power).log10();
            assert!(decibel < -80.0, "{from} -> {to}: {decibel} dB");
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_removed() {
        let got = resample(&sine(16000, 16000, 5500.0), 16000, 8000).unwrap();
        assert!(got[500..7500].iter().all(|v| v.abs() < 1e-3));
    }

    #[test]
    fn short_clips_and_odd_rates_keep_their_length() {
        assert_eq!(resample(&[0.5], 48000, 8000).unwrap().len(), 1);
        assert_eq!(resample(&[0.5; 3], 8000, 44101).unwrap().len(), 17);
        assert!(matches!(resample(&[0.5], 0, 8000), Err(Error::Rate { rate: 0, .. })));
        assert!(matches!(resample(&[f32::NAN], 16000, 8000), Err(Error::NonFinite { .. })));
        assert!(matches!(resample(&[], 16000, 8000), Err(Error::TooFew { .. })));
    }
}
