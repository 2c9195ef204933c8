//! Samplers against an oracle: a Markov chain whose every conditional is known exactly.

use std::{collections::BTreeMap, ops::ControlFlow};

use langevin_core::process::categorical::{Chain, Form, kernel, schedule};
use langevin_nn::Sampler as _;

use super::*;
use crate::{
    Result,
    config::{Order, Remask, Sampling},
    model::Conditions,
};

const K: usize = 3;
const START: [f64; K] = [0.5, 0.3, 0.2];
const MOVE: [[f64; K]; K] = [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.35, 0.05, 0.6]];
/// No memory at all: every token is drawn as the first.
const STILL: [[f64; K]; K] = [START; K];

/// Knows `p(token | all that is visible)`.
struct Oracle {
    moves: [[f64; K]; K],
    context: usize,
    chain: Option<Chain>,
}

impl Oracle {
    fn masking(moves: [[f64; K]; K], context: usize) -> Self {
        Self { moves, context, chain: None }
    }

    /// Forward and backward messages over the hidden tokens; `before` is the token left of them, if any.
    fn row(&self, before: Option<u32>, tokens: &[u32], label: Option<usize>) -> Vec<f32> {
        let is = |place: usize, class: usize| if tokens[place] as usize == K || tokens[place] as usize == class { 1.0 } else { 0.0 };
        let n = tokens.len();
        let mut forward = vec![[0.0; K]; n];
        let mut backward = vec![[1.0; K]; n];
        for place in 0..n {
            for class in 0..K {
                // What is known without the token itself.
                forward[place][class] = match (place, before) {
                    (0, None) => START[class],
                    (0, Some(before)) => self.moves[before as usize][class],
                    _ => (0..K).map(|from| forward[place - 1][from] * is(place - 1, from) * self.moves[from][class]).sum(),
                };
            }
        }
        for place in (0..n.saturating_sub(1)).rev() {
            for class in 0..K {
                backward[place][class] = (0..K).map(|to| self.moves[class][to] * is(place + 1, to) * backward[place + 1][to]).sum();
            }
        }
        // A label makes its own class more likely.
        let tilt = |class: usize| if label == Some(class) { 2f64.ln() } else { 0.0 };
        let all = (0..n).flat_map(|place| (0..K).map(move |class| (place, class)));
        all.map(|(place, class)| ((forward[place][class] * backward[place][class]).ln() + tilt(class)) as f32).collect()
    }

    fn all(&self, before: &[Option<u32>], tokens: &[u32], conditions: Conditions<'_>) -> Vec<f32> {
        let length = tokens.len() / conditions.labels.len();
        let rows = tokens.chunks(length).zip(before).zip(conditions.labels);
        rows.flat_map(|((row, before), label)| self.row(*before, row, *label)).collect()
    }
}

impl Predict for Oracle {
    /// Tokens of each row.
    type Cache = Vec<Vec<u32>>;

    fn classes(&self) -> usize {
        K
    }

    fn context(&self) -> usize {
        self.context
    }

    fn whole(&self, tokens: &[u32], conditions: Conditions<'_>) -> Vec<f32> {
        assert!(tokens.len() <= conditions.labels.len() * self.context, "no window is longer than the context");
        if let (Some(chain), [share, ..]) = (&self.chain, conditions.times) {
            // Tokens without memory: Bayes' rule for each of them.
            let t = (share * chain.len() as f32).round() as usize;
            return tokens.iter().flat_map(|&x| (0..K).map(move |c| (START[c] * chain.marginal(t)[(c, x as usize)]).ln() as f32)).collect();
        }
        self.all(&vec![None; conditions.labels.len()], tokens, conditions)
    }

    fn cache(&self, rows: usize) -> Self::Cache {
        vec![Vec::new(); rows]
    }

    fn after(&self, cache: &Self::Cache, tokens: &[u32], conditions: Conditions<'_>) -> Vec<f32> {
        assert!(cache[0].len() + tokens.len() / cache.len() <= self.context, "a cache and a block fit into the context");
        self.all(&cache.iter().map(|row| row.last().copied()).collect::<Vec<_>>(), tokens, conditions)
    }

    fn push(&self, cache: &mut Self::Cache, tokens: &[u32], _: Conditions<'_>) {
        assert!(tokens.iter().all(|&token| (token as usize) < K), "only clean tokens are kept");
        let length = tokens.len() / cache.len();
        cache.iter_mut().zip(tokens.chunks(length)).for_each(|(row, own)| row.extend(own));
    }

    fn chain(&self) -> Result<Option<Chain>> {
        Ok(self.chain.clone())
    }

    fn blocks(&self) -> Vec<usize> {
        vec![0, 1, 4]
    }

    fn labels(&self) -> usize {
        K
    }
}

fn request(sampling: Sampling) -> Request {
    Request { sampling, label: None, seed: 5 }
}

fn draw(oracle: &Oracle, pattern: &Pattern, request: Request, count: u32) -> Vec<Written> {
    let patterns = [pattern.clone()];
    let writing = Writing::new(oracle, &patterns, 0, request).unwrap();
    (0..count)
        .map(|row| match writing.sample(row..row + 1, &|| ControlFlow::Continue(())) {
            ControlFlow::Continue(mut written) => writing.finish(row, written.remove(0)),
            ControlFlow::Break(()) => unreachable!("nobody stops it"),
        })
        .collect()
}

fn probability(moves: &[[f64; K]; K], text: &[u32]) -> f64 {
    text.windows(2).fold(START[text[0] as usize], |p, pair| p * moves[pair[0] as usize][pair[1] as usize])
}

/// Chi-square of samples against the distribution of texts that agree with what is given, as standard deviations from its mean.
fn surprise(moves: &[[f64; K]; K], given: &[u32], written: &[Written]) -> f64 {
    let mut counts: BTreeMap<Vec<u32>, f64> = BTreeMap::new();
    for sample in written {
        assert!(sample.tokens.iter().zip(given).all(|(token, given)| *given == K as u32 || token == given), "what is given stays");
        *counts.entry(sample.tokens.clone()).or_default() += 1.0;
    }
    let all =
        (0..K.pow(given.len() as u32)).map(|k| (0..given.len()).map(|place| (k / K.pow(place as u32) % K) as u32).collect::<Vec<_>>());
    let fits = |text: &Vec<u32>| text.iter().zip(given).all(|(token, given)| *given == K as u32 || token == given);
    let expected: Vec<(Vec<u32>, f64)> = all.filter(fits).map(|text| (text.clone(), probability(moves, &text))).collect();
    let total: f64 = expected.iter().map(|(_, p)| p).sum();
    let terms = expected.iter().map(|(text, p)| {
        let mean = p / total * written.len() as f64;
        (counts.get(text).copied().unwrap_or(0.0) - mean).powi(2) / mean
    });
    let freedom = expected.len() as f64 - 1.0;
    (terms.sum::<f64>() - freedom) / (2.0 * freedom).sqrt()
}

const HIDDEN: u32 = K as u32;

#[test]
fn every_order_draws_the_texts_of_the_chain() {
    let exact = Sampling { steps: 100, ..Sampling::default() };
    let bound = Sampling { steps: 0, entropy_bound: 0.0, ..exact };
    for (context, sampling) in [
        (8, exact),
        (8, Sampling { order: Order::Confidence, ..exact }),
        (8, Sampling { order: Order::LeftToRight, ..exact }),
        (8, bound),
        (8, Sampling { order: Order::Confidence, ..bound }),
        (8, Sampling { block: 1, ..exact }),
        (4, Sampling { block: 1, ..exact }),
        (8, Sampling { block: 2, ..exact }),
        (4, Sampling { block: 2, ..exact }),
        (8, Sampling { block: 4, ..exact }),
    ] {
        let oracle = Oracle::masking(MOVE, context);
        let given = [HIDDEN; 5];
        let written = draw(&oracle, &Pattern::of(&given, HIDDEN).unwrap(), request(sampling), 12_000);
        let off = surprise(&MOVE, &given, &written);
        assert!(off.abs() < 4.0, "{sampling:?}: {off}");
    }
}

/// Both at once would forget that neighbours know each other, which the test above would have to notice.
#[test]
fn the_histogram_notices_tokens_that_do_not_see_one_another() {
    let given = [HIDDEN; 5];
    let written = draw(
        &Oracle::masking(MOVE, 8),
        &Pattern::of(&given, HIDDEN).unwrap(),
        request(Sampling { steps: 1, ..Sampling::default() }),
        12_000,
    );
    assert!(surprise(&MOVE, &given, &written) > 50.0 && written[0].evaluations == 1);
}

#[test]
fn what_is_given_stays_and_is_used() {
    let given = [HIDDEN, 2, HIDDEN, HIDDEN, 1, HIDDEN];
    for order in [Order::Random, Order::Confidence, Order::LeftToRight] {
        let sampling = Sampling { steps: 100, order, ..Sampling::default() };
        let written = draw(&Oracle::masking(MOVE, 8), &Pattern::of(&given, HIDDEN).unwrap(), request(sampling), 8000);
        let off = surprise(&MOVE, &given, &written);
        assert!(off.abs() < 4.0 && written[0].evaluations == 4, "{order:?}: {off}");
        assert!(written.iter().all(|w| w.confidence[1] == 1.0 && w.confidence[0] < 1.0));
    }
}

/// Tokens without memory are drawn exactly in any number of steps, hidden again or not, and by a chain of classes in fewer steps than it has.
#[test]
fn remasking_and_chains_keep_the_distribution() {
    let given = [HIDDEN, 1, HIDDEN, HIDDEN, HIDDEN];
    let pattern = Pattern::of(&given, HIDDEN).unwrap();
    for remask in [Remask::Cap, Remask::Conf] {
        let sampling = Sampling { steps: 9, remask, remask_share: 0.4, ..Sampling::default() };
        let written = draw(&Oracle::masking(STILL, 8), &pattern, request(sampling), 8000);
        let off = surprise(&STILL, &given, &written);
        assert!(off.abs() < 4.0, "{remask:?}: {off}");
        assert!(written.iter().any(|w| w.evaluations > 4), "tokens are drawn again");
    }
    for absorbing in [false, true] {
        let step = |rate: f64| {
            if absorbing {
                return kernel::absorbing(K + 1, K, rate);
            }
            let mut all = nalgebra::DMatrix::identity(K + 1, K + 1);
            all.view_mut((0, 0), (K, K)).copy_from(&kernel::uniform(K, rate));
            all
        };
        let rates = if absorbing { schedule::inverse_time(12) } else { schedule::cosine(0.008, 0.999, 12) };
        let chain = Chain::new(rates.into_iter().map(step).collect(), Form::Mixture).unwrap();
        let oracle = Oracle { moves: STILL, context: 8, chain: Some(chain) };
        let written = draw(&oracle, &pattern, request(Sampling { steps: 5, ..Sampling::default() }), 8000);
        let off = surprise(&STILL, &given, &written);
        assert!(off.abs() < 4.0 && written[0].evaluations == 5, "{absorbing}: {off}");
    }
}

/// With as many tokens as matter in sight, neither windows nor a cache that slides change a byte.
#[test]
fn long_texts_do_not_depend_on_the_context() {
    let pattern = Pattern::beginning(vec![2, 0], 41).unwrap();
    for block in [1, 2, 4] {
        let sampling = Sampling { block, steps: 100, ..Sampling::default() };
        let texts = |context| draw(&Oracle::masking(MOVE, context), &pattern, request(sampling), 3);
        let (short, long) = (texts(8), texts(64));
        for (short, long) in short.iter().zip(&long) {
            assert_eq!(short.tokens, long.tokens);
            assert!(short.evaluations > long.evaluations && short.evaluations < 3 * long.evaluations);
        }
    }
    let sampling = Sampling { order: Order::LeftToRight, steps: 100, ..Sampling::default() };
    let texts = |context| draw(&Oracle::masking(MOVE, context), &pattern, request(sampling), 3);
    for (short, long) in texts(8).iter().zip(&texts(64)) {
        assert_eq!(short.tokens, long.tokens);
        assert_eq!(short.tokens[..2], [2, 0]);
    }
}

#[test]
fn guidance_constraints_and_temperature() {
    let pattern = Pattern::of(&[HIDDEN], HIDDEN).unwrap();
    let share = |request: Request, pattern: &Pattern, class: u32| {
        let written = draw(&Oracle::masking(MOVE, 8), pattern, request, 4000);
        written.iter().filter(|w| w.tokens[0] == class).count() as f64 / 4000.0
    };
    let plain = request(Sampling::default());
    assert!((share(plain, &pattern, 2) - 0.2).abs() < 0.03);
    // A label doubles its odds; guidance of 3 makes that eight times.
    for (guidance, odds) in [(1.0, 2.0), (3.0, 8.0)] {
        let wanted = Request { label: Some(2), sampling: Sampling { guidance, ..Sampling::default() }, ..plain };
        assert!((share(wanted, &pattern, 2) - 0.2 * odds / (0.2 * odds + 0.8)).abs() < 0.03);
    }
    let greedy = request(Sampling { temperature: 0.0, ..Sampling::default() });
    assert_eq!(share(greedy, &pattern, 0), 1.0);
    let mut only = pattern.clone();
    only.allow(0, &[false, true, true]).unwrap();
    assert!((share(plain, &only, 1) - 0.6).abs() < 0.03);
    assert_eq!(share(greedy, &only, 1), 1.0);
}

/// The length of a gap is drawn by the likelihood of what follows it, summed over all that may stand in it.
#[test]
fn lengths_follow_from_what_is_right_of_a_gap() {
    let pattern = Pattern::new(vec![Piece::Given(vec![2]), Piece::Gap(1..=3), Piece::Given(vec![1, 1])]).unwrap();
    let written = draw(&Oracle::masking(MOVE, 16), &pattern, request(Sampling { steps: 100, ..Sampling::default() }), 6000);
    let reach = |length: usize| {
        let mut state = MOVE[2];
        for _ in 0..length {
            state = std::array::from_fn(|to| (0..K).map(|from| state[from] * MOVE[from][to]).sum());
        }
        state[1]
    };
    let total: f64 = (1..=3).map(reach).sum();
    for length in 1..=3 {
        let share = written.iter().filter(|w| w.tokens.len() == length + 3).count() as f64 / 6000.0;
        assert!((share - reach(length) / total).abs() < 0.03, "{length}: {share}");
    }
    assert!(written.iter().all(|w| w.tokens[0] == 2 && w.tokens.ends_with(&[1, 1]) && !w.tokens.contains(&HIDDEN)));
}

#[test]
fn requests_that_a_model_cannot_answer_are_refused() {
    let oracle = Oracle::masking(MOVE, 8);
    let patterns = [Pattern::of(&[HIDDEN], HIDDEN).unwrap()];
    let refused = |request: Request, words: &str| {
        let error = Writing::new(&oracle, &patterns, 0, request).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    let with = |sampling: Sampling| request(sampling);
    refused(with(Sampling { block: 3, ..Sampling::default() }), "full, 1, 4");
    assert!([0, 1, 2, 4, 8].iter().all(|size| oracle.knows(*size)) && ![3, 5, 16].iter().any(|size| oracle.knows(*size)));
    refused(with(Sampling { guidance: 2.0, ..Sampling::default() }), "label");
    refused(with(Sampling { steps: 0, remask: Remask::Cap, ..Sampling::default() }), "remask");
    refused(with(Sampling { top_p: 0.0, ..Sampling::default() }), "top_p");
    refused(Request { label: Some(3), ..request(Sampling::default()) }, "label");
}
