//! Does a model repeat its training set?

use super::{check_pair, square_distance};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Result of [`copies`].
#[derive(Debug, Clone, PartialEq)]
pub struct Copies {
    /// Distance below which a clip counts as a copy.
    pub threshold: f32,
    /// Share of generated clips that are copies, within 0..=1.
    pub share: f64,
    /// For each generated clip the nearest training clip and its distance.
    pub nearest: Vec<(usize, f32)>,
}

/// For each query the index of the nearest point of `set` and its Euclidean distance.
///
/// # Errors
/// Empty or malformed sets.
pub fn nearest_distances(queries: &[Vec<f32>], set: &[Vec<f32>]) -> Result<Vec<(usize, f32)>> {
    check_pair(("queries", queries), ("embeddings to search", set), 1)?;
    let nearest = |query: &Vec<f32>| {
        let mut best = (0, f32::INFINITY);
        for (index, point) in set.iter().enumerate() {
            let distance = square_distance(query, point);
            if distance < best.1 {
                best = (index, distance);
            }
        }
        (best.0, best.1.sqrt())
    };
    Ok(queries.par_iter().map(nearest).collect())
}

/// Counts generated clips that lie nearer to a training clip than the `quantile` (usually 0.01) of held-out real clips.
///
/// Held-out clips are new by construction, so by definition about `quantile` of them fall below the threshold; a model
/// that does not copy does the same. The threshold is the lower empirical quantile.
///
/// # Errors
/// A quantile outside 0..=1; empty or malformed sets.
pub fn copies(generated: &[Vec<f32>], train: &[Vec<f32>], held_out: &[Vec<f32>], quantile: f64) -> Result<Copies> {
    if !(0.0..=1.0).contains(&quantile) {
        return Err(Error::OutOfRange { what: "quantile", got: quantile, min: 0.0, max: 1.0 });
    }
    let mut normal: Vec<f32> = nearest_distances(held_out, train)?.into_iter().map(|(_, d)| d).collect();
    normal.sort_by(f32::total_cmp);
    let threshold = normal[((normal.len() - 1) as f64 * quantile).floor() as usize];
    let nearest = nearest_distances(generated, train)?;
    let copied = nearest.iter().filter(|(_, distance)| *distance < threshold).count();
    Ok(Copies { threshold, share: copied as f64 / generated.len() as f64, nearest })
}
