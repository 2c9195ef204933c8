//! What a classifier is to read: clips of a folder or a file, or rows of a table.

use std::path::Path;

use langevin_audio::{list_wavs, parse_name, read_wav};
use langevin_purify::{Classifier, Table, data::centred};

use crate::{report::Failure, settings::Settings};

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
    /// Name of the file.
    pub(crate) file: String,
    /// All samples.
    pub(crate) samples: Vec<f32>,
    /// Hertz.
    pub(crate) rate: u32,
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
        if shape.iter().filter(|&&size| size > 1).count() > 1 {
            return Err(Failure::data("shape", format!("{} expects {shape:?}, but a clip is one row of samples", classifier.name()))
                .help("give a classifier of waveforms, whose input is [B, samples] or [B, 1, samples]"));
        }
        let paths = if input.is_dir() { list_wavs(input)? } else { vec![input.to_owned()] };
        let mut clips = Vec::with_capacity(paths.len());
        let mut labels = Vec::with_capacity(paths.len());
        for path in &paths {
            let (clip, notes) = read_wav(path, None)?;
            notes.iter().for_each(|note| settings.talk(&format!("note: {}: {note}", path.display())));
            labels.push(parse_name(path).ok().map(|item| item.label));
            let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            clips.push(Wav { file, samples: clip.samples, rate: clip.rate });
        }
        Ok(Self {
            rows: clips.iter().map(|wav| centred(&wav.samples, expected)).collect(),
            names: clips.iter().map(|wav| wav.file.clone()).collect(),
            items: clips.iter().map(|wav| address(&wav.file)).collect(),
            labels: labels.into_iter().collect(),
            source: Source::Clips(clips),
        })
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
