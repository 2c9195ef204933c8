//! Votes over draws: what is decided, how surely, and when nothing is.

use crate::attack::best;

/// Votes of one input.
#[derive(Clone, Debug, PartialEq)]
pub struct Vote {
    /// The class with most votes; of equal ones the first.
    pub class: usize,
    /// Its votes.
    pub votes: usize,
    /// All votes.
    pub of: usize,
    /// Lower bound of the class's probability over draws.
    pub bound: f64,
}

impl Vote {
    /// Counts classes; the bound holds with confidence `1 - alpha` (Clopper & Pearson 1934).
    pub fn new(classes: &[usize], alpha: f64) -> Self {
        let most = classes.iter().max().map_or(0, |most| most + 1);
        let mut counts = vec![0f32; most.max(1)];
        classes.iter().for_each(|&class| counts[class] += 1.0);
        // The first of equals, not the last.
        let top = counts.iter().copied().fold(0.0, f32::max);
        let class = counts.iter().position(|&count| count == top).unwrap_or_else(|| best(&counts));
        let votes = counts[class] as usize;
        Self { class, votes, of: classes.len(), bound: lower_bound(votes, classes.len(), alpha) }
    }

    /// Share of votes for the class.
    pub fn agreement(&self) -> f64 {
        self.votes as f64 / self.of.max(1) as f64
    }

    /// Whether the class cannot be told from another with confidence: its probability may be a half or less.
    pub fn abstains(&self) -> bool {
        self.bound <= 0.5
    }
}

/// The least probability `p` for which `successes` or more of `trials` have probability `alpha`: the one-sided Clopper-Pearson bound.
pub fn lower_bound(successes: usize, trials: usize, alpha: f64) -> f64 {
    if successes == 0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let p = 0.5 * (low + high);
        if tail(successes, trials, p) < alpha { low = p } else { high = p }
    }
    low
}

/// Probability of `least` or more successes of `trials`.
fn tail(least: usize, trials: usize, p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 {
        return if p >= 1.0 || least == 0 { 1.0 } else { 0.0 };
    }
    // Terms from their logarithms: 1000 trials overflow binomials.
    let mut log_binomial = 0.0;
    let mut sum = 0.0;
    for k in 0..=trials {
        if k > 0 {
            log_binomial += ((trials + 1 - k) as f64 / k as f64).ln();
        }
        if k >= least {
            sum += (log_binomial + k as f64 * p.ln() + (trials - k) as f64 * (-p).ln_1p()).exp();
        }
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_the_tables() {
        // All of n: alpha^(1/n). 8 of 10 at 5 %: 0.4931 (Clopper & Pearson, one-sided).
        assert!((lower_bound(8, 8, 0.05) - 0.05f64.powf(0.125)).abs() < 1e-9);
        assert!((lower_bound(8, 10, 0.05) - 0.4931).abs() < 1e-4);
        assert_eq!(lower_bound(0, 10, 0.05), 0.0);
        assert!((lower_bound(999, 1000, 0.001) - 0.9908).abs() < 2e-4);
    }

    #[test]
    fn the_majority_decides_and_few_votes_abstain() {
        let vote = Vote::new(&[3, 1, 3, 3], 0.05);
        assert_eq!((vote.class, vote.votes, vote.of), (3, 3, 4));
        assert!(vote.abstains());
        assert!(!Vote::new(&[2; 8], 0.05).abstains());
        assert_eq!(Vote::new(&[2, 1], 0.05).class, 1);
    }
}
