//! Molecule checkpoints opened as the models they hold.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use langevin_engine::{Checkpoint, RunConfig};
use langevin_molecule::{
    config::ModelConfig,
    model::{ConformerNet, denovo::DenovoNet, geodiff::GeoDiffNet},
    task::{Conformers, denovo::Denovo, geodiff::GeoDiff},
};
use langevin_nn::Init;

use crate::{models, report::Failure};

/// The shipped conformer model.
pub(crate) const CONFORMERS: &str = "molecule";

/// The shipped GeoDiff.
pub(crate) const GEODIFF: &str = "geodiff";
/// The shipped model of new molecules.
pub(crate) const DENOVO: &str = "molecule-denovo";

/// `--checkpoint`, for commands that use a conformer model.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckpointArg {
    /// Trained model: a shipped name or a file
    #[arg(long, value_name = "NAME|FILE", default_value = CONFORMERS)]
    pub(crate) checkpoint: PathBuf,
}

/// Name of the domain in configs.
pub(crate) const DOMAIN: &str = "molecule";

/// The molecule settings of a config, checked.
///
/// # Errors
/// Another domain's config, an unknown key, a number out of range.
pub(crate) fn model_config(config: &RunConfig, source: &Path) -> Result<ModelConfig, Failure> {
    models::model_config(config, source, DOMAIN, ModelConfig::check)
}

/// A model that makes conformers.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Ours.
    Conformers(Box<Conformers>),
    /// GeoDiff as published.
    GeoDiff(Box<GeoDiff>),
}

/// Opens a model that makes conformers; the checkpoint comes back without the weights, which the model now has.
///
/// # Errors
/// No such checkpoint, or one that holds something else.
pub(crate) fn open(name: &Path, device: &Device) -> Result<(Opened, Checkpoint), Failure> {
    let mut checkpoint = models::open(name)?;
    let opened = match model_config(&checkpoint.header.config, name)? {
        ModelConfig::Conformer(config) => {
            let net = checkpoint.load(ConformerNet::new(&config, &mut Init::empty(device)))?;
            Opened::Conformers(Box::new(Conformers::new(&config, &checkpoint.constants(), net, device)?))
        }
        ModelConfig::Geodiff(config) => {
            let net = checkpoint.load(GeoDiffNet::new(&config, &mut Init::empty(device)))?;
            Opened::GeoDiff(Box::new(GeoDiff::new(config, net, device.clone())?))
        }
        ModelConfig::Denovo(_) => return Err(other_kind(name, "a model of new molecules, not of conformers")),
    };
    Ok((opened, checkpoint))
}

/// Opens a model of new molecules.
///
/// # Errors
/// No such checkpoint, or one that holds something else.
pub(crate) fn open_denovo(name: &Path, device: &Device) -> Result<Denovo, Failure> {
    let mut checkpoint = models::open(name)?;
    match model_config(&checkpoint.header.config, name)? {
        ModelConfig::Denovo(config) => {
            let net = checkpoint.load(DenovoNet::new(&config, &mut Init::empty(device)))?;
            Ok(Denovo::new(config, net, &checkpoint.constants(), device.clone())?)
        }
        ModelConfig::Conformer(_) | ModelConfig::Geodiff(_) => Err(other_kind(name, "a model of conformers, not of new molecules")),
    }
}

fn other_kind(name: &Path, what: &str) -> Failure {
    Failure::data("checkpoint", format!("{} is {what}", name.display()))
}
