//! Runs the core against any folder of reference values, and says for each case how far it is from them.
//!
//! Nothing here is keyed on a case's name or on a known number: an entry is dispatched on what it says about itself (scheduler,
//! settings, mode), and each number in it is either used or checked, so that a damaged copy fails.

mod analytic;
mod bounds;
mod convergence;
mod d3pm;
mod distillation;
mod guidance;
mod json;
mod likelihood;
mod losses;
mod misc;
mod parameterisations;
mod relative;
mod report;
mod rng;
mod schedules;
mod trajectories;
mod weak;

use std::{fs, path::Path};

use burn::tensor::Device;
use serde::Serialize;

use json::At;
use report::Report;

use crate::schedule::{Table, betas};

/// What came of one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Within the tolerance.
    Pass,
    /// Outside the tolerance, or inconsistent in itself.
    Fail,
    /// Not understood: an unknown file, scheduler or setting.
    Skip,
    /// The reference is known to be wrong here; what can be checked is right.
    Quirk,
}

/// One comparison of ours with a reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// File stem and entry, `trajectories/ddim` for instance.
    pub name: String,
    /// What came of it.
    pub status: Status,
    /// Largest absolute difference found; none if nothing was compared.
    pub max_abs_diff: Option<f64>,
    /// Tolerance, relative to `max(1, |expected|)` unless the note says otherwise.
    pub tolerance: Option<f64>,
    /// Where the largest difference is, or why there is none.
    pub note: String,
}

/// Why a folder could not be checked at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelftestError {
    /// A file or folder that cannot be read.
    #[error("cannot read {file}")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file that is not JSON.
    #[error("{file} is not valid JSON")]
    Json {
        /// The file.
        file: String,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A file whose content does not fit the schema.
    #[error("{file}: expected {expected} at '{path}'")]
    Malformed {
        /// The file.
        file: String,
        /// Where in the document.
        path: String,
        /// What should be there.
        expected: String,
    },
    /// A folder without any reference values.
    #[error("no .json file in {folder}; it should be a folder of reference vectors")]
    Empty {
        /// The folder.
        folder: String,
    },
}

/// Checks every JSON file below a folder, in the order of their paths.
///
/// With a device, each trajectory is also run there in f32 (tolerance 1e-4), as a case of its own that ends in `/f32`.
///
/// # Errors
/// [`SelftestError`] names the first file that cannot be read or does not fit the schema. A file or entry of an unknown kind is no
/// error but a case with [`Status::Skip`].
pub fn run_dir(dir: &Path, device: Option<&Device>) -> Result<Vec<Case>, SelftestError> {
    let mut files = Vec::new();
    collect(dir, &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(SelftestError::Empty { folder: dir.display().to_string() });
    }
    let mut texts = Vec::new();
    for path in files {
        let file = path.display().to_string();
        let text = fs::read_to_string(&path).map_err(|source| SelftestError::Read { file: file.clone(), source })?;
        texts.push((file, text));
    }
    run_texts(texts.iter().map(|(file, text)| (file.as_str(), text.as_str())), device)
}

/// As [`run_dir`], for documents in memory: pairs of a file name and its text, of one folder.
///
/// # Errors
/// As [`run_dir`].
pub fn run_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>, device: Option<&Device>) -> Result<Vec<Case>, SelftestError> {
    let mut docs = Vec::new();
    for (file, text) in texts {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|source| SelftestError::Json { file: file.to_owned(), source })?;
        let stem = Path::new(file).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        docs.push((file.to_owned(), stem, value));
    }
    // One mixture serves the whole folder: a document that needs it and has none takes that of a sibling.
    let shared = docs.iter().find_map(|(file, _, value)| At::root(value, file).opt("mixture").map(|m| m.parse())).transpose()?;
    // So do its discrete schedules, beside the usual one.
    let usual = Table::from_betas(&betas::linear(1e-4, 0.02, 1000));
    let mut tables: Vec<Table> = usual.into_iter().collect();
    for (file, _, value) in &docs {
        let doc = At::root(value, file);
        if schedules::is(&doc) {
            tables.extend(schedules::tables(&doc)?.into_iter().map(|(_, table)| table));
        }
    }
    let ends = docs.iter().find_map(|(_, _, value)| Some((value.get("sigma_max")?.as_f64()?, value.get("sigma_min")?.as_f64()?)));
    let mut cases = Vec::new();
    for (file, stem, value) in docs {
        let mut report = Report::new(&stem, device);
        report.mixture.clone_from(&shared);
        report.ends = ends.unwrap_or(report.ends);
        report.tables.clone_from(&tables);
        run_file(&At::root(&value, &file), &mut report)?;
        cases.extend(report.into_cases());
    }
    Ok(cases)
}

fn collect(dir: &Path, files: &mut Vec<std::path::PathBuf>) -> Result<(), SelftestError> {
    let read = |source| SelftestError::Read { file: dir.display().to_string(), source };
    for entry in fs::read_dir(dir).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "json") {
            files.push(path);
        }
    }
    Ok(())
}

/// Dispatches on what a document holds, not on what the file is called.
fn run_file(doc: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let has = |key: &str| doc.opt(key).is_some();
    if has("mixture") && has("cases") && doc.get("cases")?.value().is_object() {
        trajectories::check(doc, report)
    } else if has("ode_reference_ve") {
        convergence::check(doc, report)
    } else if has("exact_mean") && has("results") {
        weak::check(doc, report)
    } else if has("mixture") && has("cases") && !has("student_steps") {
        parameterisations::check(doc, report)
    } else if has("mixture") && has("sde") {
        likelihood::check(doc, report)
    } else if has("mixture") && has("exact_reverse_kernel") {
        analytic::check(doc, report)
    } else if has("mixture") && has("student_steps") {
        distillation::check(doc, report)
    } else if d3pm::is(doc) {
        d3pm::check(doc, report)
    } else if misc::is(doc) {
        misc::check(doc, report)
    } else if schedules::is(doc) {
        schedules::check(doc, report)
    } else {
        report.skip("", "no check for a document of this shape");
        Ok(())
    }
}
