//! What surrounds a bond or an angle, as keys of the table of bounds.

use crate::{Element, Molecule};

/// A key: its level (0 is the finest), then bytes whose meaning depends on the level.
pub(crate) type Key = [u8; 9];
/// Number of levels of bonds; levels of angles follow.
pub(crate) const BOND_LEVELS: u8 = 3;
/// Largest ring that is told from no ring.
const LARGEST_RING: usize = 8;
const AROMATIC: u8 = 4;

/// The local surroundings of every atom and bond of a molecule.
pub(crate) struct Environment<'a> {
    molecule: &'a Molecule,
    adjacency: Vec<Vec<(usize, usize)>>,
    /// Degree, highest bond order, conjugation and sign of the charge in one byte.
    codes: Vec<u8>,
}

impl<'a> Environment<'a> {
    pub(crate) fn new(molecule: &'a Molecule) -> Self {
        let adjacency = molecule.adjacency();
        let highest = |a: usize| adjacency[a].iter().map(|&(_, k)| order(molecule, k)).max().unwrap_or(0);
        let unsaturated: Vec<bool> = (0..adjacency.len()).map(|a| highest(a) > 1).collect();
        let code = |a: usize| {
            let degree = adjacency[a].len().min(7) as u8;
            // A lone pair beside a double bond: amide nitrogen, ester oxygen.
            let lone_pair = matches!(molecule.atoms[a].element, Element::N | Element::O | Element(16));
            let conjugated = lone_pair && !unsaturated[a] && adjacency[a].iter().any(|&(b, _)| unsaturated[b]);
            let charge = (molecule.atoms[a].charge.signum() + 1) as u8;
            degree | highest(a).saturating_sub(1).min(3) << 3 | u8::from(conjugated) << 5 | charge << 6
        };
        let codes = (0..adjacency.len()).map(code).collect();
        Self { molecule, adjacency, codes }
    }

    pub(crate) fn adjacency(&self) -> &[Vec<(usize, usize)>] {
        &self.adjacency
    }

    fn element(&self, atom: usize) -> u8 {
        self.molecule.atoms[atom].element.0
    }

    /// Keys of a bond, the finest first: both atoms with surroundings, order and ring; elements and degrees; elements.
    pub(crate) fn bond_keys(&self, bond: usize) -> [Key; BOND_LEVELS as usize] {
        let [mut a, mut b] = self.molecule.bonds[bond].atoms;
        if (self.element(a), self.codes[a]) > (self.element(b), self.codes[b]) {
            std::mem::swap(&mut a, &mut b);
        }
        let order = order(self.molecule, bond);
        let ring = self.ring_size(a, b, Some(bond), None);
        let degree = |a: usize| self.codes[a] & 7;
        let (p, q) = (self.element(a), self.element(b));
        [
            [0, p, self.codes[a], q, self.codes[b], order, ring, 0, 0],
            [1, p, degree(a), q, degree(b), order, u8::from(ring == 3), 0, 0],
            [2, p, 0, q, 0, order, 0, 0, 0],
        ]
    }

    /// Keys of the angle between two bonds at `centre`: surroundings of all three, orders and ring; the centre's surroundings, the ends'
    /// elements, orders and ring.
    pub(crate) fn angle_keys(&self, centre: usize, (a, bond_a): (usize, usize), (b, bond_b): (usize, usize)) -> [Key; 2] {
        let end = |atom: usize, bond: usize| (self.element(atom), self.codes[atom], order(self.molecule, bond));
        let (mut p, mut q) = (end(a, bond_a), end(b, bond_b));
        if p > q {
            std::mem::swap(&mut p, &mut q);
        }
        let ring = self.ring_size(a, b, None, Some(centre));
        let orders = |p: u8, q: u8| p << 4 | q;
        let (z, code) = (self.element(centre), self.codes[centre]);
        [
            [BOND_LEVELS, z, code, p.0, p.1, q.0, q.1, orders(p.2, q.2), ring],
            // Without their surroundings equal elements may come in the other order of bonds.
            [
                BOND_LEVELS + 1,
                z,
                code,
                p.0,
                0,
                q.0,
                0,
                if p.0 == q.0 { orders(p.2.min(q.2), p.2.max(q.2)) } else { orders(p.2, q.2) },
                ring,
            ],
        ]
    }

    /// Size of the smallest ring through a bond (`without` itself), or through an angle (not back over its `centre`); 0 above 8 and outside.
    pub(crate) fn ring_size(&self, a: usize, b: usize, without: Option<usize>, centre: Option<usize>) -> u8 {
        let spared = if centre.is_some() { 2 } else { 1 };
        let mut seen = vec![a];
        let mut from = 0;
        for steps in 1..=LARGEST_RING - spared {
            let to = seen.len();
            for k in from..to {
                for &(next, bond) in &self.adjacency[seen[k]] {
                    if Some(bond) == without || Some(next) == centre || seen.contains(&next) {
                        continue;
                    }
                    if next == b {
                        return (steps + spared) as u8;
                    }
                    seen.push(next);
                }
            }
            from = to;
        }
        0
    }

    /// Number of neighbours.
    pub(crate) fn degree(&self, atom: usize) -> usize {
        self.adjacency[atom].len()
    }

    /// Highest order of an atom's bonds, 4 for aromatic.
    pub(crate) fn highest_order(&self, atom: usize) -> u8 {
        self.adjacency[atom].iter().map(|&(_, k)| order(self.molecule, k)).max().unwrap_or(0)
    }

    /// Whether its lone pair is beside a double bond.
    pub(crate) fn conjugated(&self, atom: usize) -> bool {
        self.codes[atom] >> 5 & 1 == 1
    }
}

/// Order of a bond, 4 for aromatic.
pub(crate) fn order(molecule: &Molecule, bond: usize) -> u8 {
    if molecule.bonds[bond].aromatic { AROMATIC } else { molecule.bonds[bond].order.min(3) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::molecule;

    #[test]
    fn rings_of_bonds_and_angles() {
        // Methylcyclopropane fused to nothing, and a nine-ring.
        let m = molecule("C C C C; 0-1 1-2 2-0 0-3");
        let e = Environment::new(&m);
        assert_eq!([0, 1, 3].map(|k| e.ring_size(m.bonds[k].atoms[0], m.bonds[k].atoms[1], Some(k), None)), [3, 3, 0]);
        assert_eq!((e.ring_size(1, 2, None, Some(0)), e.ring_size(1, 3, None, Some(0))), (3, 0));
        let nine = molecule("C C C C C C C C C; 0-1 1-2 2-3 3-4 4-5 5-6 6-7 7-8 8-0");
        assert_eq!(Environment::new(&nine).ring_size(0, 1, Some(0), None), 0);
        // Norbornane's bridgehead angles lie in five- and six-rings.
        let norbornane = molecule("C C C C C C C; 0-1 1-2 2-3 3-4 4-5 5-0 6-0 6-3");
        let e = Environment::new(&norbornane);
        assert_eq!((e.ring_size(1, 5, None, Some(0)), e.ring_size(1, 6, None, Some(0))), (6, 5));
    }

    #[test]
    fn keys_do_not_mind_the_order_of_atoms() {
        let (m, n) = (molecule("C O N; 0=1 0-2"), molecule("N O C; 2=1 0-2"));
        let (e, f) = (Environment::new(&m), Environment::new(&n));
        assert_eq!(e.bond_keys(0), f.bond_keys(0));
        assert_eq!(e.bond_keys(1), f.bond_keys(1));
        assert_eq!(e.angle_keys(0, (1, 0), (2, 1)), f.angle_keys(2, (0, 1), (1, 0)));
        assert!(e.conjugated(2) && !e.conjugated(1));
    }
}
