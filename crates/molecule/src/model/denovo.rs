//! New molecules as sequences of tokens: a transformer that says of each hidden token what it was (D3PM with absorbing states, Austin et
//! al. 2021, arXiv:2107.03006).

mod code;

use burn::{
    module::Module,
    nn::{Embedding, Linear},
    tensor::{Device, Int, Tensor, TensorData},
};
use langevin_core::process::categorical::{CategoricalLoss, Chain, Form, kernel, schedule};
use langevin_nn::{
    Init, TimeEmbedding,
    fused::{self, Activation, Affine, Norm, linear, linear_activated},
};
use serde::{Deserialize, Serialize};

pub use code::Vocabulary;

use crate::{Error, Result};

const TIME_FEATURES: usize = 64;
const NORM: Norm = Norm::Layer { epsilon: 1e-5 };

/// `[model]` of a checkpoint of new molecules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DenovoConfig {
    /// Width of a token.
    pub width: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Blocks.
    pub blocks: usize,
    /// Width inside a block.
    pub hidden: usize,
    /// Width of the condition (time, number of heavy atoms).
    pub condition: usize,
    /// Steps `T` of the process; the probability that a token is hidden grows evenly to 1.
    pub steps: usize,
    /// Longest sequence, in tokens; longer ones are left out of training.
    pub max_length: usize,
    /// Most heavy atoms that the network tells apart; larger molecules count as these.
    pub max_heavy: usize,
    /// Share of training rows whose number of heavy atoms is hidden, for guidance.
    pub drop: f64,
    /// What is minimised.
    pub loss: CategoricalLoss,
    /// The tokens; filled in from the training strings when empty.
    pub tokens: Vec<String>,
}

impl Default for DenovoConfig {
    fn default() -> Self {
        Self {
            width: 128,
            heads: 4,
            blocks: 4,
            hidden: 512,
            condition: 64,
            steps: 128,
            max_length: 64,
            max_heavy: 64,
            drop: 0.1,
            loss: CategoricalLoss::default(),
            tokens: Vec::new(),
        }
    }
}

impl DenovoConfig {
    /// Refuses settings that make no network or no process.
    ///
    /// # Errors
    /// [`Error::Setting`] names the setting.
    pub fn check(&self) -> Result<()> {
        let within = |name: &'static str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::Setting { name, reason: format!("should be {least} to {most}, but is {value}") })
        };
        within("width", self.width, 8, 4096)?;
        within("heads", self.heads, 1, 64)?;
        within("blocks", self.blocks, 1, 64)?;
        within("hidden", self.hidden, 8, 16384)?;
        within("condition", self.condition, 4, 4096)?;
        within("steps", self.steps, 2, 1000)?;
        within("max_length", self.max_length, 1, 512)?;
        within("max_heavy", self.max_heavy, 1, 512)?;
        if !self.width.is_multiple_of(self.heads) {
            return Err(Error::Setting { name: "width", reason: format!("should be a multiple of heads = {}", self.heads) });
        }
        if !(0.0..1.0).contains(&self.drop) {
            return Err(Error::Setting { name: "drop", reason: format!("should be 0 or more and below 1, but is {}", self.drop) });
        }
        self.loss.check()?;
        if !self.tokens.is_empty() {
            Vocabulary::new(&self.tokens)?;
        }
        Ok(())
    }

    /// The process: tokens `0..V` of data, and `V` for a hidden one. A token is hidden at an even time.
    ///
    /// # Errors
    /// For a vocabulary that makes no process.
    pub fn chain(&self) -> Result<Chain> {
        let classes = self.tokens.len() + 1;
        let steps = schedule::inverse_time(self.steps).into_iter().map(|beta| kernel::absorbing(classes, classes - 1, beta));
        Ok(Chain::new(steps.collect(), Form::Product)?)
    }
}

/// The network: a transformer over the tokens of strings of one length, its norms modulated by time and number of heavy atoms.
#[derive(Module, Debug)]
pub struct DenovoNet {
    tokens: Embedding,
    from_start: Embedding,
    from_end: Embedding,
    time: Linear,
    heavy: Embedding,
    mix: Linear,
    blocks: Vec<Block>,
    modulate: Linear,
    output: Linear,
}

#[derive(Module, Debug)]
struct Block {
    modulate: Linear,
    attend: Linear,
    mixed: Linear,
    expand: Linear,
    contract: Linear,
    #[module(skip)]
    heads: usize,
}

impl DenovoNet {
    /// A network with initial weights for a checked config with its tokens.
    pub fn new(config: &DenovoConfig, init: &mut Init<'_>) -> Self {
        let (width, condition) = (config.width, config.condition);
        let depth = (2.0 * config.blocks as f64).sqrt();
        let block = |init: &mut Init<'_>| Block {
            modulate: init.linear(condition, 4 * width, 0.0),
            attend: init.linear(width, 3 * width, 1.0),
            mixed: init.linear(width, width, 1.0 / depth),
            expand: init.linear(width, config.hidden, 1.0),
            contract: init.linear(config.hidden, width, 1.0 / depth),
            heads: config.heads,
        };
        Self {
            // One more: the hidden token.
            tokens: init.embedding(config.tokens.len() + 1, width, 1.0),
            from_start: init.embedding(config.max_length, width, 0.5),
            from_end: init.embedding(config.max_length, width, 0.5),
            time: init.linear(TIME_FEATURES, condition, 1.0),
            // Counts from 0 on, and the hidden one.
            heavy: init.embedding(config.max_heavy + 2, condition, 1.0),
            mix: init.linear(condition, condition, 1.0),
            blocks: (0..config.blocks).map(|_| block(init)).collect(),
            modulate: init.linear(condition, 2 * width, 0.0),
            output: init.linear(width, config.tokens.len(), 0.0),
        }
    }

    /// Logits of `p(x0 | x_t)`, shape `[rows, length, V]`, of noised strings of one length (row-major, `rows * length` tokens) at times of
    /// `0..=1`, one a row, with the numbers of heavy atoms; `None` is the hidden condition.
    pub fn forward(&self, strings: &[u32], times: &[f32], heavy: &[Option<usize>], device: &Device) -> Tensor<3> {
        let rows = times.len();
        let length = strings.len() / rows.max(1);
        let ids = |ids: Vec<i32>| {
            let count = ids.len();
            Tensor::<1, Int>::from_data(TensorData::new(ids, [count]), device)
        };
        let width = self.tokens.weight.dims()[1];
        let embedded = self.tokens.weight.val().select(0, ids(strings.iter().map(|&token| token as i32).collect()));
        let places = self.from_start.weight.val().narrow(0, 0, length)
            + self.from_end.weight.val().select(0, ids((0..length as i32).rev().collect()));
        let mut h = embedded.reshape([rows, length, width]) + places.unsqueeze::<3>();
        let last = self.heavy.weight.dims()[0] - 1;
        let counts = heavy.iter().map(|count| count.map_or(last, |count| count.min(last - 1)) as i32).collect();
        let features = TimeEmbedding::new(TIME_FEATURES, 1000.0, 32.0).forward(times, device);
        let condition = linear_activated(&self.time, Activation::Silu, features) + self.heavy.weight.val().select(0, ids(counts));
        let condition = linear_activated(&self.mix, Activation::Silu, condition);
        for block in &self.blocks {
            h = block.forward(h, &condition);
        }
        let [shift, scale] = split(&linear(&self.modulate, condition));
        linear(&self.output, NORM.modulated(h, scale, shift))
    }
}

impl Block {
    fn forward(&self, h: Tensor<3>, condition: &Tensor<2>) -> Tensor<3> {
        let [shift, scale, inner_shift, inner_scale] = split(&linear(&self.modulate, condition.clone()));
        let block = fused::Block {
            attend: &self.attend,
            mix: &self.mixed,
            expand: &self.expand,
            contract: &self.contract,
            heads: self.heads,
            norm: NORM,
            activation: Activation::Gelu,
        };
        block.forward(h, [Affine::modulation(scale, shift), Affine::modulation(inner_scale, inner_shift)], None, None)
    }
}

/// Equal parts of the last dimension.
fn split<const N: usize>(x: &Tensor<2>) -> [Tensor<2>; N] {
    let part = x.dims()[1] / N;
    std::array::from_fn(|k| x.clone().narrow(1, k * part, part))
}
