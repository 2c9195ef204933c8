//! Loudness: recordings of one corpus differ many times in level, and a model should not spend itself on that.

/// Root mean square that the loudest stretch of a normalised clip has.
pub const TARGET_RMS: f32 = 0.1;
/// Length of the stretch, seconds.
pub const STRETCH_SECONDS: f32 = 0.2;
/// Below this root mean square (half a step of 16 bits) a clip counts as silence.
const SILENCE: f32 = 0.5 / 32768.0;

/// Root mean square of the loudest 0.2 s (of the whole clip when it is shorter; 0 when it is empty).
pub fn loudest_rms(samples: &[f32], rate: u32) -> f32 {
    let window = ((rate as f32 * STRETCH_SECONDS).round() as usize).clamp(1, samples.len().max(1));
    if samples.is_empty() {
        return 0.0;
    }
    let square = |v: f32| f64::from(v) * f64::from(v);
    let mut sum: f64 = samples[..window].iter().map(|&v| square(v)).sum();
    let mut most = sum;
    for (&enters, &leaves) in samples[window..].iter().zip(samples) {
        sum += square(enters) - square(leaves);
        most = most.max(sum);
    }
    (most / window as f64).sqrt() as f32
}

/// Scales a clip so that its [`loudest_rms`] is [`TARGET_RMS`]; returns the factor.
///
/// Silence stays as it is, with factor 1. Peaks of speech may exceed 1 afterwards; only writing clips them.
pub fn normalise(samples: &mut [f32], rate: u32) -> f32 {
    let rms = loudest_rms(samples, rate);
    if rms < SILENCE || !rms.is_finite() {
        return 1.0;
    }
    let gain = TARGET_RMS / rms;
    samples.iter_mut().for_each(|v| *v *= gain);
    gain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loudest_stretch_decides() {
        // 0.2 s at level 0.4 inside a second at level 0.01.
        let mut samples = vec![0.01f32; 8000];
        samples[3000..4600].iter_mut().enumerate().for_each(|(i, v)| *v = if i % 2 == 0 { 0.4 } else { -0.4 });
        let gain = normalise(&mut samples, 8000);
        assert!((gain - 0.25).abs() < 1e-6);
        assert!((loudest_rms(&samples, 8000) - TARGET_RMS).abs() < 1e-6);
        assert!((samples[0] - 0.0025).abs() < 1e-8);
    }

    #[test]
    fn short_and_silent_clips() {
        let mut short = [0.2f32, -0.2];
        assert!((normalise(&mut short, 8000) - 0.5).abs() < 1e-6);
        let mut silent = [0.0f32; 4000];
        assert_eq!(normalise(&mut silent, 8000), 1.0);
        assert!(silent.iter().all(|&v| v == 0.0));
        assert_eq!(normalise(&mut [], 8000), 1.0);
    }
}
