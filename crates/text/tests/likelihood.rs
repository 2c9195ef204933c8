//! Likelihoods against what is known exactly.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

use burn::tensor::Device;
use langevin_core::{
    Philox,
    process::categorical::{Chain, absorbing},
};
use langevin_text::{
    Corpus, Tokenizer,
    config::{BlockShare, ChainSpec, KernelSpec, ProcessSpec, RateSpec, ReverseSpec, TextConfig},
    task::likelihood::{Bits, Bound, Estimator, Likelihood, Measure, Query, Window, parts, windows},
};

const CLASSES: usize = 27;
const HIDDEN: u32 = 27;

fn config(context: usize) -> TextConfig {
    let share = |size: usize| BlockShare { size, share: 1.0 };
    TextConfig { context, blocks: vec![share(0)], ..TextConfig::default() }
}

/// Rows of probabilities for each row of a query, as the estimate of a network.
fn rows(query: Query<'_>, of: impl Fn(&[u32], &[u32]) -> Vec<Vec<f64>>) -> Vec<f32> {
    let length = query.clean.len() / query.conditions.labels.len();
    let both = query.noised.chunks(length).zip(query.clean.chunks(length));
    both.flat_map(|(noised, clean)| of(noised, clean)).flatten().map(|p| p.ln() as f32).collect()
}

/// The exact posterior of a Markov chain of three states, given what each block may see.
#[derive(Debug)]
struct Oracle;

const START: [f64; 3] = [0.5, 0.3, 0.2];
const STEP: [[f64; 3]; 3] = [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.4, 0.5, 0.1]];

impl Oracle {
    /// Forward and backward messages over tokens of which hidden ones may be anything.
    fn posterior(seen: &[u32]) -> Vec<Vec<f64>> {
        let n = seen.len();
        let may = |i: usize, k: usize| if seen[i] == HIDDEN || seen[i] as usize == k { 1.0 } else { 0.0 };
        let (mut before, mut after) = (vec![[0.0; 3]; n], vec![[1.0; 3]; n]);
        for i in 0..n {
            for k in 0..3 {
                before[i][k] = if i == 0 { START[k] } else { (0..3).map(|j| before[i - 1][j] * may(i - 1, j) * STEP[j][k]).sum() };
            }
        }
        for i in (0..n - 1).rev() {
            for k in 0..3 {
                after[i][k] = (0..3).map(|j| STEP[k][j] * may(i + 1, j) * after[i + 1][j]).sum();
            }
        }
        let row = |i: usize| {
            let mut p = vec![0.0; CLASSES];
            (0..3).for_each(|k| p[k] = before[i][k] * after[i][k]);
            let total: f64 = p.iter().sum();
            p.iter().map(|p| p / total).collect()
        };
        (0..n).map(row).collect()
    }
}

impl Estimator for Oracle {
    fn estimate(&self, query: Query<'_>) -> Vec<f32> {
        rows(query, |noised, clean| {
            let blocks = (0..clean.len()).step_by(query.block);
            let of_block = |first: usize| {
                let end = (first + query.block).min(clean.len());
                let mut seen = clean[..first].to_vec();
                seen.extend(&noised[first..end]);
                Self::posterior(&seen)[first..].to_vec()
            };
            blocks.flat_map(of_block).collect()
        })
    }
}

fn markov(count: usize, length: usize) -> Vec<Window> {
    let noise = Philox::new(11);
    let draw = |p: &[f64; 3], u: f64| u32::from(u >= p[0]) + u32::from(u >= p[0] + p[1]);
    let window = |place: u32| {
        let mut tokens: Vec<u32> = Vec::new();
        for i in 0..length {
            let row = tokens.last().map_or(&START, |&last| &STEP[last as usize]);
            tokens.push(draw(row, noise.uniform(place, i as u32, 0)));
        }
        Window { place, start: 0, tokens, label: None }
    };
    (0..count as u32).map(window).collect()
}

/// `-ln p` of a sequence.
fn exact(tokens: &[u32]) -> f64 {
    let steps: f64 = tokens.windows(2).map(|w| -STEP[w[0] as usize][w[1] as usize].ln()).sum();
    steps - START[tokens[0] as usize].ln()
}

fn measure(bound: Bound, block: usize, strata: usize) -> Measure {
    Measure { bound, block, strata, seed: 5 }
}

#[test]
fn the_oracle_bound_is_the_entropy_rate() {
    let (count, length) = (600, 12);
    let windows = markov(count, length);
    let entropy = windows.iter().map(|w| exact(&w.tokens)).sum::<f64>() / (count * length) as f64 / std::f64::consts::LN_2;
    for (bound, block, strata) in
        [(Bound::Nelbo, 0, 4), (Bound::Nelbo, 4, 3), (Bound::Nelbo, 1, 7), (Bound::LeftToRight, 0, 1), (Bound::RandomOrder, 6, 1)]
    {
        let likelihood = Likelihood::new(&Oracle, &config(length), &Device::flex(), measure(bound, block, strata)).unwrap();
        let scores = likelihood.scores(&windows).unwrap();
        let bits = Bits::of(&scores);
        let noise = scores.iter().zip(&windows).map(|(s, w)| (s.nats - exact(&w.tokens)).powi(2)).sum::<f64>().sqrt();
        let error = noise / (count * length) as f64 / std::f64::consts::LN_2;
        // Against the entropy of these very sequences: what is left is the noise of the masks, which exact orders have none of.
        assert!((bits.bits_per_char - entropy).abs() < 5.0 * error + 1e-6, "{bound} {block}: {} {entropy} {error}", bits.bits_per_char);
        if bound != Bound::Nelbo || block == 1 {
            assert!(error < 1e-6, "{bound} {block}: {error}");
        }
        assert_eq!((bits.characters, bits.windows), (count * length, count));
        assert!((bits.perplexity.log2() - bits.bits_per_char).abs() < 1e-12);
    }
}

/// Probabilities that depend on every visible token, not those of any distribution of sequences.
#[derive(Debug)]
struct Inconsistent;

impl Inconsistent {
    fn rows(seen: &[u32]) -> Vec<Vec<f64>> {
        let context: f64 = seen.iter().enumerate().map(|(i, &c)| f64::from(c) * (1.0 + i as f64)).sum();
        let row = |i: usize| {
            let w: Vec<f64> = (0..CLASSES).map(|k| (2.0 * (context + 1.3 * i as f64 + k as f64).sin()).exp()).collect();
            let total: f64 = w.iter().sum();
            w.iter().map(|w| w / total).collect()
        };
        (0..seen.len()).map(row).collect()
    }
}

impl Estimator for Inconsistent {
    fn estimate(&self, query: Query<'_>) -> Vec<f32> {
        rows(query, |noised, _| Self::rows(noised))
    }
}

#[test]
fn strata_and_orders_average_to_the_sum_over_all_patterns() {
    let tokens = [3u32, 0, 17, 8, 8];
    let bound = absorbing::continuous_bound(&tokens, HIDDEN, Inconsistent::rows).unwrap();
    let windows: Vec<Window> = (0..4000).map(|place| Window { place, start: 0, tokens: tokens.to_vec(), label: None }).collect();
    let config = TextConfig { context: 10, ..config(10) };
    let scores = |bound, strata| {
        let likelihood = Likelihood::new(&Inconsistent, &config, &Device::flex(), measure(bound, 0, strata)).unwrap();
        likelihood.scores(&windows).unwrap().into_iter().map(|s| s.nats).collect::<Vec<f64>>()
    };
    let mut spread = Vec::new();
    for (kind, strata) in [(Bound::Nelbo, 1), (Bound::Nelbo, 5), (Bound::RandomOrder, 1)] {
        let nats = scores(kind, strata);
        let mean = nats.iter().sum::<f64>() / nats.len() as f64;
        let variance = nats.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / nats.len() as f64;
        let error = (variance / nats.len() as f64).sqrt();
        assert!(error > 0.0 && (mean - bound).abs() < 5.0 * error, "{kind} {strata}: {mean} {bound} {error}");
        spread.push(variance);
    }
    assert!(spread[1] < spread[0] / 4.0, "strata should spare variance: {spread:?}");
    // From left to right there is one order.
    let l2r = scores(Bound::LeftToRight, 1);
    let chain = absorbing::autoregressive_bound(&tokens, HIDDEN, Inconsistent::rows);
    assert!(l2r.iter().all(|nats| (nats - chain).abs() < 1e-4), "{} {chain}", l2r[0]);
}

/// The exact posterior of independent tokens under a chain: its bound is their entropy.
#[derive(Debug)]
struct Independent {
    chain: Chain,
}

fn share(class: usize) -> f64 {
    let total: f64 = (0..CLASSES).map(|k| 1.0 / (1.0 + k as f64)).sum();
    1.0 / (1.0 + class as f64) / total
}

impl Estimator for Independent {
    fn estimate(&self, query: Query<'_>) -> Vec<f32> {
        let length = query.clean.len() / query.conditions.labels.len();
        let row = |i: usize| {
            let t = (query.conditions.times[i / length] * self.chain.len() as f32).round() as usize;
            let seen = query.noised[i] as usize;
            let p: Vec<f64> = (0..CLASSES).map(|k| share(k) * self.chain.marginal(t)[(k, seen)]).collect();
            let total: f64 = p.iter().sum();
            p.into_iter().map(move |p| (p / total).ln() as f32).collect::<Vec<f32>>()
        };
        (0..query.noised.len()).flat_map(row).collect()
    }
}

#[test]
fn the_bound_of_a_chain_is_tight_for_its_posterior() {
    for (kernel, schedule) in [
        (KernelSpec::Uniform {}, RateSpec::Cosine {}),
        (KernelSpec::Absorbing {}, RateSpec::InverseTime {}),
        (KernelSpec::Band { width: 3 }, RateSpec::Linear { start: 0.1, end: 0.9 }),
    ] {
        // `Band` forgets slowly: the bound has the prior's part.
        let spec = ChainSpec { kernel, schedule, steps: 12, reverse: ReverseSpec::Bayes, ..ChainSpec::default() };
        let config = TextConfig { process: ProcessSpec::Chain(spec), ..config(8) };
        let chain = config.chain().unwrap().unwrap();
        let tokens: Vec<u32> = vec![0, 1, 0, 4, 2, 0, 12, 1];
        let truth: f64 = tokens.iter().map(|&c| -share(c as usize).ln()).sum();
        let last = chain.marginal(chain.len());
        let data = |j: usize| (0..CLASSES).map(|i| last[(i, j)]).sum::<f64>() / CLASSES as f64;
        let marginal = |j: usize| (0..CLASSES).map(|i| share(i) * last[(i, j)]).sum::<f64>();
        // What the prior misses: E ln(p_T / prior) for each token, 0 where the chain has forgotten.
        let missed = |&c: &u32| -> f64 {
            (0..=CLASSES).filter(|&j| last[(c as usize, j)] > 0.0).map(|j| last[(c as usize, j)] * (marginal(j) / data(j)).ln()).sum()
        };
        let expected = truth + tokens.iter().map(missed).sum::<f64>();
        let windows: Vec<Window> = (0..3000).map(|place| Window { place, start: 0, tokens: tokens.clone(), label: None }).collect();
        let oracle = Independent { chain };
        let likelihood = Likelihood::new(&oracle, &config, &Device::flex(), measure(Bound::Nelbo, 0, 4)).unwrap();
        assert_eq!(likelihood.steps(), Some(12));
        let nats: Vec<f64> = likelihood.scores(&windows).unwrap().iter().map(|s| s.nats).collect();
        let mean = nats.iter().sum::<f64>() / nats.len() as f64;
        let error = (nats.iter().map(|n| (n - mean).powi(2)).sum::<f64>()).sqrt() / nats.len() as f64;
        assert!((mean - expected).abs() < 5.0 * error + 1e-3, "{:?}: {mean} {expected} {error}", config.process);
    }
}

#[test]
fn scores_do_not_depend_on_company_and_wrong_requests_are_named() {
    let windows = markov(9, 12);
    let likelihood = Likelihood::new(&Inconsistent, &config(12), &Device::flex(), measure(Bound::Nelbo, 4, 3)).unwrap();
    let all = likelihood.scores(&windows).unwrap();
    let alone: Vec<_> = parts(&windows, 2).into_iter().flat_map(|part| likelihood.scores(part).unwrap()).collect();
    assert_eq!(all, alone);
    let refused = |config: &TextConfig, bound, block, strata| {
        Likelihood::new(&Inconsistent, config, &Device::flex(), measure(bound, block, strata)).unwrap_err().to_string()
    };
    assert!(refused(&config(12), Bound::Nelbo, 5, 1).contains("block should divide context = 12"));
    assert!(refused(&config(12), Bound::Nelbo, 4, 0).contains("stratified"));
    let chain = TextConfig { process: ProcessSpec::Chain(ChainSpec { steps: 4, ..ChainSpec::default() }), ..config(12) };
    assert!(refused(&chain, Bound::LeftToRight, 0, 1).contains("nelbo"));
    assert!(refused(&chain, Bound::Nelbo, 4, 1).contains("whole context"));
    assert!("l2r".parse::<Bound>().is_ok() && "elbo".parse::<Bound>().unwrap_err().to_string().contains("order:random"));
}

#[test]
fn windows_cover_a_corpus_or_are_spread_over_it() {
    let tokenizer = Tokenizer::new(&config(8).tokenizer).unwrap();
    let corpus = Corpus::from_text(&"abcdefghi ".repeat(10), &tokenizer).unwrap();
    let all = windows(&corpus, 8, None);
    assert_eq!(all.iter().map(|w| w.tokens.len()).sum::<usize>(), 100);
    assert_eq!((all.len(), parts(&all, 5).len(), all[12].tokens.len()), (13, 4, 4));
    let some = windows(&corpus, 8, Some(24));
    assert_eq!(some.len(), 4);
    assert!(some.iter().all(|w| w.tokens.len() == 8) && some[0].place == 0);
    assert_eq!(windows(&corpus, 8, Some(1)).len(), 1);
    assert_eq!(windows(&corpus, 8, Some(1000)), all);
}
