//! The document of small entries: random numbers, losses, guidance, interpolation and the like.

use super::{At, Report, SelftestError, bounds, d3pm, guidance, losses, report::Compare, rng};
use crate::drive::jump_list;

/// Whether a document is of this kind.
pub(super) fn is(doc: &At<'_>) -> bool {
    ["rng", "losses", "cfg", "dynamic_threshold", "slerp", "iddpm", "posthoc_ema", "repaint_jump_schedule", "d3pm"]
        .iter()
        .any(|key| doc.opt(key).is_some())
}

/// Checks every entry.
pub(super) fn check(doc: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    for (name, entry) in doc.entries()? {
        match name {
            "rng" => rng::check(&entry, report)?,
            "losses" => losses::check(&entry, report)?,
            "cfg" => guidance::cfg(&entry, report)?,
            "dynamic_threshold" => guidance::threshold(&entry, report)?,
            "slerp" => guidance::interpolation(&entry, report)?,
            "iddpm" => bounds::iddpm(&entry, report)?,
            "posthoc_ema" => bounds::averages(&entry, report)?,
            "repaint_jump_schedule" => jumps(&entry, report)?,
            "d3pm" => d3pm::toy(&entry, report)?,
            _ => report.skip(name, "no check for an entry of this name"),
        }
    }
    Ok(())
}

/// The order of RePaint's steps; the document ends it with -1, clean data.
fn jumps(entry: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let setting = |key: &str| {
        let value = entry.get(key)?;
        value.index().and_then(|n| if n <= 10_000 { Ok(n) } else { Err(value.expected("at most 10000")) })
    };
    let mut ours: Vec<f64> =
        jump_list(setting("T")?, setting("jump_length")?, setting("jump_n_sample")?).into_iter().map(|t| t as f64).collect();
    ours.push(-1.0);
    let mut compare = Compare::new(1e-9);
    compare.numbers("times", &ours, &entry.get("times")?.f64s()?);
    report.add("repaint_jump_schedule", compare);
    Ok(())
}
