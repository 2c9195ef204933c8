//! What is predicted for a hole, and bands that hold what they promise.

use super::windows::Draws;
use crate::metrics::{BINS, quantile};

/// Levels at which bands are calibrated and scored.
pub(super) const LEVELS: [f64; 21] =
    [0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99];
/// Held-out cells below which bands of one length of gaps are those of all.
const FEW: usize = 40;
/// Independent ones below which they reach as far as those of all at least: one outage is many cells that err together.
const FEW_INDEPENDENT: f64 = 80.0;

/// Quantile of the standard normal distribution (Acklam's rational approximation, relative error below 1.2e-9).
pub(super) fn normal_quantile(level: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] =
        [-5.447_609_879_822_406e1, 1.615_858_368_580_409e2, -1.556_989_798_598_866e2, 6.680_131_188_771_972e1, -1.328_068_155_288_572e1];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    let poly = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let level = level.clamp(1e-12, 1.0 - 1e-12);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        poly(&C, q) / (poly(&D, q) * q + 1.0)
    };
    if level < 0.024_25 {
        tail(level)
    } else if level > 1.0 - 0.024_25 {
        -tail(1.0 - level)
    } else {
        let q = level - 0.5;
        let r = q * q;
        poly(&A, r) * q / (poly(&B, r) * r + 1.0)
    }
}

/// What a method says of one hole, in deviations.
#[derive(Clone, Debug)]
pub(super) enum Prediction {
    /// A number and the size of its error.
    Normal { centre: f64, scale: f64 },
    /// Draws, by what holds for any number of them: their middle, and the root mean square on each side of it.
    Drawn { median: f64, mean: f64, below: f64, above: f64 },
}

impl Prediction {
    /// The network's draws around the anchor.
    pub(super) fn drawn(mean: f64, scale: f64, residuals: &[f32]) -> Self {
        let mut sorted: Vec<f64> = residuals.iter().map(|&r| f64::from(r)).collect();
        sorted.sort_by(f64::total_cmp);
        let median = quantile(&sorted, 0.5);
        let side = |sign: f64| {
            let off = sorted.iter().map(|r| sign * (r - median)).filter(|off| *off > 0.0);
            let (sum, count) = off.fold((0.0, 0.0), |(sum, count), off| (sum + off * off, count + 1.0));
            // Draws that all agree are not believed to be certain.
            (sum / f64::max(count, 1.0)).sqrt().max(0.02) * scale
        };
        let average = sorted.iter().sum::<f64>() / sorted.len().max(1) as f64;
        Self::Drawn { median: median.mul_add(scale, mean), mean: average.mul_add(scale, mean), below: side(-1.0), above: side(1.0) }
    }

    /// The middle: what the bands are around.
    pub(super) fn median(&self) -> f64 {
        match self {
            Self::Normal { centre, .. } => *centre,
            Self::Drawn { median, .. } => *median,
        }
    }

    /// The mean.
    pub(super) fn mean(&self) -> f64 {
        match self {
            Self::Normal { centre, .. } => *centre,
            Self::Drawn { mean, .. } => *mean,
        }
    }

    /// Distance of a quantile from the median, before calibration.
    pub(super) fn reach(&self, level: f64) -> f64 {
        let scale = match self {
            Self::Normal { scale, .. } => scale,
            Self::Drawn { below, above, .. } => {
                if level < 0.5 {
                    below
                } else {
                    above
                }
            }
        };
        scale * normal_quantile(level)
    }
}

/// Factors on the reach of quantiles, by length of gap: conformal, so that the shares of held-out cells below the quantiles are the levels.
#[derive(Clone, Debug)]
pub(super) struct Bands {
    /// `[bin][level of LEVELS]`.
    factors: Vec<[f64; LEVELS.len()]>,
}

impl Bands {
    /// Predictions are believed.
    pub(super) fn plain(bins: usize) -> Self {
        Self { factors: vec![[1.0; LEVELS.len()]; bins] }
    }

    /// From predictions of held-out cells, their bin and the truth. `independent` is the share of each bin's cells that count as
    /// independent, and last that of all: the fewer, the further out the bands have to reach to be safe.
    pub(super) fn fit<'a>(cells: impl Iterator<Item = (usize, &'a Prediction, f64)>, independent: &[f64; BINS.len() + 1]) -> Self {
        let bins = BINS.len();
        let mut ratios: Vec<Vec<Vec<f64>>> = vec![vec![Vec::new(); LEVELS.len()]; bins + 1];
        for (bin, prediction, truth) in cells {
            let off = truth - prediction.median();
            for (n, &level) in LEVELS.iter().enumerate() {
                let ratio = off / prediction.reach(level);
                ratios[bin][n].push(ratio);
                ratios[bins][n].push(ratio);
            }
        }
        let factor = |ratios: &mut Vec<f64>, level: f64, independent: f64| {
            ratios.sort_by(f64::total_cmp);
            // A ratio above the factor lies outside on the quantile's side: a share of min(level, 1 - level) may. The finite-sample rank is
            // that of split conformal prediction (Vovk et al. 2005).
            let inside = level.max(1.0 - level);
            let count = ratios.len() as f64;
            let rank = (inside * (1.0 + 1.0 / (independent * count).max(1.0)) * count).ceil() as usize;
            ratios[rank.clamp(1, ratios.len()) - 1].clamp(0.02, 50.0)
        };
        let all = ratios.pop().unwrap_or_default();
        let together_independent = independent[bins];
        let of = |(mut own, independent): (Vec<Vec<f64>>, f64)| {
            let mut factors = [1.0; LEVELS.len()];
            for (n, &level) in LEVELS.iter().enumerate().filter(|(_, level)| **level != 0.5) {
                let enough = |count: usize| count >= FEW;
                let together = |all: &[f64]| if enough(all.len()) { factor(&mut all.to_vec(), level, together_independent) } else { 1.0 };
                factors[n] = if !enough(own[n].len()) {
                    together(&all[n])
                } else if independent * (own[n].len() as f64) < FEW_INDEPENDENT {
                    factor(&mut own[n], level, independent).max(together(&all[n]))
                } else {
                    factor(&mut own[n], level, independent)
                };
            }
            factors
        };
        Self { factors: ratios.into_iter().zip(*independent).map(of).collect() }
    }

    /// A calibrated quantile.
    pub(super) fn quantile(&self, bin: usize, prediction: &Prediction, level: f64) -> f64 {
        prediction.reach(level).mul_add(self.factor(bin, level), prediction.median())
    }

    /// The factor at a level, linear between the calibrated ones.
    fn factor(&self, bin: usize, level: f64) -> f64 {
        if (level - 0.5).abs() < 1e-9 {
            return 1.0;
        }
        let factors = &self.factors[bin];
        let above = LEVELS.partition_point(|&l| l < level);
        // The median has no factor of its own: next to it the neighbour on the same side holds.
        let side = |n: usize| if LEVELS[n] == 0.5 { if level < 0.5 { n - 1 } else { n + 1 } } else { n };
        if above == 0 {
            return factors[0];
        }
        if above == LEVELS.len() {
            return factors[LEVELS.len() - 1];
        }
        let share = (level - LEVELS[above - 1]) / (LEVELS[above] - LEVELS[above - 1]);
        factors[side(above - 1)].mul_add(1.0 - share, factors[side(above)] * share)
    }

    /// Quantiles at ascending levels, in ascending order.
    pub(super) fn quantiles(&self, bin: usize, prediction: &Prediction, levels: &[f64]) -> Vec<f64> {
        let mut all: Vec<f64> = levels.iter().map(|&level| self.quantile(bin, prediction, level)).collect();
        all.sort_by(f64::total_cmp);
        all
    }
}

/// Ranks of the draws of a hole, as levels: sample paths keep their order within a hole, whatever the hole's distribution is.
pub(super) fn ranks(draws: &Draws, frame: usize, column: usize, row: usize) -> Option<Vec<f64>> {
    let residuals = draws.of(frame, column, row)?;
    let mut order: Vec<usize> = (0..residuals.len()).collect();
    order.sort_by(|&a, &b| residuals[a].total_cmp(&residuals[b]).then(a.cmp(&b)));
    let mut levels = vec![0.0; residuals.len()];
    order.iter().enumerate().for_each(|(rank, &sample)| levels[sample] = (rank as f64 + 0.5) / residuals.len() as f64);
    Some(levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_are_the_known_ones() {
        for (level, known) in [(0.5, 0.0), (0.975, 1.959_963_985), (0.05, -1.644_853_627), (0.001, -3.090_232_306)] {
            assert!((normal_quantile(level) - known).abs() < 1e-6, "{level}: {}", normal_quantile(level));
        }
    }

    #[test]
    fn bands_cover_what_they_say_whatever_the_errors() {
        // Errors three times as large as expected, and skewed.
        let truth = |n: usize| {
            let u = ((n * 7919) % 4001) as f64 / 4001.0;
            3.0 * (-(1.0 - u).ln() - 0.5)
        };
        let prediction = Prediction::Normal { centre: 0.0, scale: 1.0 };
        let bands = Bands::fit((0..2000).map(|n| (n % 2, &prediction, truth(n))), &[1.0; BINS.len() + 1]);
        for bin in [0, 1, 2] {
            let (low, high) = (bands.quantile(bin, &prediction, 0.05), bands.quantile(bin, &prediction, 0.95));
            let inside = (2000..4000).filter(|&n| (low..=high).contains(&truth(n))).count() as f64 / 2000.0;
            assert!((inside - 0.9).abs() < 0.03, "{bin}: {inside}");
        }
        let quantiles = bands.quantiles(0, &prediction, &[0.02, 0.05, 0.33, 0.5, 0.52, 0.97]);
        assert!(quantiles.windows(2).all(|pair| pair[0] <= pair[1]), "{quantiles:?}");
    }

    #[test]
    fn one_outage_does_not_narrow_bands() {
        // Of bin 0 there are many outages, of bin 1 one, of a quiet day.
        let cells = || (0..2000).map(|n| (0, 1.0 + (n % 100) as f64 / 50.0)).chain((0..100).map(|n| (1, 0.1 + f64::from(n) / 1e4)));
        let prediction = Prediction::Normal { centre: 0.0, scale: 1.0 };
        let high = |independent: f64, bin: usize| {
            let both = cells().flat_map(|(bin, error)| [(bin, &prediction, error), (bin, &prediction, -error)]);
            Bands::fit(both, &[independent; BINS.len() + 1]).quantile(bin, &prediction, 0.95)
        };
        assert!(high(0.1, 1) > 2.5 && (high(0.1, 1) / high(0.1, 0) - 1.0).abs() < 0.1);
        assert!(high(1.0, 1) < 0.2, "many of their own speak for themselves");
    }

    #[test]
    fn draws_reach_as_far_as_they_spread() {
        let normal: Vec<f32> = (0..400).map(|k| normal_quantile((f64::from(k) + 0.5) / 400.0) as f32).collect();
        let skewed: Vec<f32> = normal.iter().map(|&r| if r > 0.0 { 3.0 * r } else { r }).collect();
        let prediction = Prediction::drawn(1.0, 2.0, &skewed);
        approx::assert_relative_eq!(prediction.median(), 1.0, epsilon = 0.02);
        assert!((prediction.reach(0.95) - 6.0 * 1.645).abs() < 0.2 && (prediction.reach(0.05) + 2.0 * 1.645).abs() < 0.1);
        assert!(prediction.mean() > 1.5);
        let flat = Prediction::drawn(0.0, 1.0, &[0.0; 8]);
        assert!(flat.reach(0.9) > 0.0 && flat.reach(0.1) < 0.0);
    }
}
