//! What every reference network has in common, and the list of them.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::conv::Conv;
use crate::graph::Graph;
use crate::peer::{Peer, Runnable};
use crate::tiny::Tiny;
use crate::transformer::Transformer;
use crate::{Error, Result};

/// A network of fixed size whose output has the shape of its first input.
pub(crate) trait Network: Module + Sync + 'static {
    /// Name on the command line, in the protocol and in the results.
    const NAME: &'static str;
    /// Shapes of the inputs, all of rank 3.
    const INPUTS: &'static [[usize; 3]];
    /// Items of a micro-batch: what one worker runs at a time on the CPU.
    const MICRO_BATCH: u32;
    /// What is timed.
    const STEPS: &'static [Step];

    /// The network with burn's initial weights on `device`.
    fn init(device: &Device) -> Self;

    /// Applies the network to tensors of the shapes [`Network::INPUTS`], or to some of their items.
    fn forward(&self, inputs: &[Tensor<3>]) -> Tensor<3>;
}

/// One timed unit of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Forward pass without an autodiff graph.
    Forward,
    /// Forward, mean squared error, backward, AdamW on every parameter.
    Train,
    /// A whole sampling loop without an autodiff graph.
    Sample,
}

impl Step {
    /// Reads the name used in the protocol.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        match name {
            "forward" => Ok(Self::Forward),
            "train" => Ok(Self::Train),
            "sample" => Ok(Self::Sample),
            _ => Err(Error::from(format!("unknown step `{name}`: expected forward, train or sample"))),
        }
    }

    /// The name used in the protocol.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Train => "train",
            Self::Sample => "sample",
        }
    }
}

/// Names of all networks.
pub(crate) const NAMES: [&str; 4] = [Transformer::NAME, Conv::NAME, Graph::NAME, Tiny::NAME];

/// Builds a network by name on `device`; weights and inputs are equal on every device.
pub(crate) fn build(name: &str, device: &Device) -> Result<Box<dyn Runnable>> {
    match name {
        Transformer::NAME => Ok(Box::new(Peer::<Transformer>::new(device)?)),
        Conv::NAME => Ok(Box::new(Peer::<Conv>::new(device)?)),
        Graph::NAME => Ok(Box::new(Peer::<Graph>::new(device)?)),
        Tiny::NAME => Ok(Box::new(Peer::<Tiny>::new(device)?)),
        _ => Err(Error::from(format!("unknown network `{name}`: expected one of {}", NAMES.join(", ")))),
    }
}
