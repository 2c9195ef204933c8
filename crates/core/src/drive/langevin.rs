//! Predictor-corrector sampling: reverse diffusion steps, with Langevin steps at each level.

use crate::{Denoiser, Error, Level, NoiseSource, State, noise::stream};

/// Langevin corrector (Song et al. 2021, algorithms 4 and 5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corrector {
    /// Signal-to-noise ratio of a step: the norm of the score's part over that of the noise's, times a constant.
    pub snr: f64,
    /// Steps at each level.
    pub steps: usize,
}

/// A reverse diffusion step in its two parts.
#[derive(Clone, Debug)]
pub struct Reversal<S> {
    /// The state without this step's noise: what the last step returns.
    pub mean: S,
    /// The state with it.
    pub next: S,
}

/// Noise of the corrector, apart from that of the predictor; up to `CORRECTIONS` steps at a level.
const CORRECTOR: u32 = stream::DOMAIN - CORRECTIONS;
const CORRECTIONS: u32 = 8;

impl Corrector {
    /// One step at a level: `x + e score + sqrt(2 e) z`, `e = 2 scale (snr |z| / |score|)^2`.
    ///
    /// `norm` is the norm of a state. The published sampler takes the mean over a batch of each row's norm, which makes a row depend on
    /// its batch; a norm of one row at a time does not.
    pub fn correct<S: State>(&self, x: &S, score: &S, z: &S, scale: f64, norm: impl Fn(&S) -> f64) -> S {
        let step = 2.0 * scale * (self.snr * norm(z) / norm(score)).powi(2);
        // A score of zero (a flat density) gives no direction and no scale.
        if !step.is_finite() {
            return x.clone();
        }
        S::lincomb(&[(1.0, x), (step, score), ((2.0 * step).sqrt(), z)])
    }
}

impl<S: State> Reversal<S> {
    /// One reverse diffusion step (Song et al. 2021, appendix E, eq. 46): `x_s = (2 - r) x + v score + sqrt(v) z`, where the forward step
    /// is `x_t = r x_s + sqrt(v) z`. For variance exploding levels `r = 1`.
    pub fn step(x: &S, score: &S, z: &S, from: Level, to: Level) -> Self {
        let ratio = from.alpha / to.alpha;
        let variance = (from.sigma * from.sigma - (ratio * to.sigma).powi(2)).max(0.0);
        let mean = S::lincomb(&[(2.0 - ratio, x), (variance, score)]);
        let next = S::lincomb(&[(1.0, &mean), (variance.sqrt(), z)]);
        Self { mean, next }
    }
}

/// The predictor-corrector sampler: at each level the corrector's steps, then a reverse diffusion step to the next level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictorCorrector {
    /// The corrector.
    pub corrector: Corrector,
}

impl PredictorCorrector {
    /// Refuses what [`PredictorCorrector::sample`] cannot walk.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a ratio that is not positive or more than eight corrections, [`Error::Grid`] for nodes that cannot be
    /// walked or lie at `alpha = 0`.
    pub fn check(&self, nodes: &[Level]) -> Result<(), Error> {
        let Corrector { snr, steps } = self.corrector;
        if !(snr.is_finite() && snr > 0.0) {
            return Err(Error::OutOfRange { name: "snr", value: snr, range: "a positive number" });
        }
        if steps > CORRECTIONS as usize {
            return Err(Error::OutOfRange { name: "corrector steps", value: steps as f64, range: "at most 8" });
        }
        crate::solver::check_nodes(nodes)?;
        if nodes[0].alpha == 0.0 {
            return Err(Error::Grid { node: 0, reason: "the score is not defined at alpha = 0 for a denoiser; start at alpha > 0" });
        }
        Ok(())
    }

    /// Samples along nodes from most noise to least; the result is the last step without its noise.
    ///
    /// # Errors
    /// As [`PredictorCorrector::check`].
    pub fn sample<S: State>(
        &self,
        x: S,
        nodes: &[Level],
        denoiser: &impl Denoiser<S>,
        noise: &dyn NoiseSource,
        norm: impl Fn(&S) -> f64,
    ) -> Result<S, Error> {
        self.check(nodes)?;
        let steps = self.corrector.steps;
        let mut x = x;
        let mut mean = x.clone();
        for (i, pair) in nodes.windows(2).enumerate() {
            let (from, to) = (pair[0], pair[1]);
            let node = i as u32;
            // The published step for variance preserving levels carries the factor 1 - beta (algorithm 5).
            let scale = (from.alpha / to.alpha).powi(2);
            for k in 0..steps {
                let z = x.noise_like(noise, node, CORRECTOR + k as u32);
                x = self.corrector.correct(&x, &score(&x, from, node, denoiser), &z, scale, &norm);
            }
            let z = x.noise_like(noise, node, stream::STEP);
            let step = Reversal::step(&x, &score(&x, from, node, denoiser), &z, from, to);
            (mean, x) = (step.mean, step.next);
        }
        Ok(mean)
    }
}

/// `grad log p(x) = (alpha D - x) / sigma^2`.
fn score<S: State>(x: &S, at: Level, node: u32, denoiser: &impl Denoiser<S>) -> S {
    let d = denoiser.denoise(x, at, node);
    let variance = at.sigma * at.sigma;
    S::lincomb(&[(at.alpha / variance, &d), (-1.0 / variance, x)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Philox, mixture::GaussianMixture};

    #[expect(clippy::ptr_arg, reason = "the norm of a state, and the state is a Vec")]
    fn norm(x: &Vec<f64>) -> f64 {
        x.iter().map(|v| v * v).sum::<f64>().sqrt()
    }

    fn standard_normal() -> GaussianMixture {
        GaussianMixture::new(vec![1.0], vec![vec![0.0]], vec![vec![vec![1.0]]]).unwrap()
    }

    /// A Langevin chain at one level leaves the density of that level as it is, up to its step.
    #[test]
    fn the_corrector_is_stationary() {
        let (at, corrector, noise) = (Level::ve(1.0), Corrector { snr: 0.1, steps: 1 }, Philox::new(5));
        let mixture = standard_normal();
        // 4000 samples of N(0, 2), the density of x at sigma = 1.
        let mut x: Vec<f64> = vec![0.0; 4000].noise_like(&noise, 0, 0).iter().map(|z| z * 2f64.sqrt()).collect();
        for k in 1..200 {
            let z = x.noise_like(&noise, k, 0);
            x = corrector.correct(&x, &score(&x, at, 0, &mixture), &z, 1.0, norm);
        }
        let variance = x.iter().map(|v| v * v).sum::<f64>() / 4000.0;
        // The step is 2 (0.1)^2 |z|^2 / |score|^2 = 0.04, the bias of the chain about a quarter of it; five standard errors more.
        assert!((variance - 2.0).abs() < 0.02 + 5.0 * 2.0 * (2.0f64 / 4000.0).sqrt(), "variance {variance}");
    }

    #[test]
    fn samples_have_the_moments_of_the_data() {
        let nodes: Vec<Level> = (0..60).map(|i| Level::ve(20.0 * (0.01f64 / 20.0).powf(f64::from(i) / 59.0))).collect();
        let noise = Philox::new(8);
        let x: Vec<f64> = vec![0.0; 4000].noise_like(&noise, 0, stream::PRIOR).iter().map(|z| 20.0 * z).collect();
        let sampler = PredictorCorrector { corrector: Corrector { snr: 0.16, steps: 1 } };
        let y = sampler.sample(x, &nodes, &standard_normal(), &noise, norm).unwrap();
        let mean = y.iter().sum::<f64>() / 4000.0;
        let variance = y.iter().map(|v| v * v).sum::<f64>() / 4000.0 - mean * mean;
        assert!(mean.abs() < 0.08 && (variance - 1.0).abs() < 0.12, "mean {mean}, variance {variance}");
    }

    #[test]
    fn refuses_what_it_cannot_walk() {
        let sampler = PredictorCorrector { corrector: Corrector { snr: 0.16, steps: 1 } };
        let run = |s: PredictorCorrector, nodes: &[Level]| s.sample(vec![0.0], nodes, &standard_normal(), &Philox::new(0), norm);
        assert!(run(sampler, &[Level::new(0.0, 1.0), Level::clean()]).is_err());
        assert!(run(sampler, &[Level::ve(1.0), Level::ve(2.0)]).is_err());
        let still = PredictorCorrector { corrector: Corrector { snr: 0.0, steps: 1 } };
        assert!(run(still, &[Level::ve(1.0), Level::clean()]).is_err());
    }
}
