//! What the engine drives: something to train, something to sample.

use std::ops::{ControlFlow, Range};

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

/// A named array that belongs to a model but is not trained: a codec's basis, a normaliser.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Name, unique within the model.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
}

/// Something to train: data, a model and a loss. It owns its data and draws every random number by address, so that a training
/// example depends on `(seed, step, row)` only and not on threads, micro-batches or resumption.
pub trait Trainable: Sync {
    /// The network.
    type Model: Module + Sync;

    /// The network with its initial weights.
    fn init(&self, seed: u64, device: &Device) -> Self::Model;

    /// Mean loss, shape `[1]`, of rows `rows` of the batch of a step.
    fn loss(&self, model: &Self::Model, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1>;

    /// Number of rows that [`validate`](Self::validate) can score.
    fn validation_rows(&self) -> u32;

    /// Sums over rows `rows` of the validation set: the score first, then what [`validation_names`](Self::validation_names) lists.
    /// The engine divides by the number of rows.
    fn validate(&self, model: &Self::Model, rows: Range<u32>, device: &Device) -> Vec<f64>;

    /// What a checkpoint of this model needs beside its weights.
    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    /// Whether a parameter (its path in the model) learns at a step. One that does not keeps its moving average, which is what is validated
    /// and shipped: the parts that go on learning then learn beside what they will work with.
    fn trains(&self, _step: u32, _name: &str) -> bool {
        true
    }

    /// Whether the matrix of a linear layer (its path in the model) lies inside the network, where Muon may train it. One that makes the
    /// network's output has rows or columns with meanings of their own, and stays with AdamW: by default, those of a layer called `output`.
    fn is_inner(&self, name: &str) -> bool {
        !name.split('.').any(|part| part == "output")
    }

    /// Called once after each step, in order: a task that learns from its losses takes them in here, not while workers run.
    fn end_of_step(&self, _step: u32) {}

    /// What the task has learned from its losses, saved with the state of a run.
    fn memory(&self) -> Vec<Constant> {
        Vec::new()
    }

    /// Takes back what [`memory`](Self::memory) gave, when a run is resumed.
    fn recall(&self, _memory: &[Constant]) {}

    /// What is estimated once, from the best weights, and kept in the checkpoint beside [`constants`](Self::constants).
    fn estimates(&self, _model: &Self::Model, _device: &Device) -> Vec<Constant> {
        Vec::new()
    }

    /// Names of the sums after the first.
    fn validation_names(&self) -> &'static [&'static str] {
        &[]
    }
}

/// Something to sample, in micro-batches of fixed size.
///
/// Micro-batch `k` always holds samples `k * micro_batch .. (k + 1) * micro_batch`, whether all are wanted or not: that, and
/// addressed noise, is why a sample is the same bytes whatever is asked for beside it.
pub trait Sampler: Sync {
    /// What the network makes: one row of a micro-batch.
    type Raw: Send;
    /// What one sample is for the user.
    type Item: Send;

    /// Samples per micro-batch.
    fn micro_batch(&self) -> u32;

    /// Samples `rows`, a whole micro-batch. `observe` is called after each network evaluation and may stop the run.
    fn sample(&self, rows: Range<u32>, observe: &dyn Fn() -> ControlFlow<()>) -> ControlFlow<(), Vec<Self::Raw>>;

    /// Decodes one wanted sample.
    fn finish(&self, row: u32, raw: Self::Raw) -> Self::Item;
}
