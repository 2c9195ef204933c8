//! Partition refinement of a molecular graph, hydrogens folded into their atoms.

use crate::{Element, Molecule};

/// Stands for the folded hydrogen among the colours of a centre's neighbours.
const HYDROGEN: usize = usize::MAX;

/// A molecule as refinement sees it. Nodes are atoms other than plain hydrogens.
pub(super) struct Graph {
    /// Atom of each node.
    pub(super) atoms: Vec<usize>,
    /// Node of each atom, `HYDROGEN` for folded hydrogens.
    pub(super) node: Vec<usize>,
    /// What a node is by itself.
    keys: Vec<[u64; 2]>,
    /// Neighbouring nodes and kind of bond.
    links: Vec<Vec<(usize, u8)>>,
    /// Neighbours as nodes, and sign.
    centres: Vec<Option<(Vec<usize>, bool)>>,
    doubles: Vec<Double>,
    /// Double bonds of each node.
    doubles_of: Vec<Vec<usize>>,
}

struct Double {
    atoms: [usize; 2],
    ends: [usize; 2],
    /// Neighbours of both atoms but the partner.
    others: [Vec<usize>; 2],
    cis: bool,
}

/// Whether an atom is a hydrogen that a SMILES string need not write.
pub(crate) fn plain_hydrogen(molecule: &Molecule, adjacency: &[Vec<(usize, usize)>], a: usize) -> bool {
    let atom = &molecule.atoms[a];
    atom.element == Element::H
        && atom.isotope == 0
        && atom.charge == 0
        && atom.class == 0
        && atom.radicals == 0
        && adjacency[a].len() == 1
        && !matches!(molecule.atoms[adjacency[a][0].0].element, Element::H | Element::ANY)
}

impl Graph {
    /// The graph of a molecule; without `stereo` configurations are left out.
    pub(super) fn new(molecule: &Molecule, adjacency: &[Vec<(usize, usize)>], stereo: bool) -> Self {
        let n = molecule.atoms.len();
        let mut node = vec![HYDROGEN; n];
        let mut atoms = Vec::new();
        for (a, node) in node.iter_mut().enumerate() {
            if !plain_hydrogen(molecule, adjacency, a) {
                *node = atoms.len();
                atoms.push(a);
            }
        }
        let mut keys = Vec::with_capacity(atoms.len());
        let mut links = Vec::with_capacity(atoms.len());
        for &a in &atoms {
            let heavy: Vec<(usize, u8)> = adjacency[a]
                .iter()
                .filter(|(b, _)| node[*b] != HYDROGEN)
                .map(|&(b, k)| (node[b], if molecule.bonds[k].aromatic { 5 } else { molecule.bonds[k].order }))
                .collect();
            keys.push(key(molecule, a, heavy.len(), adjacency[a].len() - heavy.len()));
            links.push(heavy);
        }
        let mut graph = Self {
            centres: vec![None; atoms.len()],
            doubles: Vec::new(),
            doubles_of: vec![Vec::new(); atoms.len()],
            atoms,
            node,
            keys,
            links,
        };
        if stereo {
            graph.add_stereo(molecule, adjacency);
        }
        graph
    }

    fn add_stereo(&mut self, molecule: &Molecule, adjacency: &[Vec<(usize, usize)>]) {
        for centre in &molecule.centres {
            if self.node[centre.atom] != HYDROGEN {
                let neighbours = centre.neighbours.iter().map(|b| self.node[*b]).collect();
                self.centres[self.node[centre.atom]] = Some((neighbours, centre.positive));
            }
        }
        for double in &molecule.double_bonds {
            let [a, b] = double.atoms;
            let others = |a: usize, b: usize| adjacency[a].iter().filter(|(c, _)| *c != b).map(|(c, _)| self.node[*c]).collect();
            let ends = double.ends.map(|e| self.node[e]);
            let entry = Double { atoms: [self.node[a], self.node[b]], ends, others: [others(a, b), others(b, a)], cis: double.cis };
            for v in entry.atoms {
                if v != HYDROGEN {
                    self.doubles_of[v].push(self.doubles.len());
                }
            }
            self.doubles.push(entry);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.atoms.len()
    }

    pub(super) fn links(&self, v: usize) -> &[(usize, u8)] {
        &self.links[v]
    }

    /// Colours from the nodes' own keys; a colour is the number of nodes before its cell.
    pub(super) fn start(&self, nodes: &[usize]) -> Vec<usize> {
        let mut colours = vec![0; self.len()];
        recolour(nodes, &mut colours, |v| self.keys[v]);
        colours
    }

    /// Splits cells until all nodes of a cell see the same colours around them.
    pub(super) fn refine(&self, nodes: &[usize], colours: &mut [usize]) {
        let mut count = cells(nodes, colours);
        while count < nodes.len() {
            let old = colours.to_vec();
            recolour(nodes, colours, |v| {
                let mut around: Vec<(usize, u8)> = self.links[v].iter().map(|&(w, kind)| (old[w], kind)).collect();
                around.sort_unstable();
                (old[v], around, self.parity(v, &old), self.sides(v, &old))
            });
            let now = cells(nodes, colours);
            if now == count {
                return;
            }
            count = now;
        }
    }

    /// 0 without configuration, 1 and 2 for the two hands, 3 where equal colours hide it.
    fn parity(&self, v: usize, colours: &[usize]) -> u8 {
        let Some((neighbours, positive)) = &self.centres[v] else { return 0 };
        let around: Vec<usize> = neighbours.iter().map(|&w| colour(colours, w)).collect();
        let (mut odd, mut tied) = (false, false);
        for (k, a) in around.iter().enumerate() {
            for b in &around[k + 1..] {
                odd ^= a > b;
                tied |= a == b;
            }
        }
        if tied { 3 } else { 1 + u8::from(odd != *positive) }
    }

    /// The same for the double bonds of a node, as a sorted list.
    fn sides(&self, v: usize, colours: &[usize]) -> Vec<(usize, u8)> {
        let mut sides: Vec<(usize, u8)> = self.doubles_of[v]
            .iter()
            .map(|&k| {
                let double = &self.doubles[k];
                let partner = if double.atoms[0] == v { double.atoms[1] } else { double.atoms[0] };
                (colour(colours, partner), self.side(double, colours))
            })
            .collect();
        sides.sort_unstable();
        sides
    }

    fn side(&self, double: &Double, colours: &[usize]) -> u8 {
        let mut cis = double.cis;
        for (end, others) in double.ends.iter().zip(&double.others) {
            let mut around: Vec<usize> = others.iter().map(|&w| colour(colours, w)).collect();
            around.sort_unstable();
            if around.windows(2).any(|pair| pair[0] == pair[1]) {
                return 3;
            }
            cis ^= around.first() != Some(&colour(colours, *end));
        }
        1 + u8::from(cis)
    }

    /// Everything about the nodes under a discrete colouring: equal for two colourings exactly when one relabels the other.
    pub(super) fn certificate(&self, nodes: &[usize], colours: &[usize]) -> Vec<u64> {
        let mut order = nodes.to_vec();
        order.sort_unstable_by_key(|v| colours[*v]);
        let mut out = Vec::with_capacity(6 * order.len());
        for v in order {
            out.extend(self.keys[v]);
            out.push(u64::from(self.parity(v, colours)));
            let mut around: Vec<(usize, u8)> = self.links[v].iter().map(|&(w, kind)| (colours[w], kind)).collect();
            around.sort_unstable();
            out.extend(around.iter().map(|&(w, kind)| (w as u64) << 8 | u64::from(kind)));
            out.extend(self.sides(v, colours).iter().map(|&(w, side)| (w as u64) << 8 | 0x10 | u64::from(side)));
        }
        out
    }
}

fn colour(colours: &[usize], v: usize) -> usize {
    if v == HYDROGEN { HYDROGEN } else { colours[v] }
}

fn cells(nodes: &[usize], colours: &[usize]) -> usize {
    let mut seen: Vec<usize> = nodes.iter().map(|v| colours[*v]).collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len()
}

fn recolour<K: Ord>(nodes: &[usize], colours: &mut [usize], key: impl Fn(usize) -> K) {
    let mut keyed: Vec<(K, usize)> = nodes.iter().map(|&v| (key(v), v)).collect();
    keyed.sort_unstable();
    let mut first = 0;
    for k in 0..keyed.len() {
        if k > 0 && keyed[k].0 != keyed[k - 1].0 {
            first = k;
        }
        colours[keyed[k].1] = first;
    }
}

/// Degree first, so that canonical strings begin at the end of a chain.
fn key(molecule: &Molecule, a: usize, heavy: usize, hydrogens: usize) -> [u64; 2] {
    let atom = &molecule.atoms[a];
    let charge = (i64::from(atom.charge) + 128) as u64;
    let first = (heavy as u64) << 40
        | u64::from(atom.element.0) << 32
        | (hydrogens as u64 & 0xff) << 24
        | charge << 16
        | u64::from(atom.radicals) << 8
        | u64::from(atom.aromatic);
    [first, u64::from(atom.isotope) << 32 | u64::from(atom.class)]
}
