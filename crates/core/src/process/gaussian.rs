//! The Gaussian process of any schedule, as a [`Process`].

use std::marker::PhantomData;

use super::Process;
use crate::{
    Level, NoiseSource, State,
    noise::stream,
    solver::{Reverse, Variance},
};

/// `x = alpha x0 + sigma eps`, with ancestral reverse steps (Ho et al. 2020).
#[derive(Clone, Debug)]
pub struct Gaussian<S> {
    /// The noisiest level, where sampling starts.
    pub start: Level,
    /// Variance of the reverse step.
    pub variance: Variance,
    state: PhantomData<fn() -> S>,
}

impl<S> Gaussian<S> {
    /// A process that starts at a level.
    pub const fn new(start: Level, variance: Variance) -> Self {
        Self { start, variance, state: PhantomData }
    }
}

impl<S: State> Process for Gaussian<S> {
    type State = S;
    type Estimate = S;
    type Level = Level;

    fn corrupt(&self, x0: &S, at: Level, noise: &dyn NoiseSource, node: u32) -> S {
        let eps = x0.noise_like(noise, node, stream::TRAIN);
        S::lincomb(&[(at.alpha, x0), (at.sigma, &eps)])
    }

    fn prior(&self, like: &S, noise: &dyn NoiseSource) -> S {
        S::lincomb(&[(self.start.sigma, &like.noise_like(noise, 0, stream::PRIOR))])
    }

    fn posterior(&self, x: &S, estimate: &S, from: Level, to: Level, noise: &dyn NoiseSource, node: u32) -> S {
        let kernel = Reverse::between(from, to);
        let mut terms = vec![(kernel.of_x, x), (kernel.of_x0, estimate)];
        if to.is_clean() {
            return S::lincomb(&terms);
        }
        let variance = match self.variance {
            Variance::Small => kernel.variance,
            Variance::Large => kernel.forward_variance,
        };
        let eps = x.noise_like(noise, node, stream::STEP);
        terms.push((variance.sqrt(), &eps));
        S::lincomb(&terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Denoiser, Philox,
        mixture::GaussianMixture,
        solver::{Ddpm, Solver},
    };

    #[test]
    fn ancestral_sampling_is_the_ddpm_plan() {
        let covs = vec![vec![vec![0.1, -0.06], vec![-0.06, 0.08]]; 2];
        let mixture = GaussianMixture::new(vec![0.3, 0.7], vec![vec![1.0, -0.5], vec![-1.0, 0.5]], covs).unwrap();
        let levels = [Level::vp(0.001), Level::vp(0.2), Level::vp(0.7), Level::vp(0.99), Level::clean()];
        for variance in [Variance::Small, Variance::Large] {
            let process = Gaussian::new(levels[0], variance);
            let philox = Philox::new(3);
            let mut x = process.prior(&vec![0.0; 4], &philox);
            let plan = Solver::Ddpm(Ddpm { variance }).plan(&levels).unwrap();
            let expected = plan.run(x.clone(), &mixture, &philox);
            for (i, w) in levels.windows(2).enumerate() {
                let estimate = mixture.denoise(&x, w[0], i as u32);
                x = process.posterior(&x, &estimate, w[0], w[1], &philox, i as u32);
            }
            assert!(x.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{x:?} {expected:?}");
        }
    }
}
