//! SMILES and chemistry against the training records and RDKit.

use flate2::read::GzDecoder;
use langevin_molecule::{Molecule, Point, chem::stereo};
use serde_json::Value;
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
};

fn numbers(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
}

/// The project's shared folder, `None` (and a line that says so) where there is none.
fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("LANGEVIN_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join("data/molecule").join(name);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// Graphs equal those of the records, and the stored conformers have the configurations of their strings.
fn check_records(name: &str) {
    let Some(path) = shared(name) else { return };
    let (mut conformers, mut kept) = (0_u32, 0_u32);
    for line in BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines() {
        let record: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let smiles = record["smiles"].as_str().unwrap();
        let molecule = Molecule::from_smiles(smiles).unwrap_or_else(|e| panic!("{smiles}: {e}"));
        let elements: Vec<i64> = molecule.atoms.iter().map(|atom| i64::from(atom.element.0)).collect();
        assert_eq!(elements, numbers(&record["z"]), "{smiles}");
        let charges: Vec<i64> = molecule.atoms.iter().map(|atom| i64::from(atom.charge)).collect();
        assert_eq!(charges, numbers(&record["charge"]), "{smiles}");
        // The records' aromatic flags are the force field's, so only pairs of atoms are compared.
        let ours: Vec<Vec<i64>> = molecule.bonds.iter().map(|b| b.atoms.map(|a| a as i64).to_vec()).collect();
        let theirs: Vec<Vec<i64>> = record["bonds"].as_array().unwrap().iter().map(|b| numbers(b)[..2].to_vec()).collect();
        assert_eq!(ours, theirs, "{smiles}");
        for conformer in record["coords_mA"].as_array().unwrap() {
            let positions: Vec<Point> = numbers(conformer).chunks(3).map(|p| [p[0], p[1], p[2]].map(|x| x as f64 / 1000.0)).collect();
            conformers += 1;
            if stereo::kept(&molecule, &positions) {
                kept += 1;
            } else if std::env::var_os("SHOW").is_some() {
                let volumes: Vec<_> = molecule.centres.iter().map(|c| (c.atom, c.positive, stereo::volume(c, &positions))).collect();
                let cosines: Vec<_> = molecule.double_bonds.iter().map(|d| (d.atoms, d.cis, stereo::cosine(d, &positions))).collect();
                eprintln!("{smiles} {volumes:.2?} {cosines:.2?}");
            }
        }
    }
    eprintln!("{name}: {kept} of {conformers} conformers have the configuration of their string");
    assert!(f64::from(kept) > 0.999 * f64::from(conformers));
}

#[test]
fn qm9_records() {
    ["qm9_test.jsonl.gz", "qm9_valid.jsonl.gz", "qm9_train.jsonl.gz"].into_iter().for_each(check_records);
}

#[test]
fn drug_records() {
    ["drug_test.jsonl.gz", "drug_valid.jsonl.gz", "drug_train.jsonl.gz"].into_iter().for_each(check_records);
}
