//! What the conformer network is told about a molecule: categories of atoms and pairs, and handedness, as numbers.

use crate::{Centre, Element, Molecule};

/// Numbers of an atom.
pub const ATOM: usize = ELEMENTS.len() + 1 + CHARGES + DEGREES + HYDROGENS + RINGS + MULTIPLE + 3;
/// Numbers of a pair of atoms.
pub const PAIR: usize = BONDS + HOPS + RINGS + 4;

/// Elements with a category of their own; all others share one.
const ELEMENTS: [u8; 12] = [1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 35, 53];
/// -2 or less, -1, 0, 1, 2 or more.
const CHARGES: usize = 5;
/// 0 to 6 or more neighbours.
const DEGREES: usize = 7;
/// 0 to 4 or more hydrogens.
const HYDROGENS: usize = 5;
/// In no ring, in rings of 3 to 8, in larger ones.
const RINGS: usize = 8;
/// Sums of bond orders beyond single ones: 0, 1, 2 or more.
const MULTIPLE: usize = 3;
/// Not bonded, orders 1 to 3, aromatic.
const BONDS: usize = 5;
/// 0 to 5 bonds apart, further, in another fragment.
const HOPS: usize = 8;
/// Longest ring that is looked for; larger ones count as the largest kind.
const LONGEST_RING: usize = 20;
/// Most shortest rings through one bond that are followed (cages have several).
const MOST_RINGS: usize = 64;

/// A molecule as the network sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Number of atoms.
    pub atoms: usize,
    /// One row of [`ATOM`] numbers an atom.
    pub atom: Vec<f32>,
    /// Bit `k` of entry `i * atoms + j` is number `k` of the pair.
    pub pair: Vec<u32>,
    /// Pairs at most three bonds apart, each once: their distances make bonds, angles and torsions.
    pub local: Vec<(u32, u32)>,
    /// Centres of given configuration.
    pub centres: Vec<Handed>,
}

/// A centre of given configuration, without an order of its neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Handed {
    /// The centre.
    pub atom: usize,
    /// Its neighbours; a lone pair's place holds the centre itself.
    pub around: [usize; 4],
    /// Times `(q1 - q0) . ((q2 - q0) x (q3 - q0))` of their positions it is positive where the configuration is right.
    pub sign: f32,
}

impl Features {
    /// Features of a molecule.
    pub fn new(molecule: &Molecule) -> Self {
        let n = molecule.atoms.len();
        let hops = molecule.hops();
        let rings = Rings::find(molecule);
        let mut pair = vec![0u32; n * n];
        let mut local = Vec::new();
        for i in 0..n {
            for j in 0..n {
                let apart = hops[i * n + j];
                let hop = if apart == u16::MAX { HOPS - 1 } else { usize::from(apart).min(HOPS - 2) };
                pair[i * n + j] = 1 << (BONDS + hop) | 1 << (BONDS + HOPS + ring_kind(rings.shared[i * n + j]));
                if i < j && (1..=3).contains(&apart) {
                    local.push((i as u32, j as u32));
                }
            }
        }
        for bond in &molecule.bonds {
            let kind = if bond.aromatic { BONDS - 1 } else { usize::from(bond.order.min(3)) };
            let [a, b] = bond.atoms;
            for k in [a * n + b, b * n + a] {
                pair[k] |= 1 << kind;
            }
        }
        for entry in &mut pair {
            if entry.trailing_zeros() as usize >= BONDS {
                *entry |= 1;
            }
        }
        sides(molecule, &mut pair);
        Self { atoms: n, atom: atoms(molecule, &rings), pair, local, centres: molecule.centres.iter().filter_map(handed).collect() }
    }
}

fn atoms(molecule: &Molecule, rings: &Rings) -> Vec<f32> {
    let n = molecule.atoms.len();
    let mut rows = vec![0f32; n * ATOM];
    let (mut degree, mut hydrogens, mut multiple) = (vec![0usize; n], vec![0usize; n], vec![0usize; n]);
    for bond in &molecule.bonds {
        let [a, b] = bond.atoms;
        for (a, b) in [(a, b), (b, a)] {
            degree[a] += 1;
            hydrogens[a] += usize::from(molecule.atoms[b].element == Element::H);
            multiple[a] += usize::from(bond.order.saturating_sub(1));
        }
    }
    let mut handed = vec![false; n];
    molecule.centres.iter().for_each(|centre| handed[centre.atom] = true);
    for (a, row) in rows.chunks_mut(ATOM).enumerate() {
        let atom = molecule.atoms[a];
        let mut start = 0;
        let mut set = |width: usize, kind: usize| {
            row[start + kind.min(width - 1)] = 1.0;
            start += width;
        };
        set(ELEMENTS.len() + 1, ELEMENTS.iter().position(|&z| z == atom.element.0).unwrap_or(ELEMENTS.len()));
        set(CHARGES, (i32::from(atom.charge) + 2).clamp(0, CHARGES as i32 - 1) as usize);
        set(DEGREES, degree[a]);
        set(HYDROGENS, hydrogens[a]);
        set(RINGS, ring_kind(rings.smallest[a]));
        set(MULTIPLE, multiple[a]);
        for flag in [atom.aromatic, handed[a], atom.radicals > 0] {
            if flag {
                row[start] = 1.0;
            }
            start += 1;
        }
    }
    rows
}

/// Flags of pairs across double bonds of given configuration: cis, trans; and of the bond itself and its neighbours: decided.
fn sides(molecule: &Molecule, pair: &mut [u32]) {
    const CIS: usize = BONDS + HOPS + RINGS;
    let n = molecule.atoms.len();
    let adjacency = molecule.adjacency();
    for bond in &molecule.double_bonds {
        let [a, b] = bond.atoms;
        for &(p, _) in adjacency[a].iter().filter(|(p, _)| *p != b) {
            for &(q, _) in adjacency[b].iter().filter(|(q, _)| *q != a) {
                if p == q {
                    continue;
                }
                let swapped = (p != bond.ends[0]) ^ (q != bond.ends[1]);
                let flag = if bond.cis ^ swapped { CIS } else { CIS + 1 };
                pair[p * n + q] |= 1 << flag;
                pair[q * n + p] |= 1 << flag;
            }
        }
        pair[a * n + b] |= 1 << (CIS + 2);
        pair[b * n + a] |= 1 << (CIS + 2);
    }
    // Single bonds that turn freely: what tells a torsion from a stiff pair.
    for bond in molecule.bonds.iter().filter(|bond| bond.order == 1 && !bond.aromatic) {
        let [a, b] = bond.atoms;
        if adjacency[a].len() > 1 && adjacency[b].len() > 1 {
            pair[a * n + b] |= 1 << (CIS + 3);
            pair[b * n + a] |= 1 << (CIS + 3);
        }
    }
}

fn handed(centre: &Centre) -> Option<Handed> {
    let of = &centre.neighbours;
    let around = match of.len() {
        3 => [of[0], of[1], of[2], centre.atom],
        4 => [of[0], of[1], of[2], of[3]],
        _ => return None,
    };
    // (n0 - c) . ((n1 - c) x (n2 - c)) is minus the volume of the four corners.
    Some(Handed { atom: centre.atom, around, sign: if centre.positive { -1.0 } else { 1.0 } })
}

fn ring_kind(size: usize) -> usize {
    match size {
        0 => 0,
        3..=8 => size - 2,
        _ => RINGS - 1,
    }
}

/// The shortest rings through each bond: all of them, so that nothing depends on the order of atoms.
struct Rings {
    /// Size of the smallest ring of each atom, 0 without one.
    smallest: Vec<usize>,
    /// Size of the smallest of these rings that holds both atoms of a pair, 0 without one.
    shared: Vec<usize>,
}

impl Rings {
    fn find(molecule: &Molecule) -> Self {
        let n = molecule.atoms.len();
        let adjacency = molecule.adjacency();
        let mut rings = Self { smallest: vec![0; n], shared: vec![0; n * n] };
        for (k, bond) in molecule.bonds.iter().enumerate() {
            for ring in shortest(&adjacency, bond.atoms, k) {
                rings.note(&ring, n);
            }
        }
        rings
    }

    fn note(&mut self, ring: &[usize], n: usize) {
        let less = |held: &mut usize| *held = if *held == 0 { ring.len() } else { (*held).min(ring.len()) };
        for &a in ring {
            less(&mut self.smallest[a]);
            ring.iter().for_each(|&b| less(&mut self.shared[a * n + b]));
        }
    }
}

/// Every shortest ring through a bond.
fn shortest(adjacency: &[Vec<(usize, usize)>], [from, to]: [usize; 2], bond: usize) -> Vec<Vec<usize>> {
    let mut distance = vec![usize::MAX; adjacency.len()];
    distance[from] = 0;
    let mut queue = std::collections::VecDeque::from([from]);
    while let Some(a) = queue.pop_front() {
        if distance[a] + 1 >= LONGEST_RING || distance[to] <= distance[a] {
            break;
        }
        for &(b, of) in &adjacency[a] {
            if of != bond && distance[b] == usize::MAX {
                distance[b] = distance[a] + 1;
                queue.push_back(b);
            }
        }
    }
    if distance[to] == usize::MAX {
        return Vec::new();
    }
    let mut paths = vec![vec![to]];
    for left in (0..distance[to]).rev() {
        let mut longer = Vec::new();
        for path in &paths {
            let end = path[path.len() - 1];
            for &(b, of) in &adjacency[end] {
                if of != bond && distance[b] == left && longer.len() < MOST_RINGS {
                    longer.push([path.as_slice(), &[b]].concat());
                }
            }
        }
        paths = longer;
    }
    paths
}
