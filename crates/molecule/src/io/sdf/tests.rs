use super::*;
use crate::testing::molecule;
use std::io::Cursor;

const BETAINE: &str = "betaine\r
  drawn by hand\r
\r
  4  3  0  0  0  0            999 V2000\r
    0.0000    0.0000    0.0000 C   0  0\r
    1.2500    0.0000    0.0000 O   0  5\r
   -0.5000    1.1000    0.0000 O   0  0  0  0  0  0  0  0  0  7\r
   -0.7000   -1.2000   -3.5000 D   0  0\r
  1  2  1  0\r
  1  3  2  0\r
  1  4  1  6\r
M  ISO  1   1  13\r
M  END\r
>  <smiles>  (1)\r
[2H]C(=O)[O-]\r
\r
> 25 <note>\r
two\r
lines\r
\r
$$$$\r
";

fn reader(text: &str) -> SdfReader {
    SdfReader::new(Lines::new(Path::new("x.sdf"), Cursor::new(text.to_owned().into_bytes())).expect("memory"))
}

fn read(text: &str) -> Vec<Result<SdfRecord>> {
    reader(text).collect()
}

fn written(title: &str, molecule: &Molecule, positions: &[Point], fields: &[(String, String)]) -> String {
    let mut out = Vec::new();
    write_sdf(&mut out, title, molecule, positions, fields).expect("writable");
    String::from_utf8(out).expect("text")
}

#[test]
fn a_foreign_record_is_read() {
    let record = read(BETAINE).remove(0).expect("good");
    assert_eq!((record.title.as_str(), record.line, record.three_d), ("betaine", 1, true));
    let atoms = &record.molecule.atoms;
    assert_eq!((atoms[0].isotope, atoms[1].charge, atoms[2].class, atoms[3].element, atoms[3].isotope), (13, -1, 7, Element::H, 2));
    assert_eq!(record.positions[3], [-0.7, -1.2, -3.5]);
    assert_eq!(record.wedges, [(2, false)]);
    assert_eq!(record.field("smiles"), Some("[2H]C(=O)[O-]"));
    assert_eq!(record.field("note"), Some("two\nlines"));
    // A property line takes the place of all charges above it.
    let record = read(&BETAINE.replace("M  ISO  1   1  13", "M  CHG  1   3   2")).remove(0).expect("good");
    assert_eq!(record.molecule.atoms.iter().map(|a| a.charge).collect::<Vec<_>>(), [0, 0, 2, 0]);
}

#[test]
fn what_is_written_is_read() {
    let mut m = molecule("C N O H Cl; 0-1 0=2 0-3 1-4");
    m.atoms[1].charge = -1;
    m.atoms[2].isotope = 18;
    m.atoms[2].class = 12;
    m.atoms[0].radicals = 1;
    let positions = [[0.0, 1.25, -3.5], [1.0, 2.0, 3.0], [-10.0, 0.0001, 0.0], [0.5; 3], [9.0, 8.0, 7.0]];
    let fields = [("smiles".to_owned(), "CC".to_owned()), ("empty".to_owned(), String::new()), ("lines".to_owned(), "a\nb".to_owned())];
    let text = written("title", &m, &positions, &fields);
    assert!(text.contains("V2000"));
    let record = read(&text).remove(0).expect("good");
    assert_eq!((&record.molecule, &record.positions, &record.fields), (&m, &positions.to_vec(), &fields.to_vec()));
    // Far away, the fixed columns are too narrow.
    let far = positions.map(|p| [p[0] + 1e6, p[1], p[2]]);
    let text = written("title", &m, &far, &fields);
    assert!(text.contains("V3000"));
    let record = read(&text).remove(0).expect("good");
    assert_eq!((&record.molecule, &record.positions, &record.fields), (&m, &far.to_vec(), &fields.to_vec()));
}

#[test]
fn over_999_atoms_need_v3000() {
    for (n, version) in [(999, "V2000"), (1000, "V3000")] {
        let bonds = (1..n.min(900)).map(|k| Bond { atoms: [k - 1, k], order: 1, aromatic: false }).collect();
        let m = Molecule { atoms: vec![atom("C").expect("carbon"); n], bonds, ..Molecule::default() };
        let positions: Vec<Point> = (0..n).map(|k| [k as f64, 0.0, -0.5]).collect();
        let text = written("", &m, &positions, &[]);
        assert!(text.contains(version));
        let record = read(&text).remove(0).expect("good");
        assert!(record.molecule == m && record.positions == positions);
    }
}

#[test]
fn more_than_eight_charges_take_two_lines() {
    let mut m = molecule("N N N N N N N N N; ");
    m.atoms.iter_mut().for_each(|a| a.charge = -3);
    let text = written("", &m, &[[0.0; 3]; 9], &[]);
    assert_eq!(text.matches("M  CHG").count(), 2);
    assert_eq!(read(&text).remove(0).expect("good").molecule, m);
}

#[test]
fn v3000_lines_may_go_on() {
    let text = "\n  x                   2D\n\n  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\nM  V30 COUNTS 2 1 0 0 0\nM  V30 BEGIN ATOM\n\
        M  V30 10 C 0 0 -\nM  V30 0 0 CHG=1\nM  V30 20 N 1 0 0 0 ATTCHORD=(2 1 2)\nM  V30 END ATOM\nM  V30 BEGIN BOND\nM  V30 1 4 20 10 CFG=1\n\
        M  V30 END BOND\nM  V30 BEGIN COLLECTION\nM  V30 MDLV30/STEABS ATOMS=(1 10)\nM  V30 END COLLECTION\nM  V30 END CTAB\nM  END\n";
    let record = read(text).remove(0).expect("good");
    assert_eq!(record.molecule.bonds, [Bond { atoms: [1, 0], order: 1, aromatic: true }]);
    assert_eq!((record.molecule.atoms[0].charge, record.three_d, &record.wedges[..]), (1, false, &[(0, true)][..]));
    for (from, to, said) in [
        ("COUNTS 2", "COUNTS 3", "3 atoms and 1 bonds were announced"),
        ("20 10 CFG", "20 11 CFG", "line 13: there is no atom 11"),
        ("CHG=1", "CHG=x", "line 8: 'x' is no number"),
        ("M  END\n", "", "ends before 'M  END'"),
        ("10 C 0 0", "10 C nan 0", "not finite"),
    ] {
        let error = read(&text.replace(from, to)).remove(0).expect_err(to).to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn bad_records_are_named_and_the_next_is_read() {
    for (from, to, said) in [
        ("  4  3", "  x  3", "record 1, line 4: 'x' in columns 1 to 3 is no number"),
        ("  4  3", "  5  3", "record 1, line 9: "),
        ("  4  3", "  4 30", "record 1, line 12: "),
        ("  4  3", "  0  0", "no atoms"),
        ("  1  4  1", "  1  5  1", "line 11: a bond joins atoms 1 and 5 of 4"),
        ("  1  4  1", "  1  0  1", "line 11: a bond joins atoms 1 and 0 of 4"),
        ("  1  4  1", "  1  4  8", "bond type 8 has no order"),
        (" D  ", " R# ", "'R#' is no element"),
        ("1.2500", "1.25x0", "line 6: '1.25x0' in columns 1 to 10"),
        ("O   0  5", "O   0  9", "9 is no charge code"),
        ("M  ISO  1   1", "M  ISO  1   9", "line 12: there is no atom 9 of 4"),
    ] {
        let records = read(&format!("{}{BETAINE}", BETAINE.replacen(from, to, 1)));
        let error = records[0].as_ref().expect_err(to).to_string();
        assert!(error.starts_with("x.sdf: record 1, line ") && error.contains(said), "{error}");
        assert!(records.len() == 2 && records[1].is_ok());
    }
    let error = read("only\ntwo lines\n").remove(0).expect_err("short").to_string();
    assert!(error.contains("counts line"), "{error}");
    assert!(read("").is_empty() && read("\n\n").is_empty());
    // A file without its last mark is complete.
    assert!(read(BETAINE.trim_end_matches("$$$$\r\n")).remove(0).is_ok());
}

#[test]
fn what_would_break_the_file_is_refused() {
    let m = molecule("C; ");
    let write =
        |title: &str, name: &str, value: &str| write_sdf(&mut Vec::new(), title, &m, &[[0.0; 3]], &[(name.to_owned(), value.to_owned())]);
    assert!(write("t", "n", "v").is_ok());
    for (title, name, value) in
        [("a\nb", "n", "v"), ("$$$$", "n", "v"), ("t", "a>", "v"), ("t", "", "v"), ("t", "n", "a\n\nb"), ("t", "n", "a\n$$$$")]
    {
        assert!(write(title, name, value).is_err(), "{title:?} {name:?} {value:?}");
    }
    assert!(write_sdf(&mut Vec::new(), "", &m, &[[f64::INFINITY, 0.0, 0.0]], &[]).is_err());
    let mut quadruple = molecule("C C; 0-1");
    quadruple.bonds[0].order = 4;
    assert!(write_sdf(&mut Vec::new(), "", &quadruple, &[[0.0; 3]; 2], &[]).is_err());
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(at in 0usize..400, byte in 0u8..=255, cut in 0usize..500) {
        let mut bytes = BETAINE.as_bytes().to_vec();
        let n = bytes.len();
        bytes[at % n] = byte;
        bytes.truncate(cut.max(1));
        let lines = Lines::new(Path::new("x.sdf"), Cursor::new(bytes)).expect("memory");
        proptest::prop_assert!(SdfReader::new(lines).count() <= 2);
    }
}

fn same(a: &Molecule, smiles: &str) -> bool {
    let b = Molecule::from_smiles(smiles).expect("SMILES");
    crate::chem::ranks::certificate(a) == crate::chem::ranks::certificate(&b)
}

#[test]
fn drawings_become_molecules() {
    // Alanine with its nitrogen up, the methyl group left and the acid right below; the hydrogen is not drawn.
    let mut alanine = SdfRecord { molecule: molecule("C C N C O O; 0-1 1-2 1-3 3=4 3-5"), ..SdfRecord::default() };
    alanine.positions = vec![[-0.87, -0.5, 0.0], [0.0; 3], [0.0, 1.0, 0.0], [0.87, -0.5, 0.0], [1.7, 0.0, 0.0], [0.87, -1.5, 0.0]];
    for (towards, smiles) in [(true, "C[C@@H](N)C(=O)O"), (false, "C[C@H](N)C(=O)O")] {
        alanine.wedges = vec![(1, towards)];
        assert!(same(&alanine.molecule().expect("good"), smiles));
    }
    alanine.wedges.clear();
    assert!(same(&alanine.molecule().expect("good"), "CC(N)C(=O)O"));
    // Which side a double bond has is seen without marks.
    let mut butene = SdfRecord { molecule: molecule("C C C C; 0-1 1=2 2-3"), ..SdfRecord::default() };
    butene.positions = vec![[-0.87, 0.5, 0.0], [0.0; 3], [1.0, 0.0, 0.0], [1.87, -0.5, 0.0]];
    assert!(same(&butene.molecule().expect("good"), "C/C=C/C"));
    butene.positions[3][1] = 0.5;
    assert!(same(&butene.molecule().expect("good"), "C/C=C\\C"));
}

#[test]
fn aromatic_bonds_and_charges_get_their_hydrogens() {
    let record = |molecule: Molecule| SdfRecord {
        positions: (0..molecule.atoms.len()).map(|k| [k as f64, (k % 2) as f64, 0.0]).collect(),
        molecule,
        ..SdfRecord::default()
    };
    assert!(same(&record(molecule("C C C C C N; 0:1 1:2 2:3 3:4 4:5 5:0")).molecule().expect("good"), "c1ccccn1"));
    let pyrrole = record(molecule("C C C C N H; 0:1 1:2 2:3 3:4 4:0 4-5"));
    assert!(same(&pyrrole.molecule().expect("good"), "c1cc[nH]c1"));
    let bare = record(molecule("C C C C N; 0:1 1:2 2:3 3:4 4:0")).molecule().expect_err("no hydrogen").to_string();
    assert!(bare.contains("hydrogen may be missing"), "{bare}");
    let mut glycine = molecule("N C C O O; 0-1 1-2 2=3 2-4");
    (glycine.atoms[0].charge, glycine.atoms[4].charge) = (1, -1);
    assert!(same(&record(glycine).molecule().expect("good"), "[NH3+]CC(=O)[O-]"));
    assert_eq!(record(molecule("Na; ")).molecule().expect("good").atoms.len(), 1, "a metal takes no hydrogen");
    let five = record(molecule("C C C C C C; 0-1 0-2 0-3 0-4 0-5")).molecule().expect_err("five bonds").to_string();
    assert!(five.starts_with("atom 1: C has 5 bonds"), "{five}");
}

#[test]
fn a_conformer_has_the_molecule_of_its_smiles() {
    let whole = Molecule::from_smiles("C[C@H](N)O").expect("SMILES");
    let positions: Vec<Point> = (0..whole.atoms.len()).map(|k| [k as f64, (3 * k) as f64 % 5.0, (k * k) as f64 % 7.0]).collect();
    let smiles = [("smiles".to_owned(), "C[C@H](N)O".to_owned())];
    let record = read(&written("", &whole, &positions, &smiles)).remove(0).expect("good");
    assert_eq!(record.conformer().expect("good"), whole);
    let (heavy, rest) = crate::io::without_hydrogens(&whole, &positions);
    let record = read(&written("C[C@H](N)O", &heavy, &rest, &[])).remove(0).expect("good");
    assert_eq!(record.conformer().expect("good"), heavy);
    // Without a string the graph speaks, aromatic although its hydrogens are gone.
    let (pyrrole, points) = crate::io::without_hydrogens(&Molecule::from_smiles("c1cc[nH]c1").expect("SMILES"), &positions[..10]);
    let found = read(&written("", &pyrrole, &points, &[])).remove(0).expect("good").conformer().expect("good");
    assert!(found.atoms.len() == 5 && found.atoms.iter().all(|a| a.aromatic));
}
