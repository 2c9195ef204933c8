//! Exact likelihoods and bounds of short sequences, by summing over everything.

use super::{
    bound::{cross_entropy, divergence},
    chain::Chain,
};
use crate::Error;

/// Most sequences that are summed over.
const MOST_SEQUENCES: usize = 1 << 12;

/// A discrete model of short sequences: a process, the prior of its last step, and `p(x0 | x_t)` of each token of `x_t`.
pub struct Model<'a, E> {
    /// The process.
    pub chain: &'a Chain,
    /// Prior of a token, `K` probabilities.
    pub prior: &'a [f64],
    /// Tokens of a sequence.
    pub tokens: usize,
    /// Classes of clean data, the first of the process's.
    pub data: usize,
    /// The estimate for a sequence at a time `t` of `1..=T`.
    pub estimate: E,
}

/// The variational bound of one sequence, in nats.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Divergence of the last marginal from the prior.
    pub prior: f64,
    /// Terms of the steps `t = T, .., 1`, the last of them the reconstruction.
    pub terms: Vec<f64>,
    /// Mean over `t` of the cross entropy of `x0` under the estimate: the auxiliary loss.
    pub cross_entropy: f64,
}

impl Bound {
    /// The bound itself.
    pub fn total(&self) -> f64 {
        self.prior + self.terms.iter().sum::<f64>()
    }
}

impl<E: Fn(&[usize], usize) -> Vec<Vec<f64>>> Model<'_, E> {
    fn sequences(&self, classes: usize) -> Result<Vec<Vec<usize>>, Error> {
        let count = (classes as f64).powi(self.tokens as i32);
        if count > MOST_SEQUENCES as f64 {
            return Err(Error::OutOfRange { name: "sequences", value: count, range: "at most 4096 to enumerate" });
        }
        let digit = |n: usize, i: usize| n / classes.pow((self.tokens - 1 - i) as u32) % classes;
        Ok((0..count as usize).map(|n| (0..self.tokens).map(|i| digit(n, i)).collect()).collect())
    }

    /// The bound of each sequence of `x0s` (Austin et al. 2021, eq. 1), its expectations exact.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if there are more than 4096 noised sequences; [`Error::Invalid`] for a sequence that does not fit.
    pub fn bounds(&self, x0s: &[Vec<usize>]) -> Result<Vec<Bound>, Error> {
        let (chain, steps) = (self.chain, self.chain.len());
        if x0s.iter().any(|x0| x0.len() != self.tokens || x0.iter().any(|&c| c >= self.data)) || self.data > chain.classes() {
            return Err(Error::Invalid { what: "sequence", reason: format!("it should have {} tokens below {}", self.tokens, self.data) });
        }
        let all = self.sequences(chain.classes())?;
        let mut bounds: Vec<Bound> = x0s
            .iter()
            .map(|x0| {
                let last = |&c: &usize| divergence(&chain.marginal(steps).row(c).iter().copied().collect::<Vec<_>>(), self.prior);
                Bound { prior: x0.iter().map(last).sum(), terms: Vec::with_capacity(steps), cross_entropy: 0.0 }
            })
            .collect();
        for t in (1..=steps).rev() {
            bounds.iter_mut().for_each(|b| b.terms.push(0.0));
            for xt in &all {
                let marginal = |x0: &[usize]| x0.iter().zip(xt).map(|(&a, &b)| chain.marginal(t)[(a, b)]).product::<f64>();
                if x0s.iter().all(|x0| marginal(x0) == 0.0) {
                    continue;
                }
                let estimate = (self.estimate)(xt, t);
                let reverse: Vec<_> = (0..self.tokens).map(|i| chain.reverse(&estimate[i], xt[i], t - 1, t)).collect();
                for (x0, bound) in x0s.iter().zip(&mut bounds) {
                    let weight = marginal(x0);
                    if weight == 0.0 {
                        continue;
                    }
                    let auxiliary: f64 = (0..self.tokens).map(|i| cross_entropy(&estimate[i], x0[i])).sum();
                    bound.cross_entropy += weight * auxiliary / steps as f64;
                    let of_token = |i: usize| match (t, chain.posterior(x0[i], xt[i], t - 1, t), &reverse[i]) {
                        (1, ..) => cross_entropy(&estimate[i], x0[i]),
                        (_, Some(q), Some(p)) => divergence(&q, p),
                        _ => f64::INFINITY,
                    };
                    bound.terms[steps - t] += weight * (0..self.tokens).map(of_token).sum::<f64>();
                }
            }
        }
        Ok(bounds)
    }

    /// `-ln p(x0)` of every sequence of data classes, the last token changing fastest: the sum over all chains.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if there are more than 4096 sequences.
    pub fn negative_log_likelihoods(&self) -> Result<Vec<f64>, Error> {
        let (chain, steps) = (self.chain, self.chain.len());
        let classes = chain.classes();
        let all = self.sequences(classes)?;
        let mut p: Vec<f64> = all.iter().map(|x| x.iter().map(|&c| self.prior[c]).product()).collect();
        for t in (1..=steps).rev() {
            let mut next = vec![0.0; all.len()];
            for (x, &weight) in all.iter().zip(&p) {
                if weight == 0.0 {
                    continue;
                }
                let estimate = (self.estimate)(x, t);
                // A token that cannot be reached makes the whole chain impossible.
                let reverse: Option<Vec<_>> = (0..self.tokens).map(|i| chain.reverse(&estimate[i], x[i], t - 1, t)).collect();
                let Some(reverse) = reverse else { continue };
                for (y, next) in all.iter().zip(&mut next) {
                    *next += weight * (0..self.tokens).map(|i| reverse[i][y[i]]).product::<f64>();
                }
            }
            p = next;
        }
        let of_data = all.iter().zip(p).filter(|(x, _)| x.iter().all(|&c| c < self.data));
        Ok(of_data.map(|(_, p)| -p.ln()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Form, kernel, schedule};
    use super::*;

    #[test]
    fn likelihoods_sum_to_one_and_bounds_lie_above() {
        let chain = Chain::new(schedule::linear(0.1, 0.9, 3).into_iter().map(|b| kernel::uniform(3, b)).collect(), Form::Product).unwrap();
        let estimate = |x: &[usize], t: usize| {
            let row = |i: usize| {
                let w: Vec<f64> = (0..3).map(|k| ((x[i] + k * t + 2 * x[1 - i]) as f64).sin().exp()).collect();
                let total: f64 = w.iter().sum();
                w.iter().map(|w| w / total).collect()
            };
            (0..2).map(row).collect()
        };
        let model = Model { chain: &chain, prior: &[1.0 / 3.0; 3], tokens: 2, data: 3, estimate };
        let nll = model.negative_log_likelihoods().unwrap();
        assert!((nll.iter().map(|n| (-n).exp()).sum::<f64>() - 1.0).abs() < 1e-12);
        let x0s = model.sequences(3).unwrap();
        for (nll, bound) in nll.iter().zip(model.bounds(&x0s).unwrap()) {
            assert!(bound.total() >= nll - 1e-12);
        }
        assert!(model.bounds(&[vec![0, 3]]).is_err());
    }

    /// The exact estimate of independent tokens makes the bound tight.
    #[test]
    fn the_bound_of_the_true_reverse_is_the_entropy() {
        let chain = Chain::new(schedule::linear(0.1, 0.9, 4).into_iter().map(|b| kernel::uniform(3, b)).collect(), Form::Mixture).unwrap();
        let truth = [0.2, 0.5, 0.3];
        let estimate = |x: &[usize], t: usize| {
            let joint: Vec<f64> = (0..3).map(|k| truth[k] * chain.marginal(t)[(k, x[0])]).collect();
            let total: f64 = joint.iter().sum();
            vec![joint.iter().map(|j| j / total).collect()]
        };
        let prior: Vec<f64> = (0..3).map(|j| (0..3).map(|i| truth[i] * chain.marginal(4)[(i, j)]).sum()).collect();
        let model = Model { chain: &chain, prior: &prior, tokens: 1, data: 3, estimate };
        let bounds = model.bounds(&[vec![0], vec![1], vec![2]]).unwrap();
        let mean: f64 = bounds.iter().zip(truth).map(|(b, p)| p * b.total()).sum();
        let entropy: f64 = truth.iter().map(|p| -p * p.ln()).sum();
        assert!((mean - entropy).abs() < 1e-12);
        let nll = model.negative_log_likelihoods().unwrap();
        assert!(nll.iter().zip(truth).all(|(n, p)| (n + p.ln()).abs() < 1e-12));
    }
}
