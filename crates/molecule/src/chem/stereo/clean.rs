//! Which configurations mean something.

use super::{
    bridges::Bridges,
    sites::{Sites, distinct, prune, same_bond},
};
use crate::{
    Molecule,
    chem::{Rings, ranks},
};

/// Drops configurations that mean nothing: atoms that hold none, double bonds in small rings, and every one whose inversion gives the
/// same molecule.
pub(crate) fn clean(molecule: &mut Molecule, rings: &Rings) {
    if molecule.centres.is_empty() && molecule.double_bonds.is_empty() {
        return;
    }
    let sites = Sites::new(molecule, rings);
    let classes = ranks::classes(molecule);
    let mut centres: Vec<usize> = molecule.centres.iter().map(|c| c.atom).filter(|a| sites.centres.contains(a)).collect();
    let possible = |pair: &[usize; 2]| sites.doubles.iter().any(|&k| same_bond(molecule.bonds[k].atoms, *pair));
    let mut doubles: Vec<[usize; 2]> = molecule.double_bonds.iter().map(|d| d.atoms).filter(possible).collect();
    prune(&sites.adjacency, &classes, &mut centres, &mut doubles);
    molecule.centres.retain(|c| centres.contains(&c.atom));
    molecule.double_bonds.retain(|d| doubles.contains(&d.atoms));
    let tied = |a: usize, without: usize| !distinct(sites.others(a, without).map(|b| classes[b]));
    let unsure = centres.iter().filter(|a| tied(**a, usize::MAX)).map(|a| Doubt::Centre(*a));
    let mut doubtful: Vec<Doubt> = unsure.collect();
    doubtful.extend(doubles.iter().filter(|[a, b]| tied(*a, *b) || tied(*b, *a)).map(|pair| Doubt::Double(*pair)));
    if doubtful.is_empty() {
        return;
    }
    // One at a time, in an order that does not depend on the numbering: dropping one loses nothing, as both values are the same
    // molecule while the others are known.
    let bridges = Bridges::new(rings);
    while !doubtful.is_empty() {
        let ranks = ranks::canonical(molecule);
        doubtful.sort_by_key(|doubt| match doubt {
            Doubt::Centre(a) => (0, ranks[*a], 0),
            Doubt::Double([a, b]) => (1, ranks[*a].min(ranks[*b]), ranks[*a].max(ranks[*b])),
        });
        let Some(idle) = doubtful.iter().position(|doubt| is_idle(molecule, rings, &bridges, *doubt, &doubtful)) else { return };
        match doubtful.remove(idle) {
            Doubt::Centre(a) => molecule.centres.retain(|centre| centre.atom != a),
            Doubt::Double(pair) => molecule.double_bonds.retain(|double| double.atoms != pair),
        }
    }
}

/// Whether the inversion of `doubt` gives the same molecule; bridgeheads of small rings are inverted together. In a ring it must do so for
/// either value of every other doubtful centre of that ring: of 1,3,5-trimethylcyclohexane all three centres stay, although only their
/// relation matters.
fn is_idle(molecule: &mut Molecule, rings: &Rings, bridges: &Bridges, doubt: Doubt, doubtful: &[Doubt]) -> bool {
    if !same_inverted(molecule, bridges, doubt) {
        return false;
    }
    let Doubt::Centre(a) = doubt else { return true };
    doubtful.iter().all(|other| match *other {
        Doubt::Centre(b) if b != a && rings.shared_size(a, b).is_some() => {
            other.invert(molecule, bridges);
            let same = same_inverted(molecule, bridges, doubt);
            other.invert(molecule, bridges);
            same
        }
        _ => true,
    })
}

fn same_inverted(molecule: &mut Molecule, bridges: &Bridges, doubt: Doubt) -> bool {
    let before = ranks::certificate(molecule);
    doubt.invert(molecule, bridges);
    let same = ranks::certificate(molecule) == before;
    doubt.invert(molecule, bridges);
    same
}

#[derive(Clone, Copy)]
enum Doubt {
    Centre(usize),
    Double([usize; 2]),
}

impl Doubt {
    fn invert(self, molecule: &mut Molecule, bridges: &Bridges) {
        match self {
            Self::Centre(a) => {
                let group = bridges.group(molecule, a);
                molecule.centres.iter_mut().filter(|c| group.contains(&c.atom)).for_each(|c| c.positive = !c.positive);
            }
            Self::Double(pair) => molecule.double_bonds.iter_mut().filter(|d| d.atoms == pair).for_each(|d| d.cis = !d.cis),
        }
    }
}
