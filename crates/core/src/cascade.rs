//! Cascades: a model conditioned on the output of a coarser one, with that output noised on purpose (Ho et al. 2022, "Cascaded
//! diffusion models"; Saharia et al. 2022, section 2.4).

use crate::{Error, Level, NoiseSource, Philox, State, noise::stream, schedule::Schedule};

/// Stream of the noise that is added to a condition.
const AUGMENT: u32 = stream::DATA | 0x4000_0000;

/// Noise-conditioning augmentation: the condition is noised to a strength that the network is told.
///
/// In training the strength is uniform; in sampling it is a setting, found by a sweep. Strength 0 is no augmentation at all.
#[derive(Clone, Debug)]
pub struct Augmentation<S> {
    schedule: S,
    most: f64,
}

impl<S: Schedule> Augmentation<S> {
    /// Augmentation by the levels of a schedule, up to the strength `most`; 1 is the schedule's most noise.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `most` lies in `[0, 1]`.
    pub fn new(schedule: S, most: f64) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&most) {
            return Err(Error::OutOfRange { name: "augmentation", value: most, range: "between 0 and 1" });
        }
        Ok(Self { schedule, most })
    }

    /// The level of a strength in `[0, 1]`; 0 is clean.
    pub fn level(&self, strength: f64) -> Level {
        if strength <= 0.0 {
            return Level::clean();
        }
        let (least, most) = self.schedule.span();
        self.schedule.level(least + (most - least) * strength.min(1.0))
    }

    /// The strength for a training example.
    pub fn draw(&self, philox: Philox, sample: u32, step: u32) -> f64 {
        self.most * philox.uniform(sample, step, AUGMENT)
    }

    /// A condition noised to a strength; at strength 0 it is returned as it is. `node` is 0 in sampling, the step in training.
    pub fn apply<T: State>(&self, condition: &T, strength: f64, noise: &dyn NoiseSource, node: u32) -> T {
        let at = self.level(strength);
        if at.is_clean() {
            return condition.clone();
        }
        let eps = condition.noise_like(noise, node, AUGMENT);
        T::lincomb(&[(at.alpha, condition), (at.sigma, &eps)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::VpCosine;

    #[test]
    fn strength_zero_is_no_augmentation() {
        let augmentation = Augmentation::new(VpCosine::new(0.0).unwrap(), 0.5).unwrap();
        let x = vec![0.1, -0.7, f64::MIN_POSITIVE];
        assert_eq!(augmentation.apply(&x, 0.0, &Philox::new(1), 0), x);
        assert_eq!(augmentation.level(0.0), Level::clean());
    }

    #[test]
    fn strength_sets_the_noise() {
        let augmentation = Augmentation::new(VpCosine::new(0.0).unwrap(), 0.5).unwrap();
        let x = vec![2.0; 40_000];
        let y = augmentation.apply(&x, 0.3, &Philox::new(1), 0);
        let at = augmentation.level(0.3);
        let mean = y.iter().sum::<f64>() / 40_000.0;
        let var = y.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 40_000.0;
        assert!((mean - 2.0 * at.alpha).abs() < 5.0 * at.sigma / 200.0 && (var / at.sigma.powi(2) - 1.0).abs() < 0.04);
        assert_eq!(augmentation.level(2.0), Level::new(0.0, 1.0));
        let drawn: Vec<f64> = (0..100).map(|i| augmentation.draw(Philox::new(1), i, 0)).collect();
        assert!(drawn.iter().all(|s| (0.0..0.5).contains(s)) && drawn.iter().any(|s| *s > 0.4));
        assert!(Augmentation::new(VpCosine::new(0.0).unwrap(), 1.5).is_err());
    }
}
