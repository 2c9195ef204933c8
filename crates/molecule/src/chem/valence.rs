//! Valence as RDKit models it: an ion follows the rules of the element with as many electrons.

use crate::{Element, Molecule};

/// What decides an atom's valence. Bond orders count twice, so that an aromatic bond is 3.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    pub(crate) element: Element,
    pub(crate) charge: i8,
    /// Whether the atom or one of its bonds is written aromatic.
    pub(crate) aromatic: bool,
    /// Twice the sum of the bond orders, hydrogens included.
    pub(crate) halves: usize,
}

impl Site {
    /// The element with as many electrons, where the element has a rule at all; `None` for impossible charges.
    fn effective(self) -> Option<Element> {
        if self.element == Element::ANY || self.element.default_valence().is_none() {
            return Some(self.element);
        }
        let z = i16::from(self.element.0) - i16::from(self.charge);
        u8::try_from(z).ok().filter(|z| *z <= 118).map(Element)
    }

    /// Negative P, S, As and Se stay hypervalent although Cl, Ar, Br and Kr are not.
    fn hypervalent(self, effective: Element) -> bool {
        (effective.0 > 16 && matches!(self.element.0, 15 | 16)) || (effective.0 > 34 && matches!(self.element.0, 33 | 34))
    }

    /// Valence of the bonds that are given, or why the atom cannot have it.
    pub(crate) fn explicit(self) -> Result<usize, String> {
        let effective = self.effective().ok_or_else(|| format!("{} cannot carry the charge {:+}", self.element.symbol(), self.charge))?;
        let rule = effective.properties();
        let default = rule.valences.first().map_or(0, |v| usize::from(*v));
        let mut valence = self.halves.div_ceil(2);
        if self.aromatic && self.halves > 2 * default {
            // The N of c1cccn1C counts 1.5 + 1.5 + 1 here and 3 in a Kekule structure.
            let nearest = rule.valences.iter().map(|v| usize::from(*v)).take_while(|v| 2 * v <= self.halves).last().unwrap_or(default);
            if self.halves - 2 * nearest <= 3 {
                valence = nearest;
            }
        }
        let own = self.element.properties();
        if own.open || rule.open {
            return Ok(valence);
        }
        let (mut most, mut counted) = (max(rule.valences), i64::try_from(valence).unwrap_or(i64::MAX));
        if self.hypervalent(effective) {
            most = max(own.valences);
            counted -= i64::from(self.charge);
        }
        if self.element == Element::H && self.charge == -1 {
            most = 2;
        }
        if counted > i64::from(most) {
            let charge = if self.charge == 0 { String::new() } else { format!(" of charge {:+}", self.charge) };
            return Err(format!(
                "{}{charge} has {valence} bonds, at most {} are possible",
                self.element.symbol(),
                i64::from(most) + valence as i64 - counted
            ));
        }
        Ok(valence)
    }

    /// Hydrogens that an atom of the organic subset takes up.
    pub(crate) fn implied(self) -> Result<usize, String> {
        let valence = self.explicit()?;
        let valences = self.element.properties().valences;
        let Some(&default) = valences.first() else { return Ok(0) };
        if self.aromatic {
            return Ok(usize::from(default).saturating_sub(valence));
        }
        Ok(valences.iter().map(|v| usize::from(*v)).find(|v| *v >= valence).map_or(0, |v| v - valence))
    }

    /// Unpaired electrons of a bracket atom, whose hydrogens are given; `bonded` when it has neighbours.
    pub(crate) fn radicals(self, bonded: bool) -> u8 {
        if self.element == Element::ANY {
            return 0;
        }
        let rule = self.element.properties();
        let outer = i64::from(rule.outer_electrons);
        let charge = i64::from(self.charge);
        if rule.valences.is_empty() {
            // A metal: electrons are counted only where nothing is bound.
            return if bonded { 0 } else { u8::from((outer - charge).max(0) % 2 == 1) };
        }
        let valence = i64::try_from(self.halves / 2).unwrap_or(i64::MAX / 2);
        let shell = if self.element.0 <= 2 { 2 } else { 8 };
        let mut count = shell - outer - valence + charge;
        if count < 0 {
            // Hypervalent: what is missing to the next allowed valence.
            let target = rule.valences.iter().map(|v| i64::from(*v) + charge).find(|v| *v >= valence);
            count = target.map_or(0, |v| v - valence);
        }
        let early = outer - valence - charge;
        if early >= 0 {
            count = count.min(early);
        }
        u8::try_from(count).unwrap_or(0)
    }
}

fn max(valences: &[u8]) -> u8 {
    valences.last().copied().unwrap_or(0)
}

/// The first atom whose bonds break the rules, and why; for graphs that come from files.
pub fn problem(molecule: &Molecule) -> Option<(usize, String)> {
    let mut halves = vec![0; molecule.atoms.len()];
    for bond in &molecule.bonds {
        bond.atoms.iter().for_each(|&a| halves[a] += 2 * usize::from(bond.order));
    }
    molecule.atoms.iter().zip(halves).enumerate().find_map(|(k, (atom, halves))| {
        let site = Site { element: atom.element, charge: atom.charge, aromatic: false, halves };
        site.explicit().err().map(|reason| (k, reason))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(element: Element, charge: i8, bonds: usize) -> Site {
        Site { element, charge, aromatic: false, halves: 2 * bonds }
    }

    #[test]
    fn limits() {
        assert_eq!(site(Element::C, 0, 4).explicit(), Ok(4));
        assert_eq!(site(Element::C, 0, 5).explicit().unwrap_err(), "C has 5 bonds, at most 4 are possible");
        assert!(site(Element::N, 0, 4).explicit().is_err());
        assert_eq!(site(Element::N, 1, 4).explicit(), Ok(4));
        assert_eq!(site(Element::P, -1, 6).explicit(), Ok(6));
        assert!(site(Element::P, -1, 7).explicit().unwrap_err().ends_with("at most 6 are possible"));
        assert_eq!(site(Element(26), 2, 9).explicit(), Ok(9));
        assert_eq!(site(Element::H, 2, 0).explicit().unwrap_err(), "H cannot carry the charge +2");
    }

    #[test]
    fn hydrogens() {
        assert_eq!(site(Element::C, 0, 1).implied(), Ok(3));
        assert_eq!(site(Element::S, 0, 3).implied(), Ok(1));
        assert_eq!(site(Element::P, 0, 4).implied(), Ok(1));
        assert_eq!(Site { aromatic: true, halves: 8, ..site(Element::N, 0, 0) }.implied(), Ok(0));
        assert_eq!(Site { aromatic: true, halves: 6, ..site(Element::C, 0, 0) }.implied(), Ok(1));
    }

    #[test]
    fn unpaired_electrons() {
        assert_eq!(site(Element::C, 0, 3).radicals(true), 1);
        assert_eq!(site(Element::C, 0, 2).radicals(true), 2);
        assert_eq!(site(Element::N, 1, 4).radicals(true), 0);
        assert_eq!(site(Element::O, -1, 1).radicals(true), 0);
        assert_eq!(site(Element::B, 0, 3).radicals(true), 0);
        assert_eq!(site(Element::H, 0, 0).radicals(false), 1);
        assert_eq!([2, 3, 4, 5, 6].map(|n| site(Element::S, 0, n).radicals(true)), [0, 1, 0, 1, 0]);
        assert_eq!([site(Element(26), 0, 0).radicals(false), site(Element(26), 1, 0).radicals(false)], [0, 1]);
    }
}
