//! What a classifier is to read: clips of a folder or a file, or rows of a table.

use std::path::{Path, PathBuf};

use langevin_audio::{WavFormat, encode_wav, list_wavs, parse_name, read_wav};
use langevin_engine::checkpoint::write_whole;
use langevin_purify::{
    Classifier, Table,
    data::{centred, restored},
};

use crate::{output, report::Failure, settings::Settings};

/// Least numbers of an input that can be a clip: the window of a purifier's spectrum. A classifier of fewer reads rows of a table.
const SHORTEST_CLIP: usize = 256;

/// Inputs as rows of a classifier.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// Rows of the classifier's length.
    pub(crate) rows: Vec<Vec<f32>>,
    /// Name of each, for reports.
    pub(crate) names: Vec<String>,
    /// Address of each one's noise: of its file's name, or its place in the table.
    pub(crate) items: Vec<u32>,
    /// What the data say of each one's class, where they do.
    pub(crate) labels: Option<Vec<String>>,
    /// Where they come from.
    pub(crate) source: Source,
}

/// Where inputs come from, to write results like them.
#[derive(Debug)]
pub(crate) enum Source {
    /// Clips.
    Clips(Vec<Wav>),
    /// A table.
    Rows(Box<Table>),
}

/// A clip as its file has it.
#[derive(Debug)]
pub(crate) struct Wav {
    /// Its file.
    path: PathBuf,
    /// Name of the file.
    pub(crate) file: String,
    /// All samples.
    pub(crate) samples: Vec<f32>,
    /// Hertz.
    pub(crate) rate: u32,
}

/// Files that results go to, claimed.
#[derive(Debug)]
pub(crate) struct Outputs {
    /// The folder of several: it goes away again when nothing is written.
    _folder: Option<output::Folder>,
    paths: Vec<PathBuf>,
}

impl Inputs {
    /// Reads a WAV file, the WAV files of a folder, or a CSV, as the classifier reads them: clips are cut or padded in the middle.
    ///
    /// # Errors
    /// What cannot be read; rows or clips that are not what the classifier expects, with both shapes.
    pub(crate) fn read(input: &Path, label: Option<&str>, classifier: &dyn Classifier, settings: &Settings) -> Result<Self, Failure> {
        let is_table = input.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
        let expected = classifier.input_len();
        if is_table {
            let table = Table::read(input, label, Some(expected))?;
            let found = table.rows()[0].len();
            if found != expected {
                let shape = classifier.input_shape();
                return Err(Failure::data(
                    "shape",
                    format!(
                        "{}: rows of {found} numbers, but {} expects {shape:?}, {expected} numbers",
                        input.display(),
                        classifier.name()
                    ),
                )
                .help("name the column of the class with --label, or drop columns that the classifier does not read"));
            }
            return Ok(Self {
                rows: table.rows().to_vec(),
                names: (1..=table.rows().len()).map(|k| format!("row {k}")).collect(),
                items: (0..table.rows().len() as u32).collect(),
                labels: table.labels().map(<[String]>::to_vec),
                source: Source::Rows(Box::new(table)),
            });
        }
        let shape = classifier.input_shape();
        if shape.iter().filter(|&&size| size > 1).count() > 1 || expected < SHORTEST_CLIP {
            let found = format!("{} expects {shape:?}, but a clip is one row of {SHORTEST_CLIP} samples or more", classifier.name());
            return Err(Failure::data("shape", found)
                .help("give a classifier of waveforms, whose input is [B, samples] or [B, 1, samples]; rows of a table come as CSV"));
        }
        let paths = if input.is_dir() { list_wavs(input)? } else { vec![input.to_owned()] };
        let mut clips = Vec::with_capacity(paths.len());
        let mut labels = Vec::with_capacity(paths.len());
        for path in &paths {
            let (clip, notes) = read_wav(path, None)?;
            notes.iter().for_each(|note| settings.talk(&format!("note: {}: {note}", path.display())));
            labels.push(parse_name(path).ok().map(|item| item.label));
            let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            clips.push(Wav { path: path.clone(), file, samples: clip.samples, rate: clip.rate });
        }
        Ok(Self {
            rows: clips.iter().map(|wav| centred(&wav.samples, expected)).collect(),
            names: clips.iter().map(|wav| wav.file.clone()).collect(),
            items: clips.iter().map(|wav| address(&wav.file)).collect(),
            labels: labels.into_iter().collect(),
            source: Source::Clips(clips),
        })
    }

    /// Checks, before work starts, where results can go: a file, or with `in_folder` clips of the inputs' names in a folder. `beside` is what
    /// else is to be written.
    ///
    /// # Errors
    /// As [`output::apart`] and [`output::claim`].
    pub(crate) fn claim(
        &self,
        input: &Path,
        output: &Path,
        in_folder: bool,
        beside: Option<&Path>,
        force: bool,
    ) -> Result<Outputs, Failure> {
        let (read, paths) = match &self.source {
            Source::Clips(clips) if in_folder => {
                (clips.iter().map(|wav| wav.path.as_path()).collect(), clips.iter().map(|wav| output.join(&wav.file)).collect())
            }
            _ => (vec![input], vec![output.to_owned()]),
        };
        output::apart(read, paths.iter().map(PathBuf::as_path).chain(beside))?;
        let folder = if in_folder && matches!(self.source, Source::Clips(_)) { Some(output::Folder::claim(output)?) } else { None };
        paths.iter().map(PathBuf::as_path).chain(beside).try_for_each(|path| output::claim(path, force))?;
        Ok(Outputs { _folder: folder, paths })
    }

    /// Writes rows as what the inputs are: clips of a format, without dither, samples that the classifier does not read as they were; or a
    /// table with the same columns. With `padded` a short clip is written as long as the classifier reads it: a perturbation of its padding is
    /// part of an attack.
    ///
    /// # Errors
    /// What the system refuses.
    pub(crate) fn write(&self, rows: &[Vec<f32>], outputs: &Outputs, format: WavFormat, padded: bool) -> Result<(), Failure> {
        match &self.source {
            Source::Clips(clips) => {
                for ((wav, row), path) in clips.iter().zip(rows).zip(&outputs.paths) {
                    let clip = if padded && row.len() > wav.samples.len() { row.clone() } else { restored(row, &wav.samples) };
                    write_whole(path, &encode_wav(&clip, wav.rate, format, || 0.5)?)?;
                }
                Ok(())
            }
            Source::Rows(table) => output::put(&outputs.paths[0], table.with_rows(rows)?.as_bytes()),
        }
    }

    /// Refuses clips of another rate than a purifier's.
    ///
    /// # Errors
    /// The first such file, with both rates.
    pub(crate) fn check_rate(&self, rate: u32) -> Result<(), Failure> {
        let Source::Clips(clips) = &self.source else { return Ok(()) };
        match clips.iter().find(|wav| wav.rate != rate) {
            Some(wav) => Err(Failure::data("rate", format!("{} has {} Hz, but the purifier works at {rate} Hz", wav.file, wav.rate))
                .help(format!("resample the clips to {rate} Hz first, or train a purifier at their rate"))),
            None => Ok(()),
        }
    }

    /// The classes of the labels: their numbers, or their places in `names`. `None` where the data do not say.
    ///
    /// # Errors
    /// A label that is no class of the classifier.
    pub(crate) fn classes(&self, names: &[String], classifier: &dyn Classifier) -> Result<Option<Vec<usize>>, Failure> {
        let Some(labels) = &self.labels else { return Ok(None) };
        let number = |label: &String| {
            let place = names.iter().position(|name| name == label).or_else(|| label.parse().ok().filter(|_| names.is_empty()));
            place.filter(|&class: &usize| class < classifier.classes()).ok_or_else(|| {
                Failure::data("label", format!("'{label}' is none of the {} classes of {}", classifier.classes(), classifier.name()))
                    .help("name the classes in the classifier's order with --classes a,b,c")
            })
        };
        labels.iter().map(number).collect::<Result<Vec<_>, _>>().map(Some)
    }

    /// Takes the first inputs only.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.rows.truncate(count);
        self.names.truncate(count);
        self.items.truncate(count);
        if let Some(labels) = &mut self.labels {
            labels.truncate(count);
        }
    }
}

/// The address of a file's noise: its name's hash (FNV-1a), so that it does not depend on the files beside it.
fn address(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_fnv() {
        assert_eq!(address(""), 0x811c_9dc5);
        assert_eq!(address("a"), 0xe40c_292c);
        assert_ne!(address("0_a_1.wav"), address("0_a_2.wav"));
    }
}
