//! Recordings that several test programs train on.

use std::path::PathBuf;

use langevin_audio::{Item, data::Recordings};
use langevin_core::{
    Philox,
    noise::{NoiseSource as _, stream},
};

/// Twelve short clips of coloured noise by two speakers.
pub(crate) fn recordings() -> Recordings {
    let noise = Philox::new(4);
    let clip = |k: u32| {
        let mut clip = vec![0f32; 1600 + 160 * k as usize];
        noise.fill(k, 0, stream::DOMAIN, &mut clip);
        let keep = 0.1 * (k % 9) as f32;
        (1..clip.len()).for_each(|n| clip[n] += keep * clip[n - 1]);
        clip.iter_mut().for_each(|v| *v *= 0.1);
        clip
    };
    let item = |k: u32| {
        let (label, speaker) = (["yes", "no", "maybe"][k as usize % 3], ["ann", "bob"][k as usize % 2]);
        Item {
            path: PathBuf::from(format!("{label}_{speaker}_{k}.wav")),
            label: label.into(),
            speaker: speaker.into(),
            take: k.to_string(),
        }
    };
    Recordings { items: (0..12).map(item).collect(), clips: (0..12).map(clip).collect(), notes: Vec::new() }
}
