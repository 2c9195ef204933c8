//! Reference values of the probability-flow likelihood.

use super::{At, Report, SelftestError, report::Compare};
use crate::{
    likelihood::likelihood,
    mixture::GaussianMixture,
    schedule::{Schedule, SubVp, Ve, Vp},
};

/// Tolerance with a fixed grid.
const FIXED_GRID: f64 = 1e-6;
/// Steps of that grid.
const STEPS: usize = 1600;
/// Tolerance of closed forms in f64.
const CLOSED: f64 = 1e-10;

/// One SDE and what is known of it.
struct Setting<'a> {
    mixture: &'a GaussianMixture,
    schedule: &'a dyn Schedule,
    x: &'a [f64],
    span: (f64, f64),
    prior_std: f64,
}

/// Checks the document: the main SDE and the exploding one beside it.
pub(super) fn check(doc: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let mixture: GaussianMixture = doc.get("mixture")?.parse()?;
    let x = doc.get("x")?.f64s()?;
    let sde = doc.get("sde")?;
    let number = |key: &str| sde.get(key)?.f64();
    let invalid = |e: crate::Error| sde.expected(format!("a valid SDE ({e})"));
    let kind = sde.get("kind")?;
    let schedule: Box<dyn Schedule> = match kind.str()? {
        "vp" => Box::new(Vp::new(number("beta_min")?, number("beta_max")?).map_err(invalid)?),
        "subvp" => Box::new(SubVp::new(number("beta_min")?, number("beta_max")?).map_err(invalid)?),
        other => {
            report.skip("", format!("no check for an SDE of kind '{other}'"));
            return Ok(());
        }
    };
    let setting = Setting { mixture: &mixture, schedule: &*schedule, x: &x, span: (number("t0")?, number("t1")?), prior_std: 1.0 };
    of_sde(kind.str()?, doc, &setting, report)?;
    if let Some(entry) = doc.opt("ve") {
        let number = |key: &str| entry.get(key)?.f64();
        let invalid = |e: crate::Error| entry.expected(format!("a valid SDE ({e})"));
        let schedule = Ve::new(number("sigma_min")?, number("sigma_max")?).map_err(invalid)?;
        let prior_std = number("sigma_max")?;
        let setting = Setting { mixture: &mixture, schedule: &schedule, x: &x, span: (0.0, 1.0), prior_std };
        of_sde("ve", &entry, &setting, report)?;
    }
    Ok(())
}

fn of_sde(name: &str, entry: &At<'_>, s: &Setting<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let refused = |e: crate::Error| entry.expected(format!("points and probes that fit ({e})"));
    let run = |probes: Option<&[f64]>| likelihood(s.mixture, s.schedule, s.x, s.span, STEPS, s.prior_std, probes).map_err(refused);
    let exact = run(None)?;
    let at_start = s.mixture.log_p(s.x, s.schedule.level(s.span.0));
    let probed = match entry.opt("probes") {
        None => Vec::new(),
        Some(all) => all.items()?.iter().map(|p| run(Some(&p.f64s()?))).collect::<Result<Vec<_>, _>>()?,
    };
    for (key, expected) in entry.entries()? {
        let (ours, tolerance) = match key {
            "z" => (exact.latent.clone(), FIXED_GRID),
            "int_div" => (exact.divergence.clone(), FIXED_GRID),
            "logp_data" => (s.mixture.log_p(s.x, crate::Level::clean()), CLOSED),
            "logp_t0_exact" | "logp_smin_exact" => (at_start.clone(), CLOSED),
            // Closed form, but at a latent that the grid found.
            "logp_T_exact_at_z" => (s.mixture.log_p(&exact.latent, s.schedule.level(s.span.1)), FIXED_GRID),
            "prior_logp_at_z" => (exact.prior_log_p.clone(), FIXED_GRID),
            "logp_ode_gaussian_prior" => (exact.log_p.clone(), FIXED_GRID),
            "bits_per_dim" => (exact.bits_per_dim(s.mixture.dim()), FIXED_GRID),
            "int_hutchinson" => (probed.iter().flat_map(|l| l.divergence.clone()).collect(), FIXED_GRID),
            "logp_hutchinson" => (probed.iter().flat_map(|l| l.log_p.clone()).collect(), FIXED_GRID),
            "mixture" | "sde" | "ode" | "x" | "probes" | "ve" | "note" | "sigma_min" | "sigma_max" => continue,
            _ => {
                report.skip(&format!("{name}/{key}"), "no check for a quantity of this name");
                continue;
            }
        };
        let mut compare = Compare::new(tolerance);
        compare.numbers(key, &ours, &expected.f64s()?);
        report.add(&format!("{name}/{key}"), compare);
    }
    // What the flow carries from the start to the end is the density itself.
    let mut compare = Compare::new(FIXED_GRID);
    let at_end = s.mixture.log_p(&exact.latent, s.schedule.level(s.span.1));
    let carried: Vec<f64> = at_end.iter().zip(&exact.divergence).map(|(p, d)| p + d).collect();
    compare.numbers("log p at the end + divergence", &carried, &at_start);
    report.add(&format!("{name}/change of density"), compare);
    Ok(())
}
