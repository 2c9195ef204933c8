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
/// `members` has an entry for every atom that a bond names. Wildcards take a double bond where it helps.
pub(crate) fn kekulise(members: &[Option<Member>], bonds: &[[usize; 2]]) -> Result<Vec<bool>, usize> {
    if bonds.is_empty() {
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
    let matching = maximum_matching(&graph);
    let unmatched = |index: &NodeIndex| matching.mate(*index).is_none();
    if required > 0 && graph.node_indices().any(|index| unmatched(&index)) {
        return Err(first_of_system(members.len(), bonds, graph.node_indices().filter(unmatched).map(|index| graph[index])));
    }
    Ok(bonds
        .iter()
        .map(|&[a, b]| match (node[a], node[b]) {
            (Some(a), Some(b)) => matching.mate(a) == Some(b),
            _ => false,
        })
        .collect())
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
        let doubles = kekulise(&vec![carbon(); 6], &ring(6)).unwrap();
        assert_eq!(doubles.iter().filter(|d| **d).count(), 3);
        assert!((0..6).all(|k| doubles[k] != doubles[(k + 1) % 6]));
    }

    #[test]
    fn an_odd_ring_has_none() {
        assert_eq!(kekulise(&vec![carbon(); 5], &ring(5)), Err(0));
        let mut members = vec![carbon(); 5];
        members[2] = Some(Member { element: Element::O, charge: 0, singles: 2, bracket: false });
        assert_eq!(kekulise(&members, &ring(5)).unwrap().iter().filter(|d| **d).count(), 2);
        members[2] = Some(Member { element: Element::ANY, charge: 0, singles: 2, bracket: true });
        assert_eq!(kekulise(&members, &ring(5)).unwrap().iter().filter(|d| **d).count(), 2);
    }
}
