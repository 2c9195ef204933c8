//! XYZ files: a count, a title, and a symbol with three coordinates a line.

use super::lines::Lines;
use crate::{Element, Error, Molecule, Point, Result};
use std::{io::Write, path::Path};

/// One geometry of an XYZ file, which knows no bonds.
#[derive(Clone, Debug, PartialEq)]
pub struct XyzRecord {
    /// Second line.
    pub title: String,
    /// Elements.
    pub elements: Vec<Element>,
    /// Positions, angstrom.
    pub positions: Vec<Point>,
    /// Line of its count.
    pub line: usize,
}

/// Reads `.xyz` and `.xyz.gz` with any number of geometries. What follows a geometry that cannot be read is not looked for: nothing marks it.
#[derive(Debug)]
pub struct XyzReader {
    lines: Lines,
    ended: bool,
}

impl XyzReader {
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

    fn read(&mut self) -> Result<Option<XyzRecord>> {
        let count = loop {
            let Some(text) = self.lines.next_line()? else { return Ok(None) };
            if !text.trim().is_empty() {
                break text;
            }
        };
        let line = self.lines.number();
        let count: usize = count.trim().parse().map_err(|_| self.lines.error(format!("'{}' is no number of atoms", count.trim())))?;
        let cut = || format!("ends before the {count} atoms announced in line {line}");
        let title = self.lines.next_line()?.ok_or_else(|| self.lines.error(cut()))?;
        let mut record = XyzRecord { title, elements: Vec::new(), positions: Vec::new(), line };
        for _ in 0..count {
            let text = self.lines.next_line()?.ok_or_else(|| self.lines.error(cut()))?;
            let mut words = text.split_whitespace();
            let symbol = words.next().unwrap_or_default();
            let by_number = symbol.parse::<u8>().ok().filter(|z| (1..=118).contains(z)).map(Element);
            let element = by_number.or_else(|| Element::from_symbol(symbol));
            record.elements.push(element.ok_or_else(|| self.lines.error(format!("'{symbol}' is no element")))?);
            let mut number = || words.next().and_then(|w| w.parse::<f64>().ok()).filter(|v| v.is_finite());
            let position = number().and_then(|x| Some([x, number()?, number()?]));
            record.positions.push(position.ok_or_else(|| self.lines.error("three coordinates should follow the symbol"))?);
        }
        Ok(Some(record))
    }
}

impl Iterator for XyzReader {
    type Item = Result<XyzRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

/// Writes one geometry. Line ends in the title become spaces.
///
/// # Errors
/// Numbers of atoms and positions differ, a position is not finite, or the writer fails.
pub fn write_xyz(out: &mut impl Write, title: &str, molecule: &Molecule, positions: &[Point]) -> Result<()> {
    super::sdf::check_positions(molecule, positions)?;
    let mut text = format!("{}\n{}\n", positions.len(), title.replace(['\n', '\r'], " "));
    for (atom, [x, y, z]) in molecule.atoms.iter().zip(positions) {
        text.push_str(&format!("{:<2} {x:14.8} {y:14.8} {z:14.8}\n", atom.element.symbol()));
    }
    out.write_all(text.as_bytes()).map_err(|source| Error::Io { path: "output".into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::molecule;
    use std::io::Cursor;

    fn read(text: &str) -> Vec<Result<XyzRecord>> {
        XyzReader::new(Lines::new(Path::new("x.xyz"), Cursor::new(text.to_owned().into_bytes())).expect("memory")).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let (m, positions) = (molecule("Cl H; 0-1"), [[0.0, -1.5, 1e-7], [1.27, 100.25, 0.0]]);
        let mut out = Vec::new();
        write_xyz(&mut out, "two\nlines", &m, &positions).expect("finite");
        write_xyz(&mut out, "", &m, &positions).expect("finite");
        let records = read(&String::from_utf8(out).expect("text"));
        let first = records[0].as_ref().expect("good");
        assert_eq!((first.title.as_str(), first.line, records.len()), ("two lines", 1, 2));
        assert_eq!(first.elements, [Element(17), Element(1)]);
        assert!(first.positions.iter().flatten().zip(positions.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-8));
        assert!(write_xyz(&mut Vec::new(), "", &m, &positions[..1]).is_err());
        assert!(write_xyz(&mut Vec::new(), "", &m, &[[f64::NAN; 3]; 2]).is_err());
    }

    #[test]
    fn errors_have_lines() {
        for (text, said) in [
            ("x\n", "line 1: 'x' is no number"),
            ("2\n\nH 0 0 0\n", "line 3: ends before the 2 atoms announced in line 1"),
            ("1\n\nQq 0 0 0\n", "line 3: 'Qq' is no element"),
            ("1\n\nH 0 0\n", "line 3: three coordinates"),
            ("1\n\nH 0 0 inf\n", "line 3: three coordinates"),
            ("99999999999\n", "ends before"),
        ] {
            let records = read(text);
            assert_eq!(records.len(), 1);
            let error = records[0].as_ref().expect_err(text).to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
