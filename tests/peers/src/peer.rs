//! A network with its weights, inputs and optimiser on one device, ready to be run, timed and read out.

use std::{ops::Range, time::Instant};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::nn::loss::{MseLoss, Reduction};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Tensor};
use langevin_engine::{
    TrainConfig, Workers,
    device::open,
    optim::{Optimiser, Update},
    parallel::micro_batches,
};
use langevin_nn::weights;

use crate::network::{Network, Step};
use crate::{Error, Result};

/// Weights and inputs are drawn from this seed on the CPU, then moved, so that they are equal on every device.
const SEED: u64 = 20_231;
/// Backend that draws them.
const ORIGIN: &str = "flex";

/// AdamW's settings, the same in `networks.py` (where vectors decay too: the same work).
const LEARNING_RATE: f64 = 1e-4;
const WEIGHT_DECAY: f64 = 1e-2;

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
    /// The weights being trained, without autodiff; absent only after a training step that failed.
    trained: Option<N>,
    optimiser: Optimiser,
    settings: TrainConfig,
    steps: u32,
    workers: Workers,
    whole: Batch,
    parts: Vec<Batch>,
}

/// Inputs and target of all items, or of a micro-batch.
struct Batch {
    inputs: Vec<Tensor<3>>,
    target: Tensor<3>,
    /// Its part of all items.
    share: f32,
}

impl Batch {
    fn loss<N: Network>(&self, network: &N) -> Tensor<1> {
        MseLoss::new().forward(network.forward(&self.inputs), self.target.clone(), Reduction::Mean)
    }

    fn part(&self, rows: &Range<u32>) -> Self {
        let cut = |x: &Tensor<3>| x.clone().narrow(0, rows.start as usize, rows.len());
        let share = rows.len() as f32 / self.target.dims()[0] as f32;
        Self { inputs: self.inputs.iter().map(cut).collect(), target: cut(&self.target), share }
    }
}

impl<N: Network> Peer<N> {
    pub(crate) fn new(device: &Device) -> Result<Self> {
        let origin = open(ORIGIN)?;
        origin.seed(SEED);
        let normal = |shape: [usize; 3]| Tensor::random(shape, Distribution::Normal(0.0, 1.0), &origin);
        let inputs: Vec<Tensor<3>> = N::INPUTS.iter().map(|&shape| normal(shape)).collect();
        let target = normal(N::INPUTS[0]).to_device(device);
        let plain = N::init(&origin).map(&mut Spread).to_device(device);
        let whole = Batch { inputs: inputs.into_iter().map(|x| x.to_device(device)).collect(), target, share: 1.0 };
        // As the engine does: on the CPU workers with micro-batches, elsewhere the whole batch at once.
        let items = N::INPUTS[0][0] as u32;
        let cuts = micro_batches(items, if *device == origin { N::MICRO_BATCH } else { items });
        let threads = rayon::current_num_threads();
        let teams = threads.min(cuts.len());
        Ok(Self {
            device: device.clone(),
            trained: Some(plain.clone()),
            optimiser: Optimiser::new(weights::layout(&plain), weights::export(&plain)?),
            settings: TrainConfig { learning_rate: LEARNING_RATE, warmup: 0, weight_decay: WEIGHT_DECAY, ..TrainConfig::default() },
            steps: 0,
            workers: Workers::teams(teams, threads / teams)?,
            parts: cuts.iter().map(|rows| whole.part(rows)).collect(),
            plain,
            whole,
        })
    }

    /// Loss and gradients of every micro-batch, one AdamW step on their sum: `langevin_engine::train` without files.
    fn train(&mut self) -> Result<()> {
        let network = self.trained.take().ok_or_else(|| Error::from("an earlier training step failed"))?;
        let gradients = self.workers.map(self.parts.len(), |k| {
            let network = network.clone().train();
            let gradients = self.parts[k].loss(&network).backward();
            Ok((self.parts[k].share, weights::take_gradients(&network, gradients)?))
        });
        let gradients = gradients.into_iter().collect::<Result<Vec<_>>>()?;
        self.optimiser.step(&self.settings, self.steps, &gradients, &self.workers, |_| Update::AdamW);
        self.steps += 1;
        self.trained = Some(weights::import(network, self.optimiser.weights(&self.workers)));
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
            Step::Forward | Step::Sample => {
                drop(self.workers.map(self.parts.len(), |k| self.plain.forward(&self.parts[k].inputs)));
            }
            Step::Train => self.train()?,
        }
        self.device.sync()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    fn given(&self) -> Result<Vec<Array>> {
        let mut arrays = Vec::new();
        for (i, input) in self.whole.inputs.iter().enumerate() {
            arrays.push(Array::read(format!("input.{i}"), input)?);
        }
        arrays.push(Array::read("target".to_owned(), &self.whole.target)?);
        arrays.extend(Reader::read(&self.plain, None)?);
        Ok(arrays)
    }

    fn results(&self) -> Result<Vec<Array>> {
        let output = self.plain.forward(&self.whole.inputs);
        let mut arrays = vec![Array::read("output".to_owned(), &output)?];
        if N::STEPS.contains(&Step::Train) {
            let network = self.plain.clone().train();
            let loss = self.whole.loss(&network);
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
        peer.whole.loss(peer.trained.as_ref().expect("no step failed")).into_scalar()
    }

    fn weights(peer: &Peer<Graph>) -> Result<Vec<Array>> {
        Reader::read(peer.trained.as_ref().expect("no step failed"), None)
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
