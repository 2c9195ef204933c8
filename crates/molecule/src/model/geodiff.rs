//! GeoDiff's network (Xu et al. 2022, arXiv:2203.02923): two encoders of pairs of atoms, and a number for every pair.
//!
//! A SchNet reads all pairs near enough, a GINE network the pairs within three bonds; a head on `[h_i * h_j, e_ij]` says of each pair how
//! its distance should change, in units of the noise. The network is not told the noise level and sees no stereochemistry. As in
//! the published code both encoders read one embedding of pairs, and a distance does not depend on the order of a pair, so
//! every unordered pair is computed once.

mod batch;

use burn::{
    module::Module,
    nn::{Embedding, Linear},
    tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData, activation},
};
use langevin_core::schedule::{Table, betas};
use langevin_nn::{
    Init,
    fused::{Activation, linear, linear_activated, linear_added},
};
use serde::{Deserialize, Serialize};

pub use batch::{PairBatch, Skeleton};

use crate::{Error, Result};

/// Rows of the embedding of elements: atomic numbers 0 to 118.
const ELEMENTS: usize = 119;
/// Half-range of the sigmoid of the noise schedule.
const SIGMOID_RANGE: f64 = 6.0;
/// Gain of the last layer of every residual branch at first: sums over neighbours grow from block to block otherwise.
const BRANCH: f64 = 0.1;

/// `[model]` of a GeoDiff checkpoint. The defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeoDiffConfig {
    /// Width of atoms and pairs.
    pub hidden: usize,
    /// SchNet blocks of the encoder of all pairs.
    pub global_blocks: usize,
    /// GINE blocks of the encoder of pairs within three bonds.
    pub local_blocks: usize,
    /// Distance in angstrom within which pairs that are further than three bonds apart interact.
    pub cutoff: f64,
    /// Steps `T` of the noise schedule.
    pub steps: usize,
    /// Least variance of a step.
    pub beta_start: f64,
    /// Greatest variance of a step.
    pub beta_end: f64,
}

impl Default for GeoDiffConfig {
    fn default() -> Self {
        Self { hidden: 128, global_blocks: 6, local_blocks: 4, cutoff: 10.0, steps: 5000, beta_start: 1e-7, beta_end: 2e-3 }
    }
}

impl GeoDiffConfig {
    /// Refuses settings that make no network or no schedule.
    ///
    /// # Errors
    /// [`Error::Setting`] names the setting.
    pub fn check(&self) -> Result<()> {
        let setting = |name, reason: &str| Err(Error::Setting { name, reason: reason.to_owned() });
        if !(2..=4096).contains(&self.hidden) || !self.hidden.is_multiple_of(2) {
            return setting("hidden", "should be an even number from 2 to 4096");
        }
        if !(1..=64).contains(&self.global_blocks) {
            return setting("global_blocks", "should lie between 1 and 64");
        }
        if !(1..=64).contains(&self.local_blocks) {
            return setting("local_blocks", "should lie between 1 and 64");
        }
        if !(self.cutoff.is_finite() && self.cutoff > 0.0) {
            return setting("cutoff", "should be a positive number of angstrom");
        }
        if !(2..=100_000).contains(&self.steps) {
            return setting("steps", "should lie between 2 and 100000");
        }
        if !(self.beta_start > 0.0 && self.beta_start < self.beta_end && self.beta_end < 1.0) {
            return setting("beta_start", "should lie above 0 and below beta_end, and that below 1");
        }
        Ok(())
    }

    /// The noise schedule: betas along a sigmoid (`sigma / alpha` from 2.2e-3 to 12.17 angstrom with the defaults).
    ///
    /// # Errors
    /// When the betas are no schedule.
    pub fn schedule(&self) -> Result<Table> {
        Ok(Table::from_betas(&betas::sigmoid_beta(self.beta_start, self.beta_end, SIGMOID_RANGE, self.steps))?)
    }
}

/// The network. Distances are in angstrom; scores are changes of distances over `sigma / alpha`, without unit.
#[derive(Module, Debug)]
pub struct GeoDiffNet {
    lengths: Mlp,
    kinds: Embedding,
    global_atoms: Embedding,
    global: Vec<Interaction>,
    global_head: Mlp,
    local_atoms: Embedding,
    local: Vec<Mlp>,
    local_head: Mlp,
}

/// Scores of the pairs of a batch; absent where there are no such pairs.
#[derive(Clone, Debug)]
pub struct PairScores {
    /// Of the pairs within three bonds, the first of the batch: shape `[local, 1]`.
    pub local: Option<Tensor<2>>,
    /// Of the others: shape `[pairs - local, 1]`.
    pub global: Option<Tensor<2>>,
}

/// Linear layers with rectifiers between them.
#[derive(Module, Debug)]
struct Mlp {
    layers: Vec<Linear>,
}

/// A continuous-filter convolution over pairs (Schütt et al. 2017, SchNet, figure 2).
#[derive(Module, Debug)]
struct Interaction {
    filter: Vec<Linear>,
    into: Linear,
    out: Linear,
    last: Linear,
}

impl GeoDiffNet {
    /// A network with initial weights for a checked config.
    pub fn new(config: &GeoDiffConfig, init: &mut Init<'_>) -> Self {
        let width = config.hidden;
        let head = [2 * width, width, width / 2, 1];
        Self {
            lengths: Mlp::new(&[1, width, width], 1.0, init),
            kinds: init.embedding(batch::KINDS, width, 1.0),
            global_atoms: init.embedding(ELEMENTS, width, 1.0),
            global: (0..config.global_blocks).map(|_| Interaction::new(width, init)).collect(),
            global_head: Mlp::new(&head, 0.0, init),
            local_atoms: init.embedding(ELEMENTS, width, 1.0),
            local: (0..config.local_blocks).map(|_| Mlp::new(&[width, width, width], BRANCH, init)).collect(),
            local_head: Mlp::new(&head, 0.0, init),
        }
    }

    /// Scores of the pairs of a batch; those of the pairs further than three bonds apart only `with_global`, because a sampler does
    /// without them at high noise.
    pub fn forward(&self, batch: &PairBatch, with_global: bool, device: &Device) -> PairScores {
        let total = batch.pairs();
        if total == 0 {
            return PairScores { local: None, global: None };
        }
        let lengths = Tensor::<2>::from_data(TensorData::new(batch.lengths().to_vec(), [total, 1]), device);
        let kinds = self.kinds.weight.val().select(0, ints(batch.kinds().iter().map(|&kind| i32::from(kind)), device));
        let pairs = self.lengths.forward(lengths) * kinds;
        let ends = [0, 1].map(|side| ints(batch.ends().iter().map(|ends| ends[side] as i32), device));
        let elements = || ints(batch.elements().iter().map(|&element| i32::from(element)), device);
        let local = Part { pairs: &pairs, ends: &ends, first: 0, count: batch.local() };
        let rest = Part { first: batch.local(), count: total - batch.local(), ..local };
        let near = Part { first: batch.far(), count: total - batch.far(), ..local };
        PairScores {
            local: (local.count > 0).then(|| {
                let (edges, ends) = (local.edges(), local.ends());
                let mut h = self.local_atoms.weight.val().select(0, elements());
                for (k, mlp) in self.local.iter().enumerate() {
                    let message = |from: usize| activation::relu(h.clone().select(0, ends[from].clone()) + edges.clone());
                    let mixed = mlp.forward(scatter(h.clone(), &ends, [message(1), message(0)]));
                    h = h + if k + 1 < self.local.len() { activation::relu(mixed) } else { mixed };
                }
                self.local_head.forward(local.features(&h))
            }),
            global: (with_global && rest.count > 0).then(|| {
                let (edges, ends) = (near.edges(), near.ends());
                let mut h = self.global_atoms.weight.val().select(0, elements());
                for block in &self.global {
                    h = block.forward(h, edges.clone(), &ends);
                }
                self.global_head.forward(rest.features(&h))
            }),
        }
    }
}

/// Some consecutive pairs of a batch.
#[derive(Clone, Copy)]
struct Part<'a> {
    pairs: &'a Tensor<2>,
    ends: &'a [Tensor<1, Int>; 2],
    first: usize,
    count: usize,
}

impl Part<'_> {
    fn edges(self) -> Tensor<2> {
        self.pairs.clone().narrow(0, self.first, self.count)
    }

    fn ends(self) -> [Tensor<1, Int>; 2] {
        self.ends.clone().map(|ends| ends.narrow(0, self.first, self.count))
    }

    /// What a head reads: `[h_i * h_j, e_ij]`.
    fn features(self, h: &Tensor<2>) -> Tensor<2> {
        let [i, j] = self.ends().map(|ends| h.clone().select(0, ends));
        Tensor::cat(vec![i * j, self.edges()], 1)
    }
}

impl Mlp {
    /// Layers of these widths; `gain` is that of the last.
    fn new(widths: &[usize], gain: f64, init: &mut Init<'_>) -> Self {
        let last = widths.len() - 2;
        let layer = |(k, pair): (usize, &[usize])| init.linear(pair[0], pair[1], if k == last { gain } else { 1.0 });
        Self { layers: widths.windows(2).enumerate().map(layer).collect() }
    }

    fn forward(&self, mut x: Tensor<2>) -> Tensor<2> {
        for (k, layer) in self.layers.iter().enumerate() {
            x = linear(layer, if k > 0 { activation::relu(x) } else { x });
        }
        x
    }
}

impl Interaction {
    fn new(width: usize, init: &mut Init<'_>) -> Self {
        let mut layer = |gain: f64| init.linear(width, width, gain);
        let filter = vec![layer(1.0), layer(1.0)];
        let mut into = layer(1.0);
        into.bias = None;
        Self { filter, into, out: layer(1.0), last: layer(BRANCH) }
    }

    fn forward(&self, h: Tensor<2>, edges: Tensor<2>, ends: &[Tensor<1, Int>; 2]) -> Tensor<2> {
        // SchNet's activation is `ln(1 + e^x) - ln 2`.
        let activated = |layer: &Linear, x: Tensor<2>| linear_activated(layer, Activation::Softplus, x) - std::f64::consts::LN_2;
        let weights = linear(&self.filter[1], activated(&self.filter[0], edges));
        let x = linear(&self.into, h.clone());
        let message = |from: usize| x.clone().select(0, ends[from].clone()) * weights.clone();
        let gathered = scatter(x.zeros_like(), ends, [message(1), message(0)]);
        linear_added(&self.last, activated(&self.out, gathered), h)
    }
}

/// `onto`, with each message added to the row of the atom that hears it.
fn scatter(onto: Tensor<2>, ends: &[Tensor<1, Int>; 2], messages: [Tensor<2>; 2]) -> Tensor<2> {
    ends.iter().zip(messages).fold(onto, |onto, (to, message)| onto.select_assign(0, to.clone(), message, IndexingUpdateOp::Add))
}

fn ints(values: impl ExactSizeIterator<Item = i32>, device: &Device) -> Tensor<1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values.collect::<Vec<_>>(), [count]), device)
}
