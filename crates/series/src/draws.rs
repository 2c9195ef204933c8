//! Random numbers one after the other from one address.

use langevin_core::Philox;

/// The numbers of an address `(sample, node, stream)` of a seed, in order: what they are depends on nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Draws {
    noise: Philox,
    address: [u32; 3],
    block: u32,
    words: [u32; 4],
    left: usize,
}

impl Draws {
    pub(crate) const fn new(noise: Philox, sample: u32, node: u32, stream: u32) -> Self {
        Self { noise, address: [sample, node, stream], block: 0, words: [0; 4], left: 0 }
    }

    fn word(&mut self) -> u32 {
        if self.left == 0 {
            let [sample, node, stream] = self.address;
            self.words = self.noise.words([self.block, sample, node, stream]);
            self.block = self.block.wrapping_add(1);
            self.left = 4;
        }
        self.left -= 1;
        self.words[3 - self.left]
    }

    /// In `(0, 1)`.
    pub(crate) fn uniform(&mut self) -> f64 {
        (f64::from(self.word()) + 0.5) / 4_294_967_296.0
    }

    /// In `(low, high)`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Even in the logarithm in `(low, high)`.
    pub(crate) fn log_between(&mut self, low: f64, high: f64) -> f64 {
        self.between(low.ln(), high.ln()).exp()
    }

    /// A whole number below `bound` (0 for a bound of 0).
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bits = u64::from(self.word()) << 32 | u64::from(self.word());
        ((u128::from(bits) * bound as u128) >> 64) as usize
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.uniform() < share
    }

    /// Standard normal (Box & Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Some of `0..count`, each as likely as the others, in rising order.
    pub(crate) fn some_of(&mut self, count: usize, wanted: usize) -> Vec<usize> {
        let mut left = wanted.min(count);
        let mut chosen = Vec::with_capacity(left);
        for k in 0..count {
            if self.below(count - k) < left {
                chosen.push(k);
                left -= 1;
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut draws = Draws::new(Philox::new(3), 1, 2, 3);
        let n = 40_000;
        let (mut sum, mut square, mut uniform, mut ones) = (0.0, 0.0, 0.0, 0);
        for _ in 0..n {
            let z = draws.normal();
            sum += z;
            square += z * z;
            uniform += draws.uniform();
            ones += usize::from(draws.below(7) == 3);
        }
        let n = f64::from(n);
        assert!((sum / n).abs() < 0.02 && (square / n - 1.0).abs() < 0.03 && (uniform / n - 0.5).abs() < 0.01);
        assert!((ones as f64 / n - 1.0 / 7.0).abs() < 0.01);
    }

    #[test]
    fn a_choice_has_its_size_and_every_one_its_chance() {
        let mut draws = Draws::new(Philox::new(4), 0, 0, 0);
        let mut seen = [0; 6];
        for _ in 0..3000 {
            let chosen = draws.some_of(6, 2);
            assert!(chosen.len() == 2 && chosen[0] < chosen[1]);
            chosen.iter().for_each(|&k| seen[k] += 1);
        }
        assert!(seen.iter().all(|&n| (900..1100).contains(&n)), "{seen:?}");
        assert_eq!(draws.some_of(3, 9), [0, 1, 2]);
        assert_eq!(draws.below(0), 0);
    }
}
