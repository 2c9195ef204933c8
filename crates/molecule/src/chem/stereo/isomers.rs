//! Configurations that are missing, and all ways to fill them in.

use super::{
    bridges::Bridges,
    clean,
    sites::{Sites, distinct, prune, same_bond},
};
use crate::{
    Centre, DoubleBond, Molecule,
    chem::{Rings, ranks},
};
use std::collections::BTreeSet;

/// Assignments that are tried to find out whether a centre with equal neighbours can be one.
const MAX_TRIALS: usize = 16;
/// Assignments that are tried per isomer that is asked for.
const TRIALS_PER_ISOMER: usize = 64;

/// Atoms and bonds that could have a configuration but have none given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unspecified {
    /// Tetrahedral centres.
    pub centres: Vec<usize>,
    /// Double bonds, as indices of bonds.
    pub double_bonds: Vec<usize>,
}

/// Centres and double bonds that could have a configuration but have none given. Nitrogens of aziridines, which invert freely, and
/// bridgeheads that follow from another one are left out.
pub fn unspecified(molecule: &Molecule) -> Unspecified {
    let rings = Rings::new(molecule);
    Open::new(molecule, &rings).unspecified(molecule, &rings)
}

/// Stereoisomers of a molecule: what is given stays, what is unspecified takes every value. At most `max`, without duplicates, in a
/// fixed order; the molecule itself where nothing is open. Bridgeheads of small rings are not turned inwards.
pub fn enumerate(molecule: &Molecule, max: usize) -> Vec<Molecule> {
    let rings = Rings::new(molecule);
    let mut open = Open::new(molecule, &rings);
    let Unspecified { centres, double_bonds } = open.unspecified(molecule, &rings);
    if centres.is_empty() && double_bonds.is_empty() || max == 0 {
        return vec![molecule.clone(); max.min(1)];
    }
    open.centres.retain(|a| centres.contains(a));
    open.doubles.retain(|k| double_bonds.contains(k));
    let base = open.filled(molecule);
    let groups = open.groups(&base);
    let trials = u32::try_from(groups.len()).ok().and_then(|n| 1_usize.checked_shl(n)).unwrap_or(usize::MAX);
    let mut isomers = Vec::new();
    let mut known = BTreeSet::new();
    for trial in 0..trials.min(max.saturating_mul(TRIALS_PER_ISOMER)) {
        let mut isomer = base.clone();
        for (_, group) in groups.iter().enumerate().filter(|(k, _)| *k < 64 && trial >> k & 1 == 1) {
            group.invert(&mut isomer);
        }
        clean(&mut isomer, &rings);
        if known.insert(ranks::certificate(&isomer)) {
            isomers.push(isomer);
        }
        if isomers.len() == max {
            break;
        }
    }
    isomers
}

/// Sites without a configuration.
struct Open {
    sites: Sites,
    bridges: Bridges,
    centres: Vec<usize>,
    /// Bonds.
    doubles: Vec<usize>,
    /// Whether every one is certain to be real.
    certain: bool,
}

/// What is inverted together.
enum Group {
    Centres(Vec<usize>),
    Double([usize; 2]),
}

impl Group {
    fn invert(&self, molecule: &mut Molecule) {
        match self {
            Self::Centres(atoms) => {
                molecule.centres.iter_mut().filter(|c| atoms.contains(&c.atom)).for_each(|c| c.positive = !c.positive);
            }
            Self::Double(pair) => molecule.double_bonds.iter_mut().filter(|d| d.atoms == *pair).for_each(|d| d.cis = !d.cis),
        }
    }
}

impl Open {
    fn new(molecule: &Molecule, rings: &Rings) -> Self {
        let sites = Sites::new(molecule, rings);
        let bridges = Bridges::new(rings);
        let mut settled: Vec<usize> = molecule.centres.iter().map(|c| c.atom).collect();
        let mut head = 0;
        while head < settled.len() {
            let fresh: Vec<usize> = bridges.partners(settled[head]).filter(|b| !settled.contains(b)).collect();
            settled.extend(fresh);
            head += 1;
        }
        let mut centres: Vec<usize> = sites.lasting(rings).collect();
        let mut pairs: Vec<[usize; 2]> = sites.doubles.iter().map(|&k| molecule.bonds[k].atoms).collect();
        let classes = ranks::classes(molecule);
        prune(&sites.adjacency, &classes, &mut centres, &mut pairs);
        centres.retain(|a| !settled.contains(a));
        pairs.retain(|pair| !molecule.double_bonds.iter().any(|d| same_bond(d.atoms, *pair)));
        let doubles: Vec<usize> = sites.doubles.iter().copied().filter(|k| pairs.contains(&molecule.bonds[*k].atoms)).collect();
        let sure = |a: usize, without: usize| distinct(sites.others(a, without).map(|b| classes[b]));
        let certain = centres.iter().all(|&a| sure(a, usize::MAX)) && pairs.iter().all(|&[a, b]| sure(a, b) && sure(b, a));
        Self { sites, bridges, centres, doubles, certain }
    }

    fn unspecified(&self, molecule: &Molecule, rings: &Rings) -> Unspecified {
        if self.certain {
            return Unspecified { centres: self.centres.clone(), double_bonds: self.doubles.clone() };
        }
        // Whether a centre with equal neighbours is real depends on the others: it is when it survives some assignment of them.
        let base = self.filled(molecule);
        let groups = self.groups(&base);
        let mut found = Unspecified::default();
        for trial in 0..MAX_TRIALS {
            let mut guess = base.clone();
            for (_, group) in groups.iter().enumerate().filter(|(k, _)| bit(trial, *k, groups.len())) {
                group.invert(&mut guess);
            }
            clean(&mut guess, rings);
            found.centres.extend(guess.centres.iter().map(|c| c.atom).filter(|a| self.centres.contains(a)));
            let real = |k: &usize| guess.double_bonds.iter().any(|d| same_bond(d.atoms, molecule.bonds[*k].atoms));
            found.double_bonds.extend(self.doubles.iter().copied().filter(real));
        }
        for list in [&mut found.centres, &mut found.double_bonds] {
            list.sort_unstable();
            list.dedup();
        }
        found
    }

    /// The molecule with some feasible configuration at every open site.
    fn filled(&self, molecule: &Molecule) -> Molecule {
        let mut filled = molecule.clone();
        filled.centres.extend(self.centres.iter().map(|&a| Centre { positive: true, ..self.sites.centre(a) }));
        filled.double_bonds.extend(self.doubles.iter().map(|&k| DoubleBond { cis: true, ..self.sites.double(molecule, k) }));
        self.bridges.settle(&mut filled);
        filled
    }

    fn groups(&self, filled: &Molecule) -> Vec<Group> {
        let mut seen = BTreeSet::new();
        let mut groups = Vec::new();
        for &a in &self.centres {
            if seen.insert(a) {
                let group = self.bridges.group(filled, a);
                seen.extend(group.iter().copied());
                groups.push(Group::Centres(group));
            }
        }
        groups.extend(self.doubles.iter().map(|&k| Group::Double(filled.bonds[k].atoms)));
        groups
    }
}

/// Whether group `k` is inverted in a trial: all combinations of few bits, spread ones of many.
fn bit(trial: usize, k: usize, count: usize) -> bool {
    if 1_usize.checked_shl(u32::try_from(count).unwrap_or(u32::MAX)).is_some_and(|all| all <= MAX_TRIALS) {
        return trial >> k & 1 == 1;
    }
    // An integer hash of the pair; trial 0 is all zero.
    let mixed = (trial as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (k as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    trial > 0 && (mixed ^ mixed >> 31).wrapping_mul(0x94d0_49bb_1331_11eb) >> 63 == 1
}
