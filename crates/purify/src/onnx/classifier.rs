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
use crate::{Classifier, Error, Result};

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
        let (batch, input_shape) = shape_of_input(&program, options.input_shape.as_deref()).map_err(refuse)?;
        let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        let mut classifier = Self { path: path.to_path_buf(), name, program, input_shape, classes: 0, batch };
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

/// The batch and the shape of one input.
fn shape_of_input(program: &Program, given: Option<&[usize]>) -> std::result::Result<(Option<usize>, Vec<usize>), String> {
    let name = &program.input_name;
    let stated = |dims: &[Option<usize>]| {
        let words: Vec<String> = dims.iter().map(|dim| dim.map_or("open".into(), |dim| dim.to_string())).collect();
        format!("[{}]", words.join(", "))
    };
    let remedy = "give the shape of one input, or export with fixed dimensions after the batch";
    match (&program.input_dims, given) {
        (None, None) => Err(format!("input `{name}` has no shape; {remedy}")),
        (None, Some(given)) => Ok((None, given.to_vec())),
        (Some(dims), _) if dims.len() < 2 => {
            Err(format!("input `{name}` has shape {}; expected a batch and at least one dimension after it", stated(dims)))
        }
        (Some(dims), None) => match dims[1..].iter().copied().collect::<Option<Vec<_>>>() {
            Some(shape) => Ok((dims[0], shape)),
            None => Err(format!("input `{name}` has shape {}, open after the batch; {remedy}", stated(dims))),
        },
        (Some(dims), Some(given)) => {
            let fits = dims.len() == given.len() + 1 && dims[1..].iter().zip(given).all(|(dim, given)| dim.is_none_or(|dim| dim == *given));
            if fits {
                Ok((dims[0], given.to_vec()))
            } else {
                Err(format!("input `{name}` has shape {}, which one input of {given:?} does not fit", stated(dims)))
            }
        }
    }
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
        if len != self.input_len() {
            let (shape, expected) = (&self.input_shape, self.input_len());
            let input = &self.program.input_name;
            return Err(refuse(format!("input `{input}` takes {expected} numbers a row (shape {shape:?}), found rows of {len}")));
        }
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
