//! Reference values of progressive distillation.

use super::{At, Report, SelftestError, relative::fit, report::Compare};
use crate::{Level, Param, State, distill::progressive_target, loss::Weight, mixture::GaussianMixture};

/// Tolerance of closed forms in f64.
const CLOSED: f64 = 1e-10;

/// Schedules that a document may name, without spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// `alpha = cos(pi t / 2)`, `sigma = sin(pi t / 2)`.
    Cosine,
    /// `alpha = 1 - t`, `sigma = t`.
    Flow,
}

impl Named {
    fn from_text(text: &str) -> Option<Self> {
        let says = |alpha: &str, sigma: &str| text.contains(alpha) && text.contains(sigma);
        if says("alpha=cos(pit/2)", "sigma=sin(pit/2)") || says("alpha=cos(pi*t/2)", "sigma=sin(pi*t/2)") {
            Some(Self::Cosine)
        } else if says("alpha=1-t", "sigma=t") {
            Some(Self::Flow)
        } else {
            None
        }
    }

    fn level(self, t: f64) -> Level {
        let angle = 0.5 * std::f64::consts::PI * t;
        match self {
            Self::Cosine => Level::new(angle.cos(), angle.sin()),
            Self::Flow => Level::flow(t),
        }
    }
}

/// The levels of a case under a schedule that is not known: two numbers each, from all the numbers of the states there. What the states,
/// estimates and targets then have to be is computed from them.
fn of_record(case: &At<'_>) -> Result<Option<[Level; 3]>, SelftestError> {
    let list = |key: &str| case.get(key)?.f64s();
    let (z, x, middle) = (list("z_t")?, list("teacher_x_t")?, list("z_mid")?);
    let pair = |of: &[f64], a: &[f64], b: &[f64]| fit(of.iter().zip(a.iter().zip(b)).map(|(y, (a, b))| [*a, *b, *y]));
    let (alpha, sigma) = pair(&z, &list("x")?, &list("eps")?);
    let from = Level::new(alpha, sigma);
    // A step of DDIM: the estimate at the new alpha, the state's noise at the new sigma.
    let below = |at: Level, state: &[f64], estimate: &[f64], next: &[f64]| {
        let eps: Vec<f64> = state.iter().zip(estimate).map(|(z, d)| (z - at.alpha * d) / at.sigma).collect();
        let (alpha, sigma) = pair(next, estimate, &eps);
        Level::new(alpha, sigma)
    };
    let mid = below(from, &z, &x, &middle);
    let end = below(mid, &middle, &list("teacher_x_mid")?, &list("z_end")?);
    let falling = [from, mid, end].windows(2).all(|p| p[0].is_valid() && p[1].is_valid() && p[1].lambda() > p[0].lambda());
    Ok(falling.then_some([from, mid, end]))
}

/// Checks every case.
pub(super) fn check(doc: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let mixture: GaussianMixture = doc.get("mixture")?.parse()?;
    let text: String = doc.get("schedule")?.str()?.split_whitespace().collect();
    let named = Named::from_text(&text);
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
        let (x0, eps) = (case.get("x")?.f64s()?, case.get("eps")?.f64s()?);
        let Some(levels) = named.map_or_else(|| of_record(&case), |named| Ok(Some([t, middle, end].map(|t| named.level(t)))))? else {
            compare.fail("no falling levels give these states".to_owned());
            report.add(&format!("t={t}"), compare);
            continue;
        };
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
