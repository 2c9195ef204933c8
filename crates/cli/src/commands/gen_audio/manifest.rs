//! What the manifest of generated speech says.

use langevin_audio::task::Prior;
use langevin_core::recipe::Sampling;
use langevin_engine::{Shard, shard::Manifest};
use serde::Serialize;

use super::{listen::Heard, maker::About};
use crate::{output, report::Failure};

/// Effective settings: what, with the row, decides the bytes of a clip.
#[derive(Debug, Serialize)]
pub(super) struct Effective {
    pub(super) version: &'static str,
    pub(super) checkpoint: String,
    pub(super) checkpoint_hash: String,
    pub(super) seed: u64,
    pub(super) label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    pub(super) speaker: Option<String>,
    pub(super) sampling: Sampling,
    /// Of one clip, all of its words and takes.
    pub(super) network_evaluations: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vocoder: Option<About>,
    /// Beside the others, of one clip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vocoder_evaluations: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) best_of: Option<u32>,
    /// Takes that the judge heard to choose, of one clip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) judge_evaluations: Option<usize>,
    pub(super) label_guidance: f64,
    pub(super) speaker_guidance: f64,
    pub(super) duration: Option<f64>,
    pub(super) rate: u32,
    pub(super) device: &'static str,
    pub(super) format: &'static str,
}

#[derive(Serialize)]
pub(super) struct Document<'a> {
    pub(super) schema_version: u32,
    #[serde(flatten)]
    pub(super) settings: &'a Effective,
    pub(super) clips: Vec<Entry>,
}

#[derive(Serialize)]
pub(super) struct Entry {
    pub(super) file: String,
    pub(super) row: u32,
    pub(super) label: String,
    pub(super) speaker: String,
    pub(super) seconds: f64,
    pub(super) peak: f32,
    /// Root mean square of the loudest 0.2 s.
    pub(super) rms: f32,
    /// What the built-in judge hears, where it knows the checkpoint's names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) heard: Option<Heard>,
}

impl Document<'_> {
    /// The manifest's text.
    pub(super) fn pretty(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec_pretty(self).map_err(|e| Failure::data("json", "the manifest cannot be written").because(e))
    }

    /// What `--json` prints: the clips and where their manifest says more.
    pub(super) fn clips_only(&self) -> serde_json::Value {
        serde_json::json!({ "clips": self.clips, "seed": self.settings.seed, "network_evaluations": self.settings.network_evaluations })
    }
}

#[derive(Serialize)]
pub(super) struct DryRun<'a> {
    #[serde(flatten)]
    settings: &'a Effective,
    clips: u32,
    parameters: usize,
    vector: usize,
    estimated_cpu_seconds: f64,
    estimated_memory_mb: f64,
}

impl<'a> DryRun<'a> {
    /// What `clips` clips cost that take `network_rows` rows of the network, each evaluated so often.
    pub(super) fn new(settings: &'a Effective, clips: u32, network_rows: u32, evaluations: usize, prior: &Prior) -> Self {
        // Two passes under guidance, two operations a parameter, about 10^10 operations a second and core; 5 ms of phase search a clip.
        let passes = 2.0 * evaluations as f64 * f64::from(network_rows);
        Self {
            settings,
            clips,
            parameters: prior.parameters(),
            vector: prior.codec.width(),
            estimated_cpu_seconds: passes * 2.0 * prior.parameters() as f64 / 1e10 + 0.005 * f64::from(clips),
            estimated_memory_mb: 40.0 + prior.parameters() as f64 * 8.0 / 1e6,
        }
    }
}

/// Names of the list of clips and of the mark that a part is complete.
pub(super) fn names(shard: Shard) -> (String, String) {
    if shard == Shard::WHOLE {
        ("manifest.json".to_owned(), String::new())
    } else {
        (format!("manifest-{}-of-{}.json", shard.index, shard.count), format!("part-{}-of-{}.json", shard.index, shard.count))
    }
}

pub(super) fn part(effective: &Effective, total: u32, shard: Shard) -> Result<Manifest, Failure> {
    let config = serde_json::to_string(effective).map_err(|e| Failure::data("json", "the settings cannot be written").because(e))?;
    let rows = shard.rows(total);
    Ok(Manifest {
        schema_version: output::SCHEMA_VERSION,
        input: String::new(),
        config,
        checkpoint: effective.checkpoint_hash.clone(),
        seed: effective.seed,
        total,
        first: rows.start,
        end: rows.end,
    })
}
