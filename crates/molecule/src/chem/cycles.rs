//! Relevant cycles of a graph: those that are no sum of shorter ones (Vismara 1997).
//!
//! Unlike a smallest set of smallest rings they do not depend on the order of the atoms: cubane has six, norbornane two. Where several
//! shortest paths lead round one cycle (large rings with rings in them) one of its variants stands for all.

/// A cycle as its vertices in order.
pub(super) type Cycle = Vec<usize>;

/// Relevant cycles, shortest first. `neighbours[v]` are pairs of vertex and edge, `edges` the number of edges.
pub(super) fn relevant(neighbours: &[Vec<(usize, usize)>], edges: usize) -> Vec<Cycle> {
    let core = core(neighbours);
    let mut candidates = Vec::new();
    let mut search = Search {
        neighbours,
        core: &core,
        distance: vec![UNSEEN; core.len()],
        parent: vec![UNSEEN; core.len()],
        proper: vec![false; core.len()],
        seen: Vec::new(),
    };
    for root in (0..core.len()).filter(|v| core[*v]) {
        search.run(root, &mut candidates);
    }
    candidates.sort_by_key(Vec::len);
    let mut basis = Basis { rows: Vec::new(), words: edges.div_ceil(64) };
    let mut kept = Vec::new();
    let mut start = 0;
    while start < candidates.len() {
        let length = candidates[start].len();
        let end = start + candidates[start..].iter().take_while(|c| c.len() == length).count();
        // All cycles of one length are judged against the shorter ones, then join the basis together.
        let mut fresh = Vec::new();
        for cycle in &candidates[start..end] {
            let rest = basis.reduce(basis.vector(cycle, neighbours));
            if rest.iter().any(|w| *w != 0) {
                kept.push(cycle.clone());
                fresh.push(rest);
            }
        }
        fresh.into_iter().for_each(|rest| basis.add(rest));
        start = end;
    }
    kept
}

const UNSEEN: usize = usize::MAX;

/// Vertices that stay after leaves are removed again and again.
fn core(neighbours: &[Vec<(usize, usize)>]) -> Vec<bool> {
    let mut degree: Vec<usize> = neighbours.iter().map(Vec::len).collect();
    let mut alive = vec![true; degree.len()];
    let mut leaves: Vec<usize> = (0..degree.len()).filter(|v| degree[*v] <= 1).collect();
    while let Some(v) = leaves.pop() {
        alive[v] = false;
        for &(w, _) in &neighbours[v] {
            if alive[w] {
                degree[w] -= 1;
                if degree[w] == 1 {
                    leaves.push(w);
                }
            }
        }
    }
    alive
}

struct Search<'a> {
    neighbours: &'a [Vec<(usize, usize)>],
    core: &'a [bool],
    distance: Vec<usize>,
    parent: Vec<usize>,
    /// Whether a shortest path to the root runs through lower vertices only.
    proper: Vec<bool>,
    seen: Vec<usize>,
}

impl Search<'_> {
    /// Cycles whose highest vertex is `root`.
    fn run(&mut self, root: usize, out: &mut Vec<Cycle>) {
        for &v in &self.seen {
            (self.distance[v], self.parent[v], self.proper[v]) = (UNSEEN, UNSEEN, false);
        }
        self.seen.clear();
        self.distance[root] = 0;
        self.proper[root] = true;
        self.seen.push(root);
        let mut head = 0;
        while head < self.seen.len() {
            let v = self.seen[head];
            head += 1;
            for &(w, _) in &self.neighbours[v] {
                if !self.core[w] {
                    continue;
                }
                if self.distance[w] == UNSEEN {
                    self.distance[w] = self.distance[v] + 1;
                    self.seen.push(w);
                }
                if self.distance[w] == self.distance[v] + 1 && w < root && self.proper[v] && !self.proper[w] {
                    self.proper[w] = true;
                    self.parent[w] = v;
                }
            }
        }
        for at in 1..self.seen.len() {
            let y = self.seen[at];
            if !self.proper[y] {
                continue;
            }
            let mut closer = Vec::new();
            for &(z, _) in &self.neighbours[y] {
                if !self.core[z] || !self.proper[z] {
                    continue;
                }
                if self.distance[z] + 1 == self.distance[y] {
                    closer.push(z);
                } else if self.distance[z] == self.distance[y] && z < y && self.apart(y, z) {
                    out.push(self.cycle(y, z, None));
                }
            }
            for (k, &p) in closer.iter().enumerate() {
                for &q in &closer[..k] {
                    if self.apart(p, q) {
                        out.push(self.cycle(p, q, Some(y)));
                    }
                }
            }
        }
    }

    fn path(&self, v: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(v), |v| Some(self.parent[*v]).filter(|p| *p != UNSEEN))
    }

    /// Whether the paths of two vertices of one distance meet in the root only.
    fn apart(&self, p: usize, q: usize) -> bool {
        self.path(p).zip(self.path(q)).all(|(a, b)| a != b || self.distance[a] == 0)
    }

    fn cycle(&self, p: usize, q: usize, middle: Option<usize>) -> Cycle {
        let mut cycle: Cycle = self.path(p).collect();
        cycle.reverse();
        cycle.extend(middle);
        cycle.extend(self.path(q).filter(|v| self.distance[*v] > 0));
        cycle
    }
}

/// Row-reduced cycle space over two elements.
struct Basis {
    rows: Vec<(usize, Vec<u64>)>,
    words: usize,
}

impl Basis {
    fn vector(&self, cycle: &Cycle, neighbours: &[Vec<(usize, usize)>]) -> Vec<u64> {
        let mut bits = vec![0_u64; self.words];
        for (k, &a) in cycle.iter().enumerate() {
            let b = cycle[(k + 1) % cycle.len()];
            if let Some(&(_, edge)) = neighbours[a].iter().find(|(w, _)| *w == b) {
                bits[edge / 64] |= 1 << (edge % 64);
            }
        }
        bits
    }

    fn reduce(&self, mut bits: Vec<u64>) -> Vec<u64> {
        for (pivot, row) in &self.rows {
            if bits[pivot / 64] >> (pivot % 64) & 1 == 1 {
                bits.iter_mut().zip(row).for_each(|(b, r)| *b ^= r);
            }
        }
        bits
    }

    fn add(&mut self, bits: Vec<u64>) {
        let bits = self.reduce(bits);
        if let Some(word) = bits.iter().position(|w| *w != 0) {
            let pivot = 64 * word + bits[word].trailing_zeros() as usize;
            self.rows.push((pivot, bits));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[[usize; 2]]) -> (Vec<Vec<(usize, usize)>>, usize) {
        let n = edges.iter().flatten().max().map_or(0, |v| v + 1);
        let mut neighbours = vec![Vec::new(); n];
        for (k, &[a, b]) in edges.iter().enumerate() {
            neighbours[a].push((b, k));
            neighbours[b].push((a, k));
        }
        (neighbours, edges.len())
    }

    fn sizes(edges: &[[usize; 2]]) -> Vec<usize> {
        let (neighbours, count) = graph(edges);
        relevant(&neighbours, count).iter().map(Vec::len).collect()
    }

    #[test]
    fn known_cages() {
        // Cubane: all six faces, though five span the space.
        let cube = [[0, 1], [1, 2], [2, 3], [3, 0], [4, 5], [5, 6], [6, 7], [7, 4], [0, 4], [1, 5], [2, 6], [3, 7]];
        assert_eq!(sizes(&cube), [4; 6]);
        // Bicyclo[2.2.2]octane: three rings of six.
        let bco = [[0, 1], [1, 2], [2, 3], [0, 4], [4, 5], [5, 3], [0, 6], [6, 7], [7, 3]];
        assert_eq!(sizes(&bco), [6; 3]);
        // Norbornane: two rings of five, the ring of six is their sum.
        assert_eq!(sizes(&[[0, 1], [1, 2], [2, 3], [0, 4], [4, 5], [5, 3], [0, 6], [6, 3]]), [5, 5]);
        assert_eq!(sizes(&[[0, 1], [1, 2]]), [] as [usize; 0]);
    }

    #[test]
    fn a_cycle_is_a_closed_walk() {
        let (neighbours, count) = graph(&[[0, 1], [1, 2], [2, 3], [3, 4], [4, 0], [2, 5], [5, 6], [6, 3]]);
        for cycle in relevant(&neighbours, count) {
            for (k, a) in cycle.iter().enumerate() {
                assert!(neighbours[*a].iter().any(|(b, _)| *b == cycle[(k + 1) % cycle.len()]));
            }
        }
    }
}
