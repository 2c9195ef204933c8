//! The `[model]` table of a text config.

mod process;

use langevin_core::process::categorical::Chain;
use langevin_nn::fused::Precision;
use serde::{Deserialize, Serialize};

pub use self::process::{ChainSpec, KernelSpec, ProcessSpec, RateSpec, ReverseSpec};

use crate::{Error, Result, Tokenizer, TokenizerSpec, error::within};

/// A text model by architecture; `kind` is the tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelConfig {
    /// Discrete diffusion over tokens.
    D3pm(TextConfig),
}

impl ModelConfig {
    /// Refuses settings out of range and choices that do not go together.
    ///
    /// # Errors
    /// As the architecture's own check.
    pub fn check(&self) -> Result<()> {
        let Self::D3pm(config) = self;
        config.check()
    }
}

/// Settings of a text model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextConfig {
    /// Width of a token.
    pub width: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Blocks of layers.
    pub layers: usize,
    /// Width inside a layer.
    pub hidden: usize,
    /// Neighbours that the convolution before each attention sees, itself included; odd.
    pub taps: usize,
    /// Tokens of a training window, and the most that the network sees at once.
    pub context: usize,
    /// How text becomes tokens.
    pub tokenizer: TokenizerSpec,
    /// The noise process.
    pub process: ProcessSpec,
    /// Sizes of the blocks of tokens that are made one after the other, each with its share of the training steps.
    pub blocks: Vec<BlockShare>,
    /// Names of the labels that a text may have.
    pub labels: Vec<String>,
    /// Share of training rows whose label is hidden, for guidance.
    pub drop: f64,
    /// How it is sampled when a request says nothing else.
    pub sampling: Sampling,
}

/// A size of blocks: blocks see those before them whole; size 1 is autoregression, the whole context is full diffusion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockShare {
    /// Tokens of a block; 0 is the whole context.
    pub size: usize,
    /// Share of the training steps, relative to the others.
    pub share: f64,
}

/// Most steps of a context: more than it has tokens, so that they appear one at a time.
pub const MOST_STEPS: usize = 100_000;

/// How a text is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Tokens of a block; 0 is the whole context.
    pub block: usize,
    /// Network evaluations that make the tokens of a whole context, of which blocks have their share; 0 is as many as `entropy_bound`
    /// asks for.
    pub steps: usize,
    /// Which hidden tokens appear first.
    pub order: Order,
    /// Nats: in an evaluation of `steps = 0` tokens appear while what they could tell one another stays below this.
    pub entropy_bound: f64,
    /// Divides the logits; below 1 is safer, above 1 is wilder, 0 takes the likeliest class.
    pub temperature: f64,
    /// Only the likeliest classes that make up this probability are drawn.
    pub top_p: f64,
    /// Weight of guidance by the label; 1 is none.
    pub guidance: f64,
    /// Which tokens are hidden again to be drawn once more.
    pub remask: Remask,
    /// Probability of that in one step.
    pub remask_share: f64,
    /// Precision of the network's large matrix products. Likelihoods, and lengths that are chosen by them, are at f32 always.
    pub precision: Precision,
}

/// Which hidden tokens appear first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Any, evenly: the time-reversed masking process itself (Zheng et al. 2024, arXiv:2409.02908).
    #[default]
    Random,
    /// Those of which the network is surest: lowest entropy.
    Confidence,
    /// From left to right.
    #[serde(rename = "l2r")]
    LeftToRight,
}

/// Which tokens are hidden again (Wang et al. 2025, ReMDM, arXiv:2503.00307).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remask {
    /// None.
    #[default]
    None,
    /// As many as with `cap`, those of which the network was least sure rather than others.
    Conf,
    /// Each with the same probability.
    Cap,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            block: 0,
            steps: 64,
            order: Order::Random,
            entropy_bound: 0.5,
            temperature: 1.0,
            top_p: 1.0,
            guidance: 1.0,
            remask: Remask::None,
            remask_share: 0.02,
            precision: Precision::Bfloat16,
        }
    }
}

impl Default for TextConfig {
    fn default() -> Self {
        let share = |size: usize, share: f64| BlockShare { size, share };
        Self {
            width: 192,
            heads: 6,
            layers: 6,
            hidden: 768,
            taps: 7,
            context: 256,
            tokenizer: TokenizerSpec::default(),
            process: ProcessSpec::default(),
            blocks: vec![share(0, 0.6), share(1, 0.1), share(4, 0.1), share(16, 0.1), share(64, 0.1)],
            labels: Vec::new(),
            drop: 0.1,
            sampling: Sampling::default(),
        }
    }
}

impl TextConfig {
    /// Refuses settings out of range and choices that do not go together.
    ///
    /// # Errors
    /// [`Error::Setting`] names the setting.
    pub fn check(&self) -> Result<()> {
        let wrong = |name: &'static str, reason: String| Err(Error::Setting { name, reason });
        within("width", self.width, 8, 4096)?;
        within("heads", self.heads, 1, 64)?;
        within("layers", self.layers, 1, 64)?;
        within("hidden", self.hidden, 8, 16384)?;
        within("taps", self.taps, 1, 31)?;
        within("context", self.context, 8, 8192)?;
        if self.taps.is_multiple_of(2) {
            return wrong("taps", format!("should be odd, but is {}", self.taps));
        }
        if !self.width.is_multiple_of(2 * self.heads) {
            return wrong("width", format!("should be a multiple of twice heads = {}, but is {}", self.heads, self.width));
        }
        if !(0.0..1.0).contains(&self.drop) {
            return wrong("drop", format!("should be 0 or more and below 1, but is {}", self.drop));
        }
        Tokenizer::new(&self.tokenizer)?;
        let total: f64 = self.blocks.iter().map(|block| block.share).sum();
        if !(total.is_finite() && total > 0.0 && self.blocks.iter().all(|block| block.share >= 0.0)) {
            return wrong("blocks", "should have shares of 0 or more, and one above".to_owned());
        }
        for &size in self.blocks.iter().map(|block| &block.size).chain([&self.sampling.block]) {
            if size > 0 && !(size <= self.context && self.context.is_multiple_of(size)) {
                return wrong("blocks", format!("should divide context = {}, but one is {size}", self.context));
            }
        }
        if self.process != (ProcessSpec::Masking {}) && self.blocks.iter().any(|block| block.size != 0 && block.share > 0.0) {
            return wrong("blocks", "should be of size 0 only: a chain of classes diffuses the whole context".to_owned());
        }
        let mut names: Vec<&String> = self.labels.iter().collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != self.labels.len() {
            return wrong("labels", "should be different from one another".to_owned());
        }
        self.sampling.check()?;
        self.chain().map(drop)
    }

    /// The chain of the process; none for masking, whose bound needs none.
    ///
    /// # Errors
    /// For rates, kernels and steps that make no chain.
    pub fn chain(&self) -> Result<Option<Chain>> {
        self.process.chain(Tokenizer::new(&self.tokenizer)?.classes())
    }
}

impl Sampling {
    /// Refuses settings out of range.
    ///
    /// # Errors
    /// [`Error::Setting`] names the setting.
    pub fn check(&self) -> Result<()> {
        let wrong = |name: &'static str, range: &str, value: f64| {
            Err(Error::Setting { name, reason: format!("should be {range}, but is {value}") })
        };
        within("steps", self.steps, 0, MOST_STEPS)?;
        let is_within = |value: f64, most: f64| (0.0..=most).contains(&value);
        if !is_within(self.temperature, 100.0) {
            return wrong("temperature", "0 to 100", self.temperature);
        }
        if !(is_within(self.top_p, 1.0) && self.top_p > 0.0) {
            return wrong("top_p", "above 0 and at most 1", self.top_p);
        }
        if !is_within(self.entropy_bound, 1e6) {
            return wrong("entropy_bound", "0 or more", self.entropy_bound);
        }
        if !is_within(self.guidance, 100.0) {
            return wrong("guidance", "0 to 100", self.guidance);
        }
        if !(0.0..1.0).contains(&self.remask_share) {
            return wrong("remask_share", "0 or more and below 1", self.remask_share);
        }
        if self.steps == 0 && self.remask != Remask::None {
            return Err(Error::Setting { name: "remask", reason: "should be none where the entropy bound sets the steps".to_owned() });
        }
        Ok(())
    }
}
