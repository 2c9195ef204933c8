//! A picture of a clip: its waveform above its log-mel spectrogram, as PNG.

use crate::{
    error::{Error, Result},
    mel::{Energy, MelBank},
    resample::check_rate,
    stft::Stft,
};

/// Mel bands, fewer at rates that have no room for them.
const BANDS: usize = 48;
/// Lowest mel magnitude before the logarithm.
const FLOOR: f32 = 1e-6;
/// Width of the picture in pixels.
const WIDTH: usize = 960;
/// Height of the waveform's part.
const WAVE: usize = 160;
/// Height of one mel band.
const BAND: usize = 5;
/// Height of the strip with a tick every tenth of a second, a longer one every second.
const TICKS: usize = 8;
/// Values this far (in natural logarithm of magnitude, 70 dB) below the loudest one are the darkest.
const RANGE: f32 = 8.06;

type Colour = [u8; 3];

const PAPER: Colour = [255, 255, 255];
const INK: Colour = [29, 78, 216];
const LINE: Colour = [209, 213, 219];
const MARK: Colour = [55, 65, 81];
/// From quiet to loud; lightness rises evenly, so that it reads in grey too.
const SCALE: [Colour; 6] = [[8, 6, 30], [60, 18, 100], [130, 36, 112], [204, 70, 84], [245, 140, 56], [252, 238, 170]];

/// Draws a clip's waveform and its log-mel spectrogram, low bands below. The waveform's part spans `-1..1`, or the clip's peak where that is
/// greater; the spectrogram has frames of 40 ms every 8 ms and shows 70 dB. Equal input gives equal bytes.
///
/// # Errors
/// A clip that is empty or holds a value that is not finite, a rate that no sound has.
pub fn png(samples: &[f32], rate: u32) -> Result<Vec<u8>> {
    check_rate(rate)?;
    let (window, hop) = (rate as usize / 25, rate as usize / 125);
    let n_fft = (rate as usize * 8 / 125).next_power_of_two();
    let bands = BANDS.min(n_fft / 4);
    let spectrum = Stft::new(n_fft, window, hop)?.forward(samples)?;
    let bank = MelBank::new(rate, n_fft, bands, 0.0, rate as f32 / 2.0, Energy::Magnitude)?;
    draw(samples, rate, &bank.log_mel(&spectrum.magnitudes(), FLOOR)?, bands)
}

/// The picture of samples and their spectrogram, shape `[frames, bands]`, neither of them empty.
fn draw(samples: &[f32], rate: u32, mel: &[f32], bands: usize) -> Result<Vec<u8>> {
    let height = WAVE + bands * BAND + TICKS;
    let mut canvas = Canvas { pixels: vec![PAPER; WIDTH * height] };
    canvas.waveform(samples);
    canvas.spectrogram(mel, bands);
    canvas.ticks(samples.len() as f64 / f64::from(rate), WAVE + bands * BAND);
    let mut bytes = Vec::new();
    let mut encode = || -> std::result::Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(&mut bytes, WIDTH as u32, height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(canvas.pixels.as_flattened())?;
        writer.finish()
    };
    encode().map_err(|source| Error::Picture { source })?;
    Ok(bytes)
}

struct Canvas {
    pixels: Vec<Colour>,
}

impl Canvas {
    fn put(&mut self, x: usize, y: usize, colour: Colour) {
        self.pixels[y * WIDTH + x] = colour;
    }

    /// Least and greatest sample behind each column of pixels, joined to the column before.
    fn waveform(&mut self, samples: &[f32]) {
        let peak = samples.iter().fold(1f32, |most, v| most.max(v.abs()));
        let row = |v: f32| ((0.5 - 0.5 * v / peak) * (WAVE - 1) as f32).round() as usize;
        for x in 0..WIDTH {
            self.put(x, row(0.0), LINE);
        }
        let mut before = row(samples[0]);
        for x in 0..WIDTH {
            let from = x * samples.len() / WIDTH;
            let to = ((x + 1) * samples.len() / WIDTH).max(from + 1).min(samples.len());
            let seen = &samples[from.min(samples.len() - 1)..to];
            let rows = seen.iter().map(|&v| row(v));
            let (top, bottom) = rows.fold((before, before), |(top, bottom), y| (top.min(y), bottom.max(y)));
            for y in top..=bottom {
                self.put(x, y, INK);
            }
            before = row(seen[seen.len() - 1]);
        }
    }

    /// The loudest frame behind each column of pixels.
    fn spectrogram(&mut self, mel: &[f32], bands: usize) {
        let frames = mel.len() / bands;
        let loudest = mel.iter().fold(f32::NEG_INFINITY, |most, v| most.max(*v));
        for x in 0..WIDTH {
            let from = (x * frames / WIDTH).min(frames - 1);
            let to = ((x + 1) * frames / WIDTH).clamp(from + 1, frames);
            for band in 0..bands {
                let value = (from..to).map(|t| mel[t * bands + band]).fold(f32::NEG_INFINITY, f32::max);
                let colour = of_scale(1.0 + (value - loudest) / RANGE);
                for y in 0..BAND {
                    self.put(x, WAVE + (bands - 1 - band) * BAND + y, colour);
                }
            }
        }
    }

    fn ticks(&mut self, seconds: f64, top: usize) {
        // Finer than four pixels they would be a bar.
        let step = [0.1, 1.0, 10.0, 60.0, 600.0].into_iter().find(|step| step / seconds * WIDTH as f64 >= 4.0).unwrap_or(seconds);
        let mut number = 0;
        while f64::from(number) * step <= seconds {
            let x = ((f64::from(number) * step / seconds * WIDTH as f64) as usize).min(WIDTH - 1);
            for y in 0..if number % 10 == 0 { TICKS } else { TICKS / 2 } {
                self.put(x, top + y, MARK);
            }
            number += 1;
        }
    }
}

/// Colour of a share of the scale; outside 0..1 that of its end.
fn of_scale(share: f32) -> Colour {
    let place = share.clamp(0.0, 1.0) * (SCALE.len() - 1) as f32;
    let below = (place as usize).min(SCALE.len() - 2);
    let part = place - below as f32;
    std::array::from_fn(|k| {
        let (a, b) = (f32::from(SCALE[below][k]), f32::from(SCALE[below + 1][k]));
        (a + (b - a) * part).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (usize, usize, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width as usize, info.height as usize, pixels)
    }

    #[test]
    fn loud_is_where_the_sound_is() {
        // The first half is loud, in the lowest band.
        let samples: Vec<f32> = (0..8000).map(|i| if i < 4000 { (i as f32 * 0.3).sin() } else { 0.0 }).collect();
        let mel: Vec<f32> = (0..100).flat_map(|t| (0..4).map(move |b| if t < 50 && b == 0 { 1.0 } else { -9.0 })).collect();
        let bytes = draw(&samples, 8000, &mel, 4).unwrap();
        let (width, height, pixels) = read(&bytes);
        assert_eq!((width, height), (WIDTH, WAVE + 4 * BAND + TICKS));
        let at = |x: usize, y: usize| &pixels[(y * width + x) * 3..][..3];
        let lowest = WAVE + 3 * BAND + 1;
        assert_eq!((at(100, lowest), at(100, WAVE + 1), at(800, lowest)), (&SCALE[5][..], &SCALE[0][..], &SCALE[0][..]));
        let inked =
            |columns: std::ops::Range<usize>| columns.flat_map(|x| (0..WAVE).map(move |y| (x, y))).filter(|p| at(p.0, p.1) == INK).count();
        assert!(inked(100..200) > 5000 && inked(800..900) <= 100, "{} {}", inked(100..200), inked(800..900));
        assert_eq!(bytes, draw(&samples, 8000, &mel, 4).unwrap());
        assert_eq!(png(&samples, 8000).unwrap(), png(&samples, 8000).unwrap());
    }

    #[test]
    fn any_length_and_rate_and_nothing_that_is_no_number() {
        for (samples, rate) in [(1, 8000), (2, 1000), (959, 22_050), (961, 48_000), (100_000, 768_000)] {
            let (width, ..) = read(&png(&vec![2.0; samples], rate).unwrap());
            assert_eq!(width, WIDTH);
        }
        for (samples, rate) in [(&[][..], 8000), (&[f32::NAN], 8000), (&[0.0], 0)] {
            assert!(png(samples, rate).is_err());
        }
    }
}
