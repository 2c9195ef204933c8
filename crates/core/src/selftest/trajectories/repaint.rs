//! Recorded RePaint runs.

use super::{F64, record::MOST_STEPS};
use crate::{
    Level,
    drive::{RePaint, jump_list},
    mixture::GaussianMixture,
    schedule::{Table, betas},
    selftest::{
        SelftestError,
        json::At,
        report::{Compare, Report},
    },
};

/// One recorded step.
struct Step {
    down: bool,
    t: usize,
    t_last: usize,
    x: Vec<f64>,
    output: Vec<f64>,
    noise: std::ops::Range<usize>,
    x_next: Vec<f64>,
}

impl Step {
    fn read(at: &At<'_>) -> Result<Self, SelftestError> {
        let list = |key: &str| at.opt(key).map_or(Ok(Vec::new()), |v| v.f64s());
        let range = at.get("noise_index")?.items()?;
        let [from, to] = range.as_slice() else { return Err(at.expected("a pair of indices in noise_index")) };
        Ok(Self {
            down: at.get("kind")?.str()? == "denoise",
            t: at.get("t")?.index()?,
            t_last: at.get("t_last")?.index()?,
            x: list("x")?,
            output: list("model_output")?,
            noise: from.index()?..to.index()?,
            x_next: list("x_next")?,
        })
    }
}

/// Repeats an entry: its downward steps with our step, its jumps with our forward kernel over the levels that the record crossed.
pub(super) fn check(name: &str, entry: &At<'_>, mixture: &GaussianMixture, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let steps = entry.get("steps")?.items()?.iter().map(Step::read).collect::<Result<Vec<_>, _>>()?;
    let times = entry.get("timesteps")?.f64s()?;
    let count = entry.get("set_timesteps")?.index_below(MOST_STEPS)?;
    let (mask, original) = (entry.get("mask")?.f64s()?, entry.get("original")?.f64s()?);
    let noise = entry.get("noise")?.items()?.iter().map(At::f64s).collect::<Result<Vec<_>, _>>()?;
    let repaint = RePaint {
        jump_length: entry.get("jump_length")?.index_below(MOST_STEPS)?,
        jump_samples: entry.get("jump_n_sample")?.index_below(MOST_STEPS)?,
        eta: entry.get("eta")?.f64()?,
    };
    let mut compare = Compare::new(F64);
    let stride = steps.iter().map(|s| s.t).max().unwrap_or(0) / count.saturating_sub(1).max(1);
    let list = jump_list(count, repaint.jump_length, repaint.jump_samples);
    compare.numbers("timesteps", &list.iter().map(|t| (t * stride) as f64).collect::<Vec<_>>(), &times);
    compare.numbers("t", &steps.iter().map(|s| s.t as f64).collect::<Vec<_>>(), &times);
    let Some(table) = linear_table(&steps, mixture, stride * count) else {
        compare.fail("no linear schedule gives the recorded outputs".to_owned());
        report.add(name, compare);
        return Ok(());
    };
    let level = |t: usize| table.alpha_bar().get(t).map_or(Level::new(f64::NAN, f64::NAN), |a| Level::vp(*a));
    let blend = |known: &Vec<f64>, unknown: &Vec<f64>| -> Vec<f64> {
        mask.iter().zip(known.iter().zip(unknown)).map(|(m, (k, u))| m * k + (1.0 - m) * u).collect()
    };
    let mut x = entry.get("x_init")?.f64s()?;
    let (mut t_last, mut used) = (steps.first().map_or(0, |s| s.t + 1), 0);
    for (k, step) in steps.iter().enumerate() {
        compare.numbers(&format!("step {k}: x"), &x, &step.x);
        let draws = if step.down { 1 } else { stride };
        let expected = [step.t_last as f64, step.noise.start as f64, step.noise.end as f64];
        compare.numbers(&format!("step {k}: t_last, noise_index"), &[t_last as f64, used as f64, (used + draws) as f64], &expected);
        used += draws;
        let Some(drawn) = noise.get(step.noise.clone()).filter(|d| !d.is_empty() && d.len() == draws) else {
            return Err(entry.expected(format!("noise for step {k}")));
        };
        if step.down != (step.t < t_last) {
            compare.fail(format!("step {k}: goes the wrong way"));
        }
        if step.down {
            let at = level(step.t);
            let x0 = mixture.mean_x0(&x, at);
            let eps: Vec<f64> = x.iter().zip(&x0).map(|(x, d)| (x - at.alpha * d) / at.sigma).collect();
            compare.numbers(&format!("step {k}: model_output"), &eps, &step.output);
            let to = if step.t >= stride { level(step.t - stride) } else { Level::clean() };
            // No noise is drawn into clean data or at time 0.
            let quiet = RePaint { eta: if step.t > 0 { repaint.eta } else { 0.0 }, ..repaint };
            x = quiet.down(&x, &x0, &original, &drawn[0], [at, to], blend);
        } else {
            // The record noises by the betas after the time it came from, although the state lies a step below it.
            let (from, to) = (t_last, t_last + stride - 1);
            let below = if from > 0 { level(from - 1) } else { Level::clean() };
            x = RePaint::up(&x, &pooled(&table, from, drawn), below, level(to));
            let seen = mixture.mean_x0(&step.x, level(step.t));
            let at = level(step.t);
            let eps: Vec<f64> = step.x.iter().zip(&seen).map(|(x, d)| (x - at.alpha * d) / at.sigma).collect();
            if !step.output.is_empty() {
                compare.numbers(&format!("step {k}: model_output"), &eps, &step.output);
            }
        }
        compare.numbers(&format!("step {k}: x_next"), &x, &step.x_next);
        t_last = step.t;
    }
    if used != noise.len() {
        compare.fail("noise_index does not cover the noise".to_owned());
    }
    compare.numbers("final", &x, &entry.get("final")?.f64s()?);
    report.add(name, compare);
    Ok(())
}

/// The one standard normal that does what a chain of single steps from `from` on does with `drawn`.
fn pooled(table: &Table, from: usize, drawn: &[Vec<f64>]) -> Vec<f64> {
    let mut sum = vec![0.0; drawn[0].len()];
    let mut variance = 0.0;
    for (i, z) in drawn.iter().enumerate() {
        let beta = table.beta(from + i);
        variance = variance * (1.0 - beta) + beta;
        sum.iter_mut().zip(z).for_each(|(s, z)| *s = *s * (1.0 - beta).sqrt() + z * beta.sqrt());
    }
    sum.iter().map(|s| s / variance.sqrt()).collect()
}

/// The linear table of betas under which the mixture gives the recorded outputs, which the record does not name: its level at time 0
/// gives the first beta, that at the last time the slope.
fn linear_table(steps: &[Step], mixture: &GaussianMixture, total: usize) -> Option<Table> {
    let first = steps.iter().filter(|s| s.down).min_by_key(|s| s.t)?;
    let last = steps.iter().filter(|s| s.down).max_by_key(|s| s.t)?;
    if first.t != 0 || last.t == 0 {
        return None;
    }
    let start = 1.0 - alpha_bar(first, mixture);
    let log_last = alpha_bar(last, mixture).ln();
    let product = |slope: f64| (0..=last.t).map(|i| (-(start + slope * i as f64)).ln_1p()).sum::<f64>();
    // The product falls with the slope; no beta may reach 1.
    let (mut low, mut high) = (0.0, (1.0 - start) / last.t as f64 * (1.0 - 1e-12));
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if product(middle) > log_last { low = middle } else { high = middle }
    }
    let end = start + 0.5 * (low + high) * (total.checked_sub(1)?) as f64;
    Table::from_betas(&betas::linear(start, end, total)).ok()
}

/// The `alpha_bar` at which the mixture's noise estimate is the recorded one: a grid over the log-SNR, then Gauss-Newton.
fn alpha_bar(step: &Step, mixture: &GaussianMixture) -> f64 {
    let residual = |lambda: f64| -> Vec<f64> {
        let at = Level::vp_of_lambda(lambda);
        let x0 = mixture.mean_x0(&step.x, at);
        let eps = step.x.iter().zip(&x0).map(|(x, d)| (x - at.alpha * d) / at.sigma);
        eps.zip(&step.output).map(|(e, o)| e - o).collect()
    };
    let square = |lambda: f64| residual(lambda).iter().map(|r| r * r).sum::<f64>();
    let grid = (0..=1200).map(|i| -8.0 + f64::from(i) / 75.0);
    let mut lambda = grid.min_by(|a, b| square(*a).total_cmp(&square(*b))).unwrap_or(0.0);
    for _ in 0..20 {
        let h = 1e-6;
        let (r, up, down) = (residual(lambda), residual(lambda + h), residual(lambda - h));
        let slope: Vec<f64> = up.iter().zip(&down).map(|(u, d)| (u - d) / (2.0 * h)).collect();
        let step = r.iter().zip(&slope).map(|(r, s)| r * s).sum::<f64>() / slope.iter().map(|s| s * s).sum::<f64>();
        if step.is_finite() {
            lambda -= step;
        }
    }
    Level::vp_of_lambda(lambda).alpha.powi(2)
}
