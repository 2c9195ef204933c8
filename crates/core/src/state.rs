//! What a Gaussian process can diffuse: a vector space with noise.

use burn::tensor::{Tensor, TensorData};

use crate::noise::NoiseSource;

/// A point of a vector space with addressed noise: the only view a solver has of data.
pub trait State: Clone {
    /// `sum_i c_i x_i`, the only arithmetic of a solver. Coefficients are f64 on the host; terms have equal shapes.
    ///
    /// # Panics
    /// On an empty list of terms (a checked [`Plan`](crate::plan::Plan) has none).
    fn lincomb(terms: &[(f64, &Self)]) -> Self;

    /// Standard noise of this shape at `(node, stream)`. Row `i` of a batch is sample `i` of the source, so the noise of a
    /// sample does not depend on the batch it is in.
    fn noise_like(&self, source: &dyn NoiseSource, node: u32, stream: u32) -> Self;
}

/// One sample (number 0) in f64: tests, closed forms, small host problems.
impl State for Vec<f64> {
    fn lincomb(terms: &[(f64, &Self)]) -> Self {
        let (c, x) = terms[0];
        let mut sum: Self = x.iter().map(|x| c * x).collect();
        for (c, x) in &terms[1..] {
            sum.iter_mut().zip(x.iter()).for_each(|(s, x)| *s += c * x);
        }
        sum
    }

    fn noise_like(&self, source: &dyn NoiseSource, node: u32, stream: u32) -> Self {
        let mut noise = vec![0.0; self.len()];
        source.fill_f64(0, node, stream, &mut noise);
        noise
    }
}

/// A batch, shape `[batch, ...]`; noise is made on the host and has the same bytes on every device.
impl<const D: usize> State for Tensor<D> {
    fn lincomb(terms: &[(f64, &Self)]) -> Self {
        let scaled = |c: f64, x: &Self| if c == 1.0 { x.clone() } else { x.clone().mul_scalar(c) };
        let (c, x) = terms[0];
        terms[1..].iter().fold(scaled(c, x), |sum, (c, x)| sum + scaled(*c, x))
    }

    fn noise_like(&self, source: &dyn NoiseSource, node: u32, stream: u32) -> Self {
        let shape = self.shape();
        let row = shape.num_elements() / shape[0].max(1);
        let mut noise = vec![0f32; shape.num_elements()];
        if row > 0 {
            for (sample, row) in noise.chunks_mut(row).enumerate() {
                source.fill(sample as u32, node, stream, row);
            }
        }
        Self::from_data(TensorData::new(noise, shape), &self.device())
    }
}

/// A product of two spaces, for instance positions and atom features. Their streams never meet.
impl<A: State, B: State> State for (A, B) {
    fn lincomb(terms: &[(f64, &Self)]) -> Self {
        let first: Vec<_> = terms.iter().map(|(c, x)| (*c, &x.0)).collect();
        let second: Vec<_> = terms.iter().map(|(c, x)| (*c, &x.1)).collect();
        (A::lincomb(&first), B::lincomb(&second))
    }

    fn noise_like(&self, source: &dyn NoiseSource, node: u32, stream: u32) -> Self {
        // Children 2s+1 and 2s+2 of the stream tree, in the upper half of the stream space: no clash with named streams.
        let child = |side: u32| (stream.wrapping_mul(2).wrapping_add(side)) | 0x8000_0000;
        (self.0.noise_like(source, node, child(1)), self.1.noise_like(source, node, child(2)))
    }
}

/// A padded batch: noise and results stay in the subspace that the mask keeps.
///
/// Padding sits at the end of each row-major sample, so a sample's noise does not depend on how far it is padded.
#[derive(Clone, Debug)]
pub struct Masked<const D: usize> {
    /// Values, shape `[batch, ...]`.
    pub x: Tensor<D>,
    /// 1 where a value is real, 0 where it is padding; broadcastable to `x`.
    pub mask: Tensor<D>,
}

impl<const D: usize> State for Masked<D> {
    fn lincomb(terms: &[(f64, &Self)]) -> Self {
        let values: Vec<_> = terms.iter().map(|(c, s)| (*c, &s.x)).collect();
        Self { x: Tensor::lincomb(&values), mask: terms[0].1.mask.clone() }
    }

    fn noise_like(&self, source: &dyn NoiseSource, node: u32, stream: u32) -> Self {
        Self { x: self.x.noise_like(source, node, stream) * self.mask.clone(), mask: self.mask.clone() }
    }
}

/// Coordinates with zero centre of mass: the translation-free subspace of padded point sets (Hoogeboom et al. 2022, section 3.1).
#[derive(Clone, Debug)]
pub struct ZeroCentre {
    /// Positions, shape `[batch, points, 3]`, each sample's real points summing to zero.
    pub x: Tensor<3>,
    /// 1 for a real point, 0 for padding, shape `[batch, points, 1]`.
    pub mask: Tensor<3>,
}

impl ZeroCentre {
    /// Projects positions onto the subspace: removes the mean of the real points and clears the padding.
    pub fn project(x: Tensor<3>, mask: Tensor<3>) -> Self {
        let count = mask.clone().sum_dim(1).clamp_min(1.0);
        let mean = (x.clone() * mask.clone()).sum_dim(1) / count;
        Self { x: (x - mean) * mask.clone(), mask }
    }
}

impl State for ZeroCentre {
    fn lincomb(terms: &[(f64, &Self)]) -> Self {
        let values: Vec<_> = terms.iter().map(|(c, s)| (*c, &s.x)).collect();
        Self { x: Tensor::lincomb(&values), mask: terms[0].1.mask.clone() }
    }

    fn noise_like(&self, source: &dyn NoiseSource, node: u32, stream: u32) -> Self {
        Self::project(self.x.noise_like(source, node, stream), self.mask.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Philox;
    use burn::tensor::Device;

    fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().try_to_vec::<f32>().expect("f32 tensor")
    }

    #[test]
    fn tensor_and_host_agree() {
        let device = Device::flex();
        let host = [vec![1.0, -2.0, 0.5], vec![3.0, 0.25, -1.0]];
        let tensors: Vec<Tensor<2>> = host
            .iter()
            .map(|v| Tensor::from_data(TensorData::new(v.iter().map(|x| *x as f32).collect::<Vec<_>>(), [1, 3]), &device))
            .collect();
        let expected = Vec::lincomb(&[(0.5, &host[0]), (-2.0, &host[1])]);
        let got = values(Tensor::lincomb(&[(0.5, &tensors[0]), (-2.0, &tensors[1])]));
        assert!(got.iter().zip(expected).all(|(g, e)| (f64::from(*g) - e).abs() < 1e-6));
    }

    #[test]
    fn noise_of_a_sample_does_not_depend_on_its_batch_or_padding() {
        let device = Device::flex();
        let source = Philox::new(11);
        let small = Tensor::<3>::zeros([2, 3, 2], &device).noise_like(&source, 4, 1);
        let large = Tensor::<3>::zeros([5, 7, 2], &device).noise_like(&source, 4, 1);
        assert_eq!(values(small), values(large.slice([0..2, 0..3, 0..2])));
        let shifted = Tensor::<3>::zeros([1, 3, 2], &device).noise_like(&source.rows_from(1), 4, 1);
        let whole = Tensor::<3>::zeros([2, 3, 2], &device).noise_like(&source, 4, 1);
        assert_eq!(values(shifted), values(whole.slice([1..2, 0..3, 0..2])));
    }

    #[test]
    fn zero_centre_noise_is_centred_and_masked() {
        let device = Device::flex();
        let mask = Tensor::<3>::from_data(TensorData::new(vec![1f32, 1.0, 1.0, 0.0], [1, 4, 1]), &device);
        let state = ZeroCentre { x: Tensor::zeros([1, 4, 3], &device), mask };
        let noise = values(state.noise_like(&Philox::new(2), 0, 0).x);
        for axis in 0..3 {
            assert!((0..4).map(|p| noise[p * 3 + axis]).sum::<f32>().abs() < 1e-5);
        }
        assert!(noise[9..].iter().all(|&v| v == 0.0) && noise[..9].iter().any(|&v| v != 0.0));
    }

    #[test]
    fn the_halves_of_a_pair_have_different_noise() {
        let pair = (vec![0.0; 6], vec![0.0; 6]).noise_like(&Philox::new(1), 0, 0);
        assert_ne!(pair.0, pair.1);
    }
}
