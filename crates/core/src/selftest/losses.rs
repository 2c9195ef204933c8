//! Reference values of the denoising loss of the exact denoiser, in each of its forms.

use super::{At, Report, SelftestError, report::Compare};
use crate::{
    Level, Param, State,
    loss::{Dsm, Weight},
    variance,
};

/// Tolerance of closed forms in f64.
const CLOSED: f64 = 1e-10;
/// Tolerance of a reference that is itself a quadrature.
const QUADRATURE: f64 = 1e-5;

/// Checks the entry, with the mixture of a sibling document.
pub(super) fn check(entry: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let Some(mixture) = report.mixture.clone() else {
        report.skip("losses", "no document of this folder has a mixture");
        return Ok(());
    };
    let at = Level::new(entry.get("alpha")?.f64()?, entry.get("sigma")?.f64()?);
    Param::Eps.check(&[at]).map_err(|e| entry.expected(e.to_string()))?;
    let (x0, eps) = (entry.get("x")?.f64s()?, entry.get("eps")?.f64s()?);
    let dim = mixture.dim();
    if x0.len() != eps.len() || x0.len() % dim != 0 {
        return Err(entry.expected(format!("as many numbers in 'x' as in 'eps', points of dimension {dim}")));
    }
    let z = Vec::lincomb(&[(at.alpha, &x0), (at.sigma, &eps)]);
    let estimate = mixture.mean_x0(&z, at);
    // Squared error a row of a network of each kind that knows the exact denoiser.
    let squares = |param: Param| -> Vec<f64> {
        let target = Dsm { param, weight: Weight::Unit }.target(&x0, &eps, at);
        let c = param.coef(at);
        let output = Vec::lincomb(&[(1.0 / c.out, &estimate), (-c.skip / c.out, &z)]);
        let row = |(a, b): (&[f64], &[f64])| a.iter().zip(b).map(|(p, q)| (p - q).powi(2)).sum();
        output.chunks(dim).zip(target.chunks(dim)).map(row).collect()
    };
    let mean = |param: Param| -> Vec<f64> { squares(param).iter().map(|s| s / dim as f64).collect() };
    for (key, expected) in entry.entries()? {
        let ours = match key {
            "alpha" | "sigma" | "x" | "eps" | "note" => continue,
            "z" => z.clone(),
            "eps_mse" => mean(Param::Eps),
            "x0_mse" => mean(Param::X0),
            "v_mse" => mean(Param::V),
            "score_matching_sigma2" => squares(Param::Score).iter().map(|s| s * at.sigma * at.sigma).collect(),
            "bayes_eps_loss" => {
                let score = variance::mean_square_score(&mixture, at).map_err(|e| entry.expected(e.to_string()))?;
                vec![1.0 - at.sigma * at.sigma * score]
            }
            _ => {
                report.skip(&format!("losses/{key}"), "no check for a quantity of this name");
                continue;
            }
        };
        let mut compare = Compare::new(if key == "bayes_eps_loss" { QUADRATURE } else { CLOSED });
        compare.numbers(key, &ours, &if expected.value().is_array() { expected.f64s()? } else { vec![expected.f64()?] });
        report.add(&format!("losses/{key}"), compare);
    }
    Ok(())
}
