//! Months written as English names.

/// Full names; the first three letters are the short ones.
const NAMES: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// How a month is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    full: bool,
    case: Case,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Title,
    Upper,
    Lower,
}

/// Number of the month (from 1) and style of a name at the start of a text, and its length.
pub(crate) fn read(text: &[u8]) -> Option<(i64, Name, usize)> {
    let letters = text.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let word = &text[..letters];
    // "May" is short, so that others beside it are.
    let full = letters > 3;
    let is = |name: &str| word.eq_ignore_ascii_case(if full { name.as_bytes() } else { &name.as_bytes()[..3] });
    let number = NAMES.iter().position(|name| letters >= 3 && is(name))? as i64 + 1;
    let case = match (word[0].is_ascii_uppercase(), word[1..].iter().all(u8::is_ascii_uppercase)) {
        (true, true) => Case::Upper,
        (true, false) => Case::Title,
        (false, _) => Case::Lower,
    };
    Some((number, Name { full, case }, letters))
}

impl Name {
    /// The name of a month, counted from 1.
    pub(crate) fn write(self, month: i64) -> String {
        let name = NAMES[(month - 1).rem_euclid(12) as usize];
        let name = if self.full { name } else { &name[..3] };
        match self.case {
            Case::Title => name.to_owned(),
            Case::Upper => name.to_uppercase(),
            Case::Lower => name.to_lowercase(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for (text, number, next) in [("Jan-", 1, "Feb"), ("DECEMBER 3", 12, "JANUARY"), ("sep", 9, "oct"), ("May", 5, "Jun")] {
            let (month, name, length) = read(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((month, name.write(month).as_str()), (number, &text[..length]));
            assert_eq!(name.write(month % 12 + 1), next);
        }
        for text in ["", "Janu", "13", "x", "Ma", "sept"] {
            assert!(read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
