//! Coverage and matching of conformer sets (GeoDiff, arXiv:2203.02923, Eqs. 13-14; precision as in GeoMol, arXiv:2106.07802).

use crate::{Point, geometry::SymmetricRmsd};
use serde::Serialize;

/// Scores of one molecule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Coverage {
    /// COV-R: share of references with a generated conformer within the threshold.
    pub cov_r: f64,
    /// MAT-R: mean RMSD of a reference to the nearest generated conformer, angstrom.
    pub mat_r: f64,
    /// COV-P: share of generated conformers with a reference within the threshold.
    pub cov_p: f64,
    /// MAT-P: mean RMSD of a generated conformer to the nearest reference, angstrom.
    pub mat_p: f64,
}

impl Coverage {
    /// Compares all pairs; `threshold` in angstrom. `None` when one of the sets is empty or nothing can be compared.
    pub fn new(rmsd: &SymmetricRmsd, generated: &[Vec<Point>], reference: &[Vec<Point>], threshold: f64) -> Option<Self> {
        let mut of_reference = vec![f64::INFINITY; reference.len()];
        let mut of_generated = vec![f64::INFINITY; generated.len()];
        for (g, best_g) in generated.iter().zip(&mut of_generated) {
            for (r, best_r) in reference.iter().zip(&mut of_reference) {
                let d = rmsd.rmsd(g, r);
                *best_g = best_g.min(d);
                *best_r = best_r.min(d);
            }
        }
        // A conformer that is not finite is near nothing: it counts against coverage, but a mean cannot hold it.
        let covered = |best: &[f64]| best.iter().filter(|d| **d <= threshold).count() as f64 / best.len() as f64;
        let mean = |best: &[f64]| {
            let finite: Vec<f64> = best.iter().copied().filter(|d| d.is_finite()).collect();
            (!finite.is_empty()).then(|| finite.iter().sum::<f64>() / finite.len() as f64)
        };
        Some(Self {
            cov_r: covered(&of_reference),
            mat_r: mean(&of_reference)?,
            cov_p: covered(&of_generated),
            mat_p: mean(&of_generated)?,
        })
    }
}

/// Mean and median over molecules.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Mean.
    pub mean: f64,
    /// Median; of an even number the mean of the middle two.
    pub median: f64,
}

impl Summary {
    /// Of no values, `None`.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let n = values.len();
        (n > 0).then(|| Self { mean: values.iter().sum::<f64>() / n as f64, median: (values[(n - 1) / 2] + values[n / 2]) / 2.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::molecule;

    fn bent(degrees: f64) -> Vec<Point> {
        let (s, c) = degrees.to_radians().sin_cos();
        vec![[1.5, 0.0, 0.0], [0.0; 3], [1.5 * c, 1.5 * s, 0.0]]
    }

    #[test]
    fn shares_and_means_worked_by_hand() {
        let rmsd = SymmetricRmsd::new(&molecule("C O C; 0-1 1-2"), false);
        let reference = [bent(110.0), bent(60.0)];
        let generated = [bent(110.0), bent(111.0), bent(112.0), bent(180.0)];
        let far = rmsd.rmsd(&bent(60.0), &bent(110.0));
        let off = |degrees| rmsd.rmsd(&bent(degrees), &bent(110.0));
        let found = Coverage::new(&rmsd, &generated, &reference, 0.1).expect("both have some");
        assert_eq!((found.cov_r, found.cov_p), (0.5, 0.75));
        assert!((found.mat_r - far / 2.0).abs() < 1e-6 && far > 0.2);
        assert!((found.mat_p - (off(111.0) + off(112.0) + off(180.0)) / 4.0).abs() < 1e-6);
        assert_eq!(Coverage::new(&rmsd, &[], &reference, 0.1), None);
        let half = Coverage::new(&rmsd, &[bent(110.0), vec![[f64::NAN; 3]; 3]], &reference, 0.1).expect("one is finite");
        assert!(half.cov_p == 0.5 && half.mat_p < 1e-6);
    }

    #[test]
    fn medians() {
        assert_eq!(Summary::new([3.0, 1.0, 2.0]), Some(Summary { mean: 2.0, median: 2.0 }));
        assert_eq!(Summary::new([4.0, 1.0, 2.0, 9.0]), Some(Summary { mean: 4.0, median: 3.0 }));
        assert_eq!(Summary::new([]), None);
    }
}
