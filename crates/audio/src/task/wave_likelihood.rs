//! How probable clips are under a waveform model: the density of their scaled coefficients by the probability-flow ODE.

use std::{cell::Cell, ops::ControlFlow};

use burn::tensor::{Tensor, TensorData};
use langevin_core::{
    Denoiser as _, Error as CoreError, Level, Philox,
    guide::gradient,
    likelihood::{Field, likelihood},
    noise::{NoiseSource as _, stream},
    recipe::Sampling,
};

use super::{
    guided::Guidance,
    likelihood::Estimate,
    wave::{Given, PART, Wave},
};
use crate::{Error, Result, model::Conditions, wave_codec::BANDS};

/// One estimate of the density of a clip.
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
    /// Mean of several draws of one clip and its standard error.
    pub fn summarise(draws: &[Self]) -> Estimate {
        Estimate::of(&draws.iter().map(|d| d.nats).collect::<Vec<_>>(), draws.first().map_or(1, |d| d.numbers))
    }

    /// Bits per number.
    pub fn bits_per_number(&self) -> f64 {
        self.nats / (self.numbers as f64 * std::f64::consts::LN_2)
    }
}

/// How a likelihood is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaveDensity {
    /// Number of the label that is given; hidden from the network when absent.
    pub label: Option<usize>,
    /// Number of the speaker that is given; hidden when absent.
    pub speaker: Option<usize>,
    /// Runge-Kutta steps, four evaluations each.
    pub steps: usize,
    /// Seed: with row and draw, the address of the noise and the probe.
    pub seed: u64,
}

impl Wave {
    /// One draw of `-ln p` of a clip: noise at the least level, and one Rademacher probe for the divergence (Song et al. 2021, section 4.3). Draws
    /// differ by both, so their mean is the expectation over the noise, and their spread tells its error. `observe` is called before every
    /// evaluation and may stop it.
    ///
    /// # Errors
    /// A clip that is empty or not finite, conditions out of range, or what the core refuses.
    pub fn likelihood(
        &self,
        clip: &[f32],
        asked: &WaveDensity,
        (row, draw): (u32, u32),
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), WaveLikelihood>> {
        for (what, number, known) in
            [("label", asked.label, self.config.vocabulary.labels.len()), ("speaker", asked.speaker, self.config.vocabulary.speakers.len())]
        {
            if let Some(number) = number.filter(|number| *number >= known) {
                let most = known.saturating_sub(1) as f64;
                return Err(Error::OutOfRange { what, got: number as f64, min: 0.0, max: most });
            }
        }
        let (loud, _) = self.normalised(clip)?;
        let encoded = self.codec.encode(&loud);
        let (numbers, noise) = (encoded.len(), Philox::new(asked.seed));
        let (mut eps, mut probe) = (vec![0f64; numbers], vec![0f64; numbers]);
        noise.fill_f64(row, 2 * draw, stream::PRIOR, &mut eps);
        noise.fill_f64(row, 2 * draw + 1, stream::PRIOR, &mut probe);
        probe.iter_mut().for_each(|v| *v = v.signum());
        let (least, most) = self.schedule().span();
        let start = self.schedule().level(least);
        let x: Vec<f64> = encoded.iter().zip(eps).map(|(x0, eps)| start.alpha * f64::from(*x0) + start.sigma * eps).collect();
        let field = Parts {
            wave: &self.differentiable(),
            conditions: Conditions { labels: vec![asked.label], speakers: vec![asked.speaker] },
            frames: numbers / BANDS,
            observe,
            stopped: Cell::new(false),
        };
        let found = likelihood(&field, self.schedule(), &x, (least, most), asked.steps, self.schedule().level(most).sigma, Some(&probe))?;
        if field.stopped.get() {
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(WaveLikelihood { nats: -found.log_p[0], numbers, prior_mismatch: found.prior_mismatch[0] }))
    }
}

/// The model's estimate of one clip with its trace, stretch after stretch, each with the network's reach on both sides: a backward pass holds
/// the graph of one stretch, however long the clip is.
struct Parts<'a> {
    wave: &'a Wave,
    conditions: Conditions,
    frames: usize,
    observe: &'a dyn Fn() -> ControlFlow<()>,
    /// Once stopped, evaluations cost nothing and the rest of the loop runs dry.
    stopped: Cell<bool>,
}

impl Field for Parts<'_> {
    fn dim(&self) -> usize {
        self.frames * BANDS
    }

    fn denoise_and_trace(&self, x: &[f64], at: Level, probes: Option<&[f64]>) -> std::result::Result<(Vec<f64>, Vec<f64>), CoreError> {
        let Some(probe) = probes else {
            return Err(CoreError::Invalid { what: "likelihood", reason: "a network's divergence needs probes".into() });
        };
        if self.stopped.get() || (self.observe)().is_break() {
            self.stopped.set(true);
            return Ok((x.to_vec(), vec![0.0]));
        }
        let reach = self.wave.config.reach();
        // A stretch and what it depends on go through the network in one piece where that is possible.
        let stretch = PART.saturating_sub(2 * reach).max(PART / 4);
        let (mut estimate, mut trace) = (Vec::with_capacity(x.len()), 0.0);
        for start in (0..self.frames).step_by(stretch) {
            let end = (start + stretch).min(self.frames);
            let (first, last) = (start.saturating_sub(reach), (end + reach).min(self.frames));
            let given = Given::nothing(last - first);
            let denoiser = self.wave.denoiser(&given, &self.conditions, Guidance::NONE, &Sampling::default());
            let tensor = |values: &[f64]| {
                let data = TensorData::new(values.to_vec(), [1, values.len() / BANDS, BANDS]);
                Tensor::<3>::from_data(data, self.wave.device())
            };
            let seen = probe[first * BANDS..last * BANDS].to_vec();
            let mut own = vec![0.0; seen.len()];
            let inside = (start - first) * BANDS..(end - first) * BANDS;
            own[inside.clone()].copy_from_slice(&seen[inside.clone()]);
            let (mut values, own) = (Vec::new(), tensor(&own));
            let gradient = gradient(&tensor(&x[first * BANDS..last * BANDS]), |x| {
                let x0 = denoiser.denoise(&x, at, 0);
                values = x0.to_data().iter::<f64>().collect();
                (x0 * own).sum()
            });
            estimate.extend(&values[inside]);
            trace += gradient.into_data().iter::<f64>().zip(&seen).map(|(g, v)| g * v).sum::<f64>();
        }
        Ok((estimate, vec![trace]))
    }
}
