//! Chains of classes in reverse (Austin et al. 2021, arXiv:2107.03006).

use std::ops::{ControlFlow, Range};

use langevin_core::process::categorical::Chain;

use super::{Choice, Predict, Writing, draft::Draft, streams, uniform};
use crate::{Result, model::Conditions};

/// A chain seen at fewer times, and these times as shares of its length.
#[derive(Debug)]
pub(super) struct Steps {
    chain: Chain,
    times: Vec<f32>,
    /// Where tokens start: what a token of any class has become at the end.
    start: Choice,
}

impl Steps {
    /// At most so many steps, evenly over the chain.
    pub(super) fn new(chain: &Chain, steps: usize, classes: usize) -> Result<Self> {
        let last = chain.len();
        let count = steps.min(last);
        let times: Vec<usize> = (0..=count).map(|k| k * last / count).collect();
        let end = chain.marginal(last);
        let start = Choice::normalised((0..chain.classes()).map(|to| (0..classes).map(|from| end[(from, to)]).sum()).collect());
        let between = times.windows(2).map(|pair| chain.between(pair[0], pair[1])).collect();
        Ok(Self { chain: Chain::new(between, chain.form)?, times: times.iter().map(|&t| t as f32 / last as f32).collect(), start })
    }
}

impl<P: Predict> Writing<'_, P> {
    /// Writes hidden places of a window by ancestral sampling; what is given is shown as it is.
    pub(super) fn walk(&self, draft: &mut Draft<'_>, steps: &Steps, places: &[usize], window: Range<usize>) -> ControlFlow<()> {
        let (sampling, classes) = (&self.request.sampling, self.model.classes());
        for &place in places {
            draft.tokens[place] = steps.start.at(uniform(self.noise, [0, draft.row, place as u32, streams::START]));
        }
        for t in (1..steps.times.len()).rev() {
            let rows = self.labels.len();
            let times = vec![steps.times[t]; rows];
            let conditions = Conditions { labels: &self.labels, times: &times };
            let logits = self.combined(self.model.whole(&self.repeated(&draft.tokens[window.clone()]), conditions));
            for &place in places {
                let allowed = draft.allowed.get(&place).map(Vec::as_slice);
                let own = Choice::new(&logits[(place - window.start) * classes..][..classes], allowed);
                let sharp = own.sharpened(sampling.temperature, sampling.top_p);
                let now = draft.tokens[place];
                // A state that no likely class leads to stays.
                let Some(next) = steps.chain.reverse(sharp.probabilities(), now as usize, t - 1, t) else { continue };
                let token = Choice::normalised(next).at(uniform(self.noise, [t as u32, draft.row, place as u32, streams::TOKEN]));
                draft.tokens[place] = token;
                if (token as usize) < classes {
                    draft.confidence[place] = own.of(token) as f32;
                }
            }
            draft.evaluated()?;
        }
        ControlFlow::Continue(())
    }
}
