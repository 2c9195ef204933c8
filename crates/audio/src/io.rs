//! WAV files in and out.

mod labelled;
mod npy;

pub use labelled::{Item, list_items, list_wavs, parse_name, read_manifest};
pub use npy::{MAX_MEL_BYTES, decode_mel, encode_mel, read_mel};

use crate::error::{Error, Result};
use crate::resample::{check_rate, resample};
use std::fmt;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

/// Largest WAV file read, in bytes: 1 GiB, over three hours of 16-bit stereo at 22.05 kHz.
pub const MAX_WAV_BYTES: u64 = 1 << 30;

/// A mono sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// Samples, full scale is -1..1.
    pub samples: Vec<f32>,
    /// Sample rate, hertz.
    pub rate: u32,
}

impl Clip {
    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }
}

/// What reading a file changed in it; the caller shows these to the user.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Note {
    /// The channels were averaged.
    Mixed {
        /// Number of channels in the file.
        channels: u16,
    },
    /// The rate was changed.
    Resampled {
        /// Rate of the file, hertz.
        from: u32,
        /// Rate of the clip, hertz.
        to: u32,
    },
    /// A float file exceeded full scale and was divided by its peak.
    Scaled {
        /// Largest magnitude in the file.
        peak: f32,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mixed { channels } => write!(f, "mixed {channels} channels to mono"),
            Self::Resampled { from, to } => write!(f, "resampled {from} -> {to} Hz"),
            Self::Scaled { peak } => write!(f, "peak {peak} is above full scale: scaled to 1"),
        }
    }
}

/// Reads a WAV file (PCM of 8, 16, 24, 32 bits or 32-bit float) as a mono clip, at `rate` hertz if given.
///
/// # Errors
/// A missing, empty, non-RIFF, truncated, sample-less or oversized file, a folder, NaN or infinite samples.
pub fn read_wav(path: &Path, rate: Option<u32>) -> Result<(Clip, Vec<Note>)> {
    decode_wav(&read_bytes(path)?, path, rate)
}

/// As [`read_wav`], with the least format that holds every sample of the file as it is.
///
/// # Errors
/// As [`read_wav`].
pub fn read_wav_and_format(path: &Path, rate: Option<u32>) -> Result<(Clip, Vec<Note>, WavFormat)> {
    let bytes = read_bytes(path)?;
    let (clip, notes) = decode_wav(&bytes, path, rate)?;
    Ok((clip, notes, WavFormat::of_file(&bytes, path)?))
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let io = |source| Error::Io { path: path.into(), source };
    if std::fs::metadata(path).map_err(io)?.is_dir() {
        return Err(Error::IsFolder { path: path.into() });
    }
    let mut bytes = Vec::new();
    // `take` bounds pipes and devices too, whose metadata say nothing about length.
    File::open(path).map_err(io)?.take(MAX_WAV_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Reads a WAV file already in memory; `name` is used in messages only. See [`read_wav`].
///
/// # Errors
/// As [`read_wav`].
pub fn decode_wav(bytes: &[u8], name: &Path, rate: Option<u32>) -> Result<(Clip, Vec<Note>)> {
    let path = || PathBuf::from(name);
    if bytes.is_empty() {
        return Err(Error::EmptyFile { path: path() });
    }
    if bytes.len() as u64 > MAX_WAV_BYTES {
        return Err(Error::TooLarge { path: path(), limit: MAX_WAV_BYTES });
    }
    let mut cursor = Cursor::new(bytes);
    let mut reader = match hound::WavReader::new(&mut cursor) {
        Ok(reader) => reader,
        Err(source) => return Err(Error::NotWav { path: path(), offset: cursor.position(), source }),
    };
    let (spec, want) = (reader.spec(), u64::from(reader.duration()));
    let in_file = |source| Error::InFile { path: path(), source: Box::new(source) };
    check_rate(spec.sample_rate).map_err(in_file)?;
    if want == 0 {
        return Err(Error::NoSamples { path: path() });
    }
    let announced = want * u64::from(spec.channels);
    // A sample takes at least one byte: no allocation exceeds the file, whatever the header says.
    let mut values = Vec::with_capacity(announced.min(bytes.len() as u64) as usize);
    let done = match spec.sample_format {
        hound::SampleFormat::Float => collect(reader.samples::<f32>(), &mut values, |v| v),
        hound::SampleFormat::Int => {
            let scale = 0.5f64.powi(i32::from(spec.bits_per_sample) - 1);
            collect(reader.samples::<i32>(), &mut values, |v| (f64::from(v) * scale) as f32)
        }
    };
    if let Err(source) = done {
        let read = values.len() as u64;
        return Err(match source {
            hound::Error::IoError(_) if read < announced => {
                Error::TruncatedWav { path: path(), offset: bytes.len() as u64, have: read / u64::from(spec.channels), want }
            }
            source => Error::NotWav { path: path(), offset: cursor.position(), source },
        });
    }
    if let Some(index) = values.iter().position(|v| !v.is_finite()) {
        return Err(Error::NonFiniteSample { path: path(), index });
    }
    tidy(values, spec, rate).map_err(in_file)
}

fn collect<S>(samples: impl Iterator<Item = hound::Result<S>>, into: &mut Vec<f32>, scale: impl Fn(S) -> f32) -> hound::Result<()> {
    for sample in samples {
        into.push(scale(sample?));
    }
    Ok(())
}

/// Interleaved samples to a mono clip within full scale at the wanted rate.
fn tidy(mut values: Vec<f32>, spec: hound::WavSpec, rate: Option<u32>) -> Result<(Clip, Vec<Note>)> {
    let mut notes = Vec::new();
    let peak = values.iter().fold(0f32, |m, v| m.max(v.abs()));
    if peak > 1.0 {
        values.iter_mut().for_each(|v| *v /= peak);
        notes.push(Note::Scaled { peak });
    }
    if spec.channels > 1 {
        let channels = usize::from(spec.channels);
        values = values.chunks_exact(channels).map(|c| c.iter().sum::<f32>() / channels as f32).collect();
        notes.push(Note::Mixed { channels: spec.channels });
    }
    let from = spec.sample_rate;
    let to = rate.unwrap_or(from);
    if from != to {
        values = resample(&values, from, to)?;
        notes.push(Note::Resampled { from, to });
    }
    Ok((Clip { samples: values, rate: to }, notes))
}

/// How samples are stored in a WAV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WavFormat {
    /// 16-bit integers with triangular dither; beyond full scale is clipped.
    #[default]
    Pcm16,
    /// 32-bit floats, written as they are.
    Float32,
}

impl WavFormat {
    /// The least format that holds every sample of a WAV file: 16 bits, or floats for files of more bits.
    fn of_file(bytes: &[u8], name: &Path) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        match hound::WavReader::new(&mut cursor).map(|reader| reader.spec()) {
            Ok(spec) if spec.sample_format == hound::SampleFormat::Int && spec.bits_per_sample <= 16 => Ok(Self::Pcm16),
            Ok(_) => Ok(Self::Float32),
            Err(source) => Err(Error::NotWav { path: name.into(), offset: cursor.position(), source }),
        }
    }
}

/// Lays a mono clip out as the bytes of a WAV file.
///
/// `uniform` yields numbers in 0..1 and is asked twice a sample for [`WavFormat::Pcm16`]: the difference of two is the
/// triangular dither of +-1 step that makes the rounding error independent of the signal. Give it a generator
/// addressed by the clip's seed, and the same clip gives the same bytes; `|| 0.5` writes without dither.
///
/// # Errors
/// No samples, NaN or infinite samples, a rate out of range, more samples than a WAV file can hold.
pub fn encode_wav(samples: &[f32], rate: u32, format: WavFormat, mut uniform: impl FnMut() -> f32) -> Result<Vec<u8>> {
    check_rate(rate)?;
    if samples.is_empty() {
        return Err(Error::TooFew { what: "samples to write", got: 0, want: 1 });
    }
    if let Some(index) = samples.iter().position(|v| !v.is_finite()) {
        return Err(Error::NonFinite { what: "samples to write", index });
    }
    let (bits_per_sample, sample_format) = match format {
        WavFormat::Pcm16 => (16, hound::SampleFormat::Int),
        WavFormat::Float32 => (32, hound::SampleFormat::Float),
    };
    let bytes_per_sample = usize::from(bits_per_sample / 8);
    if samples.len() as u64 * bytes_per_sample as u64 > MAX_WAV_BYTES {
        return Err(Error::TooLarge { path: PathBuf::from("WAV to write"), limit: MAX_WAV_BYTES });
    }
    let spec = hound::WavSpec { channels: 1, sample_rate: rate, bits_per_sample, sample_format };
    let mut bytes = Vec::with_capacity(samples.len() * bytes_per_sample + 80);
    let mut write = || -> hound::Result<()> {
        let mut writer = hound::WavWriter::new(Cursor::new(&mut bytes), spec)?;
        for &sample in samples {
            match format {
                WavFormat::Pcm16 => {
                    let dither = uniform() - uniform();
                    // `as` saturates: this is the hard clip.
                    writer.write_sample((sample * 32768.0 + dither).round() as i16)?;
                }
                WavFormat::Float32 => writer.write_sample(sample)?,
            }
        }
        writer.finalize()
    };
    write().map_err(|source| Error::EncodeWav { samples: samples.len(), source })?;
    Ok(bytes)
}

/// Writes a mono clip to `path`, which appears whole or not at all. See [`encode_wav`] for `uniform`.
///
/// # Errors
/// As [`encode_wav`], and what the file system refuses.
pub fn write_wav(path: &Path, samples: &[f32], rate: u32, format: WavFormat, uniform: impl FnMut() -> f32) -> Result<()> {
    let bytes = encode_wav(samples, rate, format, uniform)?;
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|source| {
        // The first error is the one to report; a half-written part must not stay behind.
        std::fs::remove_file(&part).ok();
        Error::Io { path: path.into(), source }
    })
}
