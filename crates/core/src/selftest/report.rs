//! Collecting the differences of one case, and the cases of one file.

use burn::tensor::Device;

use super::{Case, Status};
use crate::{mixture::GaussianMixture, schedule::Table};

/// The cases of one file.
pub(super) struct Report<'a> {
    stem: String,
    cases: Vec<Case>,
    /// Where f32 runs happen, if they do.
    pub(super) device: Option<&'a Device>,
    /// The mixture of the folder, for documents that have none of their own.
    pub(super) mixture: Option<GaussianMixture>,
    /// The discrete schedules of the folder, for documents that do not name theirs.
    pub(super) tables: Vec<Table>,
    /// Most and least noise of the folder's grids, for documents that do not name them.
    pub(super) ends: (f64, f64),
}

impl<'a> Report<'a> {
    pub(super) fn new(stem: &str, device: Option<&'a Device>) -> Self {
        Self { stem: stem.to_owned(), cases: Vec::new(), device, mixture: None, tables: Vec::new(), ends: (80.0, 0.02) }
    }

    fn name(&self, entry: &str) -> String {
        if entry.is_empty() { self.stem.clone() } else { format!("{}/{entry}", self.stem) }
    }

    /// Notes an entry that is not understood.
    pub(super) fn skip(&mut self, entry: &str, why: impl Into<String>) {
        let name = self.name(entry);
        self.cases.push(Case { name, status: Status::Skip, max_abs_diff: None, tolerance: None, note: why.into() });
    }

    /// Notes a finished comparison.
    pub(super) fn add(&mut self, entry: &str, compare: Compare) {
        let name = self.name(entry);
        let status = match (compare.within(), compare.quirk.is_some()) {
            (false, _) => Status::Fail,
            (true, true) => Status::Quirk,
            (true, false) => Status::Pass,
        };
        let mut note = if compare.within() { String::new() } else { compare.worst_at };
        if let Some(quirk) = compare.quirk {
            note = if note.is_empty() { quirk } else { format!("{note} ({quirk})") };
        }
        let max_abs_diff = (compare.count > 0).then_some(compare.max_abs_diff);
        self.cases.push(Case { name, status, max_abs_diff, tolerance: Some(compare.tolerance), note });
    }

    pub(super) fn into_cases(self) -> Vec<Case> {
        self.cases
    }
}

/// The largest difference of one case.
#[derive(Clone, Debug)]
pub(super) struct Compare {
    tolerance: f64,
    /// Largest difference over `max(1, |expected|)`, in units of its tolerance.
    worst: f64,
    worst_at: String,
    max_abs_diff: f64,
    count: usize,
    quirk: Option<String>,
}

impl Compare {
    /// A comparison to a tolerance, relative to `max(1, |expected|)`.
    pub(super) fn new(tolerance: f64) -> Self {
        Self { tolerance, worst: 0.0, worst_at: String::new(), max_abs_diff: 0.0, count: 0, quirk: None }
    }

    /// Whether everything so far agrees; a comparison of nothing does not.
    pub(super) fn within(&self) -> bool {
        self.count > 0 && self.worst <= 1.0
    }

    /// Marks the reference as known to be wrong somewhere.
    pub(super) fn quirk(&mut self, why: impl Into<String>) {
        self.quirk = Some(why.into());
    }

    /// Compares two numbers; NaN equals NaN.
    pub(super) fn number(&mut self, what: &str, ours: f64, expected: f64) {
        self.to(self.tolerance, || what.to_owned(), ours, expected);
    }

    /// Compares two lists, numbers and length.
    pub(super) fn numbers(&mut self, what: &str, ours: &[f64], expected: &[f64]) {
        self.numbers_to(self.tolerance, what, ours, expected);
    }

    /// As [`numbers`](Self::numbers), to a tolerance of its own.
    pub(super) fn numbers_to(&mut self, tolerance: f64, what: &str, ours: &[f64], expected: &[f64]) {
        if ours.len() != expected.len() {
            self.fail(format!("{what}: {} numbers, expected {}", ours.len(), expected.len()));
            return;
        }
        for (i, (a, b)) in ours.iter().zip(expected).enumerate() {
            self.to(tolerance, || format!("{what}[{i}]"), *a, *b);
        }
    }

    /// Two numbers to a tolerance.
    pub(super) fn to(&mut self, tolerance: f64, what: impl Fn() -> String, ours: f64, expected: f64) {
        self.count += 1;
        if ours == expected || (ours.is_nan() && expected.is_nan()) {
            return;
        }
        let diff = (ours - expected).abs();
        let diff = if diff.is_nan() { f64::INFINITY } else { diff };
        let scaled = diff / expected.abs().max(1.0) / tolerance;
        let scaled = if scaled.is_nan() { f64::INFINITY } else { scaled };
        self.max_abs_diff = self.max_abs_diff.max(diff);
        if scaled > self.worst {
            self.worst = scaled;
            self.worst_at = format!("{}: {ours:e}, expected {expected:e}", what());
        }
    }

    /// Records that something is plainly wrong.
    pub(super) fn fail(&mut self, what: String) {
        self.count += 1;
        if self.worst < f64::INFINITY {
            self.worst = f64::INFINITY;
            self.worst_at = what;
        }
    }
}
