//! A classifier out of an ONNX file.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use burn::tensor::{Device, Tensor};
use prost::Message as _;
use rayon::prelude::*;

use super::{
    graph::Program,
    proto::ModelProto,
    value::{Dense, Value},
};
use crate::{
    Classifier, Error, Result,
    classifier::{check_length, file_name},
};

/// Numbers of input that one part of a batch has: enough for small rows to share a pass, few enough for threads to share a batch.
const PART: usize = 8192;

/// What an ONNX file leaves open.
#[derive(Clone, Debug, Default)]
pub struct OnnxOptions {
    /// Name of the output with the logits, where the file has several.
    pub output: Option<String>,
    /// Shape of one input without the batch, where the file does not fix it.
    pub input_shape: Option<Vec<usize>>,
}

/// A classifier out of an ONNX file: its graph of operators is run on burn's tensors, so that logits have gradients with respect to rows.
///
/// Opsets 7 to 22, one float input with the batch as first dimension, weights inside the file. All floats are computed in f32.
pub struct OnnxClassifier {
    path: PathBuf,
    name: String,
    program: Program,
    input_shape: Vec<usize>,
    classes: usize,
    /// The batch that the file insists on.
    batch: Option<usize>,
}

impl fmt::Debug for OnnxClassifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, input_shape, classes, batch, .. } = self;
        f.debug_struct("OnnxClassifier")
            .field("path", path)
            .field("input_shape", input_shape)
            .field("classes", classes)
            .field("batch", batch)
            .finish_non_exhaustive()
    }
}

impl OnnxClassifier {
    /// Reads a file and runs it once on zeros, so that what cannot run is refused here. Weights live on `device`.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Format`] when it cannot be used.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        Self::open_with(path, &OnnxOptions::default(), device)
    }

    /// [`open`](Self::open) with what the file leaves open.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when the options do not fit the file.
    pub fn open_with(path: &Path, options: &OnnxOptions, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
        let refuse = |reason: String| Error::Format { path: path.to_path_buf(), reason };
        let model =
            ModelProto::decode(bytes.as_slice()).map_err(|e| refuse(format!("it is no ONNX file, or damaged or cut short: {e}")))?;
        drop(bytes);
        let device = device.clone().inner();
        let program = Program::new(&model, options.output.as_deref(), &device).map_err(refuse)?;
        if let Some(dims) = program.input_dims.as_ref().filter(|dims| dims.len() < 2) {
            let (name, shape) = (&program.input_name, stated(dims));
            return Err(refuse(format!("input `{name}` has shape {shape}; expected a batch and at least one dimension after it")));
        }
        let (batch, input_shape) = match &options.input_shape {
            Some(given) => given_shape(&program, given).map_err(refuse)?,
            None => own_shape(&program).map_err(|reason| Error::NoShape { classifier: path.display().to_string(), reason })?,
        };
        let mut classifier = Self { path: path.to_path_buf(), name: file_name(path), program, input_shape, classes: 0, batch };
        let rows = Tensor::zeros([1, classifier.input_len()], &device);
        classifier.classes = classifier.run(rows).map_err(refuse)?.dims()[1];
        Ok(classifier)
    }

    /// Logits of a batch as the file wants it: in one pass, or repeated up to its fixed size.
    fn run(&self, rows: Tensor<2>) -> std::result::Result<Tensor<2>, String> {
        let Some(batch) = self.batch else { return self.pass(rows) };
        let [count, len] = rows.dims();
        let mut parts = Vec::with_capacity(count.div_ceil(batch));
        for first in (0..count).step_by(batch) {
            let part = rows.clone().slice([first..count.min(first + batch), 0..len]);
            let found = part.dims()[0];
            let padded = if found < batch { Tensor::cat(vec![part, Tensor::zeros([batch - found, len], &rows.device())], 0) } else { part };
            let logits = self.pass(padded)?;
            let classes = logits.dims()[1];
            parts.push(if found < batch { logits.slice([0..found, 0..classes]) } else { logits });
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) })
    }

    fn pass(&self, rows: Tensor<2>) -> std::result::Result<Tensor<2>, String> {
        let count = rows.dims()[0];
        let mut dims = vec![count];
        dims.extend_from_slice(&self.input_shape);
        let output = self.program.run(Dense::of(rows).reshape(dims))?;
        let name = &self.program.output_name;
        match output {
            Value::Float(x) if x.rank() == 2 && x.dims()[0] == count && x.dims()[1] > 0 => Ok(x.tensor()),
            other => {
                let kind = if matches!(other, Value::Host(_)) { " of integers" } else { "" };
                Err(format!("output `{name}`{kind} has shape {:?} for {count} rows, expected [{count}, classes]", other.dims()))
            }
        }
    }
}

/// The batch that a file insists on, and the shape of one input.
type Shape = (Option<usize>, Vec<usize>);

/// As the file fixes it; its input has two dimensions or more.
fn own_shape(program: &Program) -> std::result::Result<Shape, String> {
    let name = &program.input_name;
    let open = |found: &str| format!("input `{name}` has {found}; export with fixed dimensions after the batch");
    let dims = program.input_dims.as_ref().ok_or_else(|| open("no shape"))?;
    let fixed = dims[1..].iter().copied().collect::<Option<Vec<_>>>();
    fixed.map(|shape| (dims[0], shape)).ok_or_else(|| open(&format!("shape {}, open after the batch", stated(dims))))
}

/// As it was given, where the file agrees.
fn given_shape(program: &Program, given: &[usize]) -> std::result::Result<Shape, String> {
    let Some(dims) = &program.input_dims else { return Ok((None, given.to_vec())) };
    let fits = dims.len() == given.len() + 1 && dims[1..].iter().zip(given).all(|(dim, given)| dim.is_none_or(|dim| dim == *given));
    if fits {
        Ok((dims[0], given.to_vec()))
    } else {
        Err(format!("input `{}` has shape {}, which one input of {given:?} does not fit", program.input_name, stated(dims)))
    }
}

fn stated(dims: &[Option<usize>]) -> String {
    let words: Vec<String> = dims.iter().map(|dim| dim.map_or("open".into(), |dim| dim.to_string())).collect();
    format!("[{}]", words.join(", "))
}

impl Classifier for OnnxClassifier {
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

    /// Rows without gradients are cut into parts by their size alone and spread over the threads of the current rayon pool, so that logits do
    /// not depend on the number of threads.
    fn logits(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
        let [count, len] = rows.dims();
        let refuse = |reason: String| Error::Format { path: self.path.clone(), reason };
        check_length(self, len).map_err(|reason| refuse(format!("input `{}` {reason}", self.program.input_name)))?;
        if count == 0 {
            return Ok(Tensor::zeros([0, self.classes], &rows.device()));
        }
        let part = (PART / len.max(1)).max(1);
        if rows.is_tracked() {
            let logits = self.run(rows.clone()).map_err(refuse)?;
            // Steps alone join no graph; their gradient is zero.
            return Ok(if logits.is_tracked() { logits } else { logits + rows.narrow(1, 0, 1) * 0.0 });
        }
        if count <= part {
            return self.run(rows).map_err(refuse);
        }
        let starts: Vec<usize> = (0..count).step_by(part).collect();
        let work = |&first: &usize| self.run(rows.clone().slice([first..count.min(first + part), 0..len]));
        let parts: std::result::Result<Vec<_>, String> =
            if rayon::current_num_threads() == 1 { starts.iter().map(work).collect() } else { starts.par_iter().map(work).collect() };
        Ok(Tensor::cat(parts.map_err(refuse)?, 0))
    }
}
