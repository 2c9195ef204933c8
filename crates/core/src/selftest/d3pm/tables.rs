//! Schedules, rates of walks over neighbours, and logits of ordered classes.

use nalgebra::DMatrix;

use super::{At, CLOSED, Report, SelftestError, TABLE, matrix, row_major, softmax};
use crate::{
    process::categorical::{exponents_for_information, information_removed, kernel, schedule, truncated_logistic},
    selftest::report::Compare,
};

/// Tolerance of a reference that was found by root search; the share that it removes is compared exactly.
const SEARCHED: f64 = 1e-4;

/// A schedule by the name of its entry.
pub(super) fn betas(name: &str, doc: &At<'_>, entry: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let expected = entry.f64s()?;
    let (Some(&first), Some(&last)) = (expected.first(), expected.last()) else { return Err(entry.expected("numbers")) };
    let steps = expected.len();
    let ours = match name.trim_start_matches("betas_") {
        "linear" => schedule::linear(first, last, steps),
        "cosine" => schedule::cosine(0.008, 0.999, steps),
        "cosine_sq" => schedule::cosine_squared(0.008, 0.999, steps),
        "jsd" => schedule::inverse_time(steps),
        "constant" => schedule::constant(first, steps),
        _ => {
            report.skip(name, "no check for a schedule of this name");
            return Ok(());
        }
    };
    let mut compare = Compare::new(TABLE);
    compare.numbers(name, &ours, &expected);
    if let Some(expected) = doc.opt("T") {
        compare.number("T", steps as f64, expected.f64()?);
    }
    if let Some(kernels) = doc.opt("kernels").filter(|_| name == "betas_linear" || name == "betas_constant") {
        // Their ends are free: some process of the document has to use them, or nothing says what they are.
        let used = kernels.entries()?.iter().any(|(_, k)| uses(k, &expected).unwrap_or(false));
        if name == "betas_linear" && !used {
            compare.fail("no process has these probabilities".into());
        }
    }
    report.add(name, compare);
    Ok(())
}

/// Whether an absorbing process masks with these probabilities.
fn uses(kernel: &At<'_>, betas: &[f64]) -> Result<bool, SelftestError> {
    let steps = kernel.get("Q")?.items()?.iter().map(matrix).collect::<Result<Vec<_>, _>>()?;
    let same = |(q, beta): (&DMatrix<f64>, &f64)| (1.0 - q[(0, 0)] - beta).abs() < TABLE;
    Ok(steps.len() == betas.len() && steps.iter().zip(betas).all(same))
}

/// The rates of a walk over neighbours; how many there are is seen from the least rate.
pub(super) fn rates(doc: &At<'_>, entry: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let expected = matrix(entry)?;
    let embeddings = doc.get("knn_embeddings")?.items()?.iter().map(At::f64s).collect::<Result<Vec<_>, _>>()?;
    let least = expected.iter().copied().filter(|&r| r > 0.0).fold(f64::INFINITY, f64::min);
    // Least is 1 / (2 k), or 1 / k if all neighbours are mutual.
    let mut compare = Compare::new(TABLE);
    let candidates = [(0.5 / least).round(), (1.0 / least).round()].map(|k| k as usize);
    let distance = |r: &DMatrix<f64>| (r - &expected).amax();
    // The document does not say whether its neighbours are those of the inner product or of the cosine.
    let unit = |e: &Vec<f64>| e.iter().map(|v| v / e.iter().map(|v| v * v).sum::<f64>().sqrt()).collect::<Vec<_>>();
    let normalised: Vec<Vec<f64>> = embeddings.iter().map(unit).collect();
    let of_both = |&k: &usize| [kernel::neighbour_rates(&embeddings, k), kernel::neighbour_rates(&normalised, k)];
    let built = candidates.iter().flat_map(of_both).flatten();
    match built.filter(|r| r.shape() == expected.shape()).min_by(|a, b| distance(a).total_cmp(&distance(b))) {
        Some(ours) => compare.numbers("rates", &row_major(&ours), &row_major(&expected)),
        None => compare.fail("no number of neighbours has such rates".into()),
    }
    report.add("knn_rate_matrix", compare);
    Ok(())
}

/// A schedule by mutual information.
pub(super) fn information(name: &str, doc: &At<'_>, entry: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let initial = entry.opt("initial").map_or_else(|| doc.get("mi_initial_distribution"), Ok)?;
    let (classes, initial) = (initial.f64s()?.len(), initial.f64s()?);
    let mut compare = Compare::new(TABLE);
    compare.numbers_to(1e-9, "sum of the initial distribution", &[initial.iter().sum()], &[1.0]);
    let identity = DMatrix::<f64>::identity(classes, classes);
    let rates = match name.trim_start_matches("mi_schedule_") {
        _ if classes < 2 => return Err(entry.expected("two classes or more")),
        "uniform" => kernel::uniform(classes, 1.0) - identity,
        "absorbing" => kernel::absorbing(classes, classes - 1, 1.0) - identity,
        "knn" => matrix(&doc.get("knn_rate_matrix")?)?,
        _ => {
            report.skip(name, "no check for a process of this name");
            return Ok(());
        }
    };
    let (shares, exponents) = (entry.get("target_info_removed")?.f64s()?, entry.get("exponents")?.f64s()?);
    let even: Vec<f64> = (1..=shares.len()).map(|i| i as f64 / (shares.len() + 1) as f64).collect();
    compare.numbers("target_info_removed", &shares, &even);
    let found = exponents_for_information(&rates, &initial, &shares).map_err(|e| entry.expected(format!("possible shares ({e})")))?;
    compare.numbers_to(SEARCHED, "exponents", &found, &exponents);
    for (key, expected) in entry.entries()? {
        let ours: Vec<f64> = match key {
            "initial" | "target_info_removed" | "exponents" | "note" => continue,
            "actual_removed" => exponents.iter().map(|&m| information_removed(&kernel::diffuse(&rates, m), &initial)).collect(),
            "alpha_bar" => exponents.iter().map(|&m| kernel::diffuse(&rates, m)[(0, 0)]).collect(),
            _ => {
                report.skip(&format!("{name}/{key}"), "no check for a quantity of this name");
                continue;
            }
        };
        compare.numbers_to(CLOSED, key, &ours, &expected.f64s()?);
    }
    report.add(name, compare);
    Ok(())
}

/// Logits of ordered classes.
pub(super) fn logistic(entry: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    for (i, case) in entry.items()?.iter().enumerate() {
        let classes = case.get("K")?.index()?;
        let expected = case.get("logits")?.f64s()?;
        if classes != expected.len() {
            return Err(case.get("K")?.expected("the number of logits"));
        }
        let ours = truncated_logistic(case.get("loc")?.f64()?, case.get("log_scale")?.f64()?, classes);
        let mut compare = Compare::new(CLOSED);
        compare.numbers("logits", &ours, &expected);
        compare.numbers("probs", &softmax(&ours), &case.get("probs")?.f64s()?);
        report.add(&format!("truncated_logistic/{i}"), compare);
    }
    Ok(())
}
