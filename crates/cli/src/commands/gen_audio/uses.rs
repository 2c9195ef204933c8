//! The flags of the uses of `gen audio` that start from recordings, and which of them go together.

use std::path::{Path, PathBuf};

use langevin_engine::Shard;

use super::Args;
use crate::{report::Failure, values};

/// Clips of an interpolation when no number is asked for.
const POINTS: u32 = 9;
/// What makes sound of log-mel spectrograms when it is not said: what does best on validation recordings (`BENCHMARKS.md`).
const OF_RECORDINGS: Vocoder = Vocoder::Diffusion;
const OF_SPEECH: Vocoder = Vocoder::GriffinLim;
/// Length of a new sound when none is asked for.
const SECONDS: f64 = 0.6;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Uses")]
pub(super) struct UseArgs {
    /// Recording or folder for --inpaint, --upsample and --variations
    #[arg(value_name = "WAV|DIR", conflicts_with_all = ["from", "interpolate", "text"])]
    input: Option<PathBuf>,
    /// Say these words one after the other: names of labels, separated by spaces
    #[arg(long, value_name = "WORDS", conflicts_with_all = ["label", "from", "inpaint", "upsample", "variations", "interpolate"])]
    pub(super) text: Option<String>,
    /// Make sound of log-mel spectrograms: those of recordings, or .npy files of shape [bands, frames] or [frames, bands] in natural
    /// logarithm of magnitude, as --save-mel writes them
    #[arg(long, value_name = "WAV|NPY|DIR", conflicts_with_all = ["inpaint", "upsample", "variations", "interpolate"])]
    from: Option<PathBuf>,
    /// What makes sound of log-mel spectrograms, given or generated [default: diffusion for what is given, griffin-lim for what is generated]
    #[arg(long, value_enum, value_name = "NAME", conflicts_with_all = ["inpaint", "upsample", "variations", "interpolate"])]
    vocoder: Option<Vocoder>,
    /// Model of --vocoder diffusion where --checkpoint names what generates the spectrograms [default: audio-wave]
    #[arg(long, value_name = "NAME|FILE", requires = "vocoder", conflicts_with = "from")]
    pub(super) vocoder_checkpoint: Option<PathBuf>,
    /// Write the log-mel spectrogram of each recording (at the standard loudness) beside its sound, as .npy
    #[arg(long, requires = "from")]
    save_mel: bool,
    /// Make a stretch of a recording anew, from A to B seconds; all other samples stay bit for bit
    #[arg(long, value_name = "A..B", value_parser = values::range, requires = "input", conflicts_with_all = ["upsample", "variations", "interpolate"])]
    inpaint: Option<values::Range>,
    /// How [default: diffusion]
    #[arg(long, value_enum, value_name = "NAME", requires = "inpaint")]
    inpaint_method: Option<InpaintMethod>,
    /// Raise a recording's rate to so many hertz, with what the higher rate can hold; what the lower one held stays
    #[arg(long, value_name = "RATE", value_parser = values::whole(1000..=768_000), requires = "input", conflicts_with_all = ["variations", "interpolate"])]
    upsample: Option<u32>,
    /// How [default: diffusion]
    #[arg(long, value_enum, value_name = "NAME", requires = "upsample")]
    upsample_method: Option<UpsampleMethod>,
    /// So many variations of a recording
    #[arg(long, value_name = "N", value_parser = values::whole(1..=super::MOST), requires = "input", conflicts_with = "interpolate")]
    variations: Option<u32>,
    /// How far a variation goes: 0 is the recording, 1 a new sound of its length [default: 0.5]
    #[arg(long, value_name = "S", value_parser = values::number(0.0..=1.0), requires = "variations")]
    strength: Option<f64>,
    /// -n clips on the way from one recording to another
    #[arg(long, num_args = 2, value_names = ["A.WAV", "B.WAV"])]
    interpolate: Option<Vec<PathBuf>>,
    /// Make nothing: print how probable recordings are under a model of waveforms, in bits, with a standard error; --label and --speaker are given to
    /// it. A prior (--checkpoint audio-digits) reads them from the files' names
    #[arg(long, value_name = "WAV|DIR|CSV", conflicts_with_all = NOT_OF_LIKELIHOOD)]
    likelihood: Option<PathBuf>,
}

/// Flags that say what is made, or how.
const NOT_OF_LIKELIHOOD: [&str; 25] = [
    "input",
    "text",
    "from",
    "vocoder",
    "vocoder_checkpoint",
    "save_mel",
    "inpaint",
    "upsample",
    "variations",
    "interpolate",
    "output",
    "n",
    "best_of",
    "png",
    "label_guidance",
    "speaker_guidance",
    "duration",
    "format",
    "solver",
    "grid",
    "steps",
    "guidance",
    "config",
    "shard",
    "force",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Vocoder {
    /// Phases found by iteration (fast Griffin-Lim)
    GriffinLim,
    /// A diffusion model of waveforms
    Diffusion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum InpaintMethod {
    /// A diffusion model that learned about gaps
    Diffusion,
    /// The same model without what it learned about gaps: going back and forth (RePaint)
    Repaint,
    /// Linear prediction of order 32 from both sides, cross-faded
    LinearPrediction,
    /// The samples with the least errors of linear prediction of order 512 across the gap (Janssen et al. 1986)
    LeastSquares,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum UpsampleMethod {
    /// A diffusion model that learned about missing bands
    Diffusion,
    /// A cubic spline through the samples
    Spline,
}

/// What is done with recordings.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Use {
    Vocode {
        from: PathBuf,
        vocoder: Vocoder,
        save_mel: bool,
    },
    Inpaint {
        input: PathBuf,
        range: values::Range,
        method: InpaintMethod,
    },
    Upsample {
        input: PathBuf,
        rate: u32,
        method: UpsampleMethod,
    },
    Vary {
        input: PathBuf,
        count: u32,
        strength: f64,
    },
    Interpolate {
        ends: [PathBuf; 2],
        count: u32,
    },
    /// Nothing is: a model of waveforms makes new sounds.
    Sample {
        count: u32,
        seconds: f64,
    },
}

impl UseArgs {
    /// Recordings whose likelihood is asked for.
    pub(super) fn likelihood(&self) -> Option<&Path> {
        self.likelihood.as_deref()
    }

    /// What makes sound of log-mel spectrograms.
    pub(super) fn vocoder(&self) -> Vocoder {
        self.vocoder.unwrap_or(if self.from.is_some() { OF_RECORDINGS } else { OF_SPEECH })
    }

    /// New sounds of a model of waveforms.
    ///
    /// # Errors
    /// Flags that it does not understand.
    pub(super) fn sample(&self, args: &Args) -> Result<Use, Failure> {
        let chosen = Use::Sample { count: args.n.unwrap_or(1), seconds: args.duration.unwrap_or(SECONDS) };
        if self.text.is_some() || self.vocoder.is_some() {
            let message = "--text and --vocoder are for models of log-mel spectrograms, but this checkpoint makes waveforms";
            return Err(Failure::usage("flags", message).help("leave --checkpoint out"));
        }
        refuse_flags_of_speech(args, &chosen)?;
        Ok(chosen)
    }

    /// The use, where there is one beside new speech.
    ///
    /// # Errors
    /// A recording without a word of what to do with it, or flags of speech beside a use that takes none.
    pub(super) fn chosen(&self, args: &Args) -> Result<Option<Use>, Failure> {
        let chosen = if let Some(from) = &self.from {
            Use::Vocode { from: from.clone(), vocoder: self.vocoder(), save_mel: self.save_mel }
        } else if let Some(ends) = &self.interpolate {
            let [a, b] = ends.as_slice() else { return Err(Failure::usage("interpolate", "--interpolate takes two recordings")) };
            let count = args.n.unwrap_or(POINTS);
            if count < 2 {
                return Err(Failure::usage("n", "an interpolation has two ends").help("give -n 2 or more"));
            }
            Use::Interpolate { ends: [a.clone(), b.clone()], count }
        } else if let Some(input) = self.input.clone() {
            match (self.inpaint, self.upsample, self.variations) {
                (Some(range), ..) => Use::Inpaint { input, range, method: self.inpaint_method.unwrap_or(InpaintMethod::Diffusion) },
                (_, Some(rate), _) => Use::Upsample { input, rate, method: self.upsample_method.unwrap_or(UpsampleMethod::Diffusion) },
                (.., Some(count)) => Use::Vary { input, count, strength: self.strength.unwrap_or(0.5) },
                _ => {
                    let message = format!("it is not said what to do with {}", input.display());
                    return Err(Failure::usage("input", message).help(format!(
                        "give --inpaint A..B, --upsample RATE or --variations N, or --from {} to vocode it",
                        input.display()
                    )));
                }
            }
        } else {
            return Ok(None);
        };
        refuse_flags_of_speech(args, &chosen)?;
        Ok(Some(chosen))
    }
}

/// Flags that mean something for new speech only.
fn refuse_flags_of_speech(args: &Args, chosen: &Use) -> Result<(), Failure> {
    let counts = matches!(chosen, Use::Interpolate { .. } | Use::Sample { .. });
    let given = [
        (args.n.is_some() && !counts, "-n", "a recording gives one result (--variations N gives several)"),
        (args.best_of.is_some(), "--best-of", "it chooses among takes of new speech"),
        (args.duration.is_some() && !matches!(chosen, Use::Sample { .. }), "--duration", "the result is as long as the recording"),
        (args.shard.part() != Shard::WHOLE, "--shard", "give each process a folder of its own"),
    ];
    match given.into_iter().find(|(given, ..)| *given) {
        Some((_, flag, reason)) => Err(Failure::usage("flags", format!("{flag} does not go with {}: {reason}", chosen.flag()))),
        None => Ok(()),
    }
}

impl Use {
    /// Its name in a manifest.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Sample { .. } => "sample",
            other => other.flag().trim_start_matches('-'),
        }
    }

    /// The flag that asks for it.
    pub(super) const fn flag(&self) -> &'static str {
        match self {
            Self::Vocode { .. } => "--from",
            Self::Inpaint { .. } => "--inpaint",
            Self::Upsample { .. } => "--upsample",
            Self::Vary { .. } => "--variations",
            Self::Interpolate { .. } => "--interpolate",
            Self::Sample { .. } => "a model of waveforms",
        }
    }
}
