//! Speech by diffusion: a prior over log-mel spectrograms, a vocoder, and the metrics that judge them.
//!
//! Data flows one way: [`io`](read_wav) reads clips, the [`Codec`](codec::Codec) turns them into vectors, core's plans run on the
//! [`Prior`](task::Prior), the codec turns vectors into sound, [`write_wav`] writes it. The waveform model has a codec ([`wave_codec`]), a network and
//! tasks of its own, and shares everything else.

pub mod baseline;
pub mod codec;
pub mod config;
pub mod data;
mod error;
mod griffin_lim;
mod io;
mod loudness;
mod mdct;
mod mel;
pub mod metrics;
pub mod model;
mod picture;
mod resample;
mod stft;
mod stretch;
pub mod task;
pub mod wave_codec;

pub use config::ModelConfig;
pub use error::{Error, Result};
pub use griffin_lim::{GriffinLim, MOMENTUM, Reconstruction};
pub use io::{
    Clip, Item, MAX_MEL_BYTES, MAX_WAV_BYTES, Note, WavFormat, decode_mel, decode_wav, encode_mel, encode_wav, list_items, list_wavs,
    parse_name, read_manifest, read_mel, read_wav, read_wav_and_format, write_wav,
};
pub use loudness::{STRETCH_SECONDS, TARGET_RMS, loudest_rms, normalise};
pub use mdct::Mdct;
pub use mel::{Energy, MelBank, hz_to_mel, mel_to_hz};
pub use picture::png;
pub use realfft::num_complex::Complex;
pub use resample::{MAX_RATE, MIN_RATE, resample};
pub use stft::{Spectrogram, Stft};
pub use stretch::stretch;
