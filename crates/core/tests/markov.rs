//! Sampling sequences with a perfect denoiser: a first-order Markov chain whose `p(x0_i | x_t)` is known by forward-backward.
//!
//! A reverse step draws all tokens at once from their own `p(x_s,i | x_t)`, as if they were independent given `x_t`. They are not, so
//! that even a perfect denoiser samples wrongly in few steps, by an error that falls with their number. There is no such error where
//! one token moves at a time and the denoiser sees what the tokens before it have become: then the times of the tokens differ, which
//! forward-backward does not mind, and each draw is from its exact conditional. That is the reverse process itself in any number of
//! steps, and it is what is compared with the Markov chain here. Plain steps are exact in the limit of many; they are tried too.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use langevin_core::{
    Philox,
    process::{
        Process,
        categorical::{Chain, Form, kernel, schedule},
    },
};

const DATA: usize = 4;
const LENGTH: usize = 8;
const START: [f64; DATA] = [0.4, 0.3, 0.2, 0.1];
/// Strong couplings, and a step that never occurs.
const MOVES: [[f64; DATA]; DATA] = [[0.7, 0.2, 0.05, 0.05], [0.1, 0.1, 0.7, 0.1], [0.5, 0.0, 0.1, 0.4], [0.25, 0.25, 0.4, 0.1]];

/// What is wrong with the sampler or its denoiser.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    /// Forward-backward without its backward pass.
    OnlyForward,
    /// The denoiser is told the time of the step before.
    WrongTime,
    /// The denoiser of independent tokens with the right frequencies.
    Independent,
}

/// How a reverse step is made.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    OneByOne,
    AllAtOnce,
}

/// `p(x0_i | x)` for a sequence whose token `j` is at time `times[j]`.
fn estimate(chain: &Chain, x: &[u32], times: &[usize], i: usize, bug: Bug) -> Vec<f64> {
    let seen = |j: usize, c: usize| {
        let t = if bug == Bug::WrongTime { times[j].max(2) - 1 } else { times[j] };
        chain.marginal(t)[(c, x[j] as usize)]
    };
    let step = |p: [f64; DATA]| std::array::from_fn(|c| (0..DATA).map(|b| p[b] * MOVES[b][c]).sum::<f64>());
    let mut ahead = START;
    for j in 0..i {
        ahead = if bug == Bug::Independent { step(ahead) } else { step(std::array::from_fn(|c| ahead[c] * seen(j, c))) };
    }
    let mut behind = [1.0; DATA];
    if bug != Bug::OnlyForward && bug != Bug::Independent {
        for j in (i + 1..LENGTH).rev() {
            behind = std::array::from_fn(|c| (0..DATA).map(|d| MOVES[c][d] * seen(j, d) * behind[d]).sum::<f64>());
        }
    }
    let joint: Vec<f64> = (0..DATA).map(|c| ahead[c] * seen(i, c) * behind[c]).collect();
    let total: f64 = joint.iter().sum();
    // With an error planted, a sequence may come out that cannot be.
    joint.iter().map(|j| if total > 0.0 { j / total } else { 1.0 / DATA as f64 }).collect()
}

/// `n` sequences from the prior down to clean data. Token `i` of all of them moves in one call of the process.
fn sample(chain: &Chain, n: usize, order: Order, bug: Bug) -> Vec<Vec<u32>> {
    let philox = Philox::new(11);
    let flat = chain.prior(&vec![0; n * LENGTH], &philox);
    let mut x: Vec<Vec<u32>> = flat.chunks(LENGTH).map(<[u32]>::to_vec).collect();
    for t in (1..=chain.len()).rev() {
        let mut times = [t; LENGTH];
        let before = (order == Order::AllAtOnce).then(|| x.clone());
        for i in 0..LENGTH {
            let seen = before.as_ref().unwrap_or(&x);
            let estimates: Vec<Vec<f64>> = seen.iter().map(|x| estimate(chain, x, &times, i, bug)).collect();
            let column: Vec<u32> = x.iter().map(|x| x[i]).collect();
            let moved = Process::posterior(chain, &column, &estimates, t, t - 1, &philox, (t * LENGTH + i) as u32);
            x.iter_mut().zip(moved).for_each(|(x, c)| x[i] = c);
            if order == Order::OneByOne {
                times[i] = t - 1;
            }
        }
    }
    x
}

/// Probability of every sequence, the last token changing fastest.
fn probabilities() -> Vec<f64> {
    let digit = |n: usize, i: usize| n / DATA.pow((LENGTH - 1 - i) as u32) % DATA;
    let of = |n: usize| (1..LENGTH).fold(START[digit(n, 0)], |p, i| p * MOVES[digit(n, i - 1)][digit(n, i)]);
    (0..DATA.pow(LENGTH as u32)).map(of).collect()
}

fn index(x: &[u32]) -> usize {
    x.iter().fold(0, |n, &c| n * DATA + c as usize)
}

/// Pearson's statistic as a standard normal (Wilson & Hilferty 1931); infinite if something happened that cannot.
fn chi_square(probability: &[f64], counts: &[f64]) -> f64 {
    let n: f64 = counts.iter().sum();
    if probability.iter().zip(counts).any(|(p, c)| *p == 0.0 && *c > 0.0) {
        return f64::INFINITY;
    }
    let cells = || probability.iter().zip(counts).filter(|(p, _)| **p > 0.0);
    assert!(cells().all(|(p, _)| p * n > 5.0), "too few samples for a cell");
    let statistic: f64 = cells().map(|(p, c)| (c - p * n).powi(2) / (p * n)).sum();
    let variance = 2.0 / (9.0 * (cells().count() - 1) as f64);
    ((statistic / (cells().count() - 1) as f64).cbrt() - (1.0 - variance)) / variance.sqrt()
}

/// A standard normal is above this with probability 1e-3.
const LIMIT: f64 = 3.09;

/// The largest of the statistics of n-grams and whole sequences, as a standard normal.
fn worst(samples: &[Vec<u32>]) -> f64 {
    let exact = probabilities();
    let found: Vec<usize> = samples.iter().map(|x| index(x)).collect();
    // A statistic puts each sequence into one of some cells.
    let test = |cells: usize, cell: &dyn Fn(usize) -> usize| {
        let (mut p, mut counts) = (vec![0.0; cells], vec![0.0; cells]);
        exact.iter().enumerate().for_each(|(n, q)| p[cell(n)] += q);
        found.iter().for_each(|&n| counts[cell(n)] += 1.0);
        chi_square(&p, &counts)
    };
    let digit = |n: usize, i: usize| n / DATA.pow((LENGTH - 1 - i) as u32) % DATA;
    let mut all = Vec::new();
    for i in 0..LENGTH {
        all.push(test(DATA, &|n| digit(n, i)));
        for j in i + 1..LENGTH {
            all.push(test(DATA * DATA, &|n| digit(n, i) * DATA + digit(n, j)));
        }
    }
    // Whole sequences have too many cells; by their probability (a common sequence too often, a rare one too rarely) and by a hash.
    let rank = {
        let mut sorted: Vec<usize> = (0..exact.len()).filter(|&n| exact[n] > 0.0).collect();
        sorted.sort_by(|&a, &b| exact[b].total_cmp(&exact[a]));
        let mut rank = vec![CELLS; exact.len()];
        let mut below = 0.0;
        for n in sorted {
            rank[n] = ((below * CELLS as f64) as usize).min(CELLS - 1);
            below += exact[n];
        }
        rank
    };
    all.push(test(CELLS + 1, &|n| rank[n]));
    all.push(test(CELLS, &|n| (n as u32).wrapping_mul(0x9E37_79B1) as usize >> 20 & (CELLS - 1)));
    all.into_iter().fold(f64::NEG_INFINITY, f64::max)
}

/// Cells of the statistics of whole sequences.
const CELLS: usize = 64;

/// Chains that end in their prior exactly: in masks alone, and uniform.
fn absorbing(steps: usize) -> Chain {
    Chain::new(schedule::inverse_time(steps).into_iter().map(|b| kernel::absorbing(DATA + 1, DATA, b)).collect(), Form::Mixture).unwrap()
}

fn uniform(steps: usize, form: Form) -> Chain {
    Chain::new(schedule::inverse_time(steps).into_iter().map(|b| kernel::uniform(DATA, b)).collect(), form).unwrap()
}

const SAMPLES: usize = 20_000;

#[test]
fn one_token_at_a_time_is_exact_in_few_steps() {
    for steps in [1, 2, 6] {
        let (masks, noise) = (absorbing(steps), uniform(steps, Form::Mixture));
        for (name, chain) in [("absorbing", &masks), ("uniform", &noise)] {
            let z = worst(&sample(chain, SAMPLES, Order::OneByOne, Bug::None));
            assert!(z < LIMIT, "{name} in {steps} steps: {z}");
        }
    }
}

/// The error falls with the number of steps: seen at the sequences that cannot be, and in the statistics of the others.
#[test]
fn all_tokens_at_once_are_right_in_many_steps_alone() {
    let exact = probabilities();
    let run = |chain: &Chain| {
        let (possible, not): (Vec<_>, Vec<_>) =
            sample(chain, SAMPLES / 5, Order::AllAtOnce, Bug::None).into_iter().partition(|x| exact[index(x)] > 0.0);
        (not.len() as f64 / (SAMPLES / 5) as f64, worst(&possible))
    };
    let chains = [("absorbing", absorbing(4), absorbing(200)), ("uniform", uniform(4, Form::Mixture), uniform(200, Form::Mixture))];
    for (name, few, many) in chains {
        let ((lost_few, z_few), (lost_many, z_many)) = (run(&few), run(&many));
        assert!(lost_few > 0.01 && lost_many < 0.1 * lost_few, "{name}: {lost_few} {lost_many}");
        assert!(z_few > LIMIT && z_many < LIMIT, "{name}: {z_few} {z_many}");
    }
}

#[test]
fn planted_errors_are_noticed() {
    let (masks, noise) = (absorbing(4), uniform(4, Form::Mixture));
    for (chain, bug) in [
        (&masks, Bug::OnlyForward),
        (&masks, Bug::Independent),
        (&noise, Bug::OnlyForward),
        (&noise, Bug::Independent),
        (&noise, Bug::WrongTime),
    ] {
        let z = worst(&sample(chain, SAMPLES, Order::OneByOne, bug));
        assert!(z > LIMIT, "{bug:?} of a chain of {} classes: {z}", chain.classes());
    }
    // The product form is another reverse step, except for masks.
    let z = worst(&sample(&uniform(4, Form::Product), SAMPLES, Order::OneByOne, Bug::None));
    assert!(z > LIMIT, "the product form: {z}");
}
