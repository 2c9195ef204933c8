//! Days and months of the Gregorian calendar, and dates as text.

use super::month::{self, Name};

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;

/// What may stand between day, the name of a month and year.
const SEPARATORS: &[u8] = b"-/. ";

/// Days since 1970-01-01.
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that start in March have their odd day at the end; 400 of them have 146,097 days.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
pub(crate) fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// Days of a month.
pub(crate) fn days_of(year: i64, month: i64) -> i64 {
    let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
    next - days(year, month, 1)
}

/// Which number of a date comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// 2020-01-31
    Ymd,
    /// 31.01.2020
    Dmy,
    /// 01/31/2020
    Mdy,
}

/// How a time is written, enough to write another one alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    order: Order,
    /// Between the numbers of the date; 0 for none.
    separator: u8,
    /// Months without a day.
    no_day: bool,
    /// The month is a name.
    name: Option<Name>,
    short_year: bool,
    padded: bool,
    /// Before the time of day; 0 for a date alone.
    joiner: u8,
    hour_padded: bool,
    colon: bool,
    seconds: bool,
    /// Sign and number of the digits of a fraction; 0 for none.
    fraction: (u8, u8),
    /// AM and PM: a space before it, small letters.
    half: Option<(bool, bool)>,
    zone: Zone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    None,
    Utc(u8),
    /// Minutes, a space before it, digits of hours and minutes with a colon.
    Offset {
        minutes: i64,
        spaced: bool,
        colon: bool,
        short: bool,
    },
}

/// A time as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parsed {
    /// Microseconds since 1970-01-01 00:00, UTC where a zone is written.
    pub(crate) ticks: i64,
    pub(crate) style: Style,
    /// What the first two numbers say about the order of day and month: the first, the second is above 12.
    pub(crate) order: OrderHint,
}

/// What one date says about the order of its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderHint {
    /// It is written without doubt.
    Clear,
    /// Day before month.
    DayFirst,
    /// Month before day.
    MonthFirst,
    /// Either.
    Ambiguous,
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn peek(&self) -> u8 {
        self.0.first().copied().unwrap_or(0)
    }

    fn take(&mut self) -> u8 {
        let byte = self.peek();
        self.0 = self.0.get(1..).unwrap_or(&[]);
        byte
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte && byte != 0;
        if found {
            self.take();
        }
        found
    }

    /// A month's name: its number and style.
    fn month(&mut self) -> Option<(i64, Name)> {
        let (number, name, length) = month::read(self.0)?;
        self.0 = &self.0[length..];
        Some((number, name))
    }

    /// Up to `max` digits and how many there were.
    fn digits(&mut self, max: usize) -> Option<(i64, usize)> {
        let n = self.0.iter().take(max).take_while(|b| b.is_ascii_digit()).count();
        let value = self.0[..n].iter().fold(0, |v, b| v * 10 + i64::from(b - b'0'));
        self.0 = &self.0[n..];
        (n > 0).then_some((value, n))
    }
}

/// Reads a date with or without a time of day; `assumed` is the order of day and month where both are possible (day first without it).
/// Dates of eight digits in a row are read only when `compact`.
pub(crate) fn parse(text: &[u8], assumed: Option<Order>, compact: bool) -> Option<Parsed> {
    let mut at = Cursor(text);
    let mut style = Style {
        order: Order::Ymd,
        separator: 0,
        no_day: false,
        name: None,
        short_year: false,
        padded: true,
        joiner: 0,
        hour_padded: true,
        colon: true,
        seconds: false,
        fraction: (0, 0),
        half: None,
        zone: Zone::None,
    };
    let mut order = OrderHint::Clear;
    if let Some((month, name)) = at.month() {
        // Months alone: Jan-2020.
        (style.name, style.no_day, style.order) = (Some(name), true, Order::Dmy);
        style.separator = Some(at.take()).filter(|b| SEPARATORS.contains(b))?;
        let year = year(&mut at, &mut style)?;
        // Jan 20 may be a day.
        if style.short_year && style.separator != b'-' {
            return None;
        }
        return at.0.is_empty().then_some(Parsed { ticks: days(year, month, 1) * DAY, style, order });
    }
    let (first, width) = at.digits(8)?;
    let (year, month, day) = match width {
        8 if compact || at.peek() == b'T' => (first / 10_000, first / 100 % 100, first % 100),
        4 if b"-/.".contains(&at.peek()) => {
            style.separator = at.take();
            let (month, width) = if let Some((month, name)) = at.month() {
                style.name = Some(name);
                (month, 2)
            } else {
                at.digits(2)?
            };
            style.padded = width == 2;
            if at.eat(style.separator) {
                let (day, width) = at.digits(2)?;
                style.padded &= width == 2;
                (first, month, day)
            } else {
                // A number such as 2020.5 is no month.
                style.no_day = true;
                (first, (style.separator == b'-' && style.name.is_none()).then_some(month)?, 1)
            }
        }
        1 | 2 if SEPARATORS.contains(&at.peek()) && at.0.get(1).is_some_and(u8::is_ascii_alphabetic) => {
            style.separator = at.take();
            let (month, name) = at.month()?;
            (style.name, style.order, style.padded) = (Some(name), Order::Dmy, width == 2);
            let year = at.eat(style.separator).then(|| year(&mut at, &mut style))??;
            (year, month, first)
        }
        1 | 2 if b"-/.".contains(&at.peek()) => {
            style.separator = at.take();
            let (second, second_width) = at.digits(2)?;
            let year = at.eat(style.separator).then(|| year(&mut at, &mut style))??;
            style.padded = width == 2 && second_width == 2;
            order = match (first > 12, second > 12) {
                (true, true) => return None,
                (true, false) => OrderHint::DayFirst,
                (false, true) => OrderHint::MonthFirst,
                // Dates with points are written day first wherever they are written so.
                (false, false) if style.separator == b'.' => OrderHint::Clear,
                (false, false) => OrderHint::Ambiguous,
            };
            style.order = match order {
                OrderHint::DayFirst => Order::Dmy,
                OrderHint::MonthFirst => Order::Mdy,
                _ => assumed.unwrap_or(Order::Dmy),
            };
            if style.order == Order::Mdy { (year, first, second) } else { (year, second, first) }
        }
        _ => return None,
    };
    if !(1..=12).contains(&month) || day < 1 || day > days_of(year, month) {
        return None;
    }
    let mut ticks = days(year, month, day) * DAY;
    if !at.0.is_empty() {
        style.joiner = Some(at.take()).filter(|b| b" Tt_".contains(b)).filter(|_| !style.no_day)?;
        ticks += time_of_day(&mut at, &mut style)?;
    }
    at.0.is_empty().then_some(Parsed { ticks, style, order })
}

/// A year of four digits, or of two.
fn year(at: &mut Cursor<'_>, style: &mut Style) -> Option<i64> {
    let (year, width) = at.digits(4)?;
    style.short_year = width == 2;
    match width {
        4 => Some(year),
        2 => Some(year + if year < 70 { 2000 } else { 1900 }),
        _ => None,
    }
}

/// The rest of a time; microseconds, less the zone's.
fn time_of_day(at: &mut Cursor<'_>, style: &mut Style) -> Option<i64> {
    let (mut hour, width) = at.digits(2)?;
    style.hour_padded = width == 2;
    style.colon = at.eat(b':');
    let (minute, _) = at.digits(2).filter(|&(_, width)| width == 2)?;
    let mut second = 0;
    if if style.colon { at.eat(b':') } else { at.peek().is_ascii_digit() } {
        style.seconds = true;
        second = at.digits(2).filter(|&(_, width)| width == 2)?.0;
    }
    let mut fraction = 0;
    if style.seconds && b".,".contains(&at.peek()) {
        let sign = at.take();
        let (value, width) = at.digits(6)?;
        // What is finer than a microsecond is cut off.
        let more = at.digits(9).map_or(0, |(_, width)| width);
        fraction = value * 10_i64.pow(6 - width as u32);
        style.fraction = (sign, (width + more) as u8);
    }
    let spaced = at.eat(b' ');
    if let [half @ (b'A' | b'P' | b'a' | b'p'), b'M' | b'm', rest @ ..] = at.0 {
        if !(1..=12).contains(&hour) {
            return None;
        }
        hour = hour % 12 + if half.eq_ignore_ascii_case(&b'P') { 12 } else { 0 };
        style.half = Some((spaced, half.is_ascii_lowercase()));
        at.0 = rest;
    } else {
        style.zone = zone(at, spaced)?;
    }
    if hour > 24 || minute > 59 || second > 59 || (hour == 24 && minute + second + fraction > 0) {
        return None;
    }
    let offset = if let Zone::Offset { minutes, .. } = style.zone { minutes } else { 0 };
    Some(((hour * 60 + minute - offset) * 60 + second) * 1_000_000 + fraction)
}

fn zone(at: &mut Cursor<'_>, spaced: bool) -> Option<Zone> {
    match at.take() {
        0 if !spaced => Some(Zone::None),
        z @ (b'Z' | b'z') if !spaced => Some(Zone::Utc(z)),
        sign @ (b'+' | b'-') => {
            let (hours, _) = at.digits(2).filter(|&(h, width)| width == 2 && h < 24)?;
            let colon = at.eat(b':');
            let short = at.0.is_empty() && !colon;
            let minutes = if short { 0 } else { at.digits(2).filter(|&(m, width)| width == 2 && m < 60)?.0 };
            let minutes = (hours * 60 + minutes) * if sign == b'-' { -1 } else { 1 };
            Some(Zone::Offset { minutes, spaced, colon, short })
        }
        b'U' if spaced && at.eat(b'T') && at.eat(b'C') => Some(Zone::Utc(b'U')),
        _ => None,
    }
}

impl Style {
    /// Whether it is a day without a time of day.
    pub(crate) fn is_day(&self) -> bool {
        self.joiner == 0 && !self.no_day
    }

    /// Writes a time as this one was written.
    pub(crate) fn write(&self, ticks: i64) -> String {
        let offset = if let Zone::Offset { minutes, .. } = self.zone { minutes } else { 0 };
        let local = ticks + offset * 60_000_000;
        let (year, month, day) = date(local.div_euclid(DAY));
        let separator = if self.separator == 0 { String::new() } else { char::from(self.separator).to_string() };
        let year = if self.short_year { format!("{:02}", year.rem_euclid(100)) } else { format!("{year:04}") };
        let pad = |n: i64, padded: bool| if padded { format!("{n:02}") } else { n.to_string() };
        let day = pad(day, self.padded);
        let month = self.name.map_or_else(|| pad(month, self.padded), |name| name.write(month));
        let parts = match self.order {
            Order::Ymd if self.no_day => vec![year, month],
            Order::Dmy if self.no_day => vec![month, year],
            Order::Ymd => vec![year, month, day],
            Order::Dmy => vec![day, month, year],
            Order::Mdy => vec![month, day, year],
        };
        let mut text = parts.join(&separator);
        if self.joiner == 0 {
            return text;
        }
        text.push(char::from(self.joiner));
        let of_day = local.rem_euclid(DAY);
        let (hour, minute, second) = (of_day / 3_600_000_000, of_day / 60_000_000 % 60, of_day / 1_000_000 % 60);
        let colon = if self.colon { ":" } else { "" };
        let shown = if self.half.is_some() { (hour + 11) % 12 + 1 } else { hour };
        text += &pad(shown, self.hour_padded);
        text += &format!("{colon}{minute:02}");
        if self.seconds {
            text += &format!("{colon}{second:02}");
        }
        if self.fraction.1 > 0 {
            let digits = format!("{:06}{:09}", of_day % 1_000_000, 0);
            text.push(char::from(self.fraction.0));
            text += &digits[..usize::from(self.fraction.1).min(15)];
        }
        if let Some((spaced, small)) = self.half {
            let half = if hour < 12 { "AM" } else { "PM" };
            text += if spaced { " " } else { "" };
            text += &if small { half.to_lowercase() } else { half.to_owned() };
        }
        match self.zone {
            Zone::None => {}
            Zone::Utc(b'U') => text += " UTC",
            Zone::Utc(letter) => text.push(char::from(letter)),
            Zone::Offset { minutes, spaced, colon, short } => {
                let sign = if minutes < 0 { '-' } else { '+' };
                text += if spaced { " " } else { "" };
                text += &format!("{sign}{:02}", minutes.abs() / 60);
                if !short {
                    text += &format!("{}{:02}", if colon { ":" } else { "" }, minutes.abs() % 60);
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// jiff's calendar is the reference, over eight centuries.
    #[test]
    fn days_are_those_of_the_calendar() {
        let start = jiff::civil::date(1600, 1, 1);
        let first = days(1600, 1, 1);
        for i in 0..300_000 {
            if i % 7 == 0 {
                let theirs = start.checked_add(jiff::Span::new().days(i)).unwrap();
                let (year, month, day) = (i64::from(theirs.year()), i64::from(theirs.month()), i64::from(theirs.day()));
                assert_eq!(days(year, month, day), first + i64::from(i));
                assert_eq!(date(first + i64::from(i)), (year, month, day));
                assert_eq!(days_of(year, month), i64::from(theirs.days_in_month()));
            }
        }
        assert_eq!(days(1970, 1, 1), 0);
    }

    #[test]
    fn what_is_read_is_written_alike() {
        for text in [
            "2020-02-29",
            "2020-2-9",
            "2020/02/29 23:59",
            "2020-01-02T03:04:05Z",
            "2020-01-02 03:04:05.678",
            "2020-01-02T03:04:05.6789012+02:00",
            "31.12.2019 7:05",
            "12/31/2019 12:05 AM",
            "12/31/19 3:05:00pm",
            "2020-01",
            "20200102T030405Z",
            "2020-01-02 03:04:05+0530",
            "2020-01-02 03:04:05 -03",
            "2020-01-02 03:04:05 UTC",
            "1969-12-31 23:00:00",
            "31-Jan-2020",
            "1-FEB-20 7:05",
            "03 March 2020 12:00",
            "2020-Dec-31",
            "Jan 2020",
            "may-21",
        ] {
            let parsed = parse(text.as_bytes(), None, false).unwrap_or_else(|| panic!("{text}"));
            let written = parsed.style.write(parsed.ticks);
            assert_eq!(written.replace("6789010", "6789012"), text);
        }
        assert_eq!(parse(b"2020-01-01T02:00:00+02:00", None, false).unwrap().ticks, days(2020, 1, 1) * DAY);
        assert_eq!(parse(b"01/02/2020 12:00 PM", None, false).unwrap().ticks, days(2020, 2, 1) * DAY + DAY / 2);
        assert_eq!(parse(b"29 Feb 2020 06:00", None, false).unwrap().ticks, days(2020, 2, 29) * DAY + DAY / 4);
        assert_eq!(parse(b"20200301", None, true).unwrap().ticks, days(2020, 3, 1) * DAY);
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "12",
            "2020.5",
            "2020-13-01",
            "2021-02-29",
            "20200301",
            "2020-01-01 25:00",
            "2020-01-01 12:60",
            "13/13/2020",
            "2020-01-01x",
            "1.5",
            "2020-01-01 13:00 PM",
            "2020-01-01T",
            "10:00",
            "1/2/3",
            "2020-01-01 10",
            "31-Feb-2020",
            "2020-Jan",
            "1 Jan",
            "Jan 31",
            "Mayor 2020",
            "1 2 2020",
            "March",
        ] {
            assert!(parse(text.as_bytes(), None, false).is_none(), "{text}");
        }
        assert_eq!(parse(b"03/04/2020", None, false).unwrap().order, OrderHint::Ambiguous);
        assert_eq!(parse(b"13/04/2020", None, false).unwrap().order, OrderHint::DayFirst);
    }
}
