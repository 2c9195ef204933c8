//! Numbers in a file: read and written with their own decimals.

use super::options::Decimal;

/// What a field of a number column holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell {
    /// Nothing was observed.
    Missing,
    /// A finite number and how many decimals it is written with.
    Number(f64, u8),
    /// An infinite number, or one that no f64 holds.
    Infinite,
    /// Something else.
    Text,
}

/// Most decimals that are counted; an f64 holds no more.
const MAX_DECIMALS: i64 = 17;

/// How numbers are written in a file.
#[derive(Clone, Debug)]
pub(crate) struct Dialect {
    pub(crate) comma: bool,
    tokens: Vec<Vec<u8>>,
    numbers: Vec<f64>,
    /// The first bytes of `tokens`, either case.
    firsts: [bool; 256],
}

impl Dialect {
    /// `na`: tokens that mean "not observed"; those that are numbers stand for that number however it is written.
    pub(crate) fn new(na: &[String], decimal: Decimal) -> Self {
        let mut dialect = Self { comma: decimal == Decimal::Comma, tokens: Vec::new(), numbers: Vec::new(), firsts: [false; 256] };
        for token in na.iter().map(|t| t.trim()).filter(|t| !t.is_empty()) {
            let first = token.as_bytes()[0];
            dialect.firsts[usize::from(first.to_ascii_lowercase())] = true;
            dialect.firsts[usize::from(first.to_ascii_uppercase())] = true;
            dialect.tokens.push(token.as_bytes().to_vec());
            dialect.numbers.extend(token.parse::<f64>().ok().filter(|v| v.is_finite()));
        }
        dialect
    }

    /// Reads a field that has lost its quotes and white space.
    pub(crate) fn cell(&self, text: &[u8]) -> Cell {
        let Some(&first) = text.first() else { return Cell::Missing };
        if self.firsts[usize::from(first)] && self.tokens.iter().any(|t| t.eq_ignore_ascii_case(text)) {
            return Cell::Missing;
        }
        if let Some((value, decimals)) = self.short(text) {
            return if self.numbers.contains(&value) { Cell::Missing } else { Cell::Number(value, decimals) };
        }
        let (mut point, mut exponent) = (None, None);
        let mut buffer = [0; 64];
        if text.len() > buffer.len() {
            return Cell::Text;
        }
        let sign = if self.comma { b',' } else { b'.' };
        for (i, &byte) in text.iter().enumerate() {
            buffer[i] = match byte {
                b'0'..=b'9' | b'+' | b'-' => byte,
                b'e' | b'E' if exponent.is_none() && i > 0 => {
                    exponent = Some(i);
                    byte
                }
                _ if byte == sign => {
                    point = Some(i);
                    b'.'
                }
                _ => return if is_infinite(text) { Cell::Infinite } else { Cell::Text },
            };
        }
        let Some(value) = std::str::from_utf8(&buffer[..text.len()]).ok().and_then(|t| t.parse::<f64>().ok()) else { return Cell::Text };
        if value.is_infinite() {
            return Cell::Infinite;
        }
        if self.numbers.contains(&value) {
            return Cell::Missing;
        }
        let end = exponent.unwrap_or(text.len());
        let mut decimals = point.map_or(0, |p| (end - p - 1) as i64);
        if let Some(power) = exponent.and_then(|e| std::str::from_utf8(&text[e + 1..]).ok()?.parse::<i64>().ok()) {
            decimals = decimals.saturating_sub(power);
        }
        Cell::Number(value, decimals.clamp(0, MAX_DECIMALS) as u8)
    }

    /// A number of at most 15 digits without an exponent: a whole number below 2^53 over a power of ten that an f64 holds exactly, so that
    /// the quotient is the nearest f64, as parsing gives it.
    fn short(&self, text: &[u8]) -> Option<(f64, u8)> {
        const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
        let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
        if digits.len() > 16 {
            return None;
        }
        let sign = if self.comma { b',' } else { b'.' };
        let (mut whole, mut count, mut point) = (0_u64, 0, None);
        for &byte in digits {
            if byte.is_ascii_digit() {
                whole = whole * 10 + u64::from(byte - b'0');
                count += 1;
            } else if byte == sign && point.is_none() {
                point = Some(count);
            } else {
                return None;
            }
        }
        let decimals = count - point.unwrap_or(count);
        if count == 0 || count > 15 {
            return None;
        }
        let value = whole as f64 / POWERS[decimals];
        Some((if negative { -value } else { value }, decimals as u8))
    }

    /// Writes a number with `decimals` decimals.
    pub(crate) fn write(&self, value: f64, decimals: u8) -> String {
        // Beyond 2^53 there are no decimals, and hundreds of digits help nobody.
        let mut text = if value.abs() >= 1e16 { format!("{value:e}") } else { format!("{value:.*}", usize::from(decimals)) };
        if text.starts_with('-') && !text.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
            text.remove(0);
        }
        if self.comma { text.replace('.', ",") } else { text }
    }
}

fn is_infinite(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") || text == "\u{221e}".as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(na: &[&str], decimal: Decimal) -> Dialect {
        Dialect::new(&na.iter().map(|&s| s.to_owned()).collect::<Vec<_>>(), decimal)
    }

    #[test]
    fn numbers_and_their_decimals() {
        let d = dialect(&["NA", "-9999"], Decimal::Auto);
        for (text, cell) in [
            ("", Cell::Missing),
            ("na", Cell::Missing),
            ("-9999.0", Cell::Missing),
            ("1.50", Cell::Number(1.5, 2)),
            ("-3", Cell::Number(-3.0, 0)),
            ("+.5", Cell::Number(0.5, 1)),
            ("5.", Cell::Number(5.0, 0)),
            ("1.25e-3", Cell::Number(0.00125, 5)),
            ("1.25E2", Cell::Number(125.0, 0)),
            ("1e-400", Cell::Number(0.0, 17)),
            ("1e400", Cell::Infinite),
            ("-Inf", Cell::Infinite),
            ("nan", Cell::Text),
            ("1,5", Cell::Text),
            ("1.2.3", Cell::Text),
            ("e5", Cell::Text),
            ("-", Cell::Text),
            ("infinite", Cell::Text),
        ] {
            assert_eq!(d.cell(text.as_bytes()), cell, "{text}");
        }
        assert_eq!(dialect(&[], Decimal::Comma).cell(b"1,25"), Cell::Number(1.25, 2));
        assert_eq!(dialect(&[], Decimal::Comma).cell(b"1.25"), Cell::Text);
    }

    proptest::proptest! {
        #[test]
        fn short_numbers_are_read_as_the_standard_library_does(text in "-?[0-9]{0,12}[.]?[0-9]{0,6}") {
            let wanted = text.parse::<f64>().ok();
            let found = if let Cell::Number(value, _) = dialect(&[], Decimal::Point).cell(text.as_bytes()) { Some(value) } else { None };
            proptest::prop_assert_eq!(found.map(f64::to_bits), wanted.map(f64::to_bits));
        }
    }

    #[test]
    fn numbers_are_written_with_their_decimals() {
        let d = dialect(&[], Decimal::Point);
        assert_eq!(d.write(1.2345, 2), "1.23");
        assert_eq!(d.write(-0.001, 2), "0.00");
        assert_eq!(d.write(2.5e20, 2), "2.5e20");
        assert_eq!(d.write(7.0, 0), "7");
        assert_eq!(dialect(&[], Decimal::Comma).write(-1.5, 1), "-1,5");
    }
}
