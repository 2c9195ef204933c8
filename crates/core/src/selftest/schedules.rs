//! Reference values of schedules, grids, preconditioning and loss weights.

use super::{At, Report, SelftestError, relative, report::Compare};
use crate::{
    Level, Param, grid,
    loss::{EdmLoss, Weight},
    schedule::{Flow, LinearGamma, Schedule, ScheduleSpec, SubVp, Table, Ve, Vp},
};

type Outcome = Result<(), SelftestError>;

/// Rounding of `1 - alpha_bar` near 1, in units of its value.
const ULPS: f64 = 8.0 * f64::EPSILON;

/// Whether a document is of this kind.
pub(super) fn is(doc: &At<'_>) -> bool {
    doc.entries()
        .is_ok_and(|all| all.iter().any(|(_, e)| e.opt("alpha_bar").is_some() || e.opt("sigmas").is_some() || e.opt("leading").is_some()))
}

/// Checks every entry; what an entry is, is seen from its members.
pub(super) fn check(doc: &At<'_>, report: &mut Report<'_>) -> Outcome {
    let tables = tables(doc)?;
    for (name, entry) in doc.entries()? {
        let has = |key: &str| entry.opt(key).is_some();
        if let Some((_, table)) = tables.iter().find(|(of, _)| *of == name) {
            of_table(name, &entry, table, report)?;
        } else if has("sigmas") {
            noise_grid(name, &entry, report)?;
        } else if has("leading") {
            spacing(name, &entry, &tables, report)?;
        } else if has("c_skip") {
            preconditioner(name, &entry, report)?;
        } else if has("snr") && has("schedule") {
            weights(name, &entry, &tables, report)?;
        } else if has("t") || has("s") {
            continuous(name, &entry, report)?;
        } else {
            report.skip(name, "no check for an entry of this shape");
        }
    }
    Ok(())
}

/// The discrete tables of a document, by name.
pub(super) fn tables<'a>(doc: &At<'a>) -> Result<Vec<(&'a str, Table)>, SelftestError> {
    let mut all = Vec::new();
    for (name, entry) in doc.entries()? {
        let (Some(config), Some(steps)) = (entry.opt("config"), entry.opt("T")) else { continue };
        let steps = steps.index()?;
        let number = |key: &str| config.get(key)?.f64();
        let has = |key: &str| config.opt(key).is_some();
        let zero_terminal_snr = false;
        let spec = if has("tau") {
            let (start, end, tau) = (number("start")?, number("end")?, number("tau")?);
            ScheduleSpec::SigmoidAlphaBar { steps, start, end, tau, max_beta: number("max_beta")?, zero_terminal_snr }
        } else if has("s") {
            ScheduleSpec::Cosine { steps, s: number("s")?, max_beta: number("max_beta")?, zero_terminal_snr }
        } else {
            let (beta_start, beta_end) = (number("beta_start")?, number("beta_end")?);
            if has("range") {
                ScheduleSpec::SigmoidBeta { steps, beta_start, beta_end, range: number("range")?, zero_terminal_snr }
            } else if name.contains("scaled") {
                ScheduleSpec::ScaledLinear { steps, beta_start, beta_end, zero_terminal_snr }
            } else {
                ScheduleSpec::Linear { steps, beta_start, beta_end, zero_terminal_snr }
            }
        };
        let table = spec.table().map_err(|e| config.expected(format!("a valid schedule ({e})")))?;
        all.push((name, table.ok_or_else(|| config.expected("a discrete schedule"))?));
    }
    Ok(all)
}

fn indices(entry: &At<'_>, steps: usize) -> Result<Vec<usize>, SelftestError> {
    let items = entry.get("index")?.items()?;
    let index = |item: &At<'_>| match item.index()? {
        i if i < steps => Ok(i),
        _ => Err(item.expected(format!("an index below {steps}"))),
    };
    items.iter().map(index).collect()
}

fn of_table(name: &str, entry: &At<'_>, table: &Table, report: &mut Report<'_>) -> Outcome {
    let abar = table.alpha_bar();
    let zero = table.zero_terminal_snr().map_err(|e| entry.expected(format!("a table that can be rescaled ({e})")))?;
    let index = indices(entry, abar.len())?;
    let at = |f: &dyn Fn(usize) -> f64| -> Vec<f64> { index.iter().map(|&i| f(i)).collect() };
    let level = |i: usize| table.level(i as f64);
    let betas: Vec<f64> = (0..abar.len()).map(|i| table.beta(i)).collect();
    let rounding = |i: usize| ULPS / (1.0 - abar[index[i]]);
    // The rescaling to zero terminal SNR subtracts the last root, and magnifies rounding where little is left.
    let shrunk = |i: usize| {
        let (root, last) = (abar[i].sqrt(), abar[abar.len() - 1].sqrt());
        if i + 1 == abar.len() { 0.0 } else { 10.0 * ULPS * root / (root - last) }
    };
    let shrunk_beta = |i: usize| if i == 0 { 0.0 } else { (1.0 - zero.beta(i)) * (shrunk(i) + shrunk(i - 1)) };
    for (key, expected) in entry.entries()? {
        let mut compare = Compare::new(relative::TABLE);
        // `beta` is `1 - ratio` in several schedules and in ours: its rounding is absolute.
        let (ours, absolute, scaled) = match key {
            "T" | "config" | "index" => continue,
            "beta" => (at(&|i| betas[i]), ULPS, 0.0),
            "alpha_bar" => (at(&|i| abar[i]), 0.0, 0.0),
            "sqrt_abar" => (at(&|i| level(i).alpha), 0.0, 0.0),
            "sigma_ve" => (at(&|i| level(i).ve_sigma()), 0.0, 1.0),
            "log_snr" => (at(&|i| 2.0 * level(i).lambda()), ULPS, 1.0),
            "posterior_var" => (at(&|i| table.posterior_variance(i)), ULPS, 0.0),
            "zero_snr_beta" => (at(&|i| zero.beta(i)), ULPS, 0.0),
            "zero_snr_alpha_bar" => (at(&|i| zero.alpha_bar()[i]), 0.0, 0.0),
            "sum_beta" => (vec![betas.iter().sum()], 0.0, 0.0),
            "checksum_abar" => (vec![abar.iter().sum()], 0.0, 0.0),
            _ => {
                report.skip(&format!("{name}/{key}"), "no check for a quantity of this name");
                continue;
            }
        };
        let expected = expected.f64s()?;
        let slack = |i: usize| {
            let of_zero = match key {
                "zero_snr_alpha_bar" => expected[i] * shrunk(index[i]),
                "zero_snr_beta" => shrunk_beta(index[i]),
                _ => 0.0,
            };
            absolute + of_zero + scaled * rounding(i.min(index.len() - 1)) * expected[i].abs().min(1.0)
        };
        relative::numbers(&mut compare, key, &ours, &expected, relative::TABLE, slack);
        report.add(&format!("{name}/{key}"), compare);
    }
    Ok(())
}

fn noise_grid(name: &str, entry: &At<'_>, report: &mut Report<'_>) -> Outcome {
    let (n, min, max) = (entry.get("n")?.index()?, entry.get("sigma_min")?.f64()?, entry.get("sigma_max")?.f64()?);
    let rho = || entry.get("rho")?.f64();
    let expected = entry.get("sigmas")?.f64s()?;
    if n != expected.len() {
        return Err(entry.get("n")?.expected(format!("{}, the number of sigmas", expected.len())));
    }
    let ours = match name {
        _ if name.contains("poly") => grid::polyexponential(max, min, rho()?, n),
        _ if entry.opt("rho").is_none() => grid::exponential(max, min, n),
        _ => grid::karras(max, min, rho()?, n),
    };
    let mut compare = Compare::new(relative::TABLE);
    relative::numbers(&mut compare, "sigmas", &ours, &expected, relative::TABLE, |_| 0.0);
    report.add(name, compare);
    Ok(())
}

fn spacing(name: &str, entry: &At<'_>, tables: &[(&str, Table)], report: &mut Report<'_>) -> Outcome {
    let last = entry.get("linspace")?.f64s()?.first().copied().unwrap_or(0.0);
    // The document does not say of which table; all of them have as many steps.
    let steps = tables.first().map_or(last as usize + 1, |(_, t)| t.alpha_bar().len());
    for (key, expected) in entry.entries()? {
        let expected = expected.f64s()?;
        let n = name.rsplit('_').next().and_then(|n| n.parse().ok()).unwrap_or(expected.len());
        let ours = match key {
            "leading" => grid::leading(steps, n, 0),
            "linspace" => grid::linspace_times(steps, n),
            "trailing" => grid::trailing(steps, n),
            _ => {
                report.skip(&format!("{name}/{key}"), "no check for a spacing of this name");
                continue;
            }
        };
        let mut compare = Compare::new(0.5);
        compare.numbers_to(1e-12, key, &ours, &expected);
        report.add(&format!("{name}/{key}"), compare);
    }
    Ok(())
}

fn continuous(name: &str, entry: &At<'_>, report: &mut Report<'_>) -> Outcome {
    let number = |key: &str| entry.get(key)?.f64();
    let refused = |e: crate::Error| entry.expected(format!("a valid schedule ({e})"));
    let has = |key: &str| entry.opt(key).is_some();
    let schedule: Box<dyn Schedule> = if has("shift") {
        Box::new(Flow::new(number("shift")?).map_err(refused)?)
    } else if has("gamma_min") {
        Box::new(LinearGamma::new(number("gamma_min")?, number("gamma_max")?).map_err(refused)?)
    } else if has("sigma_min") {
        Box::new(Ve::new(number("sigma_min")?, number("sigma_max")?).map_err(refused)?)
    } else if name.contains("sub") {
        Box::new(SubVp::new(number("beta_min")?, number("beta_max")?).map_err(refused)?)
    } else {
        Box::new(Vp::new(number("beta_min")?, number("beta_max")?).map_err(refused)?)
    };
    let times = entry.opt("t").map_or_else(|| entry.get("s"), Ok)?.f64s()?;
    for (key, expected) in entry.entries()? {
        let of: &dyn Fn(f64) -> f64 = match key {
            "beta" => &|t| -2.0 * schedule.drift(t),
            "alpha" => &|t| schedule.level(t).alpha,
            "sigma" | "shifted" => &|t| schedule.level(t).sigma,
            "drift_coeff" => &|t| schedule.drift(t),
            "g2" => &|t| schedule.g2(t),
            "sigma_karras_vp" => &|t| schedule.level(t).ve_sigma(),
            "gamma" => &|t| -2.0 * schedule.level(t).lambda(),
            "t" | "s" | "shift" | "convention" | "note" => continue,
            "beta_min" | "beta_max" | "sigma_min" | "sigma_max" | "gamma_min" | "gamma_max" => continue,
            _ => {
                report.skip(&format!("{name}/{key}"), "no check for a quantity of this name");
                continue;
            }
        };
        let mut compare = Compare::new(relative::TABLE);
        let (ours, expected): (Vec<f64>, _) = (times.iter().map(|&t| of(t)).collect(), expected.f64s()?);
        // A reference that forms 1 - alpha^2 by subtraction is rounded there.
        let slack = |i: usize| ULPS * expected[i].abs().min(1.0) / schedule.level(times[i]).sigma.powi(2).min(1.0);
        relative::numbers(&mut compare, key, &ours, &expected, relative::TABLE, slack);
        report.add(&format!("{name}/{key}"), compare);
    }
    Ok(())
}

fn preconditioner(name: &str, entry: &At<'_>, report: &mut Report<'_>) -> Outcome {
    let number = |key: &str| entry.get(key)?.f64();
    let loss = EdmLoss { sigma_data: number("sigma_data")?, p_mean: number("p_mean")?, p_std: number("p_std")? };
    loss.check().map_err(|e| entry.expected(format!("valid settings ({e})")))?;
    let levels: Vec<Level> = entry.get("sigma")?.f64s()?.into_iter().map(Level::ve).collect();
    for (key, expected) in entry.entries()? {
        let of: &dyn Fn(Level) -> f64 = match key {
            "c_skip" => &|at| loss.param().coef(at).skip,
            "c_out" => &|at| loss.param().coef(at).out,
            "c_in" => &|at| loss.param().coef(at).input,
            "c_noise" => &EdmLoss::c_noise,
            "loss_weight" => &|at| loss.weight(at),
            "sigma" | "sigma_data" | "p_mean" | "p_std" => continue,
            _ => {
                report.skip(&format!("{name}/{key}"), "no check for a quantity of this name");
                continue;
            }
        };
        let mut compare = Compare::new(relative::TABLE);
        let ours: Vec<f64> = levels.iter().map(|&at| of(at)).collect();
        relative::numbers(&mut compare, key, &ours, &expected.f64s()?, relative::TABLE, |_| f64::EPSILON);
        report.add(&format!("{name}/{key}"), compare);
    }
    Ok(())
}

fn weights(name: &str, entry: &At<'_>, tables: &[(&str, Table)], report: &mut Report<'_>) -> Outcome {
    let of = entry.get("schedule")?;
    let wanted = of.str()?;
    let (_, table) = tables.iter().find(|(n, _)| *n == wanted).ok_or_else(|| of.expected("the name of a table of this document"))?;
    let index = indices(entry, table.alpha_bar().len())?;
    for (key, expected) in entry.entries()? {
        if matches!(key, "schedule" | "index" | "note") {
            continue;
        }
        let Some((weight, param)) = weight_of(key) else {
            report.skip(&format!("{name}/{key}"), "no check for a weight of this name");
            continue;
        };
        let mut compare = Compare::new(relative::TABLE);
        let ours: Vec<f64> = index.iter().map(|&i| weight.factor(param, table.level(i as f64), 0.0)).collect();
        let expected = expected.f64s()?;
        let slack = |i: usize| ULPS * expected[i].abs() / (1.0 - table.alpha_bar()[index[i]]);
        relative::numbers(&mut compare, key, &ours, &expected, relative::TABLE, slack);
        report.add(&format!("{name}/{key}"), compare);
    }
    Ok(())
}

/// Reads the name of a weight, `min_snr_5_v` for instance.
fn weight_of(key: &str) -> Option<(Weight, Param)> {
    let named = match key {
        "snr" | "x0_weight_of_eps_simple" => Some((Weight::Simple, Param::X0)),
        "v_weight_of_eps_simple" => Some((Weight::Simple, Param::V)),
        _ => None,
    };
    if named.is_some() {
        return named;
    }
    let (kind, param) = key.rsplit_once('_')?;
    let param = match param {
        "eps" => Param::Eps,
        "x0" => Param::X0,
        "v" => Param::V,
        _ if key == "eps_simple" => return Some((Weight::Simple, Param::Eps)),
        _ => return None,
    };
    let weight = match kind {
        "truncated_snr" => Weight::Truncated,
        "snr_plus_one" => Weight::SnrPlusOne,
        _ => {
            if let Some(gamma) = kind.strip_prefix("min_snr_") {
                Weight::MinSnr { gamma: gamma.parse().ok()? }
            } else {
                let (k, gamma) = kind.strip_prefix("p2_k")?.split_once("_g")?;
                Weight::P2 { k: k.parse().ok()?, gamma: gamma.parse().ok()? }
            }
        }
    };
    Some((weight, param))
}
