//! What purification took away from a classifier's decision, and what that says of what it left.
//!
//! A perturbation that was made against the classifier moves its logits far, and what a purifier takes away of it moves them back along the same
//! way. Nothing says that it took all: where the logits came a long way back, they are sent a little further. Where they hardly moved, nobody
//! pushed, and what moved them is as likely a fault of the purifier as of the input: they are sent half of the way back.

use burn::tensor::Tensor;

/// Share of a way, beyond the usual, that logits are sent further.
const SHARE: f64 = 0.3;
/// The furthest that logits are sent, in nats: an attacker who knows of this sends them as well, by an input that the classifier alone is very sure of.
const MOST: f64 = 3.0;
/// Share of a short way that logits are sent back.
const BACK: f64 = 0.5;

/// Logits `[B, classes]` to decide by, of those of inputs and those of the same inputs purified.
///
/// With `d` the change of the logits less its mean over classes, `n = |d|`, and `usual` the way that noise and purification alone make, in nats, it is
/// `after + max(min(0.3 (n - usual), 3), -n / 2) d / n`. Differentiable in both. The numbers were chosen on 300 validation clips of digits (clean, and
/// under PGD-20 of .001, .002 and .005), and are the same for rows of tables; nats are those of classifiers trained by cross-entropy.
pub fn compared(before: Tensor<2>, after: Tensor<2>, usual: f64) -> Tensor<2> {
    let change = after.clone() - before;
    let change = change.clone() - change.mean_dim(1);
    // A way of length 0 has a slope too.
    let way = change.clone().square().sum_dim(1).add_scalar(1e-12).sqrt();
    let further = way.clone().sub_scalar(usual).mul_scalar(SHARE).clamp_max(MOST);
    let back = way.clone().mul_scalar(-BACK);
    after + further.max_pair(back) / way * change
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::tensor;

    fn one(before: &[f32], after: &[f32]) -> Vec<f32> {
        let row = |values: &[f32]| tensor::rows(values.to_vec(), 1, &Device::flex());
        tensor::host(compared(row(before), row(after), 6.0)).unwrap()
    }

    #[test]
    fn short_ways_are_halved_and_long_ones_go_on() {
        // A change of all logits by the same is none.
        assert!(one(&[1.0, 2.0], &[4.0, 5.0]).iter().zip([4.0, 5.0]).all(|(a, b)| (a - b).abs() < 1e-5));
        // d = (1, -1), n = sqrt 2: half of the way back.
        assert!(one(&[0.0, 2.0], &[1.0, 1.0]).iter().zip([0.5, 1.5]).all(|(a, b)| (a - b).abs() < 1e-5));
        // d = (6, -6), n = 8.485: .3 * 2.485 = .7456 further.
        let far = one(&[-6.0, 6.0], &[0.0, 0.0]);
        assert!((f64::from(far[0]) - 0.7456 / 2f64.sqrt()).abs() < 1e-3 && (far[0] + far[1]).abs() < 1e-5, "{far:?}");
        // However far, 3 nats at most.
        let cut = one(&[-60.0, 60.0], &[0.0, 0.0]);
        assert!((f64::from(cut[0]) - 3.0 / 2f64.sqrt()).abs() < 1e-3, "{cut:?}");
        // What an attack left undecided is decided against the class that it had pushed up.
        let decided = one(&[-9.0, 11.0, 0.0], &[0.9, 1.0, -1.0]);
        assert!(decided[0] > decided[1], "{decided:?}");
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex();
        let (before, after) = ([0.3f32, -2.0, 9.0], [1.0f32, 0.5, 0.2]);
        let loss = |x: Tensor<2>| {
            let weights = tensor::rows(vec![0.7, -1.1, 0.4], 1, &device);
            (compared(x, tensor::rows(after.to_vec(), 1, &device), 6.0) * weights).sum()
        };
        let leaf = tensor::rows(before.to_vec(), 1, &device).autodiff().require_grad();
        let on = leaf.device();
        let weights = tensor::rows(vec![0.7, -1.1, 0.4], 1, &on);
        let tracked = (compared(leaf.clone(), tensor::rows(after.to_vec(), 1, &on), 6.0) * weights).sum();
        let gradient = tensor::host(leaf.grad_remove(&mut tracked.backward()).unwrap()).unwrap();
        for k in 0..3 {
            let moved = |by: f32| {
                let mut row = before.to_vec();
                row[k] += by;
                f64::from(loss(tensor::rows(row, 1, &device)).into_scalar::<f32>())
            };
            let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((f64::from(gradient[k]) - difference).abs() < 2e-3, "{k}: {gradient:?} {difference}");
        }
    }
}
