//! Chemistry against RDKit's values in tests/golden/molecule (made by make.py beside them).

use flate2::read::GzDecoder;
use langevin_molecule::{
    Centre, DoubleBond, Molecule,
    chem::{Hybrid, Rings, hybrid},
};
use serde_json::Value;
use std::fs::File;

fn rows() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/molecule/chemistry.json.gz");
    let rows: Vec<Value> = serde_json::from_reader(GzDecoder::new(File::open(path).unwrap())).unwrap();
    assert!(rows.len() > 2600);
    rows
}

fn numbers(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
}

fn indices(value: &Value) -> Vec<usize> {
    numbers(value).into_iter().map(|v| usize::try_from(v).unwrap()).collect()
}

fn smiles(row: &Value) -> &str {
    row[0].as_str().unwrap()
}

fn read(smiles: &str) -> Molecule {
    Molecule::from_smiles(smiles).unwrap_or_else(|e| panic!("{smiles}: {e}"))
}

/// `[low atom, high atom, value]`, sorted.
fn by_pair<T: Copy + Ord>(bonds: impl Iterator<Item = ([usize; 2], T)>) -> Vec<(usize, usize, T)> {
    let mut list: Vec<(usize, usize, T)> = bonds.map(|([a, b], value)| (a.min(b), a.max(b), value)).collect();
    list.sort_unstable();
    list
}

#[test]
fn atoms_and_bonds() {
    for row in rows() {
        let molecule = read(smiles(&row));
        let atoms = |value: &Value, of: &dyn Fn(&langevin_molecule::Atom) -> i64, what: &str| {
            assert_eq!(molecule.atoms.iter().map(of).collect::<Vec<_>>(), numbers(value), "{what} of {}", smiles(&row));
        };
        atoms(&row[1], &|a| i64::from(a.element.0), "elements");
        atoms(&row[2], &|a| i64::from(a.charge), "charges");
        atoms(&row[3], &|a| i64::from(a.isotope), "isotopes");
        atoms(&row[4], &|a| i64::from(a.radicals), "radicals");
        let ours = by_pair(molecule.bonds.iter().map(|b| (b.atoms, if b.aromatic { 5 } else { usize::from(b.order) })));
        let theirs = by_pair(row[5].as_array().unwrap().iter().map(|b| ([indices(b)[0], indices(b)[1]], indices(b)[2])));
        assert_eq!(ours, theirs, "bonds of {}", smiles(&row));
        for bond in &molecule.bonds {
            let both = bond.atoms.iter().all(|a| molecule.atoms[*a].aromatic);
            assert!(!bond.aromatic || both, "aromatic atoms of {}", smiles(&row));
        }
    }
}

#[test]
fn rings() {
    for row in rows() {
        let molecule = read(smiles(&row));
        let rings = Rings::new(&molecule);
        let sizes: Vec<usize> = (0..molecule.atoms.len()).map(|a| rings.atom_size(a).unwrap_or(0)).collect();
        assert_eq!(sizes, indices(&row[6]), "smallest rings of {}", smiles(&row));
        let counts: Vec<usize> = (0..molecule.atoms.len()).map(|a| rings.of_atom(a).len()).collect();
        assert_eq!(counts, indices(&row[7]), "numbers of rings of {}", smiles(&row));
    }
}

#[test]
fn hybridisation_and_conjugation() {
    for row in rows() {
        let molecule = read(smiles(&row));
        let letters: String = hybrid::hybrids(&molecule)
            .into_iter()
            .zip(&molecule.atoms)
            .map(|(kind, atom)| match kind {
                _ if atom.element.0 == 1 => '-',
                Hybrid::S => 's',
                Hybrid::Sp => 'p',
                Hybrid::Sp2 => 't',
                Hybrid::Sp3 => 'q',
                Hybrid::Sp3d => 'd',
                Hybrid::Sp3d2 => 'D',
                Hybrid::Other => 'o',
            })
            .collect();
        assert_eq!(letters, row[8].as_str().unwrap(), "hybrids of {}", smiles(&row));
        let ours = by_pair(molecule.bonds.iter().map(|b| b.atoms).zip(hybrid::conjugated(&molecule)));
        let flags = row[9].as_str().unwrap().bytes().map(|b| b == b'1');
        let theirs = by_pair(row[5].as_array().unwrap().iter().map(|b| [indices(b)[0], indices(b)[1]]).zip(flags));
        assert_eq!(ours, theirs, "conjugation in {}", smiles(&row));
    }
}

/// The sign for sorted neighbours.
fn normal(centre: &Centre) -> (usize, bool) {
    let n = &centre.neighbours;
    let swaps = (0..n.len()).map(|k| n[..k].iter().filter(|m| **m > n[k]).count()).sum::<usize>();
    (centre.atom, centre.positive == (swaps % 2 == 0))
}

/// Whether the lowest neighbours of the two atoms are cis.
fn lowest(molecule: &Molecule, double: &DoubleBond) -> (usize, usize, bool) {
    let [a, b] = double.atoms;
    let least = |a: usize, b: usize| molecule.bonds.iter().filter_map(|bond| bond.other(a)).filter(|c| *c != b).min().unwrap();
    let swapped = (least(a, b) != double.ends[0]) != (least(b, a) != double.ends[1]);
    (a.min(b), a.max(b), double.cis != swapped)
}

#[test]
fn configurations() {
    let (mut centres, mut doubles, mut symmetric) = (0, 0, 0);
    for row in rows() {
        let molecule = read(smiles(&row));
        let theirs = row[10].as_array().unwrap().iter().map(|c| Centre {
            atom: indices(&Value::from(vec![c[0].clone()]))[0],
            neighbours: indices(&c[1]),
            positive: c[2].as_bool().unwrap(),
        });
        let mut theirs: Vec<_> = theirs.map(|c| normal(&c)).collect();
        let mut ours: Vec<_> = molecule.centres.iter().map(normal).collect();
        theirs.sort_unstable();
        ours.sort_unstable();
        // RDKit keeps bridgeheads that inverted together give the same molecule; we do not.
        let rings = Rings::new(&molecule);
        theirs.retain(|centre| ours.contains(centre) || rings.of_atom(centre.0).len() < 2);
        assert_eq!(ours, theirs, "centres of {}", smiles(&row));
        symmetric += usize::from(theirs.len() < row[10].as_array().unwrap().len());
        centres += ours.len();
        let pair = |v: &Value| <[usize; 2]>::try_from(indices(v)).unwrap();
        let theirs = row[11].as_array().unwrap().iter();
        let theirs = theirs.map(|d| DoubleBond { atoms: pair(&d[0]), ends: pair(&d[1]), cis: d[2].as_bool().unwrap() });
        let mut theirs: Vec<_> = theirs.map(|d| lowest(&molecule, &d)).collect();
        let mut ours: Vec<_> = molecule.double_bonds.iter().map(|d| lowest(&molecule, d)).collect();
        theirs.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, theirs, "double bonds of {}", smiles(&row));
        doubles += ours.len();
    }
    assert!(centres > 1500 && doubles > 200 && symmetric < 30, "{centres} centres, {doubles} double bonds, {symmetric} symmetric cages");
}

/// Strings that RDKit writes of one molecule in different orders are one canonical string, and that string reads as itself.
#[test]
fn canonical_strings() {
    for row in rows() {
        let canonical = read(smiles(&row)).to_smiles();
        assert_eq!(read(&canonical).to_smiles(), canonical, "of {}", smiles(&row));
        for other in row[12].as_array().unwrap() {
            let other = other.as_str().unwrap();
            assert_eq!(read(other).to_smiles(), canonical, "{other} for {}", smiles(&row));
        }
    }
}
