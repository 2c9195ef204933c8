//! Mappings of a molecular graph onto another, or onto itself: colour refinement, then backtracking.

use crate::{Element, Molecule};
use std::collections::BTreeMap;

/// Number of mappings after which the search stops.
pub const MAX_MAPPINGS: usize = 10_000;
/// Number of trial assignments after which it stops too, whatever it has found; ordinary molecules need a few per mapping and atom.
const MAX_TRIALS: usize = 2_000_000;
/// Colour of a bond from the atom of a conjugated end group, whatever its order.
const END_GROUP: u8 = 5;
const AROMATIC: u8 = 4;

/// The atoms that matter as nodes: heavy ones, or all.
pub(crate) struct Graph {
    /// Atom of every node.
    pub(crate) atoms: Vec<usize>,
    /// What a node is before its neighbours are looked at.
    kinds: Vec<(Element, i8, u16)>,
    /// Neighbours of every node with the colour of the bond.
    edges: Vec<Vec<(usize, u8)>>,
}

impl Graph {
    /// `hydrogens` asks for every atom; a molecule of hydrogens only has all of them anyway.
    pub(crate) fn new(molecule: &Molecule, hydrogens: bool) -> Self {
        let heavy = molecule.heavy();
        let atoms = if hydrogens || heavy.is_empty() { (0..molecule.atoms.len()).collect() } else { heavy };
        let mut node = vec![usize::MAX; molecule.atoms.len()];
        atoms.iter().enumerate().for_each(|(k, &a)| node[a] = k);
        let mut kinds: Vec<_> =
            atoms.iter().map(|&a| (molecule.atoms[a].element, molecule.atoms[a].charge, molecule.atoms[a].isotope)).collect();
        let mut edges = vec![Vec::new(); atoms.len()];
        for bond in &molecule.bonds {
            let [a, b] = bond.atoms.map(|a| node[a]);
            if a != usize::MAX && b != usize::MAX {
                let colour = if bond.aromatic { AROMATIC } else { bond.order };
                edges[a].push((b, colour));
                edges[b].push((a, colour));
            }
        }
        merge_end_groups(&mut kinds, &mut edges);
        Self { atoms, kinds, edges }
    }

    fn len(&self) -> usize {
        self.atoms.len()
    }

    fn bond(&self, a: usize, b: usize) -> Option<u8> {
        self.edges[a].iter().find(|e| e.0 == b).map(|e| e.1)
    }
}

/// O and N ends of a group such as carboxylate, nitro or phosphate are alike: which of them has the double bond (or, on heavy atoms only,
/// the hydrogen) is not seen in their places. RDKit's `GetBestRMS` does the same by default.
fn merge_end_groups(kinds: &mut [(Element, i8, u16)], edges: &mut [Vec<(usize, u8)>]) {
    let is_end = |k: usize, edges: &[Vec<(usize, u8)>]| edges[k].len() == 1 && matches!(kinds[k].0, Element::O | Element::N);
    let mut merged = Vec::new();
    for centre in 0..edges.len() {
        let ends = || edges[centre].iter().filter(|e| is_end(e.0, edges));
        if ends().any(|e| e.1 == 1) && ends().any(|e| e.1 == 2) {
            merged.extend(ends().filter(|e| e.1 <= 2).map(|e| (centre, e.0)));
        }
    }
    for (centre, end) in merged {
        kinds[end].1 = 0;
        edges[end].iter_mut().for_each(|e| e.1 = END_GROUP);
        edges[centre].iter_mut().filter(|e| e.0 == end).for_each(|e| e.1 = END_GROUP);
    }
}

/// Classes of the nodes of both graphs together: nodes of one class are equal as far as refinement sees.
fn refine(a: &Graph, b: &Graph) -> (Vec<usize>, Vec<usize>) {
    let n = a.len();
    let neighbours = |k: usize| if k < n { a.edges[k].iter().map(|&(j, c)| (j, c)).collect() } else { shifted(&b.edges[k - n], n) };
    let edges: Vec<Vec<(usize, u8)>> = (0..n + b.len()).map(neighbours).collect();
    let (mut classes, mut count) = number(a.kinds.iter().chain(&b.kinds).copied());
    loop {
        let signature = |k: usize| {
            let mut around: Vec<_> = edges[k].iter().map(|&(j, colour)| (colour, classes[j])).collect();
            around.sort_unstable();
            (classes[k], around)
        };
        let (next, more) = number((0..edges.len()).map(signature));
        classes = next;
        if more == count {
            break;
        }
        count = more;
    }
    let of_b = classes.split_off(n);
    (classes, of_b)
}

fn shifted(edges: &[(usize, u8)], by: usize) -> Vec<(usize, u8)> {
    edges.iter().map(|&(j, c)| (j + by, c)).collect()
}

/// Replaces keys by their rank among the distinct keys.
fn number<K: Ord>(keys: impl Iterator<Item = K>) -> (Vec<usize>, usize) {
    let keys: Vec<K> = keys.collect();
    let mut ranks: BTreeMap<&K, usize> = keys.iter().map(|k| (k, 0)).collect();
    ranks.values_mut().enumerate().for_each(|(rank, slot)| *slot = rank);
    (keys.iter().map(|k| ranks[k]).collect(), ranks.len())
}

/// Every mapping of `a`'s atoms onto `b`'s that keeps elements, charges, isotopes and bonds: for each, the atom of `b` that belongs to each
/// atom that [`Graph`] takes of `a`, in the order of `a`. Empty when the graphs differ, at most [`MAX_MAPPINGS`].
///
/// With `a` and `b` the same molecule these are its automorphisms, the identity first. Only heavy atoms count unless `hydrogens`.
/// The order is a function of the graphs alone.
pub fn isomorphisms(a: &Molecule, b: &Molecule, hydrogens: bool) -> Vec<Vec<usize>> {
    let (a, b) = (Graph::new(a, hydrogens), Graph::new(b, hydrogens));
    let to_atoms = |nodes: Vec<usize>| nodes.into_iter().map(|k| b.atoms[k]).collect();
    mappings(&a, &b).into_iter().map(to_atoms).collect()
}

/// As [`isomorphisms`], on nodes.
pub(crate) fn mappings(a: &Graph, b: &Graph) -> Vec<Vec<usize>> {
    let edge_count = |g: &Graph| g.edges.iter().map(Vec::len).sum::<usize>();
    if a.len() != b.len() || edge_count(a) != edge_count(b) {
        return Vec::new();
    }
    let (of_a, of_b) = refine(a, b);
    let sorted = |classes: &[usize]| {
        let mut classes = classes.to_vec();
        classes.sort_unstable();
        classes
    };
    if sorted(&of_a) != sorted(&of_b) {
        return Vec::new();
    }
    let mut search = Search {
        a,
        b,
        order: visit_order(a, &of_a),
        image: vec![usize::MAX; a.len()],
        used: vec![false; a.len()],
        found: Vec::new(),
        trials: 0,
        of_a,
        of_b,
    };
    search.extend(0);
    search.found
}

/// Nodes in breadth-first order from the most special ones, each with a neighbour that comes before it, if it has one.
fn visit_order(graph: &Graph, classes: &[usize]) -> Vec<(usize, Option<usize>)> {
    let mut sizes = vec![0usize; classes.len()];
    classes.iter().for_each(|&c| sizes[c] += 1);
    let mut roots: Vec<usize> = (0..graph.len()).collect();
    roots.sort_by_key(|&k| (sizes[classes[k]], k));
    let mut seen = vec![false; graph.len()];
    let mut order = Vec::with_capacity(graph.len());
    for root in roots {
        if seen[root] {
            continue;
        }
        seen[root] = true;
        let mut next = order.len();
        order.push((root, None));
        while let Some(&(k, _)) = order.get(next) {
            next += 1;
            for &(j, _) in &graph.edges[k] {
                if !seen[j] {
                    seen[j] = true;
                    order.push((j, Some(k)));
                }
            }
        }
    }
    order
}

struct Search<'a> {
    a: &'a Graph,
    b: &'a Graph,
    of_a: Vec<usize>,
    of_b: Vec<usize>,
    order: Vec<(usize, Option<usize>)>,
    image: Vec<usize>,
    used: Vec<bool>,
    found: Vec<Vec<usize>>,
    trials: usize,
}

impl Search<'_> {
    fn extend(&mut self, depth: usize) {
        let Some(&(node, parent)) = self.order.get(depth) else {
            self.found.push(self.image.clone());
            return;
        };
        let mut candidates: Vec<usize> = match parent {
            Some(parent) => self.b.edges[self.image[parent]].iter().map(|e| e.0).collect(),
            None => (0..self.b.len()).collect(),
        };
        // The identity comes first, and few swaps before many.
        candidates.sort_by_key(|&k| (k != node, k));
        for candidate in candidates {
            if self.found.len() >= MAX_MAPPINGS || self.trials >= MAX_TRIALS {
                return;
            }
            self.trials += 1;
            if self.fits(node, candidate) {
                self.image[node] = candidate;
                self.used[candidate] = true;
                self.extend(depth + 1);
                self.image[node] = usize::MAX;
                self.used[candidate] = false;
            }
        }
    }

    /// Equal numbers of bonds make it enough that every bond of `a` is found in `b`.
    fn fits(&self, node: usize, candidate: usize) -> bool {
        let bond_kept = |&(j, colour): &(usize, u8)| self.image[j] == usize::MAX || self.b.bond(candidate, self.image[j]) == Some(colour);
        !self.used[candidate] && self.of_a[node] == self.of_b[candidate] && self.a.edges[node].iter().all(bond_kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::molecule;

    fn count(graph: &str) -> usize {
        let m = molecule(graph);
        isomorphisms(&m, &m, false).len()
    }

    #[test]
    fn orders_of_groups_known_from_chemistry() {
        assert_eq!(count("C C; 0-1"), 2);
        assert_eq!(count("C C O; 0-1 1-2"), 1);
        assert_eq!(count("C C C C O; 0-1 0-2 0-3 0-4"), 6, "tert-butanol");
        assert_eq!(count("C C C C C C; 0:1 1:2 2:3 3:4 4:5 5:0"), 12, "benzene");
        assert_eq!(count("C C C C C C F; 0:1 1:2 2:3 3:4 4:5 5:0 0-6"), 2, "fluorobenzene");
        assert_eq!(count("C C O O; 0-1 1=2 1-3"), 2, "the ends of acetic acid");
        assert_eq!(count("C C O N; 0-1 1=2 1-3"), 1, "acetamide");
        assert_eq!(count("C C O O C; 0-1 1=2 1-3 3-4"), 1, "methyl acetate");
        assert_eq!(count("Cl Cl Na Na; "), 4, "fragments swap");
        assert_eq!(count("H H; 0-1"), 2);
    }

    #[test]
    fn methane_with_hydrogens() {
        let m = molecule("C H H H H; 0-1 0-2 0-3 0-4");
        assert_eq!(isomorphisms(&m, &m, true).len(), 24);
        assert_eq!(isomorphisms(&m, &m, false), [[0]]);
    }

    #[test]
    fn the_identity_comes_first_and_every_mapping_keeps_bonds() {
        let m = molecule("C C C C C C N; 0:1 1:2 2:3 3:4 4:5 5:0 0-6");
        let all = isomorphisms(&m, &m, false);
        assert_eq!(all[0], [0, 1, 2, 3, 4, 5, 6]);
        for map in &all {
            for bond in &m.bonds {
                let [a, b] = bond.atoms.map(|a| map[a]);
                assert!(m.bonds.iter().any(|o| o.atoms == [a, b] || o.atoms == [b, a]));
            }
        }
    }

    #[test]
    fn other_orders_are_found_and_other_graphs_are_not() {
        let (a, b) = (molecule("C C O; 0-1 1-2"), molecule("O C C; 0-1 1-2"));
        assert_eq!(isomorphisms(&a, &b, false), [[2, 1, 0]]);
        assert!(isomorphisms(&a, &molecule("C O C; 0-1 1-2"), false).is_empty());
        assert!(isomorphisms(&a, &molecule("C C O; 0-1 1=2"), false).is_empty());
        assert!(isomorphisms(&a, &molecule("C C; 0-1"), false).is_empty());
    }

    #[test]
    fn the_number_is_capped() {
        // Neopentane of neopentanes with hydrogens on its ends would have far more.
        let mut text = String::from("C");
        let mut bonds = String::new();
        for k in 0..8 {
            text.push_str(" C F F F");
            let c = 1 + 4 * k;
            bonds.push_str(&format!(" {}-{c} {c}-{} {c}-{} {c}-{}", if k < 4 { 0 } else { c - 16 }, c + 1, c + 2, c + 3));
        }
        assert_eq!(count(&format!("{text};{bonds}")), MAX_MAPPINGS);
    }
}
