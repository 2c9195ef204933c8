//! Log-mel spectrograms as NumPy files.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use npyz::{DType, NpyFile, Order, TypeChar, WriterBuilder as _};

use crate::error::{Error, Result};

/// Largest mel file read, in bytes: 256 MiB, over three hours at 48 bands and 125 frames a second.
pub const MAX_MEL_BYTES: u64 = 1 << 28;

/// Reads a log-mel spectrogram: f32 or f64, shape `[bands, frames]` as librosa lays it out or `[frames, bands]`; one axis has to be `bands`
/// long, and where both are it is the first. Returns shape `[frames, bands]`, row-major.
///
/// # Errors
/// A file that is missing, too large, no `.npy` file, truncated, of another type or shape, without frames, or with a value that is not finite.
pub fn read_mel(path: &Path, bands: usize) -> Result<Vec<f32>> {
    let io = |source| Error::Io { path: path.into(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(MAX_MEL_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_MEL_BYTES {
        return Err(Error::TooLarge { path: path.into(), limit: MAX_MEL_BYTES });
    }
    decode_mel(&bytes, path, bands)
}

/// As [`read_mel`], from memory; `name` is used in messages only.
///
/// # Errors
/// As [`read_mel`].
pub fn decode_mel(bytes: &[u8], name: &Path, bands: usize) -> Result<Vec<f32>> {
    let wrong = |problem: String| Error::Npy { path: PathBuf::from(name), problem };
    if bytes.is_empty() {
        return Err(wrong("is empty (0 bytes)".into()));
    }
    let mut rest = bytes;
    let file = NpyFile::new(&mut rest).map_err(|e| wrong(format!("is no NumPy file: {e}")))?;
    let (shape, order, kind) = (file.shape().to_vec(), file.order(), file.dtype());
    let size = match &kind {
        DType::Plain(text) if text.type_char() == TypeChar::Float && matches!(text.size_field(), 4 | 8) => text.size_field(),
        other => return Err(wrong(format!("holds {}, but log-mel values are f32 or f64", other.descr()))),
    };
    let wanted = shape.iter().try_fold(size, |product, axis| product.checked_mul(*axis));
    let [first, second] = shape[..] else {
        return Err(wrong(format!("has shape {shape:?}, but [{bands}, frames] or [frames, {bands}] is wanted")));
    };
    let bands_first = first == bands as u64;
    if !bands_first && second != bands as u64 {
        return Err(wrong(format!("has shape {shape:?}, but [{bands}, frames] or [frames, {bands}] is wanted")));
    }
    if first == 0 || second == 0 {
        return Err(wrong("has no frames".into()));
    }
    let header = file.header().clone();
    drop(file);
    // Compared before anything is allocated: a header may announce any size.
    if wanted != Some(rest.len() as u64) {
        return Err(wrong(format!("has {} bytes of values where its shape {shape:?} asks for another number", rest.len())));
    }
    let file = NpyFile::with_header(header, rest);
    let read = if size == 4 { file.into_vec::<f32>() } else { file.into_vec::<f64>().map(|v| v.into_iter().map(|v| v as f32).collect()) };
    let values = read.map_err(|e| wrong(format!("cannot be read: {e}")))?;
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(wrong(format!("holds {} at value {at}; every log-mel value has to be a finite number", values[at])));
    }
    // Row-major with bands first is column-major with frames first.
    let by_frame = bands_first != (order == Order::C);
    Ok(if by_frame { values } else { transpose(&values, bands) })
}

/// `[bands, frames]` to `[frames, bands]`.
fn transpose(values: &[f32], bands: usize) -> Vec<f32> {
    let frames = values.len() / bands;
    (0..frames).flat_map(|t| (0..bands).map(move |b| values[b * frames + t])).collect()
}

/// A log-mel spectrogram of shape `[frames, bands]` as a NumPy file of shape `[bands, frames]`, f32.
///
/// # Errors
/// A length that is no multiple of `bands`.
pub fn encode_mel(mel: &[f32], bands: usize) -> Result<Vec<u8>> {
    if bands == 0 || mel.is_empty() || !mel.len().is_multiple_of(bands) {
        return Err(Error::Shape { what: "log-mel values", got: mel.len(), want: mel.len().div_ceil(bands.max(1)).max(1) * bands.max(1) });
    }
    let frames = mel.len() / bands;
    let mut bytes = Vec::with_capacity(mel.len() * 4 + 128);
    let mut write = || -> std::io::Result<()> {
        let shape = [bands as u64, frames as u64];
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd()?;
        writer.extend((0..bands).flat_map(|b| (0..frames).map(move |t| mel[t * bands + b])))?;
        writer.finish()
    };
    write().map_err(|source| Error::Io { path: PathBuf::from("log-mel file"), source })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8], bands: usize) -> Result<Vec<f32>> {
        decode_mel(bytes, Path::new("m.npy"), bands)
    }

    fn file(shape: &[u64], order: Order, values: &[f64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).order(order).writer(&mut bytes).begin_nd().unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mel: Vec<f32> = (0..15).map(|v| v as f32 * 0.5 - 3.0).collect();
        assert_eq!(of(&encode_mel(&mel, 3).unwrap(), 3).unwrap(), mel);
        assert_eq!(of(&encode_mel(&mel, 5).unwrap(), 5).unwrap(), mel);
    }

    #[test]
    fn both_layouts_and_both_orders() {
        // Frame t, band b holds 10 t + b.
        let want: Vec<f32> = (0..4).flat_map(|t| (0..3).map(move |b| (10 * t + b) as f32)).collect();
        let by_frame: Vec<f64> = want.iter().map(|v| f64::from(*v)).collect();
        let by_band: Vec<f64> = (0..3).flat_map(|b| (0..4).map(move |t| f64::from(10 * t + b))).collect();
        assert_eq!(of(&file(&[4, 3], Order::C, &by_frame), 3).unwrap(), want);
        assert_eq!(of(&file(&[3, 4], Order::C, &by_band), 3).unwrap(), want);
        assert_eq!(of(&file(&[4, 3], Order::Fortran, &by_band), 3).unwrap(), want);
        assert_eq!(of(&file(&[3, 4], Order::Fortran, &by_frame), 3).unwrap(), want);
        // A square one has bands first.
        assert_eq!(of(&file(&[2, 2], Order::C, &[1.0, 2.0, 3.0, 4.0]), 2).unwrap(), [1.0, 3.0, 2.0, 4.0]);
    }

    #[test]
    fn files_that_are_none_are_refused() {
        let good = file(&[3, 4], Order::C, &[0.5; 12]);
        let integers = {
            let mut bytes = Vec::new();
            let mut writer = npyz::WriteOptions::new().default_dtype().shape(&[3, 4]).writer(&mut bytes).begin_nd().unwrap();
            writer.extend([1i64; 12]).unwrap();
            writer.finish().unwrap();
            bytes
        };
        let nan = file(&[3, 4], Order::C, &[f64::NAN; 12]);
        for (bytes, word) in [
            (&b""[..], "0 bytes"),
            (b"RIFF and so on, but no array", "no NumPy file"),
            (&good[..good.len() - 8], "bytes of values"),
            (&good[..20], "no NumPy file"),
            (&integers, "f32 or f64"),
            (&nan, "NaN"),
            (&file(&[12], Order::C, &[0.0; 12]), "shape [12]"),
            (&file(&[2, 6], Order::C, &[0.0; 12]), "[3, frames]"),
            (&file(&[3, 0], Order::C, &[]), "no frames"),
        ] {
            let error = of(bytes, 3).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("m.npy"), "'{word}' is not in: {error}");
        }
        // A header that announces more than there is, is refused before anything is allocated.
        let mut more = good;
        let at = more.windows(5).position(|w| w == b"(3, 4").unwrap();
        more[at + 4] = b'9';
        assert!(of(&more, 3).unwrap_err().to_string().contains("bytes of values"));
        assert!(encode_mel(&[0.0; 5], 3).is_err());
    }
}
