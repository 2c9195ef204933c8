//! The models that `gen molecule` draws with.

use std::ops::{ControlFlow, Range};

use langevin_core::{Philox, recipe::Run};

use super::{
    conformer::{Conformers, Walk},
    geodiff::{self, GeoDiff, Method},
    steer::Steer,
};
use crate::{Molecule, Point, Result, features::Features};

/// One fragment of which conformers are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its graph, of at least two atoms.
    pub molecule: &'a Molecule,
    /// What the network reads of it.
    pub features: &'a Features,
    /// Level of theory whose geometries are wanted, as a number of the config's.
    pub level: usize,
}

/// A model with its way of sampling: what makes positions of one fragment.
pub trait Draw: Sync {
    /// Network evaluations of a conformer.
    fn evaluations(&self) -> usize;

    /// Conformers `samples` (a whole micro-batch) of a fragment, positions in angstrom.
    ///
    /// # Errors
    /// What the model or the core refuses.
    fn draw(
        &self,
        subject: Subject<'_>,
        samples: Range<u32>,
        noise: Philox,
        steer: Steer<'_>,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<Vec<Point>>>>;
}

/// The conformer model along a run.
#[derive(Debug)]
pub struct Diffusion<'a> {
    /// The model.
    pub model: &'a Conformers,
    /// The run.
    pub run: &'a Run,
}

impl Draw for Diffusion<'_> {
    fn evaluations(&self) -> usize {
        self.run.nfe()
    }

    fn draw(
        &self,
        subject: Subject<'_>,
        samples: Range<u32>,
        noise: Philox,
        steer: Steer<'_>,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<Vec<Point>>>> {
        self.model.sample(subject.features, samples, Walk { run: self.run, level: subject.level, steer }, noise, observe)
    }
}

/// GeoDiff by one of its samplers. It takes no steering.
#[derive(Debug)]
pub struct Published<'a> {
    /// The model.
    pub model: &'a GeoDiff,
    /// Langevin dynamics, or a solver.
    pub method: Method,
    /// Steps.
    pub steps: usize,
}

impl Draw for Published<'_> {
    fn evaluations(&self) -> usize {
        self.steps
    }

    fn draw(
        &self,
        subject: Subject<'_>,
        samples: Range<u32>,
        noise: Philox,
        _steer: Steer<'_>,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<Vec<Point>>>> {
        let requests: Vec<_> = samples.map(|sample| geodiff::Request { molecule: subject.molecule, noise, sample }).collect();
        self.model.sample(&requests, self.method, self.steps, observe)
    }
}
