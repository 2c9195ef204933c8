//! What every classifier offers, whatever file it came from.

use std::path::Path;

use burn::tensor::Tensor;

use crate::Result;

/// A classifier under protection or attack.
pub trait Classifier: Sync {
    /// Name for messages and reports: the file it came from.
    fn name(&self) -> &str;

    /// Shape of one input without the batch, for instance `[1, 8000]` for a clip; rows are this, flat.
    fn input_shape(&self) -> &[usize];

    /// Number of classes.
    fn classes(&self) -> usize;

    /// Whether [`logits`](Self::logits) can be differentiated when `rows` live on an autodiff device.
    fn has_gradient(&self) -> bool;

    /// Logits `[B, classes]` of rows `[B, input]`, on the rows' device.
    ///
    /// # Errors
    /// When the classifier cannot be run on these rows, for instance an external program that failed.
    fn logits(&self, rows: Tensor<2>) -> Result<Tensor<2>>;

    /// Numbers of one input: the product of its shape.
    fn input_len(&self) -> usize {
        self.input_shape().iter().product()
    }
}

/// The name of a classifier out of a file.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// Refuses rows of another length than a classifier's, with both; the caller says what it is that takes them.
pub(crate) fn check_length(classifier: &dyn Classifier, found: usize) -> std::result::Result<(), String> {
    let (shape, expected) = (classifier.input_shape(), classifier.input_len());
    if found == expected { Ok(()) } else { Err(format!("takes {expected} numbers a row (shape {shape:?}), found rows of {found}")) }
}
