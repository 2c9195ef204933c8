//! Restraints that a geometry of a molecule should meet, their gradient, and their minimisation.

use super::{
    bounds::{Bounds, Relation},
    configure::Configurations,
    environment::Environment,
    lbfgs,
    table::BoundsTable,
    vector::{cross, dot, sub},
};
use crate::{Centre, Element, Molecule, Point, chem::Rings};

/// Stiffness of bonds, 1-3 pairs, 1-4 pairs and clashes, per square angstrom. One unit of energy is about a kcal/mol.
const STIFFNESS: [f64; 4] = [300.0, 100.0, 10.0, 20.0];
/// Stiffness of volumes, per angstrom to the sixth.
const FLATNESS: f64 = 20.0;
const CHIRALITY: f64 = 20.0;
/// Volume (of the parallelepiped, cubic angstrom) that counts as flat: about 5 degrees out of the plane.
const FLAT: f64 = 0.15;
/// Least volume of a centre as a share of the product of three bond lengths; the ideal tetrahedron has 0.77.
const LEAST_VOLUME: f64 = 0.4;
/// Rings up to this size strain the atoms that they share.
const STRAINED: usize = 5;

/// A pair that should stay between two distances.
#[derive(Clone, Copy, Debug)]
struct Span {
    atoms: [usize; 2],
    lower: f64,
    upper: f64,
    stiffness: f64,
}

/// Four atoms whose signed volume should stay between two values.
#[derive(Clone, Copy, Debug)]
struct Solid {
    atoms: [usize; 4],
    lower: f64,
    upper: f64,
    stiffness: f64,
}

/// Flat-bottomed harmonic restraints: nothing acts on a geometry that meets them, so torsions stay as they are.
#[derive(Clone, Debug)]
pub struct Restraints {
    atoms: usize,
    spans: Vec<Span>,
    solids: Vec<Solid>,
    configurations: Configurations,
}

impl Restraints {
    /// The restraints of a molecule: 1-2, 1-3 and 1-4 distances by its bounds, distances that van der Waals radii allow, flat aromatic and
    /// doubly bonded groups, the volume of every given centre and the side of every given double bond.
    pub fn new(molecule: &Molecule, table: &BoundsTable) -> Self {
        let bounds = Bounds::new(molecule, table);
        let stiffness = |relation| match relation {
            Relation::Bond => STIFFNESS[0],
            Relation::Angle => STIFFNESS[1],
            Relation::Torsion => STIFFNESS[2],
            Relation::Far => STIFFNESS[3],
        };
        let span = |p: &super::Pair| Span { atoms: p.atoms, lower: p.lower, upper: p.upper, stiffness: stiffness(p.relation) };
        let spans = bounds.pairs.iter().map(span).collect();
        let environment = Environment::new(molecule);
        let rings = Rings::new(molecule);
        let strained = |atom: usize| rings.of_atom(atom).len() > 1 && rings.atom_size(atom).is_some_and(|size| size <= STRAINED);
        let mut solids = flat_groups(molecule, &environment, &strained);
        solids.extend(molecule.centres.iter().filter_map(|centre| chiral_volume(centre, &bounds)));
        Self { atoms: molecule.atoms.len(), spans, solids, configurations: Configurations::new(molecule) }
    }

    /// Energy of a geometry; `gradient` takes its derivative, per angstrom. Infinite, with a gradient of zeros, where the slices do not hold
    /// one point for each atom.
    pub fn gradient(&self, positions: &[Point], gradient: &mut [Point]) -> f64 {
        gradient.fill([0.0; 3]);
        if positions.len() != self.atoms || gradient.len() != self.atoms {
            return f64::INFINITY;
        }
        let spans: f64 = self.spans.iter().map(|span| span.add(positions, gradient)).sum();
        let solids: f64 = self.solids.iter().map(|solid| solid.add(positions, gradient)).sum();
        spans + solids
    }

    /// Energy of a geometry.
    pub fn energy(&self, positions: &[Point]) -> f64 {
        self.gradient(positions, &mut vec![[0.0; 3]; positions.len()])
    }

    /// Gives centres and double bonds the configuration that the molecule asks for, where that is possible by moving whole branches, then
    /// minimises by at most `steps` steps of L-BFGS. Returns the energy reached; positions that are not finite stay, with an energy that is
    /// not.
    pub fn minimise(&self, positions: &mut [Point], steps: usize) -> f64 {
        if positions.len() != self.atoms || positions.iter().flatten().any(|v| !v.is_finite()) {
            return f64::INFINITY;
        }
        self.configurations.restore(positions);
        lbfgs::minimise(positions.as_flattened_mut(), steps, |x, g| self.gradient(x.as_chunks().0, g.as_chunks_mut().0))
    }
}

impl Span {
    #[inline]
    fn add(&self, positions: &[Point], gradient: &mut [Point]) -> f64 {
        let [a, b] = self.atoms;
        let off = sub(positions[a], positions[b]);
        let square = dot(off, off);
        if square >= self.lower * self.lower && square <= self.upper * self.upper {
            return 0.0;
        }
        let length = square.sqrt();
        let excess = length - if length < self.lower { self.lower } else { self.upper };
        // Atoms on one spot have no direction to leave in; others will move them.
        let slope = 2.0 * self.stiffness * excess / length.max(1e-6);
        for d in 0..3 {
            gradient[a][d] += slope * off[d];
            gradient[b][d] -= slope * off[d];
        }
        self.stiffness * excess * excess
    }
}

impl Solid {
    #[inline]
    fn add(&self, positions: &[Point], gradient: &mut [Point]) -> f64 {
        let [o, a, b, c] = self.atoms;
        let [u, v, w] = [a, b, c].map(|k| sub(positions[k], positions[o]));
        let (vw, wu, uv) = (cross(v, w), cross(w, u), cross(u, v));
        let volume = dot(u, vw);
        let excess = if volume < self.lower {
            volume - self.lower
        } else if volume > self.upper {
            volume - self.upper
        } else {
            return 0.0;
        };
        let slope = 2.0 * self.stiffness * excess;
        for d in 0..3 {
            gradient[a][d] += slope * vw[d];
            gradient[b][d] += slope * wu[d];
            gradient[c][d] += slope * uv[d];
            gradient[o][d] -= slope * (vw[d] + wu[d] + uv[d]);
        }
        self.stiffness * excess * excess
    }
}

/// Trigonal atoms with their three neighbours, and chains of four across a double bond or along an aromatic ring. Where small rings meet,
/// only aromatic atoms are sure to be flat.
fn flat_groups(molecule: &Molecule, environment: &Environment<'_>, strained: &impl Fn(usize) -> bool) -> Vec<Solid> {
    let flat = |atoms| Solid { atoms, lower: -FLAT, upper: FLAT, stiffness: FLATNESS };
    let mut solids = Vec::new();
    for (atom, around) in environment.adjacency().iter().enumerate() {
        let trigonal = molecule.atoms[atom].element == Element::C || molecule.atoms[atom].aromatic || molecule.atoms[atom].charge > 0;
        if let [a, b, c] = around[..]
            && environment.highest_order(atom) > 1
            && trigonal
            && molecule.atoms[atom].element.0 <= 8
            && (molecule.atoms[atom].aromatic || !strained(atom))
        {
            solids.push(flat([atom, a.0, b.0, c.0]));
        }
    }
    for bond in &molecule.bonds {
        let [b, c] = bond.atoms;
        if !bond.aromatic && (bond.order != 2 || bond.atoms.into_iter().any(strained)) {
            continue;
        }
        for &(a, ab) in environment.adjacency()[b].iter().filter(|e| e.0 != c) {
            for &(d, cd) in environment.adjacency()[c].iter().filter(|e| e.0 != b && e.0 != a) {
                let along = !bond.aromatic || molecule.bonds[ab].aromatic && molecule.bonds[cd].aromatic;
                if along && [a, b, c, d].iter().all(|&k| molecule.atoms[k].element.0 <= 9) {
                    solids.push(flat([b, a, c, d]));
                }
            }
        }
    }
    solids
}

/// The volume of a centre with three neighbours, or of the tetrahedron of four: that has four times the volume of a centre with three of
/// them, and unlike this it cannot vanish where small rings meet.
fn chiral_volume(centre: &Centre, bounds: &Bounds) -> Option<Solid> {
    let (atoms, times) = match centre.neighbours[..] {
        [a, b, c] => ([centre.atom, a, b, c], 1.0),
        [a, b, c, d] => ([d, a, b, c], 4.0),
        _ => return None,
    };
    let length = |k: &usize| {
        let pair = bounds.of(centre.atom, *k);
        (pair.lower + pair.upper) / 2.0
    };
    let mean = centre.neighbours.iter().map(length).product::<f64>().powf(3.0 / centre.neighbours.len() as f64);
    let least = times * LEAST_VOLUME * mean;
    let (lower, upper) = if centre.positive { (least, f64::INFINITY) } else { (f64::NEG_INFINITY, -least) };
    Some(Solid { atoms, lower, upper, stiffness: CHIRALITY / times })
}

#[cfg(test)]
mod tests;
