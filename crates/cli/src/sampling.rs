//! How to sample, as flags over a config over what the checkpoint says.

use std::path::{Path, PathBuf};

use langevin_core::recipe::Sampling;
use serde::{Serialize, de::DeserializeOwned};

use crate::{report::Failure, values};

/// Flags of commands that sample.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SamplingArgs {
    /// Solver, or driver: a name that `langevin list --methods` shows [default: the checkpoint's]
    #[arg(long, visible_alias = "sampler", value_name = "NAME")]
    pub(crate) solver: Option<String>,
    /// Grid of noise levels [default: the checkpoint's]
    #[arg(long, value_name = "NAME")]
    pub(crate) grid: Option<String>,
    /// Sampling steps [default: the checkpoint's]
    #[arg(long, value_name = "N", value_parser = values::whole(1..=10_000))]
    pub(crate) steps: Option<u32>,
    /// Guidance weight: 1 is unguided, more is clearer and less varied [default: the checkpoint's]
    #[arg(long, value_name = "W", value_parser = values::number(0.0..=20.0))]
    pub(crate) guidance: Option<f64>,
    /// TOML file whose [sampling] table names any of this, with all settings
    #[arg(long = "config", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

impl SamplingArgs {
    /// Whether any of them is given.
    pub(crate) fn is_given(&self) -> bool {
        let Self { solver, grid, steps, guidance, config } = self;
        solver.is_some() || grid.is_some() || steps.is_some() || guidance.is_some() || config.is_some()
    }

    /// The effective settings: flags over `--config` over the checkpoint's.
    ///
    /// # Errors
    /// A config that cannot be read, an unknown key or name, a number out of range.
    pub(crate) fn chosen(&self, checkpoint: &Sampling) -> Result<Sampling, Failure> {
        let mut sampling = match &self.config {
            Some(path) => overlay(path, checkpoint)?,
            None => checkpoint.clone(),
        };
        if let Some(name) = &self.solver {
            sampling.solver = name.parse()?;
        }
        if let Some(name) = &self.grid {
            sampling.grid = name.parse()?;
        }
        sampling.steps = self.steps.map_or(sampling.steps, |n| n as usize);
        sampling.guidance = self.guidance.unwrap_or(sampling.guidance);
        sampling.check()?;
        Ok(sampling)
    }
}

/// The keys of a file's `[sampling]` table over those of a checkpoint.
///
/// # Errors
/// A file that cannot be read, an unknown key or name.
pub(crate) fn overlay<S: Serialize + DeserializeOwned>(path: &Path, checkpoint: &S) -> Result<S, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::io(path, e))?;
    let bad = |e: &dyn std::fmt::Display| {
        let message = format!("{}: {}", path.display(), e.to_string().trim_end());
        let failure = Failure::data("config", &message);
        match values::meant(&message) {
            Some(meant) => failure.help(meant),
            None => failure.help("a sampling config is a table [sampling] with solver, grid, steps, guidance, ..."),
        }
    };
    let mut file: toml::Table = text.parse().map_err(|e| bad(&e))?;
    let wanted = match file.remove("sampling") {
        Some(toml::Value::Table(table)) => table,
        Some(_) => return Err(bad(&"`sampling` should be a table: [sampling]")),
        None => return Err(bad(&"there is no table [sampling]")),
    };
    if let Some(key) = file.keys().next() {
        return Err(bad(&format!("unknown field `{key}`, expected `sampling`")));
    }
    let mut all = toml::Table::try_from(checkpoint).map_err(|e| bad(&e))?;
    all.extend(wanted);
    toml::Value::Table(all).try_into().map_err(|e| bad(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<Sampling, Failure> {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("is written");
        let none = SamplingArgs { solver: None, grid: None, steps: None, guidance: None, config: Some(file.path().to_owned()) };
        none.chosen(&Sampling { steps: 9, guidance: 1.5, ..Sampling::default() })
    }

    #[test]
    fn a_config_changes_what_it_names_and_nothing_else() {
        let got = with("[sampling]\nsolver = { kind = \"unipc\", order = 3 }\ngrid = \"lambda\"\n").expect("is read");
        assert_eq!((got.steps, got.guidance), (9, 1.5));
        assert_eq!(got.solver, "unipc3".parse().expect("a solver"));
    }

    #[test]
    fn mistakes_come_with_what_was_meant() {
        for (text, meant) in [
            ("[sampling]\nslover = \"heun\"\n", "solver"),
            ("[sampling]\nsolver = { kind = \"unpic\" }\n", "unipc"),
            ("[sampling]\nsolver = { kind = \"unipc\", ordre = 2 }\n", "order"),
            ("[samplign]\nsteps = 3\n", "[sampling]"),
        ] {
            let failure = with(text).expect_err("is refused");
            let help = miette::Diagnostic::help(&failure).map(|h| h.to_string()).unwrap_or_default();
            assert!(help.contains(meant) || failure.to_string().contains(meant), "{failure}: {help}");
        }
        assert!(with("[sampling]\nsteps = 0\n").is_err() && with("steps = 3\n[sampling]\n").is_err());
    }
}
