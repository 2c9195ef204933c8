//! Audio checkpoints opened as the models they hold.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use langevin_audio::{
    ModelConfig,
    config::CodecConfig,
    model::{JudgeNet, PriorNet},
    task::{Judge, Prior},
};
use langevin_engine::{Checkpoint, RunConfig};
use langevin_nn::Init;

use crate::{models, report::Failure};

/// The shipped prior.
pub(crate) const PRIOR: &str = "audio-digits";
/// The shipped judge.
pub(crate) const JUDGE: &str = "audio-judge";
/// Name of the domain in configs.
pub(crate) const DOMAIN: &str = "audio";

/// `--checkpoint`, for commands that use a prior.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckpointArg {
    /// Trained model: a shipped name or a file
    #[arg(long, value_name = "NAME|FILE", default_value = PRIOR)]
    pub(crate) checkpoint: PathBuf,
}

/// The audio settings of a config, checked.
///
/// # Errors
/// Another domain's config, an unknown key, a number out of range.
pub(crate) fn model_config(config: &RunConfig, source: &Path) -> Result<ModelConfig, Failure> {
    models::model_config(config, source, DOMAIN, ModelConfig::check)
}

/// Opens a prior; the checkpoint comes back without the weights, which the prior now has.
///
/// # Errors
/// No such checkpoint, or one that holds something else.
pub(crate) fn open_prior(name: &Path, device: &Device) -> Result<(Prior, Checkpoint), Failure> {
    let mut checkpoint = models::open(name)?;
    match model_config(&checkpoint.header.config, name)? {
        ModelConfig::Prior(config) => {
            let net = PriorNet::new(&config, &mut Init::empty(device));
            let net = checkpoint.load(net)?;
            let prior = Prior::new(&config, &checkpoint.constants(), net, device)?;
            Ok((prior, checkpoint))
        }
        ModelConfig::Judge(_) => Err(other_kind(name, "a judge, not a prior")),
    }
}

/// Opens a judge; the checkpoint comes back without the weights.
///
/// # Errors
/// No such checkpoint, or one that holds something else.
pub(crate) fn open_judge(name: &Path, device: &Device) -> Result<(Judge, Checkpoint), Failure> {
    let mut checkpoint = models::open(name)?;
    match model_config(&checkpoint.header.config, name)? {
        ModelConfig::Judge(config) => {
            let net = JudgeNet::new(&config, &mut Init::empty(device));
            let net = checkpoint.load(net)?;
            Ok((Judge::new(&config, net, device)?, checkpoint))
        }
        ModelConfig::Prior(_) => Err(other_kind(name, "a prior, not a judge")),
    }
}

/// The codec of a checkpoint that works on log-mel spectrograms.
///
/// # Errors
/// No such checkpoint, or one that holds something else.
pub(crate) fn codec_config(name: &Path) -> Result<CodecConfig, Failure> {
    match model_config(&models::open(name)?.header.config, name)? {
        ModelConfig::Prior(config) => Ok(config.codec),
        ModelConfig::Judge(_) => Err(other_kind(name, "a judge, which has no codec")),
    }
}

fn other_kind(name: &Path, what: &str) -> Failure {
    Failure::data("checkpoint", format!("{} is {what}", name.display())).help("`langevin list` shows what each shipped checkpoint is")
}
