//! What pass 1 finds out about a table.

use serde::Serialize;

use super::{cell::Cell, time::Step};

/// Lower ends of the bins of gap lengths, in rows: 1, 2-3, 4-7, 8-15, 16-31, 32-63, 64 and more.
pub const GAP_BINS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Labels of [`GAP_BINS`].
pub const GAP_LABELS: [&str; 7] = ["1", "2-3", "4-7", "8-15", "16-31", "32-63", "64+"];

/// The bin of a gap of `rows` rows.
#[must_use]
pub fn gap_bin(rows: u64) -> usize {
    GAP_BINS.iter().rposition(|&low| rows >= low).unwrap_or(0)
}

/// What a table is.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// Rows of the file behind its header.
    pub rows: u64,
    /// Rows on the time axis, with those that the file lacks and without those of a forecast.
    pub grid_rows: u64,
    /// Series: 1, or the number of ids.
    pub series: u64,
    /// `wide` or `long`.
    pub layout: &'static str,
    /// What separates fields.
    pub delimiter: char,
    /// The sign before decimals.
    pub decimal: char,
    /// The column of times.
    pub time: Option<String>,
    /// The column of ids.
    pub id: Option<String>,
    /// The first and the last time of the file, as they stand there.
    pub span: Option<[String; 2]>,
    /// The step between rows, as users write it; `None`: rows as they are.
    pub frequency: Option<String>,
    /// Columns carried through untouched.
    pub untouched: Vec<String>,
    /// The columns of numbers, in the order of the file.
    pub columns: Vec<ColumnProfile>,
    /// Rows of the time axis where no column was observed.
    pub blackout_rows: u64,
    /// Lengths of runs of such rows; see [`GAP_BINS`].
    pub blackouts: [u64; 7],
}

impl Profile {
    /// Empty fields of rows of the file: what imputation would fill.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.columns.iter().map(|c| c.missing).sum()
    }
}

/// What one column of numbers holds.
#[derive(Clone, Debug, Serialize)]
pub struct ColumnProfile {
    /// Name.
    pub name: String,
    /// Observed values.
    pub count: u64,
    /// Empty fields of rows of the file.
    pub missing: u64,
    /// Least observed value.
    pub min: f64,
    /// Largest observed value.
    pub max: f64,
    /// Mean of the observed values.
    pub mean: f64,
    /// Standard deviation of the observed values, as of a population.
    pub deviation: f64,
    /// Largest number of decimals written.
    pub decimals: u8,
    /// All values are whole and written so.
    pub integer: bool,
    /// No value is below zero.
    pub non_negative: bool,
    /// Lengths of runs of rows of the time axis where this column was not observed; see [`GAP_BINS`].
    pub gaps: [u64; 7],
    /// The longest such run.
    pub longest_gap: u64,
}

/// Counts over the fields of one column, in any order of rows.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    pub(crate) count: u64,
    pub(crate) missing: u64,
    min: f64,
    max: f64,
    mean: f64,
    squares: f64,
    pub(crate) decimals: u8,
    /// Fields that are no numbers: how many, the first row, the first three tokens.
    pub(crate) texts: u64,
    pub(crate) text_row: u64,
    pub(crate) tokens: Vec<String>,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            count: 0,
            missing: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            mean: 0.0,
            squares: 0.0,
            decimals: 0,
            texts: 0,
            text_row: 0,
            tokens: Vec::new(),
        }
    }
}

impl Moments {
    /// Takes in one field; the value it holds, NaN for a hole.
    pub(crate) fn add(&mut self, cell: Cell) -> f64 {
        let Cell::Number(value, decimals) = cell else {
            self.missing += 1;
            return f64::NAN;
        };
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.decimals = self.decimals.max(decimals);
        // Welford's recurrence.
        let off = value - self.mean;
        self.mean += off / self.count as f64;
        self.squares += off * (value - self.mean);
        value
    }

    /// Takes in a field that is text.
    pub(crate) fn add_text(&mut self, row: u64, text: &[u8]) {
        if self.texts == 0 {
            self.text_row = row;
        }
        self.texts += 1;
        if self.tokens.len() < 3 {
            self.tokens.push(String::from_utf8_lossy(text).chars().take(40).collect());
        }
    }

    pub(crate) fn profile(&self, name: String, gaps: &Gaps) -> ColumnProfile {
        ColumnProfile {
            name,
            count: self.count,
            missing: self.missing,
            min: self.min,
            max: self.max,
            mean: self.mean,
            deviation: (self.squares / self.count.max(1) as f64).sqrt(),
            decimals: self.decimals,
            integer: self.decimals == 0,
            non_negative: self.min >= 0.0,
            gaps: gaps.bins,
            longest_gap: gaps.longest,
        }
    }
}

/// Runs of rows without an observation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gaps {
    pub(crate) bins: [u64; 7],
    pub(crate) longest: u64,
    pub(crate) rows: u64,
    open: u64,
}

impl Gaps {
    fn add(&mut self, missing: bool) {
        if missing {
            self.open += 1;
        } else if self.open > 0 {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.open > 0 {
            self.bins[gap_bin(self.open)] += 1;
            self.longest = self.longest.max(self.open);
            self.rows += self.open;
            self.open = 0;
        }
    }
}

/// Gaps of all columns, row after row of one series after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct GapCounts {
    pub(crate) columns: Vec<Gaps>,
    pub(crate) all: Gaps,
    /// Rows of the time axis.
    pub(crate) points: u64,
}

impl GapCounts {
    pub(crate) fn new(columns: usize) -> Self {
        Self { columns: vec![Gaps::default(); columns], ..Self::default() }
    }

    /// One row of the file behind `absent` rows that the file lacks.
    pub(crate) fn row(&mut self, absent: u64, values: impl Iterator<Item = f64>) {
        self.points = self.points.saturating_add(absent).saturating_add(1);
        let mut none = true;
        for (gaps, value) in self.columns.iter_mut().zip(values) {
            gaps.open += absent;
            gaps.add(value.is_nan());
            none &= value.is_nan();
        }
        self.all.open += absent;
        self.all.add(none);
    }

    /// The end of a series.
    pub(crate) fn close(&mut self) {
        self.columns.iter_mut().for_each(Gaps::close);
        self.all.close();
    }
}

/// What a table's time axis is: how seasons are found on it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Calendar {
    /// Rows lie at equal steps, and frames hold those that the file lacks; true for a table without a column of times.
    pub regular: bool,
    /// Seconds between rows; of months their mean. `None`: no frequency, or no clock.
    pub step: Option<f64>,
    /// Months between rows, where they are counted so.
    pub months: Option<u32>,
    /// Seconds from 1970-01-01 00:00 UTC to position 0, where the clock is known.
    pub origin: Option<f64>,
    /// Seconds of one step of the position axis, regular or not, where the clock is known.
    pub unit: Option<f64>,
}

impl Calendar {
    /// Periods that clocks and calendars suggest, with their names, in rows: day, week and year where they span more than one row.
    /// Empty without a frequency.
    #[must_use]
    pub fn seasons(&self) -> Vec<(&'static str, f64)> {
        let Some(step) = self.step else { return Vec::new() };
        if let Some(months) = self.months {
            return if months < 12 { vec![("year", 12.0 / f64::from(months))] } else { Vec::new() };
        }
        [("day", 86_400.0), ("week", 604_800.0), ("year", 31_556_952.0)]
            .into_iter()
            .map(|(n, s)| (n, s / step))
            .filter(|&(_, p)| p > 1.5)
            .collect()
    }

    /// A duration in steps of the position axis; without a clock the number of a duration without a unit.
    #[must_use]
    pub fn steps(&self, duration: Step) -> f64 {
        match (duration, self.months, self.unit) {
            (Step::Months(n), Some(months), _) => f64::from(n) / f64::from(months),
            (_, _, Some(unit)) => duration.micros() / 1e6 / unit,
            _ => duration.micros() / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_runs() {
        let mut counts = GapCounts::new(2);
        let nan = f64::NAN;
        for (absent, row) in [(0, [1.0, nan]), (0, [nan, nan]), (2, [nan, 1.0]), (0, [1.0, nan])] {
            counts.row(absent, row.into_iter());
        }
        counts.close();
        assert_eq!(counts.points, 6);
        assert_eq!(counts.columns[0].bins, [0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(counts.columns[1].bins, [1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(counts.all.bins, [0, 1, 0, 0, 0, 0, 0]);
        assert_eq!((counts.all.rows, counts.columns[0].longest), (3, 4));
        assert_eq!([1, 2, 3, 4, 7, 8, 63, 64, 1000].map(gap_bin), [0, 1, 1, 2, 2, 3, 5, 6, 6]);
    }

    #[test]
    fn moments_are_those_of_the_definition() {
        let mut moments = Moments::default();
        for value in [1.0, 2.0, 4.0] {
            moments.add(Cell::Number(value, 1));
        }
        moments.add(Cell::Missing);
        let profile = moments.profile("x".to_owned(), &Gaps::default());
        assert!((profile.mean - 7.0 / 3.0).abs() < 1e-12);
        assert!((profile.deviation - (14.0_f64 / 9.0).sqrt()).abs() < 1e-12);
        assert_eq!((profile.count, profile.missing, profile.min, profile.max), (3, 1, 1.0, 4.0));
    }

    #[test]
    fn seasons_of_a_calendar() {
        let hourly = Calendar { regular: true, step: Some(3600.0), months: None, origin: Some(0.0), unit: Some(3600.0) };
        assert_eq!(hourly.seasons()[..2], [("day", 24.0), ("week", 168.0)]);
        assert_eq!(hourly.steps("7d".parse().unwrap()), 168.0);
        let monthly = Calendar { regular: true, step: Some(2_629_746.0), months: Some(1), origin: None, unit: Some(2_629_746.0) };
        assert_eq!(monthly.seasons(), [("year", 12.0)]);
    }
}
