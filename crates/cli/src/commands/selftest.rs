//! `langevin selftest [--vectors DIR]`.

use std::path::PathBuf;

use langevin_core::selftest::{Case, Status, run_dir, run_texts};
use langevin_engine::Verbosity;
use serde::Serialize;

use crate::{
    output,
    report::{Failure, printable},
    settings::Settings,
};

/// Compare the mathematics of this build with reference values
///
/// Solvers, schedules, parameterisations, likelihoods, distillation and D3PM are computed again on this machine and compared with values
/// made independently in float64. Without --vectors a row is a method, with the worst of its cases; --verbose shows every case.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin selftest --vectors tests/golden/core")]
pub(crate) struct Args {
    /// Folder of reference values: JSON files, read with all folders in it [default: those inside the program]
    #[arg(long, value_name = "DIR")]
    vectors: Option<PathBuf>,
}

macro_rules! golden {
    ($($name:literal: $reference:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../../tests/golden/", $name)), $reference)),+]
    };
}

/// The reference values inside the program, and where they come from.
const INSIDE: [(&str, &str, &str); 10] = golden![
    "core/analytic_dpm.json": "quadrature",
    "core/convergence.json": "exact ODE of a mixture",
    "core/likelihood.json": "exact density of a mixture",
    "core/misc.json": "published formulas",
    "core/parameterisations.json": "closed forms of a mixture",
    "core/progressive_distillation.json": "closed forms of a mixture",
    "core/schedules.json": "published formulas",
    "core/trajectories_diffusers64.json": "diffusers in float64",
    "core/weak_convergence.json": "moments of 20000 samples",
    "d3pm/d3pm_K5_T10.json": "matrices and enumeration",
];

/// The JSON of this command.
#[derive(Serialize)]
struct Outcome {
    cases: Vec<Case>,
    summary: Summary,
}

/// Number of cases of each status.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Summary {
    pass: usize,
    fail: usize,
    skip: usize,
    quirk: usize,
}

impl Summary {
    fn of(cases: &[Case]) -> Self {
        let mut summary = Self::default();
        for case in cases {
            match case.status {
                Status::Pass => summary.pass += 1,
                Status::Fail => summary.fail += 1,
                Status::Skip => summary.skip += 1,
                Status::Quirk => summary.quirk += 1,
            }
        }
        summary
    }

    fn text(&self) -> String {
        let Self { pass, fail, skip, quirk } = self;
        format!("{pass} pass, {fail} fail, {skip} skip, {quirk} quirk (the reference is known to be wrong there)\n")
    }

    /// Whether the folder speaks for this build.
    fn verdict(&self) -> Result<(), Failure> {
        let compared = self.pass + self.fail + self.quirk;
        if self.fail > 0 {
            return Err(Failure::data("selftest", format!("{} of {compared} cases fail", self.fail))
                .help("this build computes something else than the reference: please report it with the table above"));
        }
        if compared == 0 {
            return Err(Failure::data("selftest", "nothing was compared: the folder holds no case that this program knows"));
        }
        Ok(())
    }
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let device = settings.open_device()?;
    let cases = match &args.vectors {
        Some(folder) => run_dir(folder, Some(&device))?,
        None => run_texts(INSIDE.map(|(name, text, _)| (name, text)), Some(&device))?,
    };
    let summary = Summary::of(&cases);
    let verdict = summary.verdict();
    let outcome = Outcome { cases, summary };
    if settings.json {
        output::json(&outcome)?;
    } else {
        let grouped = args.vectors.is_none() && settings.verbosity != Verbosity::Verbose;
        let table = if grouped { by_method(&outcome.cases) } else { by_case(&outcome.cases) };
        output::data(printable(&(table + &outcome.summary.text())).as_bytes())?;
    }
    verdict
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Pass => "pass",
        Status::Fail => "FAIL",
        Status::Skip => "skip",
        Status::Quirk => "quirk",
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1e}"))
}

/// One line a case.
fn by_case(cases: &[Case]) -> String {
    let width = cases.iter().map(|case| case.name.chars().count()).max().unwrap_or(0);
    let mut text = format!("status  {:<width$}  {:>10}  {:>9}  note\n", "case", "difference", "tolerance");
    for case in cases {
        let (difference, tolerance) = (number(case.max_abs_diff), number(case.tolerance));
        let line = format!("{:<6}  {:<width$}  {difference:>10}  {tolerance:>9}  {}", word(case.status), case.name, case.note);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The cases of one method: the worst of them speaks for it.
struct Method<'a> {
    name: &'a str,
    file: &'a str,
    cases: usize,
    worst: &'a Case,
}

/// One line a method: what it is compared with, and the case that is farthest from it.
fn by_method(cases: &[Case]) -> String {
    let badness = |case: &Case| {
        let share = case.max_abs_diff.unwrap_or(0.0) / case.tolerance.unwrap_or(1.0);
        (case.status == Status::Fail, case.status == Status::Skip, share)
    };
    let mut methods: Vec<Method<'_>> = Vec::new();
    for case in cases {
        let mut parts = case.name.split('/');
        let (file, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match methods.iter_mut().find(|m| m.name == name && m.file == file) {
            Some(method) => {
                method.cases += 1;
                if badness(case) > badness(method.worst) {
                    method.worst = case;
                }
            }
            None => methods.push(Method { name, file, cases: 1, worst: case }),
        }
    }
    let reference =
        |file: &str| INSIDE.iter().find(|(path, ..)| path.contains(&format!("/{file}."))).map_or("", |(.., reference)| reference);
    let width = methods.iter().map(|m| m.file.chars().count() + 1 + m.name.chars().count()).max().unwrap_or(0);
    let mut text = format!("status  {:<width$}  {:<26}  cases  {:>10}  {:>9}\n", "method", "reference", "difference", "tolerance");
    for Method { name, file, cases, worst } in methods {
        let (difference, tolerance) = (number(worst.max_abs_diff), number(worst.tolerance));
        let (status, reference, name) = (word(worst.status), reference(file), format!("{file}/{name}"));
        text.push_str(&format!("{status:<6}  {name:<width$}  {reference:<26}  {cases:>5}  {difference:>10}  {tolerance:>9}\n"));
        if worst.status == Status::Fail {
            text.push_str(&format!("        {}: {}\n", worst.name, worst.note));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_compared_cases_count_for_a_folder() {
        assert!(Summary { pass: 1, skip: 3, ..Summary::default() }.verdict().is_ok());
        assert!(Summary { quirk: 1, ..Summary::default() }.verdict().is_ok());
        assert!(Summary { skip: 3, ..Summary::default() }.verdict().is_err());
        let failed = Summary { pass: 5, fail: 2, ..Summary::default() }.verdict().expect_err("fails");
        assert!(failed.to_string().contains("2 of 7"), "{failed}");
    }

    #[test]
    fn the_worst_case_speaks_for_its_method() {
        let case = |name: &str, status, diff: f64| Case {
            name: name.to_owned(),
            status,
            max_abs_diff: Some(diff),
            tolerance: Some(1e-10),
            note: String::new(),
        };
        let text = by_method(&[
            case("misc/cfg/0", Status::Pass, 1e-15),
            case("misc/cfg/1", Status::Pass, 3e-11),
            case("schedules/cosine/a", Status::Fail, 1e-3),
            case("schedules/cosine/b", Status::Pass, 9e-11),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[1].starts_with("pass") && lines[1].contains("cfg") && lines[1].contains("3.0e-11") && lines[1].contains("published"));
        assert!(lines[2].starts_with("FAIL") && lines[3].contains("schedules/cosine/a"));
    }
}
