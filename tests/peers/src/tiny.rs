//! Sampling one small item: 100 evaluations of a transformer of width 64, 4 layers, 4 heads, 16 positions, batch 1.

use std::f64::consts::FRAC_PI_2;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::network::{Network, Step};
use crate::transformer::Transformer;

const STEPS: usize = 100;

/// A v-predicting network and its sampling loop; without a condition on time, which would be one addition per step.
#[derive(Module, Debug)]
pub(crate) struct Tiny {
    network: Transformer,
}

impl Network for Tiny {
    const NAME: &'static str = "tiny";
    const INPUTS: &'static [[usize; 3]] = &[[1, 16, 64]];
    const MICRO_BATCH: u32 = 1;
    const STEPS: &'static [Step] = &[Step::Sample];

    fn init(device: &Device) -> Self {
        Self { network: Transformer::stack(64, 4, 4, device) }
    }

    /// DDIM in its angular form, `x = cos(phi) x0 + sin(phi) eps`, over equal angles from pi/2 to 0:
    /// `x' = cos(delta) x - sin(delta) v` (Salimans and Ho 2022, arXiv:2202.00512, appendix D).
    fn forward(&self, inputs: &[Tensor<3>]) -> Tensor<3> {
        let (sin, cos) = (FRAC_PI_2 / STEPS as f64).sin_cos();
        (0..STEPS).fold(inputs[0].clone(), |x, _| {
            let v = self.network.apply(x.clone());
            x.mul_scalar(cos) - v.mul_scalar(sin)
        })
    }
}
