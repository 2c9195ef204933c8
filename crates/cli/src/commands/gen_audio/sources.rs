//! What `gen audio` starts from: a file or a folder of WAV files and, for vocoding, of log-mel spectrograms.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use langevin_audio::{Clip, WavFormat, list_wavs, read_mel, read_wav_and_format};
use langevin_engine::{Cancel, Error, Workers, checkpoint::hash_of};

use crate::{report::Failure, settings::Settings};

/// Sounds to start from, sorted by name.
pub(super) struct Sources {
    pub(super) paths: Vec<PathBuf>,
    /// Whether a folder was given: then results go to a folder too.
    pub(super) folder: bool,
    /// Rate at which clips are read, hertz; their own when absent.
    rate: Option<u32>,
    /// Bands of the spectrograms that may stand for clips.
    bands: Option<usize>,
}

/// A sound as it was read.
pub(super) enum Source {
    /// A clip, and the format that holds its samples.
    Clip(Clip, WavFormat),
    /// Log-mel rows, shape `[frames, bands]`.
    Mel(Vec<f32>),
}

impl Sources {
    /// The files of a path.
    ///
    /// # Errors
    /// It is not there, or a folder without sounds or with two of one name.
    pub(super) fn find(path: &Path, rate: Option<u32>, bands: Option<usize>) -> Result<Self, Failure> {
        let folder = fs::metadata(path).map_err(|e| Failure::io(path, e))?.is_dir();
        let paths = match (folder, bands) {
            (false, _) => vec![path.to_owned()],
            (true, None) => list_wavs(path)?,
            (true, Some(_)) => sounds(path)?,
        };
        let mut names = BTreeMap::new();
        for path in &paths {
            if let Some(other) = names.insert(path.file_stem(), path) {
                let message = format!("{} and {} would both become one file", other.display(), path.display());
                return Err(Failure::data("input", message).help("rename one of them"));
            }
        }
        Ok(Self { paths, folder, rate, bands })
    }

    /// Several files that belong together.
    pub(super) fn of(paths: &[PathBuf], rate: Option<u32>) -> Self {
        Self { paths: paths.to_vec(), folder: false, rate, bands: None }
    }

    /// Reads one of them.
    ///
    /// # Errors
    /// It is no readable sound; the message names the file.
    pub(super) fn read(&self, number: usize) -> Result<(Source, Vec<String>), Failure> {
        let path = &self.paths[number];
        if let (Some(bands), true) = (self.bands, is(path, "npy")) {
            return Ok((Source::Mel(read_mel(path, bands)?), Vec::new()));
        }
        let (clip, notes, format) = read_wav_and_format(path, self.rate)?;
        Ok((Source::Clip(clip, format), notes.iter().map(ToString::to_string).collect()))
    }

    /// Reads all of them once, so that nothing is written when one is wrong, looks at each with `check`, and says what reading changed.
    ///
    /// # Errors
    /// Of the first file, in sorted order, that cannot be read or used; [`Error::Interrupted`] after Ctrl-C.
    pub(super) fn check(
        &self,
        settings: &Settings,
        workers: &Workers,
        cancel: &Cancel,
        check: &(dyn Fn(&Path, &Source) -> Result<(), Failure> + Sync),
    ) -> Result<(), Failure> {
        let read = |k: usize| {
            if cancel.is_set() {
                return Err(Error::Interrupted { saved: None }.into());
            }
            let (source, notes) = self.read(k)?;
            check(&self.paths[k], &source).map(|()| notes)
        };
        let mut counts = BTreeMap::<String, usize>::new();
        for notes in workers.map(self.paths.len(), read) {
            notes?.into_iter().for_each(|note| *counts.entry(note).or_default() += 1);
        }
        for (note, count) in counts {
            match self.paths.as_slice() {
                [path] => settings.talk(&format!("note: {}: {note}", path.display())),
                paths => settings.talk(&format!("note: {count} of {} files: {note}", paths.len())),
            }
        }
        Ok(())
    }

    /// BLAKE3 of some of the files, the first 16 digits of each.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn hashes(&self, numbers: &[usize]) -> Result<Vec<String>, Failure> {
        numbers.iter().map(|k| Ok(hash_of(&self.paths[*k])?[..16].to_owned())).collect()
    }

    /// Name of one of them, without folder and ending.
    pub(super) fn stem(&self, number: usize) -> String {
        self.paths[number].file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// The WAV and NumPy files directly in a folder, sorted by name.
fn sounds(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let io = |e| Failure::io(folder, e);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if (is(&path, "wav") || is(&path, "npy")) && path.is_file() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(Failure::data("input", format!("{} holds no .wav and no .npy file", folder.display())));
    }
    paths.sort();
    Ok(paths)
}

fn is(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending))
}
