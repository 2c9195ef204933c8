//! Reference values of progressive distillation.

use super::{At, Report, SelftestError, report::Compare};
use crate::{
    Level, Param, State,
    distill::progressive_target,
    loss::Weight,
    mixture::GaussianMixture,
    schedule::{Schedule, VpCosine},
};

/// Tolerance of closed forms in f64.
const CLOSED: f64 = 1e-10;

/// Checks every case.
pub(super) fn check(doc: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let mixture: GaussianMixture = doc.get("mixture")?.parse()?;
    let named = doc.get("schedule")?;
    let text: String = named.str()?.split_whitespace().collect();
    if !(text.contains("alpha=cos(pit/2)") && text.contains("sigma=sin(pit/2)")) {
        report.skip("", "no check for another schedule than the cosine");
        return Ok(());
    }
    let schedule = VpCosine::new(0.0).map_err(|e| named.expected(e.to_string()))?;
    let steps = doc.get("student_steps")?.index()? as f64;
    for case in doc.get("cases")?.items()? {
        let number = |key: &str| case.get(key)?.f64();
        let (t, middle, end) = (number("t")?, number("t_mid")?, number("t_end")?);
        let mut compare = Compare::new(CLOSED);
        compare.numbers("t_mid and t_end are half a student's step and one below t", &[middle, end], &[t - 0.5 / steps, t - 1.0 / steps]);
        if !(t <= 1.0 && end >= 0.0 && t > middle && middle > end) {
            compare.fail(format!("times {t}, {middle}, {end}"));
            report.add(&format!("t={t}"), compare);
            continue;
        }
        let levels: [Level; 3] = [t, middle, end].map(|t| schedule.level(t));
        let (x0, eps) = (case.get("x")?.f64s()?, case.get("eps")?.f64s()?);
        if x0.len() != eps.len() || x0.len() % mixture.dim() != 0 {
            return Err(case.expected("'x' and 'eps' of one shape"));
        }
        let from = levels[0];
        let z = Vec::lincomb(&[(from.alpha, &x0), (from.sigma, &eps)]);
        let got = progressive_target(&mixture, &z, levels, 0);
        // What the target is for a student of each kind.
        let eps_target = Vec::lincomb(&[(1.0 / from.sigma, &z), (-from.alpha / from.sigma, &got.target)]);
        let v = Param::V.target(from);
        let v_target = Vec::lincomb(&[(v.of_x0, &got.target), (v.of_eps, &eps_target)]);
        for (key, expected) in case.entries()? {
            let ours = match key {
                "t" | "t_mid" | "t_end" | "x" | "eps" => continue,
                "z_t" => z.clone(),
                "teacher_x_t" => got.first.clone(),
                "z_mid" => got.middle.clone(),
                "teacher_x_mid" => got.second.clone(),
                "z_end" => got.end.clone(),
                "target_x" => got.target.clone(),
                "target_eps" => eps_target.clone(),
                "target_v" => v_target.clone(),
                "w_trunc_snr" => vec![Weight::Truncated.factor(Param::X0, from, 0.0)],
                "w_snr_plus_1" => vec![Weight::SnrPlusOne.factor(Param::X0, from, 0.0)],
                _ => {
                    report.skip(&format!("t={t}/{key}"), "no check for a quantity of this name");
                    continue;
                }
            };
            let expected = if expected.value().is_array() { expected.f64s()? } else { vec![expected.f64()?] };
            compare.numbers(key, &ours, &expected);
        }
        report.add(&format!("t={t}"), compare);
    }
    Ok(())
}
