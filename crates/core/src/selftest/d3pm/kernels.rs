//! Transition matrices, posteriors and reverse steps of each kind of process.

use nalgebra::DMatrix;

use super::{At, CLOSED, Report, SelftestError, TABLE, chain, matrix, nothing, row_major};
use crate::{
    process::categorical::{Chain, Form, kernel},
    selftest::{relative, report::Compare},
};

/// Checks each kernel.
pub(super) fn check(doc: &At<'_>, kernels: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let rates = doc.opt("knn_rate_matrix").map(|m| matrix(&m)).transpose()?;
    for (name, entry) in kernels.entries()? {
        let product = chain(&entry.get("Q")?, Form::Product)?;
        let mut mixture = product.clone();
        mixture.form = Form::Mixture;
        let mut compare = Compare::new(TABLE);
        for (key, ours) in [("K", product.classes()), ("T", product.len())] {
            if let Some(expected) = doc.opt(key) {
                compare.number(key, ours as f64, expected.f64()?);
            }
        }
        family(&mut compare, name, &product, rates.as_ref());
        report.add(&format!("{name}/Q"), compare);
        for (key, expected) in entry.entries()? {
            let ours = match key {
                "Q" | "data_vocab" | "px0_given_xt" => continue,
                "Qbar" => (1..=product.len()).flat_map(|t| row_major(product.marginal(t))).collect(),
                "posterior" => (1..=product.len()).flat_map(|t| posteriors(&product, t - 1, t)).collect(),
                "reverse_official_product_form" => reverse(&entry, &product)?,
                "reverse_exact_mixture_form" => reverse(&entry, &mixture)?,
                "skip_posterior" => {
                    for (times, expected) in expected.entries()? {
                        let (s, t) = pair(times)
                            .filter(|&(s, t)| s < t && t <= product.len())
                            .ok_or_else(|| expected.expected("times s < t <= T"))?;
                        let mut compare = Compare::new(TABLE);
                        compare.numbers(times, &posteriors(&product, s, t), &expected.f64s()?);
                        report.add(&format!("{name}/skip_posterior/{times}"), compare);
                    }
                    continue;
                }
                "max_abs_dev_qT_from_uniform" => {
                    let share = 1.0 / product.classes() as f64;
                    vec![product.marginal(product.len()).iter().fold(0.0, |m: f64, p| m.max((p - share).abs()))]
                }
                _ => {
                    report.skip(&format!("{name}/{key}"), "no check for a quantity of this name");
                    continue;
                }
            };
            let expected = if expected.value().is_array() { expected.f64s()? } else { vec![expected.f64()?] };
            let mut compare = Compare::new(TABLE);
            compare.numbers(key, &ours, &expected);
            report.add(&format!("{name}/{key}"), compare);
        }
    }
    Ok(())
}

/// `s2_t5`.
fn pair(times: &str) -> Option<(usize, usize)> {
    let (s, t) = times.strip_prefix('s')?.split_once("_t")?;
    Some((s.parse().ok()?, t.parse().ok()?))
}

/// `q(x_s | x_t, x0)`, indexed by `x0`, `x_t`, `x_s`.
fn posteriors(chain: &Chain, s: usize, t: usize) -> Vec<f64> {
    let k = chain.classes();
    (0..k * k).flat_map(|i| chain.posterior(i / k, i % k, s, t).unwrap_or_else(|| nothing(k))).collect()
}

/// `p(x_{t-1} | x_t)` for every `t` and `x_t`, from the entry's estimates.
fn reverse(entry: &At<'_>, chain: &Chain) -> Result<Vec<f64>, SelftestError> {
    let (k, of) = (chain.classes(), entry.get("px0_given_xt")?);
    let estimates = of.items()?.iter().map(At::f64s).collect::<Result<Vec<_>, _>>()?;
    let data = entry.get("data_vocab")?.index()?;
    if estimates.len() != k || data > k || estimates.iter().any(|e| e.len() != data || (e.iter().sum::<f64>() - 1.0).abs() > CLOSED) {
        return Err(of.expected("probabilities of the data classes for each class"));
    }
    let of_pair = |t: usize, xt: usize| chain.reverse(&estimates[xt], xt, t - 1, t).unwrap_or_else(|| nothing(k));
    Ok((1..=chain.len()).flat_map(|t| (0..k).flat_map(move |xt| of_pair(t, xt))).collect())
}

/// Rebuilds every matrix from the one or two parameters of its family, read off single entries of it.
pub(super) fn family(compare: &mut Compare, name: &str, chain: &Chain, rates: Option<&DMatrix<f64>>) {
    let (k, last) = (chain.classes(), chain.step(chain.len()));
    // A class that is never left and is always entered: the mask.
    let mask = (0..k).find(|&m| last[(m, m)] == 1.0 && (0..k).all(|i| last[(i, m)] > 0.0));
    for t in 1..=chain.len() {
        let q = chain.step(t);
        let ours = match (name, mask) {
            _ if name.contains("gaussian") => gaussian(q),
            _ if name.contains("band") => {
                let width = (1..k).rev().find(|&n| last[(0, n)] > 0.0).unwrap_or(0);
                kernel::band(k, width, q[(0, 1)] * k as f64)
            }
            _ if name.contains("knn") => match rates.and_then(|r| walk(q, r)) {
                Some(ours) => ours,
                None => return compare.fail(format!("Q[{t}]: no walk with the document's rates")),
            },
            (_, Some(mask)) if name.contains("uniform") => {
                let [from, to] = if mask == 0 { [1, 2] } else { [0, if mask == 1 { 2 } else { 1 }] };
                let gamma = q[(from, mask)];
                let beta = if gamma < 1.0 { q[(from, to)] * (k - 1) as f64 / (1.0 - gamma) } else { 0.0 };
                kernel::mask_and_replace(k, mask, gamma, beta)
            }
            (_, Some(mask)) => kernel::absorbing(k, mask, q[(usize::from(mask == 0), mask)]),
            _ if name.contains("uniform") => kernel::uniform(k, q[(0, 1)] * k as f64),
            _ => return compare.fail(format!("'{name}' names no known family of matrices")),
        };
        let (ours, expected) = (row_major(&ours), row_major(q));
        // Entries far from the diagonal are as small as 1e-109, and are compared as they are.
        relative::numbers(
            compare,
            &format!("Q[{t}]"),
            &ours,
            &expected,
            CLOSED,
            |_| if name.contains("gaussian") { 1e-300 } else { TABLE },
        );
    }
}

/// The normal of the width that the matrix's first two off-diagonals have.
fn gaussian(q: &DMatrix<f64>) -> DMatrix<f64> {
    let k = q.nrows();
    if k < 3 {
        return q.clone();
    }
    let scale = (k as f64 - 1.0).powi(2);
    let beta = if q[(0, 2)] > 1e-290 { -12.0 / (scale * (q[(0, 2)] / q[(0, 1)]).ln()) } else { -4.0 / (scale * q[(0, 1)].ln()) };
    kernel::gaussian(k, beta)
}

/// The walk with given symmetric rates whose time the matrix's slowest decay tells.
fn walk(q: &DMatrix<f64>, rates: &DMatrix<f64>) -> Option<DMatrix<f64>> {
    if rates.nrows() != q.nrows() {
        return None;
    }
    let eigen = rates.clone().symmetric_eigen();
    let slowest =
        (0..q.nrows()).filter(|&i| eigen.eigenvalues[i] < -1e-9).max_by(|&a, &b| eigen.eigenvalues[a].total_cmp(&eigen.eigenvalues[b]))?;
    let mode = eigen.eigenvectors.column(slowest);
    let decay = (mode.transpose() * q * mode)[(0, 0)];
    (decay > 0.0).then(|| kernel::diffuse(rates, decay.ln() / eigen.eigenvalues[slowest]))
}
