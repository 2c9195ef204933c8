//! Whether an evaluation's numbers can be believed (Carlini et al. 2019, arXiv:1902.06705).

use langevin_core::{Philox, noise::NoiseSource as _};

use crate::{
    Result,
    attack::{Attack, Loss, Path, Target},
};

/// Directions in which slopes are compared.
const DIRECTIONS: u32 = 24;
/// Stream of the directions.
const STREAM: u32 = 40;
/// By how much, as a share of inputs, an attack that should be weaker has to win before it counts.
const MARGIN: f64 = 0.05;

/// What was checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checks {
    /// Cosine between slopes by the gradient and by differences.
    pub cosine: f64,
    /// Share of inputs whose gradient is 0.
    pub zero: f64,
    /// Mean loss after few, more and all steps.
    pub losses: Vec<f64>,
}

/// Cosine between slopes along random directions, as the gradient has them and as differences of the loss have them, under one draw; and
/// whether the gradient is 0 everywhere. `reach` is the length of a difference in each number.
///
/// # Errors
/// When the classifier cannot be run.
pub fn gradient_cosine(target: &Target<'_>, row: &[f32], class: usize, item: u32, reach: f64) -> Result<(f64, bool)> {
    let attack = Attack { path: Path::Full, loss: Loss::CrossEntropy, ..Attack::pgd(1.0, 1) };
    let rows = [row.to_vec()];
    let slopes = target.slopes(&attack, &rows, &[class], &[item], 0)?;
    let gradient = &slopes.gradients[0];
    let is_zero = gradient.iter().all(|g| *g == 0.0);
    let (mut dot, mut of_gradient, mut of_differences) = (0.0, 0.0, 0.0);
    let noise = Philox::new(0);
    for k in 0..DIRECTIONS {
        let mut direction = vec![0f32; row.len()];
        noise.fill(item, k, STREAM, &mut direction);
        let moved = |side: f64| row.iter().zip(&direction).map(|(x, z)| x + (side * reach) as f32 * z).collect::<Vec<_>>();
        let losses = target.losses(&attack, &[moved(1.0), moved(-1.0)], &[class; 2], &[item; 2], 0)?;
        let difference = (losses[0] - losses[1]) / (2.0 * reach);
        let slope: f64 = gradient.iter().zip(&direction).map(|(g, z)| f64::from(*g) * f64::from(*z)).sum();
        dot += slope * difference;
        of_gradient += slope * slope;
        of_differences += difference * difference;
    }
    let size = (of_gradient * of_differences).sqrt();
    Ok((if size > 0.0 { dot / size } else { 0.0 }, is_zero))
}

/// Mean loss, under fresh draws, of what an attack finds in a tenth, a third and all of its steps.
///
/// # Errors
/// As [`Attack::run`].
pub fn losses_by_steps(target: &Target<'_>, attack: &Attack, rows: &[Vec<f32>], classes: &[usize], items: &[u32]) -> Result<Vec<f64>> {
    let mut losses = Vec::new();
    for share in [0.1, 0.33, 1.0] {
        let steps = ((attack.steps as f64 * share).round() as usize).max(1);
        let found = Attack { steps, ..*attack }.run(target, rows, classes, items)?;
        let all = target.losses(attack, &found, classes, items, u32::MAX / 2)?;
        losses.push(all.iter().sum::<f64>() / all.len().max(1) as f64);
    }
    Ok(losses)
}

/// What is wrong with an evaluation, in sentences; nothing when it can be believed. `accuracy` looks a line of the table up.
pub fn verdict(checks: &Checks, accuracy: impl Fn(&str) -> Option<f64>, strongest: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let full = accuracy(strongest);
    for other in ["BPDA", "blind PGD", "Square"] {
        if let (Some(full), Some(found)) = (full, accuracy(other))
            && found < full - MARGIN
        {
            warnings.push(format!(
                "masked gradient: {other} leaves {:.1} %, the full gradient {:.1} %; the defence hides its gradient, believe {other}",
                100.0 * found,
                100.0 * full
            ));
        }
    }
    if checks.zero > 0.5 {
        warnings.push(format!("masked gradient: the gradient through the defence is 0 for {:.0} % of inputs", 100.0 * checks.zero));
    } else if checks.cosine < 0.8 {
        warnings.push(format!("the gradient disagrees with differences of the loss: cosine {:.2}", checks.cosine));
    }
    if let [first, .., last] = checks.losses.as_slice()
        && last < first
    {
        warnings.push(format!("more steps find a lower loss ({first:.3}, then {last:.3}): the attack does not converge"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_name_what_beats_the_full_gradient() {
        let good = Checks { cosine: 0.99, zero: 0.0, losses: vec![0.5, 1.0, 2.0] };
        let table = |name: &str| match name {
            "BPDA" => Some(0.3),
            "full gradient" => Some(0.8),
            _ => None,
        };
        let found = verdict(&good, table, "full gradient");
        assert!(found.len() == 1 && found[0].contains("masked gradient: BPDA leaves 30.0 %"), "{found:?}");
        assert!(verdict(&good, |_| Some(0.5), "full gradient").is_empty());
        let bad = Checks { cosine: 0.1, zero: 1.0, losses: vec![2.0, 1.0] };
        assert_eq!(verdict(&bad, |_| None, "full gradient").len(), 2);
    }
}
