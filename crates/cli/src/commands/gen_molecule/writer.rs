//! Conformers in files: SDF, XYZ, JSON lines, CSV.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use langevin_molecule::{
    Molecule, Point,
    io::{Sink, write_sdf, write_xyz},
    task::Relax,
};
use serde::Serialize;

use crate::{
    output::{self, Stream},
    report::Failure,
};

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// SDF with data fields
    Sdf,
    /// XYZ, the fields in the comment line
    Xyz,
    /// One JSON object a conformer
    Jsonl,
    /// One row a conformer, the positions in a column
    Csv,
}

impl Format {
    /// The form that a name's ending tells, SDF for stdout.
    ///
    /// # Errors
    /// An ending that is none of ours.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        if path == Path::new(output::STDOUT) {
            return Ok(Self::Sdf);
        }
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "sdf" | "sd" | "mol" => Ok(Self::Sdf),
            "xyz" => Ok(Self::Xyz),
            "jsonl" => Ok(Self::Jsonl),
            "csv" => Ok(Self::Csv),
            other => Err(Failure::usage("output", format!("{}: the ending '{other}' is none of sdf, xyz, jsonl, csv", path.display()))
                .help("choose one of these endings (.gz may follow), or give --format")),
        }
    }
}

/// What is told of a conformer beside its positions.
#[derive(Debug, Serialize)]
pub(crate) struct Fields {
    pub(crate) smiles: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    /// The stereoisomer, where the given string leaves centres open and they are enumerated or drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) isomer: Option<String>,
    /// Number of the conformer, counted from 0.
    pub(crate) conf: u32,
    /// Place in the order of energies, counted from 1.
    pub(crate) rank: usize,
    /// By MMFF94s in kcal/mol; elsewhere the energy of the restraints left, a measure of strain in arbitrary units.
    pub(crate) energy: f64,
    /// Which of the two.
    pub(crate) energy_unit: &'static str,
    /// Share of the ensemble: conformers are drawn by weight, so all are equal.
    pub(crate) weight: f64,
    pub(crate) seed: u64,
    pub(crate) model: String,
    /// Level of theory whose geometries were asked for; empty for a model that knows none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) level: String,
    /// What was done to sampled positions.
    pub(crate) relax: Relax,
    pub(crate) valid: bool,
    pub(crate) stereo_ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// Times it was drawn.
    pub(crate) draws: u32,
}

impl Fields {
    fn listed(&self) -> Vec<(String, String)> {
        let mut fields = vec![("smiles", self.smiles.clone())];
        if !self.name.is_empty() {
            fields.push(("name", self.name.clone()));
        }
        if let Some(isomer) = &self.isomer {
            fields.push(("isomer", isomer.clone()));
        }
        fields.extend([
            ("conf", self.conf.to_string()),
            ("rank", self.rank.to_string()),
            ("energy", format!("{:.4}", self.energy)),
            ("energy_unit", self.energy_unit.to_owned()),
            ("weight", format!("{:.6}", self.weight)),
            ("seed", self.seed.to_string()),
            ("model", self.model.clone()),
        ]);
        if !self.level.is_empty() {
            fields.push(("level", self.level.clone()));
        }
        fields.extend([("relax", self.relax.to_string()), ("valid", self.valid.to_string()), ("stereo_ok", self.stereo_ok.to_string())]);
        if let Some(problem) = &self.problem {
            fields.push(("problem", problem.clone()));
        }
        fields.push(("draws", self.draws.to_string()));
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Writes conformers as they come.
pub(crate) struct Writer {
    path: PathBuf,
    format: Format,
    sink: Sink<Stream>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Header of a CSV file.
pub(crate) const CSV_HEADER: &str =
    "smiles,name,conf,rank,energy,energy_unit,weight,seed,model,level,relax,valid,stereo_ok,atoms,positions\n";

impl Writer {
    /// Starts a claimed output.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn start(path: &Path, format: Format) -> Result<Self, Failure> {
        let mut writer = Self { path: path.to_owned(), format, sink: Sink::for_path(path, Stream::start(path)?) };
        if format == Format::Csv {
            writer.bytes(CSV_HEADER.as_bytes())?;
        }
        Ok(writer)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.sink.write_all(bytes).map_err(|e| match e.kind() {
            std::io::ErrorKind::BrokenPipe if self.path == Path::new(output::STDOUT) => Failure::closed_pipe(),
            _ => Failure::io(&self.path, e),
        })
    }

    /// Writes one conformer.
    ///
    /// # Errors
    /// The system refuses, or the molecule has no form in the file.
    pub(crate) fn conformer(&mut self, molecule: &Molecule, positions: &[Point], fields: &Fields) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        match self.format {
            Format::Sdf => write_sdf(&mut bytes, &fields.smiles, molecule, positions, &fields.listed())?,
            Format::Xyz => {
                let told: Vec<String> = fields.listed().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
                write_xyz(&mut bytes, &told.join(" "), molecule, positions)?;
            }
            Format::Jsonl => {
                let rounded: Vec<[f64; 3]> = positions.iter().map(|p| p.map(|v| (v * 1e4).round() / 1e4)).collect();
                let line = serde_json::json!({
                    "schema_version": output::SCHEMA_VERSION,
                    "conformer": fields,
                    "z": molecule.atoms.iter().map(|a| a.element.0).collect::<Vec<_>>(),
                    "charge": molecule.atoms.iter().map(|a| a.charge).collect::<Vec<_>>(),
                    "bonds": molecule.bonds.iter().map(|b| [b.atoms[0], b.atoms[1], usize::from(b.order)]).collect::<Vec<_>>(),
                    "positions": rounded,
                });
                bytes.extend_from_slice(line.to_string().as_bytes());
                bytes.push(b'\n');
            }
            Format::Csv => {
                let atoms: Vec<&str> = molecule.atoms.iter().map(|a| a.element.symbol()).collect();
                let places: Vec<String> = positions.iter().map(|[x, y, z]| format!("{x:.4} {y:.4} {z:.4}")).collect();
                let row = [
                    quoted(&fields.smiles),
                    quoted(&fields.name),
                    fields.conf.to_string(),
                    fields.rank.to_string(),
                    format!("{:.4}", fields.energy),
                    fields.energy_unit.to_owned(),
                    format!("{:.6}", fields.weight),
                    fields.seed.to_string(),
                    quoted(&fields.model),
                    quoted(&fields.level),
                    fields.relax.to_string(),
                    fields.valid.to_string(),
                    fields.stereo_ok.to_string(),
                    atoms.join(" "),
                    places.join(";"),
                ];
                bytes.extend_from_slice(row.join(",").as_bytes());
                bytes.push(b'\n');
            }
        }
        self.bytes(&bytes)
    }

    /// Puts the output where it belongs.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        self.sink.finish().map_err(|e| Failure::io(&self.path, e))?.finish()
    }
}

/// A field of a CSV row.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
