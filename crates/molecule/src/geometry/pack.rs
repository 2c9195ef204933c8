//! Fragments of a salt put side by side.

use super::{kabsch::centred, vector::norm};
use crate::{Molecule, Point};

/// Free space between the surfaces of neighbouring fragments, angstrom.
const GAP: f64 = 0.2;

/// Moves the fragments of a geometry, each kept as it is, into a row along the first axis, in the order of their first atoms, so that
/// their van der Waals spheres do not touch. One fragment stays where it is.
///
/// Positions beyond the atoms are not touched.
pub fn pack(molecule: &Molecule, positions: &mut [Point]) {
    let (of, count) = molecule.fragments();
    if count < 2 {
        return;
    }
    let mut at = 0.0;
    for fragment in 0..count {
        let atoms: Vec<usize> = (0..of.len().min(positions.len())).filter(|&a| of[a] == fragment).collect();
        let points: Vec<Point> = atoms.iter().map(|&a| positions[a]).collect();
        let points = centred(&points);
        let reach = |(k, p): (usize, &Point)| norm(*p) + molecule.atoms[atoms[k]].element.van_der_waals_radius();
        let radius = points.iter().enumerate().map(reach).fold(0.0, f64::max) + GAP / 2.0;
        at += radius;
        atoms.iter().zip(points).for_each(|(&a, [x, y, z])| positions[a] = [x + at, y, z]);
        at += radius;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::vector::distance;

    #[test]
    fn fragments_do_not_touch_and_keep_their_form() {
        let salt = Molecule::from_smiles("[Na+].CC(=O)[O-].O").expect("SMILES");
        let before: Vec<Point> = (0..salt.atoms.len()).map(|k| [(k as f64).sin(), (k as f64).cos(), 0.1 * k as f64]).collect();
        let mut after = before.clone();
        pack(&salt, &mut after);
        let (of, count) = salt.fragments();
        assert_eq!(count, 3);
        for a in 0..of.len() {
            for b in 0..a {
                let d = distance(after[a], after[b]);
                let radii = salt.atoms[a].element.van_der_waals_radius() + salt.atoms[b].element.van_der_waals_radius();
                if of[a] == of[b] {
                    assert!((d - distance(before[a], before[b])).abs() < 1e-9);
                } else {
                    assert!(d > radii);
                }
            }
        }
        let mut one = before[..3].to_vec();
        pack(&Molecule::from_smiles("O").expect("water"), &mut one);
        assert_eq!(one, before[..3]);
    }
}
