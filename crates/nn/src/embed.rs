//! Noise-level embedding.

use burn::tensor::{Device, Tensor, TensorData};

/// Sinusoidal features of one number per sample (Vaswani et al. 2017, section 3.5, for a real-valued position).
///
/// Not trained, so it is no module: networks put a linear layer behind it.
#[derive(Clone, Debug)]
pub struct TimeEmbedding {
    frequencies: Vec<f32>,
}

impl TimeEmbedding {
    /// `width / 2` frequencies from 1 to `1 / max_period` (radians per unit of the input), geometrically spaced, times `scale`.
    pub fn new(width: usize, max_period: f64, scale: f64) -> Self {
        let half = width / 2;
        let frequency = |i: usize| scale * (-(max_period.ln()) * i as f64 / half as f64).exp();
        Self { frequencies: (0..half).map(|i| frequency(i) as f32).collect() }
    }

    /// Number of features.
    pub const fn width(&self) -> usize {
        2 * self.frequencies.len()
    }

    /// Features of each value: cosines then sines, shape `[values, width]`. Computed on the host: it is a handful of numbers.
    pub fn forward(&self, values: &[f32], device: &Device) -> Tensor<2> {
        let mut rows = Vec::with_capacity(values.len() * self.width());
        for value in values {
            rows.extend(self.frequencies.iter().map(|f| (value * f).cos()));
            rows.extend(self.frequencies.iter().map(|f| (value * f).sin()));
        }
        Tensor::from_data(TensorData::new(rows, [values.len(), self.width()]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_frequency_is_the_scale_and_zero_is_all_cosines() {
        let embedding = TimeEmbedding::new(8, 100.0, 2.0);
        let rows: Vec<f32> = embedding.forward(&[0.0, 0.5], &Device::flex()).into_data().try_to_vec().expect("f32");
        assert_eq!(rows[..8], [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert!((rows[8] - 1f32.cos()).abs() < 1e-6 && (rows[12] - 1f32.sin()).abs() < 1e-6);
    }
}
