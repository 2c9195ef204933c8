//! SDF and MOL files, V2000 and V3000 (CTfile Formats, BIOVIA), with charges, isotopes, radicals and data fields.

mod graph;
mod v2000;
mod v3000;
mod write;

pub(crate) use write::check_positions;
pub use write::write_sdf;

use super::lines::{Lines, is_final};
use crate::{Atom, Bond, Element, Error, Molecule, Point, Result};
use std::path::Path;

/// Lines of one record beyond which a file is taken for something else.
const MAX_LINES: usize = 2_000_000;
/// Bond type of aromatic bonds in both versions.
const AROMATIC: usize = 4;

/// One record of an SDF file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SdfRecord {
    /// First line.
    pub title: String,
    /// The graph as drawn: atoms in the file's order, no hydrogens added, no stereochemistry. Bonds of the type "aromatic" have order 1 and
    /// are marked `aromatic`.
    pub molecule: Molecule,
    /// Positions in angstrom, or of a drawing.
    pub positions: Vec<Point>,
    /// Whether the positions are of three dimensions, by the header or because some depth is not zero.
    pub three_d: bool,
    /// Bonds drawn as wedges, the narrow end first in `Bond::atoms`: index of the bond, and whether it comes towards the viewer.
    pub wedges: Vec<(usize, bool)>,
    /// Data fields in their order; lines of a value are joined by line feeds.
    pub fields: Vec<(String, String)>,
    /// Line of the title.
    pub line: usize,
}

impl SdfRecord {
    /// The value of a data field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|f| f.0 == name).map(|f| f.1.as_str())
    }
}

/// Reads `.sdf`, `.mol` and their gzipped forms.
#[derive(Debug)]
pub struct SdfReader {
    lines: Lines,
    ended: bool,
    record: usize,
}

/// The lines of one record.
struct Text {
    lines: Vec<String>,
    /// Number of the first.
    first: usize,
}

/// What is wrong, and in which line of the record.
type Fault = (usize, String);

impl SdfReader {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// As [`Lines::open`].
    pub fn open(path: &Path) -> Result<Self> {
        Lines::open(path).map(Self::new)
    }

    /// Reads what follows in `lines`.
    pub fn new(lines: Lines) -> Self {
        Self { lines, ended: false, record: 0 }
    }

    /// Lines up to `$$$$` or the end; `None` if there is nothing but white space.
    fn collect(&mut self) -> Result<Option<Text>> {
        let mut text = Text { lines: Vec::new(), first: self.lines.number() + 1 };
        let mut overlong = false;
        while let Some(line) = self.lines.next_line()? {
            if line.starts_with("$$$$") {
                return if overlong {
                    Err(self.lines.error(format!("the record has more than {MAX_LINES} lines")))
                } else {
                    Ok(Some(text))
                };
            }
            overlong |= text.lines.len() >= MAX_LINES;
            if !overlong {
                text.lines.push(line);
            }
        }
        let empty = text.lines.iter().all(|l| l.trim().is_empty());
        Ok((!empty).then_some(text))
    }

    fn read(&mut self) -> Result<Option<SdfRecord>> {
        let Some(text) = self.collect()? else { return Ok(None) };
        self.record += 1;
        let fault = |(k, reason): Fault| Error::Format {
            path: self.lines.path().into(),
            place: format!("record {}, line {}", self.record, text.first + k),
            reason,
        };
        parse(&text).map(Some).map_err(fault)
    }
}

impl Iterator for SdfReader {
    type Item = Result<SdfRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read().transpose();
        self.ended = item.as_ref().is_none_or(|i| i.as_ref().is_err_and(is_final));
        item
    }
}

fn parse(text: &Text) -> std::result::Result<SdfRecord, Fault> {
    let lines = &text.lines;
    let counts = lines.get(3).ok_or((lines.len(), "the record ends before its counts line (the fourth)".to_owned()))?;
    let mut record = SdfRecord { title: lines[0].clone(), line: text.first, ..SdfRecord::default() };
    let end = if counts.contains("V3000") { v3000::parse(lines, &mut record)? } else { v2000::parse(lines, &mut record)? };
    if record.molecule.atoms.is_empty() {
        return Err((3, "the record has no atoms".into()));
    }
    let header = lines[1].get(20..22);
    record.three_d = header == Some("3D") || record.positions.iter().any(|p| p[2] != 0.0);
    record.fields = fields(&lines[end..]);
    Ok(record)
}

/// Data items: `> <name>`, lines, an empty line.
fn fields(lines: &[String]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut rest = lines.iter();
    while let Some(line) = rest.next() {
        if !line.starts_with('>') {
            continue;
        }
        let name = line[1..].split_once('<').and_then(|(_, rest)| rest.rsplit_once('>')).map(|(name, _)| name);
        let value: Vec<&str> = rest.by_ref().take_while(|l| !l.is_empty()).map(String::as_str).collect();
        if let Some(name) = name {
            fields.push((name.to_owned(), value.join("\n")));
        }
    }
    fields
}

/// An atom by its symbol; `D` and `T` are hydrogens.
fn atom(symbol: &str) -> std::result::Result<Atom, String> {
    let (symbol, isotope) = match symbol {
        "D" => ("H", 2),
        "T" => ("H", 3),
        other => (other, 0),
    };
    let element = Element::from_symbol(symbol).filter(|e| e.0 > 0).ok_or_else(|| format!("'{symbol}' is no element"))?;
    Ok(Atom { element, charge: 0, isotope, aromatic: false, radicals: 0, class: 0 })
}

/// Adds a bond, given by indices from 0, and its wedge.
fn add_bond(record: &mut SdfRecord, [a, b]: [usize; 2], order: usize, towards: Option<bool>) -> std::result::Result<(), String> {
    let n = record.molecule.atoms.len();
    if a >= n || b >= n || a == b {
        return Err(format!("a bond joins atoms {} and {} of {n}", a.wrapping_add(1), b.wrapping_add(1)));
    }
    if !(1..=AROMATIC).contains(&order) {
        return Err(format!("bond type {order} has no order; 1, 2, 3 and 4 (aromatic) are read"));
    }
    let aromatic = order == AROMATIC;
    if let Some(towards) = towards {
        record.wedges.push((record.molecule.bonds.len(), towards));
    }
    record.molecule.bonds.push(Bond { atoms: [a, b], order: if aromatic { 1 } else { order as u8 }, aromatic });
    if aromatic {
        [a, b].iter().for_each(|&k| record.molecule.atoms[k].aromatic = true);
    }
    Ok(())
}

/// Unpaired electrons of the radical codes 1 (singlet), 2 (doublet), 3 (triplet).
fn radicals(code: i64) -> std::result::Result<u8, String> {
    match code {
        0 | 1 => Ok(0),
        2 => Ok(1),
        3 => Ok(2),
        other => Err(format!("{other} is no radical code")),
    }
}

#[cfg(test)]
mod tests;
