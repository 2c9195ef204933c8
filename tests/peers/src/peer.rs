//! A network with its weights, inputs and optimiser on one device, ready to be run, timed and read out.

use std::time::Instant;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::nn::loss::{MseLoss, Reduction};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Distribution, Tensor};
use langevin_engine::device::open;

use crate::network::{Network, Step};
use crate::{Error, Result};

/// Weights and inputs are drawn from this seed on the CPU, then moved, so that they are equal on every device.
const SEED: u64 = 20_231;
/// Backend that draws them.
const ORIGIN: &str = "flex";

/// AdamW's settings, the same in `networks.py`.
const LEARNING_RATE: f64 = 1e-4;
const EPSILON: f32 = 1e-8;
const WEIGHT_DECAY: f32 = 1e-2;

/// A tensor read back from the device.
pub(crate) struct Array {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

impl Array {
    fn read<const D: usize>(name: String, tensor: &Tensor<D>) -> Result<Self> {
        Ok(Self { name, shape: tensor.dims().to_vec(), values: tensor.try_to_data()?.try_into_vec_as::<f32>()? })
    }
}

/// [`Peer`] without its network's type.
pub(crate) trait Runnable {
    /// What can be timed.
    fn steps(&self) -> &'static [Step];
    /// Number of trained values.
    fn parameters(&self) -> usize;
    /// Runs one step to its end; gives wall-clock milliseconds.
    fn run(&mut self, step: Step) -> Result<f64>;
    /// `input.N`, `target` and `weight.PATH`.
    fn given(&self) -> Result<Vec<Array>>;
    /// `output` and, where the network is trained, `loss` and `gradient.PATH`.
    fn results(&self) -> Result<Vec<Array>>;
}

/// See the module's page.
pub(crate) struct Peer<N> {
    device: Device,
    /// The initial weights, without autodiff.
    plain: N,
    /// The trained weights; absent only after a training step that failed.
    trained: Option<N>,
    optimizer: ModuleOptimizer,
    inputs: Vec<Tensor<3>>,
    target: Tensor<3>,
}

impl<N: Network> Peer<N> {
    pub(crate) fn new(device: &Device) -> Result<Self> {
        let origin = open(ORIGIN)?;
        origin.seed(SEED);
        let normal = |shape: [usize; 3]| Tensor::random(shape, Distribution::Normal(0.0, 1.0), &origin);
        let inputs: Vec<Tensor<3>> = N::INPUTS.iter().map(|&shape| normal(shape)).collect();
        let target = normal(N::INPUTS[0]);
        let plain = N::init(&origin).map(&mut Spread).to_device(device);
        Ok(Self {
            device: device.clone(),
            trained: Some(plain.clone().train()),
            plain,
            optimizer: AdamWConfig::new().with_epsilon(EPSILON).with_weight_decay(WEIGHT_DECAY).init(),
            inputs: inputs.into_iter().map(|x| x.to_device(device)).collect(),
            target: target.to_device(device),
        })
    }

    fn loss(&self, network: &N) -> Tensor<1> {
        let output = network.forward(&self.inputs);
        MseLoss::new().forward(output, self.target.clone(), Reduction::Mean)
    }

    fn train(&mut self) -> Result<()> {
        let network = self.trained.take().ok_or_else(|| Error::from("an earlier training step failed"))?;
        let gradients = GradientsParams::from_grads(self.loss(&network).backward(), &network);
        self.trained = Some(self.optimizer.step(LEARNING_RATE, network, gradients));
        Ok(())
    }
}

impl<N: Network> Runnable for Peer<N> {
    fn steps(&self) -> &'static [Step] {
        N::STEPS
    }

    fn parameters(&self) -> usize {
        self.plain.num_params()
    }

    fn run(&mut self, step: Step) -> Result<f64> {
        if !N::STEPS.contains(&step) {
            let message = format!("network {} has no step {}", N::NAME, step.name());
            return Err(Error::from(message));
        }
        let start = Instant::now();
        match step {
            Step::Forward | Step::Sample => drop(self.plain.forward(&self.inputs)),
            Step::Train => self.train()?,
        }
        self.device.sync()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    fn given(&self) -> Result<Vec<Array>> {
        let mut arrays = Vec::new();
        for (i, input) in self.inputs.iter().enumerate() {
            arrays.push(Array::read(format!("input.{i}"), input)?);
        }
        arrays.push(Array::read("target".to_owned(), &self.target)?);
        arrays.extend(Reader::read(&self.plain, None)?);
        Ok(arrays)
    }

    fn results(&self) -> Result<Vec<Array>> {
        let output = self.plain.forward(&self.inputs);
        let mut arrays = vec![Array::read("output".to_owned(), &output)?];
        if N::STEPS.contains(&Step::Train) {
            let network = self.plain.clone().train();
            let loss = self.loss(&network);
            arrays.push(Array::read("loss".to_owned(), &loss.clone().inner())?);
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            arrays.extend(Reader::read(&network, Some(&gradients))?);
        }
        Ok(arrays)
    }
}

/// Draws every lazy parameter in order, and moves vectors off 0 and 1, where a bias or scale that is not
/// applied would go unseen.
struct Spread;

impl ModuleMapper for Spread {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            if D > 1 {
                return tensor;
            }
            let noise = tensor.random_like(Distribution::Normal(0.0, 0.1));
            tensor + noise
        })
    }
}

/// Reads parameters, or their gradients, under their paths.
struct Reader<'a> {
    gradients: Option<&'a GradientsParams>,
    path: Vec<String>,
    arrays: Result<Vec<Array>>,
}

impl<'a> Reader<'a> {
    fn read<N: Module>(network: &N, gradients: Option<&'a GradientsParams>) -> Result<Vec<Array>> {
        let mut reader = Self { gradients, path: Vec::new(), arrays: Ok(Vec::new()) };
        network.visit(&mut reader);
        reader.arrays
    }

    fn array<const D: usize>(&self, param: &Param<Tensor<D>>) -> Result<Array> {
        let path = self.path.join(".");
        match self.gradients {
            None => Array::read(format!("weight.{path}"), &param.val()),
            Some(gradients) => {
                let gradient = gradients.get::<D>(param.id).ok_or_else(|| Error::from(format!("no gradient for {path}")))?;
                Array::read(format!("gradient.{path}"), &gradient)
            }
        }
    }
}

impl ModuleVisitor for Reader<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let array = self.array(param);
        match (&mut self.arrays, array) {
            (Ok(arrays), Ok(array)) => arrays.push(array),
            (Ok(_), Err(error)) => self.arrays = Err(error),
            (Err(_), _) => {}
        }
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;

    fn loss(peer: &Peer<Graph>) -> f32 {
        let network = peer.trained.as_ref().expect("no step failed").valid();
        peer.loss(&network).into_scalar()
    }

    fn weights(peer: &Peer<Graph>) -> Result<Vec<Array>> {
        Reader::read(&peer.trained.as_ref().expect("no step failed").valid(), None)
    }

    #[test]
    fn training_moves_every_parameter_and_lowers_the_loss() -> Result<()> {
        let mut peer = Peer::<Graph>::new(&open("flex")?)?;
        let (start, before) = (loss(&peer), weights(&peer)?);
        for _ in 0..3 {
            peer.run(Step::Train)?;
        }
        assert!(loss(&peer) < start, "{} is not below {start}", loss(&peer));
        assert_eq!(before.iter().map(|array| array.values.len()).sum::<usize>(), peer.parameters());
        for (a, b) in before.iter().zip(&weights(&peer)?) {
            assert_ne!(a.values, b.values, "{} did not move", a.name);
        }
        Ok(())
    }

    #[test]
    fn a_network_refuses_a_step_that_it_has_not() -> Result<()> {
        let mut peer = Peer::<Graph>::new(&open("flex")?)?;
        assert!(peer.run(Step::Sample).is_err());
        Ok(())
    }
}
