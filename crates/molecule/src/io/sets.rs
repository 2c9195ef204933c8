//! Whole sets of conformers: references, or what was generated.

use super::{JsonlReader, Lines, Record, SdfReader, SdfRecord, jsonl::difference};
use crate::{Error, Molecule, Point, Result, geometry::isomorphisms};
use std::{collections::HashMap, path::Path};

/// Reads training records (`.jsonl`) or SDF, gzipped or not, as records with all conformers of a molecule together.
///
/// Records of an SDF file belong together by their data field `smiles`, else by their title. Fields that the program writes are read back:
/// `boltzmann_weight` or `weight`, `energy_kcal` or `energy`, `level`.
///
/// # Errors
/// A file or record that cannot be read, conformers under one name with different graphs, or no record at all.
pub fn read_set(path: &Path) -> Result<Vec<Record>> {
    let mut lines = Lines::open(path)?;
    let records = if lines.peek()?.trim_ascii_start().starts_with(b"{") {
        JsonlReader::new(lines).collect::<Result<Vec<_>>>()?
    } else {
        group(path, SdfReader::new(lines))?
    };
    if records.is_empty() {
        return Err(Error::Format { path: path.into(), place: "line 1".into(), reason: "there are no conformers in this file".into() });
    }
    Ok(records)
}

fn group(path: &Path, reader: SdfReader) -> Result<Vec<Record>> {
    let mut records: Vec<Record> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for (k, item) in reader.enumerate() {
        let sdf = item?;
        let fault = |reason: String| Error::Format { path: path.into(), place: format!("record {}, line {}", k + 1, sdf.line), reason };
        let key = sdf.field("smiles").unwrap_or(&sdf.title).trim().to_owned();
        let at = match index.get(&key) {
            Some(&at) => at,
            None => {
                let molecule = sdf.conformer().map_err(|e| fault(e.to_string()))?;
                let smiles = if Molecule::from_smiles(&key).is_ok() { key.clone() } else { String::new() };
                records.push(Record {
                    name: sdf.title.clone(),
                    smiles,
                    molecule,
                    level: sdf.field("level").unwrap_or_default().to_owned(),
                    ..Record::default()
                });
                index.insert(key, records.len() - 1);
                records.len() - 1
            }
        };
        let record = &mut records[at];
        let positions = in_order(&record.molecule, &sdf)
            .ok_or_else(|| fault(format!("its graph is not that of the others named '{}'", record.name)))?;
        record.conformers.push(positions);
        let number = |names: [&str; 2]| names.into_iter().find_map(|n| sdf.field(n)?.trim().parse::<f64>().ok()).filter(|v| v.is_finite());
        record.weights.extend(number(["boltzmann_weight", "weight"]));
        record.energies.extend(number(["energy_kcal", "energy"]));
    }
    for record in &mut records {
        // Numbers that only some conformers have mean nothing.
        let n = record.conformers.len();
        [&mut record.weights, &mut record.energies].into_iter().filter(|v| v.len() != n).for_each(Vec::clear);
    }
    Ok(records)
}

/// The record's positions in the order of the molecule's atoms.
fn in_order(molecule: &Molecule, sdf: &SdfRecord) -> Option<Vec<Point>> {
    if difference(molecule, &sdf.molecule).is_none() {
        return Some(sdf.positions.clone());
    }
    let other = sdf.conformer().ok()?;
    let map = isomorphisms(molecule, &other, true).into_iter().next()?;
    Some(map.into_iter().map(|k| sdf.positions[k]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::write_sdf;
    use std::io::Cursor;

    fn set(text: Vec<u8>) -> Result<Vec<Record>> {
        group(Path::new("x.sdf"), SdfReader::new(Lines::new(Path::new("x.sdf"), Cursor::new(text))?))
    }

    #[test]
    fn conformers_of_a_molecule_come_together() {
        let (water, methanol) = (Molecule::from_smiles("O").expect("water"), Molecule::from_smiles("CO").expect("methanol"));
        let points = |n: usize, z: f64| (0..n).map(|k| [k as f64, 0.0, z]).collect::<Vec<Point>>();
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut text = Vec::new();
        for (z, weight) in [(0.0, "0.75"), (1.0, "0.25")] {
            write_sdf(&mut text, "mine", &water, &points(3, z), &[field("smiles", "O"), field("weight", weight)]).expect("writable");
            write_sdf(&mut text, "CO", &methanol, &points(6, z), &[]).expect("writable");
        }
        // The same molecule by another program: oxygen last.
        let swapped = crate::testing::molecule("H H O; 0-2 1-2");
        write_sdf(&mut text, "O", &swapped, &[[1.0, 0.0, 2.0], [2.0, 0.0, 2.0], [0.0, 0.0, 2.0]], &[field("weight", "0")])
            .expect("writable");
        let records = set(text.clone()).expect("good");
        assert_eq!(records.len(), 2);
        assert_eq!((records[0].name.as_str(), records[0].smiles.as_str(), records[0].conformers.len()), ("mine", "O", 3));
        assert_eq!(records[0].conformers[2][0], [0.0, 0.0, 2.0]);
        assert_eq!(records[0].weights, [0.75, 0.25, 0.0]);
        assert_eq!((records[1].molecule.clone(), records[1].weights.len()), (methanol.clone(), 0));
        write_sdf(&mut text, "O", &methanol, &points(6, 0.0), &[]).expect("writable");
        let error = set(text).expect_err("methanol is not water").to_string();
        assert!(error.contains("record 6") && error.contains("not that of the others named 'mine'"), "{error}");
    }
}
