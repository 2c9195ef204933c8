//! The force field MMFF94s beside RDKit's (tests/golden/molecule/mmff.py).

use langevin_molecule::{
    Molecule, Point,
    geometry::{Checker, ForceField},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    smiles: String,
    /// Angstrom.
    positions: Vec<Point>,
    /// kcal/mol; none where there are no parameters.
    energy: Option<f64>,
    /// Per angstrom.
    #[serde(default)]
    gradient: Vec<f64>,
}

fn golden() -> Vec<(Molecule, Record)> {
    let golden: Golden = serde_json::from_str(include_str!("../../../tests/golden/molecule/mmff.json")).expect("our own file");
    let molecule = |record: Record| (Molecule::from_smiles(&record.smiles).expect("our own strings"), record);
    golden.records.into_iter().map(molecule).collect()
}

#[test]
fn energies_and_gradients_are_rdkits() {
    let mut compared = 0;
    for (molecule, record) in golden() {
        let field = ForceField::new(&molecule);
        assert_eq!(field.is_some(), record.energy.is_some(), "{}", record.smiles);
        let (Some(field), Some(energy)) = (field, record.energy) else { continue };
        let mut gradient = vec![[0.0; 3]; molecule.atoms.len()];
        let found = field.gradient(&record.positions, &mut gradient);
        assert!((found - energy).abs() < 1e-5, "{}: {found} instead of {energy}", record.smiles);
        for (k, (found, wanted)) in gradient.as_flattened().iter().zip(&record.gradient).enumerate() {
            assert!((found - wanted).abs() < 2e-4 + 1e-5 * wanted.abs(), "{}, coordinate {k}: {found} instead of {wanted}", record.smiles);
        }
        compared += 1;
    }
    assert!(compared >= 25, "{compared}");
}

#[test]
fn minima_are_flat_and_keep_the_molecule() {
    for (molecule, record) in golden() {
        let Some(field) = ForceField::new(&molecule) else { continue };
        let mut positions = record.positions.clone();
        let energy = field.minimise(&mut positions, 1000);
        assert!(energy < record.energy.expect("it has parameters") + 1e-9, "{}", record.smiles);
        let mut gradient = vec![[0.0; 3]; molecule.atoms.len()];
        assert!((field.gradient(&positions, &mut gradient) - energy).abs() < 1e-9);
        assert!(gradient.as_flattened().iter().all(|g| g.abs() < 0.05), "{}: {gradient:?}", record.smiles);
        assert!(Checker::new(&molecule).check(&positions).valid(), "{}", record.smiles);
    }
}

#[test]
fn what_cannot_be_minimised_stays() {
    let molecule = Molecule::from_smiles("O").expect("water");
    let field = ForceField::new(&molecule).expect("water has parameters");
    let mut few = [[0.0; 3]; 2];
    assert!(field.minimise(&mut few, 10).is_nan() && few == [[0.0; 3]; 2]);
    assert!(field.energy(&few).is_nan());
    let mut lost = [[0.0; 3], [f64::NAN, 0.0, 0.0], [1.0, 0.0, 0.0]];
    assert!(field.minimise(&mut lost, 10).is_nan() && lost[2] == [1.0, 0.0, 0.0]);
}
