//! Tables with holes, and imputations of them.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

use std::{fmt::Write as _, fs, path::PathBuf};

use tempfile::TempDir;

use super::{Run, command, run};

/// A folder with one table in it.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) table: PathBuf,
}

impl Place {
    pub(crate) fn new(table: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.csv");
        fs::write(&path, table).unwrap();
        Self { folder, table: path }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.folder.path()).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn impute(&self, args: &[&str]) -> Run {
        run(command(&["impute", "series", "in.csv"]).args(args).current_dir(self.folder.path()))
    }

    /// The filled table on stdout.
    pub(crate) fn filled(&self, args: &[&str]) -> String {
        let run = self.impute(args);
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        run.stdout
    }
}

/// How a table is written.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    pub(crate) delimiter: &'static str,
    pub(crate) end: &'static str,
    pub(crate) mark: &'static str,
    pub(crate) quotes: bool,
    pub(crate) comma: bool,
}

pub(crate) const PLAIN: Style = Style { delimiter: ",", end: "\n", mark: "", quotes: false, comma: false };

/// Hourly: `a` and `b` with single holes, `c` whole numbers with a gap of five rows; one row has nothing.
pub(crate) fn table(style: Style, rows: usize) -> String {
    let mut text = style.mark.to_owned();
    let mut line = |fields: &[String]| {
        let fields: Vec<String> = fields.iter().map(|f| if style.quotes { format!("\"{f}\"") } else { f.clone() }).collect();
        let _ = write!(text, "{}{}", fields.join(style.delimiter), style.end);
    };
    line(&["time", "a", "b", "c"].map(str::to_owned));
    for row in 0..rows {
        let (t, none) = (row as f64, row == 13);
        let number = |text: String| if style.comma { text.replace('.', ",") } else { text };
        let a = if none || row % 9 == 3 { ["", "NA"][row % 2].to_owned() } else { number(format!("{:.2}", 3.0 * (t / 4.0).sin() + 5.0)) };
        let b = if none || row % 11 == 5 { String::new() } else { number(format!("{:.1}", 30.0 * (t / 4.0).cos() - 50.0)) };
        let c = if none || (20..25).contains(&row) { String::new() } else { (row % 7).to_string() };
        line(&[format!("2020-01-{:02} {:02}:00", 1 + row / 24, row % 24), a, b, c]);
    }
    text
}

pub(crate) fn good() -> String {
    table(PLAIN, 96)
}

/// The good table with one line replaced.
pub(crate) fn with_line(at: usize, line: &str) -> String {
    let text = good();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[at] = line;
    lines.join("\n") + "\n"
}

pub(crate) fn fields(line: &str, delimiter: &str) -> Vec<String> {
    line.trim_start_matches('\u{feff}').split(delimiter).map(|f| f.trim_matches('"').to_owned()).collect()
}

pub(crate) fn number(text: &str) -> f64 {
    text.replace(',', ".").parse().unwrap_or_else(|_| panic!("'{text}' is no number"))
}

pub(crate) const HOLES: [&str; 2] = ["", "NA"];
