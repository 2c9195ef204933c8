//! Which kind of classifier a user names.

use std::{path::Path, time::Duration};

use burn::tensor::Device;

use crate::{Classifier, CommandClassifier, Error, OnnxClassifier, OnnxOptions, Result};

/// How long an external command may take for one batch.
const LIMIT: Duration = Duration::from_secs(120);

/// Opens what `spec` names: `model.onnx`, `model.onnx#output` where the file has several outputs, or `cmd:COMMAND` for a program that scores
/// rows (see [`CommandClassifier`]); with feature `tch` also TorchScript files, `model.pt`. `input_shape` is the shape of one input without the
/// batch: needed for commands and TorchScript, checked for ONNX.
///
/// # Errors
/// When there is no such kind of classifier, or it cannot be opened.
pub fn open_classifier(spec: &str, input_shape: Option<&[usize]>, device: &Device) -> Result<Box<dyn Classifier>> {
    let shape = |kind: &str| {
        let reason = || format!("a {kind} does not say how many numbers a row has");
        input_shape.ok_or_else(|| Error::NoShape { classifier: spec.to_owned(), reason: reason() })
    };
    if let Some(command) = spec.strip_prefix("cmd:") {
        let shape = shape("command")?;
        return Ok(Box::new(CommandClassifier::open(command, shape, LIMIT)?));
    }
    // A file of that very name is meant before one with an output is.
    let (file, output) = match spec.rsplit_once('#') {
        Some((file, output)) if !Path::new(spec).exists() => (file, Some(output.to_string())),
        _ => (spec, None),
    };
    let path = Path::new(file);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some(extension) if extension.eq_ignore_ascii_case("onnx") => {
            let options = OnnxOptions { output, input_shape: input_shape.map(<[usize]>::to_vec) };
            Ok(Box::new(OnnxClassifier::open_with(path, &options, device)?))
        }
        #[cfg(feature = "tch")]
        Some(extension) if extension.eq_ignore_ascii_case("pt") => {
            Ok(Box::new(crate::TorchScriptClassifier::open(path, shape("TorchScript file")?)?))
        }
        #[cfg(not(feature = "tch"))]
        Some(extension) if extension.eq_ignore_ascii_case("pt") => Err(Error::Setting {
            name: "classifier",
            reason: format!(
                "`{spec}` is a TorchScript file, for which this program was built without libtorch; export it with torch.onnx.export"
            ),
        }),
        _ => Err(Error::Setting {
            name: "classifier",
            reason: format!(
                "`{spec}` is neither an ONNX file (.onnx) nor a command (cmd:...); export other models with torch.onnx.export, or wrap \
                 them in a program that reads rows and prints scores"
            ),
        }),
    }
}
