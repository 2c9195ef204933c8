//! The season of a table: its period, and the mean course of each column over one.

/// Share of the variance that a season has to explain.
const WORTH: f64 = 0.03;
/// A longer period has to explain this much more than a shorter one.
const MORE: f64 = 0.03;
/// Observations of a phase that weigh as much as the overall mean.
const SHRINK: f64 = 3.0;
/// Periods that are read off the data alone.
const LONGEST: usize = 400;

/// One stretch of a table in deviations: `values[column][row]` at `positions[row]`.
pub(super) type Stretch<'a> = (&'a [f64], &'a [Vec<f64>]);

/// Phase of a row.
fn phase(position: f64, period: usize) -> usize {
    // Positions are whole steps; the remainder is below the period.
    position.round().rem_euclid(period as f64) as usize % period
}

/// Mean course of each column over a period, `[column][phase]`, shrunk towards the column's mean where a phase was seen seldom.
#[derive(Clone, Debug)]
pub(super) struct Season {
    pub(super) period: usize,
    profile: Vec<Vec<f64>>,
}

impl Season {
    pub(super) fn fit(stretches: &[Stretch<'_>], period: usize) -> Self {
        let columns = stretches.first().map_or(0, |(_, values)| values.len());
        let of = |column: usize| {
            let (sums, counts) = sums(stretches, column, period);
            let all = sums.iter().sum::<f64>() / counts.iter().sum::<f64>().max(1.0);
            let shrunk = |(sum, count): (&f64, &f64)| all + (sum - all * count) / (count + SHRINK);
            sums.iter().zip(&counts).map(shrunk).collect()
        };
        Self { period, profile: (0..columns).map(of).collect() }
    }

    /// The profile along rows.
    pub(super) fn along(&self, column: usize, positions: &[f64]) -> Vec<f64> {
        positions.iter().map(|&at| self.profile[column][phase(at, self.period)]).collect()
    }
}

/// Sums and counts of a column's observations by phase.
fn sums(stretches: &[Stretch<'_>], column: usize, period: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut sums, mut counts) = (vec![0.0; period], vec![0.0; period]);
    for (positions, values) in stretches {
        for (&at, &value) in positions.iter().zip(&values[column]) {
            if !value.is_nan() {
                let phase = phase(at, period);
                sums[phase] += value;
                counts[phase] += 1.0;
            }
        }
    }
    (sums, counts)
}

/// The period that explains most, of those that `asked` names; of those that the data suggest if it names none. `None` when no season is
/// worth the name.
pub(super) fn choose(stretches: &[Stretch<'_>], asked: &[usize]) -> Option<usize> {
    let rows: usize = stretches.iter().map(|(positions, _)| positions.len()).max().unwrap_or(0);
    let mut periods: Vec<usize> = if asked.is_empty() { peaks(stretches) } else { asked.to_vec() };
    periods.retain(|&period| period >= 2 && 3 * period <= rows);
    periods.sort_unstable();
    let mut best: Option<(usize, f64)> = None;
    for period in periods {
        let explained = explained(stretches, period);
        if explained > WORTH && best.is_none_or(|(_, most)| explained > most + MORE) {
            best = Some((period, explained));
        }
    }
    best.map(|(period, _)| period)
}

/// Mean over columns of the adjusted share of variance that phase means explain.
fn explained(stretches: &[Stretch<'_>], period: usize) -> f64 {
    let columns = stretches.first().map_or(0, |(_, values)| values.len());
    let share = |column: usize| {
        let (sums, counts) = sums(stretches, column, period);
        let count: f64 = counts.iter().sum();
        let seen: f64 = counts.iter().filter(|&&n| n > 0.0).count() as f64;
        if count < 2.0 * seen {
            return 0.0;
        }
        let mean = sums.iter().sum::<f64>() / count;
        let observed = stretches.iter().flat_map(|(_, values)| &values[column]).filter(|v| !v.is_nan());
        let total: f64 = observed.map(|v| (v - mean).powi(2)).sum();
        let between: f64 = sums.iter().zip(&counts).filter(|(_, n)| **n > 0.0).map(|(s, n)| n * (s / n - mean).powi(2)).sum();
        if total <= 0.0 { 0.0 } else { 1.0 - (1.0 - between / total) * (count - 1.0) / (count - seen) }
    };
    (0..columns).map(share).sum::<f64>() / columns.max(1) as f64
}

/// The shortest lags where the mean autocorrelation of observed pairs has its highest local maxima.
fn peaks(stretches: &[Stretch<'_>]) -> Vec<usize> {
    let rows: usize = stretches.iter().map(|(positions, _)| positions.len()).max().unwrap_or(0);
    let longest = LONGEST.min(rows / 3);
    if longest < 4 {
        return Vec::new();
    }
    let correlation: Vec<f64> = (0..=longest).map(|lag| correlation(stretches, lag)).collect();
    let local = |lag: usize| correlation[lag] > 0.1 && correlation[lag] >= correlation[lag - 1] && correlation[lag] > correlation[lag + 1];
    let found: Vec<usize> = (2..longest).filter(|&lag| local(lag)).collect();
    let highest = found.iter().map(|&lag| correlation[lag]).fold(0.0, f64::max);
    // Multiples of a season are as high as itself: the shortest of those nearly as high as any.
    found.into_iter().filter(|&lag| correlation[lag] > 0.8 * highest).take(3).collect()
}

fn correlation(stretches: &[Stretch<'_>], lag: usize) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (_, values) in stretches {
        for column in *values {
            for pair in 0..column.len().saturating_sub(lag) {
                let product = column[pair] * column[pair + lag];
                if !product.is_nan() {
                    sum += product;
                    count += 1.0;
                }
            }
        }
    }
    if count > 0.0 { sum / count } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(period: f64, noise: f64) -> (Vec<f64>, Vec<Vec<f64>>) {
        let positions: Vec<f64> = (0..600).map(f64::from).collect();
        let wave = |shift: f64| {
            let white = |t: f64| 2.0 * langevin_core::Philox::new(2).uniform(t as u32, shift as u32, 0) - 1.0;
            let at = |&t: &f64| (std::f64::consts::TAU * (t + shift) / period).sin() + noise * white(t);
            positions.iter().map(at).collect::<Vec<_>>()
        };
        let values = vec![wave(0.0), wave(5.0)];
        (positions, values)
    }

    #[test]
    fn the_period_is_found_named_or_not() {
        let (positions, mut values) = table(24.0, 0.3);
        values[0][100..140].fill(f64::NAN);
        let stretch = [(positions.as_slice(), values.as_slice())];
        assert_eq!(choose(&stretch, &[12, 24, 168]), Some(24));
        assert_eq!(choose(&stretch, &[]), Some(24));
        let season = Season::fit(&stretch, 24);
        assert!((season.along(0, &[6.0])[0] - 1.0).abs() < 0.3);
    }

    #[test]
    fn noise_has_no_season() {
        let (positions, mut values) = table(24.0, 0.0);
        for (i, v) in values.iter_mut().flatten().enumerate() {
            *v = ((i * 7919 % 1013) as f64) / 1013.0 - 0.5;
        }
        let stretch = [(positions.as_slice(), values.as_slice())];
        assert_eq!(choose(&stretch, &[24]), None);
    }
}
