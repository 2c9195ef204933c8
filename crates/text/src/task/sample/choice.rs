//! The probabilities of a token, in f64, and what is drawn from them.

use langevin_core::Philox;

/// Probabilities of the classes at one place.
#[derive(Clone, Debug)]
pub(crate) struct Choice(Vec<f64>);

impl Choice {
    /// Of logits, without the classes that are not allowed there.
    pub(crate) fn new(logits: &[f32], allowed: Option<&[bool]>) -> Self {
        let is_allowed = |class: usize| allowed.is_none_or(|allowed| allowed[class]);
        let most = logits.iter().enumerate().filter(|(class, _)| is_allowed(*class)).map(|(_, &v)| v).fold(f32::NEG_INFINITY, f32::max);
        let weight = |(class, &logit): (usize, &f32)| if is_allowed(class) { f64::from(logit - most).exp() } else { 0.0 };
        Self::normalised(logits.iter().enumerate().map(weight).collect())
    }

    pub(crate) fn normalised(mut weights: Vec<f64>) -> Self {
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= total);
        Self(weights)
    }

    pub(crate) fn of(&self, class: u32) -> f64 {
        self.0[class as usize]
    }

    pub(crate) fn probabilities(&self) -> &[f64] {
        &self.0
    }

    /// Nats; `0 ln 0 = 0`.
    pub(crate) fn entropy(&self) -> f64 {
        -self.0.iter().filter(|&&p| p > 0.0).map(|p| p * p.ln()).sum::<f64>()
    }

    /// The likeliest class, of equal ones the first.
    pub(crate) fn likeliest(&self) -> u32 {
        let better = |best: usize, class: usize| if self.0[class] > self.0[best] { class } else { best };
        (0..self.0.len()).fold(0, better) as u32
    }

    /// With logits divided by a temperature, then only the likeliest classes that make up `top_p`.
    pub(crate) fn sharpened(&self, temperature: f64, top_p: f64) -> Self {
        if temperature == 0.0 {
            let likeliest = self.likeliest() as usize;
            return Self((0..self.0.len()).map(|class| f64::from(u8::from(class == likeliest))).collect());
        }
        let most = self.0.iter().copied().fold(0.0, f64::max);
        // Relative to the largest, so that no power becomes zero everywhere.
        let power = |p: &f64| if temperature == 1.0 { *p } else { (p / most).powf(1.0 / temperature) };
        let sharp = Self::normalised(self.0.iter().map(power).collect());
        if top_p >= 1.0 {
            return sharp;
        }
        let mut order: Vec<usize> = (0..sharp.0.len()).collect();
        order.sort_by(|&a, &b| sharp.0[b].total_cmp(&sharp.0[a]));
        let mut kept = vec![0.0; sharp.0.len()];
        let mut total = 0.0;
        for class in order {
            if total >= top_p {
                break;
            }
            kept[class] = sharp.0[class];
            total += sharp.0[class];
        }
        Self::normalised(kept)
    }

    /// The class at `u` in `(0, 1)`, by inversion; never one of probability 0.
    pub(crate) fn at(&self, u: f64) -> u32 {
        let mut left = u;
        let chosen = self.0.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        // Sums fall short of 1 by rounding.
        chosen.or_else(|| self.0.iter().rposition(|&p| p > 0.0)).unwrap_or(0) as u32
    }
}

/// `(k + 1/2) / 2^53` at an address.
pub(crate) fn uniform(noise: Philox, [time, sample, place, stream]: [u32; 4]) -> f64 {
    let words = noise.words([time, sample, place, stream]);
    let bits = (u64::from(words[0]) << 32 | u64::from(words[1])) >> 11;
    (bits as f64 + 0.5) / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(choice: &Choice, expected: &[f64]) {
        choice.0.iter().zip(expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{choice:?} {expected:?}"));
    }

    #[test]
    fn probabilities_by_hand() {
        let logits = [0.5f32, 0.25, 0.125, 0.125].map(f32::ln);
        let choice = Choice::new(&logits, None);
        close(&choice, &[0.5, 0.25, 0.125, 0.125]);
        assert!((choice.entropy() - 1.75 * 2f64.ln()).abs() < 1e-6);
        close(&choice.sharpened(0.5, 1.0), &[16.0 / 22.0, 4.0 / 22.0, 1.0 / 22.0, 1.0 / 22.0]);
        close(&choice.sharpened(1.0, 0.7), &[2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0]);
        close(&choice.sharpened(0.0, 1.0), &[1.0, 0.0, 0.0, 0.0]);
        close(&choice.sharpened(1e-4, 1.0), &[1.0, 0.0, 0.0, 0.0]);
        let some = Choice::new(&logits, Some(&[false, true, false, true]));
        close(&some, &[0.0, 2.0 / 3.0, 0.0, 1.0 / 3.0]);
        assert_eq!([0.01, 0.66, 0.67, 0.999_999_999].map(|u| some.at(u)), [1, 1, 3, 3]);
        assert_eq!(Choice(vec![0.3, 0.3, 0.0]).at(0.99), 1);
        // One allowed class, however unlikely.
        close(&Choice::new(&[0.0, -3e38], Some(&[false, true])), &[0.0, 1.0]);
    }

    #[test]
    fn addresses_differ() {
        let at = |address| uniform(Philox::new(1), address);
        assert_eq!(at([0, 1, 2, 3]), Philox::new(1).uniform(1, 2, 3));
        assert_ne!(at([0, 1, 2, 3]), at([1, 1, 2, 3]));
    }
}
