//! What a whole gap looks like: bands of single rows cannot say it, sample paths can.

use serde::Serialize;

use super::crps::crps_fair;

/// Numbers that describe a path through a gap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Mean over its rows.
    pub mean: f64,
    /// Greatest value.
    pub max: f64,
    /// Least value.
    pub min: f64,
    /// Mean absolute difference of neighbouring rows; 0 of one row.
    pub roughness: f64,
}

impl Shape {
    /// Of the values of one gap, in order. `None` of nothing.
    #[must_use]
    pub fn new(path: &[f64]) -> Option<Self> {
        let steps = path.windows(2).map(|w| (w[1] - w[0]).abs()).sum::<f64>();
        (!path.is_empty()).then(|| Self {
            mean: path.iter().sum::<f64>() / path.len() as f64,
            max: path.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            min: path.iter().copied().fold(f64::INFINITY, f64::min),
            roughness: steps / (path.len() - 1).max(1) as f64,
        })
    }
}

/// Fair CRPS of each of the numbers of [`Shape`]; of several gaps their means, each gap counting once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PathScores {
    /// Gaps that were scored.
    pub gaps: usize,
    /// CRPS of the gap's mean, in deviations.
    pub mean: f64,
    /// CRPS of its maximum, in deviations.
    pub max: f64,
    /// CRPS of its minimum, in deviations.
    pub min: f64,
    /// CRPS of its roughness, in deviations.
    pub roughness: f64,
}

impl PathScores {
    /// Mean over gaps. `None` of nothing.
    #[must_use]
    pub fn average(scores: &[Self]) -> Option<Self> {
        let gaps: usize = scores.iter().map(|s| s.gaps).sum();
        let mean = |of: fn(&Self) -> f64| scores.iter().map(|s| of(s) * s.gaps as f64).sum::<f64>() / gaps as f64;
        (gaps > 0).then(|| Self {
            gaps,
            mean: mean(|s| s.mean),
            max: mean(|s| s.max),
            min: mean(|s| s.min),
            roughness: mean(|s| s.roughness),
        })
    }
}

/// Scores sample paths through one gap. `samples[s]` is a path of as many rows as `truth`. `None` of an empty gap or less than 2 paths.
///
/// # Panics
/// When a path has another length than the truth.
#[must_use]
pub fn path_scores(truth: &[f64], samples: &[Vec<f64>]) -> Option<PathScores> {
    assert!(samples.iter().all(|path| path.len() == truth.len()), "paths as long as the gap");
    let truth = Shape::new(truth)?;
    let shapes: Vec<Shape> = samples.iter().filter_map(|path| Shape::new(path)).collect();
    let score = |of: fn(&Shape) -> f64| crps_fair(of(&truth), &shapes.iter().map(of).collect::<Vec<_>>());
    Some(PathScores {
        gaps: 1,
        mean: score(|s| s.mean)?,
        max: score(|s| s.max)?,
        min: score(|s| s.min)?,
        roughness: score(|s| s.roughness)?,
    })
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(Shape::new(&[1.0, 4.0, 2.0, 1.0]), Some(Shape { mean: 2.0, max: 4.0, min: 1.0, roughness: 2.0 }));
        assert_eq!(Shape::new(&[3.0]), Some(Shape { mean: 3.0, max: 3.0, min: 3.0, roughness: 0.0 }));
        assert_eq!(Shape::new(&[]), None);
        // Means 1 and 3 of truth 2: |1| - 2 / 2 / 1; maxima 2 and 3 of 4: 1.5 - 0.5; minima 0 and 3 of 0: 1.5 - 1.5; roughness 2 and 0 of 4: 3 - 1.
        let scores = path_scores(&[0.0, 4.0], &[vec![0.0, 2.0], vec![3.0, 3.0]]);
        assert_eq!(scores, Some(PathScores { gaps: 1, mean: 0.0, max: 1.0, min: 0.0, roughness: 2.0 }));
        assert_eq!(path_scores(&[0.0], &[vec![1.0]]), None);
        assert_eq!(path_scores(&[], &[vec![], vec![]]), None);
    }

    #[test]
    fn every_gap_counts_once() {
        let one = PathScores { gaps: 1, mean: 1.0, max: 2.0, min: 0.0, roughness: 4.0 };
        let three = PathScores { gaps: 3, mean: 0.0, max: 1.0, min: 4.0, roughness: 0.0 };
        assert_eq!(PathScores::average(&[one, three]), Some(PathScores { gaps: 4, mean: 0.25, max: 1.25, min: 3.0, roughness: 1.0 }));
        assert_eq!(PathScores::average(&[]), None);
    }

    /// Paths with the right values at every row, but in the wrong order together, lose where the right paths win.
    #[test]
    fn joint_paths_beat_independent_rows() {
        // The truth is a constant of an unknown level; independent rows have the same distribution at each row.
        let levels: Vec<f64> = (0..9).map(|k| f64::from(k) - 4.0).collect();
        let rows = 9;
        let joint: Vec<Vec<f64>> = levels.iter().map(|l| vec![*l; rows]).collect();
        let mixed: Vec<Vec<f64>> = (0..rows).map(|s| (0..rows).map(|row| levels[(s * 4 + row * 2) % rows]).collect()).collect();
        let mean = |paths: &[Vec<f64>]| {
            let scores: Vec<PathScores> = levels.iter().map(|l| path_scores(&vec![*l; rows], paths).unwrap()).collect();
            PathScores::average(&scores).unwrap()
        };
        let (joint, mixed) = (mean(&joint), mean(&mixed));
        assert_abs_diff_eq!(joint.roughness, 0.0);
        assert!(joint.mean < mixed.mean && joint.max < mixed.max && joint.min < mixed.min && joint.roughness < mixed.roughness - 1.0);
    }
}
