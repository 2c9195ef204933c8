//! `langevin info FILE|NAME`.

mod table;

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use langevin_audio::Note;
use langevin_engine::{Card, Checkpoint, RunConfig};
use serde::Serialize;

use crate::{
    models, output,
    report::{Failure, printable},
    settings::Settings,
};

/// Say what a checkpoint, a table or a WAV file is
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin info model.safetensors")]
pub(crate) struct Args {
    /// A checkpoint file, the name of a checkpoint inside the program, a table such as a CSV file (`-` for standard input), or a WAV file
    #[arg(value_name = "FILE|NAME")]
    what: PathBuf,
}

/// What was found; the JSON of this command.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Found {
    Checkpoint(Box<OfCheckpoint>),
    Wav(OfWav),
    Table(Box<table::OfTable>),
}

#[derive(Serialize)]
struct OfCheckpoint {
    source: String,
    name: String,
    domain: String,
    format: u32,
    hash: String,
    parameters: usize,
    tensors: usize,
    config: RunConfig,
    card: Card,
}

#[derive(Serialize)]
struct OfWav {
    source: String,
    /// Hertz.
    rate: u32,
    channels: u16,
    /// Per channel.
    samples: usize,
    seconds: f64,
    /// Largest magnitude of the channels' mean; 1 is full scale. Of all channels when a float file exceeds full scale.
    peak: f32,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let path = args.what.as_path();
    let found = match models::shipped(path) {
        Some(shipped) => of_checkpoint(shipped.read()?),
        None if path == Path::new(output::STDOUT) => Found::Table(Box::new(table::read(path)?)),
        None if !path.exists() => return Err(models::missing(path)),
        None if is_wav(path)? => of_wav(path)?,
        None if table::is_table(path)? => Found::Table(Box::new(table::read(path)?)),
        None => of_checkpoint(Checkpoint::read(path)?),
    };
    if settings.json { output::json(&found) } else { output::data(printable(&text(&found)).as_bytes()) }
}

/// By content, and by name for files whose content is damaged.
fn is_wav(path: &Path) -> Result<bool, Failure> {
    if !path.is_file() {
        return Ok(false);
    }
    let named = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("wav"));
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(12).read_to_end(&mut start));
    read.map_err(|e| Failure::io(path, e))?;
    Ok(named || (start.starts_with(b"RIFF") && start.ends_with(b"WAVE")))
}

fn of_wav(path: &Path) -> Result<Found, Failure> {
    let (clip, notes) = langevin_audio::read_wav(path, None)?;
    let mut wav = OfWav {
        source: path.display().to_string(),
        rate: clip.rate,
        channels: 1,
        samples: clip.samples.len(),
        seconds: clip.seconds(),
        peak: clip.samples.iter().fold(0.0, |m, v| v.abs().max(m)),
    };
    for note in notes {
        match note {
            Note::Mixed { channels } => wav.channels = channels,
            Note::Scaled { peak } => wav.peak = peak,
            Note::Resampled { .. } => {}
        }
    }
    Ok(Found::Wav(wav))
}

fn of_checkpoint(checkpoint: Checkpoint) -> Found {
    Found::Checkpoint(Box::new(OfCheckpoint {
        source: checkpoint.source.display().to_string(),
        parameters: checkpoint.parameters(),
        tensors: checkpoint.tensors.len(),
        name: checkpoint.header.config.name.clone(),
        domain: checkpoint.header.config.domain.clone(),
        format: checkpoint.header.format,
        hash: checkpoint.hash,
        config: checkpoint.header.config,
        card: checkpoint.header.card,
    }))
}

fn text(found: &Found) -> String {
    let rows = |rows: &[(&str, String)]| rows.iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect::<String>();
    match found {
        Found::Table(found) => rows(&table::rows(found)) + &table::columns(found),
        Found::Wav(wav) => rows(&[
            ("file", wav.source.clone()),
            ("kind", "WAV".to_owned()),
            ("rate", format!("{} Hz", wav.rate)),
            ("channels", wav.channels.to_string()),
            ("length", format!("{:.3} s ({} samples)", wav.seconds, wav.samples)),
            ("peak", format!("{:.4} of full scale", wav.peak)),
        ]),
        Found::Checkpoint(c) => {
            let table = rows(&[
                ("file", c.source.clone()),
                ("kind", format!("checkpoint, format {}", c.format)),
                ("domain", c.domain.clone()),
                ("hash", c.hash.clone()),
                ("parameters", c.parameters.to_string()),
                ("tensors", c.tensors.to_string()),
            ]);
            let model = toml::to_string(&c.config.model).unwrap_or_default();
            let model: String = model.lines().map(|line| format!("    {line}\n")).collect();
            format!("{table}\n{}\nModel:\n\n{model}", c.card.to_markdown(&c.name))
        }
    }
}
