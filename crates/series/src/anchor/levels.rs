//! The level of each stretch: series of a panel differ from one another, and a hole is nearer to its own series than to the mean of all.
//!
//! The level is the stretch's mean, shrunk towards that of all by a one-way analysis of variance (Searle, Casella and McCulloch 1992, 3.6):
//! with variance `s2` within stretches and `t2` between them, `n` observations of a stretch count for `n / (n + s2 / t2)`.

/// Stretches below which nothing is said of how they differ.
const FEW: usize = 8;

/// How many observations of a stretch the common level counts for, of each column; infinite where stretches do not differ.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    worth: Vec<f64>,
}

impl Levels {
    /// From stretches in deviations, `[column][row]`, NaN where nothing was observed.
    pub(super) fn fit(tables: &[&[Vec<f64>]]) -> Self {
        let columns = tables.first().map_or(0, |table| table.len());
        Self { worth: (0..columns).map(|column| worth(tables.iter().map(|table| table[column].as_slice()))).collect() }
    }

    /// The level of each column of a stretch.
    pub(super) fn of(&self, table: &[Vec<f64>]) -> Vec<f64> {
        let level = |(values, worth): (&Vec<f64>, &f64)| {
            let (sum, count) = total(values);
            sum / (count + worth)
        };
        table.iter().zip(&self.worth).map(level).collect()
    }
}

/// Sum and number of what was observed.
fn total(values: &[f64]) -> (f64, f64) {
    values.iter().filter(|v| !v.is_nan()).fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0))
}

/// `s2 / t2` of one column.
fn worth<'a>(stretches: impl Iterator<Item = &'a [f64]>) -> f64 {
    let (mut groups, mut within) = (Vec::new(), 0.0);
    for values in stretches {
        let (sum, count) = total(values);
        if count > 0.0 {
            let mean = sum / count;
            within += values.iter().filter(|v| !v.is_nan()).map(|v| (v - mean).powi(2)).sum::<f64>();
            groups.push((mean, count));
        }
    }
    let number = groups.len() as f64;
    let all: f64 = groups.iter().map(|(_, count)| count).sum();
    if groups.len() < FEW || all <= number {
        return f64::INFINITY;
    }
    let mean = groups.iter().map(|(mean, count)| mean * count).sum::<f64>() / all;
    let between = groups.iter().map(|(m, count)| count * (m - mean).powi(2)).sum::<f64>() / (number - 1.0);
    let within = within / (all - number);
    let usual = (all - groups.iter().map(|(_, count)| count * count).sum::<f64>() / all) / (number - 1.0);
    let variance = (between - within) / usual;
    if variance > 0.0 { within / variance } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(k: usize) -> f64 {
        langevin_core::Philox::new(4).uniform(k as u32, 0, 0) - 0.5
    }

    #[test]
    fn stretches_that_differ_have_levels_of_their_own() {
        let tables: Vec<Vec<Vec<f64>>> = (0..30u32)
            .map(|site| {
                let own = f64::from(site % 5) - 2.0;
                let of = |level: f64, salt: usize| (0..40).map(|t| level + noise(salt + 40 * site as usize + t)).collect::<Vec<_>>();
                vec![of(own, 0), of(0.0, 9000)]
            })
            .collect();
        let views: Vec<&[Vec<f64>]> = tables.iter().map(Vec::as_slice).collect();
        let levels = Levels::fit(&views);
        // Of variance 2 between and 1/12 within: an observation tells nearly all.
        assert!((levels.worth[0] - 1.0 / 24.0).abs() < 0.02, "{}", levels.worth[0]);
        assert!(levels.worth[1] > 20.0, "{}", levels.worth[1]);
        let sparse = vec![[vec![f64::NAN; 3], vec![2.0]].concat(), vec![f64::NAN; 4]];
        let level = levels.of(&sparse);
        assert!((level[0] - 1.92).abs() < 0.04 && level[1] == 0.0, "{level:?}");
        // One stretch says nothing of how stretches differ.
        assert_eq!(Levels::fit(&views[..1]).of(&tables[0]), [0.0, 0.0]);
    }
}
