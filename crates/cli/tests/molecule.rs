//! `gen molecule` and `merge` with the shipped checkpoints, as a user runs them.

#[allow(dead_code, reason = "shared by the test programs")]
mod support;

use std::{collections::BTreeMap, fs, path::Path};

use langevin_molecule::{
    Molecule,
    chem::stereo,
    geometry::ForceField,
    io::{SdfReader, SdfRecord},
};
use support::langevin;

/// Strings that break programs: tiny molecules, salts, charges, isotopes, double bonds, many centres, symmetric groups, halogens, sulfur.
const HARD: [&str; 24] = [
    "[H][H]",
    "C",
    "O",
    "[Na+].[Cl-]",
    "CC(=O)[O-].[NH4+]",
    "C[N+](C)(C)CC(=O)[O-]",
    "[2H]C([2H])([2H])O",
    "[13CH3]C",
    "F/C=C/F",
    "F/C=C\\F",
    "C/C=C/C=C\\C",
    "C[C@H](N)C(=O)O",
    "C[C@@H](N)C(=O)O",
    "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O",
    "CC(C)(C)c1cc(cc(c1)C(C)(C)C)C(C)(C)C",
    "FC(Cl)(Br)I",
    "CS(=O)(=O)Nc1ccccc1",
    "C[S@](=O)CC",
    "OP(=O)(O)OC",
    "C1CC2CCC1C2",
    "[O-][n+]1ccccc1",
    "CC#N",
];

fn records(path: &Path) -> Vec<SdfRecord> {
    SdfReader::open(path).expect("opens").collect::<Result<_, _>>().expect("reads")
}

fn text(path: &Path) -> Vec<u8> {
    fs::read(path).expect("is there")
}

#[test]
fn hard_molecules_keep_their_graph_and_their_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("hard.sdf");
    let mut args = vec!["gen", "molecule", "-n", "2", "-o", out.to_str().expect("text")];
    args.extend(HARD);
    let run = langevin(&args);
    assert!(run.code == 0, "{}", run.stderr);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for record in records(&out) {
        assert_eq!(record.field("stereo_ok"), Some("true"), "{}", record.title);
        assert_eq!(record.field("valid"), Some("true"), "{}: {:?}", record.title, record.field("problem"));
        let wanted = Molecule::from_smiles(&record.title).expect("valid");
        assert!(stereo::kept(&wanted, &record.positions), "{}", record.title);
        // What a reader makes of the file alone is the molecule that was asked for.
        assert_eq!(record.conformer().expect("a molecule").to_smiles(), wanted.to_smiles(), "{}", record.title);
        *counts.entry(record.title).or_default() += 1;
    }
    assert_eq!(counts.len(), HARD.len());
    assert!(counts.values().all(|&n| n == 2), "{counts:?}");
}

#[test]
fn bad_strings_are_named_with_their_column_and_cost_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("x.sdf");
    let path = out.to_str().expect("text");
    let bad = [("C(C)(C)(C)(C)C", "column 1"), ("C1CC", "column 2"), ("CC(C", "column 3"), ("c1cccc1", "column 1"), ("banana", "column")];
    for (smiles, column) in bad {
        let run = langevin(&["gen", "molecule", smiles, "-o", path]);
        let said = run.stderr.clone();
        assert_eq!(run.code, 1, "{said}");
        assert!(said.contains(smiles) && said.contains(column), "{said}");
        assert!(fs::read_dir(folder.path()).expect("a folder").next().is_none(), "nothing is left behind");
    }
    let run = langevin(&["gen", "molecule", "CCO", "C1CC", "-n", "1", "-o", path]);
    assert_eq!(run.code, 3);
    assert_eq!(records(&out).len(), 1);
    let errors = String::from_utf8(text(&folder.path().join("x.sdf.errors.jsonl"))).expect("text");
    assert!(errors.contains("\"line\":2") && errors.contains("C1CC"), "{errors}");
    let empty = folder.path().join("empty.smi");
    fs::write(&empty, "# nothing\n").expect("writable");
    let run = langevin(&["gen", "molecule", "--input", empty.to_str().expect("text")]);
    assert!(run.code == 1 && run.stderr.contains("no molecule"), "{}", run.stderr);
    assert_eq!(langevin(&["gen", "molecule"]).code, 2);
    assert_eq!(langevin(&["gen", "molecule", "CCO", "-o", path]).code, 1, "no file is overwritten");
}

#[test]
fn a_conformer_depends_on_nothing_beside_it_and_parts_make_the_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    fs::write(at("in.smi"), "CCO ethanol\nC1CC1\nbad(\nC[C@H](N)C(=O)O alanine\nCC=O\n").expect("writable");
    let (input, whole) = (at("in.smi"), at("whole.sdf"));
    let run = langevin(&["gen", "molecule", "--input", &input, "-n", "2", "--seed", "3", "--threads", "1", "-o", &whole]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    let mut merge = vec!["merge".to_owned()];
    for k in [2, 0, 1] {
        let part = at(&format!("part{k}.sdf"));
        let run = langevin(&["gen", "molecule", "--input", &input, "-n", "2", "--seed", "3", "--shard", &format!("{k}/3"), "-o", &part]);
        assert!(matches!(run.code, 0 | 3), "{}", run.stderr);
        merge.push(part);
    }
    let merged = at("merged.sdf");
    merge.extend(["-o".to_owned(), merged.clone()]);
    let run = langevin(&merge.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(run.code == 0, "{}", run.stderr);
    assert!(text(whole.as_ref()) == text(merged.as_ref()), "parts and the whole are the same bytes");
    // A part less is refused.
    merge.remove(2);
    *merge.last_mut().expect("an output") = at("less.sdf");
    assert_eq!(langevin(&merge.iter().map(String::as_str).collect::<Vec<_>>()).code, 1);
    // Alone, with more conformers and more threads, the first ones have the same positions.
    let alone = at("alone.sdf");
    let run = langevin(&["gen", "molecule", "C[C@H](N)C(=O)O", "-n", "6", "--seed", "3", "--threads", "3", "-o", &alone]);
    assert!(run.code == 0);
    let of_whole: Vec<_> = records(whole.as_ref()).into_iter().filter(|r| r.field("name") == Some("alanine")).collect();
    let of_alone = records(alone.as_ref());
    assert_eq!(of_whole.len(), 2);
    for (a, b) in of_whole.iter().zip(&of_alone) {
        assert_eq!(a.positions, b.positions);
    }
    assert_ne!(of_alone[0].positions, of_alone[1].positions);
}

#[test]
fn forms_isomers_and_flags() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    for name in ["a.xyz", "a.jsonl", "a.csv", "a.sdf.gz"] {
        let run = langevin(&["gen", "molecule", "CCO", "-n", "2", "--steps", "8", "-o", &at(name)]);
        assert!(run.code == 0, "{name}: {}", run.stderr);
    }
    assert_eq!(records(at("a.sdf.gz").as_ref()).len(), 2);
    assert_eq!(text(at("a.csv").as_ref()).iter().filter(|&&b| b == b'\n').count(), 3);
    let run = langevin(&["gen", "molecule", "CC(F)Cl", "-n", "1", "--steps", "8", "--stereo", "enumerate", "--no-h", "-o", &at("i.sdf")]);
    assert!(run.code == 0);
    let isomers = records(at("i.sdf").as_ref());
    assert_eq!(isomers.len(), 2);
    assert_ne!(isomers[0].field("isomer"), isomers[1].field("isomer"));
    assert!(isomers.iter().all(|r| r.molecule.atoms.len() == 4), "no hydrogens are written");
    // Held atoms come out where they were, and the way there is told.
    let run = langevin(&["gen", "molecule", "CCO", "-n", "1", "-o", &at("h.sdf")]);
    assert!(run.code == 0);
    let held = ["--fix", &at("h.sdf"), "--fix-atoms", "1-3"];
    let run = langevin(
        &[&["gen", "molecule", "CCO", "-n", "1", "--seed", "9", "-o", &at("f.sdf"), "--trajectory", &at("t.xyz")][..], &held].concat(),
    );
    assert!(run.code == 0, "{}", run.stderr);
    let (before, after) = (&records(at("h.sdf").as_ref())[0], &records(at("f.sdf").as_ref())[0]);
    for atom in 0..3 {
        assert!(before.positions[atom].iter().zip(&after.positions[atom]).all(|(a, b)| (a - b).abs() < 1e-3));
    }
    assert_ne!(before.positions[4], after.positions[4]);
    assert!(String::from_utf8(text(at("t.xyz").as_ref())).expect("text").matches("estimate").count() > 4);
    for wrong in [&["--level", "dft"][..], &["--fix-atoms", "1"], &["--solver", "nosuch"], &["--format", "pdb"]] {
        let run = langevin(&[&["gen", "molecule", "CCO"][..], wrong].concat());
        assert_eq!(run.code, 2, "{wrong:?}: {}", run.stderr);
    }
}

#[test]
fn the_level_is_the_molecules_unless_it_is_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    // A small molecule, one at minima of MMFF94s, and one with an element that MMFF94s does not know.
    let strings = ["CCO", "CC(=O)Oc1ccccc1C(=O)O", "OB(O)c1ccccc1"];
    let made = |flags: &[&str], name: &str| {
        let run = langevin(&[&["gen", "molecule", "-n", "2", "--steps", "12", "-o", &at(name)][..], &strings, flags].concat());
        assert!(run.code == 0, "{}", run.stderr);
        records(at(name).as_ref())
    };
    let told = |record: &SdfRecord| ["level", "relax", "energy_unit"].map(|name| record.field(name).expect("is told").to_owned());
    let usual = made(&[], "usual.sdf");
    let of_strings: Vec<_> = usual.iter().step_by(2).map(told).collect();
    assert_eq!(of_strings, [["gfn2", "bounds", "arbitrary"], ["mmff", "mmff94s", "kcal/mol"], ["mmff", "bounds", "arbitrary"]]);
    let molecule = Molecule::from_smiles(strings[1]).expect("aspirin");
    let field = ForceField::new(&molecule).expect("it has parameters");
    for record in &usual[2..4] {
        let energy: f64 = record.field("energy").expect("is told").parse().expect("a number");
        let mut positions = record.positions.clone();
        assert!((field.energy(&positions) - energy).abs() < 0.01, "the energy is that of the positions");
        assert!(energy - field.minimise(&mut positions, 500) < 1.0, "the positions are near a minimum");
    }
    let given = made(&["--level", "gfn2", "--relax", "none"], "given.sdf");
    assert!(given.iter().all(|record| told(record) == ["gfn2", "none", "arbitrary"]));
}

#[test]
fn new_molecules_are_valid_different_and_the_same_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    for name in ["a.sdf", "b.sdf"] {
        let threads = if name == "a.sdf" { "1" } else { "3" };
        let run = langevin(&[
            "gen",
            "molecule",
            "--de-novo",
            "5",
            "--heavy",
            "5-7",
            "--steps",
            "8",
            "--seed",
            "4",
            "--threads",
            threads,
            "-o",
            &at(name),
        ]);
        assert!(run.code == 0, "{}", run.stderr);
    }
    assert!(text(at("a.sdf").as_ref()) == text(at("b.sdf").as_ref()));
    let made = records(at("a.sdf").as_ref());
    let different: std::collections::BTreeSet<_> = made.iter().map(|r| r.title.clone()).collect();
    assert_eq!((made.len(), different.len()), (5, 5));
    for title in different {
        let heavy = Molecule::from_smiles(&title).expect("valid").heavy().len();
        assert!((5..=7).contains(&heavy), "{title}");
    }
    let run = langevin(&["gen", "molecule", "--de-novo", "1", "--formula", "Xx9"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
}

#[test]
fn geodiff_runs_beside_ours() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("g.sdf");
    let run =
        langevin(&["gen", "molecule", "CCO", "-n", "2", "--steps", "20", "--checkpoint", "geodiff", "-o", out.to_str().expect("text")]);
    assert!(run.code == 0, "{}", run.stderr);
    let made = records(&out);
    assert_eq!(made.len(), 2);
    assert!(made.iter().flat_map(|r| r.positions.iter().flatten()).all(|v| v.is_finite()));
}
