//! Bond lengths and 1-3 distances learned from conformers, by local environment.

use super::environment::{Environment, Key};
use super::vector::distance;
use crate::{Error, Molecule, Point, Result, io::Record};
use langevin_nn::Constant;
use std::collections::BTreeMap;

/// Name of the array in a checkpoint.
pub const NAME: &str = "bounds";
/// Observations that a key needs before it is trusted.
const LEAST: u32 = 6;
/// Spread and weight (in observations) of what is believed before any is made, angstrom.
const PRIOR: (f64, f64) = (0.02, 4.0);
/// Distances of bonds and angles that are no mistake, angstrom.
const SENSIBLE: std::ops::Range<f64> = 0.3..8.0;
/// Means are stored as thousandths of an angstrom from here, which half precision holds exactly up to 2048.
const CENTRE: f64 = 2000.0;
const COLUMNS: usize = 11;

/// A distance with its spread, angstrom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub spread: f64,
}

/// Learned windows by local environment: elements, degrees, conjugation, bond orders, ring sizes, backing off to coarser keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoundsTable {
    windows: BTreeMap<Key, Window>,
}

#[derive(Default)]
struct Sum {
    count: u32,
    mean: f64,
    square: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.count += 1;
        let off = value - self.mean;
        self.mean += off / f64::from(self.count);
        self.square += off * (value - self.mean);
    }

    /// Rounded as it is stored, so that a table is the same before and after a checkpoint.
    fn window(&self) -> Window {
        let variance = (self.square + PRIOR.1 * PRIOR.0 * PRIOR.0) / (f64::from(self.count) + PRIOR.1);
        let round = |v: f64| (v * 1000.0).round() / 1000.0;
        Window { mean: round(self.mean), spread: round(variance.sqrt()) }
    }
}

impl BoundsTable {
    /// Learns from every conformer of the records. Conformers that do not fit their molecule, or are not finite, are passed over.
    pub fn fit<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut sums: BTreeMap<Key, Sum> = BTreeMap::new();
        for record in records {
            let environment = Environment::new(&record.molecule);
            let pairs = observed(&record.molecule, &environment);
            let fits = |p: &&Vec<Point>| p.len() == record.molecule.atoms.len() && p.iter().flatten().all(|v| v.is_finite());
            for conformer in record.conformers.iter().filter(fits) {
                for ([a, b], keys) in &pairs {
                    let length = distance(conformer[*a], conformer[*b]);
                    if SENSIBLE.contains(&length) {
                        keys.iter().for_each(|key| sums.entry(*key).or_default().add(length));
                    }
                }
            }
        }
        let windows = sums.into_iter().filter(|(_, sum)| sum.count >= LEAST).map(|(key, sum)| (key, sum.window())).collect();
        Self { windows }
    }

    /// Takes from `other` what this table does not know: one of better conformers comes first, one of more molecules fills it up.
    pub fn fill_from(&mut self, other: &Self) {
        for (key, window) in &other.windows {
            self.windows.entry(*key).or_insert(*window);
        }
    }

    /// Number of environments known.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// The first key that is known.
    pub(crate) fn find(&self, keys: &[Key]) -> Option<Window> {
        keys.iter().find_map(|key| self.windows.get(key).copied())
    }

    /// As an array of whole numbers that half precision holds exactly: shape `[environments, 11]`, a key of nine, the mean in thousandths of
    /// an angstrom from 2 angstrom, the spread in thousandths.
    pub fn to_constant(&self) -> Constant {
        let row = |(key, window): (&Key, &Window)| {
            let numbers = [window.mean * 1000.0 - CENTRE, window.spread * 1000.0].map(|v| v.round() as f32);
            key.map(f32::from).into_iter().chain(numbers)
        };
        let values = self.windows.iter().flat_map(row).collect();
        Constant { name: NAME.into(), shape: vec![self.windows.len(), COLUMNS], values }
    }

    /// Back from [`to_constant`](Self::to_constant).
    ///
    /// # Errors
    /// Another shape, or numbers that mean nothing.
    pub fn from_constant(constant: &Constant) -> Result<Self> {
        let wrong = |problem: String| Error::Constant { name: NAME, problem };
        let rows = match constant.shape[..] {
            [rows, COLUMNS] if rows.checked_mul(COLUMNS) == Some(constant.values.len()) => constant.values.chunks_exact(COLUMNS),
            _ => return Err(wrong(format!("has shape {:?} instead of [environments, {COLUMNS}]", constant.shape))),
        };
        let mut windows = BTreeMap::new();
        for (k, row) in rows.enumerate() {
            let mut key = Key::default();
            for (byte, &value) in key.iter_mut().zip(row) {
                *byte = value as u8;
                if f32::from(*byte) != value {
                    return Err(wrong(format!("has {value} in row {k}, which is no part of a key")));
                }
            }
            let [mean, spread] = [row[9], row[10]].map(f64::from);
            let window = Window { mean: (mean + CENTRE) / 1000.0, spread: spread / 1000.0 };
            if !SENSIBLE.contains(&window.mean) || !(0.0..SENSIBLE.end).contains(&window.spread) {
                return Err(wrong(format!("has a distance of {} +- {} angstrom in row {k}", window.mean, window.spread)));
            }
            windows.insert(key, window);
        }
        Ok(Self { windows })
    }
}

/// Pairs of atoms that the table knows about, with their keys.
fn observed(molecule: &Molecule, environment: &Environment<'_>) -> Vec<([usize; 2], Vec<Key>)> {
    let mut pairs: Vec<_> = (0..molecule.bonds.len()).map(|k| (molecule.bonds[k].atoms, environment.bond_keys(k).to_vec())).collect();
    for (centre, around) in environment.adjacency().iter().enumerate() {
        for (k, &a) in around.iter().enumerate() {
            for &b in &around[..k] {
                pairs.push(([a.0, b.0], environment.angle_keys(centre, a, b).to_vec()));
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::molecule;

    fn water(length: f64) -> Record {
        Record {
            molecule: molecule("O H H; 0-1 0-2"),
            conformers: vec![vec![[0.0; 3], [length, 0.0, 0.0], [0.0, length, 0.0]]; 4],
            ..Record::default()
        }
    }

    #[test]
    fn learns_mean_and_spread() {
        let table = BoundsTable::fit(&[water(0.95), water(0.97)]);
        let m = molecule("H O H; 0-1 2-1");
        let environment = Environment::new(&m);
        let bond = table.find(&environment.bond_keys(0)).expect("16 observations");
        assert!((bond.mean - 0.96).abs() < 1e-9 && (bond.spread - 0.013).abs() < 1.1e-3, "{bond:?}");
        let angle = table.find(&environment.angle_keys(1, (0, 0), (2, 1))).expect("8 observations");
        assert!((angle.mean - 0.96 * 2f64.sqrt()).abs() < 1e-3);
        // Methanol's oxygen is another environment: the coarser key answers for its bond to hydrogen, none for that to carbon.
        let methanol = molecule("C O H; 0-1 1-2");
        let environment = Environment::new(&methanol);
        assert_eq!(table.find(&environment.bond_keys(1)).expect("O-H").mean, 0.96);
        assert_eq!(table.find(&environment.bond_keys(0)), None);
        assert!(BoundsTable::fit(&[Record { conformers: vec![vec![[0.0; 3]; 3]; 5], ..water(1.0) }]).is_empty());
    }

    #[test]
    fn a_checkpoint_carries_it() {
        let mut table = BoundsTable::fit(&[water(0.95), water(0.97)]);
        let constant = table.to_constant();
        assert_eq!(constant.shape, [table.len(), COLUMNS]);
        assert!(constant.values.iter().all(|v| v.fract() == 0.0 && v.abs() <= 2048.0));
        assert_eq!(BoundsTable::from_constant(&constant).expect("our own"), table);
        let n = table.len();
        table.fill_from(&BoundsTable::fit(&[water(1.5), water(1.5)]));
        assert_eq!(table.len(), n);
        for (k, value) in [(0, 0.5), (3, -1.0), (1, 300.0), (9, -2000.0), (9, f32::NAN), (10, -1.0)] {
            let mut bad = constant.clone();
            bad.values[k] = value;
            assert!(BoundsTable::from_constant(&bad).is_err(), "{k} {value}");
        }
        assert!(BoundsTable::from_constant(&Constant { shape: vec![1], ..constant }).is_err());
    }
}
