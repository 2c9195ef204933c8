//! Clips made longer or shorter without a change of pitch: waveform-similarity overlap-add (Verhelst and Roelands 1993).

/// Length of a piece, seconds: two to three periods of a low voice.
const PIECE: f64 = 0.032;

/// A clip of `samples` samples with the sounds of another one at proportional times, at the same pitch. Windowed pieces are laid half over each other;
/// each is taken from where it continues the piece before best, at most a quarter of a piece from its proportional place. The same length is the same
/// clip, bit for bit.
pub fn stretch(clip: &[f32], rate: u32, samples: usize) -> Vec<f32> {
    if clip.len() == samples || clip.is_empty() || samples == 0 {
        let mut same = clip.to_vec();
        same.resize(samples, 0.0);
        return same;
    }
    let hop = ((PIECE * f64::from(rate) / 2.0).round() as usize).max(2) as isize;
    let at = |n: isize| usize::try_from(n).ok().and_then(|n| clip.get(n)).map_or(0.0, |v| f64::from(*v));
    let pace = clip.len() as f64 / samples as f64;
    let mut out = vec![0f64; samples];
    let mut last = -hop;
    // Piece `k` is centred on sample `k * hop` of the output.
    for k in 0..=samples as isize / hop + 1 {
        let place = (k as f64 * hop as f64 * pace).round() as isize;
        let next = last + hop;
        let alike = |centre: isize| {
            let (mut product, mut power) = (0.0, 1e-9);
            for n in -hop..hop {
                let (own, wanted) = (at(centre + n), at(next + n));
                product += own * wanted;
                power += own * own;
            }
            product / f64::sqrt(power)
        };
        let centre = if k == 0 {
            0
        } else {
            let all = (place - hop / 2..=place + hop / 2).map(|centre| (alike(centre), -(centre - place).abs(), centre));
            all.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map_or(place, |best| best.2)
        };
        for n in -hop..hop {
            // Squared sines half over each other sum to 1.
            let weight = (std::f64::consts::FRAC_PI_2 * (n + hop) as f64 / hop as f64).sin().powi(2);
            if let Some(to) = usize::try_from(k * hop + n).ok().and_then(|n| out.get_mut(n)) {
                *to += weight * at(centre + n);
            }
        }
        last = centre;
    }
    out.into_iter().map(|v| v as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn tone(samples: usize) -> Vec<f32> {
        (0..samples).map(|n| (0.4 * (TAU * 300.0 * n as f64 / 8000.0).sin()) as f32).collect()
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_level_at_any_length() {
        let clip = tone(4000);
        assert_eq!(stretch(&clip, 8000, 4000), clip);
        for samples in [2500, 3800, 4300, 7000] {
            let found = stretch(&clip, 8000, samples);
            assert_eq!(found.len(), samples);
            let inner = &found[300..samples - 300];
            // A tone is predicted by its two last samples; a wrong pitch or a jump is not.
            let twice = 2.0 * (TAU * 300.0 / 8000.0).cos() as f32;
            let error = inner.windows(3).map(|w| (w[2] - twice * w[1] + w[0]).abs()).fold(0.0, f32::max);
            let peak = inner.iter().fold(0f32, |most, v| most.max(v.abs()));
            assert!(error < 0.02 && (peak - 0.4).abs() < 0.02, "{samples}: {error} {peak}");
        }
    }

    #[test]
    fn sounds_stay_at_proportional_times() {
        let mut clip = vec![0f32; 8000];
        clip[4000..6000].copy_from_slice(&tone(2000));
        let found = stretch(&clip, 8000, 4000);
        let energy = |range: std::ops::Range<usize>| found[range].iter().map(|v| v * v).sum::<f32>();
        assert!(energy(2000..3000) > 0.9 * energy(0..4000));
    }

    #[test]
    fn odd_lengths() {
        assert_eq!(stretch(&[], 8000, 3), [0.0; 3]);
        assert_eq!(stretch(&[0.5], 8000, 0), [0.0; 0]);
        assert!(stretch(&[0.5], 8000, 500).iter().chain(&stretch(&tone(500), 8000, 1)).all(|v| v.is_finite() && v.abs() < 1.0));
    }
}
