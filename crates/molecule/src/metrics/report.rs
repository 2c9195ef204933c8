//! A generated set beside its references.

use super::{
    coverage::{Coverage, Summary},
    distributions::{Coordinates, Distances},
};
use crate::{
    Molecule, Point,
    chem::{ranks, stereo},
    geometry::{Checker, SymmetricRmsd, Validity, isomorphisms},
    io::{Record, jsonl::difference, without_hydrogens},
};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// What counts.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// RMSD up to which a conformer covers another, angstrom: 0.5 for molecules of QM9, 0.75 for drugs.
    pub threshold: f64,
    /// RMSD below which one generated conformer repeats another, angstrom.
    pub duplicate: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { threshold: 0.5, duplicate: 0.05 }
    }
}

/// Scores of one molecule.
#[derive(Clone, Debug, Serialize)]
pub struct MoleculeScore {
    /// SMILES, or name, of the reference.
    pub molecule: String,
    /// Reference conformers.
    pub references: usize,
    /// Generated conformers.
    pub generated: usize,
    /// `None` where nothing was generated that can be compared.
    pub coverage: Option<Coverage>,
    /// Generated conformers with nothing wrong.
    pub valid: usize,
    /// Generated conformers with the configuration of the reference.
    pub stereo_kept: usize,
    /// Generated conformers that repeat an earlier one.
    pub duplicates: usize,
    /// What is wrong with the first that is not valid.
    pub problem: Option<String>,
}

/// Scores of a set. Heavy-atom RMSD throughout, least over graph symmetries.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Molecules with references.
    pub molecules: usize,
    /// Of them without any generated conformer.
    pub missing: usize,
    /// Generated molecules without references; they are not looked at.
    pub unknown: usize,
    /// Reference conformers.
    pub references: usize,
    /// Generated conformers of molecules with references.
    pub generated: usize,
    /// Threshold of coverage, angstrom.
    pub threshold: f64,
    /// Share of references covered; missing molecules count 0.
    pub cov_r: Summary,
    /// Mean distance of references to the nearest generated conformer, angstrom, over molecules that are there.
    pub mat_r: Option<Summary>,
    /// Share of generated conformers near a reference; missing molecules count 0.
    pub cov_p: Summary,
    /// Mean distance of generated conformers to the nearest reference, angstrom, over molecules that are there.
    pub mat_p: Option<Summary>,
    /// Share of generated conformers with nothing wrong.
    pub valid: Option<f64>,
    /// Share of generated conformers with every given configuration.
    pub stereo_kept: Option<f64>,
    /// Share of generated conformers that repeat an earlier one of their molecule.
    pub duplicates: Option<f64>,
    /// Number of generated conformers by what is wrong with them.
    pub faults: BTreeMap<&'static str, usize>,
    /// Distances of the distributions of internal coordinates.
    pub wasserstein: Distances,
    /// Each molecule, in the order of the references.
    pub scores: Vec<MoleculeScore>,
}

/// Compares generated conformers with references, molecules in parallel.
///
/// A generated molecule belongs to the reference with the same SMILES, or else to one with the same graph and configuration. Without
/// references every share of molecules is 0.
pub fn evaluate(reference: &[Record], generated: &[Record], options: &Options) -> Report {
    let of = assign(reference, generated);
    let one = |(record, found): (&Record, &Option<usize>)| score(record, found.map(|k| &generated[k]), options);
    let mut parts: Vec<Scored> = reference.par_iter().zip(&of).map(one).collect();
    let [mut ours, mut theirs] = [Coordinates::default(), Coordinates::default()];
    for (record, found) in reference.iter().zip(&of) {
        if let Some(k) = found {
            theirs.add(&record.molecule, &record.conformers);
            ours.add(&generated[*k].molecule, &generated[*k].conformers);
        }
    }
    let mut faults = BTreeMap::new();
    parts.iter().flat_map(|p| &p.faults).for_each(|(name, count)| *faults.entry(*name).or_default() += count);
    let scores: Vec<MoleculeScore> = parts.drain(..).map(|p| p.score).collect();
    let shares = |value: fn(&Coverage) -> f64| scores.iter().map(move |s| s.coverage.as_ref().map_or(0.0, value));
    let means = |value: fn(&Coverage) -> f64| scores.iter().filter_map(move |s| s.coverage.as_ref().map(value));
    let sum = |value: fn(&MoleculeScore) -> usize| scores.iter().map(value).sum::<usize>();
    let count = sum(|s| s.generated);
    let share = |part: usize| (count > 0).then(|| part as f64 / count as f64);
    let nothing = Summary { mean: 0.0, median: 0.0 };
    Report {
        molecules: reference.len(),
        missing: scores.iter().filter(|s| s.coverage.is_none()).count(),
        unknown: generated.len() - of.iter().flatten().count(),
        references: sum(|s| s.references),
        generated: count,
        threshold: options.threshold,
        cov_r: Summary::new(shares(|c| c.cov_r)).unwrap_or(nothing),
        mat_r: Summary::new(means(|c| c.mat_r)),
        cov_p: Summary::new(shares(|c| c.cov_p)).unwrap_or(nothing),
        mat_p: Summary::new(means(|c| c.mat_p)),
        valid: share(sum(|s| s.valid)),
        stereo_kept: share(sum(|s| s.stereo_kept)),
        duplicates: share(sum(|s| s.duplicates)),
        faults,
        wasserstein: ours.distances(&theirs),
        scores,
    }
}

/// For each reference the generated record that belongs to it; each belongs to one only.
fn assign(reference: &[Record], generated: &[Record]) -> Vec<Option<usize>> {
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    for (k, record) in generated.iter().enumerate().rev() {
        for name in [&record.name, &record.smiles] {
            if !name.is_empty() {
                by_name.insert(name, k);
            }
        }
    }
    let mut taken = vec![false; generated.len()];
    let mut of: Vec<Option<usize>> = vec![None; reference.len()];
    for (slot, record) in of.iter_mut().zip(reference) {
        if let Some(&k) = by_name.get(record.smiles.as_str()).filter(|k| !taken[**k]) {
            taken[k] = true;
            *slot = Some(k);
        }
    }
    if of.iter().all(Option::is_some) || taken.iter().all(|t| *t) {
        return of;
    }
    let key = |molecule: &Molecule| ranks::certificate(&without_hydrogens(molecule, &[]).0);
    let mut by_graph: HashMap<Vec<u64>, usize> = HashMap::new();
    for (k, record) in generated.iter().enumerate().filter(|(k, _)| !taken[*k]).rev() {
        by_graph.insert(key(&record.molecule), k);
    }
    for (slot, record) in of.iter_mut().zip(reference).filter(|(slot, _)| slot.is_none()) {
        *slot = by_graph.remove(&key(&record.molecule));
    }
    of
}

struct Scored {
    score: MoleculeScore,
    faults: BTreeMap<&'static str, usize>,
}

fn score(reference: &Record, generated: Option<&Record>, options: &Options) -> Scored {
    let name = if reference.smiles.is_empty() { &reference.name } else { &reference.smiles };
    let mut score = MoleculeScore {
        molecule: name.clone(),
        references: reference.conformers.len(),
        generated: 0,
        coverage: None,
        valid: 0,
        stereo_kept: 0,
        duplicates: 0,
        problem: None,
    };
    let mut faults = BTreeMap::new();
    let Some(generated) = generated else { return Scored { score, faults } };
    score.generated = generated.conformers.len();
    if let Some(rmsd) = SymmetricRmsd::between(&generated.molecule, &reference.molecule, false) {
        score.coverage = Coverage::new(&rmsd, &generated.conformers, &reference.conformers, options.threshold);
    }
    let own = SymmetricRmsd::new(&generated.molecule, false);
    let repeats = |k: &usize| (0..*k).any(|j| own.rmsd(&generated.conformers[*k], &generated.conformers[j]) < options.duplicate);
    score.duplicates = (0..score.generated).filter(repeats).count();
    let judge = Judge::new(&reference.molecule, &generated.molecule);
    let checker = Checker::new(judge.molecule());
    for positions in &generated.conformers {
        let found = judge.check(&checker, positions);
        score.valid += usize::from(found.valid());
        score.stereo_kept += usize::from(found.stereo);
        let parts = [
            ("not finite", found.finite),
            ("bond length", found.bonds || !found.finite),
            ("clash", found.clash_free || !found.finite),
            ("twisted ring", found.flat || !found.finite),
            ("connectivity", found.connected || !found.finite),
            ("stereo", found.stereo || !found.finite),
        ];
        parts.into_iter().filter(|p| !p.1).for_each(|p| *faults.entry(p.0).or_default() += 1);
        score.problem = score.problem.take().or(found.problem);
    }
    Scored { score, faults }
}

/// Which graph generated positions are checked against: the reference's, whose configuration was asked for.
enum Judge {
    /// Atoms in the reference's order; without hydrogens if they were left out.
    Same(Molecule),
    /// Atoms of another order: for each mapping, the generated atom of each atom of the molecule.
    Mapped(Molecule, Vec<Vec<usize>>),
}

impl Judge {
    fn new(reference: &Molecule, generated: &Molecule) -> Self {
        let (heavy, _) = without_hydrogens(reference, &[]);
        for candidate in [reference, &heavy] {
            if difference(candidate, generated).is_none() {
                return Self::Same(candidate.clone());
            }
        }
        for candidate in [reference.clone(), heavy] {
            let maps = isomorphisms(&candidate, generated, true);
            if !maps.is_empty() {
                return Self::Mapped(candidate, maps);
            }
        }
        Self::Same(generated.clone())
    }

    fn molecule(&self) -> &Molecule {
        match self {
            Self::Same(molecule) | Self::Mapped(molecule, _) => molecule,
        }
    }

    fn check(&self, checker: &Checker<'_>, positions: &[Point]) -> Validity {
        let (molecule, maps) = match self {
            Self::Same(_) => return checker.check(positions),
            Self::Mapped(molecule, maps) => (molecule, maps),
        };
        let reordered = |map: &Vec<usize>| map.iter().map(|&k| positions.get(k).copied().unwrap_or([f64::NAN; 3])).collect::<Vec<Point>>();
        // A symmetry of the graph may exchange mirror images of one another, so any mapping may be the one that keeps them.
        let kept = maps.iter().map(reordered).find(|p| stereo::kept(molecule, p));
        checker.check(&kept.unwrap_or_else(|| reordered(&maps[0])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{BoundsTable, Restraints};

    /// A record with relaxed conformers that begin at points without meaning.
    fn record(smiles: &str, conformers: usize) -> Record {
        let molecule = Molecule::from_smiles(smiles).expect("SMILES");
        let restraints = Restraints::new(&molecule, &BoundsTable::default());
        let start = |seed: usize| {
            (0..molecule.atoms.len()).map(|k| [1, 2, 3].map(|d| 2.0 * ((7 * seed + d * k + d * d) as f64).sin())).collect::<Vec<Point>>()
        };
        let relaxed = (0..400).map(start).map(|mut p| (restraints.minimise(&mut p, 1000), p));
        let checker = Checker::new(&molecule);
        let good: Vec<Vec<Point>> =
            relaxed.filter(|(e, p)| *e < 1.0 && checker.check(p).valid()).map(|(_, p)| p).take(conformers).collect();
        assert_eq!(good.len(), conformers, "{smiles}");
        Record { name: smiles.into(), smiles: smiles.into(), molecule, conformers: good, ..Record::default() }
    }

    #[test]
    fn a_set_beside_itself_is_perfect() {
        let set = [record("C[C@H](F)O", 2), record("CCO", 1)];
        let report = evaluate(&set, &set, &Options::default());
        assert_eq!((report.molecules, report.missing, report.generated, report.unknown), (2, 0, 3, 0));
        assert_eq!((report.cov_r.mean, report.cov_p.mean, report.valid, report.stereo_kept), (1.0, 1.0, Some(1.0), Some(1.0)));
        assert!(report.mat_r.expect("there").mean < 1e-6 && report.wasserstein.bonds.expect("there") < 1e-9);
        assert!(report.faults.is_empty());
    }

    #[test]
    fn what_is_missing_counts_as_nothing() {
        let [a, b] = [record("CCO", 1), record("CCN", 1)];
        let report = evaluate(&[a.clone(), b], &[a, record("CCF", 1)], &Options::default());
        assert_eq!((report.missing, report.unknown, report.cov_r.mean, report.cov_p.mean), (1, 1, 0.5, 0.5));
        assert!(report.mat_r.expect("one is there").mean < 1e-6);
        let none = evaluate(&[record("CCO", 1)], &[], &Options::default());
        assert_eq!((none.cov_r.mean, none.mat_r, none.valid), (0.0, None, None));
    }

    #[test]
    fn mirror_images_and_broken_geometries_are_counted() {
        let right = record("C[C@H](F)O", 1);
        let mut wrong = right.clone();
        wrong.conformers.push(wrong.conformers[0].iter().map(|[x, y, z]| [*x, *y, -z]).collect());
        wrong.conformers.push(wrong.conformers[0].iter().map(|p| p.map(|v| 2.0 * v)).collect());
        wrong.conformers.push(vec![[f64::NAN; 3]; right.molecule.atoms.len()]);
        wrong.conformers.push(wrong.conformers[0].clone());
        let report = evaluate(&[right], &[wrong], &Options::default());
        assert_eq!((report.valid, report.stereo_kept, report.duplicates), (Some(0.4), Some(0.6), Some(0.2)));
        assert_eq!(report.faults, BTreeMap::from([("not finite", 1), ("stereo", 1), ("bond length", 1), ("connectivity", 1)]));
        assert!(report.scores[0].problem.as_ref().is_some_and(|p| p.contains("configuration")));
    }

    #[test]
    fn other_names_and_orders_are_recognised() {
        let reference = record("C[C@H](F)O", 1);
        // The same molecule as another program names and orders it.
        let other = Molecule::from_smiles("O[C@H](C)F").expect("SMILES");
        let map = isomorphisms(&other, &reference.molecule, true)
            .into_iter()
            .map(|m| m.iter().map(|&k| reference.conformers[0][k]).collect::<Vec<_>>());
        let positions = map.into_iter().find(|p| stereo::kept(&other, p)).expect("the same molecule");
        let renamed = Record {
            name: "x".into(),
            smiles: String::new(),
            molecule: other.clone(),
            conformers: vec![positions.clone()],
            ..Record::default()
        };
        let report = evaluate(std::slice::from_ref(&reference), std::slice::from_ref(&renamed), &Options::default());
        assert_eq!((report.missing, report.valid), (0, Some(1.0)));
        assert!(report.mat_r.expect("there").mean < 1e-6);
        // Without hydrogens too.
        let (heavy, rest) = without_hydrogens(&other, &positions);
        let bare = Record { molecule: heavy, conformers: vec![rest], ..renamed };
        let report = evaluate(&[reference], &[bare], &Options::default());
        assert_eq!((report.missing, report.valid, report.stereo_kept), (0, Some(1.0), Some(1.0)));
    }
}
