//! Molecules with conformers as training examples.

use langevin_core::{Philox, noise::stream};

use crate::{Error, Molecule, Point, Result, features::Features};

/// Streams that pick a row's place beside its group's, and a group's set.
const BESIDE: u32 = stream::DOMAIN;
const SET: u32 = stream::DOMAIN + 2;

/// One molecule to train on.
#[derive(Clone, Debug)]
pub struct Example {
    /// What the network is told.
    pub features: Features,
    /// Its level of theory, as a number of the config.
    pub level: usize,
    /// Conformers, each `3 * atoms` numbers in angstrom, centred.
    pub conformers: Vec<Vec<f32>>,
    /// Boltzmann weights, running sums that end in 1.
    shares: Vec<f64>,
}

impl Example {
    /// An example of a molecule's conformers with their Boltzmann weights (any positive factor).
    ///
    /// # Errors
    /// No conformer, a conformer of another number of atoms, or weights that do not fit.
    pub fn new(molecule: &Molecule, conformers: &[Vec<Point>], weights: &[f64], level: usize) -> Result<Self> {
        let n = molecule.atoms.len();
        let refuse = |reason: String| Err(Error::Geometry { reason });
        if conformers.is_empty() || conformers.iter().any(|c| c.len() != n || c.iter().flatten().any(|v| !v.is_finite())) {
            return refuse(format!("a training molecule of {n} atoms needs conformers of {n} finite positions"));
        }
        let total: f64 = weights.iter().sum();
        if weights.len() != conformers.len() || !(total > 0.0 && weights.iter().all(|w| *w >= 0.0)) {
            return refuse(format!("{} conformers need as many weights, none negative", conformers.len()));
        }
        let mut sum = 0.0;
        let shares = weights.iter().map(|w| {
            sum += w / total;
            sum
        });
        Ok(Self {
            features: Features::new(molecule),
            level,
            shares: shares.collect(),
            conformers: conformers.iter().map(|c| centred(c)).collect(),
        })
    }

    /// Which conformer a uniform number picks: by Boltzmann weight for a share `boltzmann` of numbers, evenly for the others.
    pub fn pick(&self, u: f64, boltzmann: f64) -> &[f32] {
        let last = self.conformers.len() - 1;
        let k = if u < boltzmann {
            let u = u / boltzmann;
            self.shares.iter().position(|&share| u < share).unwrap_or(last)
        } else {
            (((u - boltzmann) / (1.0 - boltzmann).max(f64::MIN_POSITIVE)) * self.conformers.len() as f64) as usize
        };
        &self.conformers[k.min(last)]
    }
}

fn centred(conformer: &[Point]) -> Vec<f32> {
    let n = conformer.len() as f64;
    let mean: Point = std::array::from_fn(|k| conformer.iter().map(|p| p[k]).sum::<f64>() / n);
    conformer.iter().flat_map(|p| std::array::from_fn::<f32, 3, _>(|k| (p[k] - mean[k]) as f32)).collect()
}

/// Examples in the order of their size, so that neighbours pad one another little.
#[derive(Clone, Debug)]
pub struct Examples(Vec<Example>);

impl Examples {
    /// Sorts examples by size.
    ///
    /// # Errors
    /// Without any.
    pub fn new(mut examples: Vec<Example>) -> Result<Self> {
        if examples.is_empty() {
            return Err(Error::Geometry { reason: "there is no molecule to train on".to_owned() });
        }
        examples.sort_by_key(|e| e.features.atoms);
        Ok(Self(examples))
    }

    /// Number of molecules.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: a set holds something.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Example `index`, the smallest first.
    pub fn get(&self, index: usize) -> &Example {
        &self.0[index]
    }

    /// The example of a row of a step. Rows of one group of `group` rows are of similar size: they are drawn around one place of the
    /// sorted list, within a hundredth of it, and that place is uniform.
    pub fn draw(&self, noise: Philox, step: u32, row: u32, group: u32) -> &Example {
        let n = self.0.len();
        let place = noise.below(n, row / group, step, stream::DATA);
        let reach = (n / 100).max(1);
        let offset = noise.below(2 * reach + 1, row, step, BESIDE);
        let index = (place + offset).saturating_sub(reach).min(n - 1);
        &self.0[index]
    }
}

/// Sets of examples, drawn with shares of their own.
#[derive(Clone, Debug)]
pub struct Mixture {
    sets: Vec<Examples>,
    /// Running sums that end in 1.
    shares: Vec<f64>,
}

impl Mixture {
    /// Sets with their shares of the training rows; without shares each set's is its number of molecules.
    ///
    /// # Errors
    /// Without a set, or with another number of shares than sets, or shares that are not positive.
    pub fn new(sets: Vec<Examples>, shares: &[f64]) -> Result<Self> {
        let weights: Vec<f64> = if shares.is_empty() { sets.iter().map(|set| set.len() as f64).collect() } else { shares.to_vec() };
        let total: f64 = weights.iter().sum();
        if sets.is_empty() || weights.len() != sets.len() || !weights.iter().all(|w| *w > 0.0 && w.is_finite()) {
            let reason = format!("should be one positive number for each of the {} training sets, in their order", sets.len());
            return Err(Error::Setting { name: "shares", reason });
        }
        let mut sum = 0.0;
        let shares = weights.iter().map(|w| {
            sum += w / total;
            sum
        });
        Ok(Self { shares: shares.collect(), sets })
    }

    /// The example of a row of a step; rows of one group of `group` rows are of one set and of similar size.
    pub fn draw(&self, noise: Philox, step: u32, row: u32, group: u32) -> &Example {
        let u = noise.uniform(row / group, step, SET);
        let set = self.shares.iter().position(|&share| u < share).unwrap_or(self.sets.len() - 1);
        self.sets[set].draw(noise, step, row, group)
    }
}
