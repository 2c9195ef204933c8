//! Distributions of bond lengths, angles and torsions, compared by the Wasserstein-1 distance.

use crate::{
    Element, Molecule, Point,
    geometry::{
        environment::order,
        vector::{angle, dihedral, distance},
    },
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Values with weights, by the kind of coordinate: elements and bond orders along it.
type Values = BTreeMap<Vec<u8>, Vec<(f64, f64)>>;

/// Internal coordinates of a set of conformers, every molecule with the same weight.
#[derive(Clone, Debug, Default)]
pub struct Coordinates {
    bonds: Values,
    angles: Values,
    torsions: Values,
}

/// Wasserstein-1 distances of two sets, averaged over kinds of coordinates by how often the reference has them; `None` without any.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Distances {
    /// Bond lengths, angstrom.
    pub bonds: Option<f64>,
    /// Angles, degrees.
    pub angles: Option<f64>,
    /// Magnitudes (0 to 180) of torsions of heavy atoms about single bonds outside rings, degrees.
    pub torsions: Option<f64>,
}

impl Coordinates {
    /// Takes in the conformers of one molecule; those that do not fit it or are not finite are passed over.
    pub fn add(&mut self, molecule: &Molecule, conformers: &[Vec<Point>]) {
        let fits = |p: &&Vec<Point>| p.len() == molecule.atoms.len() && p.iter().flatten().all(|v| v.is_finite());
        let conformers: Vec<&Vec<Point>> = conformers.iter().filter(fits).collect();
        let weight = 1.0 / conformers.len().max(1) as f64;
        let adjacency = molecule.adjacency();
        let element = |a: usize| molecule.atoms[a].element.0;
        let order = |k: usize| order(molecule, k);
        let put = |values: &mut Values, forward: Vec<u8>, measure: &dyn Fn(&[Point]) -> f64| {
            let backward: Vec<u8> = forward.iter().rev().copied().collect();
            values.entry(forward.min(backward)).or_default().extend(conformers.iter().map(|p| (measure(p), weight)));
        };
        for (k, bond) in molecule.bonds.iter().enumerate() {
            let [a, b] = bond.atoms;
            put(&mut self.bonds, vec![element(a), order(k), element(b)], &|p| distance(p[a], p[b]));
        }
        for (b, around) in adjacency.iter().enumerate() {
            for (j, &(c, bc)) in around.iter().enumerate() {
                for &(a, ab) in &around[..j] {
                    let kind = vec![element(a), order(ab), element(b), order(bc), element(c)];
                    put(&mut self.angles, kind, &|p| angle(p[a], p[b], p[c]).to_degrees());
                }
            }
        }
        let rings = crate::chem::Rings::new(molecule);
        let heavy = |a: usize, not: usize| adjacency[a].iter().filter(move |e| e.0 != not && molecule.atoms[e.0].element != Element::H);
        for (k, bond) in molecule.bonds.iter().enumerate().filter(|(k, b)| b.order == 1 && rings.of_bond(*k).is_empty()) {
            let [b, c] = bond.atoms;
            for &(a, ab) in heavy(b, c) {
                for &(d, cd) in heavy(c, b) {
                    let kind = vec![element(a), order(ab), element(b), order(k), element(c), order(cd), element(d)];
                    put(&mut self.torsions, kind, &|p| dihedral(p[a], p[b], p[c], p[d]).to_degrees().abs());
                }
            }
        }
    }

    /// Distances between two sets.
    pub fn distances(&self, reference: &Self) -> Distances {
        Distances {
            bonds: mean_distance(&self.bonds, &reference.bonds),
            angles: mean_distance(&self.angles, &reference.angles),
            torsions: mean_distance(&self.torsions, &reference.torsions),
        }
    }
}

fn mean_distance(generated: &Values, reference: &Values) -> Option<f64> {
    let (mut sum, mut total) = (0.0, 0.0);
    for (kind, values) in reference {
        if let Some(distance) = generated.get(kind).and_then(|g| wasserstein(g, values)) {
            let weight: f64 = values.iter().map(|v| v.1).sum();
            sum += weight * distance;
            total += weight;
        }
    }
    (total > 0.0).then(|| sum / total)
}

/// Wasserstein-1 distance of two sets of `(value, weight)`: the area between their distribution functions. `None` where a set is empty or
/// has no weight.
pub fn wasserstein(a: &[(f64, f64)], b: &[(f64, f64)]) -> Option<f64> {
    let total = |set: &[(f64, f64)]| set.iter().map(|v| v.1).sum::<f64>();
    let (total_a, total_b) = (total(a), total(b));
    if a.is_empty() || b.is_empty() || !(total_a > 0.0 && total_b > 0.0) {
        return None;
    }
    let of_a = a.iter().map(|&(value, weight)| (value, weight / total_a));
    let mut steps: Vec<(f64, f64)> = of_a.chain(b.iter().map(|&(value, weight)| (value, -weight / total_b))).collect();
    steps.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut area, mut gap) = (0.0, 0.0f64);
    for pair in steps.windows(2) {
        gap += pair[0].1;
        area += gap.abs() * (pair[1].0 - pair[0].0);
    }
    Some(area)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::molecule;

    #[test]
    fn distances_of_distributions_worked_by_hand() {
        let plain = |values: &[f64]| values.iter().map(|&v| (v, 1.0)).collect::<Vec<_>>();
        let w = |a: &[f64], b: &[f64]| wasserstein(&plain(a), &plain(b)).expect("both have some");
        assert_eq!(w(&[0.0], &[3.0]), 3.0);
        assert_eq!(w(&[1.0, 2.0], &[2.0, 1.0]), 0.0);
        assert_eq!(w(&[0.0, 1.0], &[5.0, 6.0]), 5.0);
        // Half of the mass moves by 4.
        assert_eq!(w(&[0.0, 0.0, 4.0, 4.0], &[0.0, 0.0, 0.0, 0.0]), 2.0);
        assert!((wasserstein(&[(0.0, 3.0), (1.0, 1.0)], &[(0.0, 1.0)]).expect("weights") - 0.25).abs() < 1e-12);
        assert_eq!(wasserstein(&[], &[(0.0, 1.0)]), None);
    }

    #[test]
    fn coordinates_of_a_chain() {
        let butane = molecule("C C C C; 0-1 1-2 2-3");
        let chain = |stretch: f64| vec![vec![[0.0, 1.0, 0.0], [0.0; 3], [1.5 + stretch, 0.0, 0.0], [1.5 + stretch, -1.0, 0.0]]];
        let [mut a, mut b] = [Coordinates::default(), Coordinates::default()];
        a.add(&butane, &chain(0.0));
        b.add(&butane, &chain(0.3));
        let found = a.distances(&b);
        assert!((found.bonds.expect("three") - 0.1).abs() < 1e-12);
        assert!(found.angles.expect("two") < 1e-12 && found.torsions.expect("one") < 1e-12);
        let mut twisted = Coordinates::default();
        twisted.add(&butane, &[vec![[0.0, 1.0, 0.0], [0.0; 3], [1.5, 0.0, 0.0], [1.5, 0.0, 1.0]]]);
        assert!((twisted.distances(&a).torsions.expect("one") - 90.0).abs() < 1e-9);
        assert_eq!(Coordinates::default().distances(&a), Distances { bonds: None, angles: None, torsions: None });
    }
}
