//! Text checkpoints opened as the models they hold.

use std::path::Path;

use burn::tensor::Device;
use langevin_engine::{Checkpoint, RunConfig};
use langevin_nn::Init;
use langevin_text::{
    Tokenizer,
    config::ModelConfig,
    model::{TextModel, TextNet},
};

use crate::{models, report::Failure};

/// The shipped model.
pub(crate) const MODEL: &str = "text-novels";

/// Name of the domain in configs.
pub(crate) const DOMAIN: &str = "text";

/// The text settings of a config, checked.
///
/// # Errors
/// Another domain's config, an unknown key, a number out of range.
pub(crate) fn model_config(config: &RunConfig, source: &Path) -> Result<ModelConfig, Failure> {
    models::model_config(config, source, DOMAIN, ModelConfig::check)
}

/// Opens a model; the checkpoint comes back without the weights, which the model now has.
///
/// # Errors
/// No such checkpoint, or one that holds something else.
pub(crate) fn open(name: &Path, device: &Device) -> Result<(TextModel, Checkpoint), Failure> {
    let mut checkpoint = models::open(name)?;
    let ModelConfig::D3pm(config) = model_config(&checkpoint.header.config, name)?;
    let net = TextNet::new(&config, &Tokenizer::new(&config.tokenizer)?, &mut Init::empty(device));
    let net = checkpoint.load(net)?;
    Ok((TextModel::new(config, net, device.clone())?, checkpoint))
}
