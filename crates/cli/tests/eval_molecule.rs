//! `langevin eval molecule` from outside.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::{fs, path::Path};

use langevin_molecule::{Molecule, Point, io::write_sdf};
use support::langevin;

const METHANOL: [Point; 6] =
    [[-0.36, 0.0, 0.0], [0.98, 0.0, 0.0], [-0.73, -1.03, 0.0], [-0.73, 0.51, 0.89], [-0.73, 0.51, -0.89], [1.28, 0.9, 0.0]];

/// Writes conformers of methanol under a title.
fn write(path: &Path, title: &str, conformers: &[Vec<Point>]) {
    let molecule = Molecule::from_smiles("CO").unwrap();
    let mut bytes = Vec::new();
    conformers.iter().for_each(|c| write_sdf(&mut bytes, title, &molecule, c, &[]).unwrap());
    fs::write(path, bytes).unwrap();
}

#[test]
fn scores_as_text_and_json() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, generated) = (folder.path().join("ref.sdf"), folder.path().join("gen.sdf"));
    write(&reference, "CO", &[METHANOL.to_vec()]);
    let stretched = METHANOL.map(|p| p.map(|v| 1.8 * v)).to_vec();
    write(&generated, "CO", &[METHANOL.to_vec(), stretched]);
    let (reference, generated) = (reference.to_str().unwrap(), generated.to_str().unwrap());
    let run = langevin(&["eval", "molecule", "--ref", reference, "--gen", generated, "--each"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("COV-R (at 0.5 A)") && run.stdout.contains("1.0000 mean"), "{}", run.stdout);
    assert!(run.stdout.contains("1/2") && run.stdout.contains("no length of their bond"), "{}", run.stdout);
    let run = langevin(&["eval", "molecule", "--ref", reference, "--gen", generated, "--json", "--threshold", "0.1"]);
    let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (found["cov_r"]["mean"].as_f64(), found["cov_p"]["mean"].as_f64(), found["valid"].as_f64()),
        (Some(1.0), Some(0.5), Some(0.5))
    );
    assert!(found["scores"].as_array().unwrap().is_empty());
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    write(Path::new(&at("a.sdf")), "CO", &[METHANOL.to_vec()]);
    fs::write(at("b.sdf"), fs::read_to_string(at("a.sdf")).unwrap().replace("  6  5  0", "  6  x  0")).unwrap();
    fs::write(at("empty.sdf"), "").unwrap();
    fs::write(at("water.sdf"), {
        let mut bytes = Vec::new();
        let water = Molecule::from_smiles("O").unwrap();
        write_sdf(&mut bytes, "O", &water, &[[0.0; 3], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]], &[]).unwrap();
        bytes
    })
    .unwrap();
    let run = langevin(&["eval", "molecule", "--ref", &at("a.sdf"), "--gen", &at("water.sdf")]);
    assert_eq!(run.code, 0);
    assert!(run.stderr.contains("1 of 1 molecules are missing, the first is CO") && run.stderr.contains("no reference"), "{}", run.stderr);
    assert!(run.stdout.contains("0.0000 mean"), "{}", run.stdout);
    for (generated, said) in [("b.sdf", "record 1, line 4"), ("empty.sdf", "no conformers"), ("none.sdf", "none.sdf")] {
        let run = langevin(&["eval", "molecule", "--ref", &at("a.sdf"), "--gen", &at(generated)]);
        assert_eq!(run.code, 1, "{generated}: {}", run.stderr);
        assert!(run.stderr.contains(said), "{generated}: {}", run.stderr);
    }
    assert_eq!(langevin(&["eval", "molecule", "--ref", &at("a.sdf")]).code, 2);
    assert_eq!(langevin(&["eval", "molecule", "--ref", &at("a.sdf"), "--gen", &at("a.sdf"), "--threshold", "-1"]).code, 2);
}
