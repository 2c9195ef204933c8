//! Series checkpoints opened as the models they hold.

use std::path::Path;

use burn::tensor::Device;
use langevin_engine::{Checkpoint, RunConfig};
use langevin_nn::Init;
use langevin_series::{
    config::ModelConfig,
    model::{ResidualNet, csdi::CsdiNet},
    task::{ResidualModel, csdi::CsdiModel},
};

use crate::{models, report::Failure};

/// The shipped model.
pub(crate) const MODEL: &str = "series-base";

/// The shipped CSDI.
pub(crate) const CSDI: &str = "csdi";

/// Name of the domain in configs.
pub(crate) const DOMAIN: &str = "series";

/// A model that fills holes.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Ours.
    Residual(Box<ResidualModel>),
    /// CSDI as published, or its network without conditions.
    Csdi(Box<CsdiModel>),
}

impl Opened {
    /// Lets the network see so many rows at once.
    pub(crate) fn set_window(&mut self, rows: usize) {
        match self {
            Self::Residual(model) => model.config.window = rows,
            Self::Csdi(model) => model.config.window = rows,
        }
    }
}

/// The series settings of a config, checked.
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
pub(crate) fn open(name: &Path, device: &Device) -> Result<(Opened, Checkpoint), Failure> {
    let mut checkpoint = models::open(name)?;
    let init = &mut Init::empty(device);
    let opened = match model_config(&checkpoint.header.config, name)? {
        ModelConfig::Residual(config) => {
            let net = checkpoint.load(ResidualNet::new(&config, init))?;
            Opened::Residual(Box::new(ResidualModel::new(&config, net, device)?))
        }
        ModelConfig::Csdi(config) => {
            let net = checkpoint.load(CsdiNet::new(&config, init))?;
            Opened::Csdi(Box::new(CsdiModel::new(&config, &checkpoint.constants(), net, device)?))
        }
    };
    Ok((opened, checkpoint))
}
