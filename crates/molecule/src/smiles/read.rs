//! From a SMILES string to atoms and bonds as they are written, before any chemistry.

use super::atom::{Written, bracket, organic};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// The graph as written.
pub(super) struct Draft {
    pub(super) atoms: Vec<Written>,
    pub(super) bonds: Vec<Link>,
    /// Neighbours of each atom in the order that chirality refers to.
    pub(super) ports: Vec<Vec<Port>>,
    /// Ring-closure digits of each atom.
    pub(super) closures: Vec<usize>,
}

/// What stands at one place around an atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Atom(usize),
    /// The hydrogen inside its bracket.
    Hydrogen,
}

/// A bond symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    Default,
    Order(u8),
    Aromatic,
    /// `/` is true: the second atom is above the first.
    Slanted(bool),
}

/// One bond; a slant is read from the first atom to the second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) atoms: [usize; 2],
    pub(super) symbol: Symbol,
    /// Position of its symbol or, without one, of what follows.
    pub(super) at: usize,
}

struct Opening {
    atom: usize,
    symbol: Option<Symbol>,
    at: usize,
    /// Where in the ports of its atom the partner belongs.
    port: usize,
    /// Ring bonds are listed in the order in which they were opened.
    serial: usize,
}

/// An error at the byte `at`, counted from 0.
pub(super) fn wrong(at: usize, reason: impl Into<String>) -> Error {
    Error::Smiles { column: at + 1, reason: reason.into() }
}

/// The character at a byte, for a message.
pub(super) fn shown(text: &[u8], at: usize) -> String {
    let rest = String::from_utf8_lossy(&text[at..text.len().min(at + 4)]);
    rest.chars().next().map_or_else(|| "the end".to_owned(), |c| format!("{c:?}"))
}

/// Splits a string into atoms and bonds.
pub(super) fn read(smiles: &str) -> Result<Draft> {
    let mut reader = Reader {
        text: smiles.as_bytes(),
        at: 0,
        draft: Draft { atoms: Vec::new(), bonds: Vec::new(), ports: Vec::new(), closures: Vec::new() },
        previous: None,
        pending: None,
        branches: Vec::new(),
        open: BTreeMap::new(),
        rings: Vec::new(),
        openings: 0,
        after: After::Start,
    };
    while reader.at < reader.text.len() {
        reader.step()?;
    }
    reader.finish()
}

/// What stands before the current byte, as far as grammar cares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Start,
    Atom,
    Open,
    Close,
    Dot,
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    draft: Draft,
    previous: Option<usize>,
    pending: Option<(Symbol, usize)>,
    /// Atom to return to, and position of the parenthesis.
    branches: Vec<(usize, usize)>,
    open: BTreeMap<u32, Opening>,
    rings: Vec<(u32, usize, Link)>,
    openings: usize,
    after: After,
}

impl Reader<'_> {
    fn step(&mut self) -> Result<()> {
        let at = self.at;
        match self.text[at] {
            b'[' => {
                let (atom, next) = bracket(self.text, at)?;
                self.atom(atom, next)
            }
            b'(' => {
                let (Some(atom), None, After::Atom | After::Close) = (self.previous, self.pending, self.after) else {
                    return Err(wrong(at, "a branch follows an atom"));
                };
                self.branches.push((atom, at));
                self.after = After::Open;
                self.at += 1;
                Ok(())
            }
            b')' => {
                self.no_pending()?;
                let (atom, opened) = self.branches.pop().ok_or_else(|| wrong(at, "this parenthesis was never opened"))?;
                if self.after == After::Open || self.after == After::Dot {
                    return Err(wrong(opened, "this branch ends without an atom"));
                }
                self.previous = Some(atom);
                self.after = After::Close;
                self.at += 1;
                Ok(())
            }
            b'.' => {
                self.no_pending()?;
                if !matches!(self.after, After::Atom | After::Close) {
                    return Err(wrong(at, "a dot stands between two fragments"));
                }
                if let Some((_, opened)) = self.branches.last() {
                    return Err(wrong(*opened, "this branch holds a dot"));
                }
                self.previous = None;
                self.after = After::Dot;
                self.at += 1;
                Ok(())
            }
            b'0'..=b'9' | b'%' => self.ring(),
            byte => {
                if let Some(symbol) = bond_symbol(byte) {
                    return self.bond(symbol);
                }
                match organic(self.text, at) {
                    Some((atom, next)) => self.atom(atom, next),
                    None if byte.is_ascii_whitespace() => Err(wrong(at, "a SMILES string holds no white space")),
                    None => Err(wrong(at, format!("{} is no atom; other elements stand in square brackets", shown(self.text, at)))),
                }
            }
        }
    }

    fn bond(&mut self, symbol: Symbol) -> Result<()> {
        if self.previous.is_none() {
            return Err(wrong(self.at, "a bond follows an atom"));
        }
        if self.pending.is_some() {
            return Err(wrong(self.at, "two bond symbols follow one another"));
        }
        self.pending = Some((symbol, self.at));
        self.at += 1;
        Ok(())
    }

    fn no_pending(&self) -> Result<()> {
        match self.pending {
            Some((_, at)) => Err(wrong(at, "this bond leads to no atom")),
            None => Ok(()),
        }
    }

    fn atom(&mut self, atom: Written, next: usize) -> Result<()> {
        let index = self.draft.atoms.len();
        let (symbol, at) = self.pending.take().unwrap_or((Symbol::Default, atom.at));
        self.draft.ports.push(Vec::new());
        self.draft.closures.push(0);
        if let Some(previous) = self.previous {
            self.draft.bonds.push(Link { atoms: [previous, index], symbol, at });
            self.draft.ports[previous].push(Port::Atom(index));
            self.draft.ports[index].push(Port::Atom(previous));
        }
        if atom.hydrogens == Some(1) {
            self.draft.ports[index].push(Port::Hydrogen);
        }
        self.draft.atoms.push(atom);
        self.previous = Some(index);
        self.after = After::Atom;
        self.at = next;
        Ok(())
    }

    fn ring_number(&mut self) -> Result<u32> {
        let start = self.at;
        let digit = |at: usize| self.text.get(at).filter(|b| b.is_ascii_digit()).map(|b| u32::from(b - b'0'));
        if let Some(number) = digit(start) {
            self.at += 1;
            return Ok(number);
        }
        if self.text.get(start + 1) == Some(&b'(') {
            let end = (start + 2..self.text.len().min(start + 8)).find(|&at| digit(at).is_none()).unwrap_or(start + 2);
            if end > start + 2 && self.text.get(end) == Some(&b')') {
                self.at = end + 1;
                return Ok((start + 2..end).filter_map(digit).fold(0, |sum, d| sum * 10 + d));
            }
        } else if let (Some(tens), Some(ones)) = (digit(start + 1), digit(start + 2)) {
            self.at += 3;
            return Ok(10 * tens + ones);
        }
        Err(wrong(start, "'%' is followed by two digits, or by up to five in parentheses"))
    }

    fn ring(&mut self) -> Result<()> {
        let at = self.at;
        let (Some(atom), After::Atom | After::Close) = (self.previous, self.after) else {
            return Err(wrong(at, "a ring digit follows an atom"));
        };
        let number = self.ring_number()?;
        let symbol = self.pending.take().map(|(symbol, _)| symbol);
        self.draft.closures[atom] += 1;
        let Some(opening) = self.open.remove(&number) else {
            let port = self.draft.ports[atom].len();
            // A placeholder, until the partner is known.
            self.draft.ports[atom].push(Port::Atom(usize::MAX));
            self.open.insert(number, Opening { atom, symbol, at, port, serial: self.openings });
            self.openings += 1;
            return Ok(());
        };
        if opening.atom == atom {
            return Err(wrong(at, "this ring bond joins an atom to itself"));
        }
        let pair = [opening.atom, atom];
        let mut links = self.draft.bonds.iter().chain(self.rings.iter().map(|(_, _, link)| link));
        if links.any(|link| link.atoms == pair || link.atoms == [pair[1], pair[0]]) {
            return Err(wrong(at, "this ring bond joins two atoms that are bonded already"));
        }
        let flip = |symbol| if let Symbol::Slanted(up) = symbol { Symbol::Slanted(!up) } else { symbol };
        let (opened, closed) = (opening.symbol.map(flip), symbol);
        let symbol = match (opened, closed) {
            (Some(a), Some(b)) if a == b => a,
            (Some(Symbol::Order(1)), Some(slanted @ Symbol::Slanted(_))) | (Some(slanted @ Symbol::Slanted(_)), Some(Symbol::Order(1))) => {
                slanted
            }
            (Some(_), Some(_)) => return Err(wrong(at, "the two ends of this ring bond disagree about it")),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => Symbol::Default,
        };
        // The bond runs from the closing atom, or from the opening one where that has its order, as in RDKit.
        let atoms = if matches!(opened, Some(Symbol::Order(_) | Symbol::Aromatic)) && symbol == opened.unwrap_or(symbol) {
            pair
        } else {
            [atom, opening.atom]
        };
        self.draft.ports[opening.atom][opening.port] = Port::Atom(atom);
        self.draft.ports[atom].push(Port::Atom(opening.atom));
        self.rings.push((number, opening.serial, Link { atoms, symbol, at }));
        Ok(())
    }

    fn finish(mut self) -> Result<Draft> {
        if self.text.is_empty() {
            return Err(wrong(0, "the string is empty"));
        }
        self.no_pending()?;
        if let Some((_, at)) = self.branches.first() {
            return Err(wrong(*at, "this parenthesis is never closed"));
        }
        if let Some(opening) = self.open.values().min_by_key(|opening| opening.at) {
            return Err(wrong(opening.at, "this ring is never closed"));
        }
        if self.after == After::Dot {
            return Err(wrong(self.text.len() - 1, "a dot stands between two fragments"));
        }
        self.rings.sort_by_key(|(number, serial, _)| (*number, *serial));
        self.draft.bonds.extend(self.rings.into_iter().map(|(_, _, link)| link));
        Ok(self.draft)
    }
}

fn bond_symbol(byte: u8) -> Option<Symbol> {
    Some(match byte {
        b'-' => Symbol::Order(1),
        b'=' => Symbol::Order(2),
        b'#' => Symbol::Order(3),
        b'$' => Symbol::Order(4),
        b':' => Symbol::Aromatic,
        b'/' => Symbol::Slanted(true),
        b'\\' => Symbol::Slanted(false),
        _ => return None,
    })
}
