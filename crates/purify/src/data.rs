//! Labelled examples: rows of equal length, with a class each.

use std::collections::BTreeSet;

use crate::{Error, Result};

/// Labelled rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examples {
    /// Rows of equal length, in data units.
    pub rows: Vec<Vec<f32>>,
    /// Class of each, as a number of [`names`](Self::names).
    pub classes: Vec<usize>,
    /// Names of the classes, sorted: as numbers where all are numbers.
    pub names: Vec<String>,
}

impl Examples {
    /// Rows with the name of each one's class.
    ///
    /// # Errors
    /// [`Error::Setting`] without rows, or with rows of different lengths.
    pub fn new(rows: Vec<Vec<f32>>, labels: &[String]) -> Result<Self> {
        let length = rows.first().map_or(0, Vec::len);
        if length == 0 || rows.iter().any(|row| row.len() != length) || rows.len() != labels.len() {
            return Err(Error::Setting { name: "data", reason: "has no rows, or rows of different lengths".into() });
        }
        let mut names: Vec<String> = labels.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        if names.iter().all(|name| name.parse::<f64>().is_ok()) {
            let number = |name: &String| name.parse::<f64>().unwrap_or(f64::NAN);
            names.sort_by(|a, b| number(a).total_cmp(&number(b)));
        }
        let examples = Self { rows, classes: Vec::new(), names: names.clone() };
        examples.named(labels, &names)
    }

    fn named(mut self, labels: &[String], names: &[String]) -> Result<Self> {
        let number = |label: &String| {
            names.iter().position(|name| name == label).ok_or_else(|| Error::Setting {
                name: "label",
                reason: format!("'{label}' is no class of the model; it knows: {}", names.join(", ")),
            })
        };
        self.classes = labels.iter().map(number).collect::<Result<_>>()?;
        self.names = names.to_vec();
        Ok(self)
    }

    /// The same with classes numbered as in `names`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a label that is not among them.
    pub fn in_order_of(self, names: &[String]) -> Result<Self> {
        let labels: Vec<String> = self.classes.iter().map(|&class| self.names[class].clone()).collect();
        self.named(&labels, names)
    }

    /// Numbers of a row.
    pub fn columns(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    /// Takes every tenth row away as a validation set.
    #[must_use]
    pub fn hold_out(&mut self) -> Self {
        let mut held = Self { names: self.names.clone(), ..Self::default() };
        for k in (0..self.rows.len()).rev().filter(|k| k % 10 == 9) {
            held.rows.push(self.rows.remove(k));
            held.classes.push(self.classes.remove(k));
        }
        held
    }
}

/// Cuts or pads a clip to a length, in the middle.
pub fn centred(samples: &[f32], length: usize) -> Vec<f32> {
    let mut out = vec![0.0; length];
    let (skip, start) = middle(samples.len(), length);
    let count = samples.len().min(length);
    out[start..start + count].copy_from_slice(&samples[skip..skip + count]);
    out
}

/// Puts what [`centred`] took out of a clip of any length back to its place; samples that it cut off stay as they are.
pub fn restored(purified: &[f32], samples: &[f32]) -> Vec<f32> {
    let mut out = samples.to_vec();
    let (skip, start) = middle(samples.len(), purified.len());
    let count = samples.len().min(purified.len());
    out[skip..skip + count].copy_from_slice(&purified[start..start + count]);
    out
}

/// Samples skipped at the start of a longer clip, and put before a shorter one.
const fn middle(have: usize, length: usize) -> (usize, usize) {
    (have.saturating_sub(length) / 2, length.saturating_sub(have) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_are_centred_and_come_back() {
        assert_eq!(centred(&[1.0, 2.0, 3.0], 6), [0.0, 1.0, 2.0, 3.0, 0.0, 0.0]);
        assert_eq!(centred(&[1.0, 2.0, 3.0, 4.0], 2), [2.0, 3.0]);
        for (have, length) in [(3, 6), (4, 2), (5, 5), (7, 4)] {
            let clip: Vec<f32> = (0..have).map(|k| k as f32 + 1.0).collect();
            assert_eq!(restored(&centred(&clip, length), &clip), clip);
        }
    }

    #[test]
    fn classes_are_numbered_as_numbers() {
        let labels = ["10", "2", "10"].map(str::to_owned);
        let found = Examples::new(vec![vec![0.0]; 3], &labels).unwrap();
        assert_eq!((found.names.clone(), found.classes.clone()), (vec!["2".to_owned(), "10".to_owned()], vec![1, 0, 1]));
        assert!(found.in_order_of(&["2".to_owned()]).unwrap_err().to_string().contains("'10'"));
        assert!(Examples::new(vec![vec![0.0], vec![]], &labels[..2]).is_err());
    }
}
