//! Discrete tables (DDPM and its descendants) as a continuous schedule.
//!
//! Everything is f64: a table in f32 moves a trajectory by 1e-4, more than any solver error worth having.

use super::Schedule;
use crate::{Error, Level};

/// Betas of the published discrete schedules, each `T` numbers.
pub mod betas {
    /// `n` numbers from `start` to `end`, both included.
    fn linspace(start: f64, end: f64, n: usize) -> impl Iterator<Item = f64> {
        let step = (end - start) / n.saturating_sub(1).max(1) as f64;
        (0..n).map(move |i| if i > 0 && i + 1 == n { end } else { start + i as f64 * step })
    }

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// Evenly spaced (Ho et al. 2020, section 4).
    pub fn linear(start: f64, end: f64, steps: usize) -> Vec<f64> {
        linspace(start, end, steps).collect()
    }

    /// Squares of evenly spaced roots (Rombach et al. 2022).
    pub fn scaled_linear(start: f64, end: f64, steps: usize) -> Vec<f64> {
        linspace(start.sqrt(), end.sqrt(), steps).map(|b| b * b).collect()
    }

    /// `alpha_bar = cos^2((t/T + s) / (1 + s) pi/2)`, betas clipped at `max_beta` (Nichol & Dhariwal 2021, eq. 17).
    pub fn cosine(s: f64, max_beta: f64, steps: usize) -> Vec<f64> {
        let abar = |t: f64| ((t + s) / (1.0 + s) * std::f64::consts::PI / 2.0).cos().powi(2);
        from_curve(abar, max_beta, steps)
    }

    /// A sigmoid between two betas, over `[-range, range]` (GeoDiff; usual range 6).
    pub fn sigmoid_beta(start: f64, end: f64, range: f64, steps: usize) -> Vec<f64> {
        linspace(-range, range, steps).map(|x| sigmoid(x) * (end - start) + start).collect()
    }

    /// `alpha_bar` itself a falling sigmoid over `[start, end]` with temperature `tau` (Jabri et al. 2022, algorithm 1).
    pub fn sigmoid_alpha_bar(start: f64, end: f64, tau: f64, max_beta: f64, steps: usize) -> Vec<f64> {
        let (first, last) = (sigmoid(start / tau), sigmoid(end / tau));
        let abar = |t: f64| (last - sigmoid((t * (end - start) + start) / tau)) / (last - first);
        from_curve(abar, max_beta, steps)
    }

    /// `beta_i = min(1 - alpha_bar((i + 1) / T) / alpha_bar(i / T), max_beta)`.
    fn from_curve(abar: impl Fn(f64) -> f64, max_beta: f64, steps: usize) -> Vec<f64> {
        let t = |i: usize| i as f64 / steps as f64;
        (0..steps).map(|i| (1.0 - abar(t(i + 1)) / abar(t(i))).min(max_beta)).collect()
    }
}

/// A table of `alpha_bar` at integer times `0..T`: exact there, linear in `lambda` between.
///
/// If the last entry is 0 (zero terminal SNR) `alpha` is linear over the last interval instead, where `lambda` is infinite.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    alpha_bar: Vec<f64>,
    lambda: Vec<f64>,
}

impl Table {
    /// A table of `alpha_bar`, strictly falling within `(0, 1)`; the last may be 0.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first entry that is out of order or out of range, or a table of less than two entries.
    pub fn new(alpha_bar: Vec<f64>) -> Result<Self, Error> {
        let invalid = |reason| Err(Error::Invalid { what: "alpha_bar table", reason });
        if alpha_bar.len() < 2 {
            return invalid(format!("{} entries, needs at least 2", alpha_bar.len()));
        }
        let mut previous = 1.0;
        for (i, &a) in alpha_bar.iter().enumerate() {
            let least = if i + 1 == alpha_bar.len() { -f64::MIN_POSITIVE } else { 0.0 };
            if !(a > least && a < previous) {
                return invalid(format!("entry {i} is {a}, but should lie below {previous} and above 0"));
            }
            previous = a;
        }
        let lambda = alpha_bar.iter().map(|&a| Level::vp(a).lambda()).collect();
        Ok(Self { alpha_bar, lambda })
    }

    /// A table from betas: `alpha_bar_t = prod (1 - beta)`.
    ///
    /// # Errors
    /// As [`Table::new`]; betas should lie in `(0, 1)`.
    pub fn from_betas(betas: &[f64]) -> Result<Self, Error> {
        let running = betas.iter().scan(1.0, |abar, beta| {
            *abar *= 1.0 - beta;
            Some(*abar)
        });
        Self::new(running.collect())
    }

    /// The table shifted and scaled so that its last entry is 0 and its first is kept (Lin et al. 2024, algorithm 1).
    ///
    /// # Errors
    /// Never for a table that was accepted by [`Table::new`] with its last entry below its first.
    pub fn zero_terminal_snr(&self) -> Result<Self, Error> {
        let root: Vec<f64> = self.alpha_bar.iter().map(|a| a.sqrt()).collect();
        let (first, last) = (root[0], root[root.len() - 1]);
        Self::new(root.iter().map(|r| ((r - last) * (first / (first - last))).powi(2)).collect())
    }

    /// The table itself, entry `t` for integer time `t`.
    pub fn alpha_bar(&self) -> &[f64] {
        &self.alpha_bar
    }

    /// `beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}`, with `alpha_bar_{-1} = 1`.
    pub fn beta(&self, t: usize) -> f64 {
        1.0 - self.alpha_bar[t] / self.previous(t)
    }

    /// Variance of `q(x_{t-1} | x_t, x0)` (Ho et al. 2020, eq. 7). At `t = 0` nothing is left to draw: it is 0.
    pub fn posterior_variance(&self, t: usize) -> f64 {
        self.beta(t) * (1.0 - self.previous(t)) / (1.0 - self.alpha_bar[t])
    }

    fn previous(&self, t: usize) -> f64 {
        if t == 0 { 1.0 } else { self.alpha_bar[t - 1] }
    }

    fn last(&self) -> usize {
        self.alpha_bar.len() - 1
    }

    /// The interval of `t` and the position within it, in `[0, 1]`.
    fn segment(&self, t: f64) -> (usize, f64) {
        let t = t.clamp(0.0, self.last() as f64);
        let i = (t as usize).min(self.last() - 1);
        (i, t - i as f64)
    }

    /// `alpha` at the start of the last interval, if the table ends in pure noise.
    fn cliff(&self, i: usize) -> Option<f64> {
        (i + 1 == self.last() && self.alpha_bar[i + 1] == 0.0).then(|| self.alpha_bar[i].sqrt())
    }
}

impl Schedule for Table {
    fn level(&self, t: f64) -> Level {
        let (i, u) = self.segment(t);
        if u == 0.0 || u == 1.0 {
            return Level::vp(self.alpha_bar[i + u as usize]);
        }
        match self.cliff(i) {
            Some(alpha) => Level::vp((alpha * (1.0 - u)).powi(2)),
            None => Level::vp_of_lambda(self.lambda[i] + u * (self.lambda[i + 1] - self.lambda[i])),
        }
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        let i = self.lambda.partition_point(|&l| l > lambda).saturating_sub(1).min(self.last() - 1);
        let u = match self.cliff(i) {
            Some(alpha) => 1.0 - Level::vp_of_lambda(lambda).alpha / alpha,
            None => (lambda - self.lambda[i]) / (self.lambda[i + 1] - self.lambda[i]),
        };
        i as f64 + u.clamp(0.0, 1.0)
    }

    fn g2(&self, t: f64) -> f64 {
        -2.0 * self.drift(t)
    }

    fn drift(&self, t: f64) -> f64 {
        let (i, u) = self.segment(t);
        match self.cliff(i) {
            Some(_) => -1.0 / (1.0 - u),
            // d ln alpha / d lambda = sigma^2 on variance preserving levels.
            None => self.level(t).sigma.powi(2) * (self.lambda[i + 1] - self.lambda[i]),
        }
    }

    fn span(&self) -> (f64, f64) {
        (0.0, self.last() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_times_are_exact_and_ends_are_clamped() {
        let table = Table::from_betas(&betas::linear(1e-4, 0.02, 100)).unwrap();
        for t in [0, 1, 50, 98, 99] {
            assert_eq!(table.level(t as f64), Level::vp(table.alpha_bar()[t]));
        }
        assert_eq!(table.level(-3.0), table.level(0.0));
        assert_eq!(table.level(1e9), table.level(99.0));
        assert_eq!((table.t_of_lambda(f64::INFINITY), table.t_of_lambda(f64::NEG_INFINITY)), (0.0, 99.0));
    }

    /// A division of integers makes alpha_bar a step function, and every beta but one 0.
    #[test]
    fn cosine_is_not_a_step_function() {
        let betas = betas::cosine(0.008, 0.999, 4);
        let abar = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
        let table = Table::from_betas(&betas).unwrap();
        for (i, a) in table.alpha_bar().iter().take(3).enumerate() {
            assert!((a - abar((i + 1) as f64 / 4.0) / abar(0.0)).abs() < 1e-14);
        }
        assert_eq!(betas[3], 0.999);
    }

    #[test]
    fn posterior_variance_starts_at_zero() {
        let table = Table::new(vec![0.9, 0.5, 0.2]).unwrap();
        assert_eq!(table.posterior_variance(0), 0.0);
        // beta_1 = 1 - 0.5/0.9 = 4/9, times (1 - 0.9) / (1 - 0.5) = 0.2.
        assert!((table.posterior_variance(1) - 4.0 / 45.0).abs() < 1e-15);
    }

    #[test]
    fn zero_terminal_snr_keeps_the_first_and_clears_the_last() {
        let table = Table::from_betas(&betas::scaled_linear(0.00085, 0.012, 1000)).unwrap();
        let zero = table.zero_terminal_snr().unwrap();
        assert!((zero.alpha_bar()[0] - table.alpha_bar()[0]).abs() < 1e-15);
        assert_eq!(zero.level(999.0), Level::new(0.0, 1.0));
        assert!((zero.t_of_lambda(zero.level(998.25).lambda()) - 998.25).abs() < 1e-10);
        assert!(zero.level(998.5).lambda() > zero.level(998.75).lambda());
    }

    #[test]
    fn the_two_sigmoids_differ() {
        let beta = Table::from_betas(&betas::sigmoid_beta(1e-4, 0.02, 6.0, 1000)).unwrap();
        let abar = Table::from_betas(&betas::sigmoid_alpha_bar(-3.0, 3.0, 1.0, 0.999, 1000)).unwrap();
        assert!((beta.alpha_bar()[500] - abar.alpha_bar()[500]).abs() > 0.1);
    }

    #[test]
    fn disorder_is_refused() {
        for table in [vec![0.5], vec![0.5, 0.6], vec![1.0, 0.5], vec![0.5, 0.0, 0.0], vec![0.5, f64::NAN], vec![0.5, -0.1]] {
            assert!(Table::new(table).is_err());
        }
    }
}
