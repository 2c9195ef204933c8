//! Symmetry classes and canonical order of atoms.

use super::refine::Graph;
use crate::Molecule;

/// Refinements that a search may spend on one fragment; only graphs made to be hard need more.
const MAX_REFINEMENTS: usize = 20_000;

/// Symmetry classes: atoms that connectivity cannot tell apart share a number. Stereochemistry is left out, hydrogens are included.
///
/// Regular graphs of equal atoms can hide a difference from this, as from every refinement; none is known among molecules.
pub fn classes(molecule: &Molecule) -> Vec<usize> {
    let adjacency = molecule.adjacency();
    let graph = Graph::new(molecule, &adjacency, false);
    let nodes: Vec<usize> = (0..graph.len()).collect();
    let mut colours = graph.start(&nodes);
    graph.refine(&nodes, &mut colours);
    let n = graph.len();
    (0..molecule.atoms.len())
        .map(|a| match graph.node.get(a) {
            Some(&v) if v < n => colours[v],
            _ => n + colours[graph.node[adjacency[a][0].0]],
        })
        .collect()
}

/// Canonical rank of every atom, stereochemistry included: the same for every order of the atoms, up to symmetry. Hydrogens come last,
/// in the order of their atoms.
pub fn canonical(molecule: &Molecule) -> Vec<usize> {
    let adjacency = molecule.adjacency();
    let graph = Graph::new(molecule, &adjacency, true);
    let mut ranks = vec![usize::MAX; molecule.atoms.len()];
    let mut next = 0;
    for fragment in label(&graph) {
        for v in fragment.order {
            ranks[graph.atoms[v]] = next;
            next += 1;
        }
    }
    let mut hydrogens: Vec<usize> = (0..ranks.len()).filter(|a| ranks[*a] == usize::MAX).collect();
    hydrogens.sort_by_key(|&a| (ranks[adjacency[a][0].0], a));
    for a in hydrogens {
        ranks[a] = next;
        next += 1;
    }
    ranks
}

/// A list of numbers that two molecules share exactly when they are the same, stereochemistry included.
pub fn certificate(molecule: &Molecule) -> Vec<u64> {
    let graph = Graph::new(molecule, &molecule.adjacency(), true);
    let mut out = Vec::new();
    for fragment in label(&graph) {
        out.push(fragment.order.len() as u64);
        out.extend(fragment.certificate);
    }
    out
}

struct Labelled {
    certificate: Vec<u64>,
    /// Nodes in canonical order.
    order: Vec<usize>,
}

fn label(graph: &Graph) -> Vec<Labelled> {
    let mut seen = vec![false; graph.len()];
    let mut fragments = Vec::new();
    for start in 0..graph.len() {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let mut nodes = vec![start];
        let mut head = 0;
        while head < nodes.len() {
            for &(w, _) in graph.links(nodes[head]) {
                if !std::mem::replace(&mut seen[w], true) {
                    nodes.push(w);
                }
            }
            head += 1;
        }
        fragments.push(Search::run(graph, nodes));
    }
    fragments.sort_by(|a, b| (a.order.len(), &a.certificate).cmp(&(b.order.len(), &b.certificate)));
    fragments
}

/// A leaf of the search tree: the choices that led there, and what they make of the graph.
struct Leaf {
    path: Vec<usize>,
    certificate: Vec<u64>,
    order: Vec<usize>,
}

/// Individualisation and refinement (McKay 1981): the least certificate over all ways to break ties, symmetric ways tried once.
struct Search<'a> {
    graph: &'a Graph,
    nodes: Vec<usize>,
    first: Option<Leaf>,
    best: Option<Leaf>,
    /// Image of each node under the symmetries found so far.
    symmetries: Vec<Vec<usize>>,
    budget: usize,
}

impl Search<'_> {
    fn run(graph: &Graph, nodes: Vec<usize>) -> Labelled {
        let mut search = Search { graph, nodes, first: None, best: None, symmetries: Vec::new(), budget: MAX_REFINEMENTS };
        let mut colours = graph.start(&search.nodes);
        graph.refine(&search.nodes, &mut colours);
        search.descend(&colours, &mut Vec::new());
        let leaf = search.best.or(search.first).expect("a search reaches a leaf before its budget is checked");
        Labelled { certificate: leaf.certificate, order: leaf.order }
    }

    /// Visits all leaves below a colouring. Returns the depth at which the search goes on.
    fn descend(&mut self, colours: &[usize], path: &mut Vec<usize>) -> usize {
        let level = path.len();
        let Some(cell) = self.cell(colours) else { return self.leaf(colours, path) };
        let mut tried: Vec<usize> = Vec::new();
        for &v in &cell {
            if !tried.is_empty() && (self.budget == 0 || self.symmetric(v, &tried, path)) {
                continue;
            }
            tried.push(v);
            let mut next = colours.to_vec();
            cell.iter().filter(|w| **w != v).for_each(|&w| next[w] += 1);
            self.graph.refine(&self.nodes, &mut next);
            self.budget = self.budget.saturating_sub(1);
            path.push(v);
            let back = self.descend(&next, path);
            path.pop();
            if back < level {
                return back;
            }
        }
        level
    }

    /// The first cell with more than one node.
    fn cell(&self, colours: &[usize]) -> Option<Vec<usize>> {
        let mut size = std::collections::BTreeMap::<usize, Vec<usize>>::new();
        self.nodes.iter().for_each(|&v| size.entry(colours[v]).or_default().push(v));
        size.into_values().find(|cell| cell.len() > 1)
    }

    fn leaf(&mut self, colours: &[usize], path: &[usize]) -> usize {
        let certificate = self.graph.certificate(&self.nodes, colours);
        let mut order = self.nodes.clone();
        order.sort_unstable_by_key(|v| colours[*v]);
        let leaf = Leaf { path: path.to_vec(), certificate, order };
        for known in [&self.first, &self.best].into_iter().flatten() {
            if known.certificate == leaf.certificate {
                let mut image: Vec<usize> = (0..self.graph.len()).collect();
                known.order.iter().zip(&leaf.order).for_each(|(a, b)| image[*a] = *b);
                let common = known.path.iter().zip(path).take_while(|(a, b)| a == b).count();
                self.symmetries.push(image);
                return common;
            }
        }
        match (&self.first, &self.best) {
            (None, _) => self.first = Some(leaf),
            (Some(first), None) if leaf.certificate < first.certificate => self.best = Some(leaf),
            (_, Some(best)) if leaf.certificate < best.certificate => self.best = Some(leaf),
            _ => {}
        }
        path.len()
    }

    /// Whether a symmetry that fixes `path` maps one of `tried` to `v`.
    fn symmetric(&self, v: usize, tried: &[usize], path: &[usize]) -> bool {
        let fixing: Vec<&Vec<usize>> = self.symmetries.iter().filter(|image| path.iter().all(|p| image[*p] == *p)).collect();
        let mut orbit = vec![v];
        let mut head = 0;
        while head < orbit.len() {
            for image in &fixing {
                let w = image[orbit[head]];
                if !orbit.contains(&w) {
                    orbit.push(w);
                }
            }
            head += 1;
        }
        orbit.iter().any(|w| tried.contains(w))
    }
}
