//! Symmetric RMSD beside RDKit's `GetBestRMS` (tests/golden/molecule/rmsd.py).

use langevin_molecule::{Atom, Bond, Element, Molecule, Point, geometry::SymmetricRmsd};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    molecules: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    smiles: String,
    z: Vec<u8>,
    charge: Vec<i8>,
    /// Atom, atom, Kekule order, aromatic.
    bonds: Vec<[usize; 4]>,
    #[serde(rename = "coords_mA")]
    conformers: Vec<Vec<i32>>,
    /// Of conformers 1.. to conformer 0.
    rmsd: Vec<f64>,
}

impl Case {
    fn molecule(&self) -> Molecule {
        let atom = |(&z, &charge)| Atom { element: Element(z), charge, isotope: 0, aromatic: false, radicals: 0, class: 0 };
        let bond = |&[a, b, order, aromatic]: &[usize; 4]| Bond { atoms: [a, b], order: order as u8, aromatic: aromatic == 1 };
        let atoms = self.z.iter().zip(&self.charge).map(atom).collect();
        Molecule { atoms, bonds: self.bonds.iter().map(bond).collect(), ..Molecule::default() }
    }
}

#[test]
fn agrees_with_rdkit() {
    let golden: Golden = serde_json::from_str(include_str!("../../../tests/golden/molecule/rmsd.json")).expect("our own file");
    let mut pairs = 0;
    for case in &golden.molecules {
        let points = |flat: &Vec<i32>| flat.chunks_exact(3).map(|c| [0, 1, 2].map(|d| f64::from(c[d]) / 1000.0)).collect::<Vec<Point>>();
        let conformers: Vec<Vec<Point>> = case.conformers.iter().map(points).collect();
        let symmetric = SymmetricRmsd::new(&case.molecule(), false);
        for (k, &wanted) in case.rmsd.iter().enumerate() {
            let found = symmetric.rmsd(&conformers[k + 1], &conformers[0]);
            assert!((found - wanted).abs() < 2e-5, "{}, conformer {}: {found} instead of {wanted}", case.smiles, k + 1);
            pairs += 1;
        }
    }
    assert!(pairs > 250, "{pairs}");
}
