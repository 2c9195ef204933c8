//! Configurations of a geometry.

use super::{bridges::Bridges, clean, sites::Sites};
use crate::{Centre, DoubleBond, Molecule, Point, chem::Rings};

/// Least magnitude of the triple product of unit vectors at a centre that counts as tetrahedral (0.77 when ideal).
pub const MIN_VOLUME: f64 = 0.1;
/// Least magnitude of the cosine of a double bond's dihedral angle that counts as cis or trans.
pub const MIN_COSINE: f64 = 0.5;

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
