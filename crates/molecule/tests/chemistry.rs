//! SMILES and chemistry against the training records, and properties that hold for every molecule.

use flate2::read::GzDecoder;
use langevin_molecule::{Molecule, Point, chem::stereo};
use serde_json::Value;
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
};

fn read(smiles: &str) -> Molecule {
    Molecule::from_smiles(smiles).unwrap_or_else(|e| panic!("{smiles}: {e}"))
}

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

/// Graphs equal those of the records, the stored conformers have the configurations of their strings, and configurations perceived from
/// them give the same strings.
fn check_records(name: &str) {
    let Some(path) = shared(name) else { return };
    let (mut conformers, mut kept, mut perceived) = (0_u32, 0_u32, 0_u32);
    for line in BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines() {
        let record: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let smiles = record["smiles"].as_str().unwrap();
        let molecule = read(smiles);
        let elements: Vec<i64> = molecule.atoms.iter().map(|atom| i64::from(atom.element.0)).collect();
        assert_eq!(elements, numbers(&record["z"]), "{smiles}");
        let charges: Vec<i64> = molecule.atoms.iter().map(|atom| i64::from(atom.charge)).collect();
        assert_eq!(charges, numbers(&record["charge"]), "{smiles}");
        // The records' aromatic flags are the force field's, so only pairs of atoms are compared.
        let ours: Vec<Vec<i64>> = molecule.bonds.iter().map(|b| b.atoms.map(|a| a as i64).to_vec()).collect();
        let theirs: Vec<Vec<i64>> = record["bonds"].as_array().unwrap().iter().map(|b| numbers(b)[..2].to_vec()).collect();
        assert_eq!(ours, theirs, "{smiles}");
        let canonical = molecule.to_smiles();
        for (k, conformer) in record["coords_mA"].as_array().unwrap().iter().enumerate() {
            let positions: Vec<Point> = numbers(conformer).chunks(3).map(|p| [p[0], p[1], p[2]].map(|x| x as f64 / 1000.0)).collect();
            conformers += 1;
            kept += u32::from(stereo::kept(&molecule, &positions));
            if k > 0 {
                perceived += 1;
                continue;
            }
            let mut seen = Molecule { centres: Vec::new(), double_bonds: Vec::new(), ..molecule.clone() };
            (seen.centres, seen.double_bonds) = stereo::from_positions(&seen, &positions);
            let same = seen.to_smiles() == canonical;
            perceived += u32::from(same);
            if !same {
                eprintln!("{smiles} is perceived as {}", seen.to_smiles());
            }
        }
    }
    eprintln!("{name}: of {conformers} conformers {kept} have the configuration of their string, {perceived} give it back");
    assert!(f64::from(kept) > 0.999 * f64::from(conformers));
    assert!(f64::from(perceived) > 0.995 * f64::from(conformers));
}

#[test]
fn qm9_records() {
    ["qm9_test.jsonl.gz", "qm9_valid.jsonl.gz", "qm9_train.jsonl.gz"].into_iter().for_each(check_records);
}

#[test]
fn drug_records() {
    ["drug_test.jsonl.gz", "drug_valid.jsonl.gz", "drug_train.jsonl.gz"].into_iter().for_each(check_records);
}
