//! Recorded runs of the predictor-corrector sampler on variance exploding levels.

use super::{F64, record::Config};
use crate::{
    Level,
    drive::{Corrector, Reversal},
    mixture::GaussianMixture,
    schedule::{Schedule, Ve},
    selftest::{
        SelftestError,
        json::At,
        report::{Compare, Report},
    },
};

/// Mean over points of each point's norm, as the published sampler has it.
fn mean_norm(x: &[f64], dim: usize) -> f64 {
    let norms: Vec<f64> = x.chunks(dim).map(|p| p.iter().map(|v| v * v).sum::<f64>().sqrt()).collect();
    norms.iter().sum::<f64>() / norms.len() as f64
}

/// Repeats an entry step by step; each step has its corrections and one reversal.
pub(super) fn check(name: &str, entry: &At<'_>, mixture: &GaussianMixture, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let config: Config = match entry.get("config")?.parse() {
        Ok(config) => config,
        Err(unknown) => {
            report.skip(name, unknown.to_string());
            return Ok(());
        }
    };
    let corrections = config.correct_steps.unwrap_or(1);
    let corrector = Corrector { snr: config.snr.unwrap_or(0.15), steps: 1 };
    let (sigmas, levels) = (entry.get("sigmas")?.f64s()?, entry.get("discrete_sigmas")?.f64s()?);
    let (times, noise) = (entry.get("timesteps")?.f64s()?, entry.get("noise")?.items()?);
    let mut compare = Compare::new(F64);
    schedule(&config, &sigmas, &levels, &times, &mut compare);

    let mut x = entry.get("x_init")?.f64s()?;
    let mut mean = Vec::new();
    let mut used = 0;
    for (k, step) in entry.get("steps")?.items()?.iter().enumerate() {
        let list = |key: &str| step.get(key)?.f64s();
        let (t, sigma) = (step.get("t")?.f64()?, step.get("sigma")?.f64()?);
        compare.numbers(&format!("step {k}: x"), &x, &list("x")?);
        compare.numbers(&format!("step {k}: t, sigma"), &[t, sigma], &[value(&times, k), value(&sigmas, k)]);
        let range = step.get("noise_index")?.f64s()?;
        compare.numbers(&format!("step {k}: noise_index"), &[used as f64, (used + corrections + 1) as f64], &range);
        let draw = |i: usize| noise.get(i).ok_or_else(|| step.expected("an index within the noise"))?.f64s();
        // The network is shown the listed sigma, the step is made between entries of the discrete list.
        let place = (t * (levels.len() as f64 - 1.0)) as usize;
        let (from, to) = (value(&levels, place), if place > 0 { value(&levels, place - 1) } else { 0.0 });
        let score = |x: &[f64]| mixture.score(x, Level::ve(sigma));
        for _ in 0..corrections {
            x = corrector.correct(&x, &score(&x), &draw(used)?, 1.0, |v| mean_norm(v, mixture.dim()));
            used += 1;
        }
        compare.numbers(&format!("step {k}: x_corrected"), &x, &list("x_corrected")?);
        let step_down = Reversal::step(&x, &score(&x), &draw(used)?, Level::ve(from), Level::ve(to));
        used += 1;
        (x, mean) = (step_down.next, step_down.mean);
        compare.numbers(&format!("step {k}: x_next"), &x, &list("x_next")?);
        compare.numbers(&format!("step {k}: mean"), &mean, &list("mean")?);
    }
    if used != noise.len() {
        compare.fail("noise_index does not cover the noise".to_owned());
    }
    compare.numbers("final", &mean, &entry.get("final")?.f64s()?);
    report.add(name, compare);
    Ok(())
}

fn value(list: &[f64], i: usize) -> f64 {
    list.get(i).copied().unwrap_or(f64::NAN)
}

/// Both lists of sigmas and the times against the variance exploding schedule.
fn schedule(config: &Config, sigmas: &[f64], levels: &[f64], times: &[f64], compare: &mut Compare) {
    let (min, max) = (config.sigma_min.unwrap_or(0.01), config.sigma_max.unwrap_or(1348.0));
    let Ok(ve) = Ve::new(min, max) else {
        compare.fail("sigma_min and sigma_max make no schedule".to_owned());
        return;
    };
    let n = config.train_steps();
    let (end, last) = (config.sampling_eps.unwrap_or(1e-5), (n.max(2) - 1) as f64);
    let at = |t: f64| ve.level(t).sigma;
    let even: Vec<f64> = (0..n).map(|i| 1.0 + (end - 1.0) * i as f64 / last).collect();
    compare.numbers("timesteps", &even, times);
    compare.numbers("sigmas", &even.iter().map(|t| at(*t)).collect::<Vec<_>>(), sigmas);
    compare.numbers("discrete_sigmas", &(0..n).map(|i| at(i as f64 / last)).collect::<Vec<_>>(), levels);
}
