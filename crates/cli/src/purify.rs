//! Purifiers: their configs, and the data that they are trained on.

use std::path::Path;

use langevin_audio::data::Recordings;
use langevin_engine::RunConfig;
use langevin_purify::{Examples, ModelConfig, Table, data::centred};

use crate::{models, report::Failure, settings::Settings};

/// Name of the domain in configs.
pub(crate) const DOMAIN: &str = "purify";

/// The purifier's settings of a config, checked.
///
/// # Errors
/// Another domain's config, an unknown key, a number out of range.
pub(crate) fn model_config(config: &RunConfig, source: &Path) -> Result<ModelConfig, Failure> {
    models::model_config(config, source, DOMAIN, ModelConfig::check)
}

/// Labelled examples for a purifier: clips from a folder or a manifest, rows from a CSV.
///
/// # Errors
/// Data of another kind than the model's, or that cannot be read.
pub(crate) fn read_examples(model: &ModelConfig, data: &Path, label: Option<&str>, settings: &Settings) -> Result<Examples, Failure> {
    match model {
        ModelConfig::Clips(config) => {
            let recordings = Recordings::read(data, config.rate)?;
            for note in &recordings.notes {
                settings.talk(&format!("note: {note}"));
            }
            let labels: Vec<String> = recordings.items.iter().map(|item| item.label.clone()).collect();
            Ok(Examples::new(recordings.clips.iter().map(|clip| centred(clip, config.length)).collect(), &labels)?)
        }
        ModelConfig::Rows(_) => Ok(Table::read(data, label, None)?.into_examples()?),
    }
}
