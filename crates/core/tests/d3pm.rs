//! Discrete diffusion of three tokens, summed over everything: the exact bound and the exact likelihood against reference values,
//! and the losses that are trained on a device against the exact bound.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use langevin_core::process::categorical::{
    CategoricalBatch, CategoricalLoss, Chain, Form,
    enumerate::{Bound, Model},
};
use nalgebra::DMatrix;
use serde_json::Value;

const TOKENS: usize = 3;

/// An entry of `tests/golden/d3pm`: a process of four steps over three classes (and a mask) and a denoiser by formula.
struct Reference {
    name: String,
    chain: Chain,
    prior: Vec<f64>,
    factors: Vec<f64>,
    /// Visible tokens are copied.
    copies: bool,
    results: Vec<Value>,
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn references() -> Vec<Reference> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/d3pm/d3pm_K5_T10.json");
    let all: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let entry = |(name, entry): (&String, &Value)| {
        let form = if name.ends_with("/mixture") { Form::Mixture } else { Form::Product };
        let matrix = |rows: &Value| {
            let rows: Vec<Vec<f64>> = rows.as_array().unwrap().iter().map(numbers).collect();
            DMatrix::from_fn(rows.len(), rows.len(), |i, j| rows[i][j])
        };
        assert_eq!((entry["D"].as_u64(), entry["V"].as_u64(), entry["T"].as_u64()), (Some(3), Some(3), Some(4)));
        Reference {
            name: name.clone(),
            chain: Chain::new(entry["Q"].as_array().unwrap().iter().map(matrix).collect(), form).unwrap(),
            prior: numbers(&entry["prior"]),
            factors: numbers(&all["denoiser"]["par"]),
            copies: name.contains("jsd_subs"),
            results: entry["results"].as_array().unwrap().clone(),
        }
    };
    all["bruteforce"].as_object().unwrap().iter().filter(|(_, e)| e.get("Q").is_some()).map(entry).collect()
}

impl Reference {
    /// The file's formula; minus infinity for what is known not to be.
    fn logits(&self, x: &[usize], t: usize) -> Vec<Vec<f64>> {
        let row = |i: usize| {
            let weight = |j: usize| (x[j] + 1) as f64 * (j + 1) as f64 * if j < i { 1.0 } else { 2.0 };
            let context: f64 = (0..TOKENS).filter(|&j| j != i).map(weight).sum();
            let of = |k: usize| {
                if self.copies && x[i] < 3 {
                    return if k == x[i] { 0.0 } else { f64::NEG_INFINITY };
                }
                let f = &self.factors;
                let phase = f[0] * (k + 1) as f64 + f[1] * (i + 1) as f64 + f[2] * context + f[3] * t as f64;
                1.5 * phase.sin() + 0.5 * ((k + 1) as f64 * (x[i] + 1) as f64).cos()
            };
            (0..3).map(of).collect()
        };
        (0..TOKENS).map(row).collect()
    }

    fn model(&self) -> Model<'_, impl Fn(&[usize], usize) -> Vec<Vec<f64>>> {
        let softmax = |logits: Vec<f64>| {
            let total: f64 = logits.iter().map(|l| l.exp()).sum();
            logits.iter().map(|l| l.exp() / total).collect()
        };
        let estimate = move |x: &[usize], t: usize| self.logits(x, t).into_iter().map(softmax).collect();
        Model { chain: &self.chain, prior: &self.prior, tokens: TOKENS, data: 3, estimate }
    }

    fn bounds(&self) -> Vec<Bound> {
        self.model().bounds(&sequences(3)).unwrap()
    }
}

/// All sequences, the last token changing fastest.
fn sequences(classes: usize) -> Vec<Vec<usize>> {
    (0..classes.pow(3)).map(|n| vec![n / classes / classes, n / classes % classes, n % classes]).collect()
}

#[test]
fn exact_bounds_and_likelihoods_are_those_of_the_reference() {
    let all = references();
    assert_eq!(all.len(), 10);
    for reference in &all {
        let (bounds, nll) = (reference.bounds(), reference.model().negative_log_likelihoods().unwrap());
        assert!((nll.iter().map(|n| (-n).exp()).sum::<f64>() - 1.0).abs() < 1e-12, "{}", reference.name);
        assert_eq!(reference.results.len(), 27);
        for (i, (result, x0)) in reference.results.iter().zip(sequences(3)).enumerate() {
            assert_eq!(numbers(&result["x0"]), x0.iter().map(|&c| c as f64).collect::<Vec<_>>());
            let close = |got: f64, key: &str| {
                let expected = result[key].as_f64().unwrap();
                assert!((got - expected).abs() < 1e-10, "{} {x0:?} {key}: {got} {expected}", reference.name);
            };
            close(bounds[i].prior, "L_T");
            close(bounds[i].total(), "nelbo_nats");
            close(bounds[i].cross_entropy, "hybrid_ce_mean_over_t");
            close(nll[i], "neg_log_p_exact_nats");
            for (got, expected) in bounds[i].terms.iter().zip(numbers(&result["terms_t_desc"])) {
                assert!((got - expected).abs() < 1e-10, "{} {x0:?}", reference.name);
            }
            assert!(bounds[i].total() >= nll[i] - 1e-12);
        }
    }
}

/// Exact expectations over `t` and `x_t` of the device's losses, a number for each `x0`: their sum over `t`.
fn expected(reference: &Reference, loss: CategoricalLoss) -> Vec<f64> {
    let (device, chain) = (Device::flex(), &reference.chain);
    let on_device = chain.to_device(&device);
    let (x0s, xts) = (sequences(3), sequences(chain.classes()));
    let pairs: Vec<(usize, &Vec<usize>, &Vec<usize>)> =
        x0s.iter().enumerate().flat_map(|(i, x0)| xts.iter().map(move |xt| (i, x0, xt))).collect();
    let ints = |of: &dyn Fn(usize) -> Vec<usize>| {
        let values: Vec<i32> = (0..pairs.len()).flat_map(of).map(|c| c as i32).collect();
        Tensor::<2, Int>::from_data(TensorData::new(values, [pairs.len(), TOKENS]), &device)
    };
    let mut sums = vec![0.0; x0s.len()];
    for t in 1..=chain.len() {
        let logits: Vec<f64> = pairs.iter().flat_map(|(_, _, xt)| reference.logits(xt, t).concat()).collect();
        let times = vec![t; pairs.len()];
        let batch = CategoricalBatch {
            logits: Tensor::from_data(TensorData::new(logits, [pairs.len(), TOKENS, 3]), &device),
            x0: ints(&|i| pairs[i].1.clone()),
            xt: ints(&|i| pairs[i].2.clone()),
            times: &times,
            counted: None,
        };
        let losses: Vec<f64> = loss.of(&on_device, batch).unwrap().into_data().iter::<f64>().collect();
        for ((i, x0, xt), loss) in pairs.iter().zip(losses) {
            let weight: f64 = x0.iter().zip(xt.iter()).map(|(&a, &b)| chain.marginal(t)[(a, b)]).product();
            sums[*i] += weight * loss;
        }
    }
    sums
}

#[test]
fn expected_losses_on_a_device_are_the_exact_bound() {
    for reference in references() {
        let (bounds, steps) = (reference.bounds(), reference.chain.len() as f64);
        let [vlb, ce, hybrid] = [CategoricalLoss::Vlb {}, CategoricalLoss::CrossEntropy {}, CategoricalLoss::Hybrid { lambda: 0.5 }]
            .map(|l| expected(&reference, l));
        for (i, bound) in bounds.iter().enumerate() {
            let exact = bound.total() - bound.prior;
            assert!((vlb[i] - exact).abs() < 3e-5 * (1.0 + exact), "{} {i}: {} {exact}", reference.name, vlb[i]);
            let exact_ce = steps * bound.cross_entropy;
            assert!((ce[i] - exact_ce).abs() < 3e-5 * (1.0 + exact_ce), "{} {i}: {} {exact_ce}", reference.name, ce[i]);
            assert!((hybrid[i] - exact - 0.5 * exact_ce).abs() < 5e-5 * (1.0 + exact + exact_ce), "{} {i}", reference.name);
        }
    }
}
