//! Errors of solvers against the exact probability-flow ODE, one table entry per solver and grid.

use super::{
    SelftestError,
    json::At,
    report::{Compare, Report},
};
use crate::{
    Level, Philox,
    mixture::GaussianMixture,
    solver::{Bh, Deis, DpmPp, Lms, Solver, UniPc},
};

/// Bound on evaluations from a file.
const MOST: f64 = 10_000.0;
/// Ratio to the recorded error that is accepted, either way.
const RATIO: f64 = 0.05;

/// Checks the root mean square error of every solver and grid, and the orders that follow from them.
pub(super) fn check(doc: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let mixture: GaussianMixture = doc.get("mixture")?.parse()?;
    let [max, min] = [doc.get("sigma_max")?.f64()?, doc.get("sigma_min")?.f64()?];
    let (start, exact) = (doc.get("x_init_ve")?.f64s()?, doc.get("ode_reference_ve")?.f64s()?);
    for (name, entry) in doc.get("results")?.entries()? {
        let Some((solver, grid)) = method(name) else {
            report.skip(name, "no solver and grid of this name");
            continue;
        };
        let (nfe, recorded) = (entry.get("nfe")?.f64s()?, entry.get("rms_error")?.f64s()?);
        let mut compare = Compare::new(RATIO);
        let mut errors = Vec::new();
        for nfe in &nfe {
            let nodes = grid.nodes(max, min, (nfe.min(MOST) / evaluations(solver)) as usize);
            match solver.plan(&nodes) {
                Err(error) => compare.fail(error.to_string()),
                Ok(plan) => {
                    let scaled = |x: &[f64], alpha: f64| x.iter().map(|v| alpha * v).collect::<Vec<_>>();
                    let end = nodes[nodes.len() - 1].alpha;
                    let x = plan.run(scaled(&start, nodes[0].alpha), &mixture, &Philox::new(0));
                    errors.push(rms(&x, &scaled(&exact, end), mixture.dim()));
                }
            }
        }
        compare.numbers("ratio of rms_error", &errors.iter().zip(&recorded).map(|(a, b)| a / b).collect::<Vec<_>>(), &vec![1.0; nfe.len()]);
        orders(&entry, &nfe, &recorded, &mut compare)?;
        report.add(name, compare);
    }
    Ok(())
}

/// Root mean square over points of the distance between them.
fn rms(a: &[f64], b: &[f64], dim: usize) -> f64 {
    (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / (a.len() / dim) as f64).sqrt()
}

/// Recorded orders must be those of the recorded errors.
fn orders(entry: &At<'_>, nfe: &[f64], errors: &[f64], compare: &mut Compare) -> Result<(), SelftestError> {
    let order = |i: usize| (errors[i] / errors[i + 1]).ln() / (nfe[i + 1] / nfe[i]).ln();
    let ours: Vec<f64> = (0..errors.len().min(nfe.len()).saturating_sub(1)).map(order).collect();
    compare.numbers_to(1e-9, "order_between", &ours, &entry.get("order_between")?.f64s()?);
    compare.numbers_to(1e-9, "order_last", &ours[ours.len().saturating_sub(1)..], &entry.get("order_last")?.f64s()?);
    Ok(())
}

/// Evaluations of one step.
pub(super) fn evaluations(solver: Solver) -> f64 {
    match solver {
        Solver::Heun(_) | Solver::Dpm2(_) | Solver::Dpmpp2s(_) => 2.0,
        Solver::Edm(edm) if edm.second_order => 2.0,
        _ => 1.0,
    }
}

/// Where nodes lie between the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grid {
    /// Even in `ln sigma`, variance exploding.
    Log,
    /// Karras et al. 2022, eq. 5 with `rho = 7`, variance exploding.
    Karras,
    /// Even in the half log-SNR, variance preserving.
    VpLambda,
}

impl Grid {
    /// Splits the name of an entry into that of a solver and a grid.
    pub(super) fn of_name(name: &str) -> Option<(&str, Self)> {
        let all = [("_vp_lambda", Self::VpLambda), ("_karras", Self::Karras), ("_log", Self::Log)];
        all.into_iter().find_map(|(suffix, grid)| name.strip_suffix(suffix).map(|rest| (rest, grid)))
    }

    /// `steps + 1` nodes between two noises.
    pub(super) fn nodes(self, max: f64, min: f64, steps: usize) -> Vec<Level> {
        let even = |a: f64, b: f64, i: usize| a + (b - a) * i as f64 / steps.max(1) as f64;
        let node = |i: usize| match self {
            Self::Log => Level::ve(even(max.ln(), min.ln(), i).exp()),
            Self::Karras => Level::ve(even(max.powf(1.0 / 7.0), min.powf(1.0 / 7.0), i).powi(7)),
            Self::VpLambda => Level::vp_of_lambda(-even(max.ln(), min.ln(), i)),
        };
        (0..=steps).map(node).collect()
    }
}

/// A solver and a grid from the name of an entry, `dpmpp_2m_log` for instance.
fn method(name: &str) -> Option<(Solver, Grid)> {
    let (name, grid) = Grid::of_name(name)?;
    let order = || name.chars().find_map(|c| c.to_digit(10)).map(|d| d as u8);
    let multistep = |order| Solver::Dpmpp(DpmPp { order, lower_order_final: false, ..DpmPp::default() });
    let solver = match name {
        "dpmpp_1m" => multistep(1),
        "dpmpp_2m" => multistep(2),
        "dpmpp_3m" => multistep(3),
        _ if name.starts_with("lms") => Solver::Lms(Lms { order: order()? }),
        _ if name.starts_with("deis") => Solver::Deis(Deis { order: order()?, ..Deis::default() }),
        _ if name.starts_with("uni") => Solver::Unipc(UniPc {
            order: order()?,
            bh: if name.ends_with("bh1") { Bh::Bh1 } else { Bh::Bh2 },
            corrector: !name.ends_with("nocorr"),
            ..UniPc::default()
        }),
        _ => Solver::from_name(name).ok()?,
    };
    Some((solver, grid))
}
