//! Samples of solvers against the moments and the likelihood of the data: a statistical check.

use super::{
    SelftestError,
    convergence::{Grid, evaluations},
    json::At,
    report::{Compare, Report},
};
use crate::{
    Level, NoiseSource, Philox,
    mixture::GaussianMixture,
    noise::stream,
    solver::{DpmPp, Solver},
};

/// Samples drawn here: enough for a few percent, in a second or two.
const SAMPLES: usize = 4000;
/// Standard errors that two independent runs may differ by.
const ERRORS: f64 = 5.0;

/// Three figures of a set of samples, with the standard error of each.
struct Figures {
    value: [f64; 3],
    error: [f64; 3],
}

impl Figures {
    const NAMES: [&str; 3] = ["mean_err", "cov_err", "mean_nll"];

    /// Distance of the mean, Frobenius distance of the covariance, mean negative log-likelihood in nats; points of dimension 2.
    fn of(x: &[f64], data: &GaussianMixture, at: Level) -> Self {
        let n = (x.len() / 2) as f64;
        let average = |f: &dyn Fn(&[f64]) -> f64| x.chunks_exact(2).map(f).sum::<f64>() / n;
        let mean = [average(&|p| p[0]), average(&|p| p[1])];
        let (exact_mean, exact_cov) = (data.mean(at), data.covariance(at));
        let off = (mean[0] - exact_mean[0]).hypot(mean[1] - exact_mean[1]);
        let (mut spread, mut cov_off, mut cov_error) = (0.0, 0.0, 0.0);
        for (a, b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let product = move |p: &[f64]| (p[a] - mean[a]) * (p[b] - mean[b]);
            let cov = average(&product);
            spread += if a == b { cov / n } else { 0.0 };
            cov_off += (cov - exact_cov[2 * a + b]).powi(2);
            cov_error += average(&|p| (product(p) - cov).powi(2)) / n;
        }
        let logs = data.log_p(x, at);
        let nll = -logs.iter().sum::<f64>() / n;
        let nll_error = logs.iter().map(|l| (l + nll).powi(2)).sum::<f64>() / n / n;
        Self { value: [off, cov_off.sqrt(), nll], error: [spread.sqrt(), cov_error.sqrt(), nll_error.sqrt()] }
    }

    /// Compares with the figures of an independent run of `theirs` samples.
    fn compare(&self, what: &str, entry: &At<'_>, theirs: usize, compare: &mut Compare) -> Result<(), SelftestError> {
        let both = (1.0 + SAMPLES as f64 / theirs as f64).sqrt();
        for ((name, value), error) in Self::NAMES.iter().zip(self.value).zip(self.error) {
            let unit = ERRORS * both * error;
            compare.number(&format!("{what}: {name}, in allowed errors"), 0.0, (value - entry.get(name)?.f64()?) / unit);
        }
        Ok(())
    }
}

/// Checks every solver at every number of evaluations.
pub(super) fn check(doc: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let Some(data) = report.mixture.clone().filter(|m| m.dim() == 2) else {
        report.skip("", "the folder has no mixture of dimension 2");
        return Ok(());
    };
    let theirs = doc.get("M")?.index()?.max(1);
    let end = |key: &str, of_folder: f64| doc.opt(key).map_or(Ok(of_folder), |at| at.f64());
    let (max, min) = (end("sigma_max", report.ends.0)?, end("sigma_min", report.ends.1)?);
    // Grids end at the least noise, and so do the moments.
    let at = Level::ve(min);
    let mut moments = Compare::new(1e-10);
    moments.numbers("exact_mean", &data.mean(at), &doc.get("exact_mean")?.f64s()?);
    moments.numbers("exact_cov", &data.covariance(at), &doc.get("exact_cov")?.f64s()?);
    report.add("exact", moments);
    let noise = Philox::new(1);
    let mut start = vec![0.0; 2 * SAMPLES];
    noise.fill_f64(0, 0, stream::PRIOR, &mut start);
    start.iter_mut().for_each(|z| *z *= max);
    for (name, entry) in doc.get("results")?.entries()? {
        let mut compare = Compare::new(1.0);
        if name == "exact_samples" {
            let (mut x, _) = data.sample(&noise, SAMPLES, 0, stream::DATA);
            let mut z = vec![0.0; x.len()];
            noise.fill_f64(0, 0, stream::STEP, &mut z);
            x.iter_mut().zip(z).for_each(|(x, z)| *x += min * z);
            Figures::of(&x, &data, at).compare(name, &entry, theirs, &mut compare)?;
        } else if let Some((solver, evaluations, grid)) = method(name) {
            for (nfe, figures) in entry.entries()? {
                let steps = nfe.parse::<usize>().map_err(|_| figures.expected("a number of evaluations as its key"))?.min(10_000);
                match solver.plan(&grid.nodes(max, min, steps / evaluations)) {
                    Err(error) => compare.fail(error.to_string()),
                    Ok(plan) => {
                        Figures::of(&plan.run(start.clone(), &data, &noise), &data, at).compare(nfe, &figures, theirs, &mut compare)?;
                    }
                }
            }
        } else {
            report.skip(name, "no solver of this name");
            continue;
        }
        report.add(name, compare);
    }
    Ok(())
}

/// A solver and a grid from the name of an entry, and the solver's evaluations per step; Karras's grid if it names none.
fn method(name: &str) -> Option<(Solver, usize, Grid)> {
    let (name, grid) = Grid::of_name(name).unwrap_or((name, Grid::Karras));
    let (sde, ode) = (name.strip_prefix("sde_"), name.strip_suffix("_ode").unwrap_or(name));
    let solver = match sde.unwrap_or(ode) {
        "dpmpp_1m" | "dpmpp_2m" | "dpmpp_3m" => {
            let order = name.chars().find_map(|c| c.to_digit(10))? as u8;
            Solver::Dpmpp(DpmPp { order, sde: sde.is_some(), lower_order_final: false, ..DpmPp::default() })
        }
        other if sde.is_none() => Solver::from_name(other).ok()?,
        _ => return None,
    };
    Some((solver, evaluations(solver) as usize, grid))
}
