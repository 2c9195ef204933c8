//! How near a set of generated clips is to a set of real ones: pure functions over embeddings and spectra.
//!
//! An embedding set is a slice of vectors of one length, one per clip. A metric alone misleads: a set with one perfect
//! clip per label has full accuracy, so judge distance, diversity (`ndb`, recall) and copying together.

mod copies;
mod frechet;
mod ndb;
mod neighbours;
mod pairs;
mod spectral;

pub use copies::{Copies, copies, nearest_distances};
pub use frechet::{Gaussian, frechet_distance};
pub use ndb::{Ndb, ndb};
pub use neighbours::{PrecisionRecall, precision_recall};
pub use pairs::{PairScores, Part, compare};
pub use spectral::{log_spectral_distance, mel_cepstral_distortion};

use crate::error::{Error, Result};

/// Checks that a set has at least `least` vectors of one non-zero length with finite values; returns that length.
fn check_set(what: &'static str, set: &[Vec<f32>], least: usize) -> Result<usize> {
    if set.len() < least {
        return Err(Error::TooFew { what, got: set.len(), want: least });
    }
    let dim = set.first().map_or(0, Vec::len);
    if dim == 0 {
        return Err(Error::TooFew { what: "embedding dimensions", got: 0, want: 1 });
    }
    for (row, vector) in set.iter().enumerate() {
        if vector.len() != dim {
            return Err(Error::Shape { what: "embedding dimensions", got: vector.len(), want: dim });
        }
        if let Some(column) = vector.iter().position(|v| !v.is_finite()) {
            return Err(Error::NonFinite { what, index: row * dim + column });
        }
    }
    Ok(dim)
}

fn check_pair(a: (&'static str, &[Vec<f32>]), b: (&'static str, &[Vec<f32>]), least: usize) -> Result<usize> {
    let dim = check_set(a.0, a.1, least)?;
    let got = check_set(b.0, b.1, least)?;
    if got == dim { Ok(dim) } else { Err(Error::Shape { what: "embedding dimensions", got, want: dim }) }
}

/// Squared Euclidean distance.
fn square_distance(a: &[f32], b: &[f32]) -> f32 {
    // Eight partial sums: the compiler may then use vector registers.
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| (x - y) * (x - y)).sum();
    let mut sums = [0.0f32; 8];
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            sums[i] += (x[i] - y[i]) * (x[i] - y[i]);
        }
    }
    sums.iter().sum::<f32>() + rest
}
