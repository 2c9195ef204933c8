//! What sensors and counters do to a signal: bends, bounds, whole numbers, stretches that stand still, outliers.

use crate::draws::Draws;

/// Bends a standardised column as chance will have it, and gives it a scale and an offset of its own.
pub(super) fn apply(values: &mut [f64], draws: &mut Draws) {
    let kind = draws.uniform();
    if kind < 0.08 {
        // Bounded: a valve, a share, a saturated sensor.
        let (low, high) = (draws.between(-2.0, -0.3), draws.between(0.3, 2.0));
        values.iter_mut().for_each(|v| *v = v.clamp(low, high));
    } else if kind < 0.14 {
        let slope = draws.between(0.8, 3.0);
        values.iter_mut().for_each(|v| *v = (slope * *v).tanh());
    } else if kind < 0.24 {
        // Skewed and positive.
        let width = draws.between(0.3, 1.2);
        values.iter_mut().for_each(|v| *v = (width * *v).exp());
    } else if kind < 0.32 {
        // Counts, many of them zero.
        let rate = draws.log_between(0.3, 30.0);
        let width = draws.between(0.2, 1.0);
        values.iter_mut().for_each(|v| *v = poisson(rate * (width * *v).exp(), draws));
    } else if kind < 0.37 {
        // Rain: nothing below a threshold.
        let threshold = draws.between(-0.5, 1.5);
        values.iter_mut().for_each(|v| *v = (*v - threshold).max(0.0));
    } else if kind < 0.42 {
        let step = draws.log_between(0.05, 0.8);
        values.iter_mut().for_each(|v| *v = (*v / step).round() * step);
    }
    if draws.chance(0.05) {
        hold(values, draws);
    }
    if draws.chance(0.08) {
        let (chance, size) = (draws.log_between(0.001, 0.02), draws.between(2.0, 8.0));
        values.iter_mut().for_each(|v| {
            if draws.chance(chance) {
                *v += size * draws.normal();
            }
        });
    }
    let (scale, offset) = (draws.log_between(0.1, 100.0), 10.0 * draws.normal());
    values.iter_mut().for_each(|v| *v = scale * (*v + offset));
}

/// Stretches during which a value stands still.
fn hold(values: &mut [f64], draws: &mut Draws) {
    let chance = 1.0 / draws.log_between(20.0, 200.0);
    let length = draws.log_between(3.0, 40.0) as usize;
    let mut left = 0;
    for row in 1..values.len() {
        if left > 0 {
            left -= 1;
            values[row] = values[row - 1];
        } else if draws.chance(chance) {
            left = length;
        }
    }
}

/// A Poisson number: by products of uniforms (Knuth 1969) while small, else by the normal that it tends to.
fn poisson(rate: f64, draws: &mut Draws) -> f64 {
    if rate > 30.0 {
        return (rate + rate.sqrt() * draws.normal()).round().max(0.0);
    }
    let (limit, mut product, mut count) = ((-rate).exp(), draws.uniform(), 0.0);
    while product > limit {
        product *= draws.uniform();
        count += 1.0;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use langevin_core::Philox;

    #[test]
    fn counts_have_their_mean_and_variance() {
        let draws = &mut Draws::new(Philox::new(1), 0, 0, 0);
        for rate in [0.5, 6.0, 80.0] {
            let n = 5000;
            let counts: Vec<f64> = (0..n).map(|_| poisson(rate, draws)).collect();
            let mean = counts.iter().sum::<f64>() / f64::from(n);
            let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / f64::from(n);
            assert!((mean / rate - 1.0).abs() < 0.06 && (variance / rate - 1.0).abs() < 0.1, "{rate}: {mean} {variance}");
        }
    }

    #[test]
    fn held_values_stand_still() {
        let mut values: Vec<f64> = (0..1000).map(f64::from).collect();
        hold(&mut values, &mut Draws::new(Philox::new(2), 0, 0, 0));
        let still = values.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!((10..900).contains(&still), "{still}");
    }
}
