//! A decision put into the row that is written: guidance by the classifier's own gradient, as little of it as is enough.

use burn::tensor::Device;

use crate::{Classifier, Result, tensor};

/// Steps at most.
const STEPS: usize = 25;
/// By how many nats the class is to lead, so that rounding in a file does not undo it.
const LEAD: f64 = 0.5;
/// Halvings of a step at most.
const HALVES: usize = 8;
/// Overshoot of a step: margins bend.
const OVER: f64 = 1.1;

/// A row near `row` that the classifier, reading `read(row)`, takes for `class`: steps of least length along the gradient of the class's lead over the next
/// (DeepFool's, Moosavi-Dezfooli et al. 2016, towards a class instead of away from one). `None` when there is no gradient, or [`STEPS`] are not enough.
///
/// # Errors
/// When the classifier cannot be run.
pub fn guided(
    classifier: &dyn Classifier,
    device: &Device,
    row: &[f32],
    class: usize,
    read: impl Fn(&[f32]) -> Vec<f32>,
) -> Result<Option<Vec<f32>>> {
    if !classifier.has_gradient() {
        return Ok(None);
    }
    // What of the row is in the file at all: padding is not.
    let kept: Vec<f32> = read(&vec![1.0; row.len()]).iter().zip(read(&vec![0.0; row.len()])).map(|(one, zero)| one - zero).collect();
    let mut row = row.to_vec();
    for _ in 0..STEPS {
        let (found, slope) = lead(classifier, device, read(&row), class)?;
        if found >= LEAD {
            return Ok(Some(row));
        }
        let slope: Vec<f32> = slope.iter().zip(&kept).map(|(slope, kept)| slope * kept).collect();
        let square: f64 = slope.iter().map(|&s| f64::from(s).powi(2)).sum();
        if square.is_nan() || square < 1e-12 {
            return Ok(None);
        }
        let moved = |share: f64| -> Vec<f32> {
            let step = (share * OVER * (LEAD - found) / square) as f32;
            row.iter().zip(&slope).map(|(x, s)| x + step * s).collect()
        };
        // Where the margin bends upwards a whole step is too long.
        let mut share = 1.0;
        for _ in 0..HALVES {
            if lead(classifier, device, read(&moved(0.5 * share)), class)?.0 < LEAD {
                break;
            }
            share *= 0.5;
        }
        row = moved(share);
    }
    Ok(None)
}

/// By how much the logit of a class is above the greatest other, and the gradient of that.
fn lead(classifier: &dyn Classifier, device: &Device, row: Vec<f32>, class: usize) -> Result<(f64, Vec<f32>)> {
    let leaf = tensor::rows(row, 1, device).autodiff().require_grad();
    let logits = classifier.logits(leaf.clone())?;
    let values = tensor::host(logits.clone())?;
    let others = (0..values.len()).filter(|&k| k != class);
    let Some(other) = others.max_by(|&a, &b| values[a].total_cmp(&values[b])) else { return Ok((f64::INFINITY, Vec::new())) };
    let lead = (logits.clone().narrow(1, class, 1) - logits.narrow(1, other, 1)).sum();
    let slope = lead.is_tracked().then(|| leaf.grad_remove(&mut lead.backward())).flatten();
    let slope = slope.map(tensor::host).transpose()?.unwrap_or_default();
    Ok((f64::from(values[class] - values[other]), slope))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use super::*;

    /// Logits `(-s, s)` with `s = tanh(w x)` times 4.
    struct Bent {
        gradient: bool,
    }

    const WEIGHTS: [f32; 3] = [1.0, -2.0, 0.5];

    impl Classifier for Bent {
        fn name(&self) -> &str {
            "bent"
        }

        fn input_shape(&self) -> &[usize] {
            &[3]
        }

        fn classes(&self) -> usize {
            2
        }

        fn has_gradient(&self) -> bool {
            self.gradient
        }

        fn logits(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
            let weights = tensor::rows(WEIGHTS.to_vec(), 1, &rows.device().without_autodiff());
            let s = (rows * weights).sum_dim(1).tanh().mul_scalar(4.0);
            Ok(Tensor::cat(vec![s.clone().neg(), s], 1))
        }
    }

    #[test]
    fn the_class_leads_after_a_step_along_its_gradient() {
        let device = Device::flex();
        let row = [0.3f32, 0.6, -0.2];
        let found = guided(&Bent { gradient: true }, &device, &row, 1, <[f32]>::to_vec).unwrap().unwrap();
        let score = |row: &[f32]| row.iter().zip(WEIGHTS).map(|(x, w)| x * w).sum::<f32>();
        assert!(8.0 * score(&found).tanh() >= LEAD as f32 && 8.0 * score(&found).tanh() < 4.0 * LEAD as f32, "{found:?}");
        // The shortest way is along the weights.
        let step: Vec<f32> = found.iter().zip(row).map(|(f, x)| f - x).collect();
        assert!((step[0] * WEIGHTS[1] - step[1] * WEIGHTS[0]).abs() < 1e-4, "{step:?}");
        // A row that is read so already stays.
        assert_eq!(guided(&Bent { gradient: true }, &device, &row, 0, <[f32]>::to_vec).unwrap().unwrap(), row);
    }

    #[test]
    fn what_is_not_written_is_not_changed_and_without_a_gradient_there_is_no_way() {
        let device = Device::flex();
        let first = |row: &[f32]| vec![row[0], 0.6, -0.2];
        let found = guided(&Bent { gradient: true }, &device, &[0.3, 0.6, -0.2], 1, first).unwrap().unwrap();
        assert!(found[0] > 1.3 && found[1..] == [0.6, -0.2], "{found:?}");
        assert_eq!(guided(&Bent { gradient: false }, &device, &[0.3, 0.6, -0.2], 1, <[f32]>::to_vec).unwrap(), None);
        // Nothing is written at all.
        assert_eq!(guided(&Bent { gradient: true }, &device, &[0.3, 0.6, -0.2], 1, |_| vec![0.3, 0.6, -0.2]).unwrap(), None);
    }
}
