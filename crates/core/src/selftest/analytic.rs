//! Reference values of the best reverse variance and of the exact reverse kernel.

use super::{At, Report, SelftestError, relative, report::Compare};
use crate::{
    Level, State,
    mixture::GaussianMixture,
    schedule::{Table, betas},
    solver::Reverse,
    variance::{mean_square_score, optimal_variance},
};

/// Tolerance of a reference that is itself a quadrature.
const QUADRATURE: f64 = 1e-5;
/// Most by which a reference may say that its own quadratures disagree.
const MOST_BAR: f64 = 1e-3;
/// Tolerance of closed forms in f64.
const CLOSED: f64 = 1e-10;

/// Checks each list of steps and the exact kernel.
pub(super) fn check(doc: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let mixture: GaussianMixture = doc.get("mixture")?.parse()?;
    let table = table(doc, &report.tables)?;
    for (name, entry) in doc.entries()? {
        match name {
            "mixture" | "schedule" | "formula" | "note" => {}
            _ if entry.value().is_array() => {
                for step in entry.items()? {
                    of_step(name, &step, &mixture, &table, report)?;
                }
            }
            _ if entry.opt("cov").is_some() => kernel(name, &entry, &mixture, &table, report)?,
            _ => report.skip(name, "no check for an entry of this shape"),
        }
    }
    Ok(())
}

/// The table that the document names, or that of the folder which has the first step's `beta`; it has an entry for the last time.
fn table(doc: &At<'_>, known: &[Table]) -> Result<Table, SelftestError> {
    let mut steps = Vec::new();
    for (_, entry) in doc.entries()?.iter().filter(|(_, e)| e.value().is_array()) {
        steps.extend(entry.items()?);
    }
    let times = steps.iter().map(|step| step.get("t")?.index()).collect::<Result<Vec<_>, _>>()?;
    let last = times
        .iter()
        .copied()
        .max()
        .filter(|t| (1..1_000_000).contains(t))
        .ok_or_else(|| doc.expected("steps with times from 1 to a million"))?;
    let named = doc.get("schedule")?;
    if let Some(betas) = named_betas(named.str()?, last + 1) {
        return Table::from_betas(&betas).map_err(|e| named.expected(format!("a valid schedule ({e})")));
    }
    // The first step goes to clean data: its `beta` is that of the table.
    let beta = steps[0].get("beta")?.f64()?;
    let of = |table: &&Table| (table.beta(times[0].min(table.alpha_bar().len() - 1)) - beta).abs();
    let fits = known.iter().filter(|table| table.alpha_bar().len() > last).min_by(|a, b| of(a).total_cmp(&of(b)));
    fits.cloned().ok_or_else(|| named.expected("a schedule of this folder, or 'linear A..B'"))
}

/// Reads `linear A..B`, `scaled_linear A..B` or `cosine`.
fn named_betas(text: &str, steps: usize) -> Option<Vec<f64>> {
    let (kind, ends) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let ends = || -> Option<(f64, f64)> {
        let (start, end) = ends.split_once("..")?;
        Some((start.trim().parse().ok()?, end.trim().parse().ok()?))
    };
    match kind {
        "linear" => ends().map(|(a, b)| betas::linear(a, b, steps)),
        "scaled_linear" => ends().map(|(a, b)| betas::scaled_linear(a, b, steps)),
        "cosine" => Some(betas::cosine(0.008, 0.999, steps)),
        _ => None,
    }
}

/// The level of a time; -1 is clean data.
fn level(table: &Table, t: &At<'_>) -> Result<Level, SelftestError> {
    match t.f64()? {
        -1.0 => Ok(Level::clean()),
        i if i >= 0.0 && i.fract() == 0.0 && (i as usize) < table.alpha_bar().len() => Ok(Level::vp(table.alpha_bar()[i as usize])),
        _ => Err(t.expected("a time of the schedule, or -1")),
    }
}

fn of_step(name: &str, step: &At<'_>, mixture: &GaussianMixture, table: &Table, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let (t, before) = (step.get("t")?, step.get("t_prev")?);
    let (from, to) = (level(table, &t)?, level(table, &before)?);
    if to.lambda() <= from.lambda() {
        return Err(before.expected("a time before 't'"));
    }
    let score = mean_square_score(mixture, from).map_err(|e| step.expected(e.to_string()))?;
    let kernel = Reverse::between(from, to);
    let best = |lambda2: f64, score: f64| optimal_variance(from, to, lambda2, score);
    // The reference says how far its own quadrature may be off; in a small variance that is magnified.
    let bar = step.get("quadrature_disagreement")?.f64()?;
    let mut compare = Compare::new(QUADRATURE);
    compare.number("quadrature_disagreement is small", f64::from((0.0..MOST_BAR).contains(&bar)), 1.0);
    let quadrature = QUADRATURE.max(bar / score);
    // A bound is the variance with nothing, or all, left to a moment: what is left is a rounding, which the kernel magnifies.
    let bound = 4.0 * f64::EPSILON * (to.alpha / from.alpha).powi(2).max(1.0);
    let error = |lambda2: f64| (best(lambda2, score + bar) - best(lambda2, score)).abs();
    for (key, expected) in step.entries()? {
        let (ours, tolerance, slack) = match key {
            "E_score2_over_d" => (score, quadrature, 0.0),
            "opt_var_ddpm" => (best(kernel.variance, score), quadrature, error(kernel.variance)),
            "opt_var_ddim" => (best(0.0, score), quadrature, error(0.0)),
            // The score of a point, and that of data with the variance of noise: what a moment can say of data within that.
            "lower_ddpm" => (best(kernel.variance, 1.0 / from.sigma.powi(2)), CLOSED, bound),
            "upper_ddpm" => (best(kernel.variance, 1.0), CLOSED, bound),
            "beta_tilde" => (kernel.variance, CLOSED, 4.0 * f64::EPSILON),
            "beta" => (kernel.forward_variance, CLOSED, 4.0 * f64::EPSILON),
            "t" | "t_prev" | "quadrature_disagreement" => continue,
            _ => {
                report.skip(&format!("{name}/{}/{key}", t.f64()?), "no check for a quantity of this name");
                continue;
            }
        };
        // Variances of the last steps are small: compared relative to themselves.
        relative::numbers(&mut compare, key, &[ours], &[expected.f64()?], tolerance, |_| slack);
    }
    report.add(&format!("{name}/t={}", t.f64()?), compare);
    Ok(())
}

fn kernel(name: &str, entry: &At<'_>, mixture: &GaussianMixture, table: &Table, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let (from, to) = (level(table, &entry.get("t")?)?, level(table, &entry.get("s")?)?);
    let (x, kernel) = (entry.get("x")?.f64s()?, Reverse::between(from, to));
    let d = mixture.dim();
    let mean = Vec::lincomb(&[(kernel.of_x, &x), (kernel.of_x0, &mixture.mean_x0(&x, from))]);
    let mut cov: Vec<f64> = mixture.cov_x0(&x, from).iter().map(|c| c * kernel.of_x0 * kernel.of_x0).collect();
    for matrix in cov.chunks_exact_mut(d * d) {
        matrix.iter_mut().step_by(d + 1).for_each(|v| *v += kernel.variance);
    }
    let mut compare = Compare::new(CLOSED);
    compare.numbers("mean", &mean, &entry.get("mean")?.f64s()?);
    compare.numbers("cov", &cov, &entry.get("cov")?.f64s()?);
    report.add(name, compare);
    Ok(())
}
