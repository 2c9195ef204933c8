//! Changing a text that is there: a share of it written anew, or what is unlikely in it.

use std::ops::ControlFlow;

use langevin_core::Philox;

use super::sample::{Choice, Pattern, Predict, streams, uniform};
use crate::{Error, Result, model::Conditions};

/// Every so many tokens one is hidden when a text is scored: its neighbours, which say most about it, are seen.
const COMB: usize = 8;
/// Most rounds of a repair.
const ROUNDS: usize = 6;

/// A pattern that hides a share of a text, drawn for a sample: `round(strength * length)` tokens, at least one.
///
/// # Errors
/// [`Error::Setting`] for an empty text or a strength that is not above 0 and at most 1.
pub fn edited(text: &[u32], hidden: u32, strength: f64, seed: u64, row: u32) -> Result<Pattern> {
    if !(strength > 0.0 && strength <= 1.0) {
        return Err(Error::Setting { name: "strength", reason: format!("should be above 0 and at most 1, but is {strength}") });
    }
    let noise = Philox::new(seed);
    let mut places: Vec<usize> = (0..text.len()).collect();
    let key = |place: usize| uniform(noise, [0, row, place as u32, streams::EDIT]);
    places.sort_by(|&a, &b| key(a).total_cmp(&key(b)));
    let mut tokens = text.to_vec();
    let count = ((strength * text.len() as f64).round() as usize).max(1);
    places.iter().take(count).for_each(|&place| tokens[place] = hidden);
    Pattern::of(&tokens, hidden)
}

/// A token that was replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Its place, counted from 0.
    pub place: usize,
    /// What stood there.
    pub from: u32,
    /// What stands there now.
    pub to: u32,
    /// Probability of what stood there, given the rest.
    pub from_probability: f64,
    /// Probability of what stands there now, given the rest.
    pub to_probability: f64,
}

/// A text and what was changed in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Repaired {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// What was changed, in the order of places.
    pub changes: Vec<Change>,
    /// Probability of each token given the others, at the end.
    pub confidence: Vec<f32>,
    /// Network evaluations.
    pub evaluations: usize,
}

/// Which tokens are replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RepairRequest {
    /// A token is doubtful when it is less likely than this, given the rest.
    pub threshold: f64,
    /// And replaced when another is so many times likelier.
    pub odds: f64,
    /// Label of the text.
    pub label: Option<usize>,
}

impl Default for RepairRequest {
    fn default() -> Self {
        Self { threshold: 0.01, odds: 100.0, label: None }
    }
}

/// Replaces tokens that the rest of the text makes unlikely, each by the likeliest one, length kept.
///
/// Every token is scored given the others, one of eight hidden at a time. Of doubtful tokens near one another only the one with the best odds is replaced in a
/// round, since a wrong token spoils the scores of its neighbours; then all are scored again, until nothing is doubtful.
///
/// # Errors
/// [`Error::Setting`] for settings out of range, an empty text, and a model that reverses a chain of classes. `observe` may stop it.
pub fn repair<P: Predict>(
    model: &P,
    text: &[u32],
    request: &RepairRequest,
    observe: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
) -> Result<ControlFlow<(), Repaired>> {
    let wrong = |name: &'static str, reason: &str| Err(Error::Setting { name, reason: reason.to_owned() });
    if !(request.threshold > 0.0 && request.threshold < 1.0) {
        return wrong("threshold", "should lie between 0 and 1");
    }
    if !(request.odds >= 1.0 && request.odds.is_finite()) {
        return wrong("odds", "should be 1 or more");
    }
    if text.is_empty() {
        return wrong("text", "should have a token or more, but is empty");
    }
    if model.chain()?.is_some() {
        return wrong(
            "checkpoint",
            "should be a model of hidden tokens: this one reverses a chain of classes, which gives no token's probability",
        );
    }
    let mut tokens = text.to_vec();
    let mut changes: Vec<Change> = Vec::new();
    let mut evaluations = 0;
    for round in 0.. {
        let ControlFlow::Continue(scores) = scored(model, &tokens, request.label, &mut evaluations, observe) else {
            return Ok(ControlFlow::Break(()));
        };
        let odds = |place: usize| scores[place].of(scores[place].likeliest()) / scores[place].of(tokens[place]).max(f64::MIN_POSITIVE);
        let mut doubtful: Vec<usize> =
            (0..tokens.len()).filter(|&place| scores[place].of(tokens[place]) < request.threshold && odds(place) >= request.odds).collect();
        // A place that was changed before and is doubtful again goes round in circles.
        doubtful.retain(|place| changes.iter().all(|change| change.place != *place));
        doubtful.sort_by(|&a, &b| odds(b).total_cmp(&odds(a)));
        if doubtful.is_empty() || round == ROUNDS {
            changes.sort_by_key(|change| change.place);
            let confidence = scores.iter().zip(&tokens).map(|(score, &token)| score.of(token) as f32).collect();
            return Ok(ControlFlow::Continue(Repaired { tokens, changes, confidence, evaluations }));
        }
        let mut taken: Vec<usize> = Vec::new();
        for place in doubtful {
            if taken.iter().any(|other| other.abs_diff(place) < COMB) {
                continue;
            }
            taken.push(place);
            let (from, to) = (tokens[place], scores[place].likeliest());
            changes.push(Change { place, from, to, from_probability: scores[place].of(from), to_probability: scores[place].of(to) });
        }
        for change in &changes {
            tokens[change.place] = change.to;
        }
    }
    unreachable!("the loop ends in the last round")
}

/// Probabilities at each place, given the others.
fn scored<P: Predict>(
    model: &P,
    tokens: &[u32],
    label: Option<usize>,
    evaluations: &mut usize,
    observe: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
) -> ControlFlow<(), Vec<Choice>> {
    let (context, classes) = (model.context().min(tokens.len()), model.classes());
    let mut scores: Vec<Choice> = Vec::with_capacity(tokens.len());
    while scores.len() < tokens.len() {
        // Windows overlap by half, and score what lies in their middle or has nothing beyond it.
        let start = scores.len().saturating_sub(context / 4).min(tokens.len() - context);
        let end = if start + context == tokens.len() { tokens.len() } else { start + context - context / 4 };
        let mut own: Vec<Option<Choice>> = vec![None; end - start];
        for tooth in 0..COMB {
            let mut shown = tokens[start..start + context].to_vec();
            let hidden: Vec<usize> = (tooth..context).step_by(COMB).collect();
            hidden.iter().for_each(|&k| shown[k] = classes as u32);
            if hidden.is_empty() {
                continue;
            }
            let logits = model.whole(&shown, Conditions { labels: &[label], times: &[] });
            *evaluations += 1;
            observe(tokens)?;
            for &k in hidden.iter().filter(|&&k| k < end - start) {
                own[k] = Some(Choice::new(&logits[k * classes..][..classes], None));
            }
        }
        scores.extend(own.into_iter().flatten().skip(scores.len() - start));
    }
    ControlFlow::Continue(scores)
}

#[cfg(test)]
mod tests {
    use langevin_core::process::categorical::Chain;

    use super::*;

    /// Knows that the alphabet 0, 1, 2 goes round: each token is the one before it and one more.
    struct Round;

    impl Predict for Round {
        type Cache = ();

        fn classes(&self) -> usize {
            3
        }

        fn context(&self) -> usize {
            24
        }

        fn whole(&self, tokens: &[u32], _: Conditions<'_>) -> Vec<f32> {
            let near = |place: usize, distance: usize| (place >= distance).then(|| (tokens[place - distance] + distance as u32) % 3);
            let after = |place: usize, distance: usize| tokens.get(place + distance).map(|&token| (token + 3 - distance as u32) % 3);
            let logit = |place: usize, class: u32| {
                let votes = [near(place, 1), near(place, 2), after(place, 1), after(place, 2)];
                4.0 * votes.iter().filter(|&&vote| vote == Some(class)).count() as f32
            };
            (0..tokens.len()).flat_map(|place| (0..3).map(move |class| logit(place, class))).collect()
        }

        fn cache(&self, _: usize) {}

        fn after(&self, (): &(), _: &[u32], _: Conditions<'_>) -> Vec<f32> {
            Vec::new()
        }

        fn push(&self, (): &mut (), _: &[u32], _: Conditions<'_>) {}

        fn chain(&self) -> Result<Option<Chain>> {
            Ok(None)
        }

        fn blocks(&self) -> Vec<usize> {
            vec![0]
        }

        fn labels(&self) -> usize {
            0
        }
    }

    #[test]
    fn wrong_tokens_are_found_and_replaced() {
        let right: Vec<u32> = (0..100).map(|k| k % 3).collect();
        let run = |text: &[u32]| {
            let ControlFlow::Continue(repaired) =
                repair(&Round, text, &RepairRequest::default(), &mut |_| ControlFlow::Continue(())).unwrap()
            else {
                unreachable!("nobody stops it")
            };
            repaired
        };
        assert_eq!(run(&right).changes, []);
        let mut wrong = right.clone();
        for place in [3, 30, 31, 77] {
            wrong[place] = (wrong[place] + 1) % 3;
        }
        let repaired = run(&wrong);
        assert_eq!(repaired.tokens, right);
        assert_eq!(repaired.changes.iter().map(|change| change.place).collect::<Vec<_>>(), [3, 30, 31, 77]);
        assert!(repaired.changes.iter().all(|change| change.to_probability > 100.0 * change.from_probability));
        assert!(repair(&Round, &[], &RepairRequest::default(), &mut |_| ControlFlow::Continue(())).is_err());
        assert_eq!(run(&[1]).tokens, [1]);
    }

    #[test]
    fn edits_hide_the_share_asked_for() {
        let text = [1u32; 40];
        let hidden = |strength: f64, row: u32| {
            let tokens = edited(&text, 9, strength, 1, row).unwrap().tokens(&[], 9);
            (0..40).filter(|&place| tokens[place] == 9).collect::<Vec<usize>>()
        };
        assert_eq!((hidden(0.3, 0).len(), hidden(1.0, 0).len(), hidden(0.001, 0).len()), (12, 40, 1));
        assert_ne!(hidden(0.3, 0), hidden(0.3, 1));
        // A stronger edit hides what a weaker one hides, and more.
        assert!(hidden(0.3, 0).iter().all(|place| hidden(0.6, 0).contains(place)));
        assert!(edited(&text, 9, 0.0, 1, 0).is_err() && edited(&[], 9, 0.5, 1, 0).is_err());
    }
}
