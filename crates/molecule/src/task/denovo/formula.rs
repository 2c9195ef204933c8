//! Molecular formulas.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::{Element, Error, Molecule, Result};

/// How many atoms of which element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Formula(BTreeMap<Element, usize>);

impl Formula {
    /// The formula of a molecule.
    pub fn of(molecule: &Molecule) -> Self {
        let mut counts = BTreeMap::new();
        molecule.atoms.iter().for_each(|atom| *counts.entry(atom.element).or_default() += 1);
        Self(counts)
    }

    /// Atoms other than hydrogen.
    pub fn heavy(&self) -> usize {
        self.0.iter().filter(|(element, _)| **element != Element::H).map(|(_, count)| count).sum()
    }
}

impl FromStr for Formula {
    type Err = Error;

    /// Symbols, each with a number or none, as in `C2H6O`; a symbol may come again.
    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            |at: &str| Error::Setting { name: "formula", reason: format!("'{text}' should look like C2H6O, but goes on with '{at}'") };
        let mut counts = BTreeMap::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let lower = rest[first.len_utf8()..].starts_with(|c: char| c.is_ascii_lowercase());
            let symbol = &rest[..first.len_utf8() + usize::from(lower)];
            let element = Element::from_symbol(symbol).filter(|e| e.0 > 0 && first.is_ascii_uppercase()).ok_or_else(|| wrong(rest))?;
            let after = &rest[symbol.len()..];
            let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let count = if digits == 0 { Some(1) } else { after[..digits].parse().ok().filter(|count| (1..=9999).contains(count)) };
            *counts.entry(element).or_default() += count.ok_or_else(|| wrong(after))?;
            rest = &after[digits..];
        }
        if counts.is_empty() {
            return Err(wrong("nothing"));
        }
        Ok(Self(counts))
    }
}

/// In Hill's order: carbon, hydrogen, then the others by symbol; without carbon all by symbol.
impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let carbon = self.0.contains_key(&Element::C);
        let rank = |element: Element| match element {
            Element::C => 0,
            Element::H if carbon => 1,
            _ => 2,
        };
        let mut parts: Vec<_> = self.0.iter().map(|(&element, &count)| (rank(element), element.symbol(), count)).collect();
        parts.sort_unstable();
        for (_, symbol, count) in parts {
            match count {
                1 => write!(f, "{symbol}")?,
                _ => write!(f, "{symbol}{count}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_read_and_written() {
        for (text, hill, heavy) in [("C6H6", "C6H6", 6), ("OH2", "H2O", 1), ("CH3CH2Cl", "C2H5Cl", 3), ("BrH", "BrH", 1), ("N2", "N2", 2)] {
            let formula: Formula = text.parse().unwrap();
            assert_eq!((formula.to_string().as_str(), formula.heavy()), (hill, heavy));
        }
        for bad in ["", "c6h6", "C0", "Xx2", "C2 H6", "6C", "C99999", "é"] {
            assert!(bad.parse::<Formula>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hydrogens_of_molecules_count() {
        let aspirin = Molecule::from_smiles("CC(=O)Oc1ccccc1C(=O)O").unwrap();
        assert_eq!(Formula::of(&aspirin).to_string(), "C9H8O4");
    }
}
