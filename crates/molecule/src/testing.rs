//! Small molecules for unit tests.

use crate::{Atom, Bond, Element, Molecule};

/// `"C C O; 0-1 1=2"`: elements, then bonds `-`, `=`, `#` and `:` (aromatic, of order 1).
pub(crate) fn molecule(text: &str) -> Molecule {
    let (atoms, bonds) = text.split_once(';').expect("atoms; bonds");
    let element = |symbol: &str| match symbol {
        "H" => 1,
        "C" => 6,
        "N" => 7,
        "O" => 8,
        "F" => 9,
        "Na" => 11,
        "S" => 16,
        "Cl" => 17,
        other => panic!("element {other}"),
    };
    let mut molecule = Molecule::default();
    for symbol in atoms.split_whitespace() {
        molecule.atoms.push(Atom { element: Element(element(symbol)), charge: 0, isotope: 0, aromatic: false, radicals: 0, class: 0 });
    }
    for bond in bonds.split_whitespace() {
        let at = bond.find(|c: char| !c.is_ascii_digit()).expect("a bond symbol");
        let number = |text: &str| text.parse::<usize>().expect("an atom");
        let (symbol, atoms) = (&bond[at..=at], [number(&bond[..at]), number(&bond[at + 1..])]);
        let aromatic = symbol == ":";
        let order = match symbol {
            "=" => 2,
            "#" => 3,
            _ => 1,
        };
        molecule.bonds.push(Bond { atoms, order, aromatic });
        if aromatic {
            atoms.iter().for_each(|&a| molecule.atoms[a].aromatic = true);
        }
    }
    molecule
}
