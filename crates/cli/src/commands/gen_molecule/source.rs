//! Molecules as the user gives them, made ready to generate.

use std::path::PathBuf;

use langevin_engine::Shard;
use langevin_molecule::{
    Element, Molecule, Point,
    chem::stereo,
    io::{Columns, Entries, Entry, Given, SdfReader, XyzReader},
    task::Held,
};

use crate::report::Failure;

/// Most stereoisomers of one string.
pub(super) const MOST_ISOMERS: usize = 8;

/// What to do with centres whose configuration the string leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stereo {
    /// Leave them open: conformers may have either
    Keep,
    /// Make conformers of every stereoisomer, at most 8
    Enumerate,
    /// Choose one stereoisomer by the seed
    Random,
}

/// Where molecules come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Strings of the command line.
    Given(Vec<String>),
    /// A file, or stdin.
    File { path: PathBuf, columns: Columns },
}

/// A molecule with what the user calls it.
#[derive(Debug)]
pub(crate) struct Item {
    /// Its string as given; of a record without one, ours.
    pub(crate) text: String,
    pub(crate) name: String,
    pub(crate) molecule: Molecule,
    /// The stereoisomer, where one was made of an open string.
    pub(crate) isomer: Option<String>,
}

/// An entry that no conformer can be made of.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Problem {
    /// Line of the file, or number of the argument, counted from 1.
    pub(crate) line: usize,
    pub(crate) smiles: String,
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl Source {
    /// Every entry, or what is wrong with it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn entries(&self) -> Result<Box<dyn Iterator<Item = langevin_molecule::Result<Entry>> + '_>, Failure> {
        Ok(match self {
            Self::Given(strings) => Box::new(
                strings
                    .iter()
                    .enumerate()
                    .map(|(k, text)| Ok(Entry { line: k + 1, name: String::new(), given: Given::Smiles(text.clone()) })),
            ),
            Self::File { path, columns } => Box::new(Entries::open(path, columns)?),
        })
    }

    /// Entries of a part, and the number of all of them where it had to be counted.
    ///
    /// # Errors
    /// The file cannot be read; it is stdin, which cannot be read twice.
    pub(crate) fn part(&self, shard: Shard) -> Result<(std::ops::Range<u32>, u32), Failure> {
        if shard == Shard::WHOLE {
            return Ok((0..u32::MAX, 0));
        }
        if let Self::File { path, .. } = self
            && path.as_os_str() == "-"
        {
            return Err(Failure::usage("shard", "stdin cannot be cut into parts, because it can be read only once")
                .help("save it to a file and give --input FILE"));
        }
        let total = self.entries()?.count() as u32;
        Ok((shard.rows(total), total))
    }
}

/// Makes an entry ready. Several items come of one that is enumerated.
pub(crate) fn items(entry: Entry, stereo: Stereo, seed: u64) -> Result<Vec<Item>, Problem> {
    let Entry { line, name, given } = entry;
    let parsed = match given {
        Given::Smiles(text) => Molecule::from_smiles(&text).map(|molecule| (text.clone(), molecule)).map_err(|e| (text, e.to_string())),
        Given::Sdf(record) => match record.field("smiles").map(str::to_owned) {
            Some(text) => Molecule::from_smiles(&text).map(|molecule| (text.clone(), molecule)).map_err(|e| (text, e.to_string())),
            None => record.molecule().map(|molecule| (molecule.to_smiles(), molecule)).map_err(|e| (record.title.clone(), e.to_string())),
        },
    };
    let (text, molecule) = parsed.map_err(|(smiles, reason)| Problem { line, smiles, name: name.clone(), reason })?;
    if let Some(atom) = molecule.atoms.iter().position(|atom| atom.element == Element(0)) {
        let reason = format!("atom {} is a wildcard, which has no place in space", atom + 1);
        return Err(Problem { line, smiles: text, name, reason });
    }
    let whole = |molecule: Molecule, isomer: Option<String>| Item { text: text.clone(), name: name.clone(), molecule, isomer };
    if stereo == Stereo::Keep {
        return Ok(vec![whole(molecule, None)]);
    }
    let mut isomers = stereo::enumerate(&molecule, MOST_ISOMERS);
    if isomers.len() <= 1 {
        return Ok(vec![whole(molecule, None)]);
    }
    if stereo == Stereo::Random {
        let hash = text.bytes().fold(seed ^ 0x9E37_79B9_7F4A_7C15, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
        let chosen = isomers.swap_remove((hash >> 33) as usize % isomers.len());
        isomers = vec![chosen];
    }
    let named = |molecule: Molecule| {
        let isomer = molecule.to_smiles();
        whole(molecule, Some(isomer))
    };
    Ok(isomers.into_iter().map(named).collect())
}

/// Positions of the atoms to hold: of those of the list in the order of the file, or, when the file has the whole molecule, by number.
///
/// # Errors
/// The file or the list cannot be understood, or they do not go together.
pub(crate) fn held(path: &std::path::Path, list: &str) -> Result<(Vec<usize>, Vec<Point>), Failure> {
    let atoms = numbers(list).ok_or_else(|| {
        Failure::usage("fix-atoms", format!("'{list}' is no list of atom numbers")).help("count from 1 in the order of the SMILES: 1-4,7")
    })?;
    let name = path.to_string_lossy().to_lowercase();
    let positions = if name.trim_end_matches(".gz").ends_with(".xyz") {
        XyzReader::open(path)?.next().transpose()?.map(|record| record.positions)
    } else {
        SdfReader::open(path)?.next().transpose()?.map(|record| record.positions)
    };
    let positions = positions.ok_or_else(|| Failure::data("fix", format!("{} holds no record", path.display())))?;
    Ok((atoms, positions))
}

/// Held atoms of a molecule.
///
/// # Errors
/// Numbers beyond the molecule, or a file with neither as many positions as the list nor as the molecule.
pub(crate) fn held_of(molecule: &Molecule, atoms: &[usize], positions: &[Point]) -> Result<Held, String> {
    let n = molecule.atoms.len();
    if let Some(beyond) = atoms.iter().find(|&&a| a >= n) {
        return Err(format!("atom {} is to be held, but there are {n} (hydrogens stand last)", beyond + 1));
    }
    let places: Vec<Point> = if positions.len() == n {
        atoms.iter().map(|&a| positions[a]).collect()
    } else if positions.len() == atoms.len() {
        positions.to_vec()
    } else {
        return Err(format!("the file has {} positions, which are neither the {} held atoms nor all {n}", positions.len(), atoms.len()));
    };
    Ok(Held { atoms: atoms.iter().copied().zip(places).collect() })
}

/// `1-4,7` as indices from 0, without repetition.
fn numbers(list: &str) -> Option<Vec<usize>> {
    let mut atoms = Vec::new();
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (usize, usize) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        if from == 0 || to < from || to - from > 100_000 {
            return None;
        }
        for atom in from - 1..to {
            if atoms.contains(&atom) {
                return None;
            }
            atoms.push(atom);
        }
    }
    Some(atoms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_atoms() {
        assert_eq!(numbers("1-3,7"), Some(vec![0, 1, 2, 6]));
        for bad in ["", "0", "3-1", "a", "1,1", "1-", "1;2"] {
            assert_eq!(numbers(bad), None, "{bad}");
        }
    }

    #[test]
    fn held_atoms_go_by_list_or_by_number() {
        let molecule = Molecule::from_smiles("CO").expect("methanol");
        let all: Vec<Point> = (0..6).map(|k| [f64::from(k), 0.0, 0.0]).collect();
        assert_eq!(held_of(&molecule, &[1], &all).expect("whole").atoms, [(1, [1.0, 0.0, 0.0])]);
        assert_eq!(held_of(&molecule, &[1], &all[3..4]).expect("list").atoms, [(1, [3.0, 0.0, 0.0])]);
        assert!(held_of(&molecule, &[9], &all).is_err() && held_of(&molecule, &[1], &all[..2]).is_err());
    }

    #[test]
    fn open_centres_are_kept_or_enumerated_or_drawn() {
        let entry = || Entry { line: 1, name: String::new(), given: Given::Smiles("CC(F)Cl".to_owned()) };
        let count = |stereo| items(entry(), stereo, 1).expect("valid").len();
        assert_eq!((count(Stereo::Keep), count(Stereo::Enumerate), count(Stereo::Random)), (1, 2, 1));
        let problem = items(Entry { line: 3, name: "x".into(), given: Given::Smiles("C(".to_owned()) }, Stereo::Keep, 1).expect_err("open");
        assert!(problem.line == 3 && problem.reason.contains("column"), "{problem:?}");
    }
}
