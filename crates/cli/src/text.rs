//! Text checkpoints opened as the models they hold.

use std::path::Path;

use burn::tensor::Device;
use langevin_engine::{Checkpoint, RunConfig};
use langevin_nn::Init;
use langevin_text::{
    Corpus, Tokenizer, TokenizerSpec,
    baseline::KneserNey,
    config::ModelConfig,
    model::{TextModel, TextNet},
};

use crate::{models, report::Failure};

/// The shipped model.
pub(crate) const MODEL: &str = "text-novels";

/// The 6-gram of the text that the shipped model learned from.
const NOVELS: &[u8] = include_bytes!("../../../data/pretrained/novels27-6gram.bin");

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

/// The 6-gram of a saved table, or of a corpus in a model's tokens.
///
/// # Errors
/// What cannot be read, and a table of another tokenizer.
pub(crate) fn baseline(path: &Path, tokenizer: &Tokenizer, normalise: bool) -> Result<KneserNey, Failure> {
    let Some((model, spec)) = KneserNey::read(path)? else {
        let corpus = Corpus::read(path, tokenizer, normalise, None)?;
        return Ok(KneserNey::learn(&corpus, tokenizer.classes(), KneserNey::ORDER)?);
    };
    if spec != *tokenizer.spec() {
        let message = format!("{} counts tokens of {spec}, but the model has {}", path.display(), tokenizer.spec());
        return Err(Failure::data("baseline", message).help("give the training text instead"));
    }
    Ok(model)
}

/// The 6-gram of a saved table, or of the bytes of a corpus, with its tokenizer.
///
/// # Errors
/// What cannot be read.
pub(crate) fn any_baseline(path: &Path) -> Result<(KneserNey, Tokenizer), Failure> {
    if let Some((model, spec)) = KneserNey::read(path)? {
        return Ok((model, Tokenizer::new(&spec)?));
    }
    let bytes = Tokenizer::new(&TokenizerSpec::Byte {})?;
    Ok((baseline(path, &bytes, false)?, bytes))
}

/// The 6-gram beside the shipped model; none for others.
///
/// # Errors
/// Only for a program built from a damaged file.
pub(crate) fn shipped_baseline(checkpoint: &Checkpoint, tokenizer: &Tokenizer) -> Result<Option<KneserNey>, Failure> {
    if checkpoint.header.config.name != MODEL {
        return Ok(None);
    }
    let (model, spec) = KneserNey::from_bytes(NOVELS)?;
    Ok((spec == *tokenizer.spec()).then_some(model))
}
