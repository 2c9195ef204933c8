//! How near a made clip is to the recording it stands for.

use std::ops::Range;

use serde::Serialize;

use super::{log_spectral_distance, mel_cepstral_distortion};
use crate::{
    error::{Error, Result},
    mel::{Energy, MelBank},
    stft::Stft,
};

/// Transform of the comparison: a Hann window of 512 samples every 128.
const N_FFT: usize = 512;
const HOP: usize = 128;
/// Magnitudes this far below the recording's greatest count as this: -100 dB, about the noise of 16 bits.
const FLOOR: f32 = 1e-5;
/// Mel bands of the cepstrum, and its coefficients.
const BANDS: usize = 40;
const ORDER: usize = 13;
/// Shares of a recording's length that a clip may be longer or shorter; both are compared as far as the shorter one reaches.
const SLACK: f64 = 0.02;

/// Which part of the clips is compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Frequencies for the log-spectral distance, hertz; all when absent.
    pub band: Option<Range<f64>>,
    /// Times in seconds: frames whose middle lies there, and for the signal-to-noise ratio samples; all when absent.
    pub range: Option<Range<f64>>,
}

/// Distances of one clip from its recording.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairScores {
    /// Log-spectral distance, decibels ([`log_spectral_distance`]).
    pub log_spectral_distance: f64,
    /// Mel-cepstral distortion of 13 coefficients, decibels ([`mel_cepstral_distortion`]).
    pub mel_cepstral_distortion: f64,
    /// Signal-to-noise ratio `10 log10(sum x^2 / sum (x - y)^2)`, decibels; infinite for equal samples (`null` in JSON).
    pub signal_to_noise: f64,
}

/// Compares a clip with the recording it stands for, sample by sample at one rate; there is no alignment.
///
/// # Errors
/// Clips that are empty, not finite, or of lengths more than 2 % (and a hop) apart; a part that holds no bin or no frame.
pub fn compare(recording: &[f32], clip: &[f32], rate: u32, part: &Part) -> Result<PairScores> {
    let length = recording.len().min(clip.len());
    let apart = recording.len().abs_diff(clip.len());
    if apart as f64 > SLACK * recording.len() as f64 + HOP as f64 {
        return Err(Error::Shape { what: "samples of a clip beside its recording", got: clip.len(), want: recording.len() });
    }
    let (recording, clip) = (&recording[..length], &clip[..length]);
    let stft = Stft::new(N_FFT, N_FFT, HOP)?;
    let spectra = [stft.forward(recording)?.magnitudes(), stft.forward(clip)?.magnitudes()];
    let rate_hz = f64::from(rate);
    let seconds = part.range.clone().unwrap_or(0.0..f64::INFINITY);
    let frames = inside(stft.frames(length), HOP as f64 / rate_hz, &seconds, "frames of the range", "end of the range, in seconds,")?;
    let samples = inside(length, 1.0 / rate_hz, &seconds, "samples of the range", "end of the range, in seconds,")?;
    let band = part.band.clone().unwrap_or(0.0..f64::INFINITY);
    let bins = inside(stft.bins(), rate_hz / N_FFT as f64, &band, "frequencies of the band", "end of the band, in hertz,")?;
    let cut = |values: &[f32], columns: &Range<usize>| -> Vec<f32> {
        values.chunks(stft.bins()).skip(frames.start).take(frames.len()).flat_map(|row| row[columns.clone()].to_vec()).collect()
    };
    let loudest = spectra[0].iter().fold(0f32, |most, v| most.max(*v));
    let floor = (FLOOR * loudest).max(f32::MIN_POSITIVE);
    let distance = log_spectral_distance(&cut(&spectra[0], &bins), &cut(&spectra[1], &bins), bins.len(), floor)?;
    let bank = MelBank::new(rate, N_FFT, BANDS, 0.0, rate as f32 / 2.0, Energy::Magnitude)?;
    let all = 0..stft.bins();
    // A mel energy is a mean over some bins: the same floor means the same loudness, for filters of area 1 in hertz.
    let mel_floor = floor / (rate_hz / N_FFT as f64) as f32;
    let mel = |spectrum: &[f32]| bank.log_mel(&cut(spectrum, &all), mel_floor.max(f32::MIN_POSITIVE));
    let distortion = mel_cepstral_distortion(&mel(&spectra[0])?, &mel(&spectra[1])?, BANDS, ORDER)?;
    Ok(PairScores {
        log_spectral_distance: distance,
        mel_cepstral_distortion: distortion,
        signal_to_noise: signal_to_noise(&recording[samples.clone()], &clip[samples]),
    })
}

/// Numbers of the points `0, step, 2 step, ..` that lie in a range.
fn inside(count: usize, step: f64, wanted: &Range<f64>, what: &'static str, end: &'static str) -> Result<Range<usize>> {
    let most = count.saturating_sub(1) as f64 * step;
    if wanted.end.is_finite() && wanted.end > most + step {
        return Err(Error::OutOfRange { what: end, got: wanted.end, min: 0.0, max: most });
    }
    let first = (wanted.start / step).ceil() as usize;
    let last = if wanted.end.is_finite() { ((wanted.end / step).ceil() as usize).min(count) } else { count };
    if first >= last {
        return Err(Error::TooFew { what, got: 0, want: 1 });
    }
    Ok(first..last)
}

fn signal_to_noise(recording: &[f32], clip: &[f32]) -> f64 {
    let signal: f64 = recording.iter().map(|x| f64::from(*x).powi(2)).sum();
    let noise: f64 = recording.iter().zip(clip).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum();
    if noise == 0.0 { f64::INFINITY } else { 10.0 * (signal / noise).log10() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f64 / f64::from(1 << 24) - 0.5) as f32
        };
        (0..n).map(next).collect()
    }

    #[test]
    fn a_factor_is_its_decibels_everywhere() {
        let recording = noise(8000, 1);
        let clip: Vec<f32> = recording.iter().map(|v| v * 0.5).collect();
        let parts =
            [Part::default(), Part { band: Some(2000.0..4000.0), range: None }, Part { band: Some(1000.0..1200.0), range: Some(0.2..0.5) }];
        for part in parts {
            let got = compare(&recording, &clip, 8000, &part).unwrap();
            assert!((got.log_spectral_distance - 6.0206).abs() < 1e-3, "{got:?}");
            // The level is coefficient 0, which does not count.
            assert!(got.mel_cepstral_distortion < 1e-3, "{got:?}");
            assert!((got.signal_to_noise - 6.0206).abs() < 1e-3, "{got:?}");
        }
        let same = compare(&recording, &recording, 8000, &Part::default()).unwrap();
        assert_eq!((same.log_spectral_distance, same.mel_cepstral_distortion, same.signal_to_noise), (0.0, 0.0, f64::INFINITY));
        assert!(serde_json::to_string(&same).unwrap().contains("\"signal_to_noise\":null"));
    }

    #[test]
    fn only_the_part_counts() {
        let recording = noise(16_000, 1);
        let mut clip = recording.clone();
        clip[8000..8800].copy_from_slice(&noise(800, 2));
        let within = |range| compare(&recording, &clip, 8000, &Part { band: None, range }).unwrap();
        let (all, gap, before) = (within(None), within(Some(1.0..1.1)), within(Some(0.0..0.9)));
        assert_eq!((before.log_spectral_distance, before.signal_to_noise), (0.0, f64::INFINITY));
        assert!(gap.log_spectral_distance > 5.0 && gap.signal_to_noise < 0.0, "{gap:?}");
        assert!(all.log_spectral_distance < gap.log_spectral_distance && all.signal_to_noise > 5.0, "{all:?}");
        // A tone at 3 kHz in the clip alone is far in the upper band and near in the lower one.
        let tone: Vec<f32> = recording.iter().enumerate().map(|(k, v)| v * 0.01 + (k as f32 * 2.356).sin()).collect();
        let quiet: Vec<f32> = recording.iter().map(|v| v * 0.01).collect();
        let band = |band| compare(&quiet, &tone, 8000, &Part { band: Some(band), range: None }).unwrap().log_spectral_distance;
        assert!(band(2900.0..3100.0) > 30.0 && band(0.0..1500.0) < 10.0, "{} {}", band(2900.0..3100.0), band(0.0..1500.0));
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        let recording = noise(8000, 1);
        assert!(matches!(compare(&recording, &recording[..4000], 8000, &Part::default()), Err(Error::Shape { got: 4000, want: 8000, .. })));
        assert!(compare(&recording, &recording[..7940], 8000, &Part::default()).is_ok());
        assert!(compare(&recording, &[], 8000, &Part::default()).is_err());
        for part in [
            Part { band: Some(5000.0..6000.0), range: None },
            Part { band: None, range: Some(2.0..3.0) },
            Part { band: Some(1001.0..1002.0), range: None },
        ] {
            assert!(compare(&recording, &recording, 8000, &part).is_err(), "{part:?}");
        }
        assert!(compare(&[0.0; 800], &[0.0; 800], 8000, &Part::default()).is_ok());
    }
}
