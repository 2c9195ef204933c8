//! Runs the same weights and inputs on two devices and compares outputs and gradients.

use std::io::Write;
use std::process::ExitCode;

use langevin_engine::device::open;

use crate::network::{NAMES, build};
use crate::peer::Array;
use crate::{Error, Result};

/// Prints, for each network, the worst output and the worst gradient; fails where one is above `tolerance`.
pub(crate) fn compare(devices: &[String], networks: &[String], tolerance: f64) -> Result<ExitCode> {
    let [first, second] = devices else {
        let message = format!("--devices takes two names, got {}", devices.len());
        return Err(Error::from(message));
    };
    let names: Vec<&str> = if networks.is_empty() { NAMES.to_vec() } else { networks.iter().map(String::as_str).collect() };
    let mut stdout = std::io::stdout().lock();
    let mut agreed = true;
    for name in names {
        let ours = build(name, &open(first)?)?.results()?;
        let theirs = build(name, &open(second)?)?.results()?;
        for kind in ["output", "loss", "gradient"] {
            let Some((worst, at)) = worst(kind, &ours, &theirs)? else {
                continue;
            };
            // Written so that NaN disagrees.
            let good = worst <= tolerance;
            agreed &= good;
            let verdict = if good { "agree" } else { "DIFFER" };
            writeln!(stdout, "{name:<12} {kind:<9} {first} {second} relative difference {worst:.2e} ({at}) {verdict}")?;
        }
    }
    Ok(if agreed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The largest relative difference among the tensors of one kind, and the tensor's name.
fn worst<'a>(kind: &str, ours: &'a [Array], theirs: &[Array]) -> Result<Option<(f64, &'a str)>> {
    let mut worst: Option<(f64, &str)> = None;
    for (a, b) in ours.iter().zip(theirs) {
        if (&a.name, &a.shape) != (&b.name, &b.shape) {
            let message = format!("{} and {} have no common shape", a.name, b.name);
            return Err(Error::from(message));
        }
        if a.name.split('.').next() != Some(kind) {
            continue;
        }
        let difference = relative_difference(&a.values, &b.values);
        if worst.is_none_or(|(most, _)| difference.is_nan() || difference > most) {
            worst = Some((difference, &a.name));
        }
    }
    Ok(worst)
}

/// `max |a - b| / max |a|`; NaN where any value is NaN or `a` is all zero.
fn relative_difference(a: &[f32], b: &[f32]) -> f64 {
    let keep = |most: f64, value: f64| if value.is_nan() || value > most { value } else { most };
    let scale = a.iter().map(|&a| f64::from(a).abs()).fold(0.0, keep);
    let difference = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs()).fold(0.0, keep);
    difference / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_is_relative_to_the_largest_value() {
        assert_eq!(relative_difference(&[1.0, -4.0], &[2.0, -4.0]), 0.25);
        assert_eq!(relative_difference(&[1.0, -4.0], &[1.0, -4.0]), 0.0);
    }

    #[test]
    fn nan_never_agrees() {
        assert!(relative_difference(&[1.0, f32::NAN, 3.0], &[1.0, 2.0, 3.0]).is_nan());
        assert!(relative_difference(&[1.0, 2.0, 3.0], &[1.0, f32::NAN, 3.0]).is_nan());
    }
}
