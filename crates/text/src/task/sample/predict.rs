//! What a sampler asks of a model.

use langevin_core::process::categorical::Chain;

use crate::{
    Result,
    config::TextConfig,
    model::{Cache, Conditions, TextModel},
};

/// A model of hidden tokens: the network, or in tests an oracle.
///
/// Logits are row-major `[rows, length, classes]`; what is added to all classes of a token changes nothing.
pub trait Predict: Sync {
    /// What is kept of the clean tokens before a block.
    type Cache;

    /// Number of classes; this number itself is the class of a hidden token.
    fn classes(&self) -> usize;

    /// Most tokens seen at once.
    fn context(&self) -> usize;

    /// Logits of the clean tokens of rows that see all of themselves.
    fn whole(&self, tokens: &[u32], conditions: Conditions<'_>) -> Vec<f32>;

    /// A cache of nothing, for so many rows.
    fn cache(&self, rows: usize) -> Self::Cache;

    /// Logits of a block of tokens that follow a cache.
    fn after(&self, cache: &Self::Cache, tokens: &[u32], conditions: Conditions<'_>) -> Vec<f32>;

    /// Adds a block of clean tokens to a cache.
    fn push(&self, cache: &mut Self::Cache, tokens: &[u32], conditions: Conditions<'_>);

    /// The chain of classes that the model reverses; none for masking.
    ///
    /// # Errors
    /// For settings that make no chain.
    fn chain(&self) -> Result<Option<Chain>>;

    /// Sizes of blocks that the model has learned, 0 for the whole context.
    fn blocks(&self) -> Vec<usize>;

    /// Whether it can write blocks of a size: one that divides its context and lies between the sizes that it has learned. The shipped model, which
    /// has learned 1, 16 and the whole, needs 1.77, 1.99, 2.03, 2.08, 2.09, 2.11 and 2.10 bits a character for blocks of 1, 4, 8, 16, 32, 64 and the
    /// whole: sizes between are as good as their neighbours.
    fn knows(&self, block: usize) -> bool {
        let size = |block: usize| if block == 0 { self.context() } else { block };
        let learned = self.blocks().into_iter().map(size);
        let (least, most) = (learned.clone().min(), learned.max());
        self.context().is_multiple_of(size(block)) && least <= Some(size(block)) && Some(size(block)) <= most
    }

    /// Number of labels.
    fn labels(&self) -> usize;
}

impl Predict for TextModel {
    type Cache = Cache;

    fn classes(&self) -> usize {
        self.tokenizer().classes()
    }

    fn context(&self) -> usize {
        self.config().context
    }

    fn whole(&self, tokens: &[u32], conditions: Conditions<'_>) -> Vec<f32> {
        Self::whole(self, tokens, conditions)
    }

    fn cache(&self, rows: usize) -> Cache {
        Self::cache(self, rows)
    }

    fn after(&self, cache: &Cache, tokens: &[u32], conditions: Conditions<'_>) -> Vec<f32> {
        Self::after(self, cache, tokens, conditions).0
    }

    fn push(&self, cache: &mut Cache, tokens: &[u32], conditions: Conditions<'_>) {
        let (_, own) = self.net().after(cache, tokens, conditions, self.device());
        cache.push(own);
    }

    fn chain(&self) -> Result<Option<Chain>> {
        self.config().chain()
    }

    fn blocks(&self) -> Vec<usize> {
        learned(self.config())
    }

    fn labels(&self) -> usize {
        self.config().labels.len()
    }
}

fn learned(config: &TextConfig) -> Vec<usize> {
    let size = |size: usize| if size == config.context { 0 } else { size };
    config.blocks.iter().filter(|block| block.share > 0.0).map(|block| size(block.size)).collect()
}
