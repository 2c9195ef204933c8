use super::*;
use crate::{chem::stereo, geometry::vector::distance};

/// Points that are no geometry of anything, the same each time.
fn scattered(n: usize, seed: u64) -> Vec<Point> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as f64 / f64::from(1u32 << 31) * 4.0 - 2.0
    };
    (0..n).map(|_| [next(), next(), next()]).collect()
}

fn relaxed(smiles: &str, seed: u64) -> (Molecule, Restraints, Vec<Point>, f64) {
    let molecule = Molecule::from_smiles(smiles).expect("SMILES");
    let restraints = Restraints::new(&molecule, &BoundsTable::default());
    let mut positions = scattered(molecule.atoms.len(), seed);
    let energy = restraints.minimise(&mut positions, 2000);
    (molecule, restraints, positions, energy)
}

#[test]
fn the_gradient_is_the_derivative() {
    for (smiles, seed) in [("C[C@H](F)Cl", 1), ("C/C=C/c1ccccc1", 2), ("CC#N", 3), ("C[S@](=O)CC", 4)] {
        let molecule = Molecule::from_smiles(smiles).expect("SMILES");
        let restraints = Restraints::new(&molecule, &BoundsTable::default());
        let mut positions = scattered(molecule.atoms.len(), seed);
        let mut gradient = vec![[0.0; 3]; positions.len()];
        let energy = restraints.gradient(&positions, &mut gradient);
        assert!(energy > 1.0);
        let scale = gradient.iter().flatten().fold(0f64, |m, g| m.max(g.abs()));
        for k in 0..positions.len() {
            for d in 0..3 {
                let (h, x) = (1e-6, positions[k][d]);
                positions[k][d] = x + h;
                let up = restraints.energy(&positions);
                positions[k][d] = x - h;
                let down = restraints.energy(&positions);
                positions[k][d] = x;
                let wanted = (up - down) / (2.0 * h);
                assert!((gradient[k][d] - wanted).abs() < 1e-5 * scale, "{smiles} {k} {d}: {} instead of {wanted}", gradient[k][d]);
            }
        }
    }
}

#[test]
fn small_molecules_fold_from_nothing() {
    for smiles in ["C", "CCO", "C=C", "CC#N", "c1ccccc1", "C1CC1", "O=C=O", "[H][H]", "[He]"] {
        let (molecule, _, positions, energy) = relaxed(smiles, 7);
        assert!(energy < 0.1, "{smiles}: {energy}");
        let bounds = Bounds::new(&molecule, &BoundsTable::default());
        for pair in &bounds.pairs {
            let d = distance(positions[pair.atoms[0]], positions[pair.atoms[1]]);
            assert!(d > pair.lower - 0.1 && d < pair.upper + 0.1, "{smiles} {pair:?} {d}");
        }
    }
}

#[test]
fn what_meets_the_restraints_stays() {
    let (_, restraints, mut positions, energy) = relaxed("CCO", 3);
    assert!(energy < 1e-6, "{energy}");
    let before = positions.clone();
    restraints.minimise(&mut positions, 50);
    assert!(before.iter().zip(&positions).all(|(a, b)| distance(*a, *b) < 1e-3));
}

#[test]
fn mirrored_centres_are_turned_round() {
    // Open chain, ring with two free ends, lone pair, ring fusion with only a hydrogen free, two centres.
    for smiles in ["C[C@H](N)O", "C[C@@H]1CCCC[C@@H]1F", "C[S@](=O)CC", "O1C[C@@H]2CC[C@H]2C1", "C[C@H](O)[C@@H](N)C"] {
        let (molecule, restraints, positions, _) = (0..20)
            .map(|seed| relaxed(smiles, 11 + seed))
            .find(|(molecule, _, positions, energy)| *energy < 1.0 && stereo::kept(molecule, positions))
            .expect(smiles);
        let mut mirrored: Vec<Point> = positions.iter().map(|[x, y, z]| [*x, *y, -z]).collect();
        assert!(!stereo::kept(&molecule, &mirrored));
        let energy = restraints.minimise(&mut mirrored, 200);
        assert!(stereo::kept(&molecule, &mirrored), "{smiles}");
        assert!(energy < 2.0, "{smiles}: {energy}");
    }
}

#[test]
fn wrong_double_bonds_are_turned_round() {
    for (right, wrong) in [("C/C=C/C", "C/C=C\\C"), ("CC/C(C)=N/O", "CC/C(C)=N\\O"), ("F/C=C/C=C\\F", "F/C=C\\C=C\\F")] {
        let (molecule, _, mut positions, _) = (0..20)
            .map(|seed| relaxed(right, 5 + seed))
            .find(|(molecule, _, positions, energy)| *energy < 1.0 && stereo::kept(molecule, positions))
            .expect(right);
        let other = Molecule::from_smiles(wrong).expect("SMILES");
        assert!(!stereo::kept(&other, &positions));
        let energy = Restraints::new(&other, &BoundsTable::default()).minimise(&mut positions, 100);
        assert!(stereo::kept(&other, &positions) && energy < 1.0, "{wrong}: {energy}");
        assert!(!stereo::kept(&molecule, &positions));
    }
}

#[test]
fn slices_that_do_not_fit_and_positions_that_are_nothing() {
    let restraints = Restraints::new(&Molecule::from_smiles("C").expect("methane"), &BoundsTable::default());
    assert_eq!(restraints.energy(&[[0.0; 3]; 4]), f64::INFINITY);
    assert_eq!(restraints.minimise(&mut [[0.0; 3]; 6], 5), f64::INFINITY);
    assert!(!restraints.minimise(&mut [[f64::NAN; 3]; 5], 5).is_finite());
    assert!(restraints.minimise(&mut [[0.0; 3]; 5], 5).is_finite());
}

/// Where small rings meet, a centre and three of its neighbours may lie in one plane (here atom 4 with atoms 3, 5 and 8, as ETKDG and MMFF94s
/// build it too), so that their volume alone says nothing.
#[test]
fn a_centre_in_the_plane_of_three_neighbours_has_a_hand() {
    let smiles = "OC[C@@H]1O[C@H]2C[C@@H]12";
    let (molecule, restraints, positions, _) = (0..40)
        .map(|seed| relaxed(smiles, 30 + seed))
        .find(|(_, _, positions, energy)| *energy < 1.0 && positions.iter().flatten().all(|v| v.is_finite()))
        .expect(smiles);
    assert!(stereo::kept(&molecule, &positions));
    let least = |centre: &Centre| {
        let triples = [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]];
        let volume = |t: [usize; 3]| {
            let three = Centre { neighbours: t.map(|k| centre.neighbours[k]).to_vec(), ..centre.clone() };
            stereo::volume(&three, &positions).abs()
        };
        triples.into_iter().map(volume).fold(1.0, f64::min)
    };
    assert!(molecule.centres.iter().map(least).fold(1.0, f64::min) < 0.25);
    let mut mirrored: Vec<Point> = positions.iter().map(|[x, y, z]| [*x, *y, -z]).collect();
    assert!(!stereo::kept(&molecule, &mirrored));
    assert!(restraints.minimise(&mut mirrored, 300).is_finite());
}
