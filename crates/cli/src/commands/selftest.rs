//! `langevin selftest [--vectors DIR]`.

use std::path::PathBuf;

use langevin_core::selftest::{Case, Status, run_dir, run_texts};
use serde::Serialize;

use crate::{
    output,
    report::{Failure, printable},
    settings::Settings,
};

/// Compare the mathematics of this build with reference values
///
/// Solvers, schedules, parameterisations, likelihoods, distillation and D3PM are computed again on this machine and compared with values
/// made independently in float64.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin selftest --vectors tests/golden/core")]
pub(crate) struct Args {
    /// Folder of reference values: JSON files, read with all folders in it [default: those inside the program]
    #[arg(long, value_name = "DIR")]
    vectors: Option<PathBuf>,
}

macro_rules! golden {
    ($($name:literal),+ $(,)?) => { [$(($name, include_str!(concat!("../../../../tests/golden/", $name)))),+] };
}

/// The reference values inside the program.
const INSIDE: [(&str, &str); 10] = golden![
    "core/analytic_dpm.json",
    "core/convergence.json",
    "core/likelihood.json",
    "core/misc.json",
    "core/parameterisations.json",
    "core/progressive_distillation.json",
    "core/schedules.json",
    "core/trajectories_diffusers64.json",
    "core/weak_convergence.json",
    "d3pm/d3pm_K5_T10.json",
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
        None => run_texts(INSIDE, Some(&device))?,
    };
    let summary = Summary::of(&cases);
    let verdict = summary.verdict();
    let outcome = Outcome { cases, summary };
    if settings.json {
        output::json(&outcome)?;
    } else {
        output::data(printable(&text(&outcome)).as_bytes())?;
    }
    verdict
}

fn text(outcome: &Outcome) -> String {
    let width = outcome.cases.iter().map(|case| case.name.chars().count()).max().unwrap_or(0);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1e}"));
    let mut text = format!("status  {:<width$}  {:>10}  {:>9}  note\n", "case", "difference", "tolerance");
    for case in &outcome.cases {
        let status = match case.status {
            Status::Pass => "pass",
            Status::Fail => "FAIL",
            Status::Skip => "skip",
            Status::Quirk => "quirk",
        };
        let line =
            format!("{status:<6}  {:<width$}  {:>10}  {:>9}  {}", case.name, number(case.max_abs_diff), number(case.tolerance), case.note);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let Summary { pass, fail, skip, quirk } = outcome.summary;
    text.push_str(&format!("{pass} pass, {fail} fail, {skip} skip, {quirk} quirk (the reference is known to be wrong there)\n"));
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
}
