//! Reference values of guidance, thresholds and interpolation.

use super::{At, Report, SelftestError, report::Compare};
use crate::{
    State,
    guide::{dynamic_threshold_rows, rescale_rows},
    latent::slerp,
};

/// Tolerance of closed forms in f64.
const CLOSED: f64 = 1e-10;

/// Numbers of an array of equal rows, and the length of one.
fn rows(of: &At<'_>) -> Result<(Vec<f64>, usize), SelftestError> {
    let (all, rows) = (of.f64s()?, of.items()?.len());
    if rows == 0 || all.len() % rows != 0 || all.is_empty() {
        return Err(of.expected("equal rows of numbers"));
    }
    let row = all.len() / rows;
    Ok((all, row))
}

/// Classifier-free guidance and its rescaling.
pub(super) fn cfg(entry: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let ((cond, row), (uncond, _)) = (rows(&entry.get("cond")?)?, rows(&entry.get("uncond")?)?);
    if cond.len() != uncond.len() {
        return Err(entry.expected("'cond' and 'uncond' of one shape"));
    }
    let (w, phi) = (entry.get("scale")?.f64()?, entry.get("rescale_phi")?.f64()?);
    let guided = Vec::lincomb(&[(w, &cond), (1.0 - w, &uncond)]);
    for (key, ours) in [("out", &guided), ("rescaled", &rescale_rows(&guided, &cond, row, phi))] {
        let mut compare = Compare::new(CLOSED);
        compare.numbers(key, ours, &entry.get(key)?.f64s()?);
        report.add(&format!("cfg/{key}"), compare);
    }
    Ok(())
}

/// Dynamic thresholding: limits and result.
pub(super) fn threshold(entry: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let (x0, row) = rows(&entry.get("x0")?)?;
    let (limits, out) = dynamic_threshold_rows(&x0, row, entry.get("q")?.f64()?);
    for (key, ours) in [("s", limits), ("out", out)] {
        let mut compare = Compare::new(CLOSED);
        compare.numbers(key, &ours, &entry.get(key)?.f64s()?);
        report.add(&format!("dynamic_threshold/{key}"), compare);
    }
    Ok(())
}

/// Spherical interpolation, row by row.
pub(super) fn interpolation(entry: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let ((a, row), (b, _)) = (rows(&entry.get("a")?)?, rows(&entry.get("b")?)?);
    let (times, out) = (entry.get("t")?.f64s()?, entry.get("out")?.items()?);
    if a.len() != b.len() || times.len() != out.len() {
        return Err(entry.expected("'a' and 'b' of one shape and a result for each 't'"));
    }
    let dot = |p: &[f64], q: &[f64]| p.iter().zip(q).map(|(p, q)| p * q).sum::<f64>();
    for (t, out) in times.iter().zip(out) {
        let of_row = |(a, b): (&[f64], &[f64])| {
            let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
            slerp(&a.to_vec(), &b.to_vec(), cosine, *t)
        };
        let ours: Vec<f64> = a.chunks(row).zip(b.chunks(row)).flat_map(of_row).collect();
        let mut compare = Compare::new(CLOSED);
        compare.numbers("out", &ours, &out.f64s()?);
        report.add(&format!("slerp/t={t}"), compare);
    }
    Ok(())
}
