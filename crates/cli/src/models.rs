//! The checkpoints inside the program, and `--checkpoint NAME|PATH`.

use std::path::Path;

use langevin_engine::Checkpoint;

use crate::{report::Failure, values};

/// A checkpoint compiled into the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shipped {
    /// Name on the command line.
    pub(crate) name: &'static str,
    /// The whole file.
    pub(crate) bytes: &'static [u8],
}

/// Every shipped checkpoint.
pub(crate) const SHIPPED: &[Shipped] = &[
    Shipped { name: crate::audio::PRIOR, bytes: include_bytes!("../../../data/pretrained/audio-digits.safetensors") },
    Shipped { name: crate::molecule::CONFORMERS, bytes: include_bytes!("../../../data/pretrained/molecule.safetensors") },
    Shipped { name: crate::molecule::DENOVO, bytes: include_bytes!("../../../data/pretrained/molecule-denovo.safetensors") },
    Shipped { name: crate::molecule::GEODIFF, bytes: include_bytes!("../../../data/pretrained/geodiff.safetensors") },
    Shipped { name: crate::series::MODEL, bytes: include_bytes!("../../../data/pretrained/series-base.safetensors") },
    Shipped { name: crate::audio::JUDGE, bytes: include_bytes!("../../../data/pretrained/audio-judge.safetensors") },
];

impl Shipped {
    /// Reads it.
    ///
    /// # Errors
    /// As [`Checkpoint::from_bytes`]; then the program was built from a damaged file.
    pub(crate) fn read(&self) -> Result<Checkpoint, Failure> {
        Ok(Checkpoint::from_bytes(Path::new(self.name), self.bytes)?)
    }
}

/// The shipped checkpoint of a name.
pub(crate) fn shipped(name: &Path) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|shipped| Path::new(shipped.name) == name)
}

/// Opens a shipped name, or else a file.
///
/// # Errors
/// Neither is there, or it is no checkpoint.
pub(crate) fn open(name_or_path: &Path) -> Result<Checkpoint, Failure> {
    match shipped(name_or_path) {
        Some(shipped) => shipped.read(),
        None if name_or_path.exists() => Ok(Checkpoint::read(name_or_path)?),
        None => Err(missing(name_or_path)),
    }
}

/// A name that is neither a shipped checkpoint nor a file.
pub(crate) fn missing(name: &Path) -> Failure {
    let name = name.to_string_lossy();
    let names: Vec<_> = SHIPPED.iter().map(|shipped| shipped.name).collect();
    let meant = values::nearest(&name, names.iter().copied()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let known = if names.is_empty() {
        "this build has no checkpoints inside".to_owned()
    } else {
        format!("inside the program: {}", names.join(", "))
    };
    Failure::data("checkpoint", format!("'{name}' is neither a file nor a checkpoint inside the program")).help(format!("{meant}{known}"))
}
