//! SMILES and chemistry against the training records, and properties that hold for every molecule.

use flate2::read::GzDecoder;
use langevin_molecule::{Bond, Centre, DoubleBond, Molecule, Point, chem::stereo};
use proptest::prelude::*;
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

/// The same molecule with its atoms, bonds and neighbour lists in another order.
fn shuffled(molecule: &Molecule, seed: u64) -> Molecule {
    let mut state = seed | 1;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % n
    };
    let n = molecule.atoms.len();
    let mut order: Vec<usize> = (0..n).collect();
    (1..n).rev().for_each(|k| order.swap(k, below(k + 1)));
    let mut to = vec![0; n];
    order.iter().enumerate().for_each(|(k, &a)| to[a] = k);
    let mut bonds: Vec<Bond> = molecule.bonds.iter().map(|b| Bond { atoms: [to[b.atoms[1]], to[b.atoms[0]]], ..*b }).collect();
    (1..bonds.len()).rev().for_each(|k| bonds.swap(k, below(k + 1)));
    // Two swaps leave the sign of a centre, one turns it round.
    let centre = |c: &Centre| {
        let mut neighbours: Vec<usize> = c.neighbours.iter().map(|b| to[*b]).collect();
        let odd = c.atom % 2 == 1;
        neighbours.swap(0, 1);
        if !odd {
            neighbours.swap(1, 2);
        }
        Centre { atom: to[c.atom], neighbours, positive: c.positive != odd }
    };
    let double = |d: &DoubleBond| DoubleBond { atoms: [to[d.atoms[1]], to[d.atoms[0]]], ends: [to[d.ends[1]], to[d.ends[0]]], cis: d.cis };
    Molecule {
        atoms: order.iter().map(|&a| molecule.atoms[a]).collect(),
        bonds,
        centres: molecule.centres.iter().rev().map(centre).collect(),
        double_bonds: molecule.double_bonds.iter().map(double).collect(),
    }
}

/// The mirror image.
fn mirrored(molecule: &Molecule) -> Molecule {
    let centres = molecule.centres.iter().map(|c| Centre { positive: !c.positive, ..c.clone() }).collect();
    Molecule { centres, ..molecule.clone() }
}

const PARTS: [&str; 34] = [
    "C",
    "CC",
    "[C@H](F)",
    "[C@@H](O)",
    "[C@](C)(N)",
    "C(C)(C)",
    "C1CC1",
    "C1CCC(CC1)",
    "[C@H]1CC[C@@H](CC1)",
    "c1ccc(cc1)",
    "c1ccncc1",
    "C(=O)",
    "/C=C/",
    "/C=C\\",
    "\\C(C)=C/",
    "/C=N/",
    "N",
    "[NH2+]",
    "O",
    "S",
    "[S@](=O)",
    "S(=O)(=O)",
    "P(=O)(O)",
    "C#C",
    "C(F)(F)F",
    "Cl",
    "[2H]",
    "[O-]",
    "C1C2CC1CC2",
    "C1CC2CCC1N2",
    "c1c[nH]cc1",
    "C2CCCC2",
    "[13CH2]",
    "C(Br)=C",
];

fn strings() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&PARTS[..]), 1..7).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn canonical_strings_know_no_order(smiles in strings(), seed in any::<u64>()) {
        let molecule = Molecule::from_smiles(&smiles);
        prop_assume!(molecule.is_ok());
        let molecule = molecule.unwrap();
        let canonical = molecule.to_smiles();
        prop_assert_eq!(shuffled(&molecule, seed).to_smiles(), canonical.clone(), "{}", smiles);
        let again = read(&canonical);
        prop_assert_eq!(again.to_smiles(), canonical, "{}", smiles);
        prop_assert_eq!(again.centres.len(), molecule.centres.len());
        prop_assert_eq!(again.double_bonds.len(), molecule.double_bonds.len());
    }

    #[test]
    fn mirror_images_are_mutual(smiles in strings()) {
        let molecule = Molecule::from_smiles(&smiles);
        prop_assume!(molecule.is_ok());
        let molecule = molecule.unwrap();
        let image = mirrored(&molecule).to_smiles();
        prop_assert_eq!(mirrored(&read(&image)).to_smiles(), molecule.to_smiles(), "{}", smiles);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn isomers_are_distinct_and_complete(smiles in strings()) {
        let molecule = Molecule::from_smiles(&smiles);
        prop_assume!(molecule.is_ok());
        let molecule = molecule.unwrap();
        let isomers = stereo::enumerate(&molecule, 64);
        let strings: std::collections::BTreeSet<String> = isomers.iter().map(Molecule::to_smiles).collect();
        prop_assert_eq!(strings.len(), isomers.len(), "{}", smiles);
        // Mirror images of isomers of a molecule without given configurations are isomers too.
        if molecule.centres.is_empty() && isomers.len() < 64 {
            for isomer in &isomers {
                prop_assert!(strings.contains(&mirrored(isomer).to_smiles()), "{smiles}: {}", isomer.to_smiles());
            }
        }
    }
}

#[test]
fn isomers_of_known_molecules() {
    let count = |smiles: &str| stereo::enumerate(&read(smiles), 100).len();
    for (smiles, isomers) in [
        ("CCO", 1),
        ("CC(O)F", 2),
        ("C[C@H](O)F", 1),
        ("CC=CC", 2),
        ("CC=CC=CC", 3),
        ("CC(O)C(O)C", 3),
        ("CC(O)C(O)C(O)C", 4),
        ("CC1CCC(C)CC1", 2),
        ("CC1CC(C)CC(C)C1", 2),
        ("CC1CCCCC1", 1),
        ("OC1C(O)C(O)C(O)C(O)C1O", 9),
        ("C1CC2CCC1C2", 1),
        ("CC1CC2CCC1C2", 4),
        ("C1CN2CCC1CC2", 1),
        ("C1CC1=CC", 1),
        ("CC=C1CCC(C)CC1", 2),
        ("C12C3C4C1C5C2C3C45", 1),
        ("CN=NC", 2),
        ("C1CCCC=CCC1", 2),
        ("C1CCC=CC1", 1),
        ("CS(=O)CC", 2),
    ] {
        assert_eq!(count(smiles), isomers, "{smiles}");
    }
}

#[test]
fn unspecified_sites() {
    let open = |smiles: &str| {
        let found = stereo::unspecified(&read(smiles));
        (found.centres, found.double_bonds)
    };
    assert_eq!(open("C[C@H](O)C(O)F"), (vec![3], vec![]));
    assert_eq!(open("CC=CC(C)(C)C"), (vec![], vec![1]));
    assert_eq!(open("C/C=C/C(C)(C)C"), (vec![], vec![]));
    assert_eq!(open("CC1CC1C"), (vec![1, 3], vec![]));
    assert_eq!(open("c1ccccc1C(=O)N"), (vec![], vec![]));
}

/// A hand-made geometry: looking from N, the neighbours C(=O), CH3 and H of L-alanine's centre turn anticlockwise.
#[test]
fn configuration_of_a_geometry() {
    let alanine = read("N[C@@H](C)C(=O)O");
    let [nitrogen, centre, methyl, acid] = [0, 1, 2, 3];
    let hydrogen = alanine.bonds.iter().find_map(|b| b.other(centre).filter(|h| alanine.atoms[*h].element.0 == 1)).unwrap();
    let mut positions: Vec<Point> = (0..alanine.atoms.len()).map(|k| [10.0 + k as f64, 5.0, 5.0]).collect();
    positions[centre] = [0.0; 3];
    positions[nitrogen] = [0.0, 0.0, 1.0];
    // Seen from above (from N), H, CH3 and the acid turn clockwise.
    positions[hydrogen] = [1.0, 0.0, -0.3];
    positions[methyl] = [-0.5, -0.87, -0.3];
    positions[acid] = [-0.5, 0.87, -0.3];
    assert!(stereo::kept(&alanine, &positions));
    let (centres, _) = stereo::from_positions(&alanine, &positions);
    assert_eq!(centres.len(), 1);
    let seen = Molecule { centres, ..alanine.clone() };
    assert_eq!(seen.to_smiles(), alanine.to_smiles());
    positions.iter_mut().for_each(|p| p[0] = -p[0]);
    assert!(!stereo::kept(&alanine, &positions));
    let (centres, _) = stereo::from_positions(&alanine, &positions);
    assert_eq!(Molecule { centres, ..alanine.clone() }.to_smiles(), read("N[C@H](C)C(=O)O").to_smiles());
    assert!(!stereo::kept(&alanine, &positions[1..]));
}
