//! Settings that a recorded run had but does not name, solved for from its own numbers. All numbers are then checked against them.

use super::{
    record::{Run, Step},
    replay,
    setup::{Output, Setup},
};
use crate::{
    Level, Param,
    mixture::GaussianMixture,
    selftest::relative::fit,
    solver::{Edm, Lms, Reverse, Solver},
};

/// Middle value of a list, if it is not empty.
fn median(mut list: Vec<f64>) -> Option<f64> {
    list.retain(|v| v.is_finite());
    list.sort_by(f64::total_cmp);
    list.get(list.len() / 2).copied()
}

/// Estimates of `x0` and of the noise that a step's output stands for.
fn estimates(step: &Step, output: Output) -> (Vec<f64>, Vec<f64>) {
    let (of_x0, of_x) = output.factors(step.at);
    let x0: Vec<f64> = step.x.iter().zip(&step.output).map(|(x, f)| (f - of_x * x) / of_x0).collect();
    let eps = step.x.iter().zip(&x0).map(|(x, d)| (x - step.at.alpha * d) / step.at.sigma).collect();
    (x0, eps)
}

/// DDIM's `eta`: the factor of the noise over the standard deviation of the full kernel, median over the steps; 0 without noise.
pub(super) fn ddim_eta(run: &Run, output: Output, targets: &[Level], clip: Option<f64>) -> f64 {
    let etas = run.steps.iter().zip(targets).filter_map(|(step, to)| {
        let z = run.noise.get(step.noise.start).filter(|_| !step.noise.is_empty())?;
        let variance = Reverse::between(step.at, *to).variance;
        let (x0, eps) = estimates(step, output);
        let rows = (0..z.len().min(x0.len()).min(step.x_next.len())).map(|i| {
            let used = clip.map_or(x0[i], |bound| x0[i].clamp(-bound, bound));
            [eps[i], z[i], step.x_next[i] - to.alpha * used]
        });
        (variance > 0.0).then(|| fit(rows).1 / variance.sqrt())
    });
    median(etas.collect()).unwrap_or(0.0).clamp(0.0, 1.0)
}

/// The churn of Karras's sampler: how far each noisy step raised its noise, and how wide the added noise was.
///
/// The step is `x_next = y + (next - raised) (y - D) / raised` from the raised state `y = x + width z`, so that
/// `x_next - x = width (1 + k b) z + b (x - D)`, with `b = next / raised - 1` and `k` what of `y` is left in `y - D`: all of it for an
/// estimate of data; `s^2 / (s^2 + 1)` for a velocity, which is read at the level `s` before churn. A noise estimate is the slope itself.
pub(super) fn churn(run: &Run, output: Output) -> Edm {
    let (mut gammas, mut widths) = (Vec::new(), Vec::new());
    let mut noisy: Vec<f64> = Vec::new();
    for (k, step) in run.steps.iter().enumerate() {
        let (s, next) = (step.at.sigma, run.sigmas.get(k + 1).copied().unwrap_or(0.0));
        let Some(z) = run.noise.get(step.noise.start).filter(|_| !step.noise.is_empty()) else { continue };
        let (x0, eps) = estimates(step, output);
        let slope_known = output.is(Param::Eps);
        let slope = |i: usize| if slope_known { eps[i] } else { step.x[i] - x0[i] };
        let rows = (0..z.len().min(eps.len()).min(step.x_next.len())).map(|i| [z[i], slope(i), step.x_next[i] - step.x[i]]);
        let (of_z, of_slope) = fit(rows);
        noisy.push(s);
        let (raised, width) = if slope_known {
            (next - of_slope, of_z)
        } else {
            let kept = if output.is(Param::V) { s * s / (s * s + 1.0) } else { 1.0 };
            (next / (1.0 + of_slope), of_z / (1.0 + kept * of_slope))
        };
        // Into clean data an estimate of data says nothing of what was added.
        if next > 0.0 || slope_known {
            gammas.push(raised / s - 1.0);
            widths.push(width / (raised * raised - s * s).sqrt());
        }
    }
    let s_churn = median(gammas).unwrap_or(0.0) * run.steps.len() as f64;
    let s_noise = median(widths).unwrap_or(1.0);
    let least = noisy.iter().copied().fold(f64::INFINITY, f64::min);
    let most = noisy.iter().copied().fold(0.0, f64::max);
    Edm { s_churn: s_churn.max(0.0), s_min: least, s_max: Some(most), s_noise: s_noise.max(0.0), second_order: false }
}

/// The order of a linear multistep run: that of the solver's orders whose end is nearest to the recorded one.
pub(super) fn lms_order(mixture: &GaussianMixture, run: &Run, setup: &Setup) -> Lms {
    let distance = |lms: &Lms| {
        let setup = Setup { solver: Solver::Lms(*lms), ..setup.clone() };
        let plan = setup.plan().ok()?;
        let trace = replay::host(mixture, run, &setup, &plan, run.x_init.clone());
        Some(trace.last.iter().zip(&run.last).map(|(a, b)| (a - b).abs()).sum::<f64>())
    };
    let orders = [4, 3, 2, 1].map(|order| Lms { order });
    let known = orders.into_iter().filter_map(|lms| Some((distance(&lms)?, lms)));
    known.min_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(Lms::default, |(_, lms)| lms)
}
