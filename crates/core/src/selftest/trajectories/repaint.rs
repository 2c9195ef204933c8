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
    let Some(table) = schedule(&steps, mixture, stride, count, &report.tables) else {
        compare.fail("no known schedule gives the recorded outputs".to_owned());
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

/// The schedule under which the mixture gives the recorded outputs, which the record does not name: of each known family the member
/// with the recorded levels at the first and the last time; of those, the one nearest to the levels between.
///
/// A number of training steps that is not a multiple of the steps is rounded down when they are spread over it, so all that round to
/// `stride` are tried where the family depends on it.
fn schedule(steps: &[Step], mixture: &GaussianMixture, stride: usize, count: usize, known: &[Table]) -> Option<Table> {
    let mut levels: Vec<(usize, f64)> = Vec::new();
    for step in steps.iter().filter(|s| s.down) {
        if levels.iter().all(|(t, _)| *t != step.t) {
            levels.push((step.t, alpha_bar(step, mixture)));
        }
    }
    let first = levels.iter().min_by_key(|(t, _)| *t).copied()?;
    let last = levels.iter().max_by_key(|(t, _)| *t).copied()?;
    if first.0 != 0 || last.0 == 0 {
        return None;
    }
    let totals = stride * count..stride * count + count;
    let sigmoid = |total: usize| move |i: usize| 1.0 / (1.0 + (6.0 - 12.0 * i as f64 / (total - 1) as f64).exp());
    let even = |i: usize| i as f64;
    let longest = totals.end;
    let mut families =
        vec![through(first.1, last, even, |b| b, |b| b, longest), through(first.1, last, even, f64::sqrt, |r| r * r, longest)];
    for total in totals.filter(|total| *total > 1) {
        families.push(through(first.1, last, sigmoid(total), |b| b, |b| b, total));
        families.push(Table::from_betas(&betas::cosine(0.008, 0.999, total)).ok());
    }
    let distance = |table: &Table| {
        let off = |(t, a): &(usize, f64)| table.alpha_bar().get(*t).map_or(f64::INFINITY, |b| (a - b).abs());
        levels.iter().map(off).fold(0.0, f64::max)
    };
    families.into_iter().flatten().chain(known.iter().cloned()).min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// The table whose betas are `bend^-1` of a line in `shape(i)`, with the first level `start` and the level `last`; one as long as can be
/// below `total`.
fn through(
    start: f64,
    (t, level): (usize, f64),
    shape: impl Fn(usize) -> f64,
    bend: impl Fn(f64) -> f64,
    unbend: impl Fn(f64) -> f64,
    total: usize,
) -> Option<Table> {
    // A curve over [0, 1] whose ends are the free parameters; the first beta ties them.
    let (low, high) = (shape(0), shape(t));
    let from = bend(1.0 - start);
    let beta = |slope: f64, i: usize| unbend(from + slope * (shape(i) - low));
    let product = |slope: f64| (0..=t).map(|i| (-beta(slope, i)).ln_1p()).sum::<f64>();
    // The product falls with the slope; no beta up to the last level may reach 1.
    let (mut least, mut most) = (0.0, (bend(1.0) - from) / (high - low) * (1.0 - 1e-12));
    for _ in 0..200 {
        let middle = 0.5 * (least + most);
        if product(middle) > level.ln() { least = middle } else { most = middle }
    }
    let slope = 0.5 * (least + most);
    let betas: Vec<f64> = (0..total).map(|i| beta(slope, i)).take_while(|b| *b < 1.0).collect();
    Table::from_betas(&betas).ok()
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
