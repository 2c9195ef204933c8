//! Alternating single and double bonds for what is written aromatic.

use crate::Element;
use petgraph::{algo::maximum_matching, graph::NodeIndex, graph::UnGraph};

/// An atom of an aromatic system, as written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) element: Element,
    pub(crate) charge: i8,
    /// Sum of bond orders, hydrogens included, each aromatic bond counted once.
    pub(crate) singles: usize,
    /// Whether hydrogens were given, so that a gap in the valence may stay a radical.
    pub(crate) bracket: bool,
}

/// Whether an atom takes a double bond in a Kekule structure.
fn takes_double(member: Member) -> bool {
    let valences = member.element.properties().valences;
    let Some(&default) = valences.first() else { return false };
    // Boron gains a bond with a negative charge, carbon loses one with either.
    let mut charge = i64::from(member.charge);
    if member.element == Element::B || (default == 4 && charge > 0) {
        charge = -charge;
    }
    let singles = i64::try_from(member.singles).unwrap_or(i64::MAX);
    let mut target = i64::from(default) + charge;
    for &valence in &valences[1..] {
        if singles <= target {
            break;
        }
        target = i64::from(valence) + charge;
    }
    target == singles + 1 || (member.bracket && target == singles + 2)
}

/// Which of the aromatic `bonds` are double, or the first atom for which none can be.
///
/// `members` has an entry for every aromatic atom and every atom that a bond names. Wildcards take a double bond where it helps.
pub(crate) fn kekulise(members: &[Option<Member>], bonds: &[[usize; 2]]) -> Result<Vec<bool>, usize> {
    if members.iter().all(Option::is_none) {
        return Ok(Vec::new());
    }
    let mut node = vec![None; members.len()];
    let mut graph = UnGraph::<usize, ()>::default();
    let mut optional = Vec::new();
    for (atom, member) in members.iter().enumerate() {
        let Some(member) = member else { continue };
        let wild = member.element == Element::ANY;
        if wild || takes_double(*member) {
            let index = graph.add_node(atom);
            node[atom] = Some(index);
            if wild {
                optional.push(index);
            }
        }
    }
    let required = graph.node_count() - optional.len();
    for &[a, b] in bonds {
        if let (Some(a), Some(b)) = (node[a], node[b]) {
            graph.add_edge(a, b, ());
        }
    }
    // Wildcards may also pair off among themselves, which means that they stay single.
    if !optional.is_empty() && graph.node_count() % 2 == 1 {
        optional.push(graph.add_node(usize::MAX));
    }
    for (k, &a) in optional.iter().enumerate() {
        for &b in &optional[k + 1..] {
            graph.update_edge(a, b, ());
        }
    }
    let mates = mates(&graph);
    if required > 0 && mates.contains(&None) {
        let unmatched = graph.node_indices().filter(|index| mates[index.index()].is_none());
        return Err(first_of_system(members.len(), bonds, unmatched.map(|index| graph[index])));
    }
    Ok(bonds
        .iter()
        .map(|&[a, b]| match (node[a], node[b]) {
            (Some(a), Some(b)) => mates[a.index()] == Some(b),
            _ => false,
        })
        .collect())
}

/// Partners in a largest matching. Atoms with one choice left come first, which all but always suffices and is fast.
fn mates(graph: &UnGraph<usize, ()>) -> Vec<Option<NodeIndex>> {
    let mut mates: Vec<Option<NodeIndex>> = vec![None; graph.node_count()];
    let mut free: Vec<usize> = graph.node_indices().map(|a| graph.neighbors(a).count()).collect();
    let mut forced: Vec<NodeIndex> = graph.node_indices().filter(|a| free[a.index()] == 1).collect();
    let mut others = graph.node_indices();
    while let Some(a) = forced.pop().or_else(|| others.next()) {
        if mates[a.index()].is_some() {
            continue;
        }
        let choice = graph.neighbors(a).filter(|b| mates[b.index()].is_none()).min_by_key(|b| (free[b.index()], b.index()));
        let Some(b) = choice else { continue };
        (mates[a.index()], mates[b.index()]) = (Some(b), Some(a));
        for c in graph.neighbors(a).chain(graph.neighbors(b)) {
            free[c.index()] -= 1;
            if free[c.index()] == 1 && mates[c.index()].is_none() {
                forced.push(c);
            }
        }
    }
    if mates.contains(&None) {
        let best = maximum_matching(graph);
        mates = graph.node_indices().map(|a| best.mate(a)).collect();
    }
    mates
}

/// Lowest atom of the first aromatic system that holds one of `atoms`.
fn first_of_system(count: usize, bonds: &[[usize; 2]], atoms: impl Iterator<Item = usize>) -> usize {
    let mut lowest: Vec<usize> = (0..count).collect();
    loop {
        let mut changed = false;
        for &[a, b] in bonds {
            let low = lowest[a].min(lowest[b]);
            changed |= lowest[a] != low || lowest[b] != low;
            (lowest[a], lowest[b]) = (low, low);
        }
        if !changed {
            break;
        }
    }
    atoms.filter(|a| *a < count).map(|a| lowest[a]).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(n: usize) -> Vec<[usize; 2]> {
        (0..n).map(|k| [k, (k + 1) % n]).collect()
    }

    fn carbon() -> Option<Member> {
        Some(Member { element: Element::C, charge: 0, singles: 3, bracket: false })
    }

    #[test]
    fn benzene_has_three_double_bonds() {
        let doubles = kekulise(&[carbon(); 6], &ring(6)).unwrap();
        assert_eq!(doubles.iter().filter(|d| **d).count(), 3);
        assert!((0..6).all(|k| doubles[k] != doubles[(k + 1) % 6]));
    }

    #[test]
    fn an_odd_ring_has_none() {
        assert_eq!(kekulise(&[carbon(); 5], &ring(5)), Err(0));
        let mut members = vec![carbon(); 5];
        members[2] = Some(Member { element: Element::O, charge: 0, singles: 2, bracket: false });
        assert_eq!(kekulise(&members, &ring(5)).unwrap().iter().filter(|d| **d).count(), 2);
        members[2] = Some(Member { element: Element::ANY, charge: 0, singles: 2, bracket: true });
        assert_eq!(kekulise(&members, &ring(5)).unwrap().iter().filter(|d| **d).count(), 2);
    }
}
