//! Improved precision and recall (Kynkäänniemi et al. 2019).

use super::{check_pair, square_distance};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Result of [`precision_recall`], both within 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionRecall {
    /// Share of generated points inside the manifold of real ones: quality.
    pub precision: f64,
    /// Share of real points inside the manifold of generated ones: diversity.
    pub recall: f64,
}

/// Precision and recall with manifolds made of balls around each point that reach to its `k`-th nearest neighbour in its
/// own set (Eqs. 1 to 3, arXiv:1904.06991; the paper uses k = 3).
///
/// # Errors
/// `k` of 0, sets of at most `k` points, malformed sets.
pub fn precision_recall(real: &[Vec<f32>], generated: &[Vec<f32>], k: usize) -> Result<PrecisionRecall> {
    if k == 0 {
        return Err(Error::TooFew { what: "neighbours", got: 0, want: 1 });
    }
    check_pair(("real embeddings", real), ("generated embeddings", generated), k + 1)?;
    let (real_radii, generated_radii) = (square_radii(real, k), square_radii(generated, k));
    Ok(PrecisionRecall { precision: share_inside(generated, real, &real_radii), recall: share_inside(real, generated, &generated_radii) })
}

/// Squared distance of each point to its `k`-th nearest other point.
fn square_radii(set: &[Vec<f32>], k: usize) -> Vec<f32> {
    let radius = |(index, point): (usize, &Vec<f32>)| {
        let others = set.iter().enumerate().filter(|(other, _)| *other != index);
        let mut distances: Vec<f32> = others.map(|(_, other)| square_distance(point, other)).collect();
        *distances.select_nth_unstable_by(k - 1, f32::total_cmp).1
    };
    set.par_iter().enumerate().map(radius).collect()
}

fn share_inside(points: &[Vec<f32>], set: &[Vec<f32>], square_radii: &[f32]) -> f64 {
    let inside = |point: &&Vec<f32>| set.iter().zip(square_radii).any(|(centre, radius)| square_distance(point, centre) <= *radius);
    points.par_iter().filter(inside).count() as f64 / points.len() as f64
}
