//! Dynamic thresholding of estimates (Saharia et al. 2022, section 2.3).

use burn::tensor::{Tensor, TensorData};

/// Clips each row to `[-s, s]` and divides by `s`, where `s` is the larger of 1 and the `q` quantile of `|x0|` in that row.
///
/// The quantile interpolates linearly between order statistics and is found on the host; usual `q` 0.995.
pub fn dynamic_threshold<const D: usize>(x0: Tensor<D>, q: f64) -> Tensor<D> {
    let batch = x0.dims()[0];
    let row = x0.shape().num_elements() / batch.max(1);
    let host: Vec<f64> = x0.to_data().iter::<f64>().collect();
    let limits: Vec<f64> = host.chunks(row.max(1)).map(|row| limit(row, q)).collect();
    let mut shape = [1; D];
    shape[0] = batch;
    let limits = Tensor::<D>::from_data(TensorData::new(limits, shape), &x0.device());
    let limits = limits.expand(x0.shape());
    x0.min_pair(limits.clone()).max_pair(limits.clone().neg()) / limits
}

/// As [`dynamic_threshold`] for packed rows of length `row`: the limits `s` and the result.
pub fn dynamic_threshold_rows(x0: &[f64], row: usize, q: f64) -> (Vec<f64>, Vec<f64>) {
    let (mut limits, mut out) = (Vec::new(), Vec::with_capacity(x0.len()));
    for row in x0.chunks(row.max(1)) {
        let s = limit(row, q);
        out.extend(row.iter().map(|x| x.clamp(-s, s) / s));
        limits.push(s);
    }
    (limits, out)
}

fn limit(row: &[f64], q: f64) -> f64 {
    let mut sizes: Vec<f64> = row.iter().map(|x| x.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let place = q.clamp(0.0, 1.0) * sizes.len().saturating_sub(1) as f64;
    let below = place.floor() as usize;
    let at = |i: usize| sizes.get(i).copied().unwrap_or(0.0);
    let quantile = at(below) + (place - below as f64) * (at((below + 1).min(sizes.len().max(1) - 1)) - at(below));
    // `max` with a NaN quantile is 1, so `clamp` never sees a NaN limit.
    quantile.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_row_within_the_range_is_unchanged() {
        let x = [0.2, -0.9, 0.5, 4.0, 2.0, -8.0];
        // Second row: sizes 2, 4, 8; the median is 4.
        let (limits, out) = dynamic_threshold_rows(&x, 3, 0.5);
        assert_eq!(limits, [1.0, 4.0]);
        assert_eq!(out, [0.2, -0.9, 0.5, 1.0, 0.5, -1.0]);
        assert_eq!(dynamic_threshold_rows(&x, 3, 0.75).0[1], 6.0);
    }

    #[test]
    fn tensors_agree_with_the_host() {
        let x = vec![0.2, -0.9, 0.5, 4.0, 2.0, -8.0];
        let tensor = Tensor::<2>::from_data(TensorData::new(x.clone(), [2, 3]), &Device::flex());
        let got: Vec<f64> = dynamic_threshold(tensor, 0.9).into_data().iter::<f64>().collect();
        assert!(got.iter().zip(dynamic_threshold_rows(&x, 3, 0.9).1).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
