//! Geometry on the project's conformer sets: what is stored is valid, the table of bounds fits it, restraints leave it alone and repair
//! what was broken. Skipped where the sets are not there.

mod support;

use langevin_molecule::{
    Point,
    geometry::{Bounds, BoundsTable, Checker, Relation, Restraints, SymmetricRmsd},
    io::Record,
    metrics::{Options, evaluate},
};

fn records(name: &str) -> Option<Vec<Record>> {
    support::shared(&format!("{name}.jsonl.gz"), usize::MAX)
}

fn table(sets: &[&[Record]]) -> BoundsTable {
    let mut table = BoundsTable::default();
    for set in sets {
        table.fill_from(&BoundsTable::fit(*set));
    }
    table
}

#[test]
fn stored_conformers_are_valid() {
    for name in ["qm9_train", "qm9_valid", "qm9_test", "drug_train", "drug_valid", "drug_test"] {
        let Some(records) = records(name) else { return };
        let (mut all, mut valid, mut stereo) = (0, 0, 0);
        for record in &records {
            let checker = Checker::new(&record.molecule);
            for found in record.conformers.iter().map(|c| checker.check(c)) {
                all += 1;
                valid += usize::from(found.valid());
                stereo += usize::from(found.stereo);
            }
        }
        let share = valid as f64 / all as f64;
        eprintln!("{name}: {all} conformers, {share:.5} valid");
        assert!(share > 0.997, "{name}: {share}");
        assert_eq!(stereo, all, "{name}");
    }
}

#[test]
fn restraints_fit_and_repair_conformers() {
    let (Some(qm9), Some(drug), Some(test)) = (records("qm9_train"), records("drug_train"), records("qm9_test")) else {
        return;
    };
    let table = table(&[&qm9, &drug]);
    assert!((1000..10_000).contains(&table.len()), "{} environments", table.len());
    assert_eq!(BoundsTable::from_constant(&table.to_constant()).expect("our own"), table);
    let (mut outside, mut pairs) = (0, 0);
    let (mut moved, mut noisy, mut cleaned, mut count) = (0.0, 0.0, 0.0, 0);
    let (mut handed, mut repaired) = (0usize, 0usize);
    for record in &test {
        let restraints = Restraints::new(&record.molecule, &table);
        let bounds = Bounds::new(&record.molecule, &table);
        let checker = Checker::new(&record.molecule);
        let rmsd = SymmetricRmsd::new(&record.molecule, false);
        for (k, conformer) in record.conformers.iter().enumerate() {
            for pair in bounds.pairs.iter().filter(|p| matches!(p.relation, Relation::Bond | Relation::Angle)) {
                let [a, b] = pair.atoms.map(|a| conformer[a]);
                let d = (0..3).map(|d| (a[d] - b[d]).powi(2)).sum::<f64>().sqrt();
                pairs += 1;
                outside += usize::from(d < pair.lower || d > pair.upper);
            }
            count += 1;
            let mut positions = conformer.clone();
            restraints.minimise(&mut positions, 40);
            moved += rmsd.rmsd(conformer, &positions);
            let mut wave = 0;
            let mut shaken: Vec<Point> = conformer
                .iter()
                .map(|p| {
                    p.map(|v| {
                        wave += 1;
                        v + 0.14 * (1.7 * f64::from(wave * wave) + k as f64).sin()
                    })
                })
                .collect();
            noisy += rmsd.rmsd(conformer, &shaken);
            restraints.minimise(&mut shaken, 40);
            cleaned += rmsd.rmsd(conformer, &shaken);
            if !record.molecule.centres.is_empty() {
                handed += 1;
                let mut mirrored: Vec<Point> = conformer.iter().map(|[x, y, z]| [*x, *y, -z]).collect();
                restraints.minimise(&mut mirrored, 50);
                repaired += usize::from(checker.check(&mirrored).valid());
            }
        }
    }
    let n = f64::from(count);
    let (outside, repaired) = (outside as f64 / pairs as f64, repaired as f64 / handed as f64);
    let (moved, noisy, cleaned) = (moved / n, noisy / n, cleaned / n);
    eprintln!("outside {outside:.4}, moved {moved:.4} A, shaken {noisy:.4} A, then {cleaned:.4} A, mirrored repaired {repaired:.4}");
    // Windows are 2.5 spreads wide to either side, distributions are not quite normal.
    assert!(outside < 0.04 && moved < 0.015 && cleaned < 0.6 * noisy && repaired > 0.9);
}

#[test]
fn references_score_perfectly_beside_themselves() {
    let Some(test) = records("qm9_test") else { return };
    let report = evaluate(&test, &test, &Options::default());
    assert_eq!((report.cov_r.mean, report.cov_p.mean, report.stereo_kept, report.missing), (1.0, 1.0, Some(1.0), 0));
    assert!(report.mat_r.expect("all are there").mean < 1e-6);
    assert!(report.wasserstein.torsions.expect("some turn") < 1e-9);
}
