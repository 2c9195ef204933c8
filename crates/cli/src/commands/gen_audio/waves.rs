//! Uses of recordings that a diffusion model of waveforms serves.

use std::{ops::ControlFlow, sync::Arc};

use burn::tensor::Device;
use langevin_audio::{
    WavFormat, encode_mel, normalise,
    task::{DiffWaveGeneration, Guidance, WaveGeneration, WaveRequest, WaveUse},
};
use langevin_core::drive::RePaint;
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
        let about = About {
            method: if matches!(chosen, Use::Inpaint { method: InpaintMethod::Repaint, .. }) { "repaint" } else { "diffusion" },
            checkpoint: Some(checkpoint.header.config.name.clone()),
            checkpoint_hash: Some(checkpoint.hash.clone()),
            sampling: Some(sampling),
        };
        Ok((waves, about))
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
        Ok(match &self.model {
            Waveforms::Wave(wave) => Generation::Wave(WaveGeneration::new(wave, &self.request, uses)?),
            Waveforms::DiffWave(wave) => Generation::DiffWave(DiffWaveGeneration::new(wave, &self.request, uses)?),
        })
    }

    /// Sounds made of one recording, or of two. They do not depend on other recordings: each has rows of its own, from 0.
    ///
    /// # Errors
    /// What the model refuses.
    pub(super) fn make(
        &self,
        chosen: &Use,
        sources: &[Source],
        format: Option<WavFormat>,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<Made>>, Failure> {
        let clip = |source: &Source| -> Arc<[f32]> {
            match source {
                Source::Clip(clip, _) => clip.samples.as_slice().into(),
                Source::Mel(_) => Vec::new().into(),
            }
        };
        let mut made_of = Vec::new();
        let (mut new, mut own, mut mel) = (None, WavFormat::Pcm16, None);
        match (chosen, sources) {
            (Use::Vocode { save_mel, .. }, [source]) => {
                if *save_mel {
                    mel = Some(self.mel_file(source)?);
                }
                made_of.push(self.vocoding(source)?);
            }
            (Use::Inpaint { range, method, .. }, [Source::Clip(found, format)]) => {
                let range = samples_of(*range, found);
                (new, own) = (Some(range.clone()), *format);
                let repaint = (*method == InpaintMethod::Repaint).then(RePaint::default);
                made_of.push(WaveUse::Inpaint { clip: found.samples.as_slice().into(), range, repaint });
            }
            (Use::Upsample { .. }, [Source::Clip(found, _)]) => {
                made_of.push(WaveUse::Upsample { clip: found.samples.as_slice().into(), rate: found.rate });
            }
            (Use::Vary { count, strength, .. }, [source @ Source::Clip(_, format)]) => {
                if *strength == 0.0 {
                    // The recording itself, in a format that holds it and without dither.
                    (new, own) = (Some(0..0), *format);
                }
                made_of.extend((0..*count).map(|_| WaveUse::Vary { clip: clip(source), strength: *strength }));
            }
            (Use::Interpolate { count, .. }, [a, b]) => {
                let share = |k: u32| f64::from(k) / f64::from((*count).max(2) - 1);
                made_of.extend((0..*count).map(|k| WaveUse::Interpolate { from: clip(a), to: clip(b), share: share(k) }));
            }
            _ => return Err(Failure::usage("flags", format!("{} needs recordings", chosen.flag()))),
        }
        let count = made_of.len() as u32;
        let generation = self.generation(made_of)?;
        let mut results = Vec::with_capacity(count as usize);
        for row in 0..count {
            let ControlFlow::Continue(raw) = generation.sample(row, observe) else { return Ok(ControlFlow::Break(())) };
            for samples in raw {
                let made = Made::new(samples?, self.rate(), format.unwrap_or(own));
                results.push(Made { dithered: new.clone().unwrap_or(made.dithered.clone()), mel: mel.clone(), ..made });
            }
        }
        Ok(ControlFlow::Continue(results))
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
                WaveUse::Vocode { mel: mel.as_slice().into(), samples, gain: 1.0 }
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

enum Generation<'a> {
    Wave(WaveGeneration<'a>),
    DiffWave(DiffWaveGeneration<'a>),
}

/// Samples of the rows of one run, each with what may have gone wrong.
type Rows = Vec<langevin_audio::Result<Vec<f32>>>;

impl Generation<'_> {
    fn sample(&self, row: u32, observe: &dyn Fn() -> ControlFlow<()>) -> ControlFlow<(), Rows> {
        match self {
            Self::Wave(generation) => generation.sample(row..row + 1, observe),
            Self::DiffWave(generation) => generation.sample(row..row + 1, observe),
        }
    }
}
