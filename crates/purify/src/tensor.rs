//! Rows between host and device.

use burn::tensor::{Device, Tensor, TensorData};

use crate::{Error, Result};

/// `count` rows of equal length as a tensor `[count, length]`.
pub(crate) fn rows(values: Vec<f32>, count: usize, device: &Device) -> Tensor<2> {
    let length = values.len() / count.max(1);
    Tensor::from_data(TensorData::new(values, [count, length]), device)
}

/// The values of a tensor, row-major.
pub(crate) fn host(x: Tensor<2>) -> Result<Vec<f32>> {
    x.without_autodiff().into_data().try_into_vec_as::<f32>().map_err(|e| Error::Device { reason: e.to_string() })
}
