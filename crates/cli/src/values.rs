//! Parsers for the values of flags: what they refuse is a usage error before any work starts.

use std::ops::RangeInclusive;

/// Most worker threads that may be asked for.
pub(crate) const MAX_THREADS: u32 = 1024;

/// A whole number within bounds.
pub(crate) fn whole(range: RangeInclusive<u32>) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync + 'static {
    move |text| {
        let found = text.trim().parse::<i128>().ok().and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n));
        found.ok_or_else(|| format!("give a whole number from {} to {}", range.start(), range.end()))
    }
}

/// A finite number within bounds.
pub(crate) fn number(range: RangeInclusive<f64>) -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync + 'static {
    move |text| {
        let found = text.trim().parse::<f64>().ok().filter(|x| x.is_finite() && range.contains(x));
        found.ok_or_else(|| format!("give a number from {} to {}", range.start(), range.end()))
    }
}

/// A seed: any whole number of 64 bits.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("give a whole number from 0 to {}", u64::MAX))
}

/// A stretch of a quantity, from one number to a greater one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    /// Where it begins.
    pub(crate) from: f64,
    /// Where it ends.
    pub(crate) to: f64,
}

impl From<Range> for std::ops::Range<f64> {
    fn from(range: Range) -> Self {
        range.from..range.to
    }
}

/// A stretch `A..B` of numbers that are not negative.
pub(crate) fn range(text: &str) -> Result<Range, String> {
    let read = |part: &str| part.trim().parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0);
    let ends = text.split_once("..").and_then(|(from, to)| Some((read(from)?, read(to)?)));
    match ends {
        Some((from, to)) if from < to => Ok(Range { from, to }),
        _ => Err("give two numbers from 0 up, the smaller one first: 0.10..0.20".to_owned()),
    }
}

/// A number of threads.
pub(crate) fn threads(text: &str) -> Result<u32, String> {
    whole(1..=MAX_THREADS)(text)
}

/// The candidate nearest to a misspelt name, if one is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|c| (strsim::jaro_winkler(&name.to_lowercase(), &c.to_lowercase()), c));
    scored.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, c)| c)
}

/// What an unknown key or name in a parser's message was meant to be: serde lists what it expected in backticks.
pub(crate) fn meant(message: &str) -> Option<String> {
    let (_, after) = message.split_once("unknown field `").or_else(|| message.split_once("unknown variant `"))?;
    let (found, rest) = after.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2);
    nearest(found, known).map(|known| format!("did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_within_bounds() {
        let parse = whole(1..=100);
        assert_eq!(parse("1"), Ok(1));
        assert_eq!(parse(" 100"), Ok(100));
        for bad in ["0", "-3", "101", "1.5", "", "ten", "99999999999999999999999999999999999999999"] {
            assert_eq!(parse(bad), Err("give a whole number from 1 to 100".to_owned()), "{bad}");
        }
    }

    #[test]
    fn finite_numbers_within_bounds() {
        let parse = number(0.0..=20.0);
        assert_eq!(parse("2.5"), Ok(2.5));
        assert_eq!(parse("0"), Ok(0.0));
        for bad in ["nan", "inf", "-1", "20.01", "x", "", "1e999"] {
            assert_eq!(parse(bad), Err("give a number from 0 to 20".to_owned()), "{bad}");
        }
    }

    #[test]
    fn ranges() {
        assert_eq!(range("0.10..0.20"), Ok(Range { from: 0.1, to: 0.2 }));
        assert_eq!(range(" 0 .. 3"), Ok(Range { from: 0.0, to: 3.0 }));
        for bad in ["", "0.1", "0.2..0.1", "0.1..0.1", "-1..2", "a..b", "0..nan", "0..inf", "1-2", "..", "0.1..0.2..0.3"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn seeds_fill_64_bits() {
        assert_eq!(seed("18446744073709551615"), Ok(u64::MAX));
        assert!(seed("18446744073709551616").is_err() && seed("-1").is_err() && seed("0x1").is_err());
    }

    #[test]
    fn near_names_are_found_and_far_ones_not() {
        let names = ["fsdd-prior", "fsdd-vocoder"];
        assert_eq!(nearest("fsd-priro", names), Some("fsdd-prior"));
        assert_eq!(nearest("FSDD-VOCODR", names), Some("fsdd-vocoder"));
        assert_eq!(nearest("zebra", names), None);
    }

    #[test]
    fn a_parsers_message_tells_what_was_meant() {
        assert_eq!(meant("unknown field `stpes`, expected one of `solver`, `steps`"), Some("did you mean `steps`?".to_owned()));
        assert_eq!(meant("x: unknown variant `linaer`, expected `linear` or `cosine`"), Some("did you mean `linear`?".to_owned()));
        assert_eq!(meant("unknown field `zzz`, expected `a`"), None);
        assert_eq!(meant("missing field `a`"), None);
    }
}
