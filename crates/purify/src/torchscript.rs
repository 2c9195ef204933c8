//! A classifier out of a TorchScript file, run by libtorch.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use tch::{CModule, Kind, TchError};

use crate::{
    Classifier, Error, Result,
    classifier::{check_length, file_name},
};

/// A classifier out of a TorchScript file (`torch.jit.save`), run by libtorch on the processor.
///
/// Its gradient comes from libtorch's autograd: where rows are tracked, logits carry their whole Jacobian, one backward pass a class.
#[derive(Debug)]
pub struct TorchScriptClassifier {
    path: PathBuf,
    name: String,
    module: CModule,
    input_shape: Vec<usize>,
    classes: usize,
}

/// Logits, and where they are wanted their slopes `[classes, rows, input]`.
struct Found {
    logits: Vec<f32>,
    classes: usize,
    slopes: Option<Vec<f32>>,
}

impl TorchScriptClassifier {
    /// Reads a file and runs it once on zeros; `input_shape` is the shape of one input without the batch, which such files do not say.
    ///
    /// # Errors
    /// [`Error::Format`] when it cannot be read or run, or its output is not `[batch, classes]`.
    pub fn open(path: &Path, input_shape: &[usize]) -> Result<Self> {
        let refuse = |e: TchError| Error::Format { path: path.to_path_buf(), reason: first_line(&e) };
        let mut module = CModule::load(path).map_err(refuse)?;
        module.f_set_eval().map_err(refuse)?;
        let mut classifier =
            Self { path: path.to_path_buf(), name: file_name(path), module, input_shape: input_shape.to_vec(), classes: 0 };
        classifier.classes = classifier.logits(Tensor::zeros([1, classifier.input_len()], &Device::default()))?.dims()[1];
        Ok(classifier)
    }

    fn refuse(&self, reason: impl Into<String>) -> Error {
        Error::Format { path: self.path.clone(), reason: reason.into() }
    }

    fn run(&self, rows: &[f32], count: usize, tracked: bool) -> std::result::Result<Found, String> {
        let say = |e: TchError| first_line(&e);
        let mut dims = vec![count as i64];
        dims.extend(self.input_shape.iter().map(|&dim| dim as i64));
        let x = tch::Tensor::f_from_slice(rows).and_then(|x| x.f_view(dims.as_slice())).map_err(say)?;
        let x = x.f_set_requires_grad(tracked).map_err(say)?;
        let forward = || self.module.forward_ts(&[&x]);
        let y = if tracked { forward() } else { tch::no_grad(forward) }.map_err(say)?;
        let classes = match y.size()[..] {
            [found, classes] if found == count as i64 && classes > 0 => classes,
            ref found => return Err(format!("its output has shape {found:?} for {count} rows, expected [{count}, classes]")),
        };
        let numbers = |t: &tch::Tensor| {
            let flat = t.f_detach().and_then(|t| t.f_contiguous()).and_then(|t| t.f_view([-1_i64])).map_err(say)?;
            Vec::<f32>::try_from(&flat).map_err(say)
        };
        let slope = |class: i64| {
            let sum = y.f_select(1, class).and_then(|column| column.f_sum(Kind::Float)).map_err(say)?;
            let found = tch::Tensor::f_run_backward(&[&sum], &[&x], true, false).map_err(say)?;
            numbers(found.first().ok_or("libtorch gives no gradient")?)
        };
        let slopes = if tracked { Some((0..classes).map(slope).collect::<std::result::Result<Vec<_>, String>>()?.concat()) } else { None };
        Ok(Found { logits: numbers(&y)?, classes: classes as usize, slopes })
    }
}

/// libtorch's messages go on with a trace.
fn first_line(error: &TchError) -> String {
    let text = error.to_string();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    format!("libtorch refuses it: {line}")
}

impl Classifier for TorchScriptClassifier {
    fn name(&self) -> &str {
        &self.name
    }

    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn has_gradient(&self) -> bool {
        true
    }

    fn logits(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
        let ([count, len], device) = (rows.dims(), rows.device().inner());
        check_length(self, len).map_err(|reason| self.refuse(format!("it {reason}")))?;
        if count == 0 {
            return Ok(Tensor::zeros([0, self.classes], &rows.device()));
        }
        let tracked = rows.is_tracked();
        let values = rows.clone().try_into_vec_as::<f32>().map_err(|e| self.refuse(format!("rows cannot be read: {e}")))?;
        let found = self.run(&values, count, tracked).map_err(|reason| self.refuse(reason))?;
        let logits = Tensor::<2>::from_data(TensorData::new(found.logits, [count, found.classes]), &device);
        let Some(slopes) = found.slopes else { return Ok(logits) };
        // The first-order expansion at the rows themselves: the value is the logits, the gradient libtorch's.
        let slopes = Tensor::<3>::from_data(TensorData::new(slopes, [found.classes, count, len]), &device);
        let step = rows - Tensor::from_data(TensorData::new(values, [count, len]), &device);
        Ok(logits + step.unsqueeze_dim::<3>(1).matmul(slopes.permute([1, 2, 0])).squeeze_dim::<2>(1))
    }
}
