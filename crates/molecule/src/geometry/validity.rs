//! Whether a conformer can be one: finite, bonds of sensible length, no clashes, flat rings, the graph's connectivity and stereochemistry.

use super::{
    Bounds, Relation,
    environment::Environment,
    vector::{dihedral, distance},
};
use crate::{Molecule, Point, chem::stereo};

/// By how much a bond may leave its bounds.
const BOND_TOLERANCE: f64 = 0.25;
/// Least distance of atoms four or more bonds apart, as a share of their bound.
const CLASH: f64 = 0.8;
/// Greatest dihedral angle off cis or trans along an aromatic ring, degrees.
const RING_TWIST: f64 = 35.0;
/// Bonds are shorter than this many sums of covalent radii ...
const BOND_MOST: f64 = 1.35;
/// ... and longer than this many; ...
const BOND_LEAST: f64 = 0.6;
/// ... other pairs are further apart than this many.
const NO_BOND_LEAST: f64 = 1.15;

/// What is right with a conformer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Validity {
    /// Every position is finite, and there is one for each atom. Without this nothing else is looked at.
    pub finite: bool,
    /// Bond lengths within 25 % of their bounds.
    pub bonds: bool,
    /// Nothing four or more bonds apart is too near.
    pub clash_free: bool,
    /// Aromatic rings are flat.
    pub flat: bool,
    /// Distances give the graph's bonds, by sums of covalent radii.
    pub connected: bool,
    /// Every given configuration is there.
    pub stereo: bool,
    /// The first thing that is wrong, in words.
    pub problem: Option<String>,
}

impl Validity {
    /// Whether nothing is wrong.
    pub fn valid(&self) -> bool {
        self.problem.is_none()
    }
}

/// What to check conformers of one molecule against.
#[derive(Clone, Debug)]
pub struct Checker<'a> {
    molecule: &'a Molecule,
    bounds: Bounds,
    /// Chains of four along aromatic rings.
    aromatic: Vec<[usize; 4]>,
}

impl<'a> Checker<'a> {
    /// A checker that knows only the general rules of [`Bounds`], so that it says the same whatever was learned.
    pub fn new(molecule: &'a Molecule) -> Self {
        let environment = Environment::new(molecule);
        let mut aromatic = Vec::new();
        let around = |b: usize, not: usize| environment.adjacency()[b].iter().filter(move |e| e.0 != not && molecule.bonds[e.1].aromatic);
        for bond in molecule.bonds.iter().filter(|b| b.aromatic) {
            let [b, c] = bond.atoms;
            aromatic.extend(around(b, c).flat_map(|a| around(c, b).map(move |d| [a.0, b, c, d.0])).filter(|[a, .., d]| a != d));
        }
        Self { molecule, bounds: Bounds::new(molecule, &super::BoundsTable::default()), aromatic }
    }

    /// Checks one conformer.
    pub fn check(&self, positions: &[Point]) -> Validity {
        let mut found = Validity { finite: true, bonds: true, clash_free: true, flat: true, connected: true, stereo: true, problem: None };
        if let Err(error) = crate::io::sdf::check_positions(self.molecule, positions) {
            let none =
                Validity { finite: false, bonds: false, clash_free: false, flat: false, connected: false, stereo: false, problem: None };
            return Validity { problem: Some(error.to_string()), ..none };
        }
        let mut say = |flag: &mut bool, words: &dyn Fn() -> String| {
            *flag = false;
            found.problem.get_or_insert_with(words);
        };
        let name = |a: usize| format!("{}{}", self.molecule.atoms[a].element.symbol(), a + 1);
        for pair in &self.bounds.pairs {
            let [a, b] = pair.atoms;
            let d = distance(positions[a], positions[b]);
            let sum = self.molecule.atoms[a].element.covalent_radius() + self.molecule.atoms[b].element.covalent_radius();
            let words = |what: &str| format!("{} and {} are {d:.2} angstrom apart: {what}", name(a), name(b));
            if pair.relation == Relation::Bond {
                if d < pair.lower * (1.0 - BOND_TOLERANCE) || d > pair.upper * (1.0 + BOND_TOLERANCE) {
                    say(&mut found.bonds, &|| words("no length of their bond"));
                }
                if d <= BOND_LEAST * sum || d >= BOND_MOST * sum {
                    say(&mut found.connected, &|| words("not bonded by their distance"));
                }
            } else {
                if d <= NO_BOND_LEAST * sum {
                    say(&mut found.connected, &|| words("bonded by their distance"));
                }
                if pair.relation == Relation::Far && d < CLASH * pair.lower {
                    say(&mut found.clash_free, &|| words("a clash"));
                }
            }
        }
        for atoms in &self.aromatic {
            let [a, b, c, d] = atoms.map(|k| positions[k]);
            let twist = dihedral(a, b, c, d).to_degrees().abs();
            if twist.min(180.0 - twist) > RING_TWIST {
                say(&mut found.flat, &|| {
                    format!("the aromatic ring at {} and {} is twisted by {twist:.0} degrees", name(atoms[1]), name(atoms[2]))
                });
            }
        }
        if !stereo::kept(self.molecule, positions) {
            say(&mut found.stereo, &|| "a centre or double bond has another configuration than given".into());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::molecule;

    #[test]
    fn each_fault_is_seen_and_named() {
        let m = molecule("C C C C C; 0-1 1-2 2-3 3-4");
        let checker = Checker::new(&m);
        let zigzag: Vec<Point> = (0..5).map(|k| [1.27 * f64::from(k), 0.88 * f64::from(k % 2), 0.0]).collect();
        let good = checker.check(&zigzag);
        assert!(good.valid() && good.bonds && good.clash_free && good.connected && good.stereo, "{good:?}");
        let moved = |k: usize, to: Point| {
            let mut positions = zigzag.clone();
            positions[k] = to;
            checker.check(&positions)
        };
        let far = moved(4, [7.5, 0.0, 0.0]);
        assert!(!far.bonds && !far.connected && far.clash_free, "{far:?}");
        assert_eq!(far.problem.as_deref(), Some("C4 and C5 are 3.79 angstrom apart: no length of their bond"));
        // Nearly a ring: bonds of 1.5, and 1.86 between its ends.
        let curled: Vec<Point> =
            (0..5).map(|k| (68.0 * f64::from(k)).to_radians().sin_cos()).map(|(y, x)| [1.341 * x, 1.341 * y, 0.0]).collect();
        let curled = checker.check(&curled);
        assert!(!curled.clash_free && curled.connected && curled.bonds, "{curled:?}");
        assert_eq!(curled.problem.as_deref(), Some("C1 and C5 are 1.86 angstrom apart: a clash"));
        assert!(!moved(0, [f64::NAN; 3]).finite);
        assert!(!checker.check(&zigzag[1..]).valid());
    }

    #[test]
    fn rings_should_be_flat_and_hands_right() {
        let m = molecule("C C C C C C; 0:1 1:2 2:3 3:4 4:5 5:0");
        let hexagon = |pucker: f64| -> Vec<Point> {
            let corner = |k: i32| {
                let (s, c) = (f64::from(k) * std::f64::consts::FRAC_PI_3).sin_cos();
                [1.39 * c, 1.39 * s, if k % 2 == 0 { pucker } else { -pucker }]
            };
            (0..6).map(corner).collect()
        };
        let checker = Checker::new(&m);
        assert!(checker.check(&hexagon(0.02)).valid());
        let chair = checker.check(&hexagon(0.25));
        assert!(!chair.flat && chair.bonds && chair.problem.is_some_and(|p| p.contains("aromatic ring")));

        let alanine = Molecule::from_smiles("C[C@H](F)Cl").expect("SMILES");
        let mut positions = vec![[0.0; 3]; 8];
        let restraints = crate::geometry::Restraints::new(&alanine, &crate::geometry::BoundsTable::default());
        positions.iter_mut().enumerate().for_each(|(k, p)| *p = [(k as f64).sin(), (2.0 * k as f64).cos(), (3.0 * k as f64).sin()]);
        assert!(restraints.minimise(&mut positions, 1000) < 1.0);
        let checker = Checker::new(&alanine);
        assert!(checker.check(&positions).valid(), "{:?}", checker.check(&positions));
        positions.iter_mut().for_each(|p| p[0] = -p[0]);
        let mirrored = checker.check(&positions);
        assert!(!mirrored.stereo && mirrored.bonds && mirrored.clash_free);
    }
}
