//! Molecule checkpoints opened as the models they hold.

use std::path::Path;

use langevin_engine::RunConfig;
use langevin_molecule::config::ModelConfig;

use crate::{report::Failure, values};

/// Name of the domain in configs.
pub(crate) const DOMAIN: &str = "molecule";

/// The molecule settings of a config, checked.
///
/// # Errors
/// Another domain's config, an unknown key, a number out of range.
pub(crate) fn model_config(config: &RunConfig, source: &Path) -> Result<ModelConfig, Failure> {
    if config.domain != DOMAIN {
        return Err(Failure::data("domain", format!("{} is for '{}', not for molecules", source.display(), config.domain))
            .help("give a molecule checkpoint or config; `langevin list` shows the shipped ones"));
    }
    let bad = |e: &dyn std::fmt::Display| {
        let message = format!("{}: [model]: {}", source.display(), e.to_string().trim_end());
        let failure = Failure::data("config", &message);
        values::meant(&message).map_or_else(|| Failure::data("config", &message), |meant| failure.help(meant))
    };
    let model: ModelConfig = toml::Value::Table(config.model.clone()).try_into().map_err(|e| bad(&e))?;
    model.check().map_err(|e| bad(&e))?;
    Ok(model)
}
