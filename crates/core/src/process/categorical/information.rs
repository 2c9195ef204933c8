//! Schedules by mutual information (Austin et al. 2021, section 3.1 and appendix A.7).

use nalgebra::DMatrix;

use super::kernel::diffuse;
use crate::Error;

/// Share of the information about `x0` that a marginal `q(x_t | x0)` has removed: `1 - I(x0; x_t) / H(x0)`.
pub fn information_removed(marginal: &DMatrix<f64>, initial: &[f64]) -> f64 {
    let plogp = |p: f64| if p > 0.0 { p * p.ln() } else { 0.0 };
    let entropy = -initial.iter().map(|&p| plogp(p)).sum::<f64>();
    let mut of_xt = vec![0.0; marginal.ncols()];
    let mut conditional = 0.0;
    for (i, p) in initial.iter().enumerate().filter(|(_, p)| **p > 0.0) {
        for (j, q) in marginal.row(i).iter().enumerate() {
            of_xt[j] += p * q;
            conditional -= p * plogp(*q);
        }
    }
    let information = -of_xt.iter().map(|&p| plogp(p)).sum::<f64>() - conditional;
    1.0 - information / entropy
}

/// Times of a walk with given rates at which set shares of the information about `x0` are gone: with shares `1/T, 2/T, ..` the
/// mutual information falls evenly. The matrix of a step is the walk over the difference of two neighbouring times.
///
/// # Errors
/// [`Error::OutOfRange`] for a share outside `[0, 1)` or one that the walk never removes; [`Error::Invalid`] if the initial
/// distribution does not fit the rates or has a single class.
pub fn exponents_for_information(rates: &DMatrix<f64>, initial: &[f64], shares: &[f64]) -> Result<Vec<f64>, Error> {
    let certain = initial.iter().filter(|p| **p > 0.0).count() < 2;
    if initial.len() != rates.nrows() || certain || initial.iter().any(|p| !(0.0..=1.0).contains(p)) {
        return Err(Error::Invalid {
            what: "initial distribution",
            reason: format!("{} probabilities for {} classes", initial.len(), rates.nrows()),
        });
    }
    let removed = |time: f64| information_removed(&diffuse(rates, time), initial);
    let find = |&share: &f64| {
        let out_of_range = Error::OutOfRange { name: "share", value: share, range: "at least 0 and less than the walk can remove" };
        if !(0.0..1.0).contains(&share) {
            return Err(out_of_range);
        }
        let (mut low, mut high) = (0.0, 1.0);
        while removed(high) < share {
            high *= 2.0;
            if high > 1e6 {
                return Err(out_of_range);
            }
        }
        for _ in 0..80 {
            let middle = 0.5 * (low + high);
            if removed(middle) < share { low = middle } else { high = middle }
        }
        Ok(0.5 * (low + high))
    };
    shares.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::super::kernel::{absorbing, uniform};
    use super::*;

    #[test]
    fn an_absorbing_process_removes_what_it_masks() {
        let initial = [0.2, 0.5, 0.3, 0.0];
        for beta in [0.1, 0.6] {
            assert!((information_removed(&absorbing(4, 3, beta), &initial) - beta).abs() < 1e-14);
        }
        // Rates of masking: what is left after a time m is exp(-m).
        let rates = absorbing(4, 3, 1.0) - DMatrix::identity(4, 4);
        let times = exponents_for_information(&rates, &initial, &[0.25, 0.5]).unwrap();
        assert!((times[0] + 0.75f64.ln()).abs() < 1e-10 && (times[1] - 2f64.ln()).abs() < 1e-10);
    }

    #[test]
    fn impossible_shares_are_errors() {
        let rates = uniform(3, 1.0) - DMatrix::identity(3, 3);
        assert!(exponents_for_information(&rates, &[0.2, 0.5, 0.3], &[1.0]).is_err());
        assert!(exponents_for_information(&rates, &[0.2, 0.8], &[0.5]).is_err());
        assert!(exponents_for_information(&rates, &[1.0, 0.0, 0.0], &[0.5]).is_err());
        assert!(exponents_for_information(&rates, &[0.2, 0.5, 0.3], &[0.0, 0.999]).is_ok());
    }
}
