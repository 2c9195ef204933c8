//! What can go wrong between a sound file and a tensor.

use std::path::PathBuf;

/// Result with the crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An error of this crate; the message says what failed, where, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A label or speaker that a model was not trained on.
    #[error("there is no {what} named '{name}'; this checkpoint knows: {known}")]
    UnknownCondition {
        /// `label` or `speaker`.
        what: &'static str,
        /// Name given.
        name: String,
        /// Names that exist.
        known: String,
    },
    /// A setting of a config or request outside its range.
    #[error("{name} should be between {least} and {most}, but is {value}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// Value found.
        value: f64,
        /// Least value.
        least: f64,
        /// Greatest value.
        most: f64,
    },
    /// A checkpoint without a constant that its config asks for.
    #[error("the checkpoint's constant '{name}' {problem}")]
    Constant {
        /// Name of the constant.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A device that does not return its numbers.
    #[error("the device does not return its result: {reason}")]
    Device {
        /// What the device said.
        reason: String,
    },
    /// A checkpoint or config that names no label or no speaker.
    #[error("the config names no {what}; train it on labelled recordings first")]
    NoConditions {
        /// `label` or `speaker`.
        what: &'static str,
    },
    /// A request that the core refuses.
    #[error(transparent)]
    Core(#[from] langevin_core::Error),
    /// The operating system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder concerned.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file was wanted and a folder was given.
    #[error("{} is a folder; give a WAV file", path.display())]
    IsFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The file has no bytes at all.
    #[error("{} is empty (0 bytes); it is not a WAV file", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// The bytes are no WAV file this crate reads.
    #[error("{}: not a readable WAV file at byte {offset}: {source}; PCM of 8, 16, 24 or 32 bits and 32-bit float are read", path.display())]
    NotWav {
        /// The file.
        path: PathBuf,
        /// Bytes that had been read when the reader gave up.
        offset: u64,
        /// The reader's reason.
        source: hound::Error,
    },
    /// The header announces more samples than the file holds.
    #[error("{}: truncated at byte {offset}: {have} of {want} samples are there; copy the file again", path.display())]
    TruncatedWav {
        /// The file.
        path: PathBuf,
        /// Length of the file in bytes.
        offset: u64,
        /// Samples per channel present.
        have: u64,
        /// Samples per channel announced by the header.
        want: u64,
    },
    /// A valid header with nothing behind it.
    #[error("{}: the header is fine, but there is no sample", path.display())]
    NoSamples {
        /// The file.
        path: PathBuf,
    },
    /// A file beyond the size this crate reads into memory.
    #[error("{}: more than {limit} bytes; cut it into shorter files", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file whose content an operation refused.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: Box<Error>,
    },
    /// A NaN or an infinity in a file.
    #[error("{}: sample {index} is not a finite number", path.display())]
    NonFiniteSample {
        /// The file.
        path: PathBuf,
        /// Index of the sample, counted over all channels.
        index: usize,
    },
    /// A NaN or an infinity in an argument.
    #[error("{what}: value {index} is not a finite number")]
    NonFinite {
        /// Which argument.
        what: &'static str,
        /// Index of the first such value.
        index: usize,
    },
    /// A negative number where only magnitudes and energies make sense.
    #[error("{what}: value {index} is negative")]
    Negative {
        /// Which argument.
        what: &'static str,
        /// Index of the first such value.
        index: usize,
    },
    /// A sample rate outside what makes sense for sound.
    #[error("sample rate {rate} Hz is outside {min}..={max} Hz")]
    Rate {
        /// The rate in hertz.
        rate: u32,
        /// Lowest rate accepted, hertz.
        min: u32,
        /// Highest rate accepted, hertz.
        max: u32,
    },
    /// The resampler could not be built.
    #[error("resampling {from} -> {to} Hz: {source}")]
    BuildResampler {
        /// Input rate, hertz.
        from: u32,
        /// Output rate, hertz.
        to: u32,
        /// The library's reason.
        source: rubato::ResamplerConstructionError,
    },
    /// The resampler failed on the way.
    #[error("resampling {from} -> {to} Hz: {source}")]
    Resample {
        /// Input rate, hertz.
        from: u32,
        /// Output rate, hertz.
        to: u32,
        /// The library's reason.
        source: rubato::ResampleError,
    },
    /// A clip could not be laid out as a WAV file.
    #[error("cannot encode {samples} samples as WAV: {source}")]
    EncodeWav {
        /// Number of samples.
        samples: usize,
        /// The writer's reason.
        source: hound::Error,
    },
    /// A file of log-mel values that is none.
    #[error("{}: {problem}", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as the rest of a sentence about the file.
        problem: String,
    },
    /// A picture could not be laid out as PNG.
    #[error("cannot encode the picture as PNG: {source}")]
    Picture {
        /// The writer's reason.
        source: png::EncodingError,
    },
    /// A folder without WAV files.
    #[error("{} holds no .wav file", dir.display())]
    NoWavs {
        /// The folder.
        dir: PathBuf,
    },
    /// A file name from which no label can be read.
    #[error("{}: the name should be LABEL_SPEAKER_TAKE.wav, for example 7_george_3.wav; or list the files in a CSV with the columns file,label,speaker", path.display())]
    FileName {
        /// The file.
        path: PathBuf,
    },
    /// The manifest is not well-formed CSV.
    #[error("{}: {source}", path.display())]
    ManifestCsv {
        /// The manifest.
        path: PathBuf,
        /// The reader's reason; it names the line.
        source: csv::Error,
    },
    /// The manifest lacks a column.
    #[error("{}: column `{column}` is missing; the first line should name file,label,speaker", path.display())]
    ManifestColumn {
        /// The manifest.
        path: PathBuf,
        /// The missing column.
        column: &'static str,
    },
    /// A field of the manifest is empty.
    #[error("{}: row {row}: `{column}` is empty", path.display())]
    ManifestField {
        /// The manifest.
        path: PathBuf,
        /// Row, 1 for the first one below the header.
        row: usize,
        /// The empty column.
        column: &'static str,
    },
    /// The manifest names a file that is not there.
    #[error("{}: row {row}: {} is not a file", path.display(), file.display())]
    ManifestMissing {
        /// The manifest.
        path: PathBuf,
        /// Row, 1 for the first one below the header.
        row: usize,
        /// The file named there.
        file: PathBuf,
    },
    /// The manifest has a header and no rows.
    #[error("{}: no rows below the header", path.display())]
    ManifestEmpty {
        /// The manifest.
        path: PathBuf,
    },
    /// Sizes of a short-time Fourier transform that do not fit together.
    #[error(
        "STFT of n_fft {n_fft}, window {window}, hop {hop}: need even n_fft <= 65536, 4 <= window <= n_fft, 1 <= hop <= 2/5 of the window"
    )]
    StftSize {
        /// Transform length.
        n_fft: usize,
        /// Window length.
        window: usize,
        /// Samples between frames.
        hop: usize,
    },
    /// A mel filter bank that cannot be built.
    #[error(
        "{n_mels} mel bands from {fmin} to {fmax} Hz over {bins} bins at {rate} Hz: need 1 <= bands < bins, 0 <= fmin < fmax <= rate/2, and a bin in every band"
    )]
    MelRange {
        /// Number of bands.
        n_mels: usize,
        /// Lowest frequency, hertz.
        fmin: f32,
        /// Highest frequency, hertz.
        fmax: f32,
        /// Bins of the spectrum.
        bins: usize,
        /// Sample rate, hertz.
        rate: u32,
    },
    /// Two sizes that should agree do not.
    #[error("{what}: got {got}, want {want}")]
    Shape {
        /// Which size.
        what: &'static str,
        /// The size found.
        got: usize,
        /// The size needed.
        want: usize,
    },
    /// Fewer items than a computation needs.
    #[error("{what}: {got} given, at least {want} needed")]
    TooFew {
        /// Which items.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many are needed.
        want: usize,
    },
    /// A number outside its range.
    #[error("{what} is {got}, outside {min}..={max}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// Its value.
        got: f64,
        /// Lowest value accepted.
        min: f64,
        /// Highest value accepted.
        max: f64,
    },
}
