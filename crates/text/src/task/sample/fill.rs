//! Hidden tokens appear, some at each look at the text.

use std::ops::ControlFlow;

use super::{Choice, Predict, Writing, draft::Draft, streams, uniform};
use crate::config::{Order, Remask};

impl<P: Predict> Writing<'_, P> {
    /// Writes the hidden tokens among `places`. `look` gives the logits of the tokens from place `first` on, given the draft as it is.
    ///
    /// With as many steps as tokens and `random` order this is the masking process in reverse, exactly (the first-hitting sampler, Zheng et
    /// al. 2024, arXiv:2409.02908: the order of first hits is even, and the clock does not matter). With fewer steps as many tokens appear in
    /// each, without seeing one another. Nothing is looked at without a token appearing.
    pub(super) fn fill(&self, draft: &mut Draft<'_>, places: &[usize], first: usize, look: &dyn Fn(&[u32]) -> Vec<f32>) -> ControlFlow<()> {
        let (sampling, classes) = (&self.request.sampling, self.model.classes());
        let steps = match sampling.remask {
            Remask::None => sampling.steps.min(places.len()),
            _ => sampling.steps,
        };
        for step in 1.. {
            let (hidden, seen): (Vec<usize>, Vec<usize>) = places.iter().partition(|&&place| draft.is_hidden(place));
            if hidden.is_empty() {
                break;
            }
            let wanted = if steps == 0 { 0 } else { (step * places.len()).div_ceil(steps).min(places.len()) };
            let again = self.hidden_again(draft, &seen, [step, steps], places.len().saturating_sub(wanted));
            let count = (wanted + again.len()).saturating_sub(seen.len());
            if count == 0 && steps > 0 {
                continue;
            }
            let logits = look(&draft.tokens);
            let choice =
                |place: usize| Choice::new(&logits[(place - first) * classes..][..classes], draft.allowed.get(&place).map(Vec::as_slice));
            let ready =
                if steps == 0 { self.unbound(draft, hidden, &choice) } else { self.ordered(draft, hidden, &choice)[..count].to_vec() };
            let drawn: Vec<(usize, u32, f32)> = ready
                .into_iter()
                .map(|place| {
                    let own = choice(place);
                    let u = uniform(self.noise, [draft.draws[place], draft.row, place as u32, streams::TOKEN]);
                    let token = own.sharpened(sampling.temperature, sampling.top_p).at(u);
                    (place, token, own.of(token) as f32)
                })
                .collect();
            for (place, token, confidence) in drawn {
                draft.tokens[place] = token;
                draft.confidence[place] = confidence;
                draft.draws[place] += 1;
            }
            for place in again {
                draft.tokens[place] = draft.hidden;
            }
            draft.evaluated()?;
        }
        ControlFlow::Continue(())
    }

    /// Hidden places, those that appear first at the beginning.
    fn ordered(&self, draft: &Draft<'_>, mut hidden: Vec<usize>, choice: &dyn Fn(usize) -> Choice) -> Vec<usize> {
        if self.request.sampling.order == Order::LeftToRight {
            return hidden;
        }
        let key = |&place: &usize| match self.request.sampling.order {
            Order::Confidence => choice(place).entropy(),
            _ => uniform(self.noise, [draft.draws[place], draft.row, place as u32, streams::APPEARS]),
        };
        hidden.sort_by_cached_key(|place| Bits(key(place)));
        hidden
    }

    /// As many as tell one another no more than the bound: the summed entropy without the largest is above the information that they share
    /// (Ben-Hamu et al. 2025, arXiv:2505.24857).
    fn unbound(&self, draft: &Draft<'_>, hidden: Vec<usize>, choice: &dyn Fn(usize) -> Choice) -> Vec<usize> {
        let mut ordered = self.ordered(draft, hidden, choice);
        let (mut sum, mut most) = (0.0, 0.0f64);
        let beyond = ordered.iter().position(|&place| {
            let entropy = choice(place).entropy();
            sum += entropy;
            most = most.max(entropy);
            sum - most > self.request.sampling.entropy_bound
        });
        ordered.truncate(beyond.unwrap_or(ordered.len()).max(1));
        ordered
    }

    /// Which of the tokens written so far are hidden again after a step, at most so many (Wang et al. 2025, arXiv:2503.00307).
    ///
    /// `cap` hides each with `min(share, sigma_max)`, `sigma_max = (1 - alpha_s) / alpha_t`. `conf` hides as many, with weights `exp(-psi)` of the
    /// probability `psi` that a token had when it was drawn; the paper's own weights make that one token a step at most.
    fn hidden_again(&self, draft: &Draft<'_>, seen: &[usize], [step, steps]: [usize; 2], most: usize) -> Vec<usize> {
        let sampling = &self.request.sampling;
        if sampling.remask == Remask::None || seen.is_empty() || step >= steps {
            return Vec::new();
        }
        let (before, after) = ((step - 1) as f64 / steps as f64, step as f64 / steps as f64);
        let largest = ((1.0 - after) / before).min(1.0);
        let weight = |place: usize| if sampling.remask == Remask::Conf { f64::from(-draft.confidence[place]).exp() } else { 1.0 };
        let mean = seen.iter().map(|&place| weight(place)).sum::<f64>() / seen.len() as f64;
        // Tokens that were drawn once more than hidden again have an address of their own in each step.
        let at = |place: usize| uniform(self.noise, [step as u32, draft.row, place as u32, streams::REMASK]);
        let is_chosen = |place: usize| at(place) < (sampling.remask_share * weight(place) / mean).min(largest);
        let mut chosen: Vec<usize> = seen.iter().copied().filter(|&place| is_chosen(place)).collect();
        chosen.sort_by_cached_key(|&place| Bits(at(place)));
        chosen.truncate(most);
        chosen
    }
}

/// A number in its order.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bits(f64);

impl Eq for Bits {}

impl PartialOrd for Bits {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bits {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}
