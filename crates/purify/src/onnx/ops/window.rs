//! Windows that slide over positions: kernels, strides, dilations and padding, shared by convolutions and pools.

use crate::onnx::{node::Spec, value::Fit};

/// Padding as a file states it.
#[derive(Clone, Debug, PartialEq)]
enum Padding {
    /// Before and after each spatial dimension.
    Fixed(Vec<(usize, usize)>),
    /// As much as keeps `ceil(length / stride)` positions; the odd one goes after, or before.
    Same { odd_before: bool },
}

/// A window over `N` spatial dimensions.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) kernel: Vec<usize>,
    pub(super) stride: Vec<usize>,
    pub(super) dilation: Vec<usize>,
    padding: Padding,
}

impl Window {
    /// Reads the attributes; `kernel` is the weight's where there is one.
    pub(super) fn new(spec: &Spec<'_>, kernel: Option<&[usize]>) -> Fit<Self> {
        let stated = spec.sizes("kernel_shape", 1)?;
        let kernel = match (stated, kernel) {
            (Some(stated), Some(kernel)) if stated != kernel => {
                return Err(format!("attribute `kernel_shape` is {stated:?}, but the weight's kernel is {kernel:?}"));
            }
            (_, Some(kernel)) => kernel.to_vec(),
            (Some(stated), None) => stated,
            (None, None) => return Err("attribute `kernel_shape` is missing".into()),
        };
        let rank = kernel.len();
        if !(1..=2).contains(&rank) {
            return Err(format!("a kernel of shape {kernel:?} is not supported; 1 and 2 spatial dimensions are"));
        }
        let ones = || vec![1; rank];
        let stride = spec.sizes("strides", 1)?.unwrap_or_else(ones);
        let dilation = spec.sizes("dilations", 1)?.unwrap_or_else(ones);
        let pads = spec.sizes("pads", 0)?.unwrap_or_else(|| vec![0; 2 * rank]);
        if stride.len() != rank || dilation.len() != rank || pads.len() != 2 * rank {
            return Err(format!("strides {stride:?}, dilations {dilation:?} and pads {pads:?} do not fit a kernel of {kernel:?}"));
        }
        let padding = match spec.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" | "" => Padding::Fixed((0..rank).map(|k| (pads[k], pads[k + rank])).collect()),
            "VALID" => Padding::Fixed(vec![(0, 0); rank]),
            "SAME_UPPER" => Padding::Same { odd_before: false },
            "SAME_LOWER" => Padding::Same { odd_before: true },
            other => return Err(format!("attribute `auto_pad` is `{other}`, which is not known")),
        };
        Ok(Self { kernel, stride, dilation, padding })
    }

    pub(super) fn rank(&self) -> usize {
        self.kernel.len()
    }

    /// Positions that a window spans along a dimension.
    pub(super) fn reach(&self, k: usize) -> usize {
        self.dilation[k] * (self.kernel[k] - 1) + 1
    }

    /// Padding for an input of these spatial dimensions.
    ///
    /// # Errors
    /// When the padded input is shorter than a window.
    pub(super) fn padding(&self, spatial: &[usize]) -> Fit<Vec<(usize, usize)>> {
        let padding: Vec<(usize, usize)> = match &self.padding {
            Padding::Fixed(pads) => pads.clone(),
            Padding::Same { odd_before } => {
                (0..self.rank()).map(|k| same(spatial[k], self.stride[k], self.reach(k), *odd_before)).collect()
            }
        };
        for (k, (before, after)) in padding.iter().enumerate() {
            if spatial[k] + before + after < self.reach(k) {
                let (len, reach) = (spatial[k], self.reach(k));
                return Err(format!("{len} positions with padding {before} and {after} are too few for a window of {reach}"));
            }
        }
        Ok(padding)
    }

    /// Padding of a transposed window: what is cut off its output.
    pub(super) fn transposed_padding(&self, spatial: &[usize], output: Option<&[usize]>, extra: &[usize]) -> Fit<Vec<(usize, usize)>> {
        let full = |k: usize| self.stride[k] * (spatial[k].max(1) - 1) + extra[k] + self.reach(k);
        let total = |k: usize| match (output, &self.padding) {
            (Some(output), _) => full(k).checked_sub(output[k]),
            (None, Padding::Same { .. }) => full(k).checked_sub(spatial[k] * self.stride[k]),
            (None, Padding::Fixed(pads)) => Some(pads[k].0 + pads[k].1),
        };
        (0..self.rank())
            .map(|k| {
                let total = total(k)
                    .filter(|&total| total <= full(k))
                    .ok_or_else(|| format!("its output is shorter than {} positions", full(k)))?;
                Ok(match (&self.padding, output) {
                    (Padding::Fixed(pads), None) => pads[k],
                    (Padding::Same { odd_before: false }, _) => (total / 2, total - total / 2),
                    _ => (total - total / 2, total / 2),
                })
            })
            .collect()
    }
}

fn same(len: usize, stride: usize, reach: usize, odd_before: bool) -> (usize, usize) {
    let outputs = len.div_ceil(stride);
    let total = ((outputs.max(1) - 1) * stride + reach).saturating_sub(len);
    let (less, more) = (total / 2, total - total / 2);
    if odd_before { (more, less) } else { (less, more) }
}
