//! Distance bounds of a molecule: what its graph says about the distances of its atoms, as in distance geometry
//! (Crippen and Havel, "Distance Geometry and Molecular Conformation", 1988).

use super::{
    environment::{Environment, order},
    table::{BoundsTable, Window},
};
use crate::{Element, Molecule};

/// Half-widths of a window in its spreads.
const SPREADS: f64 = 2.5;
/// Share of the sum of van der Waals radii below which two atoms are too near.
const NEAR: f64 = 0.7;
/// The same for hydrogen and an atom that may accept a hydrogen bond.
const NEAR_BRIDGE: f64 = 0.55;

/// Where a pair of atoms stands in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Bonded (1-2).
    Bond,
    /// Two bonds apart (1-3).
    Angle,
    /// Three bonds apart (1-4).
    Torsion,
    /// Further apart, or in another fragment.
    Far,
}

/// What the graph says about the distance of two atoms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The atoms, the smaller first.
    pub atoms: [usize; 2],
    /// Where they stand.
    pub relation: Relation,
    /// Least distance, angstrom.
    pub lower: f64,
    /// Greatest distance, angstrom; infinite for [`Relation::Far`].
    pub upper: f64,
}

/// Bounds of every pair of atoms.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Pairs in the order `(0, 1), (0, 2), (1, 2), (0, 3) ...`.
    pub pairs: Vec<Pair>,
}

impl Bounds {
    /// Bounds by the table, and by general rules where it knows nothing: bond lengths by covalent radii, angles by the number of neighbours
    /// and the ring, 1-4 distances between cis and trans, van der Waals radii for the rest.
    pub fn new(molecule: &Molecule, table: &BoundsTable) -> Self {
        let n = molecule.atoms.len();
        let environment = Environment::new(molecule);
        let lengths: Vec<Window> = (0..molecule.bonds.len()).map(|k| bond_window(molecule, &environment, table, k)).collect();
        let far =
            |a: usize, b: usize| Pair { atoms: [a, b], relation: Relation::Far, lower: nearest(molecule, a, b), upper: f64::INFINITY };
        let mut bounds = Self { pairs: (0..n).flat_map(|b| (0..b).map(move |a| (a, b))).map(|(a, b)| far(a, b)).collect() };
        let mut cosines = std::collections::HashMap::new();
        for (centre, around) in environment.adjacency().iter().enumerate() {
            for (k, &a) in around.iter().enumerate() {
                for &b in &around[..k] {
                    let sides = [lengths[a.1].mean, lengths[b.1].mean];
                    let learned = table.find(&environment.angle_keys(centre, a, b));
                    let window = learned.unwrap_or_else(|| angle_window(&environment, centre, a.0, b.0, sides));
                    let cosine = (sides[0].powi(2) + sides[1].powi(2) - window.mean.powi(2)) / (2.0 * sides[0] * sides[1]);
                    cosines.insert((a.0, centre, b.0), cosine.clamp(-1.0, 1.0));
                    cosines.insert((b.0, centre, a.0), cosine.clamp(-1.0, 1.0));
                    bounds.narrow(a.0, b.0, Relation::Angle, window);
                }
            }
        }
        for (bond, window) in molecule.bonds.iter().zip(&lengths) {
            let [a, b] = bond.atoms;
            *bounds.slot(a, b) = Pair { relation: Relation::Bond, ..within(a, b, Relation::Bond, *window) };
        }
        bounds.torsions(molecule, &environment, &lengths, |a, centre, b| cosines.get(&(a, centre, b)).copied());
        bounds
    }

    /// The bounds of two different atoms.
    ///
    /// # Panics
    /// If the atoms are equal or not in the molecule.
    pub fn of(&self, a: usize, b: usize) -> &Pair {
        &self.pairs[index(a, b)]
    }

    fn slot(&mut self, a: usize, b: usize) -> &mut Pair {
        &mut self.pairs[index(a, b)]
    }

    /// Sets a pair that two angles may share, as across a four-ring: then both windows count.
    fn narrow(&mut self, a: usize, b: usize, relation: Relation, window: Window) {
        let new = within(a, b, relation, window);
        let slot = self.slot(a, b);
        if slot.relation == relation {
            slot.lower = slot.lower.min(new.lower);
            slot.upper = slot.upper.max(new.upper);
        } else {
            *slot = new;
        }
    }

    /// 1-4 distances lie between those of cis and trans; a given configuration leaves half of that.
    fn torsions(
        &mut self,
        molecule: &Molecule,
        environment: &Environment<'_>,
        lengths: &[Window],
        cosine: impl Fn(usize, usize, usize) -> Option<f64>,
    ) {
        for (k, bond) in molecule.bonds.iter().enumerate() {
            let [b, c] = bond.atoms;
            for &(a, ab) in environment.adjacency()[b].iter().filter(|e| e.0 != c) {
                for &(d, cd) in environment.adjacency()[c].iter().filter(|e| e.0 != b && e.0 != a) {
                    let (Some(at_b), Some(at_c)) = (cosine(a, b, c), cosine(b, c, d)) else { continue };
                    let slot = self.slot(a, d);
                    if matches!(slot.relation, Relation::Bond | Relation::Angle) {
                        continue;
                    }
                    let [cis, trans] = cis_trans(lengths[ab].mean, lengths[k].mean, lengths[cd].mean, at_b, at_c);
                    let given = molecule.double_bonds.iter().find_map(|given| configuration(given, [b, c], [a, d], environment));
                    // In a given configuration a quarter turn from the middle is allowed for, so that strain is not an error.
                    let middle = ((cis * cis + trans * trans) / 2.0).sqrt();
                    let (lower, upper) = match given {
                        Some(true) => (cis, middle),
                        Some(false) => (middle, trans),
                        None => (cis, trans),
                    };
                    let (lower, upper) = (0.92 * lower, 1.05 * upper);
                    if slot.relation == Relation::Torsion {
                        slot.lower = slot.lower.min(lower);
                        slot.upper = slot.upper.max(upper);
                    } else {
                        *slot = Pair { relation: Relation::Torsion, lower, upper, ..*slot };
                    }
                }
            }
        }
    }
}

fn index(a: usize, b: usize) -> usize {
    let (a, b) = (a.min(b), a.max(b));
    assert!(a < b, "two different atoms");
    b * (b - 1) / 2 + a
}

fn within(a: usize, b: usize, relation: Relation, window: Window) -> Pair {
    let half = SPREADS * window.spread;
    Pair { atoms: [a.min(b), a.max(b)], relation, lower: (window.mean - half).max(0.1), upper: window.mean + half }
}

/// Whether `ends` lie on the same side of the double bond `middle`, if `given` says so.
fn configuration(given: &crate::DoubleBond, middle: [usize; 2], ends: [usize; 2], environment: &Environment<'_>) -> Option<bool> {
    let [b, c] = middle;
    let ends = if given.atoms == [b, c] {
        ends
    } else if given.atoms == [c, b] {
        [ends[1], ends[0]]
    } else {
        return None;
    };
    // The other neighbour of an atom of the double bond lies on the other side.
    let others = (0..2).filter(|&k| ends[k] != given.ends[k]).count();
    let trigonal = given.atoms.iter().all(|&a| environment.degree(a) <= 3);
    trigonal.then_some(given.cis != (others % 2 == 1))
}

/// Distances of the ends of a chain of three bonds in its cis and trans forms.
fn cis_trans(ab: f64, bc: f64, cd: f64, cos_b: f64, cos_c: f64) -> [f64; 2] {
    let along = bc - ab * cos_b - cd * cos_c;
    let (up_b, up_c) = (ab * (1.0 - cos_b * cos_b).sqrt(), cd * (1.0 - cos_c * cos_c).sqrt());
    [along.hypot(up_b - up_c), along.hypot(up_b + up_c)]
}

/// Least distance of atoms that are not neighbours.
fn nearest(molecule: &Molecule, a: usize, b: usize) -> f64 {
    let [p, q] = [a, b].map(|k| molecule.atoms[k].element);
    let accepts = |e: Element| matches!(e.0, 7 | 8 | 9 | 15 | 16 | 17 | 34 | 35 | 53);
    let bridge = p == Element::H && accepts(q) || q == Element::H && accepts(p);
    (if bridge { NEAR_BRIDGE } else { NEAR }) * (p.van_der_waals_radius() + q.van_der_waals_radius())
}

fn bond_window(molecule: &Molecule, environment: &Environment<'_>, table: &BoundsTable, bond: usize) -> Window {
    table.find(&environment.bond_keys(bond)).unwrap_or_else(|| {
        let [p, q] = molecule.bonds[bond].atoms.map(|a| molecule.atoms[a].element.covalent_radius());
        // Shortening by order, as the radii of Pyykko and Atsumi (2009) have it for the second row.
        let factor = match order(molecule, bond) {
            2 => 0.88,
            3 => 0.79,
            4 => 0.92,
            _ => 1.0,
        };
        Window { mean: factor * (p + q), spread: 0.04 }
    })
}

/// 1-3 distance by the law of cosines.
fn angle_window(environment: &Environment<'_>, centre: usize, a: usize, b: usize, sides: [f64; 2]) -> Window {
    let ring = environment.ring_size(a, b, None, Some(centre));
    let flat = environment.highest_order(centre) > 1 || environment.conjugated(centre);
    let degrees: f64 = match (ring, environment.degree(centre), environment.highest_order(centre)) {
        (3, ..) => 60.0,
        (4, ..) => 90.0,
        (5, ..) => 106.0,
        (_, 2, 3) => 180.0,
        // Two double bonds in a row, as in allenes.
        (_, 2, 2) if environment.adjacency()[centre].iter().all(|e| environment.highest_order(e.0) >= 2) => 180.0,
        (_, 2..=3, _) if flat => 120.0,
        (_, 2, _) => 108.0,
        (_, 5.., _) => 95.0,
        _ => 109.5,
    };
    let cosine = degrees.to_radians().cos();
    let mean = (sides[0].powi(2) + sides[1].powi(2) - 2.0 * sides[0] * sides[1] * cosine).max(0.01).sqrt();
    // Rings of six and more, and crowded centres, leave ideal angles by several degrees; high coordination has several of them.
    let spread = if environment.degree(centre) > 4 { 0.4 } else { 0.08 };
    Window { mean, spread }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DoubleBond, testing::molecule};

    fn bounds(text: &str) -> Bounds {
        Bounds::new(&molecule(text), &BoundsTable::default())
    }

    #[test]
    fn rules_give_textbook_geometry() {
        let ethane = bounds("C C H H H H H H; 0-1 0-2 0-3 0-4 1-5 1-6 1-7");
        let holds = |b: &Bounds, i, j, value: f64| {
            let p = b.of(i, j);
            assert!(p.lower < value && value < p.upper, "{value} in {p:?}");
        };
        holds(&ethane, 0, 1, 1.54);
        holds(&ethane, 0, 2, 1.09);
        holds(&ethane, 2, 3, 1.78);
        holds(&ethane, 2, 1, 2.18);
        // Eclipsed to staggered.
        holds(&ethane, 2, 5, 2.3);
        holds(&ethane, 2, 5, 3.08);
        assert_eq!(ethane.of(5, 2).relation, Relation::Torsion);
        let acetylene = bounds("C C H H; 0#1 0-2 1-3");
        holds(&acetylene, 0, 1, 1.20);
        holds(&acetylene, 2, 3, 3.32);
        let benzene = bounds("C C C C C C; 0:1 1:2 2:3 3:4 4:5 5:0");
        holds(&benzene, 0, 1, 1.40);
        holds(&benzene, 0, 2, 2.42);
        holds(&benzene, 0, 3, 2.80);
        let cyclopropane = bounds("C C C; 0-1 1-2 2-0");
        assert!(cyclopropane.pairs.iter().all(|p| p.relation == Relation::Bond));
        let far = bounds("C C C C C; 0-1 1-2 2-3 3-4");
        assert_eq!((far.of(0, 4).relation, far.of(0, 4).upper), (Relation::Far, f64::INFINITY));
        assert!((far.of(0, 4).lower - 0.7 * 3.4).abs() < 1e-9);
    }

    #[test]
    fn a_configuration_leaves_half_the_range() {
        let mut butene = molecule("C C C C H H; 0-1 1=2 2-3 1-4 2-5");
        let free = Bounds::new(&butene, &BoundsTable::default());
        for cis in [true, false] {
            butene.double_bonds = vec![DoubleBond { atoms: [1, 2], ends: [0, 3], cis }];
            let bounds = Bounds::new(&butene, &BoundsTable::default());
            // The hydrogens stand to one another as the carbons do, mixed pairs the other way.
            for (a, d, near) in [(0, 3, cis), (4, 5, cis), (0, 5, !cis), (4, 3, !cis)] {
                let (given, any) = (bounds.of(a, d), free.of(a, d));
                assert_eq!((given.upper < any.upper - 0.2, given.lower > any.lower + 0.2), (near, !near), "{a} {d}");
            }
        }
        // Carbons of cis-2-butene are 3.1 apart, of trans 3.9.
        assert!(free.of(0, 3).lower < 3.1 && free.of(0, 3).upper > 3.9);
    }
}
