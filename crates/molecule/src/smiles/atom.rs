//! One atom of a SMILES string: the organic subset and square brackets.

use super::read::wrong;
use crate::{Element, Result};

/// Largest mass number and atom class, so that sums cannot overflow.
const MAX_NUMBER: u32 = 999_999_999;

/// An atom as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) element: Element,
    pub(super) aromatic: bool,
    pub(super) isotope: u16,
    pub(super) charge: i8,
    pub(super) class: u32,
    /// Hydrogens given in a bracket; `None` for the organic subset, whose hydrogens follow from valence.
    pub(super) hydrogens: Option<u8>,
    /// `@` is true, `@@` false.
    pub(super) anticlockwise: Option<bool>,
    /// Position of its first byte, counted from 0.
    pub(super) at: usize,
}

/// An atom of the organic subset at `at`, and the position after it.
pub(super) fn organic(text: &[u8], at: usize) -> Option<(Written, usize)> {
    let (element, aromatic, length) = match (text[at], text.get(at + 1)) {
        (b'C', Some(b'l')) => (Element::CL, false, 2),
        (b'B', Some(b'r')) => (Element::BR, false, 2),
        (b'B', _) => (Element::B, false, 1),
        (b'C', _) => (Element::C, false, 1),
        (b'N', _) => (Element::N, false, 1),
        (b'O', _) => (Element::O, false, 1),
        (b'P', _) => (Element::P, false, 1),
        (b'S', _) => (Element::S, false, 1),
        (b'F', _) => (Element::F, false, 1),
        (b'I', _) => (Element::I, false, 1),
        (b'b', _) => (Element::B, true, 1),
        (b'c', _) => (Element::C, true, 1),
        (b'n', _) => (Element::N, true, 1),
        (b'o', _) => (Element::O, true, 1),
        (b'p', _) => (Element::P, true, 1),
        (b's', _) => (Element::S, true, 1),
        (b'*', _) => (Element::ANY, false, 1),
        _ => return None,
    };
    // A wildcard has no valence to fill.
    let hydrogens = (element == Element::ANY).then_some(0);
    Some((Written { element, aromatic, isotope: 0, charge: 0, class: 0, hydrogens, anticlockwise: None, at }, at + length))
}

/// The bracket atom that opens at `at`, and the position after its closing bracket.
pub(super) fn bracket(text: &[u8], at: usize) -> Result<(Written, usize)> {
    let mut here = Cursor { text, at: at + 1 };
    let isotope_at = here.at;
    let isotope = match here.number()? {
        Some(number) => u16::try_from(number).map_err(|_| wrong(isotope_at, "the mass number is above 65535"))?,
        None => 0,
    };
    let (element, aromatic) = here.symbol()?;
    let anticlockwise = here.chirality()?;
    let hydrogens = here.hydrogens(element)?;
    let charge = here.charge()?;
    let class = if here.eat(b':') { here.number()?.ok_or_else(|| wrong(here.at, "an atom class is a number"))? } else { 0 };
    match here.peek() {
        Some(b']') => {}
        Some(_) => return Err(wrong(here.at, format!("{} has no place here in a bracket atom", super::read::shown(text, here.at)))),
        None => return Err(wrong(at, "this bracket is never closed")),
    }
    Ok((Written { element, aromatic, isotope, charge, class, hydrogens: Some(hydrogens), anticlockwise, at }, here.at + 1))
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn number(&mut self) -> Result<Option<u32>> {
        let start = self.at;
        let mut value = 0_u32;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            value = value * 10 + u32::from(digit - b'0');
            if value > MAX_NUMBER / 10 {
                return Err(wrong(start, "this number is too large"));
            }
            self.at += 1;
        }
        Ok((self.at > start).then_some(value))
    }

    fn symbol(&mut self) -> Result<(Element, bool)> {
        let start = self.at;
        if self.eat(b'*') {
            return Ok((Element::ANY, false));
        }
        if self.eat(b'#') {
            let z = self.number()?.and_then(|z| u8::try_from(z).ok()).filter(|z| *z <= 118);
            return z.map(|z| (Element(z), false)).ok_or_else(|| wrong(start, "'#' is followed by an atomic number up to 118"));
        }
        let upto = |n: usize| self.text.get(start..start + n).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("");
        for (symbol, element) in [("si", 14), ("as", 33), ("se", 34), ("te", 52)] {
            if upto(2) == symbol {
                self.at += 2;
                return Ok((Element(element), true));
            }
        }
        for (symbol, element) in [("b", 5), ("c", 6), ("n", 7), ("o", 8), ("p", 15), ("s", 16)] {
            if upto(1) == symbol {
                self.at += 1;
                return Ok((Element(element), true));
            }
        }
        // Two letters first: [Sc] is scandium.
        for length in [2, 1] {
            if let Some(element) = Element::from_symbol(upto(length)) {
                self.at += length;
                return Ok((element, false));
            }
        }
        let reason = match self.peek() {
            None => "this bracket is never closed".to_owned(),
            Some(b']') => "an element is missing in this bracket".to_owned(),
            Some(_) => format!("no element begins with {}", super::read::shown(self.text, start)),
        };
        Err(wrong(start.min(self.text.len().saturating_sub(1)), reason))
    }

    fn chirality(&mut self) -> Result<Option<bool>> {
        let start = self.at;
        if !self.eat(b'@') {
            return Ok(None);
        }
        if self.eat(b'@') {
            return Ok(Some(false));
        }
        match self.text.get(self.at..self.at + 2) {
            Some(b"TH") => {
                self.at += 2;
                match self.number()? {
                    Some(1) => Ok(Some(true)),
                    Some(2) => Ok(Some(false)),
                    _ => Err(wrong(start, "a tetrahedral centre is @TH1 or @TH2")),
                }
            }
            Some(b"AL" | b"SP" | b"TB" | b"OH") => {
                Err(wrong(start, "only tetrahedral centres can be given: allene, square, bipyramid and octahedron are not supported"))
            }
            _ => Ok(Some(true)),
        }
    }

    fn hydrogens(&mut self, element: Element) -> Result<u8> {
        let start = self.at;
        if !self.eat(b'H') {
            return Ok(0);
        }
        let count = self.number()?.unwrap_or(1);
        if element == Element::H && count > 1 {
            return Err(wrong(start, "a hydrogen holds at most one other hydrogen"));
        }
        u8::try_from(count).ok().filter(|count| *count < 10).ok_or_else(|| wrong(start, "a hydrogen count has one digit"))
    }

    fn charge(&mut self) -> Result<i8> {
        let start = self.at;
        let (sign, step) = match self.peek() {
            Some(sign @ b'+') => (sign, 1),
            Some(sign @ b'-') => (sign, -1),
            _ => return Ok(0),
        };
        let mut count = 0;
        while self.eat(sign) {
            count += 1;
        }
        match (count, self.number()?) {
            (1, Some(number @ 0..=15)) => Ok(step * i8::try_from(number).expect("at most 15")),
            (1..=3, None) => Ok(step * count),
            _ => Err(wrong(start, "a charge is a sign and a number up to 15")),
        }
    }
}
