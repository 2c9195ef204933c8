//! Where made sounds go: stdout, one file, or a folder with a manifest.

use std::path::{Path, PathBuf};

use langevin_audio::{WavFormat, encode_wav, loudest_rms, png, task::dither};
use serde::{Deserialize, Serialize};

use crate::{output, report::Failure};

/// Name of the list of what was made.
pub(super) const MANIFEST: &str = "manifest.json";

/// A sound that was made.
pub(super) struct Made {
    pub(super) samples: Vec<f32>,
    pub(super) rate: u32,
    pub(super) format: WavFormat,
    /// Samples that are written as they are, without dither: those outside this range.
    pub(super) dithered: std::ops::Range<usize>,
    /// A log-mel spectrogram to keep beside it, as the bytes of a NumPy file.
    pub(super) mel: Option<Vec<u8>>,
}

impl Made {
    /// A sound that is new from its first to its last sample.
    pub(super) fn new(samples: Vec<f32>, rate: u32, format: WavFormat) -> Self {
        let dithered = 0..samples.len();
        Self { samples, rate, format, dithered, mel: None }
    }
}

/// Where results go, all names claimed.
pub(super) enum Target {
    Stdout,
    File(PathBuf),
    Folder(output::Folder),
}

/// What goes beside each sound.
#[derive(Clone, Copy)]
pub(super) struct Beside {
    pub(super) png: bool,
    pub(super) mel: bool,
}

/// What the manifest says of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) file: String,
    /// Names of the files it was made from.
    pub(super) from: Vec<String>,
    /// BLAKE3 of each of them.
    pub(super) from_hash: Vec<String>,
    pub(super) seconds: f64,
    pub(super) peak: f32,
    /// Root mean square of the loudest 0.2 s.
    pub(super) rms: f32,
    pub(super) network_evaluations: u64,
}

impl Target {
    /// Claims names (without ending) for all results. `many` says that a folder is wanted whatever the number of names.
    ///
    /// # Errors
    /// Several results for one file, or a place that cannot be written or is taken.
    pub(super) fn claim(path: &Path, names: &[&str], many: bool, beside: Beside, force: bool) -> Result<Self, Failure> {
        let one = names.len() == 1 && !many;
        let is_wav = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("wav"));
        if path == Path::new(output::STDOUT) {
            if !one || beside.png || beside.mel {
                let message = format!("-o - writes one WAV file, but there are {} results", names.len() * (1 + usize::from(beside.png)));
                return Err(Failure::usage("output", message).help("give a folder"));
            }
            return Ok(Self::Stdout);
        }
        if is_wav && !path.is_dir() {
            if !one {
                let message = format!("{} is one file, but there are {} results", path.display(), names.len());
                return Err(Failure::usage("output", message).help("give a folder"));
            }
            output::claim(path, force)?;
            for ending in beside.endings() {
                output::claim(&path.with_extension(ending), force)?;
            }
            return Ok(Self::File(path.to_owned()));
        }
        let folder = output::Folder::claim(path)?;
        for name in names {
            for ending in std::iter::once("wav").chain(beside.endings()) {
                folder.file(&format!("{name}.{ending}"), force)?;
            }
        }
        folder.file(MANIFEST, force)?;
        Ok(Self::Folder(folder))
    }

    /// Whether results go to a folder.
    pub(super) const fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    /// Writes a sound and what belongs beside it, under its claimed name; what it was made from is not known here.
    ///
    /// # Errors
    /// Samples that are not finite, or what the system refuses.
    pub(super) fn put(&self, name: &str, row: u32, made: &Made, png_too: bool, seed: u64) -> Result<Entry, Failure> {
        let mut uniform = dither(seed, row);
        let (mut asked, range) = (0, made.dithered.clone());
        // The writer asks twice a sample.
        let within = || {
            asked += 1;
            if range.contains(&((asked - 1) / 2)) { uniform() } else { 0.5 }
        };
        let bytes = encode_wav(&made.samples, made.rate, made.format, within)?;
        let path = match self {
            Self::Stdout => PathBuf::from(output::STDOUT),
            Self::File(path) => path.clone(),
            Self::Folder(folder) => folder.path().join(format!("{name}.wav")),
        };
        if png_too {
            output::put(&path.with_extension("png"), &png(&made.samples, made.rate)?)?;
        }
        if let Some(mel) = &made.mel {
            output::put(&path.with_extension("npy"), mel)?;
        }
        output::put(&path, &bytes)?;
        Ok(Entry {
            file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            from: Vec::new(),
            from_hash: Vec::new(),
            network_evaluations: 0,
            seconds: made.samples.len() as f64 / f64::from(made.rate),
            peak: made.samples.iter().fold(0.0, |most, v| most.max(v.abs())),
            rms: loudest_rms(&made.samples, made.rate),
        })
    }

    /// Writes the manifest of a folder.
    ///
    /// # Errors
    /// What the system refuses.
    pub(super) fn finish(&self, document: &impl Serialize) -> Result<(), Failure> {
        let Self::Folder(folder) = self else { return Ok(()) };
        let json = serde_json::to_vec_pretty(document).map_err(|e| Failure::data("json", "the manifest cannot be written").because(e))?;
        output::put(&folder.path().join(MANIFEST), &json)
    }
}

impl Beside {
    /// Endings of the files beside a sound.
    pub(super) fn endings(self) -> impl Iterator<Item = &'static str> {
        [(self.png, "png"), (self.mel, "npy")].into_iter().filter(|(wanted, _)| *wanted).map(|(_, ending)| ending)
    }
}
