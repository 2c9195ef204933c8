//! The fixed columns of V2000.

use super::{Fault, SdfRecord, add_bond, atom, radicals};
use std::{ops::Range, str::FromStr};

/// Reads a connection table into `record` and returns the index of the line behind it.
pub(super) fn parse(lines: &[String], record: &mut SdfRecord) -> Result<usize, Fault> {
    let counts = &lines[3];
    let count = |columns| number::<usize>(counts, columns).map_err(|reason| (3, reason));
    let (atoms, bonds) = (count(0..3)?, count(3..6)?);
    if atoms == 0 {
        return Err((3, "the record has no atoms".into()));
    }
    let mut at = 4;
    for _ in 0..atoms {
        let line = lines.get(at).ok_or((at, format!("the record ends before its {atoms} atoms")))?;
        read_atom(line, record).map_err(|reason| (at, reason))?;
        at += 1;
    }
    for _ in 0..bonds {
        let line = lines.get(at).ok_or((at, format!("the record ends before its {bonds} bonds")))?;
        read_bond(line, record).map_err(|reason| (at, reason))?;
        at += 1;
    }
    let mut superseded = false;
    while let Some(line) = lines.get(at) {
        if line.starts_with("M  END") {
            return Ok(at + 1);
        }
        if line.starts_with('>') {
            break;
        }
        read_property(line, record, &mut superseded).map_err(|reason| (at, reason))?;
        at += 1;
    }
    Ok(at)
}

/// A number in fixed columns; nothing there is 0.
fn number<T: FromStr + Default>(line: &str, columns: Range<usize>) -> Result<T, String> {
    let end = columns.end.min(line.len());
    let text = if columns.start >= end { "" } else { line.get(columns.start..end).unwrap_or("?").trim() };
    if text.is_empty() {
        return Ok(T::default());
    }
    text.parse().map_err(|_| format!("'{text}' in columns {} to {} is no number", columns.start + 1, columns.end))
}

fn read_atom(line: &str, record: &mut SdfRecord) -> Result<(), String> {
    let mut position = [0.0f64; 3];
    for (d, slot) in position.iter_mut().enumerate() {
        *slot = number(line, 10 * d..10 * d + 10)?;
        if !slot.is_finite() {
            return Err("a coordinate is not finite".into());
        }
    }
    let symbol = line.get(31..line.len().min(34)).unwrap_or_default().trim();
    let mut atom = atom(symbol)?;
    let difference: i32 = number(line, 34..36)?;
    if difference != 0 {
        atom.isotope =
            u16::try_from(atom.element.properties().mass.round() as i32 + difference).map_err(|_| "a mass below 0".to_owned())?;
    }
    match number::<i64>(line, 36..39)? {
        0 => {}
        4 => atom.radicals = 1,
        code @ 1..=7 => atom.charge = (4 - code) as i8,
        code => return Err(format!("{code} is no charge code")),
    }
    atom.class = number(line, 60..63)?;
    record.molecule.atoms.push(atom);
    record.positions.push(position);
    Ok(())
}

fn read_bond(line: &str, record: &mut SdfRecord) -> Result<(), String> {
    let [a, b, order, stereo] = [0, 1, 2, 3].map(|k| number::<usize>(line, 3 * k..3 * k + 3));
    let towards = match stereo? {
        1 => Some(true),
        6 => Some(false),
        _ => None,
    };
    add_bond(record, [a?.wrapping_sub(1), b?.wrapping_sub(1)], order?, towards)
}

/// `M  CHG`, `M  RAD` and `M  ISO`; other properties say nothing about the graph.
fn read_property(line: &str, record: &mut SdfRecord, superseded: &mut bool) -> Result<(), String> {
    let kind = line.get(..6).unwrap_or_default();
    if !matches!(kind, "M  CHG" | "M  RAD" | "M  ISO") {
        return Ok(());
    }
    if kind != "M  ISO" && !*superseded {
        // The first such line takes the place of every charge and radical of the atom block.
        *superseded = true;
        record.molecule.atoms.iter_mut().for_each(|a| (a.charge, a.radicals) = (0, 0));
    }
    for k in 0..number::<usize>(line, 6..9)? {
        let (index, value): (usize, i64) = (number(line, 9 + 8 * k..13 + 8 * k)?, number(line, 13 + 8 * k..17 + 8 * k)?);
        let count = record.molecule.atoms.len();
        let atom = record.molecule.atoms.get_mut(index.wrapping_sub(1)).ok_or_else(|| format!("there is no atom {index} of {count}"))?;
        let wrong = |_| format!("{value} is out of range");
        match kind {
            "M  CHG" => atom.charge = i8::try_from(value).map_err(wrong)?,
            "M  RAD" => atom.radicals = radicals(value)?,
            _ => atom.isotope = u16::try_from(value).map_err(wrong)?,
        }
    }
    Ok(())
}
