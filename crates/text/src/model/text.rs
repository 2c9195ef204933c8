//! A trained model: config, network and tokenizer together.

use burn::tensor::{Device, Tensor, activation};

use super::{Cache, Conditions, TextNet};
use crate::{Error, Result, Tokenizer, config::TextConfig};

/// A trained text model.
#[derive(Debug)]
pub struct TextModel {
    config: TextConfig,
    net: TextNet,
    tokenizer: Tokenizer,
    device: Device,
}

impl TextModel {
    /// A network with the config of its checkpoint, on a device.
    ///
    /// # Errors
    /// For a bad config.
    pub fn new(config: TextConfig, net: TextNet, device: Device) -> Result<Self> {
        config.check()?;
        let tokenizer = Tokenizer::new(&config.tokenizer)?;
        Ok(Self { config, net, tokenizer, device })
    }

    /// The settings of the checkpoint.
    pub const fn config(&self) -> &TextConfig {
        &self.config
    }

    /// How text becomes tokens.
    pub const fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Where the network is.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// The network.
    pub const fn net(&self) -> &TextNet {
        &self.net
    }

    /// The number of a label.
    ///
    /// # Errors
    /// [`Error::Setting`] for a label that the model does not know, with those that it does.
    pub fn label(&self, name: &str) -> Result<usize> {
        let found = self.config.labels.iter().position(|label| label.eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let reason = if self.config.labels.is_empty() {
                "is unknown: this model has no labels".to_owned()
            } else {
                format!("should be one of {}, but is '{name}'", self.config.labels.join(", "))
            };
            Error::Setting { name: "label", reason }
        })
    }

    /// An empty cache for so many rows.
    pub fn cache(&self, rows: usize) -> Cache {
        Cache::empty(&self.config, rows, &self.device)
    }

    /// Log-probabilities of the clean tokens, row-major `[rows, length, V]`, of sequences that see all of themselves; hidden tokens have the
    /// class [`Tokenizer::hidden`].
    pub fn whole(&self, tokens: &[u32], conditions: Conditions<'_>) -> Vec<f32> {
        host(self.net.whole(tokens, conditions, &self.device))
    }

    /// The same for the tokens that follow those in a cache, and what makes them part of it once they are clean.
    pub fn after(&self, cache: &Cache, tokens: &[u32], conditions: Conditions<'_>) -> (Vec<f32>, Cache) {
        let (logits, own) = self.net.after(cache, tokens, conditions, &self.device);
        (host(logits), own)
    }

    /// The same for all blocks of clean sequences at once, each given the clean ones before.
    pub fn blocks(&self, noised: &[u32], clean: &[u32], block: usize, conditions: Conditions<'_>) -> Vec<f32> {
        host(self.net.blocks(noised, clean, block, conditions, &self.device))
    }
}

fn host(logits: Tensor<3>) -> Vec<f32> {
    activation::log_softmax(logits, 2).into_data().iter::<f32>().collect()
}
