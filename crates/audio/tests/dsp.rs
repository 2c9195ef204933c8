//! Files, transforms and phase reconstruction from outside: golden values, round trips, broken input.

#![allow(clippy::unwrap_used)]

use langevin_audio::{
    Clip, Energy, Error, GriffinLim, MelBank, Note, Stft, WavFormat, decode_wav, encode_wav, list_items, list_wavs, normalise, parse_name,
    read_manifest, read_wav, write_wav,
};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

/// Numbers under `key` of `tests/golden/audio/stft_mel.json`, a flat object of numbers and arrays of numbers.
fn golden(key: &str) -> Vec<f64> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/audio/stft_mel.json");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(&format!("\"{key}\":[")).unwrap();
    let (list, _) = rest.split_once(']').unwrap();
    list.split(',').map(|v| v.trim().parse().unwrap()).collect()
}

fn golden_f32(key: &str) -> Vec<f32> {
    golden(key).into_iter().map(|v| v as f32).collect()
}

fn assert_close(got: impl IntoIterator<Item = f32>, want: &[f64], tolerance: f64) {
    let got: Vec<f32> = got.into_iter().collect();
    assert_eq!(got.len(), want.len());
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(*g) - w).abs() <= tolerance, "value {i}: {g} instead of {w}");
    }
}

/// Uniform numbers in 0..1 that depend on the seed alone (SplitMix64).
fn uniform(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }
}

fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut next = uniform(seed);
    (0..n).map(|_| next() - 0.5).collect()
}

#[test]
fn stft_agrees_with_numpy() {
    let stft = Stft::new(64, 40, 8).unwrap();
    for name in ["clip", "short"] {
        let prefix = if name == "clip" { "stft" } else { "short" };
        let got = stft.forward(&golden_f32(name)).unwrap();
        assert_close(got.data.iter().map(|c| c.re), &golden(&format!("{prefix}_re")), 2e-6);
        assert_close(got.data.iter().map(|c| c.im), &golden(&format!("{prefix}_im")), 2e-6);
    }
}

#[test]
fn mel_filters_agree_with_the_formula() {
    for (rate, n_fft, n_mels, fmin, fmax) in [(8000, 512, 48, 0, 4000), (22050, 256, 12, 300, 8000)] {
        let bank = MelBank::new(rate, n_fft, n_mels, fmin as f32, fmax as f32, Energy::Power).unwrap();
        let key = format!("mel_{rate}_{n_fft}_{n_mels}_{fmin}_{fmax}");
        let mut want = vec![0.0; n_mels * (n_fft / 2 + 1)];
        for (at, value) in golden(&format!("{key}_index")).into_iter().zip(golden(&key)) {
            want[at as usize] = value;
        }
        assert_close(bank.matrix(), &want, 1e-8);
    }
}

#[test]
fn log_mel_agrees_with_numpy() {
    let magnitudes = Stft::new(64, 40, 8).unwrap().forward(&golden_f32("clip")).unwrap().magnitudes();
    for (energy, key) in [(Energy::Power, "log_mel_power"), (Energy::Magnitude, "log_mel_magnitude")] {
        let bank = MelBank::new(8000, 64, 8, 100.0, 3800.0, energy).unwrap();
        assert_close(bank.log_mel(&magnitudes, 1e-5).unwrap(), &golden(key), 2e-4);
    }
}

#[test]
fn stft_inverts() {
    for (n_fft, window, hop) in [(512, 320, 64), (512, 512, 128), (256, 200, 80), (1024, 1024, 256)] {
        let stft = Stft::new(n_fft, window, hop).unwrap();
        for n in [1, 2, 3, 63, 64, 65, 255, 3600, 8001] {
            let clip = noise(n, n as u64);
            let spectrogram = stft.forward(&clip).unwrap();
            assert_eq!((spectrogram.frames, spectrogram.bins), (1 + n / hop, n_fft / 2 + 1));
            let back = stft.inverse(&spectrogram, n).unwrap();
            let worst = clip.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{n} samples, {stft:?}: {worst}");
        }
    }
}

#[test]
fn stft_refuses_what_does_not_fit() {
    for (n_fft, window, hop) in [(0, 0, 0), (511, 320, 64), (512, 513, 64), (512, 320, 0), (512, 320, 129), (1 << 20, 320, 64)] {
        assert!(matches!(Stft::new(n_fft, window, hop), Err(Error::StftSize { .. })), "{n_fft} {window} {hop}");
    }
    let stft = Stft::new(512, 320, 64).unwrap();
    assert!(stft.forward(&[]).is_err());
    assert!(stft.forward(&[0.0, f32::NAN]).is_err());
    let spectrogram = stft.forward(&noise(1000, 1)).unwrap();
    assert!(stft.inverse(&spectrogram, 2000).is_err());
    assert!(stft.inverse(&spectrogram, 0).is_err());
}

#[test]
fn mel_refuses_what_does_not_fit() {
    for (n_mels, fmin, fmax) in [
        (0, 0.0, 4000.0),
        (48, 0.0, 4001.0),
        (48, 100.0, 100.0),
        (48, -1.0, 4000.0),
        (257, 0.0, 4000.0),
        (48, 100.0, 150.0),
        (8, f32::NAN, 4000.0),
    ] {
        assert!(matches!(MelBank::new(8000, 512, n_mels, fmin, fmax, Energy::Power), Err(Error::MelRange { .. })));
    }
    let bank = MelBank::new(8000, 512, 48, 0.0, 4000.0, Energy::Power).unwrap();
    assert!(bank.mel(&[0.0; 256]).is_err());
    assert!(bank.log_mel(&[0.0; 257], 0.0).is_err() && bank.log_mel(&[0.0; 257], f32::NAN).is_err());
    assert!(bank.magnitudes(&[0.0; 47], 1).is_err());
    assert!(bank.magnitudes(&[f32::NAN; 48], 1).is_err());
    assert!(bank.magnitudes_from_log(&[100.0; 48], 1).is_err());
    assert!(bank.magnitudes(&[0.0; 48], 5).unwrap().iter().all(|&v| v == 0.0));
}

#[test]
fn mel_inversion_returns_to_the_mel() {
    // Any non-negative spectrum's mel energies can be met exactly; the updates must get near.
    let truth: Vec<f32> = noise(257 * 4, 5).iter().map(|v| (v * 8.0).exp()).collect();
    for energy in [Energy::Magnitude, Energy::Power] {
        let bank = MelBank::new(8000, 512, 48, 0.0, 4000.0, energy).unwrap();
        let mel = bank.mel(&truth).unwrap();
        let error = |updates| {
            let again = bank.mel(&bank.magnitudes(&mel, updates).unwrap()).unwrap();
            let off: f32 = again.iter().zip(&mel).map(|(a, b)| (a - b).powi(2)).sum();
            (off / mel.iter().map(|b| b * b).sum::<f32>()).sqrt()
        };
        assert!(error(100) < 0.01, "{energy:?}: {}", error(100));
        assert!(error(30) < error(3) && error(3) < error(0));
    }
}

#[test]
fn griffin_lim_finds_a_phase() {
    let chirp: Vec<f32> = (0..3600).map(|i| (0.2 * i as f32 + 3e-5 * (i * i) as f32).sin() * 0.3).collect();
    let stft = Stft::new(512, 320, 64).unwrap();
    let magnitudes = stft.forward(&chirp).unwrap().magnitudes();
    let run = |iterations| GriffinLim::new(stft.clone(), iterations).unwrap().run(&magnitudes, 3600, None).unwrap();
    let (few, many) = (run(5), run(40));
    assert!(many.convergence < 0.5 * few.convergence && many.convergence < 0.1, "{} {}", few.convergence, many.convergence);
    assert_eq!(many.samples, run(40).samples);
    // The true phases are a fixed point: one round from there gives the clip back.
    let phases: Vec<f32> = stft.forward(&chirp).unwrap().data.iter().map(|c| c.arg()).collect();
    let exact = GriffinLim::new(stft.clone(), 3).unwrap().run(&magnitudes, 3600, Some(&phases)).unwrap();
    assert!(exact.convergence < 1e-5);
    assert!(exact.samples.iter().zip(&chirp).all(|(a, b)| (a - b).abs() < 1e-4));
    // Silence stays silence.
    let silent = GriffinLim::new(stft, 3).unwrap().run(&vec![0.0; magnitudes.len()], 3600, None).unwrap();
    assert!(silent.samples.iter().all(|&v| v == 0.0));
}

#[test]
fn griffin_lim_refuses_what_does_not_fit() {
    let stft = Stft::new(512, 320, 64).unwrap();
    assert!(GriffinLim::new(stft.clone(), 0).is_err());
    let gl = GriffinLim::new(stft, 2).unwrap();
    let magnitudes = vec![1.0; 257 * 2];
    assert!(gl.run(&magnitudes, 1000, None).is_err());
    assert!(gl.run(&magnitudes, 100, Some(&[0.0])).is_err());
    assert!(gl.run(&vec![f32::NAN; 257 * 2], 100, None).is_err());
    assert!(gl.run(&vec![-1.0; 257 * 2], 100, None).is_err());
    assert!(gl.run(&magnitudes, 100, None).is_ok());
}

/// A WAV file of any format hound writes.
fn wav(channels: u16, rate: u32, bits: u16, float: bool, frames: usize) -> Vec<u8> {
    let sample_format = if float { hound::SampleFormat::Float } else { hound::SampleFormat::Int };
    let spec = hound::WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format };
    let mut bytes = Vec::new();
    let mut writer = hound::WavWriter::new(std::io::Cursor::new(&mut bytes), spec).unwrap();
    for i in 0..frames {
        for channel in 0..channels {
            let value = 0.5 * (0.3 * i as f64).sin() / f64::from(channel + 1);
            if float {
                writer.write_sample(value as f32).unwrap();
            } else {
                writer.write_sample((value * 2f64.powi(i32::from(bits) - 1)) as i32).unwrap();
            }
        }
    }
    writer.finalize().unwrap();
    bytes
}

#[test]
fn every_sample_format_reads_alike() {
    for (bits, float, tolerance) in [(8, false, 1e-2), (16, false, 1e-4), (24, false, 1e-6), (32, false, 1e-7), (32, true, 1e-7)] {
        let (clip, notes) = decode_wav(&wav(1, 8000, bits, float, 100), Path::new("x.wav"), None).unwrap();
        assert!(notes.is_empty());
        assert_eq!(clip.rate, 8000);
        let want: Vec<f64> = (0..100).map(|i| 0.5 * (0.3 * f64::from(i)).sin()).collect();
        assert_close(clip.samples, &want, tolerance);
    }
}

#[test]
fn notes_tell_what_was_changed() {
    let (clip, notes) = decode_wav(&wav(2, 16000, 16, false, 1600), Path::new("x.wav"), Some(8000)).unwrap();
    assert_eq!((clip.samples.len(), clip.rate), (800, 8000));
    let told: Vec<String> = notes.iter().map(Note::to_string).collect();
    assert_eq!(told, ["mixed 2 channels to mono", "resampled 16000 -> 8000 Hz"]);
    let loud = encode_wav(&[0.5, -4.0], 8000, WavFormat::Float32, || 0.5).unwrap();
    let (clip, notes) = decode_wav(&loud, Path::new("x.wav"), None).unwrap();
    assert_eq!((clip.samples, notes), (vec![0.125, -1.0], vec![Note::Scaled { peak: 4.0 }]));
}

#[test]
fn broken_files_are_named_errors() {
    let good = wav(1, 8000, 16, false, 100);
    let name = Path::new("x.wav");
    let read = |bytes: &[u8]| decode_wav(bytes, name, None);
    assert!(matches!(read(&[]), Err(Error::EmptyFile { .. })));
    assert!(matches!(read(b"OggS, not RIFF at all"), Err(Error::NotWav { offset: 4, .. })));
    match read(&good[..good.len() - 51]) {
        Err(Error::TruncatedWav { offset, have, want, .. }) => {
            assert_eq!((offset, have, want), (good.len() as u64 - 51, 74, 100));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(read(&good[..20]), Err(Error::NotWav { offset: 20, .. })));
    assert!(matches!(read(&wav(1, 8000, 16, false, 0)), Err(Error::NoSamples { .. })));
    let mut fast = good.clone();
    fast[24..28].copy_from_slice(&900_000u32.to_le_bytes());
    fast[28..32].copy_from_slice(&1_800_000u32.to_le_bytes());
    let message = read(&fast).unwrap_err().to_string();
    assert!(message.contains("x.wav") && message.contains("900000 Hz"), "{message}");
    let mut nan = wav(1, 8000, 32, true, 10);
    let at = nan.len() - 12;
    nan[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(matches!(read(&nan), Err(Error::NonFiniteSample { index: 7, .. })));
    // A header that announces 4 GB over 200 bytes.
    let mut absurd = good.clone();
    absurd[40..44].copy_from_slice(&0xFFFF_FFFEu32.to_le_bytes());
    assert!(matches!(read(&absurd), Err(Error::TruncatedWav { have: 100, want: 2_147_483_647, .. })));
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(read_wav(dir.path(), None), Err(Error::IsFolder { .. })));
    assert!(matches!(read_wav(&dir.path().join("none.wav"), None), Err(Error::Io { .. })));
}

proptest! {
    // The tests have no lib.rs beside them where failing cases could be kept.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bytes_never_panic(
        channels in 1u16..4, bits in prop::sample::select(vec![8u16, 16, 24, 32]), cut in 0usize..400,
        edits in prop::collection::vec((0usize..64, any::<u8>()), 0..6), rate in prop::option::of(1u32..50_000),
    ) {
        let mut bytes = wav(channels, 8000, bits, bits == 32, 40);
        for (at, value) in edits {
            bytes[at] = value;
        }
        bytes.truncate(bytes.len().saturating_sub(cut / 4));
        if let Ok((clip, _)) = decode_wav(&bytes, Path::new("x.wav"), rate) {
            prop_assert!(!clip.samples.is_empty() && clip.samples.iter().all(|v| v.is_finite()));
        }
    }

    #[test]
    fn any_clip_inverts(n in 1usize..3000, seed in any::<u64>()) {
        let stft = Stft::new(256, 160, 40).unwrap();
        let clip = noise(n, seed);
        let back = stft.inverse(&stft.forward(&clip).unwrap(), n).unwrap();
        prop_assert!(clip.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

#[test]
fn writing_and_reading() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let clip = Clip { samples: noise(500, 3), rate: 8000 };
    // Without dither the error is at most half a step, with it at most one and a half.
    for (seed, steps) in [(None, 0.5), (Some(7), 1.5)] {
        let mut dither = uniform(seed.unwrap_or(0));
        write_wav(&path, &clip.samples, 8000, WavFormat::Pcm16, || seed.map_or(0.5, |_| dither())).unwrap();
        let (back, notes) = read_wav(&path, None).unwrap();
        assert!(notes.is_empty() && back.rate == 8000);
        let worst = back.samples.iter().zip(&clip.samples).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= steps / 32768.0 + 1e-7 && worst > 0.8 * steps / 32768.0 - 1e-5, "{worst}");
    }
    write_wav(&path, &clip.samples, 8000, WavFormat::Float32, || 0.5).unwrap();
    assert_eq!(read_wav(&path, None).unwrap().0, clip);
    // Nothing but the file is left behind, and a refused clip leaves the old file alone.
    assert!(write_wav(&path, &[f32::INFINITY], 8000, WavFormat::Pcm16, || 0.5).is_err());
    assert!(write_wav(&path, &[], 8000, WavFormat::Pcm16, || 0.5).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(read_wav(&path, None).unwrap().0, clip);
    assert!(matches!(write_wav(&dir.path().join("no/such/a.wav"), &[0.0], 8000, WavFormat::Pcm16, || 0.5), Err(Error::Io { .. })));
}

#[test]
fn dither_is_addressed_and_full_scale_clips() {
    let encode = |seed| encode_wav(&noise(300, 1), 8000, WavFormat::Pcm16, uniform(seed)).unwrap();
    assert_eq!(encode(4), encode(4));
    assert_ne!(encode(4), encode(5));
    let bytes = encode_wav(&[2.0, -2.0, 1.0], 8000, WavFormat::Pcm16, || 0.5).unwrap();
    let samples = decode_wav(&bytes, Path::new("x.wav"), None).unwrap().0.samples;
    assert_eq!(samples, [32767.0 / 32768.0, -1.0, 32767.0 / 32768.0]);
    // A level a third of a step survives on average: dither turns rounding into noise.
    let faint = encode_wav(&vec![0.33 / 32768.0; 40_000], 8000, WavFormat::Pcm16, uniform(9)).unwrap();
    let samples = decode_wav(&faint, Path::new("x.wav"), None).unwrap().0.samples;
    let mean = samples.iter().map(|v| f64::from(*v) * 32768.0).sum::<f64>() / 40_000.0;
    assert!((mean - 0.33).abs() < 0.02, "{mean}");
}

#[test]
fn names_carry_labels() {
    let item = parse_name(Path::new("a/7_de_la_rue_12.wav")).unwrap();
    assert_eq!((&*item.label, &*item.speaker, &*item.take), ("7", "de_la_rue", "12"));
    for name in ["7.wav", "7_george.wav", "_george_1.wav", "7__1.wav", "7_george_.wav"] {
        assert!(matches!(parse_name(Path::new(name)), Err(Error::FileName { .. })), "{name}");
    }
}

#[test]
fn folders_and_manifests() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert!(matches!(list_wavs(dir.path()), Err(Error::NoWavs { .. })));
    for name in ["1_b_0.wav", "0_a_1.WAV", "0_a_0.wav", "notes.txt"] {
        std::fs::write(at(name), b"x").unwrap();
    }
    std::fs::create_dir(at("deeper.wav")).unwrap();
    assert_eq!(list_wavs(dir.path()).unwrap(), [at("0_a_0.wav"), at("0_a_1.WAV"), at("1_b_0.wav")]);
    assert_eq!(list_items(dir.path()).unwrap()[2].speaker, "b");
    let manifest = |text: &str| {
        std::fs::write(at("m.csv"), text).unwrap();
        read_manifest(&at("m.csv"))
    };
    let items = manifest("\u{feff}speaker, file ,label,more\nann,0_a_0.wav,seven,x\n").unwrap();
    assert_eq!(items[0].path, at("0_a_0.wav"));
    assert_eq!((&*items[0].label, &*items[0].speaker, &*items[0].take), ("seven", "ann", "0_a_0"));
    assert_eq!(list_items(&at("m.csv")).unwrap(), items);
    assert!(matches!(manifest("file,label\na,b\n"), Err(Error::ManifestColumn { column: "speaker", .. })));
    assert!(matches!(manifest("file,label,speaker\n"), Err(Error::ManifestEmpty { .. })));
    assert!(matches!(manifest("file,label,speaker\n0_a_0.wav,,x\n"), Err(Error::ManifestField { row: 1, column: "label", .. })));
    assert!(matches!(manifest("file,label,speaker\n0_a_0.wav,1,x\nz.wav,1,x\n"), Err(Error::ManifestMissing { row: 2, .. })));
    assert!(matches!(manifest("file,label,speaker\na,b\n"), Err(Error::ManifestCsv { .. })));
}

/// `data/audio/fsdd/valid` of the project's shared folder, or `None` after saying why a test is skipped.
fn recordings() -> Option<Vec<PathBuf>> {
    let shared =
        std::env::var_os("LANGEVIN_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let dir = shared.join("data/audio/fsdd/valid");
    match list_wavs(&dir) {
        Ok(files) => Some(files),
        Err(error) => {
            eprintln!("skipped: {error}; set LANGEVIN_SHARED to the folder that holds data/audio");
            None
        }
    }
}

/// Prints the figures quoted in the documentation of [`MelBank::magnitudes`] and [`GriffinLim`].
#[test]
fn griffin_lim_on_recordings() {
    let Some(files) = recordings() else { return };
    let stft = Stft::new(512, 320, 64).unwrap();
    let bank = MelBank::new(8000, 512, 48, 0.0, 4000.0, Energy::Magnitude).unwrap();
    let clips: Vec<Vec<f32>> = files
        .iter()
        .step_by(5)
        .map(|path| {
            let mut clip = read_wav(path, Some(8000)).unwrap().0;
            normalise(&mut clip.samples, 8000);
            clip.samples
        })
        .collect();
    let spectra: Vec<Vec<f32>> = clips.iter().map(|c| stft.forward(c).unwrap().magnitudes()).collect();
    let mut last = f32::INFINITY;
    for iterations in [1, 10, 40] {
        let gl = GriffinLim::new(stft.clone(), iterations).unwrap();
        let start = std::time::Instant::now();
        let mean = clips.iter().zip(&spectra).map(|(c, m)| gl.run(m, c.len(), None).unwrap().convergence).sum::<f32>() / clips.len() as f32;
        let samples: usize = clips.iter().map(Vec::len).sum();
        let ms = start.elapsed().as_secs_f64() * 1e3 * 3600.0 / samples as f64;
        eprintln!("{iterations} iterations: spectral convergence {mean:.4}, {ms:.2} ms per 0.45 s");
        assert!(mean < last);
        last = mean;
    }
    assert!(last < 0.12, "spectral convergence after 40 iterations: {last}");
    for updates in [0, 10, 30] {
        let start = std::time::Instant::now();
        let (mut off, mut norm) = (0.0, 0.0);
        for truth in &spectra {
            let got = bank.magnitudes(&bank.mel(truth).unwrap(), updates).unwrap();
            off += got.iter().zip(truth).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
            norm += truth.iter().map(|b| b * b).sum::<f32>();
        }
        eprintln!("{updates} updates: error {:.4}, {:?}", (off / norm).sqrt(), start.elapsed() / clips.len() as u32);
    }
}
