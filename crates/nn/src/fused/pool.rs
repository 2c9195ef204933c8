//! Max pooling of sequences.

use burn::{
    backend::flex::FlexTensor,
    tensor::{Tensor, module, ops::MaxPoolOptions},
};

use super::host::{self, Kept, Operation, array, contiguous, each, shape, values};

/// Rows of the input that one part takes.
const ROWS: usize = 64;

/// The largest of every `kernel` numbers, windows `stride` apart, without padding: `[batch, channels, length]` to
/// `[batch, channels, (length - kernel) / stride + 1]`. A window with a NaN gives NaN; of equal numbers the first has the gradient.
///
/// # Panics
/// When kernel or stride are zero, or the length is below the kernel.
pub fn max_pool1d(x: Tensor<3>, kernel: usize, stride: usize) -> Tensor<3> {
    let length = x.dims()[2];
    assert!(kernel > 0 && stride > 0 && length >= kernel, "windows of {kernel}, {stride} apart, do not fit {length} positions");
    match host::run(Windows { kernel, stride }, [Some(x.into_dispatch())]) {
        Ok(y) => Tensor::from_dispatch(y),
        Err([x]) => {
            let options = MaxPoolOptions { kernel_size: [kernel], stride: [stride], padding: [(0, 0)], dilation: [1], ceil_mode: false };
            module::max_pool1d(Tensor::from_dispatch(x.expect("it was given")), options)
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Windows {
    kernel: usize,
    stride: usize,
}

impl Windows {
    fn long(self, len: usize) -> usize {
        (len - self.kernel) / self.stride + 1
    }

    /// The largest of each window of a row.
    fn row(self, x: &[f32], out: &mut [f32]) {
        // Windows side by side, of the sizes that networks have, let the compiler unroll.
        match (self.kernel == self.stride, self.kernel) {
            (true, 2) => blocks::<2>(x, out),
            (true, 4) => blocks::<4>(x, out),
            _ => {
                for (window, out) in x.windows(self.kernel).step_by(self.stride).zip(out) {
                    *out = window.iter().copied().reduce(larger).expect("a window is never empty");
                }
            }
        }
    }
}

fn larger(best: f32, x: f32) -> f32 {
    if x > best || x.is_nan() { x } else { best }
}

fn blocks<const K: usize>(x: &[f32], out: &mut [f32]) {
    for (block, out) in x.as_chunks::<K>().0.iter().zip(out) {
        *out = block[1..].iter().copied().fold(block[0], larger);
    }
}

impl Operation<1> for Windows {
    const KEEP: [bool; 1] = [true];

    fn forward(self, [x]: [Option<FlexTensor>; 1], _: bool) -> (FlexTensor, Option<FlexTensor>) {
        let x = contiguous(x.expect("it is always given"));
        let mut dims = shape(&x);
        let len = dims[2];
        let long = self.long(len);
        let rows = dims[0] * dims[1];
        dims[2] = long;
        let mut out = vec![0.0; rows * long];
        each(out.chunks_mut(ROWS * long).zip(values(&x).chunks(ROWS * len)), |(out, x)| {
            out.chunks_exact_mut(long).zip(x.chunks_exact(len)).for_each(|(out, x)| self.row(x, out));
        });
        (array(out, dims), None)
    }

    fn backward(self, kept: Kept<1>, gradient: FlexTensor, wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let [x] = kept.inputs;
        let x = contiguous(x.expect("it is always kept"));
        let gradient = contiguous(gradient);
        let len = shape(&x)[2];
        let long = self.long(len);
        let mut dx = vec![0.0; if wanted[0] { values(&x).len() } else { 0 }];
        let parts = dx.chunks_mut(ROWS * len).zip(values(&x).chunks(ROWS * len)).zip(values(&gradient).chunks(ROWS * long));
        each(parts, |((dx, x), gradient)| {
            for ((dx, x), gradient) in dx.chunks_exact_mut(len).zip(x.chunks_exact(len)).zip(gradient.chunks_exact(long)) {
                for (t, gradient) in gradient.iter().enumerate() {
                    let start = t * self.stride;
                    let window = &x[start..start + self.kernel];
                    let best = (1..window.len()).fold(0, |best, k| if window[k] > window[best] { k } else { best });
                    dx[start + best] += gradient;
                }
            }
        });
        [wanted[0].then(|| array(dx, shape(&x)))]
    }
}
