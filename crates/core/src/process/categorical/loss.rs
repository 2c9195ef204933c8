//! Training losses of D3PM on a device: the variational bound, the cross entropy, and their sum.
//!
//! The divergence of a step is formed from log-probabilities of `x0` without a division by its own estimate. With `w_i` the estimate
//! `p(x0 = i | x_t)` times the factor of the chain's form, and `R_j = sum_(i != x0) w_i q(x_(t-1) = j | i)` what the other classes
//! say, the factor `q(x_t | x_(t-1))` of both distributions cancels:
//!
//! `KL(q || p) = sum_j q_j [ln(1 + R / (w_x0 q(x_t | x0))) - ln(1 + R_j / (w_x0 q(x_(t-1) = j | x0)))]`, `R` being the sum for `x_t`.
//!
//! It is finite, and has a gradient, also where a softmax in f32 is 0.

use burn::tensor::{Bool, Int, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

use super::{DeviceChain, Form};
use crate::Error;

/// Probabilities below this are those of pairs that do not occur: their inverse and its square are within f32 above it.
const LEAST: f64 = 1e-16;
/// Least logarithm of an estimate: what a logit of minus infinity counts as.
const LEAST_LOG: f64 = -1e4;

/// What a discrete model is trained on. With `t` uniform in `1..=T`, `T` times the mean of the bound's terms is the bound without the
/// prior's part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CategoricalLoss {
    /// The variational bound's term of the time.
    Vlb {},
    /// `-ln p(x0 | x_t)`.
    CrossEntropy {},
    /// The bound plus `lambda` times the cross entropy (Austin et al. 2021, eq. 5); the paper's `lambda` is 0.001 for pictures, 0.01
    /// for text.
    Hybrid {
        /// Weight of the cross entropy, 0 or more.
        lambda: f64,
    },
}

/// The hybrid of the paper for text.
impl Default for CategoricalLoss {
    fn default() -> Self {
        Self::Hybrid { lambda: 0.01 }
    }
}

/// Both terms of a batch, in nats a row, summed over the tokens that count; shape `[batch]`.
#[derive(Clone, Debug)]
pub struct CategoricalTerms {
    /// `KL(q(x_(t-1) | x_t, x0) || p(x_(t-1) | x_t))` for `t > 1`, `-ln p(x0 | x_1)` for `t = 1`.
    pub vlb: Tensor<1>,
    /// `-ln p(x0 | x_t)`.
    pub cross_entropy: Tensor<1>,
}

/// A batch of noised sequences and what a network says of them.
#[derive(Clone, Debug)]
pub struct CategoricalBatch<'a> {
    /// Logits of `p(x0 | x_t)`, shape `[batch, tokens, V]`, `V <= K`: the data's classes are the chain's first.
    pub logits: Tensor<3>,
    /// Clean classes below `V`, shape `[batch, tokens]`.
    pub x0: Tensor<2, Int>,
    /// Noised classes below `K`, shape `[batch, tokens]`.
    pub xt: Tensor<2, Int>,
    /// The time of each row, from 1 to `T`.
    pub times: &'a [usize],
    /// The tokens that count, shape `[batch, tokens]`; all where there is none. The others may hold anything.
    pub counted: Option<Tensor<2, Bool>>,
}

impl CategoricalLoss {
    /// Refuses a weight that makes no loss.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a `lambda` that is negative or not finite.
    pub fn check(&self) -> Result<(), Error> {
        match *self {
            Self::Hybrid { lambda } if !(lambda >= 0.0 && lambda.is_finite()) => {
                Err(Error::OutOfRange { name: "lambda", value: lambda, range: "0 or more" })
            }
            _ => Ok(()),
        }
    }

    /// The loss of a batch in nats a row, shape `[batch]`; differentiable in the logits.
    ///
    /// # Errors
    /// As [`CategoricalLoss::check`] and [`DeviceChain::terms`].
    pub fn of(&self, chain: &DeviceChain, batch: CategoricalBatch<'_>) -> Result<Tensor<1>, Error> {
        self.check()?;
        let CategoricalTerms { vlb, cross_entropy } = chain.terms(batch)?;
        Ok(match *self {
            Self::Vlb {} => vlb,
            Self::CrossEntropy {} => cross_entropy,
            Self::Hybrid { lambda } => vlb + cross_entropy * lambda,
        })
    }
}

impl DeviceChain {
    /// The loss terms of a batch; differentiable in the logits.
    ///
    /// A pair of `x0` and `x_t` that cannot be adds nothing to the bound for `t > 1`. Estimates of other classes than `x0` whose sum is
    /// below 1e-16 count as 0, and log-probabilities below -10000 as that.
    ///
    /// # Errors
    /// [`Error::Invalid`] for shapes that do not fit, a time outside `1..=T` or a class that does not exist.
    pub fn terms(&self, batch: CategoricalBatch<'_>) -> Result<CategoricalTerms, Error> {
        let CategoricalBatch { logits, x0, xt, times, counted } = self.checked(batch)?;
        let data = logits.dims()[2];
        let log_p = activation::log_softmax(logits, 2);
        let clean = self.one_hot(x0);
        let is_x0 = clean.clone().narrow(2, 0, data).greater_elem(0.5);
        let own = log_p.clone().mask_fill(is_x0.clone().bool_not(), 0.0).sum_dim(2).clamp_min(LEAST_LOG);
        let others = log_p.exp().mask_fill(is_x0, 0.0);
        let cross_entropy = own.clone().neg();

        let seen = self.one_hot(xt);
        let at = |of: &Tensor<3>, back: usize| Self::select(of, times.iter().map(|t| t - back));
        let before = at(&self.products, 1);
        let step = seen.clone().matmul(at(&self.steps, 1));
        let reached = seen.matmul(at(&self.products, 0).transpose());
        let own_reached = (clean.clone() * reached.clone()).sum_dim(2);
        let own_before = clean.matmul(before.clone());
        let possible = own_reached.clone().greater_elem(LEAST);
        let safe_reached = own_reached.mask_fill(possible.clone().bool_not(), 1.0);
        let q = (step * own_before.clone() / safe_reached.clone()).mask_fill(possible.bool_not().expand(own_before.shape()), 0.0);

        let reached = reached.narrow(2, 0, data);
        // The factor of the form, for the other classes and for x0.
        let (others, own_factor) = match self.form {
            Form::Product => (others, safe_reached.ones_like()),
            Form::Mixture => {
                let never = reached.clone().lower_elem(LEAST);
                let factor = reached.clone().mask_fill(never.clone(), 1.0).recip().mask_fill(never, 0.0);
                (others * factor, safe_reached.clone().recip())
            }
        };
        let of_total = excess((others.clone() * reached).sum_dim(2), own_factor.clone() * safe_reached, own.clone());
        let of_before = excess(others.matmul(before.narrow(1, 0, data)), own_factor * own_before, own);
        let divergence = (q * (of_total - of_before)).sum_dim(2);

        let first: Vec<bool> = times.iter().map(|&t| t == 1).collect();
        let first = Tensor::<3, Bool>::from_data(TensorData::new(first, [times.len(), 1, 1]), &divergence.device());
        let vlb = divergence.clone().mask_where(first.expand(divergence.shape()), cross_entropy.clone());
        let sum = |terms: Tensor<3>| {
            let terms: Tensor<2> = terms.squeeze_dim(2);
            let terms = match &counted {
                Some(counted) => terms.mask_fill(counted.clone().bool_not(), 0.0),
                None => terms,
            };
            terms.sum_dim(1).squeeze_dim(1)
        };
        Ok(CategoricalTerms { vlb: sum(vlb), cross_entropy: sum(cross_entropy) })
    }

    /// The batch with tokens that do not count replaced by harmless ones.
    fn checked<'a>(&self, batch: CategoricalBatch<'a>) -> Result<CategoricalBatch<'a>, Error> {
        let CategoricalBatch { mut logits, mut x0, mut xt, times, counted } = batch;
        let [rows, tokens, data] = logits.dims();
        self.check(rows, times)?;
        let shape = [rows, tokens];
        let fits = x0.dims() == shape && xt.dims() == shape && counted.as_ref().is_none_or(|c| c.dims() == shape);
        if !fits || rows == 0 || tokens == 0 || !(1..=self.classes).contains(&data) {
            let reason =
                format!("logits of shape {:?} over {} classes, x0 of {:?}, xt of {:?}", logits.dims(), self.classes, x0.dims(), xt.dims());
            return Err(Error::Invalid { what: "batch of sequences", reason });
        }
        if let Some(counted) = &counted {
            let ignored = counted.clone().bool_not();
            x0 = x0.mask_fill(ignored.clone(), 0);
            xt = xt.mask_fill(ignored.clone(), 0);
            logits = logits.mask_fill(ignored.unsqueeze_dim::<3>(2).expand([rows, tokens, data]), 0.0);
        }
        for (what, classes, of) in [("x0", &x0, data), ("xt", &xt, self.classes)] {
            let range: Vec<i64> = Tensor::cat(vec![classes.clone().min(), classes.clone().max()], 0).into_data().iter::<i64>().collect();
            if range[0] < 0 || range[1] >= of as i64 {
                return Err(Error::Invalid { what, reason: format!("classes from {} to {}, of {of}", range[0], range[1]) });
            }
        }
        Ok(CategoricalBatch { logits, x0, xt, times, counted })
    }
}

/// `ln(1 + others / (own exp(log_p)))`; 0 where `others` is.
fn excess(others: Tensor<3>, own: Tensor<3>, log_p: Tensor<3>) -> Tensor<3> {
    let shape = others.shape();
    let nothing = others.clone().lower_elem(LEAST);
    let own = own.clone().mask_fill(own.lower_elem(f32::MIN_POSITIVE), 1.0);
    let odds = others.clamp_min(LEAST).log() - own.log() - log_p.expand(shape);
    activation::log_sigmoid(odds.neg()).neg().mask_fill(nothing, 0.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::{Chain, kernel, schedule};
    use super::*;
    use crate::guide::gradient;

    fn ints(v: &[i32], rows: usize) -> Tensor<2, Int> {
        Tensor::from_data(TensorData::new(v.to_vec(), [rows, v.len() / rows]), &Device::flex())
    }

    fn floats(v: &[f64], shape: [usize; 3]) -> Tensor<3> {
        Tensor::from_data(TensorData::new(v.to_vec(), shape), &Device::flex())
    }

    fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
        x.into_data().iter::<f64>().collect()
    }

    /// Three classes of data and a mask.
    fn chains() -> Vec<Chain> {
        let betas = schedule::linear(0.1, 0.5, 4);
        let of = |f: &dyn Fn(f64) -> nalgebra::DMatrix<f64>, form| Chain::new(betas.iter().map(|&b| f(b)).collect(), form).unwrap();
        [Form::Product, Form::Mixture]
            .into_iter()
            .flat_map(|form| {
                [
                    of(&|b| kernel::mask_and_replace(4, 3, 0.2, b), form),
                    of(&|b| kernel::absorbing(4, 3, b), form),
                    of(&|b| kernel::uniform(4, b), form),
                    of(&|b| kernel::band(4, 1, b), form),
                ]
            })
            .collect()
    }

    const X0: [i32; 6] = [0, 1, 2, 2, 1, 0];
    const XT: [i32; 6] = [0, 3, 2, 3, 1, 3];
    const TIMES: [usize; 3] = [1, 3, 4];

    fn batch(logits: Tensor<3>) -> CategoricalBatch<'static> {
        CategoricalBatch { logits, x0: ints(&X0, 3), xt: ints(&XT, 3), times: &TIMES, counted: None }
    }

    fn logits() -> Vec<f64> {
        (0..18).map(|i| 1.5 * (1.7 * f64::from(i)).sin()).collect()
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let loss = CategoricalLoss::Hybrid { lambda: 0.3 };
        for chain in chains() {
            let chain = chain.to_device(&Device::flex());
            let value = |l: &[f64]| host(loss.of(&chain, batch(floats(l, [3, 2, 3]))).unwrap()).iter().sum::<f64>();
            let got = host(gradient(&floats(&logits(), [3, 2, 3]), |l| loss.of(&chain, batch(l)).unwrap()));
            for i in 0..18 {
                let (mut up, mut down) = (logits(), logits());
                up[i] += 0.02;
                down[i] -= 0.02;
                let slope = (value(&up) - value(&down)) / 0.04;
                assert!((got[i] - slope).abs() < 1e-3 * (1.0 + slope.abs()), "{i}: {} {slope}", got[i]);
            }
        }
    }

    #[test]
    fn the_hybrid_is_the_sum_and_configs_are_checked() {
        let chain = chains()[0].to_device(&Device::flex());
        let of = |loss: CategoricalLoss| host(loss.of(&chain, batch(floats(&logits(), [3, 2, 3]))).unwrap());
        let (vlb, ce) = (of(CategoricalLoss::Vlb {}), of(CategoricalLoss::CrossEntropy {}));
        for (i, hybrid) in of(CategoricalLoss::Hybrid { lambda: 0.25 }).into_iter().enumerate() {
            assert!((hybrid - vlb[i] - 0.25 * ce[i]).abs() < 1e-6);
        }
        // At the first time the bound's term is the cross entropy.
        assert_eq!(vlb[0], ce[0]);
        assert!(vlb[1] != ce[1] && vlb.iter().all(|v| *v > 0.0));
        assert!(CategoricalLoss::Hybrid { lambda: -1.0 }.check().is_err());
        let parse = |text: &str| serde_json::from_str::<CategoricalLoss>(text);
        assert_eq!(parse(r#"{"kind": "hybrid", "lambda": 0.001}"#).unwrap(), CategoricalLoss::Hybrid { lambda: 0.001 });
        assert!(parse(r#"{"kind": "vlb", "lambda": 1}"#).is_err() && parse(r#"{"kind": "vlb"}"#).is_ok());
    }

    #[test]
    fn tokens_that_do_not_count_may_hold_anything() {
        let loss = CategoricalLoss::Hybrid { lambda: 0.3 };
        let counted = [true, false, true, true, false, true];
        for chain in chains() {
            let chain = chain.to_device(&Device::flex());
            let run = |junk: f64, class: i32| {
                let (mut l, mut x0, mut xt) = (logits(), X0, XT);
                for i in (0..6).filter(|&i| !counted[i]) {
                    l[3 * i..3 * i + 3].fill(junk);
                    x0[i] = class;
                    xt[i] = class;
                }
                let (x0, xt) = (ints(&x0, 3), ints(&xt, 3));
                let counted = Tensor::<2, Bool>::from_data(TensorData::new(counted.to_vec(), [3, 2]), &Device::flex());
                let of = |logits| {
                    let batch = CategoricalBatch { logits, x0: x0.clone(), xt: xt.clone(), times: &TIMES, counted: Some(counted.clone()) };
                    loss.of(&chain, batch).unwrap()
                };
                let logits = floats(&l, [3, 2, 3]);
                (host(of(logits.clone())), host(gradient(&logits, of)))
            };
            let (plain, slope) = run(0.0, 0);
            assert_eq!((plain.clone(), slope.clone()), run(f64::NAN, -1));
            assert!(slope[3..6].iter().all(|g| *g == 0.0) && slope[..3].iter().any(|g| *g != 0.0));
            // A row of which one token counts is that token alone.
            let alone = batch(floats(&logits(), [3, 2, 3]));
            let alone = CategoricalBatch {
                logits: alone.logits.narrow(1, 0, 1),
                x0: alone.x0.narrow(1, 0, 1),
                xt: alone.xt.narrow(1, 0, 1),
                ..alone
            };
            assert!((host(loss.of(&chain, alone).unwrap())[0] - plain[0]).abs() < 1e-6);
        }
    }

    /// Certain, wrong and impossible estimates have finite losses and gradients, and a wrong one is pushed back.
    #[test]
    fn extremes_are_finite() {
        let loss = CategoricalLoss::Hybrid { lambda: 0.3 };
        for (k, chain) in chains().into_iter().enumerate() {
            let chain = chain.to_device(&Device::flex());
            for scale in [30.0, 100.0, 1e3, f64::INFINITY] {
                for right in 0..3 {
                    let one = |c: usize| if c == right { 0.0 } else { -scale };
                    let l: Vec<f64> = (0..18).map(|i| one(i % 3)).collect();
                    // Every pair, those that cannot be among them.
                    for xt in 0..4 {
                        let (x0, xt) = (ints(&[0, 1, 2, 0, 1, 2], 3), ints(&[xt; 6], 3));
                        let of = |logits| {
                            let batch = CategoricalBatch { logits, x0: x0.clone(), xt: xt.clone(), times: &[1, 2, 4], counted: None };
                            loss.of(&chain, batch).unwrap()
                        };
                        let logits = floats(&l, [3, 2, 3]);
                        let (values, slope) = (host(of(logits.clone())), host(gradient(&logits, of)));
                        assert!(values.iter().all(|v| v.is_finite() && *v > -1e-3), "{k}, {scale}: {values:?}");
                        assert!(slope.iter().all(|g| g.is_finite()), "{k}, {scale}: {slope:?}");
                    }
                }
            }
        }
        // A hidden token (absorbing chain) of class 0, estimated as class 1 with a probability of 1 - exp(-200).
        for chain in [&chains()[1], &chains()[5]] {
            let chain = chain.to_device(&Device::flex());
            let of = |logits| {
                let batch = CategoricalBatch { logits, x0: ints(&[0], 1), xt: ints(&[3], 1), times: &[2], counted: None };
                CategoricalLoss::Vlb {}.of(&chain, batch).unwrap()
            };
            let slope = host(gradient(&floats(&[0.0, 200.0, 0.0], [1, 1, 3]), of));
            assert!(slope[0] < -0.1 && slope[1] > 0.1, "{slope:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let chain = chains()[0].to_device(&Device::flex());
        let good = || batch(floats(&logits(), [3, 2, 3]));
        assert!(chain.terms(good()).is_ok());
        assert!(chain.terms(CategoricalBatch { times: &[1, 2], ..good() }).is_err());
        assert!(chain.terms(CategoricalBatch { times: &[0, 2, 3], ..good() }).is_err());
        assert!(chain.terms(CategoricalBatch { x0: ints(&X0, 2), ..good() }).is_err());
        assert!(chain.terms(CategoricalBatch { x0: ints(&XT, 3), ..good() }).is_err());
        assert!(chain.terms(CategoricalBatch { xt: ints(&[0, 1, 2, 4, 0, 0], 3), ..good() }).is_err());
        assert!(chain.terms(batch(floats(&[0.0; 30], [3, 2, 5]))).is_err());
    }
}
