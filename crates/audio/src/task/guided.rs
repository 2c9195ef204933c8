//! Guidance by label and speaker, whatever is diffused: which estimates there are, and how they combine.

use std::ops::Range;

use burn::tensor::Tensor;
use langevin_core::{
    Coef, Level, State as _,
    guide::rescale,
    recipe::{Sampling, Threshold},
};

use crate::{Error, Result, model::Conditions};

/// Guidance weights of label and speaker; 1 is unguided, 0 ignores the condition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    /// Weight of the label.
    pub label: f64,
    /// Weight of the speaker.
    pub speaker: f64,
}

impl Guidance {
    /// No guidance: the estimate given both.
    pub const NONE: Self = Self { label: 1.0, speaker: 1.0 };

    /// Refuses weights that no estimate survives.
    pub(super) fn check(self) -> Result<()> {
        for (name, value) in [("guidance of the label", self.label), ("guidance of the speaker", self.speaker)] {
            if !(-100.0..=100.0).contains(&value) {
                return Err(Error::Setting { name, value, least: -100.0, most: 100.0 });
            }
        }
        Ok(())
    }
}

/// Weight of an estimate, and whether it sees the label and the speaker.
pub(super) type Variant = (f64, bool, bool);

/// The variant that sees all conditions.
const UNGUIDED: [Variant; 1] = [(1.0, true, true)];

/// `D = D(-,-) + w_l [D(l,-) - D(-,-)] + w_s [D(l,s) - D(l,-)]`; with equal weights the middle term vanishes and two variants remain, the
/// classifier-free guidance of core's `Guided`. All variants go through the network as one batch.
pub(super) fn variants(guidance: Guidance) -> Vec<Variant> {
    let all = [(guidance.speaker, true, true), (guidance.label - guidance.speaker, true, false), (1.0 - guidance.label, false, false)];
    all.into_iter().filter(|v| v.0 != 0.0).collect()
}

/// The conditions of a batch that holds every variant.
pub(super) fn seen_by(variants: &[Variant], conditions: &Conditions) -> Conditions {
    let see = |shown: bool, ids: &[Option<usize>]| ids.iter().map(move |id| id.filter(|_| shown)).collect::<Vec<_>>();
    Conditions {
        labels: variants.iter().flat_map(|v| see(v.1, &conditions.labels)).collect(),
        speakers: variants.iter().flat_map(|v| see(v.2, &conditions.speakers)).collect(),
    }
}

/// The network's noise input at a level: `ln(sigma / alpha) / 4`, kept finite at the ends.
pub(super) fn c_noise(at: Level) -> f32 {
    (-0.25 * at.lambda()).clamp(-5.0, 5.0) as f32
}

/// How a batch with these conditions is guided.
#[derive(Clone, Debug)]
pub(super) struct Guide<'a> {
    conditions: &'a Conditions,
    variants: Vec<Variant>,
    rescale: f64,
    guided_at: Range<f64>,
    threshold: Threshold,
}

impl<'a> Guide<'a> {
    pub(super) fn new(conditions: &'a Conditions, guidance: Guidance, sampling: &Sampling) -> Self {
        let nothing = conditions.labels.iter().chain(&conditions.speakers).all(Option::is_none);
        Self {
            conditions,
            // Without conditions all variants are the same estimate.
            variants: if nothing { UNGUIDED.to_vec() } else { variants(guidance) },
            rescale: sampling.guidance_rescale,
            guided_at: sampling.guided_at(),
            threshold: sampling.threshold,
        }
    }

    /// The variants that are needed at a level.
    pub(super) fn variants_at(&self, at: Level) -> &[Variant] {
        if self.guided_at.contains(&at.ve_sigma()) { &self.variants } else { &UNGUIDED }
    }

    /// The conditions of these variants of the batch.
    pub(super) fn seen_by(&self, variants: &[Variant]) -> Conditions {
        seen_by(variants, self.conditions)
    }

    /// The estimate of `x0` from the network's raw outputs, one for each variant, all of the shape of `x`.
    pub(super) fn estimate<const D: usize>(&self, x: &Tensor<D>, c: Coef, outputs: &[Tensor<D>], variants: &[Variant]) -> Tensor<D> {
        // The variants' weights sum to 1, so the skip connection enters once.
        let mut terms = vec![(c.skip, x)];
        terms.extend(outputs.iter().zip(variants).map(|(output, v)| (c.out * v.0, output)));
        let mut x0 = Tensor::lincomb(&terms);
        if let (true, Some(full)) = (variants.len() > 1 && self.rescale > 0.0, full(variants)) {
            x0 = rescale(x0, Tensor::lincomb(&[(c.skip, x), (c.out, &outputs[full])]), self.rescale);
        }
        self.threshold.apply(x0)
    }
}

/// Number of the variant that sees all conditions.
pub(super) fn full(variants: &[Variant]) -> Option<usize> {
    variants.iter().position(|v| v.1 && v.2)
}
