//! Bounds of perturbations, and the spectrum they are kept in.

use realfft::RealFftPlanner;

/// Norm of a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// The greatest change of a number.
    Linf,
    /// The Euclidean length of all changes.
    L2,
}

impl Norm {
    /// The size of a perturbation.
    pub fn of(self, delta: &[f32]) -> f64 {
        match self {
            Self::Linf => delta.iter().fold(0.0, |most, v| f64::from(v.abs()).max(most)),
            Self::L2 => delta.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt(),
        }
    }

    /// Shrinks a perturbation into the bound.
    pub(super) fn project(self, delta: &mut [f32], eps: f64) {
        match self {
            Self::Linf => delta.iter_mut().for_each(|v| *v = v.clamp(-eps as f32, eps as f32)),
            Self::L2 => {
                let size = self.of(delta);
                if size > eps {
                    delta.iter_mut().for_each(|v| *v = (f64::from(*v) * eps / size) as f32);
                }
            }
        }
    }

    /// The steepest step of a size along a gradient; none where there is no gradient.
    pub(super) fn step(self, gradient: &[f32], size: f64) -> Vec<f32> {
        match self {
            Self::Linf => gradient.iter().map(|g| if *g == 0.0 { 0.0 } else { g.signum() * size as f32 }).collect(),
            Self::L2 => {
                let length = self.of(gradient);
                let factor = if length > 0.0 { size / length } else { 0.0 };
                gradient.iter().map(|g| (f64::from(*g) * factor) as f32).collect()
            }
        }
    }
}

/// The part of a row below a share of its spectrum.
pub(super) fn low_pass(row: &mut [f32], share: f64) {
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, backward) = (planner.plan_fft_forward(row.len()), planner.plan_fft_inverse(row.len()));
    let mut spectrum = forward.make_output_vec();
    // Lengths are the planner's own, and the first and last bins stay real.
    if forward.process(&mut row.to_vec(), &mut spectrum).is_err() {
        return;
    }
    let keep = ((spectrum.len() as f64 * share).ceil() as usize).max(1);
    spectrum.iter_mut().skip(keep).for_each(|bin| *bin *= 0.0);
    if backward.process(&mut spectrum, row).is_ok() {
        let norm = row.len() as f32;
        row.iter_mut().for_each(|v| *v /= norm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_and_steps_are_steepest() {
        let mut delta = [3.0f32, -4.0];
        Norm::L2.project(&mut delta, 1.0);
        assert!((delta[0] - 0.6).abs() < 1e-6 && (delta[1] + 0.8).abs() < 1e-6);
        let mut delta = [3.0f32, -0.5];
        Norm::Linf.project(&mut delta, 1.0);
        assert_eq!(delta, [1.0, -0.5]);
        assert_eq!(Norm::Linf.step(&[0.1, 0.0, -7.0], 2.0), [2.0, 0.0, -2.0]);
        assert_eq!(Norm::L2.step(&[0.0, 0.0], 2.0), [0.0, 0.0]);
    }

    #[test]
    fn low_pass_keeps_slow_waves_only() {
        let wave = |k: f32| (0..64).map(|n| (2.0 * std::f32::consts::PI * k * n as f32 / 64.0).cos()).collect::<Vec<_>>();
        let mut both: Vec<f32> = wave(2.0).iter().zip(wave(20.0)).map(|(a, b)| a + b).collect();
        low_pass(&mut both, 0.25);
        assert!(both.iter().zip(wave(2.0)).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
