//! The built-in judge beside generated speech: what it hears, and which take it likes best.

use std::path::Path;

use burn::tensor::Device;
use langevin_audio::task::{Judge, Judged, Prior, Sound};
use serde::Serialize;

use crate::{audio, report::Failure};

/// Clips judged in one batch.
const BATCH: usize = 32;

/// What is heard in a clip; in a sentence the words joined, with the least confidences among them and the speaker of the first word.
#[derive(Serialize)]
pub(super) struct Heard {
    label: String,
    label_confidence: f64,
    speaker: String,
    speaker_confidence: f64,
}

/// The judge, where it knows every name of a prior.
pub(super) struct Listener {
    judge: Judge,
}

impl Listener {
    /// Opens the built-in judge; none when it does not know every name of the prior, or works at another rate.
    pub(super) fn open(prior: &Prior, device: &Device) -> Result<Option<Self>, Failure> {
        let (judge, _) = audio::open_judge(Path::new(audio::JUDGE), device)?;
        let (names, wanted) = (judge.vocabulary(), &prior.config.vocabulary);
        let known = wanted.labels.iter().all(|l| names.labels.contains(l))
            && wanted.speakers.iter().all(|s| names.speakers.contains(s))
            && judge.rate() == prior.config.codec.rate;
        Ok(known.then_some(Self { judge }))
    }

    fn judge(&self, sounds: &[Sound]) -> Result<Vec<Judged>, Failure> {
        let mut judged = Vec::with_capacity(sounds.len());
        for batch in sounds.chunks(BATCH) {
            judged.extend(self.judge.judge(&batch.iter().map(|s| s.samples.as_slice()).collect::<Vec<_>>())?);
        }
        Ok(judged)
    }

    /// What is heard in clips of `words` sounds each.
    pub(super) fn hear(&self, sounds: &[Sound], words: usize) -> Result<Vec<Heard>, Failure> {
        let (names, judged) = (self.judge.vocabulary(), self.judge(sounds)?);
        let clip = |words: &[Judged]| Heard {
            label: words.iter().map(|j| names.labels[j.label.0].as_str()).collect::<Vec<_>>().join(" "),
            label_confidence: words.iter().map(|j| j.label.1).fold(1.0, f64::min),
            speaker: words.first().map(|j| names.speakers[j.speaker.0].clone()).unwrap_or_default(),
            speaker_confidence: words.iter().map(|j| j.speaker.1).fold(1.0, f64::min),
        };
        Ok(judged.chunks(words).map(clip).collect())
    }

    /// How sure the judge is of what was asked for, -2 to 2: probability of the right name, less that of a wrong one.
    fn likes(&self, sound: &Sound, judged: &Judged) -> f64 {
        let names = self.judge.vocabulary();
        let signed = |right: bool, probability: f64| if right { probability } else { -probability };
        signed(names.labels[judged.label.0] == sound.label, judged.label.1)
            + signed(names.speakers[judged.speaker.0] == sound.speaker, judged.speaker.1)
    }
}

/// Of each `takes` sounds in turn, the one that the judge is surest of; of equals the first.
pub(super) fn choose(sounds: Vec<Sound>, takes: u32, listener: Option<&Listener>) -> Result<Vec<Sound>, Failure> {
    let Some(listener) = listener.filter(|_| takes > 1) else { return Ok(sounds) };
    let judged = listener.judge(&sounds)?;
    let scores: Vec<f64> = sounds.iter().zip(&judged).map(|(sound, judged)| listener.likes(sound, judged)).collect();
    let takes = takes as usize;
    let best = |scores: &[f64]| scores.iter().enumerate().fold(0, |best, (k, score)| if *score > scores[best] { k } else { best });
    let keep: Vec<usize> = scores.chunks(takes).enumerate().map(|(word, scores)| word * takes + best(scores)).collect();
    Ok(sounds.into_iter().enumerate().filter(|(k, _)| keep.binary_search(k).is_ok()).map(|(_, sound)| sound).collect())
}
