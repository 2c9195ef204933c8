//! The checkpoints inside the program, and `--checkpoint NAME|PATH`.

use std::{fmt::Display, path::Path};

use langevin_engine::{Checkpoint, RunConfig};
use serde::de::DeserializeOwned;

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
    Shipped { name: crate::purify::DIGITS, bytes: include_bytes!("../../../data/pretrained/purify-digits.safetensors") },
    Shipped { name: crate::purify::TABLE, bytes: include_bytes!("../../../data/pretrained/purify-breast-cancer.safetensors") },
    Shipped { name: crate::purify::SERIES, bytes: include_bytes!("../../../data/pretrained/purify-power-demand.safetensors") },
    Shipped { name: crate::series::MODEL, bytes: include_bytes!("../../../data/pretrained/series-base.safetensors") },
    Shipped { name: crate::series::CSDI, bytes: include_bytes!("../../../data/pretrained/csdi.safetensors") },
    Shipped { name: crate::text::MODEL, bytes: include_bytes!("../../../data/pretrained/text-novels.safetensors") },
    Shipped { name: crate::audio::WAVE, bytes: include_bytes!("../../../data/pretrained/audio-wave.safetensors") },
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

/// The `[model]` table of a domain's config, checked by the domain's own `check`.
///
/// # Errors
/// Another domain's config, an unknown key, a number out of range.
pub(crate) fn model_config<M: DeserializeOwned, E: Display>(
    config: &RunConfig,
    source: &Path,
    domain: &str,
    check: impl Fn(&M) -> Result<(), E>,
) -> Result<M, Failure> {
    if config.domain != domain {
        return Err(Failure::data("domain", format!("{} is for '{}', not for {domain}", source.display(), config.domain))
            .help(format!("give a checkpoint or config for {domain}; `langevin list` shows the shipped ones")));
    }
    let bad = |e: &dyn Display| {
        let message = format!("{}: [model]: {}", source.display(), e.to_string().trim_end());
        let failure = Failure::data("config", &message);
        match values::meant(&message) {
            Some(meant) => failure.help(meant),
            None => failure,
        }
    };
    let model: M = toml::Value::Table(config.model.clone()).try_into().map_err(|e| bad(&e))?;
    check(&model).map_err(|e| bad(&e))?;
    Ok(model)
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
