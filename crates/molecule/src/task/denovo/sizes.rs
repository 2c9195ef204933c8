//! How long training strings are and how many heavy atoms they have: what is drawn before the tokens.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use langevin_nn::Constant;

use crate::{Error, Result};

const NAME: &str = "sizes";

/// Shares of pairs of length and number of heavy atoms.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizes(Vec<Size>);

/// One such pair.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Size {
    length: usize,
    heavy: usize,
    count: f64,
}

impl Sizes {
    /// Counts pairs of length and heavy atoms.
    pub fn of(pairs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut counts: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        pairs.into_iter().for_each(|pair| *counts.entry(pair).or_default() += 1.0);
        Self(counts.into_iter().map(|((length, heavy), count)| Size { length, heavy, count }).collect())
    }

    /// Only molecules of so many heavy atoms.
    ///
    /// # Errors
    /// [`Error::Setting`] when no training molecule has, with the range that they have.
    pub fn within(&self, heavy: &RangeInclusive<usize>) -> Result<Self> {
        let kept: Vec<Size> = self.0.iter().copied().filter(|size| heavy.contains(&size.heavy)).collect();
        if kept.is_empty() {
            let (least, most) = self.0.iter().fold((usize::MAX, 0), |(a, b), size| (a.min(size.heavy), b.max(size.heavy)));
            let reason = format!("should reach into {least} to {most}, the heavy atoms of the molecules that the model knows");
            return Err(Error::Setting { name: "heavy", reason });
        }
        Ok(Self(kept))
    }

    /// Length and heavy atoms at a place of `0..1`.
    pub fn at(&self, place: f64) -> (usize, usize) {
        let total: f64 = self.0.iter().map(|size| size.count).sum();
        let mut left = place * total;
        let found = self.0.iter().find(|size| {
            left -= size.count;
            left < 0.0
        });
        found.or(self.0.last()).map_or((0, 0), |size| (size.length, size.heavy))
    }

    /// As a checkpoint's constant, shape `[pairs, 3]`.
    pub fn to_constant(&self) -> Constant {
        let total: f64 = self.0.iter().map(|size| size.count).sum();
        let row = |size: &Size| [size.length as f32, size.heavy as f32, (size.count / total) as f32];
        Constant { name: NAME.to_owned(), shape: vec![self.0.len(), 3], values: self.0.iter().flat_map(row).collect() }
    }

    /// The sizes among a checkpoint's constants, of strings no longer than `max_length`.
    ///
    /// # Errors
    /// [`Error::Constant`] when they are missing or not what [`to_constant`](Self::to_constant) makes.
    pub fn from_constants(constants: &[Constant], max_length: usize) -> Result<Self> {
        let wrong = |problem: &str| Error::Constant { name: NAME, problem: problem.to_owned() };
        let found = constants.iter().find(|c| c.name == NAME).ok_or_else(|| wrong("is missing"))?;
        let (rows, rest) = found.values.as_chunks::<3>();
        if found.shape != [rows.len(), 3] || !rest.is_empty() || rows.is_empty() {
            return Err(wrong("is not of three numbers a size"));
        }
        let whole = |v: f32| v.fract() == 0.0 && (0.0..=max_length as f32).contains(&v);
        let fits = |&[length, heavy, share]: &[f32; 3]| length > 0.0 && whole(length) && whole(heavy) && share > 0.0 && share <= 1.0;
        if !rows.iter().all(fits) {
            return Err(wrong("holds a size that no training string can have"));
        }
        let size = |&[length, heavy, share]: &[f32; 3]| Size { length: length as usize, heavy: heavy as usize, count: f64::from(share) };
        Ok(Self(rows.iter().map(size).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_drawn_by_their_shares() {
        let sizes = Sizes::of([(5, 3), (5, 3), (5, 3), (7, 4)]);
        assert_eq!([0.0, 0.7, 0.76, 0.999].map(|u| sizes.at(u)), [(5, 3), (5, 3), (7, 4), (7, 4)]);
        assert_eq!(sizes.within(&(4..=9)).unwrap().at(0.1), (7, 4));
        assert!(sizes.within(&(5..=9)).unwrap_err().to_string().contains("3 to 4"));
    }

    #[test]
    fn constants_come_back() {
        let sizes = Sizes::of([(5, 3), (5, 3), (5, 3), (7, 4)]);
        let constant = sizes.to_constant();
        let back = Sizes::from_constants(std::slice::from_ref(&constant), 7).unwrap();
        assert_eq!([0.0, 0.7, 0.76].map(|u| back.at(u)), [0.0, 0.7, 0.76].map(|u| sizes.at(u)));
        assert!(Sizes::from_constants(std::slice::from_ref(&constant), 6).is_err());
        for (k, damage) in [(0, 0.0), (0, 1.5), (1, -1.0), (2, 0.0), (2, f32::NAN)] {
            let mut bad = constant.clone();
            bad.values[k] = damage;
            assert!(Sizes::from_constants(&[bad], 7).is_err());
        }
        assert!(Sizes::from_constants(&[], 7).is_err());
    }
}
