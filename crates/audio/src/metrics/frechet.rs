//! Fréchet distance between Gaussians fitted to two sets.

use super::check_set;
use crate::error::{Error, Result};
use nalgebra::{DMatrix, DVector};

/// Mean and covariance of a set of embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    mean: DVector<f64>,
    covariance: DMatrix<f64>,
}

impl Gaussian {
    /// Fits mean and unbiased covariance to at least two embeddings.
    ///
    /// # Errors
    /// Fewer than two vectors, different lengths, NaN or infinite values.
    pub fn fit(set: &[Vec<f32>]) -> Result<Self> {
        let dim = check_set("embeddings", set, 2)?;
        let rows = DMatrix::from_fn(set.len(), dim, |row, column| f64::from(set[row][column]));
        let mean = rows.row_mean().transpose();
        let centred = DMatrix::from_fn(set.len(), dim, |row, column| rows[(row, column)] - mean[column]);
        let covariance = centred.tr_mul(&centred) / (set.len() - 1) as f64;
        Ok(Self { mean, covariance })
    }

    /// `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))` (Dowson & Landau 1982, Eq. 16; Heusel et al. 2017, Eq. 6).
    ///
    /// The trace of the root is that of `(C1^(1/2) C2 C1^(1/2))^(1/2)`, which is symmetric: both roots come from real
    /// eigenvalues, and those that rounding made negative (rank below dimension) count as 0.
    ///
    /// # Errors
    /// Different dimensions.
    pub fn distance(&self, other: &Self) -> Result<f64> {
        let (got, want) = (other.mean.len(), self.mean.len());
        if got != want {
            return Err(Error::Shape { what: "embedding dimensions", got, want });
        }
        let eigen = self.covariance.clone().symmetric_eigen();
        let roots = eigen.eigenvalues.map(|v| v.max(0.0).sqrt());
        let root = &eigen.eigenvectors * DMatrix::from_diagonal(&roots) * eigen.eigenvectors.transpose();
        let product = &root * &other.covariance * &root;
        let symmetric = (&product + product.transpose()) * 0.5;
        let shared: f64 = symmetric.symmetric_eigenvalues().iter().map(|v| v.max(0.0).sqrt()).sum();
        let means = (&self.mean - &other.mean).norm_squared();
        Ok((means + self.covariance.trace() + other.covariance.trace() - 2.0 * shared).max(0.0))
    }
}

/// Fréchet distance between two sets of embeddings, each of at least two; see [`Gaussian::distance`].
///
/// It is biased upwards for small sets: compare sets of equal size only.
///
/// # Errors
/// As [`Gaussian::fit`] and [`Gaussian::distance`].
pub fn frechet_distance(a: &[Vec<f32>], b: &[Vec<f32>]) -> Result<f64> {
    Gaussian::fit(a)?.distance(&Gaussian::fit(b)?)
}
