//! How probable clips are under a waveform model: the density of their scaled coefficients by the probability-flow ODE.

use burn::tensor::Tensor;
use langevin_core::{
    Denoiser, Level, Philox,
    likelihood::{Traced, likelihood},
    noise::{NoiseSource as _, stream},
    recipe::Sampling,
};

use super::{
    prior::Guidance,
    wave::{Given, GuidedWave, Wave},
};
use crate::{Error, Result, loudness, model::Conditions, wave_codec::BANDS};

const UNGUIDED: Guidance = Guidance { label: 1.0, speaker: 1.0 };

/// The density of one clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaveLikelihood {
    /// `-ln p` of the coefficients at the standard loudness, companded and scaled, noised to the least level of the schedule; nats.
    pub nats: f64,
    /// Numbers they are: 64 for each frame.
    pub numbers: usize,
    /// What the normal prior misses, `KL(q(x_T | x0) || prior)`, nats; not part of `nats`.
    pub prior_mismatch: f64,
}

impl WaveLikelihood {
    /// Bits per number.
    pub fn bits_per_number(&self) -> f64 {
        self.nats / (self.numbers as f64 * std::f64::consts::LN_2)
    }
}

impl Wave {
    /// `-ln p` of a clip given a label and a speaker (hidden when absent), with `steps` Runge-Kutta steps (four evaluations each) and one
    /// Rademacher probe for the divergence (Song et al. 2021, section 4.3). `seed` and `row` address the noise and the probe.
    ///
    /// # Errors
    /// A clip that is empty or not finite, conditions out of range, or what the core refuses.
    pub fn likelihood(
        &self,
        clip: &[f32],
        (label, speaker): (Option<usize>, Option<usize>),
        steps: usize,
        seed: u64,
        row: u32,
    ) -> Result<WaveLikelihood> {
        if clip.is_empty() {
            return Err(Error::TooFew { what: "samples of the clip", got: 0, want: 1 });
        }
        if let Some(index) = clip.iter().position(|v| !v.is_finite()) {
            return Err(Error::NonFinite { what: "samples of the clip", index });
        }
        let mut loud = clip.to_vec();
        loudness::normalise(&mut loud, self.config.codec.rate);
        let encoded = self.codec.encode(&loud);
        let (numbers, noise) = (encoded.len(), Philox::new(seed));
        let (mut eps, mut probe) = (vec![0f64; numbers], vec![0f64; numbers]);
        noise.fill_f64(row, 0, stream::PRIOR, &mut eps);
        noise.fill_f64(row, 1, stream::PRIOR, &mut probe);
        probe.iter_mut().for_each(|v| *v = v.signum());
        let (least, most) = self.schedule().span();
        let start = self.schedule().level(least);
        let x: Vec<f64> = encoded.iter().zip(eps).map(|(x0, eps)| start.alpha * f64::from(*x0) + start.sigma * eps).collect();
        let differentiable = self.differentiable();
        let (given, conditions) = (Given::nothing(numbers / BANDS), Conditions { labels: vec![label], speakers: vec![speaker] });
        let base = Flat(differentiable.denoiser(&given, &conditions, UNGUIDED, &Sampling::default()));
        let field = Traced { base, dim: numbers, device: self.device() };
        let found = likelihood(&field, self.schedule(), &x, (least, most), steps, self.schedule().level(most).sigma, Some(&probe))?;
        Ok(WaveLikelihood { nats: -found.log_p[0], numbers, prior_mismatch: found.prior_mismatch[0] })
    }
}

/// A denoiser of one clip as one of flat rows.
struct Flat<'a>(GuidedWave<'a>);

impl Denoiser<Tensor<2>> for Flat<'_> {
    fn denoise(&self, x: &Tensor<2>, at: Level, node: u32) -> Tensor<2> {
        let [rows, numbers] = x.dims();
        self.0.denoise(&x.clone().reshape([rows, numbers / BANDS, BANDS]), at, node).reshape([rows, numbers])
    }
}
