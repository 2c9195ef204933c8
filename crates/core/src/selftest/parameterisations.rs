//! Reference values of the mixture's closed forms and of what each kind of network predicts.

use super::{At, Report, SelftestError, report::Compare};
use crate::{Level, Param, State, mixture::GaussianMixture};

/// Tolerance of closed forms in f64.
const CLOSED: f64 = 1e-10;

/// Checks every level.
pub(super) fn check(doc: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let mixture: GaussianMixture = doc.get("mixture")?.parse()?;
    for (i, case) in doc.get("cases")?.items()?.iter().enumerate() {
        let at = Level::new(case.get("alpha")?.f64()?, case.get("sigma")?.f64()?);
        if !at.is_valid() {
            return Err(case.expected("a valid level"));
        }
        let points = case.get("x")?;
        let x = points.f64s()?;
        if x.len() != points.items()?.len() * mixture.dim() {
            return Err(points.expected(format!("points of dimension {}", mixture.dim())));
        }
        let score = mixture.score(&x, at);
        let x0 = mixture.mean_x0(&x, at);
        let eps = Vec::lincomb(&[(-at.sigma, &score)]);
        let target = |param: Param| {
            let t = param.target(at);
            Vec::lincomb(&[(t.of_x0, &x0), (t.of_eps, &eps)])
        };
        let mut compare = Compare::new(CLOSED);
        for (key, expected) in case.entries()? {
            let ours = match key {
                "alpha" | "sigma" | "x" => continue,
                "logp" => mixture.log_p(&x, at),
                "score" => score.clone(),
                "x0" => x0.clone(),
                "eps" => target(Param::Eps),
                "v" => target(Param::V),
                "flow" => target(Param::Flow),
                "hessian" => mixture.hessian(&x, at),
                "cov_x0_given_x" => mixture.cov_x0(&x, at),
                _ => {
                    report.skip(&format!("{i}/{key}"), "no check for a quantity of this name");
                    continue;
                }
            };
            compare.numbers(key, &ours, &expected.f64s()?);
        }
        conversions(&mut compare, at, &x, &x0, &eps);
        report.add(&format!("{i} alpha={} sigma={}", at.alpha, at.sigma), compare);
    }
    Ok(())
}

/// Each parameterisation, fed its own target, returns the denoiser.
fn conversions(compare: &mut Compare, at: Level, x: &Vec<f64>, x0: &[f64], eps: &Vec<f64>) {
    let x0 = x0.to_vec();
    for param in [Param::Eps, Param::X0, Param::V, Param::Score, Param::Flow, Param::Edm { sigma_data: 0.5 }] {
        if param.check(&[at]).is_err() {
            continue;
        }
        let (c, t) = (param.coef(at), param.target(at));
        let output = Vec::lincomb(&[(t.of_x0, &x0), (t.of_eps, eps)]);
        let back = Vec::lincomb(&[(c.skip, x), (c.out, &output)]);
        // Division by alpha magnifies the rounding of x and eps.
        let rounding = 1e-15 * (1.0 + x.iter().fold(0.0, |m: f64, v| m.max(v.abs()))) / at.alpha.clamp(1e-300, 1.0);
        compare.numbers_to(CLOSED.max(rounding), &format!("D from {param:?}"), &back, &x0);
    }
}
