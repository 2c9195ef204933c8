//! Audio checkpoints opened as the models they hold.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use langevin_audio::{
    ModelConfig,
    config::CodecConfig,
    data::Recordings,
    model::{DiffWaveNet, FrameNet, JudgeNet, PriorNet},
    task::{DiffWave, Judge, Prior, Wave},
};
use langevin_engine::{Checkpoint, Error, RunConfig};
use langevin_nn::Init;

use crate::{models, report::Failure, settings::Settings};

/// The shipped prior.
pub(crate) const PRIOR: &str = "audio-digits";
/// The model of waveforms.
pub(crate) const WAVE: &str = "audio-wave";
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

/// Reads labelled recordings until they are there or Ctrl-C is pressed.
///
/// # Errors
/// As [`Recordings::read`]; [`Error::Interrupted`] after Ctrl-C.
pub(crate) fn recordings(source: &Path, rate: u32, settings: &Settings) -> Result<Recordings, Failure> {
    let cancel = settings.cancel();
    let read = Recordings::read_observed(source, rate, &|| cancel.check())?;
    read.continue_value().ok_or_else(|| Error::Interrupted { saved: None }.into())
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
        other => Err(other_kind(name, &other, "a prior")),
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
        other => Err(other_kind(name, &other, "a judge")),
    }
}

/// A model of waveforms.
#[allow(clippy::large_enum_variant, reason = "a command has one")]
pub(crate) enum Waveforms {
    /// One for every use.
    Wave(Wave),
    /// One that makes new sounds only.
    DiffWave(DiffWave),
}

/// Opens a waveform model; the checkpoint comes back without the weights.
///
/// # Errors
/// No such checkpoint, or one that holds something else.
pub(crate) fn open_waveforms(name: &Path, device: &Device) -> Result<(Waveforms, Checkpoint), Failure> {
    let mut checkpoint = models::open(name)?;
    match model_config(&checkpoint.header.config, name)? {
        ModelConfig::Wave(config) => {
            let net = FrameNet::new(&config, &mut Init::empty(device));
            let net = checkpoint.load(net)?;
            let wave = Wave::new(&config, &checkpoint.constants(), net, device)?;
            Ok((Waveforms::Wave(wave), checkpoint))
        }
        ModelConfig::DiffWave(config) => {
            let net = DiffWaveNet::new(&config, &mut Init::empty(device));
            let net = checkpoint.load(net)?;
            Ok((Waveforms::DiffWave(DiffWave::new(&config, net, device)?), checkpoint))
        }
        other => Err(other_kind(name, &other, "a waveform model")),
    }
}

/// Whether a checkpoint holds a model of waveforms.
///
/// # Errors
/// No such checkpoint, or one of another domain.
pub(crate) fn is_waveforms(name: &Path) -> Result<bool, Failure> {
    let config = model_config(&models::open(name)?.header.config, name)?;
    Ok(matches!(config, ModelConfig::Wave(_) | ModelConfig::DiffWave(_)))
}

/// The codec of a checkpoint that works on log-mel spectrograms of whole clips.
///
/// # Errors
/// No such checkpoint, or one that holds something else.
pub(crate) fn codec_config(name: &Path) -> Result<CodecConfig, Failure> {
    match model_config(&models::open(name)?.header.config, name)? {
        ModelConfig::Prior(config) => Ok(config.codec),
        ModelConfig::DiffWave(config) => Ok(config.codec()),
        other => Err(other_kind(name, &other, "a model of log-mel spectrograms")),
    }
}

fn other_kind(name: &Path, found: &ModelConfig, wanted: &str) -> Failure {
    let found = match found {
        ModelConfig::Prior(_) => "a prior",
        ModelConfig::Wave(_) => "a waveform model",
        ModelConfig::DiffWave(_) => "a DiffWave",
        ModelConfig::Judge(_) => "a judge",
    };
    Failure::data("checkpoint", format!("{} is {found}, not {wanted}", name.display()))
        .help("`langevin list` shows what each shipped checkpoint is")
}
