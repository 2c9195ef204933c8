//! The Gaussian process of any schedule, as a [`Process`].

use std::marker::PhantomData;

use super::Process;
use crate::{
    Error, Level, NoiseSource, State,
    noise::stream,
    solver::{Reverse, Variance},
    variance::ScoreMoments,
};

/// `x = alpha x0 + sigma eps`, with ancestral reverse steps (Ho et al. 2020).
#[derive(Clone, Debug)]
pub struct Gaussian<S> {
    start: Level,
    variance: Variance,
    moments: Option<ScoreMoments>,
    state: PhantomData<fn() -> S>,
}

impl<S> Gaussian<S> {
    /// A process whose sampling starts at the level `start`, the noisiest; `moments` are read by the analytic variance alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the analytic variance without moments, or with a start at `alpha = 0`, where it is not defined.
    pub fn new(start: Level, variance: Variance, moments: Option<ScoreMoments>) -> Result<Self, Error> {
        if variance == Variance::Analytic {
            if start.alpha == 0.0 {
                return Err(Error::Invalid { what: "process", reason: "the analytic variance needs a start at alpha > 0".into() });
            }
            if moments.as_ref().is_none_or(|m| !m.is_complete()) {
                return Err(Error::Invalid { what: "process", reason: "the analytic variance needs complete score moments".into() });
            }
        }
        Ok(Self { start, variance, moments, state: PhantomData })
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
        let variance = self.variance.of_step(from, to, self.moments.as_ref()).expect("`new` refused moments that are not complete");
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
        let mut moments = ScoreMoments::new(vec![Level::vp(0.9), Level::vp(0.1)]).unwrap();
        assert!(Gaussian::<Vec<f64>>::new(levels[0], Variance::Analytic, Some(moments.clone())).is_err());
        moments.add(0, &[0.3]);
        moments.add(1, &[0.9]);
        assert!(Gaussian::<Vec<f64>>::new(levels[0], Variance::Analytic, None).is_err());
        assert!(Gaussian::<Vec<f64>>::new(Level::new(0.0, 1.0), Variance::Analytic, Some(moments.clone())).is_err());
        for variance in [Variance::Small, Variance::Large, Variance::Analytic] {
            let process = Gaussian::new(levels[0], variance, Some(moments.clone())).unwrap();
            let philox = Philox::new(3);
            let mut x = process.prior(&vec![0.0; 4], &philox);
            let plan = Solver::Ddpm(Ddpm { variance }).plan_with(&levels, Some(&moments)).unwrap();
            let expected = plan.run(x.clone(), &mixture, &philox);
            for (i, w) in levels.windows(2).enumerate() {
                let estimate = mixture.denoise(&x, w[0], i as u32);
                x = process.posterior(&x, &estimate, w[0], w[1], &philox, i as u32);
            }
            assert!(x.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{x:?} {expected:?}");
        }
    }
}
