//! Rescaling of guided estimates, against the overexposure that a large guidance weight brings.

use burn::tensor::Tensor;

use super::Guided;
use crate::{Denoiser, Level, State};

/// `phi * guided * std(pos) / std(guided) + (1 - phi) * guided`, standard deviations over each row (Lin et al. 2024, eq. 15, 16).
pub fn rescale<const D: usize>(guided: Tensor<D>, pos: Tensor<D>, phi: f64) -> Tensor<D> {
    let mut ratio_shape = [1; D];
    ratio_shape[0] = guided.dims()[0];
    let rows = |x: Tensor<D>| {
        let batch = x.dims()[0];
        let flat = x.clone().reshape([batch, x.shape().num_elements() / batch.max(1)]);
        let centred = flat.clone() - flat.mean_dim(1);
        centred.square().mean_dim(1).sqrt()
    };
    let of_guided = rows(guided.clone());
    // A constant row cannot be rescaled; it is left alone.
    let ratio = (rows(pos) / of_guided.clone()).mask_fill(of_guided.equal_elem(0.0), 1.0);
    let factor = ratio.mul_scalar(phi).add_scalar(1.0 - phi).reshape(ratio_shape);
    guided * factor
}

/// As [`rescale`] for packed rows of length `row`.
pub fn rescale_rows(guided: &[f64], pos: &[f64], row: usize, phi: f64) -> Vec<f64> {
    let std = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64).sqrt()
    };
    let mut out = Vec::with_capacity(guided.len());
    for (guided, pos) in guided.chunks(row.max(1)).zip(pos.chunks(row.max(1))) {
        let of_guided = std(guided);
        let ratio = if of_guided == 0.0 { 1.0 } else { std(pos) / of_guided };
        out.extend(guided.iter().map(|g| g * (phi * ratio + 1.0 - phi)));
    }
    out
}

/// Guidance whose estimates are rescaled to the spread of the followed denoiser's.
#[derive(Clone, Debug)]
pub struct Rescaled<P, N> {
    /// The guidance.
    pub guided: Guided<P, N>,
    /// Share of the rescaled estimate: 0 is none, 0.7 is usual.
    pub phi: f64,
}

impl<const D: usize, P: Denoiser<Tensor<D>>, N: Denoiser<Tensor<D>>> Denoiser<Tensor<D>> for Rescaled<P, N> {
    fn denoise(&self, x: &Tensor<D>, at: Level, node: u32) -> Tensor<D> {
        let Guided { pos, neg, w, on } = &self.guided;
        let pos = pos.denoise(x, at, node);
        if *w == 1.0 || !on.contains(&at.ve_sigma()) {
            return pos;
        }
        let neg = neg.denoise(x, at, node);
        rescale(State::lincomb(&[(*w, &pos), (1.0 - w, &neg)]), pos, self.phi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn spread_is_restored_and_tensors_agree_with_the_host() {
        let (guided, pos) = ([1.0, 5.0, -3.0, 9.0, 2.0, 2.0], [0.5, 1.0, 0.0, 1.0, 1.0, 4.0]);
        let full = rescale_rows(&guided, &pos, 2, 1.0);
        assert!((full[1] - full[0] - 0.5).abs() < 1e-12);
        assert_eq!(full[4..], guided[4..]);
        let tensor = |v: &[f64]| Tensor::<2>::from_data(TensorData::new(v.to_vec(), [3, 2]), &Device::flex());
        let got: Vec<f64> = rescale(tensor(&guided), tensor(&pos), 0.7).into_data().iter::<f64>().collect();
        assert!(got.iter().zip(rescale_rows(&guided, &pos, 2, 0.7)).all(|(a, b)| (a - b).abs() < 1e-5), "{got:?}");
        assert_eq!(rescale_rows(&guided, &pos, 2, 0.0), guided);
    }

    struct Times(f32);

    impl Denoiser<Tensor<2>> for Times {
        fn denoise(&self, x: &Tensor<2>, _: Level, _: u32) -> Tensor<2> {
            x.clone().mul_scalar(self.0)
        }
    }

    #[test]
    fn full_rescaling_of_parallel_estimates_undoes_guidance() {
        let x = Tensor::<2>::from_data(TensorData::new(vec![1f32, -2.0, 4.0], [1, 3]), &Device::flex());
        let denoiser = Rescaled { guided: Guided::everywhere(Times(1.0), Times(0.5), 5.0), phi: 1.0 };
        let got: Vec<f64> = denoiser.denoise(&x, Level::ve(1.0), 0).into_data().iter::<f64>().collect();
        assert!(got.iter().zip([1.0, -2.0, 4.0]).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
