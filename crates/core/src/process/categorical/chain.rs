//! A discrete noise process: marginals, posteriors, and the reverse steps that an estimate of the clean data makes.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::{Error, NoiseSource, noise::stream, process::Process};

/// How an estimate `p(x0 | x_t)` makes a reverse step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// `q(x_t | x_{t-1}) sum_x0 q(x_{t-1} | x0) p(x0 | x_t)`, normalised: the official code of D3PM.
    #[default]
    Product,
    /// `sum_x0 q(x_{t-1} | x_t, x0) p(x0 | x_t)`: the paper's eq. 4, exact where the estimate is.
    Mixture,
}

/// A process of `T` steps over `K` classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// `Q_1 .. Q_T`.
    steps: Vec<DMatrix<f64>>,
    /// `I, Q_1, Q_1 Q_2, ..`: `T + 1` matrices.
    products: Vec<DMatrix<f64>>,
    /// How reverse steps are made.
    pub form: Form,
}

/// Most entries of all matrices together: a bound on what a file can make us allocate.
const MOST_ENTRIES: usize = 1 << 28;

impl Chain {
    /// A chain from its row-stochastic matrices.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none, they are not square and of one size, an entry is not a probability or a row does not
    /// sum to 1.
    pub fn new(steps: Vec<DMatrix<f64>>, form: Form) -> Result<Self, Error> {
        let invalid = |reason: String| Error::Invalid { what: "discrete process", reason };
        let classes = steps.first().map_or(0, DMatrix::nrows);
        if classes == 0 || classes.saturating_mul(classes).saturating_mul(steps.len()) > MOST_ENTRIES {
            return Err(invalid(format!("{} steps of {classes} classes", steps.len())));
        }
        for (t, q) in steps.iter().enumerate() {
            if q.nrows() != classes || q.ncols() != classes {
                return Err(invalid(format!("step {} is {} by {}, not {classes} by {classes}", t + 1, q.nrows(), q.ncols())));
            }
            let bad = q.iter().any(|p| !(0.0..=1.0 + 1e-12).contains(p)) || q.row_iter().any(|r| (r.sum() - 1.0).abs() > 1e-9);
            if bad {
                return Err(invalid(format!("the rows of step {} are not probabilities that sum to 1", t + 1)));
            }
        }
        let mut products = vec![DMatrix::identity(classes, classes)];
        for q in &steps {
            products.push(&products[products.len() - 1] * q);
        }
        Ok(Self { steps, products, form })
    }

    /// Number of classes `K`, a mask included.
    pub fn classes(&self) -> usize {
        self.products[0].nrows()
    }

    /// Number of steps `T`.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Always false: a chain has at least one step.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// `Q_t`, for `t` in `1..=T`.
    ///
    /// # Panics
    /// For other times.
    pub fn step(&self, t: usize) -> &DMatrix<f64> {
        &self.steps[t - 1]
    }

    /// `q(x_t = j | x0 = i)`, for `t` in `0..=T`.
    ///
    /// # Panics
    /// For other times.
    pub fn marginal(&self, t: usize) -> &DMatrix<f64> {
        &self.products[t]
    }

    /// `q(x_t = j | x_s = i)` for `s < t`.
    ///
    /// # Panics
    /// For times out of order or of range.
    pub fn between(&self, s: usize, t: usize) -> DMatrix<f64> {
        if s == 0 {
            return self.products[t].clone();
        }
        self.steps[s + 1..t].iter().fold(self.steps[s].clone(), |product, q| product * q)
    }

    /// `q(x_s | x_t, x0)` for `s < t` (Austin et al. 2021, eq. 3); none for a pair that cannot be.
    ///
    /// # Panics
    /// For times out of order or of range, or classes that do not exist.
    pub fn posterior(&self, x0: usize, xt: usize, s: usize, t: usize) -> Option<Vec<f64>> {
        let (before, total) = (&self.products[s], self.products[t][(x0, xt)]);
        if total == 0.0 {
            return None;
        }
        let step = self.forward(s, t);
        Some((0..self.classes()).map(|j| step[(j, xt)] * before[(x0, j)] / total).collect())
    }

    /// `p(x_s | x_t)` for `s < t` from `p(x0 | x_t)`, whose classes are the first of the chain's (a mask beyond them has probability 0).
    ///
    /// At `s = 0` it is the estimate itself. None for a state that no likely `x0` leads to.
    ///
    /// # Panics
    /// For times out of order or of range, or classes that do not exist.
    pub fn reverse(&self, estimate: &[f64], xt: usize, s: usize, t: usize) -> Option<Vec<f64>> {
        let (step, before, after) = (self.forward(s, t), &self.products[s], &self.products[t]);
        let data = estimate.len();
        let possible = (0..data).any(|x0| estimate[x0] * after[(x0, xt)] > 0.0);
        if s == 0 {
            let mut full = estimate.to_vec();
            full.resize(self.classes(), 0.0);
            return Some(full);
        }
        if !possible {
            return None;
        }
        let of_x0 = |x0: usize| match self.form {
            Form::Product => estimate[x0],
            Form::Mixture if after[(x0, xt)] > 0.0 => estimate[x0] / after[(x0, xt)],
            Form::Mixture => 0.0,
        };
        let weights: Vec<f64> = (0..data).map(of_x0).collect();
        let unnormalised = |j: usize| step[(j, xt)] * (0..data).map(|x0| weights[x0] * before[(x0, j)]).sum::<f64>();
        let mut probabilities: Vec<f64> = (0..self.classes()).map(unnormalised).collect();
        let total: f64 = probabilities.iter().sum();
        probabilities.iter_mut().for_each(|p| *p /= total);
        (total > 0.0).then_some(probabilities)
    }

    fn forward(&self, s: usize, t: usize) -> std::borrow::Cow<'_, DMatrix<f64>> {
        if s + 1 == t { std::borrow::Cow::Borrowed(&self.steps[s]) } else { std::borrow::Cow::Owned(self.between(s, t)) }
    }
}

/// Sequences of class indices, one sample a state (sample 0 of the source). Levels are times `0..=T`.
///
/// Steps whose state the estimate deems impossible keep their class.
impl Process for Chain {
    type State = Vec<u32>;
    /// `p(x0 | x)` of each token.
    type Estimate = Vec<Vec<f64>>;
    type Level = usize;

    fn corrupt(&self, x0: &Self::State, at: usize, noise: &dyn NoiseSource, node: u32) -> Self::State {
        let marginal = self.marginal(at);
        let rows = x0.iter().map(|&c| marginal.row(c as usize).iter().copied().collect());
        draw(rows, x0.len(), noise, node, stream::TRAIN)
    }

    fn prior(&self, like: &Self::State, noise: &dyn NoiseSource) -> Self::State {
        // The limit of the chain: the mean of its last rows, which are equal where the process has forgotten its start.
        let last = self.marginal(self.len());
        let mean: Vec<f64> = (0..self.classes()).map(|j| last.column(j).mean()).collect();
        draw(like.iter().map(|_| mean.clone()), like.len(), noise, 0, stream::PRIOR)
    }

    fn posterior(
        &self,
        x: &Self::State,
        estimate: &Self::Estimate,
        from: usize,
        to: usize,
        noise: &dyn NoiseSource,
        node: u32,
    ) -> Self::State {
        let stay = |c: usize| (0..self.classes()).map(|j| f64::from(j == c)).collect();
        let rows = x.iter().zip(estimate).map(|(&c, p)| self.reverse(p, c as usize, to, from).unwrap_or_else(|| stay(c as usize)));
        draw(rows, x.len(), noise, node, stream::STEP)
    }
}

/// One class from each row of probabilities; the rows are one sample, number 0.
fn draw(rows: impl Iterator<Item = Vec<f64>>, n: usize, noise: &dyn NoiseSource, node: u32, stream: u32) -> Vec<u32> {
    draw_rows(rows, n, noise, [0, node, stream])
}

/// One class from each of `n` rows of probabilities, by inversion of addressed uniforms, which are made of pairs of normals.
pub(super) fn draw_rows<R: AsRef<[f64]>>(
    rows: impl Iterator<Item = R>,
    n: usize,
    noise: &dyn NoiseSource,
    [sample, node, stream]: [u32; 3],
) -> Vec<u32> {
    let mut z = vec![0.0; 2 * n];
    noise.fill_f64(sample, node, stream, &mut z);
    let class = |(row, z): (R, &[f64])| {
        let row = row.as_ref();
        let mut left = (-0.5 * (z[0] * z[0] + z[1] * z[1])).exp();
        let last = row.iter().rposition(|&p| p > 0.0).unwrap_or(0);
        let chosen = row.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        chosen.unwrap_or(last) as u32
    };
    rows.zip(z.chunks(2)).map(class).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{kernel, schedule};
    use super::*;
    use crate::Philox;

    fn example(form: Form) -> Chain {
        let steps =
            schedule::linear(0.05, 0.4, 4).into_iter().enumerate().map(|(i, b)| kernel::mask_and_replace(4, 3, 0.1 + 0.1 * i as f64, b));
        Chain::new(steps.collect(), form).unwrap()
    }

    /// Bayes' rule on the joint distribution, by summing over whole paths.
    #[test]
    fn posteriors_follow_from_the_paths() {
        let chain = example(Form::Mixture);
        let k = chain.classes();
        let (s, t) = (1, 3);
        for x0 in 0..k {
            for xt in 0..k {
                let path =
                    |xs: usize| (0..k).map(|m| chain.step(1)[(x0, xs)] * chain.step(2)[(xs, m)] * chain.step(3)[(m, xt)]).sum::<f64>();
                let total: f64 = (0..k).map(path).sum();
                match chain.posterior(x0, xt, s, t) {
                    None => assert_eq!(total, 0.0),
                    Some(p) => p.iter().enumerate().for_each(|(j, p)| assert!((p - path(j) / total).abs() < 1e-14)),
                }
            }
        }
    }

    /// With the true `p(x0 | x_t)` the mixture form is the true reverse of the process.
    #[test]
    fn the_mixture_form_is_exact_for_the_exact_estimate() {
        let chain = example(Form::Mixture);
        let prior = [0.2, 0.5, 0.3];
        for t in 2..=4 {
            for xt in 0..4 {
                let joint: Vec<f64> = (0..3).map(|x0| prior[x0] * chain.marginal(t)[(x0, xt)]).collect();
                let total: f64 = joint.iter().sum();
                let estimate: Vec<f64> = joint.iter().map(|j| j / total).collect();
                let got = chain.reverse(&estimate, xt, t - 1, t).unwrap();
                for (j, got) in got.iter().enumerate() {
                    let exact = (0..3).map(|x0| prior[x0] * chain.marginal(t - 1)[(x0, j)]).sum::<f64>() * chain.step(t)[(j, xt)] / total;
                    assert!((got - exact).abs() < 1e-14);
                }
            }
        }
    }

    #[test]
    fn a_certain_estimate_gives_the_posterior_in_both_forms() {
        for form in [Form::Product, Form::Mixture] {
            let chain = example(form);
            for (xt, t) in [(0, 2), (1, 3), (3, 4)] {
                let got = chain.reverse(&[0.0, 1.0, 0.0], xt, t - 1, t).unwrap();
                let exact = chain.posterior(1, xt, t - 1, t).unwrap();
                assert!(got.iter().zip(&exact).all(|(g, e)| (g - e).abs() < 1e-14));
            }
            assert_eq!(chain.reverse(&[0.1, 0.6, 0.3], 3, 0, 1).unwrap(), [0.1, 0.6, 0.3, 0.0]);
        }
    }

    #[test]
    fn sampling_follows_the_probabilities() {
        let chain = example(Form::Product);
        let n = 60_000;
        let x0 = vec![1u32; n];
        let xt = Process::corrupt(&chain, &x0, 3, &Philox::new(4), 0);
        let back = Process::posterior(&chain, &xt, &vec![vec![0.0, 1.0, 0.0]; n], 3, 2, &Philox::new(4), 1);
        for class in 0..4 {
            for (sample, t) in [(&xt, 3), (&back, 2)] {
                let share = sample.iter().filter(|&&c| c == class).count() as f64 / n as f64;
                let p = chain.marginal(t)[(1, class as usize)];
                assert!((share - p).abs() < 5.0 * (p * (1.0 - p) / n as f64).sqrt(), "{class} {share} {p}");
            }
        }
        assert_eq!(Process::corrupt(&chain, &x0[..5].to_vec(), 3, &Philox::new(4), 0), xt[..5]);
    }

    #[test]
    fn bad_matrices_are_refused() {
        let q = |v: &[f64]| DMatrix::from_row_slice(2, 2, v);
        assert!(Chain::new(vec![], Form::Product).is_err());
        assert!(Chain::new(vec![q(&[0.5, 0.4, 0.0, 1.0])], Form::Product).is_err());
        assert!(Chain::new(vec![q(&[1.5, -0.5, 0.0, 1.0])], Form::Product).is_err());
        assert!(Chain::new(vec![q(&[1.0, 0.0, 0.0, 1.0]), DMatrix::identity(3, 3)], Form::Product).is_err());
    }
}
