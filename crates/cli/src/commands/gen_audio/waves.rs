//! Uses of recordings that a diffusion model of waveforms serves.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use burn::tensor::Device;
use langevin_audio::{
    Clip, WavFormat,
    codec::{Features, Frontend},
    config::CodecConfig,
    encode_mel, normalise,
    task::{DiffWaveGeneration, Guidance, WaveGeneration, WaveRequest, WaveUse},
};
use langevin_core::{Philox, drive::RePaint, noise::stream};
use langevin_nn::Sampler;

use super::{
    Args,
    maker::{About, samples_of},
    sources::Source,
    targets::Made,
    uses::{InpaintMethod, Use},
};
use crate::{
    audio::{self, Waveforms},
    report::Failure,
};

/// A waveform model and how it is asked.
pub(super) struct Waves {
    model: Waveforms,
    request: WaveRequest,
}

impl Waves {
    /// Opens the model that a use asks for.
    ///
    /// # Errors
    /// No such checkpoint, one of another kind or rate, a name that it does not know, a setting that it does not allow.
    pub(super) fn open(chosen: &Use, args: &Args, seed: u64, device: &Device) -> Result<(Self, About), Failure> {
        let (model, checkpoint) = audio::open_waveforms(args.checkpoint_or(audio::WAVE), device)?;
        let own = match &model {
            Waveforms::Wave(wave) => &wave.config.sampling,
            Waveforms::DiffWave(wave) => &wave.config.sampling,
        };
        let sampling = args.sampling.chosen(own)?;
        let weight = |own: Option<f64>| own.unwrap_or(sampling.guidance);
        let guidance = Guidance { label: weight(args.label_guidance), speaker: weight(args.speaker_guidance) };
        let request = WaveRequest { label: args.label.clone(), speaker: args.speaker.clone(), guidance, sampling: sampling.clone(), seed };
        let waves = Self { model, request };
        let rate = waves.rate();
        if let Use::Upsample { rate: wanted, .. } = chosen
            && *wanted != rate
        {
            let message = format!("{} makes {rate} Hz, not {wanted} Hz", checkpoint.header.config.name);
            return Err(Failure::data("rate", message).help(format!("give --upsample {rate}, or --upsample-method spline")));
        }
        // What the request names is checked before any recording is read.
        waves.generation(Vec::new())?;
        let method = if matches!(chosen, Use::Inpaint { method: InpaintMethod::Repaint, .. }) { "repaint" } else { "diffusion" };
        Ok((waves, About::of(method, &checkpoint, sampling)))
    }

    /// Opens the vocoder of generated spectrograms, with its own settings.
    ///
    /// # Errors
    /// No such checkpoint, or one that does not vocode.
    pub(super) fn open_vocoder(args: &Args, seed: u64, device: &Device) -> Result<(Self, About), Failure> {
        let name = args.uses.vocoder_checkpoint.as_deref().unwrap_or(Path::new(audio::WAVE));
        let (model, checkpoint) = audio::open_waveforms(name, device)?;
        let sampling = match &model {
            Waveforms::Wave(wave) => wave.config.sampling.clone(),
            Waveforms::DiffWave(wave) => wave.config.sampling.clone(),
        };
        let unguided = Guidance { label: 1.0, speaker: 1.0 };
        let request = WaveRequest { label: None, speaker: None, guidance: unguided, sampling: sampling.clone(), seed };
        Ok((Self { model, request }, About::of("diffusion", &checkpoint, sampling)))
    }

    /// The rate it works at, hertz.
    pub(super) const fn rate(&self) -> u32 {
        match &self.model {
            Waveforms::Wave(wave) => wave.config.codec.rate,
            Waveforms::DiffWave(wave) => wave.config.rate,
        }
    }

    /// Bands of the log-mel spectrograms that it makes sound of.
    pub(super) const fn bands(&self) -> Option<usize> {
        match &self.model {
            Waveforms::Wave(wave) => Some(wave.config.codec.mels),
            Waveforms::DiffWave(wave) => Some(wave.config.mel.mels),
        }
    }

    fn generation(&self, uses: Vec<WaveUse>) -> Result<Generation<'_>, Failure> {
        Ok(Generation::new(&self.model, &self.request, uses)?)
    }

    /// Network evaluations of one new sound.
    pub(super) fn evaluations(&self) -> Result<usize, Failure> {
        Ok(match self.generation(Vec::new())? {
            Generation::Wave(generation) => generation.run().nfe(),
            Generation::DiffWave(generation) => generation.run().nfe(),
        })
    }

    /// Result `row` of one recording, of two, or of nothing. It does not depend on other recordings: the results of each have rows of their own.
    ///
    /// # Errors
    /// What the model refuses.
    pub(super) fn make(
        &self,
        chosen: &Use,
        sources: &[Source],
        row: u32,
        format: Option<WavFormat>,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Made>, Failure> {
        let shared = |clip: &Clip| Arc::<[f32]>::from(clip.samples.as_slice());
        let (mut new, mut own, mut mel) = (None, WavFormat::Pcm16, None);
        let made_of = match (chosen, sources) {
            (Use::Vocode { save_mel, .. }, [source]) => {
                mel = save_mel.then(|| self.mel_file(source)).transpose()?;
                self.vocoding(source)?
            }
            (Use::Inpaint { range, method, .. }, [Source::Clip(clip, format)]) => {
                let range = samples_of(*range, clip);
                (new, own) = (Some(range.clone()), *format);
                let repaint = (*method == InpaintMethod::Repaint).then(RePaint::default);
                WaveUse::Inpaint { clip: shared(clip), range, repaint }
            }
            (Use::Upsample { .. }, [Source::Clip(clip, _)]) => WaveUse::Upsample { clip: shared(clip), rate: clip.rate },
            (Use::Vary { strength, .. }, [Source::Clip(clip, format)]) => {
                if *strength == 0.0 {
                    // The recording itself, in a format that holds it and without dither.
                    (new, own) = (Some(0..0), *format);
                }
                WaveUse::Vary { clip: shared(clip), strength: *strength }
            }
            (Use::Interpolate { count, .. }, [Source::Clip(a, _), Source::Clip(b, _)]) => {
                let share = f64::from(row) / f64::from((*count).max(2) - 1);
                WaveUse::Interpolate { from: shared(a), to: shared(b), share }
            }
            (Use::Sample { seconds, .. }, []) => WaveUse::Sample { seconds: *seconds },
            _ => return Err(Failure::usage("flags", format!("{} needs recordings", chosen.flag()))),
        };
        // A row's number is the address of its noise, so the rows before it are there, but never made.
        let generation = self.generation(vec![made_of; row as usize + 1])?;
        let ControlFlow::Continue(mut found) = generation.sample(row, observe) else { return Ok(ControlFlow::Break(())) };
        let made = Made::new(found.remove(0)?, self.rate(), format.unwrap_or(own));
        let dithered = new.unwrap_or_else(|| made.dithered.clone());
        Ok(ControlFlow::Continue(Made { dithered, mel, ..made }))
    }

    fn vocoding(&self, source: &Source) -> Result<WaveUse, Failure> {
        Ok(match (source, &self.model) {
            (Source::Clip(clip, _), Waveforms::Wave(wave)) => wave.vocoding(&clip.samples)?,
            (Source::Clip(clip, _), Waveforms::DiffWave(wave)) => wave.vocoding(&clip.samples)?,
            (Source::Mel(mel), model) => {
                let (bands, hop) = match model {
                    Waveforms::Wave(wave) => (wave.config.codec.mels, langevin_audio::wave_codec::BANDS),
                    Waveforms::DiffWave(wave) => (wave.config.mel.mels, wave.config.hop()),
                };
                let samples = ((mel.len() / bands).saturating_sub(1) * hop).max(1);
                WaveUse::Vocode { mel: with_frames(mel.clone(), bands, 1 + samples.div_ceil(hop)).into(), samples, gain: 1.0 }
            }
        })
    }

    fn mel_file(&self, source: &Source) -> Result<Vec<u8>, Failure> {
        let bands = self.bands().unwrap_or_default();
        let mel = match (source, &self.model) {
            (Source::Mel(mel), _) => mel.clone(),
            (Source::Clip(clip, _), model) => {
                let mut loud = clip.samples.clone();
                normalise(&mut loud, clip.rate);
                match model {
                    Waveforms::Wave(wave) => wave.codec.log_mel(&loud)?,
                    Waveforms::DiffWave(wave) => wave.frontend().log_mel(&loud)?,
                }
            }
        };
        Ok(encode_mel(&mel, bands)?)
    }
}

/// What makes sound of a prior's features, at the standard loudness, where `codec` is the prior's; the noise of each row is its own.
///
/// # Errors
/// A model whose log-mel spectrograms are not those of the prior.
pub(super) fn vocoder<'a>(
    waves: &'a Waves,
    frontend: &'a Frontend,
    seed: u64,
) -> Result<impl Fn(&Features, u32) -> langevin_audio::Result<Vec<f32>> + Sync + 'a, Failure> {
    let CodecConfig { rate, n_fft, window, hop, mels, .. } = *frontend.config();
    let reads = match &waves.model {
        Waveforms::Wave(wave) => {
            let codec = &wave.config.codec;
            [codec.n_fft, codec.window, langevin_audio::wave_codec::BANDS, codec.mels]
        }
        Waveforms::DiffWave(wave) => [wave.config.mel.n_fft, wave.config.mel.window, wave.config.hop(), wave.config.mel.mels],
    };
    if waves.rate() != rate || reads != [n_fft, window, hop, mels] {
        let message = "the vocoder's log-mel spectrograms are not those of the checkpoint";
        return Err(Failure::data("vocoder", message).help("train one with the same rate, n_fft, window, hop and mels"));
    }
    Ok(move |features: &Features, row: u32| {
        let (mel, samples) = frontend.log_mel_of(features);
        // A vocoder may read one frame more, which begins where the sound ends.
        let mel = with_frames(mel, mels, 1 + samples.div_ceil(hop));
        let words = Philox::new(seed).words([0, row, 0, stream::DOMAIN + 3]);
        let request = WaveRequest { seed: u64::from(words[0]) << 32 | u64::from(words[1]), ..waves.request.clone() };
        let uses = vec![WaveUse::Vocode { mel: mel.into(), samples, gain: 1.0 }];
        let generation = Generation::new(&waves.model, &request, uses)?;
        let go_on = || ControlFlow::Continue(());
        let ControlFlow::Continue(mut sounds) = generation.sample(0, &go_on) else { unreachable!("nothing stops it") };
        let mut sound = sounds.remove(0)?;
        normalise(&mut sound, rate);
        Ok(sound)
    })
}

/// Log-mel rows of `bands` numbers with the last one repeated until there are so many.
fn with_frames(mut mel: Vec<f32>, bands: usize, frames: usize) -> Vec<f32> {
    while !mel.is_empty() && mel.len() < frames * bands {
        mel.extend_from_within(mel.len() - bands..);
    }
    mel
}

#[allow(clippy::large_enum_variant, reason = "a command has one")]
enum Generation<'a> {
    Wave(WaveGeneration<'a>),
    DiffWave(DiffWaveGeneration<'a>),
}

/// Samples of the rows of one run, each with what may have gone wrong.
type Rows = Vec<langevin_audio::Result<Vec<f32>>>;

impl<'a> Generation<'a> {
    fn new(model: &'a Waveforms, request: &WaveRequest, uses: Vec<WaveUse>) -> langevin_audio::Result<Self> {
        Ok(match model {
            Waveforms::Wave(wave) => Self::Wave(WaveGeneration::new(wave, request, uses)?),
            Waveforms::DiffWave(wave) => Self::DiffWave(DiffWaveGeneration::new(wave, request, uses)?),
        })
    }

    fn sample(&self, row: u32, observe: &dyn Fn() -> ControlFlow<()>) -> ControlFlow<(), Rows> {
        match self {
            Self::Wave(generation) => generation.sample(row..row + 1, observe),
            Self::DiffWave(generation) => generation.sample(row..row + 1, observe),
        }
    }
}
