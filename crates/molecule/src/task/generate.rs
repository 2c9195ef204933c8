//! `gen molecule`: molecules become conformers, checked, and drawn again where a check fails.

use std::ops::{ControlFlow, Range};

use langevin_core::Philox;
use langevin_nn::Sampler;

use super::{
    aim::{Aim, Relax},
    conformer::MICRO_BATCH,
    draw::{Draw, Subject},
    steer::{Held, Steer, Trajectory},
};
use crate::{
    Bond, Centre, DoubleBond, Error, Molecule, Point, Result,
    features::Features,
    geometry::{BoundsTable, Checker, ForceField, Restraints, Validity, pack},
};

/// Step along the gradient of restraints on the way, in angstrom^2 per unit of their energy.
const PULL: f64 = 0.002;
/// Most steps of minimisation of restraints, and of the force field.
const BOUNDS_STEPS: usize = 40;
const FIELD_STEPS: usize = 250;

/// How to make conformers.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Conformers of each molecule.
    pub n: u32,
    /// Seed.
    pub seed: u64,
    /// Times that a conformer which fails a check is drawn again.
    pub retry: u32,
    /// Strength with which conformers keep apart.
    pub diversity: f64,
    /// Conformers drawn for each but the first, of which [`spread`](super::spread()) keeps one; 1 keeps all. `None` draws two where energies
    /// tell the better one, else one.
    pub candidates: Option<u32>,
}

impl Request {
    /// Conformers drawn for each but the first of a job.
    pub fn candidates(&self, job: &Job) -> u32 {
        self.candidates.unwrap_or(if job.has_field() { 2 } else { 1 })
    }
}

/// One molecule to make conformers of.
#[derive(Debug)]
pub struct Job {
    /// The molecule.
    pub molecule: Molecule,
    /// Its noise: molecules given by the same string have the same conformers, wherever they stand.
    key: u64,
    aim: Aim,
    fragments: Vec<Fragment>,
}

#[derive(Debug)]
struct Fragment {
    /// Numbers of its atoms in the whole molecule.
    atoms: Vec<usize>,
    molecule: Molecule,
    features: Features,
    restraints: Restraints,
    field: Option<ForceField>,
    held: Option<Held>,
}

impl Job {
    /// Prepares a molecule. `text` is the string that the user gave: with the seed it addresses the noise.
    ///
    /// # Errors
    /// A molecule without atoms, or held atoms that are not there or all in different fragments.
    pub fn new(text: &str, molecule: Molecule, table: &BoundsTable, held: Option<&Held>, aim: Aim) -> Result<Self> {
        let refuse = |reason: String| Err(Error::Geometry { reason });
        if molecule.atoms.is_empty() {
            return refuse("a molecule without atoms has no conformers".to_owned());
        }
        if let Some(a) = held.into_iter().flat_map(|h| &h.atoms).map(|h| h.0).find(|a| *a >= molecule.atoms.len()) {
            return refuse(format!("atom {} is to be held, but the molecule has {} atoms", a + 1, molecule.atoms.len()));
        }
        let (of, count) = molecule.fragments();
        if held.is_some() && count > 1 {
            return refuse("atoms can be held in a molecule of one fragment only".to_owned());
        }
        let fragments = (0..count).map(|k| {
            let atoms: Vec<usize> = (0..of.len()).filter(|&a| of[a] == k).collect();
            let part = part(&molecule, &atoms);
            Fragment {
                features: Features::new(&part),
                restraints: Restraints::new(&part, table),
                field: (aim.relax == Relax::Mmff94s).then(|| ForceField::new(&part)).flatten(),
                held: held.cloned(),
                molecule: part,
                atoms,
            }
        });
        Ok(Self { key: hash(text), aim, fragments: fragments.collect(), molecule })
    }

    /// Whether energies of its conformers are those of MMFF94s, in kcal/mol; else they measure restraints that are not met.
    pub fn has_field(&self) -> bool {
        self.fragments.iter().all(|fragment| fragment.field.is_some() || fragment.atoms.len() == 1)
    }
}

/// The atoms `atoms` of a molecule as a molecule.
fn part(molecule: &Molecule, atoms: &[usize]) -> Molecule {
    let mut of = vec![usize::MAX; molecule.atoms.len()];
    atoms.iter().enumerate().for_each(|(k, &a)| of[a] = k);
    let inside = |a: usize| of[a] != usize::MAX;
    let bonds = molecule.bonds.iter().filter(|b| inside(b.atoms[0]) && inside(b.atoms[1]));
    let centres = molecule.centres.iter().filter(|c| inside(c.atom));
    let doubles = molecule.double_bonds.iter().filter(|d| inside(d.atoms[0]));
    Molecule {
        atoms: atoms.iter().map(|&a| molecule.atoms[a]).collect(),
        bonds: bonds.map(|b| Bond { atoms: b.atoms.map(|a| of[a]), ..*b }).collect(),
        centres: centres
            .map(|c| Centre { atom: of[c.atom], neighbours: c.neighbours.iter().map(|&a| of[a]).collect(), positive: c.positive })
            .collect(),
        double_bonds: doubles.map(|d| DoubleBond { atoms: d.atoms.map(|a| of[a]), ends: d.ends.map(|a| of[a]), cis: d.cis }).collect(),
    }
}

/// FNV-1a of a string.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// A conformer.
#[derive(Clone, Debug)]
pub struct Conformer {
    /// Number of its molecule in the jobs.
    pub job: usize,
    /// Its number among those of the molecule.
    pub index: u32,
    /// Positions in angstrom, atoms in the order of the molecule.
    pub positions: Vec<Point>,
    /// What the checks found.
    pub validity: Validity,
    /// Sum of its fragments' energies by MMFF94s in kcal/mol where the job [has](Job::has_field) that force field; else the energy of the
    /// restraints that are left, a measure of strain in arbitrary units.
    pub energy: f64,
    /// What was done to all of its fragments.
    pub relax: Relax,
    /// Times it was drawn.
    pub draws: u32,
}

/// One conformer of one fragment after its checks.
#[derive(Clone, Debug)]
pub struct Drawn {
    positions: Vec<Point>,
    validity: Validity,
    energy: f64,
    relax: Relax,
}

/// Jobs bound to a model: the engine's sampler. Rows are conformers, every molecule's a whole number of micro-batches.
pub struct Generation<'a> {
    model: &'a dyn Draw,
    request: &'a Request,
    jobs: &'a [Job],
    /// First row of each job, and the end.
    starts: Vec<u32>,
    trajectory: Option<&'a Trajectory>,
}

impl std::fmt::Debug for Generation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation").field("request", &self.request).field("jobs", &self.jobs.len()).finish_non_exhaustive()
    }
}

impl<'a> Generation<'a> {
    /// Binds jobs to a model. Estimates of the first conformer go to `trajectory`.
    pub fn new(model: &'a dyn Draw, request: &'a Request, jobs: &'a [Job], trajectory: Option<&'a Trajectory>) -> Self {
        let mut starts = vec![0];
        for job in jobs {
            let rows = drawn(request, job).div_ceil(MICRO_BATCH) * MICRO_BATCH;
            starts.push(starts[starts.len() - 1] + rows);
        }
        Self { model, request, jobs, starts, trajectory }
    }

    /// Rows of the engine's batch: those of all jobs.
    pub fn rows(&self) -> Range<u32> {
        0..self.starts[self.jobs.len()]
    }

    /// Job and conformer of a row.
    fn place(&self, row: u32) -> (usize, u32) {
        let job = self.starts.partition_point(|&start| start <= row) - 1;
        (job, row - self.starts[job])
    }

    /// Conformers of one fragment, with the number of draws of each.
    fn draw(
        &self,
        job: &Job,
        number: u32,
        samples: Range<u32>,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<(Drawn, u32)>>> {
        let fragment = &job.fragments[number as usize];
        let trajectory = self.trajectory.filter(|_| samples.start == 0 && number == 0);
        if fragment.atoms.len() == 1 {
            let positions = vec![[0.0; 3]];
            let validity = Checker::new(&fragment.molecule).check(&positions);
            let drawn = Drawn { positions, validity, energy: 0.0, relax: job.aim.relax };
            return Ok(ControlFlow::Continue(samples.map(|_| (drawn.clone(), 1)).collect()));
        }
        let checker = Checker::new(&fragment.molecule);
        let mut best: Vec<Option<(Drawn, u32)>> = samples.clone().map(|_| None).collect();
        for attempt in 0..=self.request.retry {
            let words = Philox::new(self.request.seed).words([job.key as u32, (job.key >> 32) as u32, number, attempt]);
            let noise = Philox::new(u64::from(words[0]) << 32 | u64::from(words[1]));
            let steer = Steer {
                restraints: (job.aim.relax != Relax::None).then_some((&fragment.restraints, PULL)),
                diversity: self.request.diversity,
                held: fragment.held.as_ref(),
                trajectory: trajectory.filter(|_| attempt == 0),
            };
            let subject = Subject { molecule: &fragment.molecule, features: &fragment.features, level: job.aim.level };
            let found = self.model.draw(subject, samples.clone(), noise, steer, observe)?;
            let ControlFlow::Continue(found) = found else { return Ok(ControlFlow::Break(())) };
            for (slot, positions) in best.iter_mut().zip(found) {
                if slot.as_ref().is_some_and(|(drawn, _)| drawn.validity.valid()) {
                    continue;
                }
                let drawn = checked(job, fragment, &checker, positions);
                let better = slot.as_ref().is_none_or(|(held, _)| passed(&drawn.validity) > passed(&held.validity));
                if better {
                    *slot = Some((drawn, attempt + 1));
                }
            }
            // Rows beyond the wanted ones do not ask for another draw.
            let wanted = samples.clone().zip(&best).filter(|(sample, _)| *sample < drawn(self.request, job));
            if wanted.filter_map(|(_, slot)| slot.as_ref()).all(|(drawn, _)| drawn.validity.valid()) {
                break;
            }
        }
        Ok(ControlFlow::Continue(best.into_iter().map(|slot| slot.expect("the first attempt fills every slot")).collect()))
    }
}

/// Conformers that are drawn of a job: the first, and candidates for each other.
fn drawn(request: &Request, job: &Job) -> u32 {
    1 + request.n.saturating_sub(1).saturating_mul(request.candidates(job))
}

/// Positions of a fragment, relaxed as its job wants and checked.
fn checked(job: &Job, fragment: &Fragment, checker: &Checker<'_>, mut positions: Vec<Point>) -> Drawn {
    // Held atoms stay to the last digit, so nothing is moved beside them.
    let relax = if fragment.held.is_some() { Relax::None } else { job.aim.relax };
    let field = if job.has_field() { fragment.field.as_ref() } else { None };
    let strain = match relax {
        Relax::None => fragment.restraints.energy(&positions),
        Relax::Bounds | Relax::Mmff94s => fragment.restraints.minimise(&mut positions, BOUNDS_STEPS),
    };
    if let (Relax::Mmff94s, Some(field)) = (relax, field) {
        let mut lower = positions.clone();
        let energy = field.minimise(&mut lower, FIELD_STEPS);
        let validity = checker.check(&lower);
        // A strained centre may turn over on its way down.
        if energy.is_finite() && validity.valid() {
            return Drawn { positions: lower, validity, energy, relax };
        }
    }
    let energy = field.map_or(strain, |field| field.energy(&positions));
    let relax = if relax == Relax::Mmff94s { Relax::Bounds } else { relax };
    Drawn { validity: checker.check(&positions), energy, relax, positions }
}

impl Sampler for Generation<'_> {
    type Raw = Result<Vec<(Drawn, u32)>>;
    type Item = Option<Result<Conformer>>;

    fn micro_batch(&self) -> u32 {
        MICRO_BATCH
    }

    fn sample(&self, rows: Range<u32>, observe: &dyn Fn() -> ControlFlow<()>) -> ControlFlow<(), Vec<Self::Raw>> {
        let (job, first) = self.place(rows.start);
        let job = &self.jobs[job];
        let samples = first..first + rows.len() as u32;
        let mut of_rows: Vec<Self::Raw> = samples.clone().map(|_| Ok(Vec::new())).collect();
        if first >= drawn(self.request, job) {
            return ControlFlow::Continue(of_rows);
        }
        for number in 0..job.fragments.len() as u32 {
            match self.draw(job, number, samples.clone(), observe) {
                Ok(ControlFlow::Break(())) => return ControlFlow::Break(()),
                Ok(ControlFlow::Continue(drawn)) => {
                    for (row, drawn) in of_rows.iter_mut().zip(drawn) {
                        if let Ok(parts) = row {
                            parts.push(drawn);
                        }
                    }
                }
                Err(error) => {
                    let reason = error.to_string();
                    of_rows.iter_mut().for_each(|row| *row = Err(Error::Geometry { reason: reason.clone() }));
                    break;
                }
            }
        }
        ControlFlow::Continue(of_rows)
    }

    fn finish(&self, row: u32, raw: Self::Raw) -> Self::Item {
        let (job, index) = self.place(row);
        let whole = &self.jobs[job];
        if index >= drawn(self.request, whole) {
            return None;
        }
        Some(raw.map(|parts| {
            let energy = parts.iter().map(|(drawn, _)| drawn.energy).sum();
            let draws = parts.iter().map(|(_, draws)| *draws).max().unwrap_or(0);
            let relax = parts.iter().map(|(drawn, _)| drawn.relax).min().unwrap_or(whole.aim.relax);
            let mut positions = vec![[0.0; 3]; whole.molecule.atoms.len()];
            for (fragment, (drawn, _)) in whole.fragments.iter().zip(&parts) {
                fragment.atoms.iter().zip(&drawn.positions).for_each(|(&a, &p)| positions[a] = p);
            }
            pack(&whole.molecule, &mut positions);
            let validity = Checker::new(&whole.molecule).check(&positions);
            Conformer { job, index, validity, positions, energy, relax, draws }
        }))
    }
}

/// How much of the checks a conformer passes; its configuration counts for more than all else.
fn passed(validity: &Validity) -> u32 {
    let flags = [validity.finite, validity.bonds, validity.clash_free, validity.flat, validity.connected];
    flags.into_iter().map(u32::from).sum::<u32>() + 8 * u32::from(validity.stereo)
}
