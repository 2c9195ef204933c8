//! Times that lie in several columns: a date and an hour, or year, month, day and so on.
//!
//! Such columns are read as one text, `2020-01-31 05:00`, which the calendar understands; what is written for a forecast goes back into its
//! columns as the others are written.

use std::borrow::Cow;

use super::{
    civil::{self, DAY},
    month::{self, Name},
    time::Clock,
};

/// A part of a time in a column of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

/// Number of units.
pub(crate) const UNITS: usize = 6;

/// How a time of day is written in a column of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfDay {
    /// `05:00`, `5:00:00 PM`
    Text,
    /// `5`: hours, of 0 to 23, or of 1 to 24 when `last` is set; filled to two digits when `padded`.
    Hours { padded: bool, last: bool },
    /// `500`: hours and minutes in one number, of 100 to 2400 when `last` is set; filled to four digits when `padded`.
    Joined { padded: bool, last: bool },
}

/// How numbers of a date are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// The column of each unit.
    pub(crate) columns: [Option<usize>; UNITS],
    /// Units filled to two digits.
    pub(crate) padded: [bool; UNITS],
    /// The month is a name.
    pub(crate) name: Option<Name>,
    /// The column of days counts from the start of the year (three digits where `padded`).
    pub(crate) of_year: bool,
    /// Hours go from 1 to 24.
    pub(crate) last: bool,
}

/// The columns of a file's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// One column.
    Column(usize),
    /// A column of dates and one of times of day.
    Split {
        /// Of the dates.
        date: usize,
        /// Of the times of day.
        of_day: usize,
        /// How these are written.
        style: OfDay,
    },
    /// A column for each number.
    Parts(Parts),
}

impl Times {
    /// The columns.
    pub(crate) fn columns(self) -> impl Iterator<Item = usize> {
        let columns = match self {
            Self::Column(column) => [Some(column), None, None, None, None, None],
            Self::Split { date, of_day, .. } => [Some(date), Some(of_day), None, None, None, None],
            Self::Parts(parts) => parts.columns,
        };
        columns.into_iter().flatten()
    }

    /// Whether a column is one of them.
    pub(crate) fn has(self, column: usize) -> bool {
        self.columns().any(|c| c == column)
    }

    /// The column that errors name.
    pub(crate) fn first(self) -> usize {
        self.columns().next().unwrap_or(0)
    }

    /// Their names.
    pub(crate) fn name(self, header: &[String]) -> String {
        self.columns().map(|column| header[column].as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The time of a row whose fields `field` gives, as one text.
    pub(crate) fn text<'a>(self, field: impl Fn(usize) -> Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        match self {
            Self::Column(column) => field(column),
            Self::Split { date, of_day, style } => {
                let (date, of_day) = (field(date), field(of_day));
                if date.is_empty() && of_day.is_empty() {
                    return date;
                }
                let clock = style.read(&of_day).unwrap_or_else(|| of_day.into_owned());
                Cow::Owned([&*date, b" ", &*clock].concat())
            }
            Self::Parts(parts) => {
                let all: Vec<Cow<'a, [u8]>> = parts.columns.iter().flatten().map(|&column| field(column)).collect();
                if all.iter().all(|text| text.is_empty()) {
                    return Cow::Borrowed(b"");
                }
                let read = parts.read(&field).map(String::into_bytes);
                Cow::Owned(read.unwrap_or_else(|| all.join(&b"-"[..])))
            }
        }
    }

    /// What one of the columns holds of a time that [`Self::text`] or the clock wrote.
    pub(crate) fn part(self, text: &str, column: usize, clock: Clock) -> String {
        let Clock::Calendar { order, compact } = clock else { return text.to_owned() };
        let Some(parsed) = civil::parse(text.as_bytes(), order, compact) else { return text.to_owned() };
        // The last hour of a day is hour 24 of it, not hour 0 of the next one.
        let whole = parsed.ticks.rem_euclid(DAY) == 0;
        match self {
            Self::Column(_) => text.to_owned(),
            Self::Split { date, of_day: _, style } => {
                let late = whole && style.last();
                if column == date {
                    let text = if late { parsed.style.write(parsed.ticks - DAY) } else { text.to_owned() };
                    text[..clock_at(&text).saturating_sub(1)].to_owned()
                } else {
                    style.write(&text[clock_at(text)..], late)
                }
            }
            Self::Parts(parts) => parts.write(parsed.ticks, column),
        }
    }
}

/// Where the time of day starts in a date with one: its hours stand before the first colon.
fn clock_at(text: &str) -> usize {
    let colon = text.find(':').unwrap_or(text.len());
    text[..colon].trim_end_matches(|c: char| c.is_ascii_digit()).len()
}

/// A whole number of up to four digits, also as `5.0`, which columns of numbers with holes are written as.
fn whole(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.split_once('.').map_or(Some(text), |(digits, rest)| rest.bytes().all(|b| b == b'0').then_some(digits))?;
    let fits = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if fits { digits.parse().ok() } else { None }
}

impl OfDay {
    /// How the times of day of a column are written; `None` when they are none. Fields that are empty are passed over.
    pub(crate) fn of<'a>(texts: impl Iterator<Item = &'a [u8]> + Clone) -> Option<Self> {
        let texts = texts.filter(|text| !text.is_empty());
        texts.clone().next()?;
        if texts.clone().all(|text| Self::Text.read(text).is_some()) {
            return Some(Self::Text);
        }
        let numbers = texts.clone().map(whole).collect::<Option<Vec<_>>>()?;
        let (least, most) = (numbers.iter().min().copied()?, numbers.iter().max().copied()?);
        let zero = |width: usize| texts.clone().any(|text| text.len() == width && text.starts_with(b"0"));
        if most <= 24 {
            // Times of day that are minutes past midnight only do not exist.
            return Some(Self::Hours { padded: zero(2), last: least > 0 && most == 24 });
        }
        let joined = numbers.iter().all(|n| n / 100 <= 24 && n % 100 < 60);
        joined.then(|| Self::Joined { padded: zero(4), last: least > 0 && most == 2400 })
    }

    /// The time of day as `05:00`.
    fn read(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Text => {
                let probe = [b"2000-01-01 ", text].concat();
                (text.contains(&b':') && civil::parse(&probe, None, false).is_some()).then(|| text.to_vec())
            }
            Self::Hours { .. } => whole(text).map(|hour| format!("{hour:02}:00").into_bytes()),
            Self::Joined { .. } => whole(text).map(|both| format!("{:02}:{:02}", both / 100, both % 100).into_bytes()),
        }
    }

    fn last(self) -> bool {
        matches!(self, Self::Hours { last: true, .. } | Self::Joined { last: true, .. })
    }

    /// `05:00` as the column has it; `late` for midnight at the end of the day.
    fn write(self, clock: &str, late: bool) -> String {
        let number = |text: Option<&str>| text.and_then(|t| t.parse::<u32>().ok()).unwrap_or(0);
        let mut numbers = clock.split(':');
        let (hour, minute) = (if late { 24 } else { number(numbers.next()) }, if late { 0 } else { number(numbers.next()) });
        match self {
            Self::Text => clock.to_owned(),
            Self::Hours { padded: true, .. } => format!("{hour:02}"),
            Self::Hours { .. } => hour.to_string(),
            Self::Joined { padded: true, .. } => format!("{:04}", hour * 100 + minute),
            Self::Joined { .. } => (hour * 100 + minute).to_string(),
        }
    }
}

impl Parts {
    /// The column of a unit.
    fn column(&self, unit: Unit) -> Option<usize> {
        self.columns[unit as usize]
    }

    /// The date as `2020-01-31 05:00:00`, as far as there are columns for it.
    fn read<'a>(&self, field: &impl Fn(usize) -> Cow<'a, [u8]>) -> Option<String> {
        let number = |unit: Unit| self.column(unit).map(|column| whole(&field(column)));
        let year = number(Unit::Year)??;
        let day = number(Unit::Day).unwrap_or(Some(1))?;
        let (month, day) = if self.of_year {
            let (of_year, month, date) = civil::date(civil::days(year, 1, 1) + day - 1);
            (of_year == year).then_some((month, date))?
        } else {
            let text = field(self.column(Unit::Month)?);
            let month = if self.name.is_some() { month::read(&text).filter(|m| m.2 == text.len())?.0 } else { whole(&text)? };
            (month, day)
        };
        let mut text = format!("{year:04}-{month:02}-{day:02}");
        if let Some(hour) = number(Unit::Hour) {
            text += &format!(" {:02}:{:02}", hour?, number(Unit::Minute).unwrap_or(Some(0))?);
        }
        if let Some(second) = number(Unit::Second) {
            text += &format!(":{:02}", second?);
        }
        Some(text)
    }

    /// What a column holds of a time.
    fn write(&self, ticks: i64, column: usize) -> String {
        let late = self.last && ticks.rem_euclid(DAY) == 0;
        let today = ticks.div_euclid(DAY) - i64::from(late);
        let (year, month, day) = civil::date(today);
        let second = ticks.rem_euclid(DAY) / 1_000_000;
        let day = if self.of_year { today - civil::days(year, 1, 1) + 1 } else { day };
        let hour = if late { 24 } else { second / 3600 };
        let all = [year, month, day, hour, second / 60 % 60, second % 60];
        let Some(unit) = self.columns.iter().position(|&c| c == Some(column)) else { return String::new() };
        match self.name {
            Some(name) if unit == Unit::Month as usize => name.write(month),
            _ if !self.padded[unit] => all[unit].to_string(),
            _ if self.of_year && unit == Unit::Day as usize => format!("{:03}", all[unit]),
            _ => format!("{:02}", all[unit]),
        }
    }

    /// How the columns of units are written, from the fields of some rows; `None` when a field is no such number.
    pub(crate) fn of(columns: [Option<usize>; UNITS], of_year: bool, rows: &[Vec<Vec<u8>>]) -> Option<Self> {
        let mut parts = Self { columns, of_year, ..Self::default() };
        parts.column(Unit::Year)?;
        let month = parts.column(Unit::Month);
        if month.is_none() != of_year {
            return None;
        }
        // An hour asks for a day, a minute for an hour, a second for a minute.
        let needs = [(Unit::Hour, Unit::Day), (Unit::Minute, Unit::Hour), (Unit::Second, Unit::Minute)];
        if needs.iter().any(|&(unit, needed)| parts.column(unit).is_some() && parts.column(needed).is_none()) {
            return None;
        }
        let texts = |column: usize| rows.iter().map(move |row| row[column].as_slice()).filter(|text| !text.is_empty());
        if let Some(column) = month {
            parts.name = texts(column).next().and_then(month::read).map(|(_, name, _)| name);
        }
        for (unit, column) in columns.iter().enumerate().filter_map(|(unit, column)| Some((unit, (*column)?))) {
            let width = if of_year && unit == Unit::Day as usize { 3 } else { 2 };
            parts.padded[unit] = texts(column).all(|text| text.len() >= width) && texts(column).any(|text| text.starts_with(b"0"));
        }
        if let Some(column) = parts.column(Unit::Hour) {
            let mut hours = texts(column).filter_map(whole).collect::<Vec<_>>();
            hours.sort_unstable();
            parts.last = hours.first().is_some_and(|&h| h > 0) && hours.last() == Some(&24);
        }
        let good = |row: &Vec<Vec<u8>>| {
            let text = parts.read(&|column| Cow::Borrowed(row[column].as_slice()))?;
            // A year of fewer digits is another number.
            let year = parts.column(Unit::Year).and_then(|column| whole(&row[column]))?;
            ((1000..3000).contains(&year) && civil::parse(text.as_bytes(), None, false).is_some()).then_some(())
        };
        let known = rows.iter().filter(|row| columns.iter().flatten().any(|&column| !row[column].is_empty()));
        let (all, found) = known.fold((0, 0), |(all, found), row| (all + 1, found + usize::from(good(row).is_some())));
        (found > 0 && found * 20 >= all * 19).then_some(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock::Calendar { order: None, compact: false };

    fn row<'a>(fields: &'a [&'a str]) -> impl Fn(usize) -> Cow<'a, [u8]> {
        move |column| Cow::Borrowed(fields[column].as_bytes())
    }

    #[test]
    fn times_of_day_in_a_column_of_their_own() {
        let style = |texts: &[&str]| OfDay::of(texts.iter().map(|t| t.as_bytes()));
        let hours = |padded, last| Some(OfDay::Hours { padded, last });
        assert_eq!(style(&["0", "13", "23"]), hours(false, false));
        assert_eq!(style(&["00", "", "13"]), hours(true, false));
        assert_eq!(style(&["1", "24"]), hours(false, true));
        assert_eq!(style(&["1.0", "13.0"]), hours(false, false));
        assert_eq!(style(&["0", "30", "100", "2330"]), Some(OfDay::Joined { padded: false, last: false }));
        assert_eq!(style(&["0100", "2400"]), Some(OfDay::Joined { padded: true, last: true }));
        assert_eq!(style(&["5:00", "17:30:10"]), Some(OfDay::Text));
        assert_eq!(style(&["5:00 PM", "11:30 am"]), Some(OfDay::Text));
        for none in [&["90", "170"][..], &["x"], &[""], &["1.5"], &["25:00"], &["-1"], &[]] {
            assert_eq!(style(none), None, "{none:?}");
        }
    }

    #[test]
    fn what_lies_in_two_columns_is_read_and_written_alike() {
        for (fields, wanted) in [
            (["2020-01-31", "5"], "2020-01-31 05:00"),
            (["31.01.2020", "24"], "31.01.2020 24:00"),
            (["31-Jan-2020", "2330"], "31-Jan-2020 23:30"),
            (["01/31/2020", "5:00:00 PM"], "01/31/2020 5:00:00 PM"),
            (["03 March 2020", "07:30"], "03 March 2020 07:30"),
        ] {
            let style = OfDay::of([fields[1].as_bytes(), if fields[1] == "24" { b"1" } else { fields[1].as_bytes() }].into_iter()).unwrap();
            let times = Times::Split { date: 0, of_day: 1, style };
            let text = String::from_utf8(times.text(row(&fields)).into_owned()).unwrap();
            assert_eq!(text, wanted);
            let written = CLOCK.write(CLOCK.ticks(text.as_bytes()).unwrap(), text.as_bytes());
            assert_eq!([times.part(&written, 0, CLOCK), times.part(&written, 1, CLOCK)], fields);
        }
        let times = Times::Split { date: 0, of_day: 1, style: OfDay::Text };
        assert!(times.text(row(&["", ""])).is_empty());
        assert_eq!(&*times.text(row(&["2020-01-01", "noon"])), b"2020-01-01 noon");
    }

    #[test]
    fn what_lies_in_a_column_for_each_number_is_read_and_written_alike() {
        let of = |units: &[Unit], of_year: bool, fields: &[&str]| {
            let mut columns = [None; UNITS];
            units.iter().enumerate().for_each(|(column, unit)| columns[*unit as usize] = Some(column));
            let rows = vec![fields.iter().map(|t| t.as_bytes().to_vec()).collect()];
            Parts::of(columns, of_year, &rows)
        };
        use Unit::{Day, Hour, Minute, Month, Second, Year};
        for (units, of_year, fields, wanted) in [
            (&[Year, Month, Day, Hour][..], false, &["2020", "1", "31", "5"][..], "2020-01-31 05:00"),
            (&[Year, Month, Day, Hour, Minute], false, &["2020", "01", "09", "05", "07"], "2020-01-09 05:07"),
            (&[Day, Month, Year, Hour, Minute, Second], false, &["9", "12", "2020", "5", "7", "59"], "2020-12-09 05:07:59"),
            (&[Year, Month], false, &["2020", "Feb"], "2020-02-01"),
            (&[Year, Day, Hour], true, &["2020", "060", "0"], "2020-02-29 00:00"),
            (&[Year, Month, Day, Hour], false, &["2020", "1", "31", "24"], "2020-01-31 24:00"),
        ] {
            let parts = of(units, of_year, fields).unwrap();
            let times = Times::Parts(parts);
            let text = String::from_utf8(times.text(row(fields)).into_owned()).unwrap();
            assert_eq!(text, wanted);
            let written = CLOCK.write(CLOCK.ticks(text.as_bytes()).unwrap(), text.as_bytes());
            let back: Vec<String> = (0..fields.len()).map(|column| times.part(&written, column, CLOCK)).collect();
            assert_eq!(back, fields);
        }
        for (units, fields) in [
            (&[Year, Month][..], &["2020", "13"][..]),
            (&[Year, Month, Day], &["2021", "2", "29"]),
            (&[Year, Month, Hour], &["2021", "2", "5"]),
            (&[Month, Day], &["2", "5"]),
            (&[Year, Month], &["20", "5"]),
            (&[Year, Day], &["2020", "5"]),
            (&[Year, Month, Day, Hour], &["2021", "2", "3", "25"]),
        ] {
            assert_eq!(of(units, false, fields), None, "{fields:?}");
        }
    }
}
