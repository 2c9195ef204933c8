//! The words of V3000.

use super::{Fault, SdfRecord, add_bond, atom, radicals};
use std::collections::HashMap;

/// Reads a connection table into `record` and returns the index of the line behind it.
pub(super) fn parse(lines: &[String], record: &mut SdfRecord) -> Result<usize, Fault> {
    let mut block = String::new();
    let mut index_of = HashMap::new();
    let mut announced: Option<(usize, usize)> = None;
    let mut at = 4;
    while let Some(line) = lines.get(at) {
        let first = at;
        at += 1;
        if line.starts_with("M  END") {
            let found = (record.molecule.atoms.len(), record.molecule.bonds.len());
            return match announced {
                Some(counts) if counts != found => Err((
                    first,
                    format!("{} atoms and {} bonds were announced, but there are {} and {}", counts.0, counts.1, found.0, found.1),
                )),
                _ => Ok(at),
            };
        }
        let Some(start) = line.strip_prefix("M  V30 ") else { continue };
        let mut text = start.to_owned();
        // A hyphen at the end continues the line.
        while let Some(more) = text.ends_with('-').then(|| lines.get(at).and_then(|l| l.strip_prefix("M  V30 "))).flatten() {
            text.pop();
            text.push_str(more);
            at += 1;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let done = match (words.as_slice(), block.as_str()) {
            (["BEGIN", name, ..], _) => {
                block = (*name).to_owned();
                Ok(())
            }
            (["END", ..], _) => {
                block = "CTAB".into();
                Ok(())
            }
            (["COUNTS", atoms, bonds, ..], "CTAB") => pair(atoms, bonds).map(|counts| announced = Some(counts)),
            (words, "ATOM") => read_atom(words, record).map(|number| {
                index_of.insert(number, record.molecule.atoms.len() - 1);
            }),
            (words, "BOND") => read_bond(words, &index_of, record),
            _ => Ok(()),
        };
        done.map_err(|reason| (first, reason))?;
    }
    Err((lines.len(), "the record ends before 'M  END'".into()))
}

fn whole<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("'{word}' is no number that fits here"))
}

fn pair(a: &str, b: &str) -> Result<(usize, usize), String> {
    Ok((whole(a)?, whole(b)?))
}

/// `index type x y z aamap [KEY=value ...]`; returns the index.
fn read_atom(words: &[&str], record: &mut SdfRecord) -> Result<usize, String> {
    let [index, symbol, x, y, z, class, options @ ..] = words else {
        return Err("an atom needs an index, a symbol, three coordinates and a map number".into());
    };
    let mut atom = atom(symbol)?;
    atom.class = whole(class)?;
    for (key, value) in options.iter().filter_map(|w| w.split_once('=')) {
        match key {
            "CHG" => atom.charge = whole(value)?,
            "RAD" => atom.radicals = radicals(whole(value)?)?,
            "MASS" => atom.isotope = whole(value)?,
            _ => {}
        }
    }
    let position = [whole::<f64>(x)?, whole(y)?, whole(z)?];
    if position.iter().any(|v| !v.is_finite()) {
        return Err("a coordinate is not finite".into());
    }
    record.molecule.atoms.push(atom);
    record.positions.push(position);
    whole(index)
}

/// `index type atom atom [KEY=value ...]`.
fn read_bond(words: &[&str], index_of: &HashMap<usize, usize>, record: &mut SdfRecord) -> Result<(), String> {
    let [_, order, a, b, options @ ..] = words else {
        return Err("a bond needs an index, a type and two atoms".into());
    };
    let atom = |word: &str| {
        let number = whole::<usize>(word)?;
        index_of.get(&number).copied().ok_or_else(|| format!("there is no atom {number}"))
    };
    let towards = options.iter().find_map(|w| match *w {
        "CFG=1" => Some(true),
        "CFG=3" => Some(false),
        _ => None,
    });
    add_bond(record, [atom(a)?, atom(b)?], whole(order)?, towards)
}
