//! `langevin gen audio`: speech that is new, and the other uses of the audio models.

mod changed;
mod listen;
mod maker;
mod manifest;
mod resume;
mod sources;
mod speech;
mod targets;
mod uses;
mod waves;

use std::path::{Path, PathBuf};

use langevin_audio::WavFormat;

use super::likelihood_audio::{self, Asked, OdeArgs};
use crate::{
    args::{SeedArg, ShardArg, WriteArgs},
    audio, output,
    report::Failure,
    sampling::SamplingArgs,
    settings::Settings,
    values,
};
use uses::UseArgs;

/// Most clips of one command.
const MOST: u32 = 10_000_000;

/// Generate speech, or change recordings
///
/// Alone it generates: {label}_{speaker}_{i}.wav and manifest.json. Clip i depends on the seed and the settings only, not on -n, threads or shards.
/// With --from, --inpaint, --upsample, --variations or --interpolate it starts from recordings: a file gives a file, a folder a
/// folder with the same names; what is made of a file does not depend on the files beside it. --likelihood tells how probable recordings are, and
/// writes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin gen audio --label 7 -n 8 -o out/
Example: langevin gen audio --text \"4 0 7\" --speaker theo -o out/
Example: langevin gen audio --from recordings/ -o vocoded/
Example: langevin gen audio --inpaint 0.10..0.20 x.wav -o y.wav
Example: langevin gen audio --likelihood recordings/ --json")]
pub(crate) struct Args {
    /// What is said; drawn for each clip when absent
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// Who says it; drawn for each clip when absent
    #[arg(long, value_name = "NAME")]
    speaker: Option<String>,
    /// Number of clips [default: 1; with --interpolate 9]
    #[arg(short, value_name = "N", value_parser = values::whole(1..=MOST))]
    n: Option<u32>,
    /// Folder for the clips, a .wav file for one, or - for one on stdout
    #[arg(short, long, value_name = "DIR|WAV|-", required_unless_present = "likelihood")]
    output: Option<PathBuf>,
    /// Generate K takes of each clip (of each word of a --text) and keep the one that the built-in judge understands best
    #[arg(long, value_name = "K", value_parser = values::whole(1..=1000))]
    best_of: Option<u32>,
    /// Draw each clip beside its file, as PNG: waveform and log-mel spectrogram
    #[arg(long)]
    png: bool,
    /// Guidance weight of the label alone
    #[arg(long, value_name = "W", value_parser = values::number(0.0..=20.0))]
    label_guidance: Option<f64>,
    /// Guidance weight of the speaker alone
    #[arg(long, value_name = "W", value_parser = values::number(0.0..=20.0))]
    speaker_guidance: Option<f64>,
    /// Duration in seconds; drawn with the sound when absent (0.6 from models of waveforms)
    #[arg(long, value_name = "SECONDS", value_parser = values::number(0.001..=600.0))]
    duration: Option<f64>,
    /// Format of the samples in a file [default: pcm16; with --inpaint one that holds the recording's samples]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Trained model: a shipped name or a file [default: audio-digits; audio-wave for recordings]
    #[arg(long, value_name = "NAME|FILE")]
    checkpoint: Option<PathBuf>,
    #[command(flatten)]
    uses: UseArgs,
    #[command(flatten)]
    ode: OdeArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    seed: SeedArg,
    #[command(flatten)]
    shard: ShardArg,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// 16-bit integers with triangular dither
    Pcm16,
    /// 32-bit floats
    F32,
}

impl Args {
    fn checkpoint_or<'a>(&'a self, default: &'a str) -> &'a Path {
        self.checkpoint.as_deref().unwrap_or(Path::new(default))
    }

    /// Where results go. Only what writes nothing runs without one.
    fn output(&self) -> &Path {
        self.output.as_deref().unwrap_or(Path::new(output::STDOUT))
    }

    /// The format of new sounds.
    fn wav_format(&self) -> WavFormat {
        self.format.map_or(WavFormat::Pcm16, WavFormat::from)
    }
}

impl From<Format> for WavFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Pcm16 => Self::Pcm16,
            Format::F32 => Self::Float32,
        }
    }
}

/// Name of a format in a manifest.
const fn format_name(format: WavFormat) -> &'static str {
    match format {
        WavFormat::Pcm16 => "pcm16",
        WavFormat::Float32 => "f32",
    }
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    if let Some(recordings) = args.uses.likelihood() {
        let asked = Asked {
            recordings,
            checkpoint: args.checkpoint_or(audio::WAVE),
            label: args.label.as_deref(),
            speaker: args.speaker.as_deref(),
            ode: &args.ode,
            seed: &args.seed,
            bounds: None,
            dry_run: args.write.dry_run,
        };
        return likelihood_audio::run(&asked, settings);
    }
    args.ode.refuse()?;
    match args.uses.chosen(args)? {
        None if args.checkpoint.as_deref().map(audio::is_waveforms).transpose()? == Some(true) => {
            changed::run(&args.uses.sample(args)?, args, settings)
        }
        None => speech::run(args, settings),
        Some(chosen) => changed::run(&chosen, args, settings),
    }
}
