//! Classifier-free guidance, autoguidance and limited-interval guidance: one extrapolation between two denoisers.

use std::ops::Range;

use crate::{Denoiser, Level, State};

/// `D = neg + w (pos - neg)`.
///
/// With an unconditional `neg` this is classifier-free guidance (Ho & Salimans 2022; their `w` is ours minus 1), with a weaker
/// network as `neg` it is autoguidance (Karras et al. 2024), with a bounded `on` it is limited-interval guidance (Kynkäänniemi et
/// al. 2024). `w = 1` is unguided and costs one evaluation.
#[derive(Clone, Debug)]
pub struct Guided<P, N> {
    /// The denoiser to follow.
    pub pos: P,
    /// The denoiser to move away from.
    pub neg: N,
    /// Guidance weight; 1 is unguided.
    pub w: f64,
    /// Noise levels `sigma / alpha` at which guidance acts; outside, `pos` alone is used.
    pub on: Range<f64>,
}

impl<P, N> Guided<P, N> {
    /// Guidance at every level.
    pub const fn everywhere(pos: P, neg: N, w: f64) -> Self {
        Self { pos, neg, w, on: 0.0..f64::INFINITY }
    }
}

impl<S: State, P: Denoiser<S>, N: Denoiser<S>> Denoiser<S> for Guided<P, N> {
    fn denoise(&self, x: &S, at: Level, node: u32) -> S {
        let pos = self.pos.denoise(x, at, node);
        if self.w == 1.0 || !self.on.contains(&at.ve_sigma()) {
            return pos;
        }
        let neg = self.neg.denoise(x, at, node);
        S::lincomb(&[(self.w, &pos), (1.0 - self.w, &neg)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Constant<'a>(f64, &'a Cell<usize>);

    impl Denoiser<Vec<f64>> for Constant<'_> {
        fn denoise(&self, _: &Vec<f64>, _: Level, _: u32) -> Vec<f64> {
            self.1.set(self.1.get() + 1);
            vec![self.0]
        }
    }

    #[test]
    fn weight_one_and_levels_outside_the_interval_cost_one_evaluation() {
        let calls = Cell::new(0);
        let guided = |w, on| Guided { pos: Constant(2.0, &calls), neg: Constant(0.5, &calls), w, on };
        assert_eq!(guided(1.0, 0.0..9.0).denoise(&vec![0.0], Level::ve(1.0), 0), vec![2.0]);
        assert_eq!(guided(3.0, 2.0..9.0).denoise(&vec![0.0], Level::ve(1.0), 0), vec![2.0]);
        assert_eq!(calls.get(), 2);
        assert_eq!(guided(3.0, 0.0..9.0).denoise(&vec![0.0], Level::ve(1.0), 0), vec![5.0]);
        assert_eq!(calls.get(), 4);
    }
}
