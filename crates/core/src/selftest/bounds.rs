//! Reference values of learned variance, divergences and discretised likelihood, and of averages of weights.

use super::{At, Report, SelftestError, report::Compare};
use crate::{
    Level,
    ema::{Ema, Snapshot, condition, reconstruct, width_of_gamma},
    schedule::Table,
    solver::Reverse,
    variance::{discretised_log_likelihood, gaussian_kl, interpolated_log_variance},
};

/// Tolerance of closed forms in f64.
const CLOSED: f64 = 1e-10;
/// Logarithms of variances nearer than this are of one schedule.
const SAME: f64 = 1e-6;
/// Half width of a bin of 8-bit data in `[-1, 1]`.
const HALF_BIN: f64 = 1.0 / 255.0;

/// Learned variance and the terms of its bound.
///
/// The entry does not name its schedule: it is that table of the folder (or the usual linear one) whose posterior variance at `t`
/// is the entry's. If there is none, the two variances are solved for from the entry, and each of its numbers has to fit them.
pub(super) fn iddpm(entry: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let list = |key: &str| entry.get(key)?.f64s();
    let t = entry.get("t")?.index()?;
    let (v, log_var, log_var_q) = (list("v")?, list("log_var")?, list("log_var_q")?);
    let (mean_q, mean_p) = (list("mean_q")?, list("mean_p")?);
    let n = v.len();
    if [&log_var, &log_var_q, &mean_q, &mean_p].iter().any(|l| l.len() != n) || n == 0 {
        return Err(entry.expected("lists of one length"));
    }
    let kernel_of = |table: &Table| {
        let abar = table.alpha_bar();
        let to = if t == 0 { Some(Level::clean()) } else { abar.get(t - 1).map(|a| Level::vp(*a)) };
        Some(Reverse::between(Level::vp(*abar.get(t)?), to?))
    };
    let kernels = report.tables.iter().filter_map(kernel_of);
    let distance = |k: &Reverse| (k.variance.ln() - log_var_q[0]).abs();
    let near = |variance: f64| (variance.ln() - log_var_q[0]).abs() < SAME;
    let of_table = kernels.min_by(|a, b| distance(a).total_cmp(&distance(b))).filter(|k| distance(k) < SAME);
    let mut compare = Compare::new(CLOSED);
    // Variances that a table has at another time are those of a wrong time, not of an unknown table.
    let elsewhere = || report.tables.iter().any(|table| (0..table.alpha_bar().len()).any(|i| near(table.posterior_variance(i))));
    let unknown = || if elsewhere() { None } else { of_entry(&v, &log_var, &log_var_q) };
    match of_table.or_else(unknown) {
        Some(kernel) => {
            compare.numbers("log_var_q", &vec![kernel.variance.ln(); n], &log_var_q);
            let ours: Vec<f64> = v.iter().map(|&v| interpolated_log_variance(v, kernel, 0.0)).collect();
            compare.numbers("log_var", &ours, &log_var);
        }
        None => compare.fail(format!("no posterior and forward variance at t = {t} have these logarithms")),
    }
    report.add("iddpm/log_var", compare);

    let mut compare = Compare::new(CLOSED);
    let kl: Vec<f64> = (0..n).map(|i| gaussian_kl(mean_q[i], log_var_q[i], mean_p[i], log_var[i])).collect();
    compare.numbers("kl_nats", &kl, &list("kl_nats")?);
    let bits: Vec<f64> = kl.iter().map(|k| k / std::f64::consts::LN_2).collect();
    compare.numbers("kl_bits", &bits, &list("kl_bits")?);
    report.add("iddpm/kl", compare);

    let (x, mean, scale, expected) = (list("disc_x")?, list("disc_mu")?, list("disc_log_scale")?, list("disc_loglik")?);
    if [&mean, &scale, &expected].iter().any(|l| l.len() != x.len()) {
        return Err(entry.expected("'disc_*' of one length"));
    }
    let mut compare = Compare::new(CLOSED);
    for i in 0..x.len() {
        let ours = discretised_log_likelihood(x[i], mean[i], scale[i], HALF_BIN);
        // A reference that subtracts two cdfs near 1 is rounded by as much.
        let rounding = 4.0 * f64::EPSILON / expected[i].exp();
        compare.to(CLOSED.max(rounding / expected[i].abs().max(1.0)), || format!("disc_loglik[{i}]"), ours, expected[i]);
    }
    report.add("iddpm/disc_loglik", compare);
    Ok(())
}

/// The kernel whose two variances the entry interpolates: the posterior one is its `log_var_q`, the forward one follows from the largest
/// `v`; a posterior variance lies below its forward variance.
fn of_entry(v: &[f64], log_var: &[f64], log_var_q: &[f64]) -> Option<Reverse> {
    let (i, share) = v.iter().map(|v| 0.5 * (v + 1.0)).enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let small = log_var_q[i];
    let large = small + (log_var[i] - small) / share;
    let known = (0.0..=1.0).contains(&share) && small <= large && large < 0.0;
    known.then(|| Reverse { of_x: 0.0, of_x0: 0.0, variance: small.exp(), forward_variance: large.exp() })
}

/// Post-hoc reconstruction of averages of weights.
pub(super) fn averages(entry: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let list = |key: &str| entry.get(key)?.f64s();
    let (times, gammas) = (list("snap_t")?, list("snap_gamma")?);
    if times.len() != gammas.len() {
        return Err(entry.expected("a 'snap_gamma' for each 'snap_t'"));
    }
    let stored: Vec<Snapshot> = times.iter().zip(&gammas).map(|(&t, &gamma)| Snapshot { t, gamma }).collect();
    let wanted = Snapshot { t: entry.get("target_t")?.f64()?, gamma: entry.get("target_gamma")?.f64()? };
    let factors = reconstruct(&stored, wanted).map_err(|e| entry.expected(format!("valid snapshots ({e})")))?;
    let mut compare = Compare::new(CLOSED);
    compare.numbers("coeffs", &factors, &list("coeffs")?);
    // The condition number magnifies its own rounding.
    compare.numbers_to(1e-9, "condition_number", &[condition(&stored)], &[entry.get("condition_number")?.f64()?]);
    report.add("posthoc_ema/coeffs", compare);

    let mut compare = Compare::new(CLOSED);
    let of_snapshots = list("gammas")?;
    let widths: Vec<f64> = of_snapshots.iter().map(|&g| width_of_gamma(g)).collect();
    compare.numbers("stds", &widths, &list("stds")?);
    compare.number("target_std", width_of_gamma(wanted.gamma), entry.get("target_std")?.f64()?);
    let known = gammas.iter().all(|g| of_snapshots.contains(g));
    compare.number("each snapshot has one of the exponents", f64::from(known), 1.0);
    report.add("posthoc_ema/widths", compare);

    let steps = entry.get("beta_at_step")?;
    let rule = Ema::Power { gamma: steps.get("gamma")?.f64()? };
    let ours: Result<Vec<f64>, _> = steps.get("t")?.items()?.iter().map(|t| Ok(rule.kept(t.index()? as u64))).collect();
    let mut compare = Compare::new(CLOSED);
    compare.numbers("beta", &ours?, &steps.get("beta")?.f64s()?);
    report.add("posthoc_ema/beta_at_step", compare);
    Ok(())
}
