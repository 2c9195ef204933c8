//! What an imputation says about itself, as JSON and as a paragraph.

use serde::{Deserialize, Serialize};

/// Version of the JSON form; it rises when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 1;
/// Name of the method that the network fills by, as reports say it.
pub const DIFFUSION: &str = "diffusion";

/// The report of `langevin impute series`.
///
/// Errors and CRPS are in deviations of each column's observed values, so that columns can be averaged; shares are within 0..=1.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Report {
    /// Version of this form: [`SCHEMA`].
    pub schema: u32,
    /// The table.
    pub input: Input,
    /// Holes that were filled.
    pub filled: usize,
    /// Holes that were left empty: in gaps longer than `--max-gap`, or in columns that were not to be filled.
    pub left: usize,
    /// Rows added after the end by `--forecast`.
    pub forecast_rows: usize,
    /// What held-out cells said; without when `--backtest off`, when the method was named and bands were not wanted, or when too little is known.
    pub backtest: Option<Backtest>,
    /// Every column with holes, in the order of the table.
    pub columns: Vec<ColumnReport>,
    /// Sample paths drawn for each hole; 0 when no method that draws was used.
    pub samples: usize,
    /// Denoising steps of each; 0 when diffusion was not used.
    pub steps: usize,
    /// Levels of the quantile columns, ascending.
    pub quantiles: Vec<f64>,
    /// Seed of every random draw.
    pub seed: u64,
    /// The network, when there was one.
    pub checkpoint: Option<CheckpointName>,
    /// Wall-clock time.
    pub seconds: Seconds,
    /// What a user should know: each is a sentence.
    pub warnings: Vec<String>,
}

/// What was read.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Input {
    /// File as the user named it.
    pub file: String,
    /// `wide` or `long`.
    pub layout: String,
    /// Records, without the header.
    pub rows: usize,
    /// Series of a panel; 1 without an id column.
    pub series: usize,
    /// Columns that may be filled.
    pub columns: usize,
    /// Their cells.
    pub cells: usize,
    /// Those without a value.
    pub missing: usize,
    /// Step of the time axis as in `--freq` (`1h`); without when rows are taken as they come.
    pub frequency: Option<String>,
    /// Rows that a regular time axis has and the table lacks; they are used as rows of holes, and not written.
    pub absent_rows: usize,
    /// Season, in rows; without when none was found.
    pub period: Option<usize>,
}

/// What known cells said that were hidden in gaps shaped like the file's own.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Backtest {
    /// Cells that were hidden.
    pub held_out: usize,
    /// Every method over all of them, in the order of growing effort.
    pub methods: Vec<MethodScores>,
    /// What was used, each gap by the method chosen for its length.
    pub used: BandScores,
    /// By length of gap; lengths that did not occur are left out.
    pub bins: Vec<BinReport>,
}

/// How one method did.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct MethodScores {
    /// Its name, as in `--method`.
    pub method: String,
    /// Mean absolute error, in deviations.
    pub mae: f64,
    /// CRPS (twice the mean pinball loss over the report's levels), in deviations; without for a method that gives one number.
    pub crps: Option<f64>,
}

/// How the filled values and their bands did, on cells that neither the choice nor the calibration was made from.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct BandScores {
    /// Mean absolute error, in deviations.
    pub mae: f64,
    /// CRPS (twice the mean pinball loss over the report's levels), in deviations.
    pub crps: f64,
    /// Share of cells inside the 50 % band before calibration.
    pub coverage_50_raw: f64,
    /// The same after calibration.
    pub coverage_50: f64,
    /// Share of cells inside the 90 % band before calibration.
    pub coverage_90_raw: f64,
    /// The same after calibration.
    pub coverage_90: f64,
}

/// Backtest of the gaps of some lengths.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct BinReport {
    /// Lengths, in rows, as [`BIN_LABELS`](crate::metrics::BIN_LABELS) writes them.
    pub rows: String,
    /// Holes of the table in such gaps.
    pub holes: usize,
    /// Known cells that were hidden in such gaps.
    pub held_out: usize,
    /// Every method.
    pub methods: Vec<MethodScores>,
    /// Name of the method that fills such gaps.
    pub chosen: String,
    /// How it did.
    pub used: BandScores,
}

/// A column with holes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ColumnReport {
    /// Name.
    pub name: String,
    /// Cells without a value.
    pub missing: usize,
    /// Those that were filled.
    pub filled: usize,
    /// Maximal runs of holes.
    pub gaps: usize,
    /// The longest of them, in rows.
    pub longest_gap: usize,
    /// Mean of its observed values, in its own units.
    pub mean: f64,
    /// Their deviation, in its own units: the unit of its errors.
    pub deviation: f64,
    /// How it was straightened before anything was fitted: `none`, `log1p`, `asinh`.
    pub transform: String,
    /// Least and greatest value that may be filled in, in its own units; without where there is no bound.
    pub bounds: (Option<f64>, Option<f64>),
    /// Decimals that filled values are written with.
    pub decimals: usize,
    /// Mean absolute error on its hidden cells, in deviations; without when none were hidden.
    pub mae: Option<f64>,
}

/// Which network.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CheckpointName {
    /// Name inside the checkpoint.
    pub name: String,
    /// Hash of the file.
    pub hash: String,
}

/// Wall-clock seconds of the parts of a run.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Seconds {
    /// First pass: reading, types, statistics.
    pub read: f64,
    /// Fitting the simple methods, and the backtest.
    pub fit: f64,
    /// Second pass: filling and writing.
    pub fill: f64,
    /// All of it.
    pub total: f64,
}

impl Report {
    /// The report in a few sentences.
    #[must_use]
    pub fn text(&self) -> String {
        if self.input.missing == 0 && self.forecast_rows == 0 {
            return "nothing is missing: the table was copied".to_owned();
        }
        // Rows of a forecast are holes too.
        let mut text = format!("filled {} of {} holes", grouped(self.filled), grouped(self.filled + self.left));
        if self.left > 0 {
            text.push_str(&format!(" ({} left empty)", grouped(self.left)));
        }
        let (columns, rows) = (count(self.columns.len(), "column"), count(self.input.rows, "row"));
        text.push_str(&format!(" in {columns} of {rows}"));
        if let Some(frequency) = &self.input.frequency {
            text.push_str(&format!(", every {frequency}"));
        }
        if let Some(period) = self.input.period {
            text.push_str(&format!(", season of {}", count(period, "row")));
        }
        if self.forecast_rows > 0 {
            text.push_str(&format!("; {} added", count(self.forecast_rows, "row")));
        }
        if let Some(backtest) = &self.backtest {
            text.push_str(&format!("; {}", backtest.text()));
        }
        text
    }
}

impl Backtest {
    /// The backtest in one sentence.
    #[must_use]
    pub fn text(&self) -> String {
        let scores = self.methods.iter().enumerate().map(|(k, m)| format!("{} {}{:.3}", m.method, if k == 0 { "MAE " } else { "" }, m.mae));
        let scores = scores.collect::<Vec<_>>().join(", ");
        let used = &self.used;
        let quality = format!("MAE {:.3}, CRPS {:.3}, 90 % band covers {:.0} %", used.mae, used.crps, 100.0 * used.coverage_90);
        format!("held out {} shaped like your gaps: {scores}; {}: {quality}", count(self.held_out, "known cell"), self.choice())
    }

    /// Which method fills which gaps.
    fn choice(&self) -> String {
        let mut chosen: Vec<(&str, Vec<&str>)> = Vec::new();
        for bin in &self.bins {
            match chosen.iter_mut().find(|(method, _)| *method == bin.chosen) {
                Some((_, bins)) => bins.push(&bin.rows),
                None => chosen.push((&bin.chosen, vec![&bin.rows])),
            }
        }
        let tried = self.methods.iter().any(|m| m.method == DIFFUSION);
        let helps = chosen.iter().any(|(method, _)| *method == DIFFUSION);
        let verdict = if tried && !helps { "diffusion does not help here, " } else { "" };
        if let [(method, _)] = chosen.as_slice() {
            return format!("{verdict}{method} is used");
        }
        let parts = chosen
            .iter()
            .map(|(method, bins)| format!("{method} for gaps of {} {}", bins.join(", "), if *bins == ["1"] { "row" } else { "rows" }));
        format!("{verdict}used: {}", parts.collect::<Vec<_>>().join("; "))
    }
}

/// `1,204`.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|d| std::str::from_utf8(d).expect("digits are ASCII")).collect();
    groups.join(",")
}

/// `1 row`, `2 rows`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(mae: [f64; 4]) -> Vec<MethodScores> {
        let name = |(method, mae): (&str, f64)| MethodScores { method: method.into(), mae, crps: (method == DIFFUSION).then_some(0.089) };
        ["linear", "seasonal", "ridge", DIFFUSION].into_iter().zip(mae).map(name).collect()
    }

    fn report(chosen: [&str; 2]) -> Report {
        let used =
            BandScores { mae: 0.1012, crps: 0.089, coverage_50_raw: 0.4, coverage_50: 0.51, coverage_90_raw: 0.8, coverage_90: 0.894 };
        let methods = scores([0.198, 0.184, 0.109, 0.1014]);
        let bin = |(rows, chosen): (&str, &str)| BinReport {
            rows: rows.into(),
            holes: 605,
            held_out: 602,
            methods: methods.clone(),
            chosen: chosen.into(),
            used,
        };
        let bins = ["1", "2-3"].into_iter().zip(chosen).map(bin).collect();
        Report {
            schema: SCHEMA,
            input: Input {
                file: "a.csv".into(),
                layout: "wide".into(),
                rows: 2784,
                series: 1,
                columns: 1,
                cells: 2784,
                missing: 1210,
                frequency: Some("1h".into()),
                absent_rows: 0,
                period: Some(24),
            },
            filled: 1204,
            left: 6,
            forecast_rows: 0,
            backtest: Some(Backtest { held_out: 1204, methods: methods.clone(), used, bins }),
            columns: vec![ColumnReport {
                name: "OT".into(),
                missing: 1210,
                filled: 1204,
                gaps: 300,
                longest_gap: 40,
                mean: 1.0,
                deviation: 2.0,
                transform: "none".into(),
                bounds: (Some(0.0), None),
                decimals: 3,
                mae: Some(0.1),
            }],
            samples: 32,
            steps: 6,
            quantiles: vec![0.05, 0.95],
            seed: 1,
            checkpoint: Some(CheckpointName { name: "series-base".into(), hash: "00".into() }),
            seconds: Seconds::default(),
            warnings: vec![],
        }
    }

    #[test]
    fn says_what_was_held_out_and_what_is_used() {
        let text = report([DIFFUSION, DIFFUSION]).text();
        assert_eq!(
            text,
            "filled 1,204 of 1,210 holes (6 left empty) in 1 column of 2,784 rows, every 1h, season of 24 rows; held out 1,204 known cells shaped \
             like your gaps: linear MAE 0.198, seasonal 0.184, ridge 0.109, diffusion 0.101; diffusion is used: MAE 0.101, CRPS 0.089, 90 % band \
             covers 89 %"
        );
        assert!(report(["ridge", "ridge"]).text().contains("; diffusion does not help here, ridge is used: MAE"));
        assert!(report(["ridge", DIFFUSION]).text().contains("; used: ridge for gaps of 1 row; diffusion for gaps of 2-3 rows: MAE"));
        assert!(
            report(["ridge", "linear"])
                .text()
                .contains("; diffusion does not help here, used: ridge for gaps of 1 row; linear for gaps of 2-3 rows")
        );
        let mut without = report(["ridge", "ridge"]);
        without.backtest.as_mut().unwrap().methods.pop();
        assert!(without.text().contains("; ridge is used: MAE"), "{}", without.text());
    }

    #[test]
    fn says_when_nothing_was_to_do() {
        let mut complete = report(["ridge", "ridge"]);
        (complete.input.missing, complete.filled, complete.left, complete.backtest) = (0, 0, 0, None);
        assert_eq!(complete.text(), "nothing is missing: the table was copied");
        (complete.forecast_rows, complete.input.frequency, complete.input.period) = (24, None, None);
        assert_eq!(complete.text(), "filled 0 of 0 holes in 1 column of 2,784 rows; 24 rows added");
    }

    #[test]
    fn json_comes_back() {
        let report = report(["ridge", DIFFUSION]);
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.starts_with(r#"{"schema":1,"input":{"file":"a.csv""#), "{text}");
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }

    #[test]
    fn numbers_for_readers() {
        assert_eq!([0, 7, 999, 1000, 1_234_567].map(grouped), ["0", "7", "999", "1,000", "1,234,567"]);
        assert_eq!((count(1, "row"), count(1000, "row")), ("1 row".into(), "1,000 rows".into()));
    }
}
