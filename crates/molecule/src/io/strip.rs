//! Molecules without their hydrogens, as many programs store them.

use crate::{Centre, Element, Molecule, Point};

/// Whether an atom is an ordinary hydrogen: no isotope, no charge, one bond, to a heavy atom.
fn is_plain(molecule: &Molecule, adjacency: &[Vec<(usize, usize)>], atom: usize) -> bool {
    let a = &molecule.atoms[atom];
    let alone = matches!(adjacency[atom][..], [(b, _)] if molecule.atoms[b].element != Element::H);
    a.element == Element::H && a.isotope == 0 && a.charge == 0 && alone
}

/// The molecule and one of its conformers without ordinary hydrogens; the other atoms keep their order. Configurations stay as they
/// are: a centre loses its hydrogen as a neighbour, a double bond's end that is a hydrogen becomes the other neighbour.
pub fn without_hydrogens(molecule: &Molecule, positions: &[Point]) -> (Molecule, Vec<Point>) {
    let adjacency = molecule.adjacency();
    let kept: Vec<bool> = (0..molecule.atoms.len()).map(|a| !is_plain(molecule, &adjacency, a)).collect();
    let mut number = vec![usize::MAX; kept.len()];
    (0..kept.len()).filter(|&a| kept[a]).enumerate().for_each(|(k, a)| number[a] = k);
    let atoms = molecule.atoms.iter().zip(&kept).filter(|(_, k)| **k).map(|(a, _)| *a).collect();
    let mut heavy = Molecule { atoms, ..Molecule::default() };
    for bond in &molecule.bonds {
        if bond.atoms.iter().all(|&a| kept[a]) {
            heavy.bonds.push(crate::Bond { atoms: bond.atoms.map(|a| number[a]), ..*bond });
        }
    }
    heavy.centres = molecule.centres.iter().filter_map(|c| strip_centre(c, &kept, &number)).collect();
    for double in &molecule.double_bonds {
        let mut given = *double;
        for side in 0..2 {
            if !kept[given.ends[side]] {
                let [here, there] = [given.atoms[side], given.atoms[1 - side]];
                let Some(other) = adjacency[here].iter().map(|e| e.0).find(|&k| kept[k] && k != there) else { continue };
                given.ends[side] = other;
                given.cis = !given.cis;
            }
        }
        if given.ends.iter().all(|&a| kept[a]) {
            heavy.double_bonds.push(crate::DoubleBond {
                atoms: given.atoms.map(|a| number[a]),
                ends: given.ends.map(|a| number[a]),
                ..given
            });
        }
    }
    let positions = positions.iter().zip(&kept).filter(|(_, k)| **k).map(|(p, _)| *p).collect();
    (heavy, positions)
}

/// A centre needs three neighbours that stay. Bringing the lost one to the end takes as many swaps as there are neighbours behind it.
fn strip_centre(centre: &Centre, kept: &[bool], number: &[usize]) -> Option<Centre> {
    let lost: Vec<usize> = (0..centre.neighbours.len()).filter(|&k| !kept[centre.neighbours[k]]).collect();
    let neighbours: Vec<usize> = centre.neighbours.iter().filter(|&&a| kept[a]).map(|&a| number[a]).collect();
    if neighbours.len() < 3 {
        return None;
    }
    let swaps = lost.first().map_or(0, |k| centre.neighbours.len() - 1 - k);
    Some(Centre { atom: number[centre.atom], neighbours, positive: centre.positive == swaps.is_multiple_of(2) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chem::stereo,
        geometry::{BoundsTable, Restraints},
    };

    #[test]
    fn configurations_survive() {
        for smiles in ["[C@H](F)(Cl)C", "F[C@H](Cl)C", "F/C=C/F", "[2H]C(F)Cl", "C[S@](=O)CC", "N[C@@H](C)C(=O)O"] {
            let molecule = Molecule::from_smiles(smiles).expect("SMILES");
            let restraints = Restraints::new(&molecule, &BoundsTable::default());
            let mut positions: Vec<Point> =
                (0..molecule.atoms.len()).map(|k| [(k as f64).sin(), (2.0 * k as f64).cos(), (3.0 * k as f64).sin()]).collect();
            assert!(restraints.minimise(&mut positions, 1000) < 2.0, "{smiles}");
            assert!(stereo::kept(&molecule, &positions), "{smiles}");
            let (heavy, rest) = without_hydrogens(&molecule, &positions);
            assert!(stereo::kept(&heavy, &rest), "{smiles}");
            assert_eq!((heavy.centres.len(), heavy.double_bonds.len()), (molecule.centres.len(), molecule.double_bonds.len()), "{smiles}");
            assert_eq!(heavy.atoms.len(), molecule.heavy().len() + usize::from(smiles.contains("2H")));
        }
        let hydrogen = Molecule::from_smiles("[H][H]").expect("SMILES");
        assert_eq!(without_hydrogens(&hydrogen, &[[0.0; 3]; 2]).0, hydrogen);
    }
}
