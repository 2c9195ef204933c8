//! Transition matrices of one step (Austin et al. 2021, appendix A.2).

use nalgebra::DMatrix;

use crate::Error;

/// Replaces a class by a uniform one with probability `beta`: `(1 - beta) I + beta / K` (the same as a lazy random walk on the
/// complete graph).
pub fn uniform(classes: usize, beta: f64) -> DMatrix<f64> {
    let share = beta / classes as f64;
    DMatrix::from_fn(classes, classes, |i, j| share + if i == j { 1.0 - beta } else { 0.0 })
}

/// Replaces a class by `mask` with probability `beta`, for good.
pub fn absorbing(classes: usize, mask: usize, beta: f64) -> DMatrix<f64> {
    DMatrix::from_fn(classes, classes, |i, j| match (i == mask, i == j, j == mask) {
        (true, same, _) => f64::from(same),
        (_, true, _) => 1.0 - beta,
        (_, _, to_mask) => beta * f64::from(to_mask),
    })
}

/// Replaces a class by `mask` with probability `gamma`, else by a uniform other-than-mask class with probability `beta` (Gu et al.
/// 2022, mask-and-replace).
pub fn mask_and_replace(classes: usize, mask: usize, gamma: f64, beta: f64) -> DMatrix<f64> {
    let data = classes.saturating_sub(1).max(1) as f64;
    DMatrix::from_fn(classes, classes, |i, j| match (i == mask, i == j, j == mask) {
        (true, same, _) => f64::from(same),
        (_, _, true) => gamma,
        (_, same, _) => (1.0 - gamma) * (beta / data + if same { 1.0 - beta } else { 0.0 }),
    })
}

/// A discretised normal over ordered classes: off the diagonal in proportion to `exp(-4 (i - j)^2 / ((K - 1)^2 beta))`, with the
/// diagonal taking what is left, so that the matrix is doubly stochastic (Austin et al. 2021, eq. 8).
pub fn gaussian(classes: usize, beta: f64) -> DMatrix<f64> {
    let width = (classes.saturating_sub(1).max(1) as f64).powi(2) * beta;
    let weight = |n: usize| (-4.0 * (n * n) as f64 / width).exp();
    let total = 1.0 + 2.0 * (1..classes).map(weight).sum::<f64>();
    leftover_diagonal(classes, |n| weight(n) / total)
}

/// Moves to each class within `width` with probability `beta / K`, and stays otherwise.
pub fn band(classes: usize, width: usize, beta: f64) -> DMatrix<f64> {
    leftover_diagonal(classes, |n| if n <= width { beta / classes as f64 } else { 0.0 })
}

/// A matrix whose entries off the diagonal depend on the distance, and whose rows sum to 1.
fn leftover_diagonal(classes: usize, of_distance: impl Fn(usize) -> f64) -> DMatrix<f64> {
    let mut q = DMatrix::from_fn(classes, classes, |i, j| if i == j { 0.0 } else { of_distance(i.abs_diff(j)) });
    for i in 0..classes {
        q[(i, i)] = 1.0 - q.row(i).sum();
    }
    q
}

/// The `k` classes of largest inner product with each class's embedding, the largest first; of length 1 they are the cosine's.
///
/// # Errors
/// [`Error::OutOfRange`] unless `0 < k < K`.
pub fn nearest(embeddings: &[Vec<f64>], neighbours: usize) -> Result<Vec<Vec<usize>>, Error> {
    let classes = embeddings.len();
    if neighbours == 0 || neighbours >= classes {
        return Err(Error::OutOfRange { name: "neighbours", value: neighbours as f64, range: "positive and below the number of classes" });
    }
    let product = |i: usize, j: usize| embeddings[i].iter().zip(&embeddings[j]).map(|(a, b)| a * b).sum::<f64>();
    let of = |i: usize| {
        let mut others: Vec<(usize, f64)> = (0..classes).filter(|&j| j != i).map(|j| (j, product(i, j))).collect();
        others.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        others[..neighbours].iter().map(|&(j, _)| j).collect()
    };
    Ok((0..classes).map(of).collect())
}

/// Rates of a walk over neighbours, one row a class: `(G + G^T) / (2 k)` off the diagonal, where `G[i][j]` says that `j` is among the `k`
/// neighbours of `i`; rows sum to 0 (Austin et al. 2021, appendix A.2.6).
///
/// # Errors
/// [`Error::Invalid`] when a class has no neighbour, is its own, or has one that does not exist.
pub fn walk_rates(neighbours: &[Vec<usize>]) -> Result<DMatrix<f64>, Error> {
    let classes = neighbours.len();
    let mut rates: DMatrix<f64> = DMatrix::zeros(classes, classes);
    for (i, near) in neighbours.iter().enumerate() {
        if near.is_empty() || near.iter().any(|&j| j == i || j >= classes) {
            let reason = format!("class {i} of {classes} has the neighbours {near:?}");
            return Err(Error::Invalid { what: "graph of neighbours", reason });
        }
        for &j in near {
            rates[(i, j)] += 0.5 / near.len() as f64;
            rates[(j, i)] += 0.5 / near.len() as f64;
        }
    }
    for i in 0..classes {
        rates[(i, i)] = -rates.row(i).sum();
    }
    Ok(rates)
}

/// [`walk_rates`] over the [`nearest`] neighbours of class embeddings.
///
/// # Errors
/// As [`nearest`].
pub fn neighbour_rates(embeddings: &[Vec<f64>], neighbours: usize) -> Result<DMatrix<f64>, Error> {
    walk_rates(&nearest(embeddings, neighbours)?)
}

/// The matrix of a walk with given rates after a time: `exp(time * rates)`.
pub fn diffuse(rates: &DMatrix<f64>, time: f64) -> DMatrix<f64> {
    // Rounding may leave a probability of -1e-17.
    (rates * time).exp().map(|p| p.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stochastic(q: &DMatrix<f64>) -> bool {
        q.iter().all(|&p| (0.0..=1.0).contains(&p)) && q.row_iter().all(|r| (r.sum() - 1.0).abs() < 1e-14)
    }

    #[test]
    fn every_kernel_is_stochastic() {
        let embeddings: Vec<Vec<f64>> = (0..6).map(|i| vec![f64::from(i).sin(), f64::from(i * i).cos()]).collect();
        let rates = neighbour_rates(&embeddings, 2).unwrap();
        for beta in [1e-4, 0.3, 1.0] {
            for q in [
                uniform(6, beta),
                absorbing(6, 2, beta),
                mask_and_replace(6, 5, 0.2, beta),
                gaussian(6, beta),
                band(6, 2, beta),
                diffuse(&rates, beta),
            ] {
                assert!(stochastic(&q), "{q}");
            }
            // Symmetric kernels are doubly stochastic: they end uniform.
            assert!((gaussian(6, beta) - gaussian(6, beta).transpose()).amax() < 1e-15);
        }
        assert!(neighbour_rates(&embeddings, 6).is_err() && neighbour_rates(&embeddings, 0).is_err());
    }

    #[test]
    fn hand_worked_entries() {
        assert_eq!(absorbing(3, 2, 0.25).as_slice(), [0.75, 0.0, 0.0, 0.0, 0.75, 0.0, 0.25, 0.25, 1.0]);
        assert!((uniform(4, 0.2)[(0, 0)] - 0.85).abs() < 1e-15 && (uniform(4, 0.2)[(0, 3)] - 0.05).abs() < 1e-15);
        let q = mask_and_replace(3, 2, 0.5, 0.2);
        assert!((q[(0, 0)] - 0.45).abs() < 1e-15 && (q[(0, 1)] - 0.05).abs() < 1e-15 && q[(1, 2)] == 0.5 && q[(2, 2)] == 1.0);
        assert_eq!(band(5, 1, 0.5)[(0, 2)], 0.0);
    }

    #[test]
    fn walks_compose() {
        let rates = neighbour_rates(&[vec![0.0], vec![1.0], vec![3.0], vec![3.5]], 1).unwrap();
        assert!((diffuse(&rates, 0.3) * diffuse(&rates, 0.5) - diffuse(&rates, 0.8)).amax() < 1e-14);
    }
}
