//! Which molecules a model was trained on, as hashes that survive half precision.

use langevin_nn::Constant;

use crate::{Error, Result};

const NAME: &str = "known";
/// A hash is stored in pieces of so many bits: whole numbers that half precision holds exactly.
const BITS: u32 = 11;
const PIECES: usize = 4;

/// A set of canonical SMILES, each as a hash of 44 bits: a new string is taken for a known one once in `2^44 / len` times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known(Vec<u64>);

impl Known {
    /// The set of some canonical strings.
    pub fn of<'a>(canonical: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hashes: Vec<u64> = canonical.into_iter().map(hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    /// Number of molecules.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a canonical string is in the set.
    pub fn contains(&self, canonical: &str) -> bool {
        self.0.binary_search(&hash(canonical)).is_ok()
    }

    /// The set as a checkpoint's constant, shape `[len, 4]`.
    pub fn to_constant(&self) -> Constant {
        let piece = |hash: u64, k: usize| (hash >> (BITS * k as u32) & ((1 << BITS) - 1)) as f32;
        let values = self.0.iter().flat_map(|&hash| (0..PIECES).map(move |k| piece(hash, k))).collect();
        Constant { name: NAME.to_owned(), shape: vec![self.0.len(), PIECES], values }
    }

    /// The set among a checkpoint's constants.
    ///
    /// # Errors
    /// [`Error::Constant`] when it is missing or not what [`to_constant`](Self::to_constant) makes.
    pub fn from_constants(constants: &[Constant]) -> Result<Self> {
        let wrong = |problem: &str| Error::Constant { name: NAME, problem: problem.to_owned() };
        let found = constants.iter().find(|c| c.name == NAME).ok_or_else(|| wrong("is missing"))?;
        let (rows, rest) = found.values.as_chunks::<PIECES>();
        if found.shape != [rows.len(), PIECES] || !rest.is_empty() {
            return Err(wrong("is not of four numbers a molecule"));
        }
        if found.values.iter().any(|v| v.fract() != 0.0 || !(0.0..(1 << BITS) as f32).contains(v)) {
            return Err(wrong("holds numbers that are no pieces of hashes"));
        }
        let whole = |row: &[f32; PIECES]| row.iter().rev().fold(0, |hash, &piece| hash << BITS | piece as u64);
        let mut hashes: Vec<u64> = rows.iter().map(whole).collect();
        hashes.sort_unstable();
        Ok(Self(hashes))
    }
}

/// FNV-1a over the bytes, then mixed by two multiplications so that every kept bit depends on all of them.
fn hash(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (fnv ^ fnv >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93) >> (64 - BITS * PIECES as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_known_and_nothing_else() {
        let strings: Vec<String> = (0..20_000).map(|k| format!("C{k}N{}", k * 7 % 13)).collect();
        let known = Known::of(strings[..10_000].iter().map(String::as_str));
        // No two of 20 000 share a hash of 44 bits, but for 1e-5 of all sets.
        assert_eq!(known.len(), 10_000);
        assert!(strings.iter().enumerate().all(|(k, s)| known.contains(s) == (k < 10_000)));
    }

    #[test]
    fn constants_come_back_through_half_precision() {
        let known = Known::of(["CCO", "c1ccccc1", "CC(N)=O"]);
        let constant = known.to_constant();
        // Whole numbers up to 2048 are exact in half precision.
        assert!(constant.values.iter().all(|v| v.fract() == 0.0 && *v < 2048.0));
        assert_eq!(Known::from_constants(std::slice::from_ref(&constant)).unwrap(), known);
        assert!(Known::from_constants(&[]).is_err());
        for damage in [0.5, -1.0, 2048.0] {
            let mut bad = constant.clone();
            bad.values[5] = damage;
            assert!(Known::from_constants(&[bad]).is_err());
        }
        let bad = Constant { shape: vec![4, 3], ..constant };
        assert!(Known::from_constants(&[bad]).is_err());
    }
}
