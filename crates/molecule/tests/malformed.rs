//! Strings that mean no molecule: every one is an error with the column of its culprit, and no bytes make the parser panic.

use langevin_molecule::{Error, Molecule};
use proptest::prelude::*;

#[test]
fn errors_name_their_column() {
    let table = include_str!("../../../tests/golden/molecule/malformed.tsv");
    let mut count = 0;
    for line in table.lines().skip(1) {
        let [column, _, reason, smiles] = line.splitn(4, '\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let smiles = smiles.replace("\\t", "\t");
        match Molecule::from_smiles(&smiles) {
            Err(Error::Smiles { column: found, reason: why }) => {
                assert!(why.contains(reason), "{smiles}: {why}");
                assert_eq!(found, column.parse::<usize>().unwrap(), "{smiles}: {why}");
            }
            other => panic!("{smiles}: {other:?}"),
        }
        count += 1;
    }
    assert!(count > 110);
}

#[test]
fn the_message_names_column_and_reason() {
    let error = Molecule::from_smiles("CC(C)(C)(C)C").unwrap_err();
    assert_eq!(error.to_string(), "column 2: C has 5 bonds, at most 4 are possible");
}

/// Long inputs take neither the stack nor for ever.
#[test]
fn long_strings() {
    assert_eq!(Molecule::from_smiles(&"C".repeat(3000)).unwrap().to_smiles(), "C".repeat(3000));
    let deep = format!("{}C{}", "C(".repeat(3000), ")".repeat(3000));
    assert_eq!(Molecule::from_smiles(&deep).unwrap().heavy().len(), 3001);
    assert!(Molecule::from_smiles(&"C(".repeat(3000)).is_err());
    let salt = vec!["[Na+]"; 200].join(".");
    assert_eq!(Molecule::from_smiles(&salt).unwrap().to_smiles(), salt);
}

const PIECES: [&str; 48] = [
    "C", "C", "c", "c", "N", "n", "O", "o", "S", "s", "P", "F", "Cl", "Br", "I", "B", "*", "[nH]", "[NH+]", "[O-]", "[C@H]", "[C@@]",
    "[2H]", "[H]", "[Fe]", "[N+]", "(", ")", "(", ")", "1", "2", "1", "2", "3", "%10", "=", "#", "-", ":", "/", "\\", "/", ".", "[C@@H]",
    "[S@]", "[13C:3]", "$",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = Molecule::from_smiles(&String::from_utf8_lossy(&bytes)).map(|m| m.to_smiles());
    }

    /// Strings of real tokens get further than random bytes; what they mean must read back as itself.
    #[test]
    fn tokens_read_back(pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 1..24)) {
        let smiles = pieces.concat();
        match Molecule::from_smiles(&smiles) {
            Ok(molecule) => {
                let canonical = molecule.to_smiles();
                let again = Molecule::from_smiles(&canonical);
                prop_assert!(again.is_ok(), "{smiles} -> {canonical}: {:?}", again.err());
                prop_assert_eq!(again.unwrap().to_smiles(), canonical, "{}", smiles);
            }
            Err(Error::Smiles { column, .. }) => prop_assert!(column >= 1 && column <= smiles.len().max(1), "{smiles}: {column}"),
            Err(other) => prop_assert!(false, "{smiles}: {other}"),
        }
    }
}
