//! All estimates of one group of columns, fitted together.

use super::{
    kriging::Kriging,
    levels::Levels,
    ridge::{Chain, Loss, Recipe},
    season::{Season, Stretch},
    simple,
};

/// Number of estimates that are mixed.
pub(super) const ESTIMATES: usize = 7;
/// Shares of the estimates where nothing can be held out: lines, season, kriging, and the four chains.
pub(super) const PLAIN: [f64; ESTIMATES] = [0.03, 0.07, 0.2, 0.25, 0.2, 0.15, 0.1];

/// The chained regressions. Short gaps want weights that are hardly held back, long gaps the opposite; the last one sees how other columns
/// work together.
const CHAINS: [Recipe; 4] = [
    Recipe { loss: Loss::Squares, ridge: 1e-2, curved: false },
    Recipe { loss: Loss::Absolute, ridge: 3e-4, curved: false },
    Recipe { loss: Loss::Absolute, ridge: 1e-2, curved: false },
    Recipe { loss: Loss::Absolute, ridge: 1e-5, curved: true },
];

/// What was fitted to a group of columns.
#[derive(Clone, Debug)]
pub(super) struct Models {
    levels: Levels,
    season: Option<Season>,
    kriging: Kriging,
    chains: Vec<Chain>,
}

/// What the estimates say of one stretch; all are the observed values where there are any.
pub(super) struct Estimates {
    /// `[estimate][column][row]`: lines, season, kriging, chains.
    pub(super) means: Vec<Vec<Vec<f64>>>,
    /// Kriging's variance, `[column][row]`.
    pub(super) variance: Vec<Vec<f64>>,
}

impl Models {
    /// Fits to stretches in deviations.
    pub(super) fn fit(stretches: &[Stretch<'_>], period: Option<usize>) -> Self {
        let tables: Vec<&[Vec<f64>]> = stretches.iter().map(|(_, values)| *values).collect();
        let levels = Levels::fit(&tables);
        let level: Vec<Vec<Vec<f64>>> = tables.iter().map(|table| lowered(table, &levels.of(table))).collect();
        let stretches: Vec<Stretch<'_>> = stretches.iter().zip(&level).map(|((at, _), table)| (*at, table.as_slice())).collect();
        let season = period.map(|period| Season::fit(&stretches, period));
        let left: Vec<Vec<Vec<f64>>> = stretches.iter().map(|stretch| unseason(season.as_ref(), stretch)).collect();
        let views: Vec<&[Vec<f64>]> = left.iter().map(Vec::as_slice).collect();
        let mut fitted = Self { levels, season, kriging: Kriging::fit(&views, period), chains: Vec::new() };
        let start: Vec<Vec<Vec<f64>>> = stretches.iter().map(|stretch| fitted.kriged(stretch).0).collect();
        let tables: Vec<&[Vec<f64>]> = level.iter().map(Vec::as_slice).collect();
        fitted.chains = CHAINS.map(|recipe| Chain::fit(&tables, &start, period, recipe)).into();
        fitted
    }

    /// Every estimate of a stretch.
    pub(super) fn estimates(&self, stretch: &Stretch<'_>) -> Estimates {
        let (positions, values) = *stretch;
        let lines: Vec<Vec<f64>> = values.iter().map(|column| simple::linear(column, positions)).collect();
        let season = values.iter().enumerate().map(|(column, v)| self.seasonal(column, v, positions)).collect();
        let levels = self.levels.of(values);
        let level = lowered(values, &levels);
        let (kriged, variance) = self.kriged(&(positions, &level));
        let mut means: Vec<Vec<Vec<f64>>> = vec![lines, season];
        let chained = self.chains.iter().map(|chain| chain.complete(&level, &kriged));
        means.extend(std::iter::once(kriged.clone()).chain(chained).map(|mean| raised(mean, &levels, values)));
        Estimates { means, variance }
    }

    /// The season's estimate of a column; lines without a season.
    pub(super) fn seasonal(&self, column: usize, values: &[f64], positions: &[f64]) -> Vec<f64> {
        self.season.as_ref().map_or_else(
            || simple::linear(values, positions),
            |season| simple::seasonal(values, positions, &season.along(column, positions)),
        )
    }

    /// Kriging of what differs from the season, and its variance.
    fn kriged(&self, stretch: &Stretch<'_>) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let (mut filled, variance) = self.kriging.complete(&unseason(self.season.as_ref(), stretch));
        if let Some(season) = &self.season {
            for (column, filled) in filled.iter_mut().enumerate() {
                filled.iter_mut().zip(season.along(column, stretch.0)).for_each(|(value, profile)| *value += profile);
            }
        }
        for (filled, observed) in filled.iter_mut().zip(stretch.1) {
            filled.iter_mut().zip(observed).filter(|(_, o)| !o.is_nan()).for_each(|(value, o)| *value = *o);
        }
        (filled, variance)
    }
}

/// A table less the levels of its columns.
fn lowered(table: &[Vec<f64>], levels: &[f64]) -> Vec<Vec<f64>> {
    table.iter().zip(levels).map(|(values, level)| values.iter().map(|v| v - level).collect()).collect()
}

/// The way back; what was observed is what it was.
fn raised(mut means: Vec<Vec<f64>>, levels: &[f64], observed: &[Vec<f64>]) -> Vec<Vec<f64>> {
    for ((means, level), observed) in means.iter_mut().zip(levels).zip(observed) {
        means.iter_mut().zip(observed).for_each(|(mean, v)| *mean = if v.is_nan() { *mean + level } else { *v });
    }
    means
}

fn unseason(season: Option<&Season>, stretch: &Stretch<'_>) -> Vec<Vec<f64>> {
    let (positions, values) = *stretch;
    let Some(season) = season else { return values.to_vec() };
    let of = |(column, values): (usize, &Vec<f64>)| values.iter().zip(season.along(column, positions)).map(|(v, p)| v - p).collect();
    values.iter().enumerate().map(of).collect()
}
