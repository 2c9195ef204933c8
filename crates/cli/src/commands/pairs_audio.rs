//! `langevin eval audio DIR --pairs REFERENCE`: how near clips are to the recordings of the same names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use langevin_audio::{
    Error as AudioError, list_wavs,
    metrics::{PairScores, Part, compare},
    read_wav,
};
use serde::Serialize;

use crate::{output, report::Failure, settings::Settings, values};

/// Flags of the comparison.
#[derive(Debug, clap::Args)]
pub(super) struct PairArgs {
    /// Compare each clip with the recording of the same name in this folder (or with this file): distances of spectrum and cepstrum, and SNR
    #[arg(long, value_name = "DIR|WAV", requires = "clips", conflicts_with_all = ["train", "held_out", "likelihood"])]
    pairs: Option<PathBuf>,
    /// With --pairs: frequencies of the log-spectral distance, in hertz
    #[arg(long, value_name = "A..B", value_parser = values::range, requires = "pairs")]
    band: Option<values::Range>,
    /// With --pairs: seconds that are compared
    #[arg(long, value_name = "A..B", value_parser = values::range, requires = "pairs")]
    range: Option<values::Range>,
}

impl PairArgs {
    /// The recordings to compare with, where that is asked for.
    pub(super) fn recordings(&self) -> Option<&Path> {
        self.pairs.as_deref()
    }
}

#[derive(Serialize)]
struct Compared {
    file: String,
    #[serde(flatten)]
    scores: PairScores,
}

pub(super) fn run(clips: &Path, recordings: &Path, args: &PairArgs, settings: &Settings) -> Result<(), Failure> {
    let part = Part { band: args.band.map(Into::into), range: args.range.map(Into::into) };
    let pairs = pair_up(clips, recordings)?;
    let workers = settings.workers()?;
    let compared = workers.map(pairs.len(), |k| {
        let (clip, recording) = &pairs[k];
        let (original, mut notes) = read_wav(recording, None)?;
        let (made, more) = read_wav(clip, Some(original.rate))?;
        notes.extend(more);
        let scores = compare(&original.samples, &made.samples, original.rate, &part);
        let scores = scores.map_err(|source| AudioError::InFile { path: clip.clone(), source: Box::new(source) })?;
        let file = clip.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok::<_, AudioError>((Compared { file, scores }, notes))
    });
    let mut all = Vec::with_capacity(compared.len());
    let mut changed = 0;
    for one in compared {
        let (one, notes) = one?;
        changed += usize::from(!notes.is_empty());
        all.push(one);
    }
    if changed > 0 {
        settings.talk(&format!("note: {changed} of {} pairs: mixed to mono or resampled to the recording's rate", all.len()));
    }
    let mean = |of: fn(&PairScores) -> f64| all.iter().map(|c| of(&c.scores)).sum::<f64>() / all.len() as f64;
    let scores = PairScores {
        log_spectral_distance: mean(|s| s.log_spectral_distance),
        mel_cepstral_distortion: mean(|s| s.mel_cepstral_distortion),
        signal_to_noise: mean(|s| s.signal_to_noise),
    };
    if settings.json {
        return output::json(&serde_json::json!({ "clips": all.len(), "scores": scores, "pairs": all }));
    }
    output::data(
        format!(
            "clips              {}\nlog-spectral dist. {:.3} dB\nmel-cepstral dist. {:.3} dB\nsignal to noise    {:.2} dB\n",
            all.len(),
            scores.log_spectral_distance,
            scores.mel_cepstral_distortion,
            scores.signal_to_noise
        )
        .as_bytes(),
    )
}

/// Each clip with its recording.
fn pair_up(clips: &Path, recordings: &Path) -> Result<Vec<(PathBuf, PathBuf)>, Failure> {
    let is_folder = |path: &Path| fs::metadata(path).map(|found| found.is_dir()).map_err(|e| Failure::io(path, e));
    match (is_folder(clips)?, is_folder(recordings)?) {
        (false, false) => return Ok(vec![(clips.to_owned(), recordings.to_owned())]),
        (true, true) => {}
        (one, _) => {
            let (folder, file) = if one { (clips, recordings) } else { (recordings, clips) };
            let message = format!("{} is a folder, but {} is a file", folder.display(), file.display());
            return Err(Failure::data("pairs", message).help("give two folders with files of the same names, or two files"));
        }
    }
    let recording = |clip: PathBuf| {
        let path = recordings.join(clip.file_name().unwrap_or_default());
        if path.is_file() {
            return Ok((clip, path));
        }
        Err(Failure::data("pairs", format!("{} has no recording beside it: {} is not there", clip.display(), path.display())))
    };
    list_wavs(clips)?.into_iter().map(recording).collect()
}
