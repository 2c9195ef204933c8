//! Training records: one JSON object a line.

use super::{
    Record,
    lines::{Lines, is_final},
};
use crate::{Atom, Bond, Element, Molecule, Point, Result};
use serde::Deserialize;
use std::path::Path;

/// A line of the file. Fields that are not needed here are ignored.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: serde_json::Value,
    smiles: String,
    z: Vec<u8>,
    #[serde(default)]
    charge: Vec<i8>,
    /// Atom, atom, order (4 for aromatic).
    bonds: Vec<[usize; 3]>,
    /// Orders of one Kekule structure; may be absent without aromatic bonds.
    #[serde(default)]
    kekule: Vec<u8>,
    #[serde(default)]
    level: String,
    #[serde(default)]
    weights: Vec<f64>,
    #[serde(default)]
    energies: Vec<f64>,
    /// Thousandths of an angstrom, three an atom.
    #[serde(rename = "coords_mA")]
    coords: Vec<Vec<i32>>,
}

/// Reads `.jsonl` and `.jsonl.gz`.
#[derive(Debug)]
pub struct JsonlReader {
    lines: Lines,
    ended: bool,
}

impl JsonlReader {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// As [`Lines::open`].
    pub fn open(path: &Path) -> Result<Self> {
        Lines::open(path).map(Self::new)
    }

    /// Reads what follows in `lines`.
    pub fn new(lines: Lines) -> Self {
        Self { lines, ended: false }
    }

    /// Number of the line read last.
    pub fn line(&self) -> usize {
        self.lines.number()
    }

    fn read(&mut self) -> Result<Option<Record>> {
        while let Some(text) = self.lines.next_line()? {
            if !text.trim().is_empty() {
                let line: Line = serde_json::from_str(&text).map_err(|e| self.lines.error(json_reason(&e)))?;
                return line.record().map(Some).map_err(|reason| self.lines.error(reason));
            }
        }
        Ok(None)
    }
}

impl Iterator for JsonlReader {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read().transpose();
        self.ended = item.as_ref().is_none_or(|i| i.as_ref().is_err_and(is_final));
        item
    }
}

/// serde_json counts lines within its own input, which is always one line.
fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let said = text.rsplit_once(" at line ").map_or(text.as_str(), |(said, _)| said);
    format!("column {}: {said}; a record of conformers is wanted", error.column())
}

impl Line {
    fn record(self) -> std::result::Result<Record, String> {
        let molecule = self.molecule()?;
        let n = molecule.atoms.len();
        for (name, given) in [("weights", self.weights.len()), ("energies", self.energies.len())] {
            if given != 0 && given != self.coords.len() {
                return Err(format!("{given} {name} for {} conformers", self.coords.len()));
            }
        }
        if self.weights.iter().chain(&self.energies).any(|v| !v.is_finite()) || self.weights.iter().any(|w| *w < 0.0) {
            return Err("weights and energies should be finite and weights not negative".into());
        }
        let mut conformers = Vec::with_capacity(self.coords.len());
        for (k, flat) in self.coords.iter().enumerate() {
            if flat.len() != 3 * n {
                return Err(format!("conformer {k} has {} coordinates for {n} atoms", flat.len()));
            }
            conformers.push(flat.chunks_exact(3).map(|c| [0, 1, 2].map(|d| f64::from(c[d]) / 1000.0)).collect::<Vec<Point>>());
        }
        let name = match &self.id {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let Self { smiles, level, weights, energies, .. } = self;
        Ok(Record { name, smiles, molecule, level, weights, energies, conformers })
    }

    /// The graph of the SMILES, which knows stereochemistry; the record's numbers must agree with it.
    fn molecule(&self) -> std::result::Result<Molecule, String> {
        let graph = self.graph()?;
        let molecule = Molecule::from_smiles(&self.smiles).map_err(|e| format!("'{}': {e}", self.smiles))?;
        if let Some(difference) = difference(&molecule, &graph) {
            return Err(format!("the record differs from its SMILES '{}': {difference}", self.smiles));
        }
        Ok(molecule)
    }

    /// The graph as the numbers of the record give it.
    fn graph(&self) -> std::result::Result<Molecule, String> {
        let n = self.z.len();
        if n == 0 {
            return Err("no atoms".into());
        }
        if !self.charge.is_empty() && self.charge.len() != n {
            return Err(format!("{} charges for {n} atoms", self.charge.len()));
        }
        if !self.kekule.is_empty() && self.kekule.len() != self.bonds.len() {
            return Err(format!("{} Kekule orders for {} bonds", self.kekule.len(), self.bonds.len()));
        }
        let atom = |(k, &z): (usize, &u8)| {
            let charge = self.charge.get(k).copied().unwrap_or(0);
            let known = (1..=118).contains(&z);
            known
                .then_some(Atom { element: Element(z), charge, isotope: 0, aromatic: false, radicals: 0, class: 0 })
                .ok_or(format!("{z} is no atomic number"))
        };
        let mut molecule =
            Molecule { atoms: self.z.iter().enumerate().map(atom).collect::<std::result::Result<_, _>>()?, ..Molecule::default() };
        for (k, &[a, b, order]) in self.bonds.iter().enumerate() {
            if a >= n || b >= n || a == b {
                return Err(format!("bond {k} joins atoms {a} and {b} of {n}"));
            }
            let aromatic = order == 4;
            let order = self.kekule.get(k).map_or(order, |&o| usize::from(o));
            if !(1..=3).contains(&order) {
                return Err(format!("bond {k} has order {order}; aromatic bonds need their order in `kekule`"));
            }
            molecule.bonds.push(Bond { atoms: [a, b], order: order as u8, aromatic });
            if aromatic {
                molecule.atoms[a].aromatic = true;
                molecule.atoms[b].aromatic = true;
            }
        }
        Ok(molecule)
    }
}

/// The first difference of atoms or bonds that stand in one order of atoms.
pub(crate) fn difference(a: &Molecule, b: &Molecule) -> Option<String> {
    if a.atoms.len() != b.atoms.len() || a.bonds.len() != b.bonds.len() {
        return Some(format!("{} atoms and {} bonds beside {} and {}", b.atoms.len(), b.bonds.len(), a.atoms.len(), a.bonds.len()));
    }
    if let Some(k) = (0..a.atoms.len()).find(|&k| (a.atoms[k].element, a.atoms[k].charge) != (b.atoms[k].element, b.atoms[k].charge)) {
        return Some(format!("atom {k} has another element or charge"));
    }
    let sorted = |m: &Molecule| {
        let mut bonds: Vec<_> = m.bonds.iter().map(|b| (b.atoms[0].min(b.atoms[1]), b.atoms[0].max(b.atoms[1]))).collect();
        bonds.sort_unstable();
        bonds
    };
    let (p, q) = (sorted(a), sorted(b));
    let first = p.iter().zip(&q).find(|(x, y)| x != y);
    first.map(|(_, (x, y))| format!("the bond of atoms {x} and {y} is not there"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    const WATER: &str = r#"{"id":7,"smiles":"O","z":[8,1,1],"charge":[0,0,0],"bonds":[[0,1,1],[0,2,1]],"kekule":[1,1],"n_heavy":1,"level":"gfn2","energies":[0.0],"weights":[1.0],"coords_mA":[[0,0,0,960,0,0,-240,930,0]]}"#;

    fn read(text: &str) -> Vec<Result<Record>> {
        JsonlReader::new(Lines::new(Path::new("x.jsonl"), Cursor::new(text.to_owned().into_bytes())).expect("memory")).collect()
    }

    #[test]
    fn a_record_is_read() {
        let records = read(&format!("\n{WATER}\n\n{WATER}"));
        assert_eq!(records.len(), 2);
        let water = records.into_iter().next().expect("two").expect("good");
        assert_eq!((water.name.as_str(), water.smiles.as_str(), water.level.as_str()), ("7", "O", "gfn2"));
        assert_eq!(water.conformers, [[[0.0; 3], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]]);
        assert_eq!(water.molecule.bonds[1], Bond { atoms: [0, 2], order: 1, aromatic: false });
    }

    #[test]
    fn bad_lines_are_named_and_the_next_is_read() {
        for (from, to, said) in [
            ("\"O\"", "\"N\"", "differs from its SMILES 'N': 3 atoms and 2 bonds beside 4 and 3"),
            ("\"O\"", "\"S\"", "atom 0 has another element"),
            ("\"O\"", "\"(\"", "'(': column 1"),
            ("[0,2,1]]", "[1,2,1]]", "the bond of atoms 1 and 2 is not there"),
            ("[0,2,1]]", "[0,3,1]]", "bond 1 joins atoms 0 and 3 of 3"),
            ("[8,1,1]", "[8,1]", "3 charges for 2 atoms"),
            ("[8,1,1]", "[8,1,300]", "column"),
            ("[8,1,1]", "[8,1,0]", "no atomic number"),
            (",930,0]]", ",930]]", "conformer 0 has 8 coordinates for 3 atoms"),
            ("[1.0]", "[1.0,2.0]", "2 weights for 1 conformers"),
            ("[1,1]", "[1,5]", "bond 1 has order 5"),
            ("}", "", "column"),
        ] {
            let records = read(&format!("{}\n{WATER}\n", WATER.replacen(from, to, 1)));
            let error = records[0].as_ref().expect_err(to).to_string();
            assert!(error.starts_with("x.jsonl: line 1: ") && error.contains(said), "{error}");
            assert!(records[1].is_ok());
        }
    }
}
