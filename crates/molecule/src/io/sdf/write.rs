//! Writing SDF records.

use crate::{Atom, Error, Molecule, Point, Result};
use std::{fmt::Write as _, io::Write};

/// Most atoms, and bonds, of a V2000 record.
const MAX_V2000: usize = 999;
/// Coordinates of V2000 have ten columns with four decimals.
const MAX_COORDINATE: f64 = 9999.0;
/// Pairs a line of `M  CHG` and its like.
const PAIRS: usize = 8;

/// Whether there is a finite position for each atom.
pub(crate) fn check_positions(molecule: &Molecule, positions: &[Point]) -> Result<()> {
    let reason = if molecule.atoms.len() != positions.len() {
        format!("{} positions for {} atoms", positions.len(), molecule.atoms.len())
    } else if let Some(k) = positions.iter().position(|p| p.iter().any(|v| !v.is_finite())) {
        format!("the position of atom {} is not finite", k + 1)
    } else {
        return Ok(());
    };
    Err(Error::Geometry { reason })
}

/// Writes one record with its data fields, as V2000 if it fits (at most 999 atoms and bonds), else as V3000.
///
/// Equal content gives equal bytes: the header has no date. Configurations are told by the positions, so no stereo marks are written.
///
/// # Errors
/// Numbers of atoms and positions differ, a position is not finite, an atom or bond has no form in the file (wildcard, quadruple bond, over
/// two unpaired electrons), a title or field holds what would end it, or the writer fails.
pub fn write_sdf(out: &mut impl Write, title: &str, molecule: &Molecule, positions: &[Point], fields: &[(String, String)]) -> Result<()> {
    check_positions(molecule, positions)?;
    check_text(title, fields)?;
    check_graph(molecule)?;
    let fits = molecule.atoms.len() <= MAX_V2000
        && molecule.bonds.len() <= MAX_V2000
        && molecule.atoms.iter().all(|a| a.class <= 999)
        && positions.iter().flatten().all(|v| v.abs() <= MAX_COORDINATE);
    let mut text = format!("{title}\n  langevin          3D\n\n");
    if fits {
        v2000(&mut text, molecule, positions);
    } else {
        v3000(&mut text, molecule, positions);
    }
    text.push_str("M  END\n");
    for (name, value) in fields {
        text.push_str(&format!(">  <{name}>\n{value}\n\n"));
    }
    text.push_str("$$$$\n");
    out.write_all(text.as_bytes()).map_err(|source| Error::Io { path: "output".into(), source })
}

fn check_text(title: &str, fields: &[(String, String)]) -> Result<()> {
    let line = |text: &str| !text.contains(['\n', '\r']) && !text.starts_with("$$$$");
    let value = |text: &str| text.is_empty() || text.split('\n').all(|l| !l.is_empty() && line(l));
    if !line(title) {
        return Err(Error::Setting { name: "the title of a record", reason: format!("should be one line, but is {title:?}") });
    }
    match fields.iter().find(|(name, text)| name.is_empty() || name.contains(['<', '>']) || !line(name) || !value(text)) {
        None => Ok(()),
        Some((name, text)) => {
            let reason = format!("cannot hold {text:?} under the name {name:?}: a name has no <>, a value no empty line and no $$$$");
            Err(Error::Setting { name: "a data field", reason })
        }
    }
}

fn check_graph(molecule: &Molecule) -> Result<()> {
    let atom = |a: &Atom| a.element.0 > 0 && a.radicals <= 2;
    let reason = if let Some(k) = molecule.atoms.iter().position(|a| !atom(a)) {
        format!("atom {} (a wildcard, or with over two unpaired electrons) has no form in SDF", k + 1)
    } else if let Some(b) = molecule.bonds.iter().find(|b| !(1..=3).contains(&b.order)) {
        format!("the bond of atoms {} and {} has order {}, which has no form in SDF", b.atoms[0] + 1, b.atoms[1] + 1, b.order)
    } else {
        return Ok(());
    };
    Err(Error::Geometry { reason })
}

/// Radical code: 2 for a doublet, 3 for a triplet.
fn radical_code(atom: &Atom) -> i64 {
    if atom.radicals == 0 { 0 } else { i64::from(atom.radicals) + 1 }
}

/// The sum of bond orders, which an atom with unpaired electrons states lest a reader adds hydrogens.
fn valence(molecule: &Molecule, atom: usize) -> u32 {
    molecule.bonds.iter().filter(|b| b.atoms.contains(&atom)).map(|b| u32::from(b.order)).sum()
}

fn v2000(text: &mut String, molecule: &Molecule, positions: &[Point]) {
    let _ = writeln!(text, "{:3}{:3}  0  0  0  0  0  0  0  0999 V2000", molecule.atoms.len(), molecule.bonds.len());
    for (k, (atom, [x, y, z])) in molecule.atoms.iter().zip(positions).enumerate() {
        let valence = match (atom.radicals, valence(molecule, k)) {
            (0, _) => 0,
            (_, 0) => 15,
            (_, v) => v.min(14),
        };
        let symbol = atom.element.symbol();
        let _ = writeln!(text, "{x:10.4}{y:10.4}{z:10.4} {symbol:<3} 0  0  0  0  0{valence:3}  0  0  0{:3}  0  0", atom.class);
    }
    for bond in &molecule.bonds {
        let _ = writeln!(text, "{:3}{:3}{:3}  0", bond.atoms[0] + 1, bond.atoms[1] + 1, bond.order);
    }
    property(text, "CHG", molecule.atoms.iter().map(|a| i64::from(a.charge)));
    property(text, "RAD", molecule.atoms.iter().map(radical_code));
    property(text, "ISO", molecule.atoms.iter().map(|a| i64::from(a.isotope)));
}

/// Property lines for the atoms whose value is not 0.
fn property(text: &mut String, name: &str, values: impl Iterator<Item = i64>) {
    let told: Vec<_> = values.enumerate().filter(|(_, v)| *v != 0).collect();
    for part in told.chunks(PAIRS) {
        let _ = write!(text, "M  {name}{:3}", part.len());
        for (k, value) in part {
            let _ = write!(text, " {:3} {value:3}", k + 1);
        }
        text.push('\n');
    }
}

fn v3000(text: &mut String, molecule: &Molecule, positions: &[Point]) {
    let (atoms, bonds) = (&molecule.atoms, &molecule.bonds);
    text.push_str("  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\n");
    let _ = writeln!(text, "M  V30 COUNTS {} {} 0 0 0\nM  V30 BEGIN ATOM", atoms.len(), bonds.len());
    for (k, (atom, [x, y, z])) in atoms.iter().zip(positions).enumerate() {
        let _ = write!(text, "M  V30 {} {} {x:.6} {y:.6} {z:.6} {}", k + 1, atom.element.symbol(), atom.class);
        let valence = match (atom.radicals, valence(molecule, k)) {
            (0, _) => 0,
            (_, 0) => -1,
            (_, v) => i64::from(v),
        };
        let told = [("CHG", i64::from(atom.charge)), ("RAD", radical_code(atom)), ("MASS", i64::from(atom.isotope)), ("VAL", valence)];
        for (key, value) in told.into_iter().filter(|(_, v)| *v != 0) {
            let _ = write!(text, " {key}={value}");
        }
        text.push('\n');
    }
    text.push_str("M  V30 END ATOM\nM  V30 BEGIN BOND\n");
    for (k, bond) in bonds.iter().enumerate() {
        let _ = writeln!(text, "M  V30 {} {} {} {}", k + 1, bond.order, bond.atoms[0] + 1, bond.atoms[1] + 1);
    }
    text.push_str("M  V30 END BOND\nM  V30 END CTAB\n");
}
