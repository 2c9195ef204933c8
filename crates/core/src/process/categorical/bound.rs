//! Terms of the variational bound over classes.

/// `KL(q || p)` in nats; infinite where `p` misses what `q` has.
pub fn divergence(q: &[f64], p: &[f64]) -> f64 {
    let term = |(q, p): (&f64, &f64)| if *q > 0.0 { q * (q / p).ln() } else { 0.0 };
    q.iter().zip(p).map(term).sum()
}

/// `-ln p[class]` in nats: the last term of the bound, and the auxiliary term of the hybrid loss (Austin et al. 2021, eq. 5).
pub fn cross_entropy(p: &[f64], class: usize) -> f64 {
    p.get(class).map_or(f64::INFINITY, |p| -p.ln())
}

/// Bits per token of a bound in nats.
pub fn bits_per_token(nats: f64, tokens: usize) -> f64 {
    nats / (tokens as f64 * std::f64::consts::LN_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_worked_values() {
        assert_eq!(divergence(&[0.5, 0.5, 0.0], &[0.5, 0.5, 0.0]), 0.0);
        assert!((divergence(&[1.0, 0.0], &[0.25, 0.75]) - 4f64.ln()).abs() < 1e-15);
        assert_eq!(divergence(&[0.5, 0.5], &[1.0, 0.0]), f64::INFINITY);
        assert_eq!(cross_entropy(&[1.0], 3), f64::INFINITY);
        assert!((bits_per_token(2.0 * std::f64::consts::LN_2, 2) - 1.0).abs() < 1e-15);
    }
}
