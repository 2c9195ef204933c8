//! Which drawn strings become molecules, and how they are counted.

use std::{collections::HashSet, ops::RangeInclusive};

use serde::Serialize;

use super::{Formula, Known};
use crate::Molecule;

/// What became of the strings drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DenovoReport {
    /// Molecules asked for.
    pub asked: usize,
    /// Strings drawn.
    pub drawn: usize,
    /// Those that are molecules.
    pub valid: usize,
    /// Valid ones of the size and formula asked for.
    pub fitting: usize,
    /// Different molecules among these.
    pub unique: usize,
    /// Those of them that the model was not trained on.
    pub novel: usize,
}

/// Takes strings in their order until enough molecules are found.
#[derive(Clone, Debug)]
pub struct Collector<'a> {
    heavy: Option<RangeInclusive<usize>>,
    formula: Option<Formula>,
    known: &'a Known,
    seen: HashSet<String>,
    found: Vec<String>,
    report: DenovoReport,
}

impl<'a> Collector<'a> {
    /// For so many different molecules of a size and a formula.
    pub fn new(asked: usize, heavy: Option<RangeInclusive<usize>>, formula: Option<Formula>, known: &'a Known) -> Self {
        let report = DenovoReport { asked, ..DenovoReport::default() };
        Self { heavy, formula, known, seen: HashSet::new(), found: Vec::new(), report }
    }

    /// Whether enough are found.
    pub const fn is_full(&self) -> bool {
        self.found.len() >= self.report.asked
    }

    /// Counts a string, and keeps its molecule where that is valid, fits and is new here. Nothing is counted once enough are found, so that the
    /// counts do not depend on how many strings are drawn at once.
    pub fn offer(&mut self, smiles: &str) {
        if self.is_full() {
            return;
        }
        self.report.drawn += 1;
        let Ok(molecule) = Molecule::from_smiles(smiles) else { return };
        self.report.valid += 1;
        let fits = self.heavy.as_ref().is_none_or(|range| range.contains(&molecule.heavy().len()))
            && self.formula.as_ref().is_none_or(|formula| *formula == Formula::of(&molecule));
        if !fits {
            return;
        }
        self.report.fitting += 1;
        let canonical = molecule.to_smiles();
        if !self.seen.insert(canonical.clone()) {
            return;
        }
        self.report.unique += 1;
        self.report.novel += usize::from(!self.known.contains(&canonical));
        self.found.push(canonical);
    }

    /// The counts so far.
    pub const fn report(&self) -> DenovoReport {
        self.report
    }

    /// The molecules as canonical SMILES, in the order they were drawn, and the counts.
    pub fn finish(self) -> (Vec<String>, DenovoReport) {
        (self.found, self.report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_counted_by_hand() {
        let known = Known::of([Molecule::from_smiles("CCO").unwrap().to_smiles().as_str()]);
        let mut all = Collector::new(3, None, None, &known);
        // Ethanol twice, an open ring, a five-valent carbon, ethane, methane, and one too many.
        ["OCC", "C1CC", "CCO", "C(C)(C)(C)(C)C", "CC", "C", "CCC"].iter().for_each(|s| all.offer(s));
        assert!(all.is_full());
        let (found, report) = all.finish();
        assert_eq!(found, ["CCO", "CC", "C"]);
        assert_eq!(report, DenovoReport { asked: 3, drawn: 6, valid: 4, fitting: 4, unique: 3, novel: 2 });

        let mut some = Collector::new(2, Some(2..=3), Some("C2H6O".parse().unwrap()), &known);
        ["CC", "CCO", "COC", "CCN"].iter().for_each(|s| some.offer(s));
        assert_eq!(some.report(), DenovoReport { asked: 2, drawn: 3, valid: 3, fitting: 2, unique: 2, novel: 1 });
    }
}
