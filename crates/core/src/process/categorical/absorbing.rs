//! Masking processes: the continuous-time bound, and the order in which tokens are masked.

use super::bound::cross_entropy;
use crate::Error;

/// Longest sequence whose masks are enumerated.
const MOST_TOKENS: usize = 20;

/// Weight of a mask pattern with `masked` of `tokens` tokens hidden, in the continuous-time bound:
/// `int_0^1 t^(m-1) (1-t)^(n-m) dt = (m-1)! (n-m)! / n!`.
///
/// The bound `int (1/t) E sum_masked -ln p dt` is so stratified by mask count: a count `m` drawn evenly from `1..=n`, a pattern of
/// that count, and the mean of `-ln p` over its masked tokens times `n` estimate it without the variance of `1/t`.
pub fn mask_weight(masked: usize, tokens: usize) -> f64 {
    if masked == 0 || masked > tokens {
        return 0.0;
    }
    // 1 / (m C(n, m)).
    let choose = (1..=masked).fold(1.0, |c, k| c * (tokens - masked + k) as f64 / k as f64);
    1.0 / (masked as f64 * choose)
}

/// Exact continuous-time bound of a sequence in nats: the sum over all mask patterns. `estimate` gives `p(x0 | x)` of each token of
/// a sequence with `mask` in place of hidden ones.
///
/// It does not depend on the schedule, and equals the mean over all orders of an autoregression (Ou et al. 2025; Sahoo et al. 2024).
///
/// # Errors
/// [`Error::OutOfRange`] for more than 20 tokens, which have too many patterns.
pub fn continuous_bound(x0: &[u32], mask: u32, estimate: impl Fn(&[u32]) -> Vec<Vec<f64>>) -> Result<f64, Error> {
    let n = x0.len();
    if n > MOST_TOKENS {
        return Err(Error::OutOfRange { name: "tokens", value: n as f64, range: "at most 20" });
    }
    let mut total = 0.0;
    for pattern in 1u32..1 << n {
        let hidden = |i: usize| pattern >> i & 1 == 1;
        let x: Vec<u32> = (0..n).map(|i| if hidden(i) { mask } else { x0[i] }).collect();
        let p = estimate(&x);
        let loss: f64 = (0..n).filter(|&i| hidden(i)).map(|i| cross_entropy(&p[i], x0[i] as usize)).sum();
        total += mask_weight(pattern.count_ones() as usize, n) * loss;
    }
    Ok(total)
}

/// The sequence that an autoregression sees with `kept` tokens known: the rest is masked. As a process it masks the last unmasked
/// token at each step, so that its reverse writes from left to right (Austin et al. 2021, appendix A.3).
pub fn autoregressive(x0: &[u32], mask: u32, kept: usize) -> Vec<u32> {
    x0.iter().enumerate().map(|(i, &c)| if i < kept { c } else { mask }).collect()
}

/// The bound of an autoregression as a masking process of one token a step: its exact negative log-likelihood in nats.
pub fn autoregressive_bound(x0: &[u32], mask: u32, estimate: impl Fn(&[u32]) -> Vec<Vec<f64>>) -> f64 {
    (0..x0.len()).map(|i| cross_entropy(&estimate(&autoregressive(x0, mask, i))[i], x0[i] as usize)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities that depend on every visible token.
    fn toy(x: &[u32]) -> Vec<Vec<f64>> {
        let context: f64 = x.iter().enumerate().map(|(i, &c)| f64::from(c) * (1.0 + i as f64)).sum();
        let row = |i: usize| {
            let w: Vec<f64> = (0..3).map(|k| ((context + 1.3 * i as f64 + f64::from(k)).sin()).exp()).collect();
            let total: f64 = w.iter().sum();
            w.iter().map(|w| w / total).collect()
        };
        (0..x.len()).map(row).collect()
    }

    #[test]
    fn weights_are_beta_integrals() {
        // n = 3, m = 2: int t (1 - t) dt = 1/6.
        assert!((mask_weight(2, 3) - 1.0 / 6.0).abs() < 1e-15 && (mask_weight(1, 3) - 1.0 / 3.0).abs() < 1e-15);
        assert_eq!(mask_weight(0, 3), 0.0);
    }

    #[test]
    fn the_bound_is_the_mean_over_orders() {
        let x0 = [1u32, 0, 2];
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let of_order = |order: &[usize; 3]| {
            let mut x = vec![3u32; 3];
            let mut loss = 0.0;
            for &i in order {
                loss += cross_entropy(&toy(&x)[i], x0[i] as usize);
                x[i] = x0[i];
            }
            loss
        };
        let mean = orders.iter().map(of_order).sum::<f64>() / 6.0;
        assert!((continuous_bound(&x0, 3, toy).unwrap() - mean).abs() < 1e-12);
        assert!((autoregressive_bound(&x0, 3, toy) - of_order(&[0, 1, 2])).abs() < 1e-12);
        assert!(continuous_bound(&[0; 21], 1, toy).is_err());
    }
}
