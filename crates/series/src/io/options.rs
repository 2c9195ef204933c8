//! How a table is to be read.

use std::str::FromStr;

use super::time::Step;

/// Tokens that mean "not observed" besides an empty field when the user names none; case does not matter.
pub const DEFAULT_NA: &[&str] = &["NA", "N/A", "#N/A", "NaN", "null", "None", "<NA>", "nil", "missing", "-", "?"];

/// Which column of the file has a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choose {
    /// Find out from names and contents.
    #[default]
    Auto,
    /// There is none.
    None,
    /// The column with this name.
    Name(String),
}

impl From<&str> for Choose {
    fn from(text: &str) -> Self {
        match text {
            "auto" => Self::Auto,
            "none" => Self::None,
            name => Self::Name(name.to_owned()),
        }
    }
}

impl FromStr for Choose {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.into())
    }
}

/// How values lie in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Long when a column says `variable`, `metric` and the like beside one column of numbers; wide otherwise.
    #[default]
    Auto,
    /// One column per variable.
    Wide,
    /// One row per observation: time, variable, value.
    Long,
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "wide" => Ok(Self::Wide),
            "long" => Ok(Self::Long),
            _ => Err(format!("'{text}' is not a layout: auto, wide or long")),
        }
    }
}

/// What separates fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delimiter {
    /// The one of `,` `;` tab `|` that splits the first rows alike.
    #[default]
    Auto,
    /// This byte.
    Byte(u8),
}

impl FromStr for Delimiter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "tab" | "\\t" | "\t" => Ok(Self::Byte(b'\t')),
            _ => match text.as_bytes() {
                [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\r\n.-+".contains(byte) => Ok(Self::Byte(*byte)),
                _ => Err(format!("'{text}' is not a delimiter: auto, tab, or one character such as ; or |")),
            },
        }
    }
}

/// The sign before decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decimal {
    /// A point; a comma where fields are not separated by commas and numbers parse only so.
    #[default]
    Auto,
    /// `1.5`
    Point,
    /// `1,5`
    Comma,
}

impl FromStr for Decimal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "." | "point" => Ok(Self::Point),
            "," | "comma" => Ok(Self::Comma),
            _ => Err(format!("'{text}' is not a decimal sign: auto, . or ,")),
        }
    }
}

/// The distance between rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freq {
    /// The most common step, when the rows lie on its grid.
    #[default]
    Auto,
    /// Rows as they are.
    None,
    /// This step; rows are moved to the nearest point of its grid.
    Every(Step),
}

impl FromStr for Freq {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            _ => text.parse().map(Self::Every),
        }
    }
}

/// How a table is to be read; the default finds out everything by itself.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The column of times.
    pub time_col: Choose,
    /// The column that says which series a row belongs to.
    pub id_col: Choose,
    /// Wide or long.
    pub layout: Layout,
    /// The columns to work on; empty for all columns of numbers. In the long layout: variables.
    pub columns: Vec<String>,
    /// Columns to carry through untouched. In the long layout: variables.
    pub exclude: Vec<String>,
    /// Tokens that mean "not observed"; an empty field always does.
    pub na: Vec<String>,
    /// What separates fields.
    pub delimiter: Delimiter,
    /// The sign before decimals.
    pub decimal: Decimal,
    /// The distance between rows.
    pub freq: Freq,
    /// Sort rows by time (within each id), in the output too.
    pub sort: bool,
    /// Of rows with equal times keep the first, in the output too.
    pub dedup: bool,
    /// Rows to add behind the last one of every series.
    pub forecast: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            time_col: Choose::Auto,
            id_col: Choose::Auto,
            layout: Layout::Auto,
            columns: Vec::new(),
            exclude: Vec::new(),
            na: DEFAULT_NA.iter().map(|&s| s.to_owned()).collect(),
            delimiter: Delimiter::Auto,
            decimal: Decimal::Auto,
            freq: Freq::Auto,
            sort: false,
            dedup: false,
            forecast: 0,
        }
    }
}
