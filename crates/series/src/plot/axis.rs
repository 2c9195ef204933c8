//! Where ticks go and what they say.

use std::ops::Range;

use jiff::{civil::DateTime, tz::TimeZone};

use crate::report::grouped;

/// Most ticks of a time axis.
const MOST: usize = 9;

/// A length of time whose beginnings are ticks.
#[derive(Clone, Copy)]
enum Every {
    Seconds(i64),
    Weeks,
    Months(i64),
    Years(i64),
}

const DAY: i64 = 86_400;
/// From fine to coarse.
const CHOICES: [Every; 31] = {
    use Every::{Months, Seconds, Weeks, Years};
    [
        Seconds(1),
        Seconds(2),
        Seconds(5),
        Seconds(10),
        Seconds(30),
        Seconds(60),
        Seconds(120),
        Seconds(300),
        Seconds(600),
        Seconds(1800),
        Seconds(3600),
        Seconds(7200),
        Seconds(10_800),
        Seconds(21_600),
        Seconds(43_200),
        Seconds(DAY),
        Seconds(2 * DAY),
        Seconds(4 * DAY),
        Weeks,
        Months(1),
        Months(2),
        Months(3),
        Months(6),
        Years(1),
        Years(2),
        Years(5),
        Years(10),
        Years(20),
        Years(50),
        Years(100),
        Years(1000),
    ]
};

fn seconds(time: DateTime) -> i64 {
    time.to_zoned(TimeZone::UTC).map_or(0, |zoned| zoned.timestamp().as_second())
}

impl Every {
    /// Number of the length of time that a moment is in.
    fn number(self, time: DateTime) -> i64 {
        match self {
            Self::Seconds(step) => seconds(time).div_euclid(step),
            // 1970-01-05 was a Monday.
            Self::Weeks => (seconds(time).div_euclid(DAY) - 4).div_euclid(7),
            Self::Months(step) => (i64::from(time.year()) * 12 + i64::from(time.month()) - 1).div_euclid(step),
            Self::Years(step) => i64::from(time.year()).div_euclid(step),
        }
    }

    fn label(self, time: DateTime) -> String {
        let (year, month, day) = (time.year(), time.month(), time.day());
        match self {
            Self::Seconds(step) if step < 60 => format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second()),
            Self::Seconds(step) if step < DAY && (time.hour(), time.minute()) != (0, 0) => {
                format!("{:02}:{:02}", time.hour(), time.minute())
            }
            Self::Seconds(_) | Self::Weeks => format!("{year:04}-{month:02}-{day:02}"),
            Self::Months(_) => format!("{year:04}-{month:02}"),
            Self::Years(_) => format!("{year:04}"),
        }
    }
}

/// Ticks at the rows where a day, a month, .. begins, as many as fit; offsets into `times`, which ascend.
pub(super) fn times(times: &[DateTime]) -> Vec<(usize, String)> {
    let starts = |every: Every| -> Vec<usize> {
        let begins = |row: usize| {
            let before = match row {
                0 => times[0].checked_sub(jiff::Span::new().seconds(1)).unwrap_or(times[0]),
                row => times[row - 1],
            };
            every.number(before) != every.number(times[row])
        };
        (0..times.len()).filter(|row| begins(*row)).collect()
    };
    for every in CHOICES {
        let rows = starts(every);
        if rows.len() <= MOST {
            // A table that begins off the beat, and steps over the next one.
            let rows = if rows.is_empty() && !times.is_empty() { vec![0] } else { rows };
            return rows.into_iter().map(|row| (row, every.label(times[row]))).collect();
        }
    }
    Vec::new()
}

/// A moment in words: without the time of day at midnight.
pub(super) fn full(time: DateTime) -> String {
    let date = Every::Seconds(DAY).label(time);
    match (time.hour(), time.minute(), time.second()) {
        (0, 0, 0) => date,
        (_, _, 0) => format!("{date} {}", Every::Seconds(60).label(time)),
        _ => format!("{date} {}", Every::Seconds(1).label(time)),
    }
}

/// Ticks at round numbers of rows, which are counted from 1; offsets into the range.
pub(super) fn rows(rows: Range<usize>) -> Vec<(usize, String)> {
    let step = round_step(rows.len() as f64 / MOST as f64).max(1.0) as usize;
    let first = (rows.start + 1).div_ceil(step) * step;
    (first..=rows.end).step_by(step).map(|number| (number - 1 - rows.start, grouped(number))).collect()
}

/// Ticks at round values, at most `most` and one.
pub(super) fn values((low, high): (f64, f64), most: usize) -> Vec<(f64, String)> {
    let step = round_step((high / most as f64) - (low / most as f64));
    if !step.is_normal() {
        return Vec::new();
    }
    let (first, last) = ((low / step).ceil(), (high / step).floor());
    if !(last - first).is_finite() || last - first > 2.0 * most as f64 {
        return Vec::new();
    }
    let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    let plain = step >= 1e-5 && low.abs().max(high.abs()) < 1e7;
    // Zero is added to turn -0 into 0.
    let tick = |k: i64| (first + k as f64) * step + 0.0;
    let label = |value: f64| if plain { format!("{value:.decimals$}") } else { format!("{value:.2e}") };
    (0..=(last - first) as i64).map(|k| (tick(k), label(tick(k)))).collect()
}

/// The least of 1, 2, 5, 10, .. times a power of ten that is not below.
fn round_step(least: f64) -> f64 {
    if !(least > 0.0 && least.is_finite()) {
        return 0.0;
    }
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use jiff::{Span, civil::date};

    use super::*;

    fn series(start: DateTime, step: Span, rows: i64) -> Vec<DateTime> {
        (0..rows).map(|k| start + k * step).collect()
    }

    #[test]
    fn ticks_at_beginnings() {
        let hourly = times(&series(date(2018, 3, 1).at(5, 0, 0, 0), Span::new().hours(1), 24 * 5));
        assert_eq!(hourly.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [19, 43, 67, 91, 115]);
        assert_eq!((hourly[0].1.as_str(), hourly[4].1.as_str()), ("2018-03-02", "2018-03-06"));
        let quarter = times(&series(date(2018, 3, 1).at(0, 0, 0, 0), Span::new().minutes(15), 60));
        assert_eq!(
            quarter.iter().map(|(_, label)| label.as_str()).collect::<Vec<_>>(),
            ["2018-03-01", "02:00", "04:00", "06:00", "08:00", "10:00", "12:00", "14:00"]
        );
        let monthly = times(&series(date(1971, 1, 1).at(0, 0, 0, 0), Span::new().months(1), 600));
        assert_eq!(monthly.iter().map(|(_, label)| label.as_str()).collect::<Vec<_>>(), ["1980", "1990", "2000", "2010", "2020"]);
        // Weeks begin on Mondays.
        let daily = times(&series(date(2024, 1, 3).at(0, 0, 0, 0), Span::new().days(1), 50));
        assert_eq!((daily[0].0, daily[0].1.as_str(), daily.len()), (5, "2024-01-08", 7));
        assert!(times(&[]).is_empty());
        assert_eq!(times(&[date(2024, 1, 3).at(7, 30, 1, 0)]).len(), 1);
    }

    #[test]
    fn moments_in_words() {
        let day = date(2024, 1, 3);
        assert_eq!(
            [day.at(0, 0, 0, 0), day.at(7, 5, 0, 0), day.at(0, 0, 1, 0)].map(full),
            ["2024-01-03", "2024-01-03 07:05", "2024-01-03 00:00:01"]
        );
    }

    #[test]
    fn round_rows_and_values() {
        let labels =
            |ticks: Vec<(usize, String)>| ticks.into_iter().map(|(row, label)| format!("{row}:{label}")).collect::<Vec<_>>().join(" ");
        assert_eq!(labels(rows(0..9)), "0:1 1:2 2:3 3:4 4:5 5:6 6:7 7:8 8:9");
        assert_eq!(labels(rows(95..200)), "4:100 24:120 44:140 64:160 84:180 104:200");
        assert!(rows(0..0).is_empty());
        let labels = |low, high| values((low, high), 5).into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ");
        assert_eq!(labels(-0.5, 1.2), "-0.5 0.0 0.5 1.0");
        assert_eq!(labels(970.0, 1040.0), "980 1000 1020 1040");
        assert_eq!(labels(-1e9, 1e9), "-1.00e9 -5.00e8 0.00e0 5.00e8 1.00e9");
        assert_eq!(labels(1.0, 1.0), "");
    }
}
