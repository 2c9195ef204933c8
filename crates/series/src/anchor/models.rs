//! All estimates of one group of columns, fitted together.

use super::{
    kriging::Kriging,
    ridge::{Chain, Loss},
    season::{Season, Stretch},
    simple,
};

/// Number of estimates that are mixed.
pub(super) const ESTIMATES: usize = 6;
/// Shares of the estimates where nothing can be held out: lines, season, kriging, and the three chains.
pub(super) const PLAIN: [f64; ESTIMATES] = [0.03, 0.07, 0.2, 0.3, 0.2, 0.2];

/// The chained regressions: what they minimise, and how strongly their weights are held back. Short gaps want weak ones, long gaps strong.
const CHAINS: [(Loss, f64); 3] = [(Loss::Squares, 1e-2), (Loss::Absolute, 3e-4), (Loss::Absolute, 1e-2)];

/// What was fitted to a group of columns.
#[derive(Clone, Debug)]
pub(super) struct Models {
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
        let season = period.map(|period| Season::fit(stretches, period));
        let left: Vec<Vec<Vec<f64>>> = stretches.iter().map(|stretch| unseason(season.as_ref(), stretch)).collect();
        let views: Vec<&[Vec<f64>]> = left.iter().map(Vec::as_slice).collect();
        let mut fitted = Self { season, kriging: Kriging::fit(&views, period), chains: Vec::new() };
        let start: Vec<Vec<Vec<f64>>> = stretches.iter().map(|stretch| fitted.kriged(stretch).0).collect();
        let tables: Vec<&[Vec<f64>]> = stretches.iter().map(|(_, values)| *values).collect();
        fitted.chains = CHAINS.map(|(loss, ridge)| Chain::fit(&tables, &start, period, loss, ridge)).into();
        fitted
    }

    /// Every estimate of a stretch.
    pub(super) fn estimates(&self, stretch: &Stretch<'_>) -> Estimates {
        let (positions, values) = *stretch;
        let lines: Vec<Vec<f64>> = values.iter().map(|column| simple::linear(column, positions)).collect();
        let season = values.iter().enumerate().map(|(column, v)| self.seasonal(column, v, positions)).collect();
        let (kriged, variance) = self.kriged(stretch);
        let chained: Vec<Vec<Vec<f64>>> = self.chains.iter().map(|chain| chain.complete(values, &kriged)).collect();
        let mut means = vec![lines, season, kriged];
        means.extend(chained);
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

fn unseason(season: Option<&Season>, stretch: &Stretch<'_>) -> Vec<Vec<f64>> {
    let (positions, values) = *stretch;
    let Some(season) = season else { return values.to_vec() };
    let of = |(column, values): (usize, &Vec<f64>)| values.iter().zip(season.along(column, positions)).map(|(v, p)| v - p).collect();
    values.iter().enumerate().map(of).collect()
}
