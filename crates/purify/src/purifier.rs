//! A trained purifier at work.

use burn::tensor::{Device, Tensor};
use langevin_core::{
    Denoiser, Level, NoiseSource, Philox, Plan, State as _,
    noise::stream,
    solver::{Ddim, Solver},
};
use langevin_nn::Constant;

use crate::{
    Classifier, Error, ModelConfig, Result,
    detect::{self, Detector},
    model::{Front, PurifyNet, Spectrum},
    tensor,
};

/// First stream of purification; a vote has [`STREAMS`] of them.
const VOTES: u32 = stream::DOMAIN + 64;
/// Streams of a vote: the noise it starts from and that of a stochastic solver.
const STREAMS: u32 = 4;
/// Least noise of a walk, as a share of the noise it starts from.
const LAST: f64 = 0.3;
/// Steps of the usual walk of clips; of rows with a prior, a single one.
const STEPS: usize = 3;
/// Noise that perturbations of at most 1 are drowned in. Of 12 validation clips short adaptive attacks of .002 (10 steps, 2 draws; 8 steps at 1.1)
/// left 5 right at 1.1, 9 at 2.5 and 8 at 4.5, where stored attacks and clean clips made no difference. Chosen on them, as what is next.
const FACTOR: f64 = 2.5;
/// The level for rows of a perturbation of at most 1, and for rows that look noised by 1. An attack moves all numbers at once against the
/// classifier, so a row has to be taken for noisier than it is. Chosen on held-out training rows, as what is next.
const ROW_FACTOR: f64 = 6.0;
const OF_LIKELIEST: f64 = 10.0;
/// The noise that is added to a row, as a share of the level at which it is denoised: enough for votes to differ where a decision is close. More
/// does not hinder adaptive attacks, and makes single decisions worse.
const ROW_NOISE: f64 = 0.1;
/// Levels at which rows are looked at.
const LEVELS: usize = 24;
/// Noise for a clip whose floor is 1: the greatest change of a perturbation is about twice its floor.
const OF_FLOOR: f64 = 2.4;
/// How far noise and purification alone move a classifier's logits, in nats: about as far as 99 of 100 clean validation clips, and as 95 of 100 rows held
/// out of ItalyPowerDemand's training rows.
const USUAL: f64 = 6.0;
const ROW_USUAL: f64 = 4.0;
/// Threshold on the magnitudes of a purified clip, in units of the noise that it was walked back from.
const SHRINK: f32 = 1.75;

/// Where the noise of a row comes from: the same address gives the same bytes, whatever else is purified beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Which item.
    pub item: u32,
    /// Which of its votes.
    pub vote: u32,
}

/// Noise of a batch whose rows have addresses of their own.
#[derive(Clone, Debug)]
pub(crate) struct Draws<'a> {
    pub(crate) source: Philox,
    pub(crate) rows: &'a [Draw],
}

impl NoiseSource for Draws<'_> {
    fn fill(&self, sample: u32, node: u32, stream: u32, out: &mut [f32]) {
        let Draw { item, vote } = self.rows[sample as usize];
        self.source.fill(item, node, VOTES.wrapping_add(vote.wrapping_mul(STREAMS)).wrapping_add(stream), out);
    }
}

/// How an input is walked back to clean data: from one unit of noise, of which [`Purifier::purify`] is told the size.
#[derive(Clone, Debug, PartialEq)]
pub struct Walk {
    plan: Plan,
    /// Noise that is added first, as a share of the level that the walk starts from.
    noise: f64,
}

impl Walk {
    /// DDIM in `steps` steps; 1 is a single estimate.
    ///
    /// # Errors
    /// [`Error::Setting`] for no steps.
    pub fn new(steps: usize) -> Result<Self> {
        Self::with(&Solver::Ddim(Ddim::default()), steps)
    }

    /// Any solver of core.
    ///
    /// # Errors
    /// [`Error::Setting`] for no steps; [`Error::Core`] for a solver that cannot walk these levels.
    pub fn with(solver: &Solver, steps: usize) -> Result<Self> {
        if steps == 0 || steps > 1000 {
            return Err(Error::Setting { name: "steps", reason: format!("should be between 1 and 1000, but is {steps}") });
        }
        let share = |k: usize| LAST.powf(k as f64 / (steps - 1).max(1) as f64);
        let mut nodes: Vec<Level> = (0..steps).map(|k| Level::ve(share(k))).collect();
        nodes.push(Level::clean());
        Ok(Self { plan: solver.plan(&nodes)?, noise: 1.0 })
    }

    /// The same with another amount of noise added first, as a share of the level that the walk starts from.
    ///
    /// # Errors
    /// [`Error::Setting`] for a share that is not between 0 and 1.
    pub fn noised(self, share: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::Setting { name: "noise", reason: format!("should be between 0 and 1, but is {share}") });
        }
        Ok(Self { noise: share, ..self })
    }

    /// Evaluations of the network.
    pub fn evaluations(&self) -> usize {
        self.plan.nfe()
    }
}

/// A trained purifier.
#[derive(Debug)]
pub struct Purifier {
    config: ModelConfig,
    net: PurifyNet,
    front: Front,
    detector: Option<Detector>,
    device: Device,
}

impl Purifier {
    /// A purifier from its checked config, a checkpoint's constants and its network.
    ///
    /// # Errors
    /// [`Error::Constant`] when the constants do not fit the config.
    pub fn new(config: &ModelConfig, constants: &[Constant], net: PurifyNet, device: &Device) -> Result<Self> {
        let front = Front::new(config, constants, device)?;
        let detector = Detector::new(config, constants)?;
        Ok(Self { config: config.clone(), net, front, detector, device: device.clone() })
    }

    /// Its config.
    pub const fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Its device.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Whether rows of `length` numbers can be purified; clips of any length can.
    ///
    /// # Errors
    /// [`Error::Setting`] with both numbers.
    pub fn check_length(&self, length: usize) -> Result<()> {
        match &self.config {
            ModelConfig::Rows(c) if c.columns != length => Err(Error::Setting {
                name: "input",
                reason: format!("has rows of {length} numbers, but the purifier was trained on {} columns", c.columns),
            }),
            _ => Ok(()),
        }
    }

    /// `D(x; sigma)`, shapes `[B, N]` and `[B, 1]`.
    pub fn denoise(&self, x: Tensor<2>, sigma: Tensor<2>) -> Tensor<2> {
        self.net.denoise(&self.front, x, sigma)
    }

    /// The walk of this purifier with a solver and a number of steps: for clips usually three from all of their noise; for rows with a prior
    /// one, from a share of it.
    ///
    /// # Errors
    /// As [`Walk::with`].
    pub fn walk(&self, solver: &Solver, steps: Option<usize>) -> Result<Walk> {
        let (usual, noise) = match &self.config {
            ModelConfig::Rows(c) if c.prior => (1, ROW_NOISE),
            _ => (STEPS, 1.0),
        };
        Walk::with(solver, steps.unwrap_or(usual))?.noised(noise)
    }

    /// Adds the walk's share of noise of size `sigmas` (one a row) to `x` `[B, N]` and walks back. Differentiable in `x`; `draws` addresses each row's noise.
    ///
    /// # Panics
    /// When there are not as many sigmas and draws as rows.
    pub fn purify(&self, x: Tensor<2>, sigmas: &[f64], walk: &Walk, seed: u64, draws: &[Draw]) -> Tensor<2> {
        let rows = x.dims()[0];
        assert!(sigmas.len() == rows && draws.len() == rows, "{rows} rows, {} levels, {} draws", sigmas.len(), draws.len());
        let sigma = tensor::rows(sigmas.iter().map(|&s| s as f32).collect(), rows, &self.device);
        let noise = Draws { source: Philox::new(seed), rows: draws };
        // In units of each row's own noise all rows walk through the same levels.
        let unit = self.front.in_data_units(sigma.clone().expand(x.dims()));
        let centre = self.front.centre();
        let state = match &centre {
            Some(mean) => (x - mean.clone()) / unit.clone(),
            None => x / unit.clone(),
        };
        let plain = state.clone().without_autodiff();
        let start = state + plain.noise_like(&noise, 0, stream::PRIOR).mul_scalar(walk.noise);
        let walked =
            walk.plan.run(start, &Scaled { purifier: self, sigma: sigma.clone(), unit: unit.clone(), centre: centre.clone() }, &noise);
        let out = walked * unit;
        match (centre, &self.front) {
            (Some(mean), _) => out + mean,
            // An attack hides in what is left a little above the noise, and so does little else.
            (None, Front::Clips(spectrum)) => spectrum.shrink(out, &sigma.mul_scalar(SHRINK)),
            (None, Front::Rows { .. }) => out,
        }
    }

    /// One row purified under several draws, with a classifier's logits of each.
    ///
    /// # Errors
    /// When the classifier cannot be run.
    pub fn votes(
        &self,
        classifier: &dyn Classifier,
        row: &[f32],
        sigma: f64,
        walk: &Walk,
        seed: u64,
        draws: &[Draw],
    ) -> Result<Vec<(Vec<f32>, Vec<f32>)>> {
        let x = tensor::rows(row.repeat(draws.len()), draws.len(), &self.device);
        let purified = self.purify(x, &vec![sigma; draws.len()], walk, seed, draws);
        let logits = tensor::host(classifier.logits(purified.clone())?)?;
        let purified = tensor::host(purified)?;
        let pairs = purified.chunks(row.len().max(1)).zip(logits.chunks(classifier.classes().max(1)));
        Ok(pairs.map(|(row, logits)| (row.to_vec(), logits.to_vec())).collect())
    }

    /// The noise level for rows of which nothing is known: for clips from the noise in their quietest places, where a perturbation shows, for
    /// rows from the level under which they are likeliest. Data units (standard deviations for rows).
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn auto_sigma(&self, rows: &[&[f32]]) -> Result<Vec<f64>> {
        match (&self.config, &self.front) {
            (ModelConfig::Rows(c), Front::Rows { mean, scale, prior: Some(prior) }) => {
                let share = |k: usize| (c.sigma_max / c.sigma).powf(k as f64 / (LEVELS - 1) as f64);
                let levels: Vec<f64> = (0..LEVELS).map(|k| c.sigma * share(k) / OF_LIKELIEST).collect();
                let z = (tensor::rows(rows.concat(), rows.len(), &self.device) - mean.clone()) / scale.clone();
                Ok(prior.level(&z, &levels)?.into_iter().map(|level| OF_LIKELIEST * level).collect())
            }
            (ModelConfig::Rows(c), _) => Ok(vec![c.sigma; rows.len()]),
            (ModelConfig::Clips(c), _) => {
                let spectrum = Spectrum::new(c.window, c.hop, &self.device);
                let level = |row: &&[f32]| Ok((OF_FLOOR * detect::noise_floor(&spectrum, row, &self.device)?).clamp(c.sigma, c.sigma_max));
                rows.iter().map(level).collect()
            }
        }
    }

    /// The noise level for perturbations of at most `eps` in data units: more than that, within the levels of training.
    pub fn sigma_for(&self, eps: f64) -> f64 {
        let (least, most) = self.config.sigmas();
        let factor = if matches!(&self.config, ModelConfig::Rows(c) if c.prior) { ROW_FACTOR } else { FACTOR };
        (factor * eps / self.front.mean_unit()).clamp(least, most)
    }

    /// How far purification is expected to move a classifier's logits, in nats, where nobody perturbed the input; for [`compared`](crate::compared).
    pub const fn usual_way(&self) -> f64 {
        match &self.config {
            ModelConfig::Clips(_) => USUAL,
            ModelConfig::Rows(_) => ROW_USUAL,
        }
    }

    /// Whether the checkpoint was calibrated to [`detect`](Self::detect).
    pub const fn can_detect(&self) -> bool {
        self.detector.is_some()
    }

    /// How far each row is from clean ones; `None` when the checkpoint was not calibrated.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn detect(&self, rows: &[&[f32]]) -> Result<Option<Vec<f64>>> {
        self.detector.as_ref().map(|detector| detector.scores(&self.net, &self.front, rows, &self.device)).transpose()
    }
}

/// The denoiser seen from states in units of each row's own noise.
struct Scaled<'a> {
    purifier: &'a Purifier,
    /// `[B, 1]`.
    sigma: Tensor<2>,
    /// Data units of one unit of the state, `[B, N]`.
    unit: Tensor<2>,
    /// Where the state is 0, `[1, N]`.
    centre: Option<Tensor<2>>,
}

impl Denoiser<Tensor<2>> for Scaled<'_> {
    fn denoise(&self, x: &Tensor<2>, at: Level, _node: u32) -> Tensor<2> {
        let mut data = x.clone() * self.unit.clone();
        if let Some(mean) = &self.centre {
            data = data + mean.clone();
        }
        let mut clean = self.purifier.denoise(data, self.sigma.clone().mul_scalar(at.sigma));
        if let Some(mean) = &self.centre {
            clean = clean - mean.clone();
        }
        clean / self.unit.clone()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{config::RowsConfig, task::PurifyTask};
    use langevin_nn::{Init, Trainable as _};

    /// An untrained purifier of rows with three columns of unit variance: `D = x / (1 + sigma^2)`.
    pub(crate) fn shrinking() -> Purifier {
        let config =
            ModelConfig::Rows(RowsConfig { columns: 3, prior: false, classes: vec!["0".into(), "1".into()], ..RowsConfig::default() });
        let device = Device::flex();
        let constant = |name: &str, v: f32| Constant { name: name.into(), shape: vec![3], values: vec![v; 3] };
        let net = PurifyNet::new(&config, &mut Init::new(1, &device));
        Purifier::new(&config, &[constant("mean", 2.0), constant("scale", 0.5)], net, &device).unwrap()
    }

    fn draws(items: &[u32]) -> Vec<Draw> {
        items.iter().map(|&item| Draw { item, vote: 1 }).collect()
    }

    #[test]
    fn one_step_is_the_denoiser_of_the_noised_row() {
        let purifier = shrinking();
        let x = tensor::rows(vec![2.5, 2.0, 1.0], 1, &Device::flex());
        let out = tensor::host(purifier.purify(x, &[0.5], &Walk::new(1).unwrap(), 7, &draws(&[4]))).unwrap();
        let mut noise = [0f32; 3];
        Draws { source: Philox::new(7), rows: &draws(&[4]) }.fill(0, 0, stream::PRIOR, &mut noise);
        for ((out, x), z) in out.iter().zip([2.5, 2.0, 1.0]).zip(noise) {
            let standard = (x - 2.0) / 0.5 + 0.5 * z;
            assert!((out - (2.0 + 0.5 * standard / 1.25)).abs() < 1e-5, "{out}");
        }
    }

    #[test]
    fn without_noise_an_input_is_denoised_as_it_is() {
        let purifier = shrinking();
        let walk = Walk::new(1).unwrap().noised(0.0).unwrap();
        let x = tensor::rows(vec![2.5, 2.0, 1.0], 1, &Device::flex());
        let out = tensor::host(purifier.purify(x, &[0.5], &walk, 7, &draws(&[4]))).unwrap();
        for (out, x) in out.iter().zip([2.5f32, 2.0, 1.0]) {
            assert!((out - (2.0 + (x - 2.0) / 1.25)).abs() < 1e-5, "{out}");
        }
        assert!(Walk::new(1).unwrap().noised(1.1).is_err() && Walk::new(1).unwrap().noised(-0.1).is_err());
    }

    #[test]
    fn a_row_is_the_same_whatever_is_beside_it() {
        let (purifier, walk) = (shrinking(), Walk::new(3).unwrap());
        let one = |values: Vec<f32>, sigmas: &[f64], items: &[u32]| {
            let x = tensor::rows(values, items.len(), &Device::flex());
            tensor::host(purifier.purify(x, sigmas, &walk, 7, &draws(items))).unwrap()
        };
        let both = one(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &[0.3, 0.6], &[1, 2]);
        let alone = one(vec![3.0, 4.0, 5.0], &[0.6], &[2]);
        assert!(both[3..].iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-6), "{both:?} {alone:?}");
        assert!(both[..3] != one(vec![0.0, 1.0, 2.0], &[0.3], &[9])[..]);
        assert_eq!(walk.evaluations(), 3);
        assert!(Walk::new(0).is_err() && purifier.check_length(4).is_err() && purifier.check_length(3).is_ok());
    }

    /// Two clouds of points, training to keep them apart: the error falls, and detection tells far points from near ones.
    #[test]
    fn a_task_trains_and_calibrates() {
        let rows: Vec<Vec<f32>> = (0..40).map(|k| vec![if k % 2 == 0 { 1.0 } else { -1.0 }, 0.1 * (k % 5) as f32, 0.5]).collect();
        let labels: Vec<String> = (0..40).map(|k| (k % 2).to_string()).collect();
        let mut train = crate::Examples::new(rows, &labels).unwrap();
        let valid = train.hold_out();
        let mut config = ModelConfig::Rows(RowsConfig::default());
        config.fill_in(&train.names, 3).unwrap();
        let task = PurifyTask::new(&config, 3, None, train, valid.clone()).unwrap();
        let device = Device::flex();
        let net = task.init(3, &device);
        let trained = burn::module::Module::train(net.clone());
        for step in [0, 2000] {
            let loss = task.loss(&trained, step, 0..8, &device.clone().autodiff());
            let gradients = langevin_nn::weights::gradients(&trained, &loss.backward()).unwrap();
            let layout = langevin_nn::weights::layout(&trained);
            // What does not learn at a step has no gradient where the step's loss does not reach it; what learns has one.
            let learns = layout.iter().zip(&gradients).filter(|(l, _)| task.trains(step, &l.name));
            assert!(learns.clone().count() > 0 && learns.into_iter().any(|(_, g)| g.iter().any(|v| *v != 0.0)), "step {step}");
            assert_eq!(layout.iter().any(|l| l.name.starts_with("rows") && task.trains(step, &l.name)), step > 0);
        }
        let scores = task.validate(&net, 0..task.validation_rows(), &device);
        assert!(scores.iter().all(|s| s.is_finite()) && scores.len() == 3);
        let mut constants = task.constants();
        constants.extend(task.estimates(&net, &device));
        let purifier = Purifier::new(&config, &constants, net, &device).unwrap();
        let near: Vec<&[f32]> = valid.rows.iter().map(Vec::as_slice).collect();
        let far: Vec<Vec<f32>> = valid.rows.iter().map(|row| row.iter().map(|v| v + 30.0).collect()).collect();
        let far: Vec<&[f32]> = far.iter().map(Vec::as_slice).collect();
        let (near, far) = (purifier.detect(&near).unwrap().unwrap(), purifier.detect(&far).unwrap().unwrap());
        assert!(detect::auroc(&near, &far) == 1.0, "{near:?} {far:?}");
    }
}
