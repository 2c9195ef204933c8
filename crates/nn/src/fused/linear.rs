//! Linear layers with bias, residual and activation in the same pass as the product.

use std::mem::MaybeUninit;

use burn::{backend::flex::FlexTensor, nn::Linear, tensor::Tensor};

use super::{
    activation::Activation,
    gemm::{Place, Right},
    host::{self, Blank, Kept, Operation, array, contiguous, each, owned, shape, values},
    vector::wide,
};

/// Rows of the result that one product makes: enough for the matrix kernel, few enough that they are still in the second cache
/// when the activation passes over them.
const ROWS: usize = 256;
/// Rows of the weight's gradient that one product makes.
const WEIGHT_ROWS: usize = 128;

/// `x weight + bias` over the last dimension.
pub fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    apply(layer, x, None, None)
}

/// `activation(x weight + bias)`.
pub fn linear_activated<const D: usize>(layer: &Linear, activation: Activation, x: Tensor<D>) -> Tensor<D> {
    apply(layer, x, None, Some(activation))
}

/// `residual + x weight + bias`, with `residual` in the shape of the result.
///
/// # Panics
/// When it is not.
pub fn linear_added<const D: usize>(layer: &Linear, x: Tensor<D>, residual: Tensor<D>) -> Tensor<D> {
    apply(layer, x, Some(residual), None)
}

fn apply<const D: usize>(layer: &Linear, x: Tensor<D>, residual: Option<Tensor<D>>, activation: Option<Activation>) -> Tensor<D> {
    let (weight, bias) = (layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()));
    let mut dims = x.dims();
    let [inputs, outputs] = weight.dims();
    assert!(dims[D - 1] == inputs, "a linear layer of {inputs} inputs got {dims:?}");
    dims[D - 1] = outputs;
    assert!(residual.as_ref().is_none_or(|residual| residual.dims() == dims), "the residual is not of shape {dims:?}");
    let given =
        [Some(x.into_dispatch()), Some(weight.into_dispatch()), bias.map(Tensor::into_dispatch), residual.map(Tensor::into_dispatch)];
    match host::run(Layer { activation }, given) {
        Ok(y) => Tensor::from_dispatch(y),
        Err([x, weight, bias, residual]) => composed(
            Tensor::from_dispatch(x.expect("it was given")),
            Tensor::from_dispatch(weight.expect("it was given")),
            bias.map(Tensor::from_dispatch),
            residual.map(Tensor::from_dispatch),
            activation,
        ),
    }
}

/// The same from burn's operations.
pub(super) fn composed<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<D>>,
    activation: Option<Activation>,
) -> Tensor<D> {
    let y = burn::tensor::module::linear(x, weight, bias);
    let y = match residual {
        Some(residual) => residual + y,
        None => y,
    };
    match activation {
        Some(activation) => activation.composed(y),
        None => y,
    }
}

#[derive(Clone, Copy, Debug)]
struct Layer {
    activation: Option<Activation>,
}

/// `[rows, inputs, outputs]` of a product.
fn sizes(x: &FlexTensor, weight: &FlexTensor) -> [usize; 3] {
    let [inputs, outputs] = [0, 1].map(|dim| weight.layout().shape()[dim]);
    let rank = x.layout().num_dims();
    [x.layout().shape()[..rank - 1].iter().product(), inputs, outputs]
}

/// A matrix where it lies, transposed or cut out of a larger one; copied only when it runs backwards.
fn matrix(weight: FlexTensor) -> (FlexTensor, Place) {
    let weight = if weight.layout().has_positive_strides() { weight } else { weight.to_contiguous() };
    let at = place(&weight);
    (weight, at)
}

/// Where a matrix that does not run backwards lies in its storage.
pub(super) fn place(weight: &FlexTensor) -> Place {
    let [row, column] = [0, 1].map(|dim| weight.layout().strides()[dim].unsigned_abs());
    Place { start: weight.layout().start_offset(), row, column }
}

impl Operation<4> for Layer {
    /// The bias is kept for its shape.
    const KEEP: [bool; 4] = [true, true, true, false];

    fn forward(self, [x, weight, bias, residual]: [Option<FlexTensor>; 4], tracked: bool) -> (FlexTensor, Option<FlexTensor>) {
        let x = contiguous(x.expect("it is always given"));
        let weight = weight.expect("it is always given");
        let [rows, inputs, outputs] = sizes(&x, &weight);
        let mut dims = shape(&x);
        let last = dims.num_dims() - 1;
        dims[last] = outputs;
        let (weight, at) = matrix(weight);
        let bias = bias.map(contiguous);
        let has_residual = residual.is_some();
        let mut out = match residual {
            Some(residual) => owned(residual),
            None => array(vec![0.0; rows * outputs], dims.clone()),
        };
        let part = ROWS * outputs;
        let keeps = self.activation.is_some() && tracked;
        let mut before = Blank::new(if keeps { rows * outputs } else { 0 });
        let right = Right::weight([ROWS.min(rows), outputs, inputs], &weight, at);
        let work = |out: &mut [f32], x: &[f32], before: Option<&mut [MaybeUninit<f32>]>| {
            right.layer([out.len() / outputs, outputs, inputs], x, out, has_residual, bias.as_ref().map(values));
            if let Some(before) = before {
                before.write_copy_of_slice(out);
            }
            if let Some(activation) = self.activation {
                activation.forward_slice(out);
            }
        };
        // Cut by rows of the result: a layer without inputs has its bias too.
        let x = values(&x);
        let rows_of = |k: usize, out: &[f32]| &x[k * ROWS * inputs..][..out.len() / outputs * inputs];
        let lines = out.storage_mut::<f32>().chunks_mut(part.max(1)).enumerate().map(|(k, out)| (rows_of(k, out), out));
        if keeps {
            each(lines.zip(before.0.chunks_mut(part.max(1))), |((x, out), before)| work(out, x, Some(before)));
        } else {
            each(lines, |(x, out)| work(out, x, None));
        }
        // SAFETY: as many parts as `out` has are all of it, and each was written.
        let extra = keeps.then(|| array(unsafe { before.written() }, dims));
        (out, extra)
    }

    fn backward(self, kept: Kept<4>, gradient: FlexTensor, wanted: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let [x, weight, bias, _] = kept.inputs;
        let x = contiguous(x.expect("it is always kept"));
        let weight = weight.expect("it is always kept");
        let [rows, inputs, outputs] = sizes(&x, &weight);
        let mut gradient = contiguous(gradient);
        if let (Some(activation), Some(before)) = (self.activation, &kept.extra) {
            gradient = owned(gradient);
            let parts = gradient.storage_mut::<f32>().chunks_mut(super::activation::PART);
            each(parts.zip(values(before).chunks(super::activation::PART)), |(g, x)| activation.backward_slice(x, g));
        }
        let g = values(&gradient);
        let by_outputs = Place::rows(outputs);
        let dx = || {
            let (weight, at) = matrix(weight.clone());
            let right = Right::weight([ROWS.min(rows), inputs, outputs], &weight, at.transposed());
            let mut dx = vec![0.0; rows * inputs];
            each(dx.chunks_mut((ROWS * inputs).max(1)).zip(g.chunks((ROWS * outputs).max(1))), |(dx, g)| {
                let count = dx.len() / inputs;
                right.product([count, inputs, outputs], 1.0, (g, by_outputs), (dx, Place::rows(inputs)), false);
            });
            array(dx, shape(&x))
        };
        let dweight = || {
            let mut dweight = vec![0.0; inputs * outputs];
            let right = Right::new([inputs, outputs, rows], g, by_outputs);
            each(dweight.chunks_mut((WEIGHT_ROWS * outputs).max(1)).enumerate(), |(k, part)| {
                let columns = Place::rows(inputs).transposed().at(k * WEIGHT_ROWS);
                let count = part.len() / outputs;
                right.product([count, outputs, rows], 1.0, (values(&x), columns), (part, by_outputs), false);
            });
            array(dweight, shape(&weight))
        };
        let (dx, dweight) = host::join(|| wanted[0].then(dx), || wanted[1].then(dweight));
        let dbias = bias.filter(|_| wanted[2]).map(|bias| array(column_sums(g, outputs), shape(&bias)));
        let dresidual = wanted[3].then(|| gradient.clone());
        [dx, dweight, dbias, dresidual]
    }
}

/// Sums over rows of `width` numbers, in order.
pub(super) fn column_sums(x: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    if width > 0 {
        add_to_sums(x, &mut sums);
    }
    sums
}

wide! {
    fn add_to_sums(x: &[f32], sums: &mut [f32]) {
        for row in x.chunks_exact(sums.len()) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    }
}

wide! {
    /// Adds a bias to every row.
    pub(super) fn add_bias(bias: &[f32], out: &mut [f32]) {
        for row in out.chunks_exact_mut(bias.len()) {
            row.iter_mut().zip(bias).for_each(|(out, bias)| *out += bias);
        }
    }
}
