//! Where rows lie on the time axis: steps counted, a grid chosen, indices on it.

use std::collections::HashMap;

use super::time::{Clock, Step, month_of, months_between};

/// Different steps that are counted; a file with more has no frequency.
const MAX_KINDS: usize = 4096;

/// Most rows of a grid per row of the file; beyond, a frequency that was found out is no help.
const MAX_SPARSITY: u64 = 4;

/// The steps between rows that follow each other in a series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    ticks: Tally,
    months: Tally,
    /// Steps that are no whole number of months.
    no_months: u64,
    /// A row lies on a Saturday or Sunday, or the clock knows no days of the week.
    weekend: bool,
}

#[derive(Clone, Debug, Default)]
struct Tally {
    counts: HashMap<i64, u64>,
    divisor: i64,
    total: u64,
}

impl Tally {
    fn add(&mut self, step: i64) {
        self.total += 1;
        let (mut a, mut b) = (self.divisor, step);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        self.divisor = a;
        if self.counts.len() < MAX_KINDS || self.counts.contains_key(&step) {
            *self.counts.entry(step).or_default() += 1;
        }
    }

    /// The most common step (the smallest of equals) and its share.
    fn common(&self) -> Option<(i64, f64)> {
        let (&step, &n) = self.counts.iter().max_by_key(|&(&step, &n)| (n, std::cmp::Reverse(step)))?;
        Some((step, n as f64 / self.total as f64))
    }
}

impl Steps {
    /// Takes in the step from `before` to `now`, both in ticks.
    pub(crate) fn add(&mut self, before: i64, now: i64, clock: Clock) {
        let step = now.saturating_sub(before);
        self.ticks.add(step);
        // Numbers that count hours or days are no dates.
        let seconds = clock.seconds_per_tick().filter(|&s| (s - 1e-6).abs() < 1e-12);
        self.weekend |=
            seconds.is_none_or(|s| [before, now].into_iter().any(|t| ((t as f64 * s / 86_400.0).floor() as i64 + 3).rem_euclid(7) > 4));
        // No month is shorter than 28 days.
        if matches!(clock, Clock::Calendar { .. }) && step >= 28 * super::civil::DAY {
            match months_between(before, now) {
                Some(months) => self.months.add(months),
                None => self.no_months += 1,
            }
        } else {
            self.no_months += 1;
        }
    }

    /// The step on whose grid all rows lie, when at least half of the steps are this one; nine in ten for days that are never weekends,
    /// because on working days the days between are no holes.
    pub(crate) fn frequency(&self, clock: Clock) -> Option<Step> {
        let (step, share) = self.ticks.common()?;
        let days = clock.seconds_per_tick().map(|s| s * step as f64 / 86_400.0);
        let enough = if days.is_some_and(|d| (d - 1.0).abs() < 1e-6) && !self.weekend { 0.9 } else { 0.5 };
        if self.ticks.divisor == step && share >= enough {
            return Some(Step::Micros(step));
        }
        let (months, share) = self.months.common().filter(|_| self.no_months == 0)?;
        (self.months.divisor == months && share >= 0.5).then_some(Step::Months(months as u32))
    }

    /// What one step is on the position axis of a table without a frequency.
    pub(crate) fn unit(&self) -> f64 {
        match self.ticks.common() {
            Some((step, share)) if share >= 0.5 => step as f64,
            Some(_) => {
                let mut all: Vec<(i64, u64)> = self.ticks.counts.iter().map(|(&s, &n)| (s, n)).collect();
                all.sort_unstable();
                let (counted, mut below) = (all.iter().map(|&(_, n)| n).sum::<u64>(), 0);
                all.iter()
                    .find(|&&(_, n)| {
                        below += n;
                        below * 2 >= counted
                    })
                    .map_or(1.0, |&(s, _)| s as f64)
            }
            None => 1.0,
        }
    }
}

/// The time axis of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    /// In ticks; `None`: rows as they are.
    pub(crate) step: Option<Step>,
    /// Rows are moved to the nearest point.
    pub(crate) snap: bool,
    /// Ticks of the first row of the file.
    pub(crate) origin: i64,
    /// Ticks of one step of the position axis.
    pub(crate) unit: f64,
}

impl Grid {
    /// Steps from the first row of a series to a row of it; `None` off the grid.
    pub(crate) fn index(&self, first: i64, now: i64) -> Option<u64> {
        let index = match self.step? {
            Step::Micros(step) if self.snap => Some(((now.saturating_sub(first)) as f64 / step as f64).round() as i64),
            Step::Micros(step) => now.checked_sub(first).filter(|d| d % step == 0).map(|d| d / step),
            Step::Months(step) if self.snap => Some((month_of(now) - month_of(first)) / i64::from(step)),
            Step::Months(step) => months_between(first, now).filter(|m| m % i64::from(step) == 0).map(|m| m / i64::from(step)),
        };
        index.and_then(|i| u64::try_from(i).ok())
    }

    /// The time of the row `index` of a series, in ticks.
    pub(crate) fn time(&self, first: i64, index: u64) -> i64 {
        self.step.map_or(first, |step| step.after(first, index as i64))
    }

    /// The position of a time on the axis of the table, in steps from its origin.
    pub(crate) fn position(&self, now: i64) -> f64 {
        match self.step {
            Some(Step::Months(step)) => (month_of(now) - month_of(self.origin)) as f64 / f64::from(step),
            Some(Step::Micros(step)) => now.saturating_sub(self.origin) as f64 / step as f64,
            None => now.saturating_sub(self.origin) as f64 / self.unit,
        }
    }

    /// Whether a grid of `points` is worth having for `rows` rows.
    pub(crate) fn is_dense(&self, points: u64, rows: u64) -> bool {
        if self.snap { points <= rows.saturating_mul(1000).saturating_add(1_000_000) } else { points <= MAX_SPARSITY * rows }
    }
}

#[cfg(test)]
mod tests {
    use super::super::civil::{self, DAY};
    use super::*;

    const CLOCK: Clock = Clock::Calendar { order: None, compact: false };

    fn frequency(times: &[i64]) -> Option<Step> {
        let mut steps = Steps::default();
        times.windows(2).for_each(|w| steps.add(w[0], w[1], CLOCK));
        steps.frequency(CLOCK)
    }

    #[test]
    fn frequencies() {
        let hour = DAY / 24;
        assert_eq!(frequency(&(0..50).map(|i| i * hour).collect::<Vec<_>>()), Some(Step::Micros(hour)));
        let with_holes: Vec<i64> = (0..50).filter(|i| i % 5 != 3).map(|i| i * hour).collect();
        assert_eq!(frequency(&with_holes), Some(Step::Micros(hour)));
        let off_grid: Vec<i64> = (0..50).map(|i| i * hour + i64::from(i == 20)).collect();
        assert_eq!(frequency(&off_grid), None);
        // 1970-01-01 was a Thursday.
        let working_days: Vec<i64> = (0..70).filter(|i| (i + 3) % 7 < 5).map(|i| i * DAY).collect();
        assert_eq!(frequency(&working_days), None);
        let days_with_holes: Vec<i64> = (0..70).filter(|i| i % 4 != 1).map(|i| i * DAY).collect();
        assert_eq!(frequency(&days_with_holes), Some(Step::Micros(DAY)));
        let months: Vec<i64> = (0..50).map(|i| civil::days(2000 + i / 12, i % 12 + 1, 1) * DAY).collect();
        assert_eq!(frequency(&months), Some(Step::Months(1)));
        let month_ends: Vec<i64> =
            (0..50).map(|i| (civil::days(2000 + i / 12, i % 12 + 1, 1) + civil::days_of(2000 + i / 12, i % 12 + 1) - 1) * DAY).collect();
        assert_eq!(frequency(&month_ends), Some(Step::Months(1)));
        assert_eq!(frequency(&[5]), None);
    }

    #[test]
    fn indices_and_times_agree() {
        let grid = Grid { step: Some(Step::Months(1)), snap: false, origin: 0, unit: 1.0 };
        let first = (civil::days(2020, 1, 31)) * DAY;
        for i in 0..30 {
            assert_eq!(grid.index(first, grid.time(first, i)), Some(i));
            assert_eq!(grid.position(grid.time(first, i)), 600.0 + i as f64);
        }
        let grid = Grid { step: Some(Step::Micros(10)), snap: false, origin: 5, unit: 1.0 };
        assert_eq!(grid.index(5, 35), Some(3));
        assert_eq!(grid.index(5, 36), None);
        assert_eq!(Grid { snap: true, ..grid }.index(5, 36), Some(3));
        assert_eq!(grid.position(35), 3.0);
    }
}
