//! How a table is read, as flags, and limits of its columns.

use std::str::FromStr;

use langevin_series::{
    io::{Choose, Decimal, Delimiter, Freq, Layout, ReadOptions, Step, Table},
    task::Limits,
};

use crate::{report::Failure, values};

/// Flags of reading.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Table")]
pub(super) struct TableArgs {
    /// Column of times: a name, auto or none; names where times lie in several columns: date,hour or year,month,day
    #[arg(long, value_name = "NAME", default_value = "auto")]
    time_col: Choose,
    /// Column that tells series of a panel apart: a name, auto or none
    #[arg(long, value_name = "NAME", default_value = "auto")]
    id_col: Choose,
    /// How values lie: auto, wide or long
    #[arg(long, value_name = "LAYOUT", default_value = "auto")]
    layout: Layout,
    /// Fill these columns only
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    columns: Vec<String>,
    /// Leave these columns alone
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    exclude: Vec<String>,
    /// More tokens that mean "missing", beside an empty field, NA, NaN, null and the like: -9999,n.d.
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true)]
    na: Vec<String>,
    /// What separates fields: auto, or one character
    #[arg(long, value_name = "CHAR", default_value = "auto")]
    delimiter: Delimiter,
    /// Decimal sign: auto, . or ,
    #[arg(long, value_name = "CHAR", default_value = "auto")]
    decimal: Decimal,
    /// Step of the time axis: auto, none, or a duration such as 15min, 1h, 1d, 1mo
    #[arg(long, value_name = "STEP", default_value = "auto")]
    freq: Freq,
    /// Sort rows by time; the file is held in memory (1 GiB at most)
    #[arg(long)]
    sort: bool,
    /// Of rows with the same time keep the first
    #[arg(long)]
    dedup: bool,
    /// Add this many rows behind the last, and fill them
    #[arg(long, value_name = "ROWS", default_value = "0", value_parser = values::whole(0..=100_000))]
    forecast: u32,
}

impl TableArgs {
    pub(super) fn options(&self) -> ReadOptions {
        let plain = ReadOptions::default();
        ReadOptions {
            time_col: self.time_col.clone(),
            id_col: self.id_col.clone(),
            layout: self.layout,
            columns: self.columns.clone(),
            exclude: self.exclude.clone(),
            na: [plain.na, self.na.clone()].concat(),
            delimiter: self.delimiter,
            decimal: self.decimal,
            freq: self.freq,
            sort: self.sort,
            dedup: self.dedup,
            forecast: self.forecast as usize,
        }
    }

    pub(super) fn forecast(&self) -> usize {
        self.forecast as usize
    }
}

/// `--max-gap`.
#[derive(Clone, Copy, Debug)]
pub(super) enum MaxGap {
    Rows(usize),
    Time(Step),
}

impl FromStr for MaxGap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let rows = text.parse().ok().filter(|&rows| rows > 0);
            return rows.map(Self::Rows).ok_or_else(|| format!("'{text}' is no number of rows: 1 or more"));
        }
        text.parse().map(Self::Time).map_err(|e| format!("{e}, and no number of rows"))
    }
}

impl MaxGap {
    /// The longest gap that is filled, in rows.
    ///
    /// # Errors
    /// A duration for a table whose rows have no time.
    pub(super) fn rows(self, table: &Table) -> Result<usize, Failure> {
        match self {
            Self::Rows(rows) => Ok(rows),
            Self::Time(_) if table.calendar().unit.is_none() => {
                Err(Failure::data("max-gap", format!("{} has no clock to measure --max-gap with", table.name().display()))
                    .help("give a number of rows"))
            }
            // A quotient just below a whole number is that number.
            Self::Time(duration) => Ok((table.calendar().steps(duration) + 1e-9).floor() as usize),
        }
    }
}

/// One `--bounds`.
#[derive(Clone, Debug)]
pub(super) enum BoundsArg {
    Auto,
    None,
    Of(String, Limits),
}

impl FromStr for BoundsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "none" => return Ok(Self::None),
            _ => {}
        }
        let wrong = || format!("'{text}' is no bound: auto, none, or COL=lo:hi where lo or hi may be left out");
        let (name, range) = text.rsplit_once('=').ok_or_else(wrong)?;
        let (low, high) = range.split_once(':').ok_or_else(wrong)?;
        let number = |text: &str| {
            if text.is_empty() { Ok(None) } else { text.parse::<f64>().ok().filter(|v| v.is_finite()).map(Some).ok_or_else(wrong) }
        };
        let limits = (number(low)?, number(high)?);
        if let (Some(low), Some(high)) = limits
            && low > high
        {
            return Err(wrong());
        }
        Ok(Self::Of(name.to_owned(), limits))
    }
}

/// Limits of every column: what the flags name, else nothing below 0 where nothing below 0 was observed.
///
/// # Errors
/// A bound of a column that is not there.
pub(super) fn limits(bounds: &[BoundsArg], table: &Table) -> Result<Vec<Limits>, Failure> {
    let off = bounds.iter().any(|b| matches!(b, BoundsArg::None));
    let columns = &table.profile().columns;
    let mut limits: Vec<Limits> = columns.iter().map(|c| if !off && c.non_negative { (Some(0.0), None) } else { (None, None) }).collect();
    for bound in bounds {
        if let BoundsArg::Of(name, wanted) = bound {
            let Some(at) = table.names().iter().position(|n| n == name) else {
                return Err(Failure::usage("bounds", format!("there is no column '{name}' of numbers"))
                    .help(format!("the columns are {}", table.names().join(", "))));
            };
            limits[at] = written(*wanted, columns[at].decimals);
        }
    }
    Ok(limits)
}

/// Limits moved inwards to what a column's decimals can say, so that rounding keeps within them; as they are when nothing lies between.
fn written((low, high): Limits, decimals: u8) -> Limits {
    let unit = 10f64.powi(i32::from(decimals));
    // The product of a decimal number and the unit may lie just beside the whole number that it is.
    let inward = (low.map(|v| (v * unit - 1e-6).ceil() / unit), high.map(|v| (v * unit + 1e-6).floor() / unit));
    if inward.0.zip(inward.1).is_some_and(|(low, high)| low > high) { (low, high) } else { inward }
}
