//! Canonical SMILES: atoms in the order of a walk from the least rank, short branches first.

use super::{marks, slants};
use crate::{
    Element, Molecule,
    chem::{plain_hydrogen, ranks, valence::Site},
};
use std::{collections::BTreeSet, fmt::Write as _};

/// The canonical string of a molecule.
pub(super) fn write(molecule: &Molecule) -> String {
    let ranks = ranks::canonical(molecule);
    let adjacency = molecule.adjacency();
    let folded: Vec<bool> = (0..molecule.atoms.len()).map(|a| plain_hydrogen(molecule, &adjacency, a)).collect();
    if molecule.double_bonds.is_empty() {
        let walk = Walk::new(molecule, &adjacency, &ranks, folded);
        return Text { molecule, adjacency: &adjacency, walk: &walk, slants: vec![None; molecule.bonds.len()] }.write();
    }
    // Slants may need hydrogens that are folded otherwise, and whether they do depends on the walk.
    let plan = slants::Plan::new(molecule, &adjacency, &ranks, &folded);
    let mut written = folded;
    plan.hydrogens.iter().for_each(|&h| written[h] = false);
    let walk = Walk::new(molecule, &adjacency, &ranks, written);
    let slants = plan.assign(molecule, &adjacency, |bond| walk.direction(molecule, bond));
    Text { molecule, adjacency: &adjacency, walk: &walk, slants }.write()
}

enum Step {
    Atom { atom: usize, bond: Option<usize> },
    Open,
    Close,
    Dot,
}

/// The order in which atoms are written.
struct Walk {
    steps: Vec<Step>,
    /// Place of each atom in the string, `usize::MAX` for hydrogens that are implied.
    place: Vec<usize>,
    /// Atoms written after each atom and bound to it other than by a ring closure, in order.
    children: Vec<Vec<usize>>,
    /// Ring partners of each atom with their bonds, in the order of the string.
    closures: Vec<Vec<(usize, usize)>>,
    folded: Vec<bool>,
}

impl Walk {
    fn new(molecule: &Molecule, adjacency: &[Vec<(usize, usize)>], ranks: &[usize], folded: Vec<bool>) -> Self {
        let n = molecule.atoms.len();
        let mut walk =
            Self { steps: Vec::new(), place: vec![usize::MAX; n], children: vec![Vec::new(); n], closures: vec![Vec::new(); n], folded };
        let mut order: Vec<usize> = (0..n).filter(|a| !walk.folded[*a]).collect();
        order.sort_unstable_by_key(|a| ranks[*a]);
        let mut parent = vec![usize::MAX; n];
        let mut seen = vec![false; n];
        let mut next_place = 0;
        for root in order {
            if seen[root] {
                continue;
            }
            walk.tree(root, adjacency, ranks, &mut seen, &mut parent);
            if !walk.steps.is_empty() {
                walk.steps.push(Step::Dot);
            }
            walk.lay_out(root, adjacency, &mut next_place);
        }
        let place = &walk.place;
        walk.closures.iter_mut().for_each(|list| list.sort_unstable_by_key(|(b, _)| place[*b]));
        walk
    }

    /// Depth-first tree below `root`; what it leaves out are ring closures.
    fn tree(&mut self, root: usize, adjacency: &[Vec<(usize, usize)>], ranks: &[usize], seen: &mut [bool], parent: &mut [usize]) {
        let sorted = |a: usize, folded: &[bool]| {
            let mut list: Vec<(usize, usize)> = adjacency[a].iter().copied().filter(|(b, _)| !folded[*b]).collect();
            list.sort_unstable_by_key(|(b, _)| std::cmp::Reverse(ranks[*b]));
            list
        };
        seen[root] = true;
        let mut used = BTreeSet::new();
        let mut size = std::collections::BTreeMap::from([(root, 1_usize)]);
        let mut stack = vec![(root, sorted(root, &self.folded))];
        while let Some((a, rest)) = stack.last_mut() {
            let a = *a;
            let Some((b, bond)) = rest.pop() else {
                stack.pop();
                self.children[a].sort_by_key(|c| (size[c], ranks[*c]));
                if let Some((up, _)) = stack.last() {
                    let below = size[&a];
                    *size.entry(*up).or_insert(1) += below;
                }
                continue;
            };
            if !used.insert(bond) {
                continue;
            }
            if seen[b] {
                self.closures[a].push((b, bond));
                self.closures[b].push((a, bond));
            } else {
                seen[b] = true;
                parent[b] = a;
                self.children[a].push(b);
                size.insert(b, 1);
                stack.push((b, sorted(b, &self.folded)));
            }
        }
    }

    fn lay_out(&mut self, root: usize, adjacency: &[Vec<(usize, usize)>], next_place: &mut usize) {
        let mut stack = vec![Step::Atom { atom: root, bond: None }];
        while let Some(step) = stack.pop() {
            if let Step::Atom { atom, .. } = step {
                self.place[atom] = *next_place;
                *next_place += 1;
                let children = &self.children[atom];
                for (k, &child) in children.iter().enumerate().rev() {
                    let bond = adjacency[atom].iter().find(|(b, _)| *b == child).map(|(_, bond)| *bond);
                    let step = Step::Atom { atom: child, bond };
                    if k + 1 == children.len() {
                        stack.push(step);
                    } else {
                        stack.extend([Step::Close, step, Step::Open]);
                    }
                }
            }
            self.steps.push(step);
        }
    }

    /// The atoms of a bond in the order in which its symbol is read, and the place of that symbol; `None` when it is not written.
    fn direction(&self, molecule: &Molecule, bond: usize) -> Option<([usize; 2], usize)> {
        let [a, b] = molecule.bonds[bond].atoms;
        if self.folded[a] || self.folded[b] {
            return None;
        }
        let pair = if self.place[a] < self.place[b] { [a, b] } else { [b, a] };
        let ring = self.closures[a].iter().any(|(_, k)| *k == bond);
        // A ring bond's symbol stands with its first digit, right after the first atom.
        Some((pair, 2 * if ring { self.place[pair[0]] } else { self.place[pair[1]] } + usize::from(ring)))
    }
}

struct Text<'a> {
    molecule: &'a Molecule,
    adjacency: &'a [Vec<(usize, usize)>],
    walk: &'a Walk,
    /// For bonds with a slant: whether the atom written later is above the other.
    slants: Vec<Option<bool>>,
}

impl Text<'_> {
    fn write(&self) -> String {
        let mut out = String::new();
        // Bond that holds each ring number.
        let mut numbers: Vec<Option<usize>> = vec![None];
        let mut parent = vec![None; self.molecule.atoms.len()];
        for step in &self.walk.steps {
            match *step {
                Step::Open => out.push('('),
                Step::Close => out.push(')'),
                Step::Dot => out.push('.'),
                Step::Atom { atom, bond } => {
                    out.push_str(bond.map_or("", |bond| self.symbol(bond)));
                    self.walk.children[atom].iter().for_each(|&child| parent[child] = Some(atom));
                    self.atom(&mut out, atom, parent[atom]);
                    for &(partner, bond) in &self.walk.closures[atom] {
                        let number = if self.walk.place[partner] < self.walk.place[atom] {
                            numbers.iter().position(|n| *n == Some(bond)).inspect(|&n| numbers[n] = None)
                        } else {
                            out.push_str(self.symbol(bond));
                            let free = (1..numbers.len()).find(|n| numbers[*n].is_none()).unwrap_or(numbers.len());
                            numbers.resize(numbers.len().max(free + 1), None);
                            numbers[free] = Some(bond);
                            Some(free)
                        };
                        // Writing to a string cannot fail.
                        let _ = match number.unwrap_or_default() {
                            n @ 0..=9 => write!(out, "{n}"),
                            n @ 10..=99 => write!(out, "%{n}"),
                            n => write!(out, "%({n})"),
                        };
                    }
                }
            }
        }
        out
    }

    fn symbol(&self, bond: usize) -> &'static str {
        let this = &self.molecule.bonds[bond];
        let [a, b] = this.atoms.map(|a| &self.molecule.atoms[a]);
        let like_aromatic = (a.aromatic && (b.aromatic || b.element == Element::ANY)) || (b.aromatic && a.element == Element::ANY);
        match (this.aromatic, this.order, self.slants[bond]) {
            (_, _, Some(true)) => "/",
            (_, _, Some(false)) => "\\",
            (true, ..) if like_aromatic => "",
            (true, ..) => ":",
            (_, 2, _) => "=",
            (_, 3, _) => "#",
            (_, 4, _) => "$",
            _ if like_aromatic => "-",
            _ => "",
        }
    }

    fn atom(&self, out: &mut String, a: usize, parent: Option<usize>) {
        let atom = &self.molecule.atoms[a];
        let symbol = if atom.aromatic { atom.element.symbol().to_lowercase() } else { atom.element.symbol().to_owned() };
        let hydrogens = self.adjacency[a].iter().filter(|(b, _)| self.walk.folded[*b]).count();
        let chirality = self.chirality(a, parent);
        if chirality.is_empty() && self.is_organic(a, hydrogens) {
            out.push_str(&symbol);
            return;
        }
        out.push('[');
        if atom.isotope > 0 {
            let _ = write!(out, "{}", atom.isotope);
        }
        out.push_str(&symbol);
        out.push_str(chirality);
        match hydrogens {
            0 => {}
            1 => out.push('H'),
            n => {
                let _ = write!(out, "H{n}");
            }
        }
        match atom.charge {
            0 => {}
            1 => out.push('+'),
            -1 => out.push('-'),
            q => {
                let _ = write!(out, "{q:+}");
            }
        }
        if atom.class > 0 {
            let _ = write!(out, ":{}", atom.class);
        }
        out.push(']');
    }

    /// Whether a reader gives the bare symbol just these hydrogens.
    fn is_organic(&self, a: usize, hydrogens: usize) -> bool {
        let atom = &self.molecule.atoms[a];
        if atom.charge != 0 || atom.isotope != 0 || atom.class != 0 || atom.radicals != 0 {
            return false;
        }
        let aromatic_symbol = matches!(atom.element.0, 5..=8 | 15 | 16);
        match atom.element.0 {
            0 => return hydrogens == 0,
            5..=9 | 15 | 16 | 17 | 35 | 53 if !atom.aromatic || aromatic_symbol => {}
            _ => return false,
        }
        let bonds = self.adjacency[a].iter().filter(|(b, _)| !self.walk.folded[*b]).map(|(_, k)| &self.molecule.bonds[*k]);
        let halves = bonds.map(|bond| if bond.aromatic { 3 } else { 2 * usize::from(bond.order) }).sum();
        let site = Site { element: atom.element, charge: 0, aromatic: atom.aromatic, halves };
        site.implied() == Ok(hydrogens)
    }

    fn chirality(&self, a: usize, parent: Option<usize>) -> &'static str {
        let Some(centre) = self.molecule.centres.iter().find(|centre| centre.atom == a) else { return "" };
        let mut ports: Vec<usize> = parent.into_iter().collect();
        ports.extend(self.adjacency[a].iter().map(|(b, _)| *b).filter(|b| self.walk.folded[*b]));
        ports.extend(self.walk.closures[a].iter().map(|(b, _)| *b));
        ports.extend(&self.walk.children[a]);
        let place = |b: usize| centre.neighbours.iter().position(|c| *c == b);
        let places: Option<Vec<usize>> = ports.iter().map(|b| place(*b)).collect();
        let Some(places) = places else { return "" };
        let swaps = (0..places.len()).flat_map(|k| places[..k].iter().map(move |p| (p, k))).filter(|&(p, k)| *p > places[k]).count();
        let turned = marks::turned(self.molecule, a, self.walk.closures[a].len());
        if (swaps % 2 == 0) == (centre.positive != turned) { "@" } else { "@@" }
    }
}
