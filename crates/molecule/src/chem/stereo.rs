//! Configurations: which are real, which are missing, and whether a geometry has them.

use super::{Rings, bridges::Bridges, ranks, refine::plain_hydrogen};
use crate::{Centre, DoubleBond, Element, Molecule, Point};

/// Least magnitude of [`volume`] that counts as tetrahedral (0.77 when ideal).
pub const MIN_VOLUME: f64 = 0.1;
/// Least magnitude of the cosine of a double bond's dihedral angle that counts as cis or trans.
pub const MIN_COSINE: f64 = 0.5;
/// Double bonds in smaller rings are always cis.
const MIN_RING: usize = 8;
/// Assignments that are tried to find out whether a centre with equal neighbours can be one.
const MAX_TRIALS: usize = 16;

/// Atoms and bonds that could have a configuration but have none given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unspecified {
    /// Tetrahedral centres.
    pub centres: Vec<usize>,
    /// Double bonds, as indices of bonds.
    pub double_bonds: Vec<usize>,
}

/// Mean triple product of the unit vectors from a centre to three of its neighbours at a time: between -1 and 1, positive as
/// [`Centre::positive`]. One of four triples alone may lie in a plane with the centre, where small rings meet.
pub fn volume(centre: &Centre, positions: &[Point]) -> f64 {
    let c = positions[centre.atom];
    let unit = |k: usize| normalised(minus(positions[centre.neighbours[k]], c));
    let triple = |i: usize, j: usize, k: usize| dot(unit(i), cross(unit(j), unit(k)));
    match centre.neighbours.len() {
        4 => (triple(0, 1, 2) - triple(0, 1, 3) + triple(0, 2, 3) - triple(1, 2, 3)) / 4.0,
        _ => triple(0, 1, 2),
    }
}

/// Cosine of the dihedral angle between the two ends of a double bond: 1 is cis, -1 trans.
pub fn cosine(double: &DoubleBond, positions: &[Point]) -> f64 {
    let [a, b] = double.atoms.map(|k| positions[k]);
    let axis = normalised(minus(b, a));
    let off = |end: usize, from: Point| {
        let v = minus(positions[end], from);
        let along = dot(v, axis);
        normalised([v[0] - along * axis[0], v[1] - along * axis[1], v[2] - along * axis[2]])
    };
    dot(off(double.ends[0], a), off(double.ends[1], b))
}

/// Whether a geometry has every configuration that the molecule gives.
pub fn kept(molecule: &Molecule, positions: &[Point]) -> bool {
    positions.len() == molecule.atoms.len()
        && molecule.centres.iter().all(|centre| volume(centre, positions) * sign(centre.positive) >= MIN_VOLUME)
        && molecule.double_bonds.iter().all(|double| cosine(double, positions) * sign(double.cis) >= MIN_COSINE)
}

/// All configurations of a geometry, given or not. Flat centres and twisted double bonds have none.
///
/// `positions` holds one point for every atom.
pub fn from_positions(molecule: &Molecule, positions: &[Point]) -> (Vec<Centre>, Vec<DoubleBond>) {
    let rings = Rings::new(molecule);
    let sites = Sites::new(molecule, &rings);
    let mut seen = molecule.clone();
    seen.centres = sites.lasting(&rings).map(|a| sites.centre(a)).collect();
    seen.centres.retain_mut(|centre| {
        let volume = volume(centre, positions);
        centre.positive = volume > 0.0;
        volume.abs() >= MIN_VOLUME
    });
    seen.double_bonds = sites.doubles.iter().map(|&k| sites.double(molecule, k)).collect();
    seen.double_bonds.retain_mut(|double| {
        let cosine = cosine(double, positions);
        double.cis = cosine > 0.0;
        cosine.abs() >= MIN_COSINE
    });
    clean(&mut seen, &rings);
    // What the other bridgehead says already needs no lone pair to say it again.
    let bridges = Bridges::new(&rings);
    let given: Vec<usize> = seen.centres.iter().filter(|c| c.neighbours.len() == 4).map(|c| c.atom).collect();
    seen.centres.retain(|c| c.neighbours.len() == 4 || !bridges.partners(c.atom).any(|b| given.contains(&b)));
    (seen.centres, seen.double_bonds)
}

/// Centres and double bonds that could have a configuration but have none given.
pub fn unspecified(molecule: &Molecule) -> Unspecified {
    let rings = Rings::new(molecule);
    let sites = Sites::new(molecule, &rings);
    let bridges = Bridges::new(&rings);
    // A bridgehead of a small ring system follows from the other one.
    let settled = |a: usize| molecule.centres.iter().any(|c| c.atom == a || bridges.partners(a).any(|b| c.atom == b));
    let open_centres: Vec<usize> = sites.lasting(&rings).filter(|a| !settled(*a)).collect();
    let given = |k: &usize| {
        let pair = molecule.bonds[*k].atoms;
        molecule.double_bonds.iter().any(|d| d.atoms == pair || d.atoms == [pair[1], pair[0]])
    };
    let open_doubles: Vec<usize> = sites.doubles.iter().copied().filter(|k| !given(k)).collect();
    let mut found = Unspecified::default();
    if open_centres.is_empty() && open_doubles.is_empty() {
        return found;
    }
    let classes = ranks::classes(molecule);
    let certain_centre = |a: &usize| distinct(sites.neighbours(*a).iter().map(|b| classes[*b]));
    let certain_double = |k: &usize| sites.double_ends(molecule, *k).iter().all(|ends| distinct(ends.iter().map(|b| classes[*b])));
    found.centres = open_centres.iter().copied().filter(certain_centre).collect();
    found.double_bonds = open_doubles.iter().copied().filter(certain_double).collect();
    let count = open_centres.len() + open_doubles.len();
    if found.centres.len() + found.double_bonds.len() == count {
        return found;
    }
    // The rest depends on the others: it is real when it survives some assignment of them.
    for trial in 0..MAX_TRIALS {
        let mut guess = molecule.clone();
        let bit = |k: usize| pattern(trial, k, count);
        for (k, &a) in open_centres.iter().enumerate() {
            guess.centres.push(Centre { positive: bit(k), ..sites.centre(a) });
        }
        for (k, &b) in open_doubles.iter().enumerate() {
            guess.double_bonds.push(DoubleBond { cis: bit(open_centres.len() + k), ..sites.double(molecule, b) });
        }
        if bridges.strained(&guess) {
            continue;
        }
        clean(&mut guess, &rings);
        found.centres.extend(guess.centres.iter().map(|c| c.atom).filter(|a| open_centres.contains(a)));
        let bonds = guess.double_bonds.iter().filter_map(|d| open_doubles.iter().find(|k| molecule.bonds[**k].atoms == d.atoms));
        found.double_bonds.extend(bonds);
    }
    for list in [&mut found.centres, &mut found.double_bonds] {
        list.sort_unstable();
        list.dedup();
    }
    found
}

/// Stereoisomers of a molecule: what is given stays, what is unspecified takes every value. At most `max`, without duplicates, in a
/// fixed order; the molecule itself where nothing is open. Bridgeheads of small rings are not turned inwards.
pub fn enumerate(molecule: &Molecule, max: usize) -> Vec<Molecule> {
    let open = unspecified(molecule);
    let count = open.centres.len() + open.double_bonds.len();
    if count == 0 || max == 0 {
        return vec![molecule.clone(); max.min(1)];
    }
    let rings = Rings::new(molecule);
    let sites = Sites::new(molecule, &rings);
    let bridges = Bridges::new(&rings);
    let trials = if count < 16 { 1 << count } else { 1_usize << 16 }.min(max.saturating_mul(64));
    let mut isomers = Vec::new();
    let mut known = std::collections::BTreeSet::new();
    for trial in 0..trials {
        let mut isomer = molecule.clone();
        let bit = |k: usize| k < usize::BITS as usize && trial >> k & 1 == 1;
        for (k, &a) in open.centres.iter().enumerate() {
            isomer.centres.push(Centre { positive: bit(k), ..sites.centre(a) });
        }
        for (k, &b) in open.double_bonds.iter().enumerate() {
            isomer.double_bonds.push(DoubleBond { cis: bit(open.centres.len() + k), ..sites.double(molecule, b) });
        }
        if bridges.strained(&isomer) {
            continue;
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

/// Drops configurations that mean nothing: atoms that hold none, double bonds in small rings, and every one whose inversion gives the
/// same molecule.
pub(crate) fn clean(molecule: &mut Molecule, rings: &Rings) {
    if molecule.centres.is_empty() && molecule.double_bonds.is_empty() {
        return;
    }
    let sites = Sites::new(molecule, rings);
    molecule.centres.retain(|centre| sites.centres.contains(&centre.atom));
    let bonds = std::mem::take(&mut molecule.double_bonds);
    let allowed = |d: &DoubleBond| {
        let found = sites.doubles.iter().any(|&k| {
            let pair = molecule.bonds[k].atoms;
            pair == d.atoms || pair == [d.atoms[1], d.atoms[0]]
        });
        found
    };
    molecule.double_bonds = bonds.into_iter().filter(allowed).collect();
    let classes = ranks::classes(molecule);
    let adjacency = molecule.adjacency();
    let mut doubtful: Vec<Doubt> = Vec::new();
    for centre in &molecule.centres {
        if !distinct(centre.neighbours.iter().map(|b| classes[*b])) {
            doubtful.push(Doubt::Centre(centre.atom));
        }
    }
    for double in &molecule.double_bonds {
        let [a, b] = double.atoms;
        let tied = |a: usize, b: usize| !distinct(adjacency[a].iter().filter(|(c, _)| *c != b).map(|(c, _)| classes[*c]));
        if tied(a, b) || tied(b, a) {
            doubtful.push(Doubt::Double(double.atoms));
        }
    }
    // One at a time, in an order that does not depend on the numbering: dropping one loses nothing, as both values are the same
    // molecule while the others are known.
    if doubtful.is_empty() {
        return;
    }
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

/// Where configurations are possible at all.
struct Sites {
    adjacency: Vec<Vec<(usize, usize)>>,
    centres: Vec<usize>,
    doubles: Vec<usize>,
    plain: Vec<bool>,
    nitrogen: Vec<bool>,
}

impl Sites {
    fn new(molecule: &Molecule, rings: &Rings) -> Self {
        let adjacency = molecule.adjacency();
        let plain: Vec<bool> = (0..molecule.atoms.len()).map(|a| plain_hydrogen(molecule, &adjacency, a)).collect();
        let nitrogen = molecule.atoms.iter().map(|atom| atom.element == Element::N).collect();
        let mut sites = Self { adjacency, centres: Vec::new(), doubles: Vec::new(), plain, nitrogen };
        sites.centres = (0..molecule.atoms.len()).filter(|&a| sites.tetrahedral(molecule, rings, a)).collect();
        sites.doubles = (0..molecule.bonds.len()).filter(|&k| sites.rigid(molecule, rings, k)).collect();
        sites
    }

    /// Centres that keep their configuration: all but the nitrogens of aziridines, which invert freely.
    fn lasting<'a>(&'a self, rings: &'a Rings) -> impl Iterator<Item = usize> + 'a {
        let centres = self.centres.iter().copied();
        centres.filter(|&a| !self.nitrogen[a] || self.adjacency[a].len() == 4 || bridgehead(rings, &self.adjacency[a], a))
    }

    fn neighbours(&self, a: usize) -> Vec<usize> {
        self.adjacency[a].iter().map(|(b, _)| *b).collect()
    }

    fn centre(&self, a: usize) -> Centre {
        Centre { atom: a, neighbours: self.neighbours(a), positive: true }
    }

    /// Neighbours of both atoms of a double bond, the partner left out, heavy ones first.
    fn double_ends(&self, molecule: &Molecule, k: usize) -> [Vec<usize>; 2] {
        let [a, b] = molecule.bonds[k].atoms;
        [(a, b), (b, a)].map(|(a, b)| {
            let mut ends: Vec<usize> = self.neighbours(a).into_iter().filter(|c| *c != b).collect();
            ends.sort_by_key(|c| self.plain[*c]);
            ends
        })
    }

    fn double(&self, molecule: &Molecule, k: usize) -> DoubleBond {
        let ends = self.double_ends(molecule, k).map(|ends| ends[0]);
        DoubleBond { atoms: molecule.bonds[k].atoms, ends, cis: true }
    }

    /// RDKit's rule of what can be a tetrahedral centre.
    fn tetrahedral(&self, molecule: &Molecule, rings: &Rings, a: usize) -> bool {
        let neighbours = &self.adjacency[a];
        let hydrogens = neighbours.iter().filter(|(b, _)| self.plain[*b]).count();
        let order = |k: &usize| usize::from(molecule.bonds[*k].order);
        let valence: usize = neighbours.iter().map(|(_, k)| order(k)).sum();
        let atom = &molecule.atoms[a];
        match (neighbours.len(), atom.element.0) {
            (_, 1) => false,
            (3 | 4, _) if hydrogens > 1 => false,
            (4, _) => true,
            (3, 15 | 33) => valence == 3 && !atom.aromatic,
            (3, 16 | 34) => valence == 4 || (valence == 3 && atom.charge == 1),
            (3, 7) if hydrogens == 0 && valence == 3 => {
                rings.of_atom(a).iter().any(|&r| rings.atoms[r].len() == 3) || bridgehead(rings, neighbours, a)
            }
            _ => false,
        }
    }

    /// Whether a bond can be cis or trans.
    fn rigid(&self, molecule: &Molecule, rings: &Rings, k: usize) -> bool {
        let bond = &molecule.bonds[k];
        if bond.order != 2 || bond.aromatic || rings.bond_size(k).is_some_and(|size| size < MIN_RING) {
            return false;
        }
        bond.atoms.iter().all(|&a| {
            let others: Vec<&(usize, usize)> = self.adjacency[a].iter().filter(|(_, other)| *other != k).collect();
            let single = |k: usize| molecule.bonds[k].order == 1 || molecule.bonds[k].aromatic;
            matches!(others.len(), 1 | 2)
                && matches!(molecule.atoms[a].element, Element::C | Element::N)
                && others.iter().all(|(_, other)| single(*other))
                && others.iter().filter(|(b, _)| self.plain[*b]).count() <= 1
                // Two ligands, or one and a lone pair.
                && (others.len() == 2 || molecule.atoms[a].element == Element::N)
        })
    }
}

/// Whether all three bonds of an atom lie in rings that share two bonds with another of its rings.
fn bridgehead(rings: &Rings, neighbours: &[(usize, usize)], a: usize) -> bool {
    let of = rings.of_atom(a);
    let overlap = |r: usize, s: usize| rings.bonds[r].iter().filter(|bond| rings.bonds[s].contains(bond)).count() >= 2;
    let overlapping: Vec<usize> = of.iter().copied().filter(|&r| of.iter().any(|&s| s != r && overlap(r, s))).collect();
    neighbours.iter().all(|(_, bond)| rings.of_bond(*bond).iter().any(|r| overlapping.contains(r)))
}

fn distinct(values: impl Iterator<Item = usize>) -> bool {
    let mut seen: Vec<usize> = values.collect();
    seen.sort_unstable();
    seen.windows(2).all(|pair| pair[0] != pair[1])
}

/// Bit `k` of trial `trial`: all combinations of few bits, spread ones of many.
fn pattern(trial: usize, k: usize, count: usize) -> bool {
    if 1_usize.checked_shl(u32::try_from(count).unwrap_or(u32::MAX)).is_some_and(|all| all <= MAX_TRIALS) {
        return trial >> k & 1 == 1;
    }
    // An integer hash of the pair; trial 0 is all zero.
    let mixed = (trial as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (k as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    trial > 0 && (mixed ^ mixed >> 31).wrapping_mul(0x94d0_49bb_1331_11eb) >> 63 == 1
}

fn sign(positive: bool) -> f64 {
    if positive { 1.0 } else { -1.0 }
}

fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Point, b: Point) -> Point {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The vector at length one; zero stays zero.
fn normalised(v: Point) -> Point {
    let length = dot(v, v).sqrt();
    if length > 0.0 { v.map(|x| x / length) } else { v }
}
