//! Numbers that dither written files.

use langevin_core::{Philox, noise::stream};

/// Stream of the dither of a written file.
const DITHER: u32 = stream::DOMAIN + 2;

/// Uniform numbers in 0..1 that dither sound `row` of a seed when [`encode_wav`](crate::encode_wav) writes it.
pub fn dither(seed: u64, row: u32) -> impl FnMut() -> f32 + use<> {
    let (noise, mut count) = (Philox::new(seed), 0u32);
    let mut words = [0; 4];
    move || {
        if count.is_multiple_of(4) {
            words = noise.words([count / 4, row, 0, DITHER]);
        }
        let word = words[(count % 4) as usize];
        count += 1;
        (word >> 8) as f32 / (1 << 24) as f32
    }
}
