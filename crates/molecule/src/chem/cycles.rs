//! Relevant cycles of a graph: those that are no sum of shorter ones (Vismara 1997).
//!
//! Unlike a smallest set of smallest rings they do not depend on the order of the atoms: cubane has six, norbornane two.

/// Most shortest paths between two vertices that are followed; a chain of many small rings in a large one has 2^n.
const MAX_PATHS: usize = 8;

/// A cycle as its vertices in order.
pub(super) type Cycle = Vec<usize>;

/// Relevant cycles, shortest first. `neighbours[v]` are pairs of vertex and edge, `edges` the number of edges.
pub(super) fn relevant(neighbours: &[Vec<(usize, usize)>], edges: usize) -> Vec<Cycle> {
    let core = core(neighbours);
    let mut candidates = Vec::new();
    let mut search =
        Search { neighbours, core: &core, distance: vec![UNSEEN; core.len()], parents: vec![Vec::new(); core.len()], seen: Vec::new() };
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
    /// Previous vertices on shortest paths from the root through lower vertices only.
    parents: Vec<Vec<usize>>,
    seen: Vec<usize>,
}

impl Search<'_> {
    /// Cycles whose highest vertex is `root`.
    fn run(&mut self, root: usize, out: &mut Vec<Cycle>) {
        for &v in &self.seen {
            self.distance[v] = UNSEEN;
            self.parents[v].clear();
        }
        self.seen.clear();
        self.distance[root] = 0;
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
                if self.distance[w] == self.distance[v] + 1 && w < root && self.proper(v) {
                    self.parents[w].push(v);
                }
            }
        }
        for &y in &self.seen[1..] {
            if !self.proper(y) {
                continue;
            }
            let closer = &self.parents[y];
            for (k, &p) in closer.iter().enumerate() {
                closer[..k].iter().for_each(|&q| self.join(p, q, Some(y), out));
            }
            for &(z, _) in &self.neighbours[y] {
                if z < y && self.core[z] && self.distance[z] == self.distance[y] && self.proper(z) {
                    self.join(y, z, None, out);
                }
            }
        }
    }

    /// Whether a shortest path from the root runs through lower vertices only.
    fn proper(&self, v: usize) -> bool {
        self.distance[v] == 0 || !self.parents[v].is_empty()
    }

    /// Cycles through `p`, perhaps a vertex beyond both, and `q`, on shortest paths that meet in the root only.
    fn join(&self, p: usize, q: usize, beyond: Option<usize>, out: &mut Vec<Cycle>) {
        let right = self.paths(q);
        for left in self.paths(p) {
            for right in &right {
                if left[1..].iter().zip(&right[1..]).all(|(a, b)| a != b) {
                    let mut cycle = left.clone();
                    cycle.extend(beyond);
                    cycle.extend(right[1..].iter().rev());
                    out.push(cycle);
                }
            }
        }
    }

    /// Paths from the root to `v`.
    fn paths(&self, v: usize) -> Vec<Vec<usize>> {
        let mut paths = vec![vec![v]];
        for _ in 0..self.distance[v] {
            let longer = paths.iter().flat_map(|path| {
                self.parents[path[path.len() - 1]].iter().map(|&parent| path.iter().copied().chain([parent]).collect::<Vec<usize>>())
            });
            paths = longer.take(MAX_PATHS).collect();
        }
        paths.iter_mut().for_each(|path| path.reverse());
        paths
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
        // Bicyclo[4.1.1]octane: both rings of seven, though they differ by the ring of four.
        assert_eq!(sizes(&[[0, 1], [1, 2], [2, 3], [3, 0], [0, 4], [4, 5], [5, 6], [6, 7], [7, 2]]), [4, 7, 7]);
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

    /// All simple cycles as edge sets, by depth-first search from their highest vertex.
    fn every_cycle(neighbours: &[Vec<(usize, usize)>]) -> Vec<u64> {
        fn walk(neighbours: &[Vec<(usize, usize)>], path: &mut Vec<usize>, edges: u64, out: &mut Vec<u64>) {
            let (root, v) = (path[0], path[path.len() - 1]);
            for &(w, edge) in &neighbours[v] {
                if w == root && path.len() > 2 && path[1] < v {
                    out.push(edges | 1 << edge);
                } else if w < root && !path.contains(&w) {
                    path.push(w);
                    walk(neighbours, path, edges | 1 << edge, out);
                    path.pop();
                }
            }
        }
        let mut out = Vec::new();
        (0..neighbours.len()).for_each(|root| walk(neighbours, &mut vec![root], 0, &mut out));
        out
    }

    /// Whether `cycle` is a sum of `others`.
    fn spanned(others: &[u64], cycle: u64) -> bool {
        let mut rows: Vec<u64> = Vec::new();
        let reduce = |rows: &[u64], mut x: u64| {
            rows.iter().for_each(|r| x = x.min(x ^ r));
            x
        };
        for &other in others {
            let rest = reduce(&rows, other);
            if rest != 0 {
                rows.push(rest);
                rows.sort_unstable_by(|a, b| b.cmp(a));
            }
        }
        reduce(&rows, cycle) == 0
    }

    proptest::proptest! {
        #[test]
        fn relevant_by_definition(pairs in proptest::collection::vec((0_usize..8, 0_usize..8), 3..14)) {
            let mut edges: Vec<[usize; 2]> = pairs.into_iter().filter(|(a, b)| a != b).map(|(a, b)| [a.min(b), a.max(b)]).collect();
            edges.sort_unstable();
            edges.dedup();
            let (neighbours, count) = graph(&edges);
            let all = every_cycle(&neighbours);
            let mut expected: Vec<u64> = all
                .iter()
                .copied()
                .filter(|c| {
                    let shorter: Vec<u64> = all.iter().copied().filter(|d| d.count_ones() < c.count_ones()).collect();
                    !spanned(&shorter, *c)
                })
                .collect();
            let bits = |cycle: &Vec<usize>| {
                let closed = cycle.iter().zip(cycle.iter().cycle().skip(1));
                closed.map(|(a, b)| neighbours[*a].iter().find(|(w, _)| w == b).map_or(0, |(_, k)| 1 << k)).sum::<u64>()
            };
            let mut found: Vec<u64> = relevant(&neighbours, count).iter().map(bits).collect();
            expected.sort_unstable();
            found.sort_unstable();
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
