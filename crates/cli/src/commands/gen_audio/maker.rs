//! What makes a sound of a recording: a diffusion model of waveforms, or a method that learned nothing.

use std::{
    ops::{ControlFlow, Range},
    path::Path,
};

use burn::tensor::Device;
use langevin_audio::{
    Clip, WavFormat,
    baseline::{self, fill_gap, interpolate_gap, upsample_spline},
    codec::Frontend,
    encode_mel, normalise,
};
use langevin_core::recipe::Sampling;
use langevin_engine::Checkpoint;
use serde::Serialize;

use super::{
    Args,
    sources::Source,
    targets::Made,
    uses::{InpaintMethod, UpsampleMethod, Use, Vocoder},
    waves::Waves,
};
use crate::{audio, report::Failure, values};

/// Fills a range of a clip by prediction of an order.
type Fill = fn(&[f32], Range<usize>, usize) -> langevin_audio::Result<Vec<f32>>;

/// What makes sounds.
#[allow(clippy::large_enum_variant, reason = "a command has one")]
pub(super) enum Maker {
    GriffinLim(Frontend),
    /// Gaps, by this function of a clip, a range and an order, and the order.
    Predictor(Fill, usize),
    Spline,
    Model(Waves),
}

/// What the manifest says of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct About {
    pub(super) method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) checkpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) checkpoint_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sampling: Option<Sampling>,
}

impl About {
    /// A model that is sampled.
    pub(super) fn of(method: &'static str, checkpoint: &Checkpoint, sampling: Sampling) -> Self {
        let (name, hash) = (checkpoint.header.config.name.clone(), checkpoint.hash.clone());
        Self { method, checkpoint: Some(name), checkpoint_hash: Some(hash), sampling: Some(sampling) }
    }

    const fn plain(method: &'static str) -> Self {
        Self { method, checkpoint: None, checkpoint_hash: None, sampling: None }
    }
}

impl Maker {
    /// What a use asks for.
    ///
    /// # Errors
    /// A checkpoint that is not there or is of another kind, or flags of a model beside a method that has none.
    pub(super) fn open(chosen: &Use, args: &Args, seed: u64, device: &Device) -> Result<(Self, About), Failure> {
        let (maker, about) = match chosen {
            Use::Vocode { vocoder: Vocoder::GriffinLim, .. } => {
                let name = args.checkpoint_or(audio::PRIOR);
                (Self::GriffinLim(Frontend::new(&audio::codec_config(name)?)?), About::plain("griffin-lim"))
            }
            Use::Inpaint { method: InpaintMethod::LinearPrediction, .. } => {
                (Self::Predictor(fill_gap, baseline::ORDER), About::plain("linear-prediction"))
            }
            Use::Inpaint { method: InpaintMethod::LeastSquares, .. } => {
                (Self::Predictor(interpolate_gap, baseline::LONG_ORDER), About::plain("least-squares"))
            }
            Use::Upsample { method: UpsampleMethod::Spline, .. } => (Self::Spline, About::plain("spline")),
            _ => {
                let (waves, about) = Waves::open(chosen, args, seed, device)?;
                return Ok((Self::Model(waves), about));
            }
        };
        maker.refuse_flags(args, about.method)?;
        Ok((maker, about))
    }

    /// Flags that only a network understands.
    fn refuse_flags(&self, args: &Args, method: &str) -> Result<(), Failure> {
        let given = [
            (args.sampling.is_given(), "--solver, --grid, --steps, --guidance and --config"),
            (args.label.is_some() || args.speaker.is_some(), "--label and --speaker"),
            (args.label_guidance.is_some() || args.speaker_guidance.is_some(), "--label-guidance and --speaker-guidance"),
            (args.checkpoint.is_some() && !matches!(self, Self::GriffinLim(_)), "--checkpoint"),
        ];
        match given.into_iter().find(|(given, _)| *given) {
            Some((_, flags)) => Err(Failure::usage("flags", format!("{flags} are for models, but {method} has none"))),
            None => Ok(()),
        }
    }

    /// The rate at which it reads clips, hertz; the clip's own when absent.
    pub(super) fn rate(&self, chosen: &Use) -> Option<u32> {
        match self {
            Self::GriffinLim(frontend) => Some(frontend.config().rate),
            // It is raised from what it is.
            Self::Model(_) if matches!(chosen, Use::Upsample { .. }) => None,
            Self::Model(waves) => Some(waves.rate()),
            Self::Predictor(..) | Self::Spline => None,
        }
    }

    /// Bands of the log-mel spectrograms that it reads instead of clips.
    pub(super) fn bands(&self) -> Option<usize> {
        match self {
            Self::GriffinLim(frontend) => Some(frontend.config().mels),
            Self::Model(waves) => waves.bands(),
            Self::Predictor(..) | Self::Spline => None,
        }
    }

    /// Result `row` of one recording, of two, or of nothing.
    ///
    /// # Errors
    /// What the method refuses.
    pub(super) fn make(
        &self,
        chosen: &Use,
        sources: &[Source],
        row: u32,
        format: Option<WavFormat>,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Made>, Failure> {
        let one = match (self, chosen, sources) {
            (Self::Model(waves), ..) => return waves.make(chosen, sources, row, format, observe),
            (Self::GriffinLim(frontend), Use::Vocode { save_mel, .. }, [source]) => griffin_lim(frontend, source, *save_mel, format)?,
            (Self::Predictor(fill, order), Use::Inpaint { range, .. }, [Source::Clip(clip, own)]) => {
                let range = samples_of(*range, clip);
                let samples = fill(&clip.samples, range.clone(), *order)?;
                Made { dithered: range, ..Made::new(samples, clip.rate, format.unwrap_or(*own)) }
            }
            (Self::Spline, Use::Upsample { rate, .. }, [Source::Clip(clip, _)]) => {
                Made::new(upsample_spline(&clip.samples, clip.rate, *rate)?, *rate, format.unwrap_or_default())
            }
            _ => return Err(Failure::usage("flags", format!("{} cannot be done this way", chosen.flag()))),
        };
        Ok(ControlFlow::Continue(one))
    }
}

/// The samples of a stretch of time.
pub(super) fn samples_of(range: values::Range, clip: &Clip) -> Range<usize> {
    let at = |seconds: f64| (seconds * f64::from(clip.rate)).round() as usize;
    at(range.from)..at(range.to)
}

/// Refuses a recording that a use cannot start from, before anything is written.
///
/// # Errors
/// A range that is not inside it, or a rate that is not below the wanted one.
pub(super) fn check(chosen: &Use, path: &Path, source: &Source) -> Result<(), Failure> {
    let Source::Clip(clip, _) = source else { return Ok(()) };
    match chosen {
        Use::Inpaint { range, .. } => {
            let samples = samples_of(*range, clip);
            if samples.is_empty() || samples.end > clip.samples.len() {
                let message = format!("{}: {}..{} s is not inside its {:.4} s", path.display(), range.from, range.to, clip.seconds());
                return Err(Failure::data("range", message).help("give a range that begins and ends inside the recording"));
            }
            Ok(())
        }
        Use::Upsample { rate, .. } if clip.rate >= *rate => {
            let message = format!("{} is at {} Hz, which is not below {rate} Hz", path.display(), clip.rate);
            Err(Failure::data("rate", message).help("give a rate above that of the recording"))
        }
        _ => Ok(()),
    }
}

fn griffin_lim(frontend: &Frontend, source: &Source, save_mel: bool, format: Option<WavFormat>) -> Result<Made, Failure> {
    let bands = frontend.config().mels;
    let (mel, samples, gain) = match source {
        Source::Mel(mel) => (mel.clone(), frontend.samples_of(mel.len() / bands), 1.0),
        Source::Clip(clip, _) => {
            let mut loud = clip.samples.clone();
            let gain = normalise(&mut loud, clip.rate);
            (frontend.log_mel(&loud)?, loud.len(), gain)
        }
    };
    let mut sound = frontend.griffin_lim(&mel, samples)?;
    sound.iter_mut().for_each(|v| *v /= gain);
    let kept = if save_mel { Some(encode_mel(&mel, bands)?) } else { None };
    Ok(Made { mel: kept, ..Made::new(sound, frontend.config().rate, format.unwrap_or_default()) })
}
