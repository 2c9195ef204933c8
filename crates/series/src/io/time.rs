//! Times of rows, steps between them, and what they mean on a calendar.

use std::str::FromStr;

use super::civil::{self, DAY, Order};

/// The distance between the rows of a regular table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Millionths of a second, or of the unit of a column of numbers that is no clock.
    Micros(i64),
    /// Months of the calendar.
    Months(u32),
}

/// Microseconds of units as users write them.
const UNITS: &[(&str, i64)] = &[
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("sec", 1_000_000),
    ("min", 60_000_000),
    ("t", 60_000_000),
    ("h", 3_600_000_000),
    ("hour", 3_600_000_000),
    ("d", DAY),
    ("day", DAY),
    ("w", 7 * DAY),
    ("week", 7 * DAY),
];

impl FromStr for Step {
    type Err = String;

    /// `15min`, `1h`, `7d`, `1mo`, `1y`; a number alone counts seconds, or the unit of the time column.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a duration such as 15min, 1h, 7d, 1mo or 1y");
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = (&text[..split], text[split..].trim().to_ascii_lowercase());
        let number: f64 = if number.is_empty() && !unit.is_empty() { 1.0 } else { number.parse().map_err(|_| wrong())? };
        let months = match unit.as_str() {
            "mo" | "month" | "months" => Some(1.0),
            "y" | "year" | "years" => Some(12.0),
            _ => None,
        };
        if let Some(months) = months {
            let total = number * months;
            return if (1.0..=12_000.0).contains(&total) && total.fract() == 0.0 { Ok(Self::Months(total as u32)) } else { Err(wrong()) };
        }
        let plural = unit.strip_suffix('s').filter(|u| u.len() > 2);
        let found = UNITS.iter().find(|(name, _)| *name == unit || Some(*name) == plural);
        let micros = if unit.is_empty() { 1_000_000 } else { found.ok_or_else(wrong)?.1 };
        let total = number * micros as f64;
        if (1.0..1e17).contains(&total) { Ok(Self::Micros(total.round() as i64)) } else { Err(wrong()) }
    }
}

impl Step {
    /// Length in microseconds; of months their mean.
    #[must_use]
    pub fn micros(self) -> f64 {
        match self {
            Self::Micros(n) => n as f64,
            // A Gregorian year has 365.2425 days.
            Self::Months(n) => f64::from(n) * 365.2425 / 12.0 * DAY as f64,
        }
    }

    /// As users write it: `15min`, `1h`, `1mo`; without a clock the number alone.
    #[must_use]
    pub fn describe(self, clock: bool) -> String {
        match self {
            Self::Months(n) if n % 12 == 0 => format!("{}y", n / 12),
            Self::Months(n) => format!("{n}mo"),
            Self::Micros(n) if !clock => format!("{}", n as f64 / 1e6),
            Self::Micros(n) => {
                let units = [(DAY, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms"), (1, "us")];
                let (size, unit) = units.into_iter().find(|(size, _)| n % size == 0).unwrap_or((1, "us"));
                format!("{}{unit}", n / size)
            }
        }
    }

    /// The time `n` steps after `from`.
    pub(crate) fn after(self, from: i64, n: i64) -> i64 {
        match self {
            Self::Micros(step) => from.saturating_add(step.saturating_mul(n)),
            Self::Months(step) => {
                let (year, month, day) = civil::date(from.div_euclid(DAY));
                let last = day == civil::days_of(year, month);
                let index = year * 12 + month - 1 + i64::from(step) * n;
                let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
                let longest = civil::days_of(year, month);
                civil::days(year, month, if last { longest } else { day.min(longest) }) * DAY + from.rem_euclid(DAY)
            }
        }
    }
}

/// Months since year 0.
pub(crate) fn month_of(ticks: i64) -> i64 {
    let (year, month, _) = civil::date(ticks.div_euclid(DAY));
    year * 12 + month - 1
}

/// Months from `a` to `b` when both lie on the same day of the month (or both on its last day) at the same time of day.
pub(crate) fn months_between(a: i64, b: i64) -> Option<i64> {
    if a.rem_euclid(DAY) != b.rem_euclid(DAY) {
        return None;
    }
    let (x, y) = (civil::date(a.div_euclid(DAY)), civil::date(b.div_euclid(DAY)));
    let last = |d: (i64, i64, i64)| d.2 == civil::days_of(d.0, d.1);
    (x.2 == y.2 || (last(x) && last(y))).then(|| y.0 * 12 + y.1 - x.0 * 12 - x.1)
}

/// How the times of a file are written and what they count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Clock {
    /// Dates, with the order of day and month when it has been found out.
    Calendar { order: Option<Order>, compact: bool },
    /// Numbers: millionths (or what `scale` says) per unit; seconds of a unit where it is known.
    Number { scale: f64, seconds: Option<f64>, comma: bool },
    /// No column: the number of the row.
    Rows,
}

impl Clock {
    /// The time in ticks: microseconds where there is a calendar.
    pub(crate) fn ticks(self, text: &[u8]) -> Option<i64> {
        match self {
            Self::Calendar { order, compact } => civil::parse(text, order, compact).map(|p| p.ticks),
            Self::Number { scale, comma, .. } => {
                let text = std::str::from_utf8(text).ok()?;
                let value: f64 = if comma { text.replace(',', ".").parse().ok()? } else { text.parse().ok()? };
                let ticks = value * scale;
                (ticks.abs() < 9e18).then_some(ticks.round() as i64)
            }
            Self::Rows => None,
        }
    }

    /// Seconds of a tick, where they are known.
    pub(crate) fn seconds_per_tick(self) -> Option<f64> {
        match self {
            Self::Calendar { .. } => Some(1e-6),
            Self::Number { scale, seconds, .. } => seconds.map(|s| s / scale),
            Self::Rows => None,
        }
    }

    /// Ticks of a step as users write it: seconds where the clock is known, else units of the column.
    pub(crate) fn step(self, step: Step) -> Step {
        match (step, self.seconds_per_tick(), self) {
            (Step::Micros(n), Some(seconds), _) => Step::Micros(((n as f64 / 1e6 / seconds).round() as i64).max(1)),
            (Step::Micros(n), None, Self::Number { scale, .. }) => Step::Micros(((n as f64 / 1e6 * scale).round() as i64).max(1)),
            (Step::Micros(n), None, _) => Step::Micros((n / 1_000_000).max(1)),
            (months, ..) => months,
        }
    }

    /// [`Self::step`] backwards: a step in ticks as users write it.
    pub(crate) fn written(self, step: Step) -> Step {
        match (step, self.seconds_per_tick(), self) {
            (Step::Micros(n), Some(seconds), _) => Step::Micros((n as f64 * seconds * 1e6).round() as i64),
            (Step::Micros(n), None, Self::Number { scale, .. }) => Step::Micros((n as f64 / scale * 1e6).round() as i64),
            (Step::Micros(n), None, _) => Step::Micros(n * 1_000_000),
            (months, ..) => months,
        }
    }

    /// Writes a time as `like`, a time of this file, is written.
    pub(crate) fn write(self, ticks: i64, like: &[u8]) -> String {
        match self {
            Self::Calendar { order, compact } => civil::parse(like, order, compact).map_or_else(String::new, |p| p.style.write(ticks)),
            Self::Number { scale, comma, .. } => {
                let decimals = like.iter().position(|&b| b == b'.' || b == b',').map_or(0, |p| like.len() - p - 1);
                let text = format!("{:.decimals$}", ticks as f64 / scale);
                if comma { text.replace('.', ",") } else { text }
            }
            Self::Rows => ticks.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, step) in [
            ("1h", Step::Micros(3_600_000_000)),
            ("15min", Step::Micros(900_000_000)),
            ("15 mins", Step::Micros(900_000_000)),
            ("0.5s", Step::Micros(500_000)),
            ("7d", Step::Micros(7 * DAY)),
            ("h", Step::Micros(3_600_000_000)),
            ("60", Step::Micros(60_000_000)),
            ("1mo", Step::Months(1)),
            ("2y", Step::Months(24)),
        ] {
            assert_eq!(text.parse(), Ok(step), "{text}");
        }
        for text in ["", "x", "-1h", "0h", "1.5mo", "1 fortnight", "1e9y"] {
            assert!(text.parse::<Step>().is_err(), "{text}");
        }
        assert_eq!(Step::Micros(900_000_000).describe(true), "15min");
        assert_eq!(Step::Months(3).describe(true), "3mo");
        assert_eq!(Step::Micros(1_000_000).describe(false), "1");
    }

    #[test]
    fn months_keep_their_day() {
        let at = |y, m, d| civil::days(y, m, d) * DAY;
        assert_eq!(Step::Months(1).after(at(2020, 1, 31), 1), at(2020, 2, 29));
        assert_eq!(Step::Months(1).after(at(2020, 2, 29), 1), at(2020, 3, 31));
        assert_eq!(Step::Months(3).after(at(2019, 11, 1), 1), at(2020, 2, 1));
        assert_eq!(months_between(at(2020, 1, 31), at(2020, 2, 29)), Some(1));
        assert_eq!(months_between(at(2020, 1, 1), at(2021, 1, 1)), Some(12));
        assert_eq!(months_between(at(2020, 1, 1), at(2020, 1, 2)), None);
        assert_eq!(month_of(at(2020, 3, 5)), 2020 * 12 + 2);
    }

    #[test]
    fn numbers_as_times() {
        let epoch = Clock::Number { scale: 1e3, seconds: Some(1e-3), comma: false };
        assert_eq!(epoch.ticks(b"1577836800000"), Some(1_577_836_800_000_000));
        assert!((epoch.seconds_per_tick().unwrap() - 1e-6).abs() < 1e-18);
        assert_eq!(epoch.write(1_577_836_800_000_000, b"1577836800000"), "1577836800000");
        let hours = Clock::Number { scale: 1e6, seconds: Some(3600.0), comma: false };
        assert_eq!(hours.step("1h".parse().unwrap()), Step::Micros(1_000_000));
        assert_eq!(hours.written(Step::Micros(1_000_000)), Step::Micros(3_600_000_000));
        assert_eq!(hours.write(2_500_000, b"0.5"), "2.5");
    }
}
