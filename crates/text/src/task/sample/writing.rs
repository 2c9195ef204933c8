//! A request made ready: texts by their number.

use std::ops::{ControlFlow, Range};

use langevin_core::Philox;
use langevin_nn::Sampler;

use super::{Pattern, Predict, Progress, Watch, chain::Steps, draft::Draft, lengths::Known};
use crate::{
    Error, Result,
    config::{Order, Remask, Sampling},
    model::Conditions,
};

/// How texts are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Method and its settings.
    pub sampling: Sampling,
    /// Number of the label that the texts have.
    pub label: Option<usize>,
    /// Seed: with the number of a sample all that its draws depend on.
    pub seed: u64,
}

/// A text that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Number of the sample.
    pub row: u32,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// The probability that each token had when it was drawn, before temperature and `top_p`; 1 for those that were given.
    pub confidence: Vec<f32>,
    /// Network evaluations that it took.
    pub evaluations: usize,
}

/// A source of texts by number: the same number is the same text.
#[derive(Debug)]
pub struct Writing<'a, P> {
    pub(super) model: &'a P,
    pub(super) request: Request,
    pub(super) noise: Philox,
    pub(super) chain: Option<Steps>,
    /// The wanted label, and where it is strengthened no label beside it.
    pub(super) labels: Vec<Option<usize>>,
    pub(super) known: Known,
    patterns: &'a [Pattern],
    first: u32,
}

impl<'a, P: Predict> Writing<'a, P> {
    /// Samples from number `first` on, each with a pattern of its own; a single pattern serves all of them.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings out of range or that the model does not know, and for holes that no window can hold.
    pub fn new(model: &'a P, patterns: &'a [Pattern], first: u32, request: Request) -> Result<Self> {
        let wrong = |name: &'static str, reason: String| Err(Error::Setting { name, reason });
        let Request { mut sampling, label, seed } = request;
        sampling.check()?;
        if sampling.block == model.context() {
            sampling.block = 0;
        }
        if !model.knows(sampling.block) {
            let name = |size: &usize| if *size == 0 { "full".to_owned() } else { size.to_string() };
            let (context, names) = (model.context(), model.blocks().iter().map(name).collect::<Vec<_>>().join(", "));
            let reason = format!(
                "should be one of {names}, which this model has learned, or a divisor of its context {context} between them, but is {}",
                name(&sampling.block)
            );
            return wrong("block", reason);
        }
        if label.is_some_and(|label| label >= model.labels()) {
            return wrong("label", format!("should be below {}", model.labels()));
        }
        if label.is_none() && sampling.guidance != 1.0 {
            return wrong("guidance", "should come with a label, which it strengthens".to_owned());
        }
        let chain = model.chain()?;
        if chain.is_some() {
            if sampling.steps == 0 {
                return wrong("steps", "should be a number: this model reverses a chain of classes, which has no entropy bound".to_owned());
            }
            if sampling.remask != Remask::None || sampling.order != Order::Random {
                return wrong("order", "should be random, and nothing remasked: this model reverses a chain of classes".to_owned());
            }
            if patterns.iter().any(|pattern| !pattern.is_closed()) {
                return wrong(
                    "pattern",
                    "should have gaps of known length: this model reverses a chain of classes, which does not weigh lengths".to_owned(),
                );
            }
        }
        let chain = chain.map(|chain| Steps::new(&chain, sampling.steps, model.classes())).transpose()?;
        let labels = if sampling.guidance == 1.0 { vec![label] } else { vec![label, None] };
        let request = Request { sampling, label, seed };
        Ok(Self { model, request, noise: Philox::new(seed), chain, labels, known: Known::default(), patterns, first })
    }

    /// The settings as they are used.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Writes a sample. `watch` is told after each network evaluation and may stop it.
    pub fn write(&self, row: u32, watch: &mut Watch<'_>) -> ControlFlow<(), Written> {
        let index = if self.patterns.len() == 1 { 0 } else { row.saturating_sub(self.first) as usize };
        let Some(pattern) = self.patterns.get(index) else {
            return ControlFlow::Continue(Written { row, tokens: Vec::new(), confidence: Vec::new(), evaluations: 0 });
        };
        let (lengths, evaluations) = self.lengths(row, index, pattern);
        let _until_it_is_written = self.request.sampling.precision.enter();
        let hidden = self.model.classes() as u32;
        let tokens = pattern.tokens(&lengths, hidden);
        let (draws, confidence) = (vec![0; tokens.len()], vec![1.0; tokens.len()]);
        let mut watch = |progress: Progress<'_>| watch(progress);
        let mut draft =
            Draft { row, tokens, hidden, allowed: pattern.allowed(), confidence, draws, settled: 0, evaluations, watch: &mut watch };
        if self.request.sampling.block == 0 {
            self.by_windows(&mut draft)?;
        } else {
            self.by_blocks(&mut draft)?;
        }
        let Draft { tokens, confidence, evaluations, .. } = draft;
        ControlFlow::Continue(Written { row, tokens, confidence, evaluations })
    }

    pub(super) fn conditions<'b>(&'b self, times: &'b [f32]) -> Conditions<'b> {
        Conditions { labels: &self.labels, times }
    }

    /// Tokens once for each label.
    pub(super) fn repeated(&self, tokens: &[u32]) -> Vec<u32> {
        tokens.repeat(self.labels.len())
    }

    /// `without + guidance * (with - without)`, where there are both (Ho & Salimans 2022; for classes Schiff et al. 2024, arXiv:2412.10193).
    pub(super) fn combined(&self, mut logits: Vec<f32>) -> Vec<f32> {
        if self.labels.len() == 2 {
            let weight = self.request.sampling.guidance as f32;
            let half = logits.len() / 2;
            let (with, without) = logits.split_at_mut(half);
            with.iter_mut().zip(without).for_each(|(with, without)| *with = *without + weight * (*with - *without));
            logits.truncate(half);
        }
        logits
    }
}

impl<P: Predict> Sampler for Writing<'_, P> {
    type Raw = Written;
    type Item = Written;

    /// A text is enough work for a core, and alone it depends on nothing beside it.
    fn micro_batch(&self) -> u32 {
        1
    }

    fn sample(&self, rows: Range<u32>, observe: &dyn Fn() -> ControlFlow<()>) -> ControlFlow<(), Vec<Written>> {
        let mut written = Vec::with_capacity(rows.len());
        for row in rows {
            let mut seen = 0;
            let mut watch = |progress: Progress<'_>| {
                if progress.evaluations == seen {
                    return ControlFlow::Continue(());
                }
                seen = progress.evaluations;
                observe()
            };
            written.push(self.write(row, &mut watch)?);
        }
        ControlFlow::Continue(written)
    }

    fn finish(&self, _: u32, raw: Written) -> Written {
        raw
    }
}
