//! Number of statistically different bins (Richardson & Weiss 2018, section 2).

use super::{check_pair, square_distance};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Result of [`ndb`].
#[derive(Debug, Clone, PartialEq)]
pub struct Ndb {
    /// Number of bins whose share differs with p < 0.05.
    pub different: usize,
    /// Share of the reference set per bin.
    pub reference: Vec<f64>,
    /// Share of the generated set per bin.
    pub generated: Vec<f64>,
}

/// Two-sided 5 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;
/// k-means rounds; the assignment is usually stable after a dozen.
const ROUNDS: usize = 100;

/// Splits space into `bins` cells by k-means on the reference set and counts the cells in which the share of generated
/// points differs from that of reference points (two-proportion z-test, p < 0.05).
///
/// Two samples of one distribution give about `bins / 20`. Distances are Euclidean: scale the dimensions first.
///
/// # Errors
/// No bins, fewer reference points than bins, empty or malformed sets.
pub fn ndb(reference: &[Vec<f32>], generated: &[Vec<f32>], bins: usize) -> Result<Ndb> {
    check_pair(("reference embeddings", reference), ("generated embeddings", generated), 1)?;
    if bins == 0 || reference.len() < bins {
        return Err(Error::TooFew { what: "reference embeddings for the bins", got: reference.len(), want: bins.max(1) });
    }
    let (centres, cells) = k_means(reference, bins);
    let count = |cells: &[usize]| {
        let mut counts = vec![0usize; bins];
        cells.iter().for_each(|&cell| counts[cell] += 1);
        counts
    };
    let (from_reference, from_generated) = (count(&cells), count(&assign(generated, &centres)));
    let (n, m) = (reference.len() as f64, generated.len() as f64);
    let share = |counts: &[usize], total: f64| counts.iter().map(|&c| c as f64 / total).collect::<Vec<_>>();
    let differs = |&(&a, &b): &(&usize, &usize)| {
        let (p, q) = (a as f64 / n, b as f64 / m);
        let pooled = (a + b) as f64 / (n + m);
        let error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
        (p - q).abs() > Z * error
    };
    Ok(Ndb {
        different: from_reference.iter().zip(&from_generated).filter(differs).count(),
        reference: share(&from_reference, n),
        generated: share(&from_generated, m),
    })
}

/// Lloyd's algorithm; centres and the cell of each point.
fn k_means(points: &[Vec<f32>], k: usize) -> (Vec<Vec<f32>>, Vec<usize>) {
    let mut centres = first_centres(points, k);
    let mut cells = assign(points, &centres);
    for _ in 0..ROUNDS {
        let mut sums = vec![vec![0.0f64; points[0].len()]; k];
        let mut counts = vec![0usize; k];
        for (point, &cell) in points.iter().zip(&cells) {
            counts[cell] += 1;
            sums[cell].iter_mut().zip(point).for_each(|(s, &v)| *s += f64::from(v));
        }
        for ((centre, sum), &count) in centres.iter_mut().zip(&sums).zip(&counts) {
            // A cell that lost all its points keeps its centre.
            if count > 0 {
                centre.iter_mut().zip(sum).for_each(|(c, s)| *c = (s / count as f64) as f32);
            }
        }
        let next = assign(points, &centres);
        if next == cells {
            break;
        }
        cells = next;
    }
    (centres, cells)
}

/// k-means++ (Arthur & Vassilvitskii 2007) with the golden-ratio sequence in place of random numbers: the same set
/// always gives the same cells, and each centre is still drawn in proportion to the squared distance from the others.
fn first_centres(points: &[Vec<f32>], k: usize) -> Vec<Vec<f32>> {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let mut centres = vec![points[0].clone()];
    let mut distances: Vec<f64> = points.iter().map(|p| f64::from(square_distance(p, &points[0]))).collect();
    while centres.len() < k {
        let total: f64 = distances.iter().sum();
        let mut left = (centres.len() as f64 * GOLDEN).fract() * total;
        let mut chosen = 0;
        for (index, distance) in distances.iter().enumerate().filter(|(_, d)| **d > 0.0) {
            chosen = index;
            left -= distance;
            if left < 0.0 {
                break;
            }
        }
        let centre = points[chosen].clone();
        for (distance, point) in distances.iter_mut().zip(points) {
            *distance = distance.min(f64::from(square_distance(point, &centre)));
        }
        centres.push(centre);
    }
    centres
}

fn assign(points: &[Vec<f32>], centres: &[Vec<f32>]) -> Vec<usize> {
    let nearest = |point: &Vec<f32>| {
        let mut best = (0, f32::INFINITY);
        for (cell, centre) in centres.iter().enumerate() {
            let distance = square_distance(point, centre);
            if distance < best.1 {
                best = (cell, distance);
            }
        }
        best.0
    };
    points.par_iter().map(nearest).collect()
}
