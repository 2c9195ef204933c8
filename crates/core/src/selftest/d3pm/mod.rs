//! Reference values of discrete diffusion.

mod bruteforce;
mod kernels;
mod tables;

use nalgebra::DMatrix;

use super::{At, Report, SelftestError, report::Compare};
use crate::process::categorical::{Chain, Form};

/// Tolerance of tables in f64.
const TABLE: f64 = 1e-12;
/// Tolerance of closed forms in f64.
const CLOSED: f64 = 1e-10;

/// Whether a document is of this kind.
pub(super) fn is(doc: &At<'_>) -> bool {
    ["kernels", "bruteforce", "truncated_logistic", "knn_rate_matrix"].iter().any(|key| doc.opt(key).is_some())
}

/// Checks every entry.
pub(super) fn check(doc: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    for (name, entry) in doc.entries()? {
        match name {
            "kernels" => kernels::check(doc, &entry, report)?,
            "bruteforce" => bruteforce::check(doc, &entry, report)?,
            "truncated_logistic" => tables::logistic(&entry, report)?,
            "knn_rate_matrix" => tables::rates(doc, &entry, report)?,
            _ if name.starts_with("betas_") => tables::betas(name, doc, &entry, report)?,
            _ if name.starts_with("mi_schedule") => tables::information(name, doc, &entry, report)?,
            "knn_embeddings" | "mi_initial_distribution" | "denoiser" | "convention" | "K" | "T" => {}
            _ => report.skip(name, "no check for an entry of this name"),
        }
    }
    Ok(())
}

/// A square matrix of numbers; null is NaN.
fn matrix(of: &At<'_>) -> Result<DMatrix<f64>, SelftestError> {
    let (n, all) = (of.items()?.len(), of.f64s()?);
    if n == 0 || all.len() != n * n || of.items()?.iter().any(|row| row.f64s().is_ok_and(|r| r.len() != n)) {
        return Err(of.expected("a square matrix"));
    }
    Ok(DMatrix::from_row_slice(n, n, &all))
}

/// A list of square matrices as a process.
fn chain(of: &At<'_>, form: Form) -> Result<Chain, SelftestError> {
    let steps = of.items()?.iter().map(matrix).collect::<Result<Vec<_>, _>>()?;
    Chain::new(steps, form).map_err(|e| of.expected(format!("transition matrices ({e})")))
}

fn row_major(m: &DMatrix<f64>) -> Vec<f64> {
    m.transpose().as_slice().to_vec()
}

/// `n` numbers that do not exist.
fn nothing(n: usize) -> Vec<f64> {
    vec![f64::NAN; n]
}

/// The toy entries of another document: official product form, times from 0.
pub(super) fn toy(entry: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    for (name, entry) in entry.entries()? {
        let chain = chain(&entry.get("Q")?, Form::Product)?;
        let (classes, t) = (chain.classes(), entry.get("t")?.index()? + 1);
        let mut compare = Compare::new(CLOSED);
        compare.number("T", chain.len() as f64, entry.get("T")?.f64()?);
        compare.number("K", classes as f64, entry.get("K")?.f64()?);
        if !(2..=chain.len()).contains(&t) {
            return Err(entry.get("t")?.expected("a time between the first and the last"));
        }
        kernels::family(&mut compare, name, &chain, None);
        let products: Vec<f64> = (1..=chain.len()).flat_map(|t| row_major(chain.marginal(t))).collect();
        compare.numbers("Qbar", &products, &entry.get("Qbar")?.f64s()?);
        let pairs = (0..classes * classes).map(|i| (i / classes, i % classes));
        let posterior = pairs.flat_map(|(xt, x0)| chain.posterior(x0, xt, t - 1, t).unwrap_or_else(|| nothing(classes)));
        compare.numbers("posterior", &posterior.collect::<Vec<_>>(), &entry.get("posterior_xt_x0_prev")?.f64s()?);
        let states = entry.get("x_t")?.items()?.iter().map(At::index).collect::<Result<Vec<_>, _>>()?;
        let logits = entry.get("logits")?.items()?;
        if states.len() != logits.len() || states.iter().any(|&x| x >= classes) {
            return Err(entry.expected("logits for each class of 'x_t'"));
        }
        let mut reverse = Vec::new();
        for (&xt, logits) in states.iter().zip(&logits) {
            let logits = logits.f64s()?;
            if logits.len() > classes {
                return Err(entry.expected("a logit for each class"));
            }
            reverse.extend(chain.reverse(&softmax(&logits), xt, t - 1, t).unwrap_or_else(|| nothing(classes)));
        }
        compare.numbers("p_theta_prev", &reverse, &entry.get("p_theta_prev")?.f64s()?);
        report.add(&format!("d3pm/{name}"), compare);
    }
    Ok(())
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|l| (l - max).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|w| w / total).collect()
}
