//! Molecules as sequences of tokens in which, unlike in SMILES, nothing has to be opened and closed.
//!
//! As in DeepSMILES (O'Boyle & Dalke 2018) a ring closure is one token, `@k`: a bond to the atom `k` steps back along the chain. The end of
//! a branch is one as well: `^k` goes `k` atoms back. A bond's symbol belongs to the token that it leads to. `CC(=O)OC1CC1` is
//! `C C =O ^1 O C C C @2`: almost every sequence is a molecule, but for valences.

use std::collections::HashMap;

use crate::{Error, Result};

/// Most tokens of a vocabulary: the transition matrices of the process are squares of it.
const MOST: usize = 256;

/// The tokens that a model knows, numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    tokens: Vec<String>,
    numbers: HashMap<String, u32>,
}

/// What a token does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// Goes back by so many atoms.
    Back(usize),
    /// Closes a ring by a bond to the atom so many steps back.
    Ring(&'a str, usize),
    /// Adds an atom by a bond.
    Atom(&'a str, &'a str),
}

impl Vocabulary {
    /// A vocabulary of these tokens.
    ///
    /// # Errors
    /// [`Error::Setting`] for no tokens, too many, one twice, or one that is not a token.
    pub fn new(list: &[String]) -> Result<Self> {
        let wrong = |reason: String| Err(Error::Setting { name: "tokens", reason });
        if !(1..=MOST).contains(&list.len()) {
            return wrong(format!("should be 1 to {MOST}, but are {}", list.len()));
        }
        if let Some(bad) = list.iter().find(|text| token(text).is_none()) {
            return wrong(format!("should be tokens such as 'C', '=O', '^1' and '@5', but '{bad}' is none"));
        }
        let numbers: HashMap<String, u32> = list.iter().cloned().zip(0..).collect();
        if numbers.len() != list.len() {
            return wrong("should differ, but one is there twice".to_owned());
        }
        Ok(Self { tokens: list.to_vec(), numbers })
    }

    /// The commonest tokens of some strings, sorted; strings that have none count for nothing.
    pub fn of<'a>(strings: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut counts: HashMap<String, u64> = HashMap::new();
        strings.into_iter().filter_map(encode).flatten().for_each(|token| *counts.entry(token).or_default() += 1);
        let mut common: Vec<(String, u64)> = counts.into_iter().collect();
        common.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        common.truncate(MOST);
        let mut names: Vec<String> = common.into_iter().map(|(token, _)| token).collect();
        names.sort_unstable();
        names
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Never: a vocabulary has a token.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Numbers of the tokens of a SMILES; `None` when it has none or one is unknown.
    pub fn encode(&self, smiles: &str) -> Option<Vec<u32>> {
        encode(smiles)?.iter().map(|token| self.numbers.get(token).copied()).collect()
    }

    /// The SMILES of some tokens; `None` when they lead nowhere.
    pub fn decode(&self, numbers: &[u32]) -> Option<String> {
        decode(numbers.iter().map(|&number| self.tokens.get(number as usize).map(String::as_str)))
    }

    /// Number of atoms other than hydrogen.
    pub fn heavy(&self, numbers: &[u32]) -> usize {
        let texts = numbers.iter().filter_map(|&number| self.tokens.get(number as usize));
        texts.filter(|text| matches!(token(text), Some(Token::Atom(_, atom)) if is_heavy(atom))).count()
    }
}

fn token(text: &str) -> Option<Token<'_>> {
    let steps = |digits: &str| digits.parse().ok().filter(|steps| (1..=999).contains(steps));
    if let Some(digits) = text.strip_prefix('^') {
        return Some(Token::Back(steps(digits)?));
    }
    let bond = text.len() - text.trim_start_matches(is_bond).len();
    let (bond, rest) = text.split_at(bond);
    match rest.strip_prefix('@') {
        Some(digits) if bond.len() <= 1 => Some(Token::Ring(bond, steps(digits)?)),
        _ => (bond.len() <= 1 && pieces(rest)? == [rest] && is_atom(rest)).then_some(Token::Atom(bond, rest)),
    }
}

const fn is_bond(c: char) -> bool {
    matches!(c, '-' | '=' | '#' | '$' | ':' | '/' | '\\' | '.')
}

fn is_atom(piece: &str) -> bool {
    piece.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*' || c == '[')
}

fn is_heavy(atom: &str) -> bool {
    let Some(inside) = atom.strip_prefix('[') else { return true };
    let symbol = inside.trim_start_matches(|c: char| c.is_ascii_digit()).as_bytes();
    // Hydrogen, not helium, hafnium, mercury, holmium or hassium.
    !matches!(symbol, [b'H', next, ..] if !b"efgos".contains(next))
}

/// The pieces of a SMILES: a bracket atom, `Cl`, `Br` or a two-digit ring closure is one, anything else a byte.
fn pieces(smiles: &str) -> Option<Vec<&str>> {
    let bytes = smiles.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = match &bytes[at..] {
            [b'[', rest @ ..] => 2 + rest.iter().position(|&b| b == b']')?,
            [b'%', a, b, ..] if a.is_ascii_digit() && b.is_ascii_digit() => 3,
            [b'C', b'l', ..] | [b'B', b'r', ..] => 2,
            [byte, ..] if byte.is_ascii() && *byte != b'%' => 1,
            _ => return None,
        };
        found.push(smiles.get(at..at + length)?);
        at += length;
    }
    Some(found)
}

/// The tokens of a SMILES; `None` for what is no SMILES, and for ring closures between branches or with a direction, which the tokens
/// cannot say.
fn encode(smiles: &str) -> Option<Vec<String>> {
    let (mut out, mut parents) = (Vec::new(), Vec::new());
    // The atom that the next one is bonded to, and those to return to after a branch.
    let (mut here, mut branches): (Option<usize>, Vec<Option<usize>>) = (None, Vec::new());
    let mut open: HashMap<&str, (usize, &str)> = HashMap::new();
    let mut bond = "";
    for piece in pieces(smiles)? {
        match piece {
            "(" => branches.push(here),
            ")" => here = branches.pop()?,
            _ if piece.starts_with(is_bond) => bond = piece,
            _ if is_atom(piece) => {
                let new = parents.len();
                if bond == "." {
                    here = None;
                }
                if here.is_none() && bond != if new == 0 { "" } else { "." } {
                    return None;
                }
                if let Some(to) = here {
                    match back(&parents, new - 1, to)? {
                        0 => {}
                        steps => out.push(format!("^{steps}")),
                    }
                }
                out.push(format!("{bond}{piece}"));
                parents.push(here);
                (here, bond) = (Some(new), "");
            }
            // Whatever else stands outside brackets is no SMILES.
            stray if !stray.starts_with(|c: char| c.is_ascii_digit() || c == '%') => return None,
            digit => {
                let at = here.filter(|&at| at + 1 == parents.len())?;
                match open.remove(digit) {
                    None => drop(open.insert(digit, (at, bond))),
                    Some((first, opened)) => {
                        let bond = if bond.is_empty() { opened } else { bond };
                        if matches!(bond, "/" | "\\" | ".") {
                            return None;
                        }
                        match back(&parents, at, first)? {
                            0 => return None,
                            steps => out.push(format!("{bond}@{steps}")),
                        }
                    }
                }
                bond = "";
            }
        }
    }
    (!out.is_empty() && open.is_empty() && branches.is_empty() && bond.is_empty()).then_some(out)
}

/// Steps back from an atom to one of those before it in its chain.
fn back(parents: &[Option<usize>], from: usize, to: usize) -> Option<usize> {
    let mut at = from;
    let mut steps = 0;
    while at != to {
        at = parents[at]?;
        steps += 1;
    }
    Some(steps)
}

/// An atom on its way to a SMILES.
struct Node<'a> {
    text: (&'a str, &'a str),
    parent: Option<usize>,
    children: Vec<usize>,
    /// Ring closures as a bond's symbol and a number, in the order of their closing.
    rings: Vec<(&'a str, usize)>,
}

/// The SMILES of some tokens; `None` for an unknown one, or one that goes back further than its chain.
fn decode<'a>(tokens: impl Iterator<Item = Option<&'a str>>) -> Option<String> {
    let mut nodes: Vec<Node<'a>> = Vec::new();
    let mut here: Option<usize> = None;
    let mut rings = 0;
    for text in tokens {
        let go = |nodes: &[Node<'a>], steps: usize| (0..steps).try_fold(here?, |at, _| nodes[at].parent);
        match token(text?)? {
            Token::Back(steps) => here = Some(go(&nodes, steps)?),
            Token::Ring(bond, steps) => {
                let (from, to) = (here?, go(&nodes, steps)?);
                rings += 1;
                nodes[to].rings.push(("", rings));
                nodes[from].rings.push((bond, rings));
            }
            Token::Atom(bond, atom) => {
                let parent = here.filter(|_| bond != ".");
                if parent.is_none() != (nodes.is_empty() || bond == ".") || (nodes.is_empty() && !bond.is_empty()) {
                    return None;
                }
                let new = nodes.len();
                here = Some(new);
                if let Some(parent) = parent {
                    nodes[parent].children.push(new);
                }
                nodes.push(Node { text: (bond, atom), parent, children: Vec::new(), rings: Vec::new() });
            }
        }
    }
    if rings > 99 {
        return None;
    }
    let mut smiles = String::new();
    for root in (0..nodes.len()).filter(|&k| nodes[k].parent.is_none()) {
        write(&nodes, root, &mut smiles);
    }
    Some(smiles).filter(|smiles| !smiles.is_empty())
}

/// Appends an atom and all behind it. Branches nest no deeper than a sequence is long.
fn write(nodes: &[Node<'_>], at: usize, smiles: &mut String) {
    let mut at = at;
    loop {
        let node = &nodes[at];
        smiles.extend([node.text.0, node.text.1]);
        for &(bond, number) in &node.rings {
            smiles.push_str(bond);
            smiles.push_str(&if number > 9 { format!("%{number}") } else { number.to_string() });
        }
        let Some((&last, branches)) = node.children.split_last() else { return };
        for &branch in branches {
            smiles.push('(');
            write(nodes, branch, smiles);
            smiles.push(')');
        }
        at = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Molecule;
    use proptest::prelude::*;

    #[test]
    fn hand_worked_sequences() {
        let text = |smiles: &str| encode(smiles).map(|tokens| tokens.join(" ")).unwrap_or_default();
        assert_eq!(text("CC(=O)OC1CC1"), "C C =O ^1 O C C C @2");
        assert_eq!(text("CC(C(C)C)(Cl)N"), "C C C C ^1 C ^2 Cl ^1 N");
        assert_eq!(text("C1=CC=CC=C1"), "C =C C =C C =C @5");
        assert_eq!(text("C=1CCC=1"), "C C C C =@3");
        assert_eq!(text("[NH3+]CC([O-])=O"), "[NH3+] C C [O-] ^1 =O");
        assert_eq!(text("C12CC1C2"), "C C C @2 C @3");
        assert_eq!(text("[Na+].[Cl-]"), "[Na+] .[Cl-]");
        assert_eq!(text("F/C=C/F"), "F /C =C /F");
        // Ring closures between branches, with directions, not closed; what is no SMILES.
        for none in ["#C", ".C", "(C)C", "C(C1)CC1", "C/1=CCC/1", "C1CC", "C(C", "CC)", "C=", "", "CC[N", "C%1", "C é"] {
            assert_eq!(text(none), "", "{none}");
        }
    }

    #[test]
    fn molecules_come_back() {
        let strings = [
            "CC(=O)Oc1ccccc1C(=O)O",
            "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
            "C1CC2CCC1CC2",
            "N[C@@H](C)C(=O)O",
            "C12C3C4C1C5C2C3C45",
            "CC#N.[Na+].[Cl-]",
            "C(F)(F)(F)c1ccc(Br)cc1",
            "[H][H]",
        ];
        let vocabulary = Vocabulary::new(&Vocabulary::of(strings)).unwrap();
        for s in strings {
            let back = vocabulary.decode(&vocabulary.encode(s).unwrap()).unwrap();
            let canonical = |s: &str| Molecule::from_smiles(s).unwrap().to_smiles();
            assert_eq!(canonical(&back), canonical(s), "{s} {back}");
            let numbers = vocabulary.encode(s).unwrap();
            assert_eq!(vocabulary.heavy(&numbers), Molecule::from_smiles(s).unwrap().heavy().len(), "{s}");
        }
        assert_eq!(vocabulary.encode("CI"), None);
        let names = |list: &[&str]| list.iter().map(|&t| t.to_owned()).collect::<Vec<_>>();
        for bad in [&[][..], &["C", "C"], &["CC"], &["[N"], &[""], &["=="], &["^0"], &["@"], &["=#@3"], &["("], &["1"]] {
            assert!(Vocabulary::new(&names(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sequences_that_lead_nowhere_are_none() {
        let of = |text: &str| decode(text.split(' ').map(Some));
        assert_eq!(of("C C ^1 ^1 N").as_deref(), None);
        assert_eq!(of("C C @2"), None);
        assert_eq!(of("=C C"), None);
        assert_eq!(of("@2 C"), None);
        assert_eq!((encode("N++"), encode("N11")), (None, None));
        assert_eq!(of("C O ^1").as_deref(), Some("CO"));
        assert_eq!(decode([Some("C"), None].into_iter()), None);
    }

    proptest! {
        #[test]
        fn any_text_is_tokens_or_not(text in "[CNO()=#1-3/.\\[\\]%@+H^]{0,30}") {
            if let Some(tokens) = encode(&text) {
                prop_assert!(tokens.iter().all(|t| token(t).is_some()), "{:?}", tokens);
                prop_assert!(decode(tokens.iter().map(|t| Some(t.as_str()))).is_some());
            }
        }

        #[test]
        fn any_tokens_are_text_or_not(picks in proptest::collection::vec(0usize..8, 0..30)) {
            let all = ["C", "=N", ".O", "^1", "^3", "@2", "=@4", "[NH4+]"];
            let _ = decode(picks.iter().map(|&k| Some(all[k])));
        }
    }
}
