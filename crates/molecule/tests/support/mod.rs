//! Molecules of the shared training data, for tests that learn.
#![allow(clippy::unwrap_used, dead_code)]

use std::io::{BufRead as _, BufReader};

use langevin_molecule::{Atom, Bond, Element, Molecule, Point};

/// A molecule with its conformers.
pub(crate) type Example = (Molecule, Vec<Vec<Point>>);

/// Up to `most` molecules of a file of the shared data; `None`, with a word why, where it is not there.
pub(crate) fn shared(file: &str, most: usize) -> Option<Vec<Example>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var("LANGEVIN_SHARED").unwrap_or_else(|_| beside.to_owned());
    let path = std::path::Path::new(&root).join("data/molecule").join(file);
    let Ok(found) = std::fs::File::open(&path) else {
        eprintln!("skipped: no {}", path.display());
        return None;
    };
    let lines = BufReader::new(flate2::read::GzDecoder::new(found)).lines();
    Some(lines.take(most).map(|line| example(&serde_json::from_str(&line.unwrap()).unwrap())).collect())
}

fn example(record: &serde_json::Value) -> Example {
    let numbers = |value: &serde_json::Value| value.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect::<Vec<i64>>();
    let (z, charge, kekule) = (numbers(&record["z"]), numbers(&record["charge"]), numbers(&record["kekule"]));
    let bonds: Vec<Vec<i64>> = record["bonds"].as_array().unwrap().iter().map(numbers).collect();
    let atom = |(&z, &charge): (&i64, &i64)| Atom {
        element: Element(z as u8),
        charge: charge as i8,
        isotope: 0,
        aromatic: false,
        radicals: 0,
        class: 0,
    };
    let bond = |(bond, &order): (&Vec<i64>, &i64)| Bond {
        atoms: [bond[0] as usize, bond[1] as usize],
        order: order as u8,
        aromatic: bond[2] == 4,
    };
    let molecule = Molecule {
        atoms: z.iter().zip(&charge).map(atom).collect(),
        bonds: bonds.iter().zip(&kekule).map(bond).collect(),
        ..Molecule::default()
    };
    let points = |flat: &serde_json::Value| {
        let values: Vec<f64> = numbers(flat).iter().map(|&v| v as f64 / 1000.0).collect();
        values.as_chunks::<3>().0.to_vec()
    };
    (molecule, record["coords_mA"].as_array().unwrap().iter().map(points).collect())
}
