//! `eval audio`: how a set of clips compares with real recordings, in the eyes of a judge.

use serde::Serialize;

use super::judge::Judged;
use crate::{Result, metrics};

/// Bins of the NDB score.
const BINS: usize = 30;
/// Neighbours of precision and recall.
const NEIGHBOURS: usize = 3;
/// Quantile of the held-out-to-training distances below which a clip counts as a copy.
const COPY_QUANTILE: f64 = 0.01;

/// Scores of a set of clips. Those that need recordings are absent without them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scores {
    /// Number of clips.
    pub clips: usize,
    /// Share of clips whose label the judge hears.
    pub label_accuracy: f64,
    /// Share of clips whose speaker the judge hears.
    pub speaker_accuracy: f64,
    /// Clips without sound (loudest 0.2 s below half a step of 16 bits) or with a sample that is not finite.
    pub silent: usize,
    /// Fréchet distance between embeddings of the clips and of the training recordings (Kilgour et al. 2019).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fad: Option<f64>,
    /// Of 30 bins of the training recordings, those with a significantly different share (Richardson & Weiss 2018).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ndb: Option<usize>,
    /// Share of clips inside the manifold of recordings (Kynkäänniemi et al. 2019).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// Share of recordings inside the manifold of clips.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<f64>,
    /// Share of clips nearer to a training recording than 1 % of the held-out recordings are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies: Option<f64>,
}

/// Embeddings of real recordings.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'a> {
    /// Those the model was trained on.
    pub train: &'a [Vec<f32>],
    /// Those it has not seen.
    pub held_out: &'a [Vec<f32>],
}

/// Scores judged clips against what was asked for, and against recordings where there are some.
///
/// `wanted` holds the judge's numbers of label and speaker of each clip.
///
/// # Errors
/// When the sets are too small for a metric.
pub fn score(judged: &[Judged], wanted: &[(usize, usize)], silent: usize, reference: Option<Reference<'_>>) -> Result<Scores> {
    let share = |right: &dyn Fn(&Judged, &(usize, usize)) -> bool| {
        judged.iter().zip(wanted).filter(|(j, w)| right(j, w)).count() as f64 / judged.len().max(1) as f64
    };
    let mut scores = Scores {
        clips: judged.len(),
        label_accuracy: share(&|j, w| j.label.0 == w.0),
        speaker_accuracy: share(&|j, w| j.speaker.0 == w.1),
        silent,
        ..Scores::default()
    };
    if let Some(reference) = reference {
        // Embeddings have no unit; dividing by the spread of the training recordings gives the Fréchet distance one.
        let unit = spread(reference.train);
        let scaled = |set: &[Vec<f32>]| set.iter().map(|e| e.iter().map(|v| v / unit).collect()).collect::<Vec<Vec<f32>>>();
        let clips: Vec<Vec<f32>> = judged.iter().map(|j| j.embedding.clone()).collect();
        let (clips, train, held_out) = (scaled(&clips), scaled(reference.train), scaled(reference.held_out));
        let reference = Reference { train: &train, held_out: &held_out };
        let both = metrics::precision_recall(reference.held_out, &clips, NEIGHBOURS)?;
        scores.fad = Some(metrics::frechet_distance(reference.train, &clips)?);
        scores.ndb = Some(metrics::ndb(reference.train, &clips, BINS)?.different);
        scores.precision = Some(both.precision);
        scores.recall = Some(both.recall);
        scores.copies = Some(metrics::copies(&clips, reference.train, reference.held_out, COPY_QUANTILE)?.share);
    }
    Ok(scores)
}

/// Root of the mean variance of a coordinate, 1 where nothing varies.
fn spread(set: &[Vec<f32>]) -> f32 {
    let (count, width) = (set.len().max(1) as f64, set.first().map_or(0, Vec::len));
    let variance = |k: usize| {
        let mean = set.iter().map(|e| f64::from(e[k])).sum::<f64>() / count;
        set.iter().map(|e| (f64::from(e[k]) - mean).powi(2)).sum::<f64>() / count
    };
    let mean = (0..width).map(variance).sum::<f64>() / width.max(1) as f64;
    if mean > 0.0 { mean.sqrt() as f32 } else { 1.0 }
}
