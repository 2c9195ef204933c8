//! How restless a column is around its gaps: errors are larger where the values on both sides jump.

/// Rows on each side of a gap that are looked at.
const AROUND: usize = 24;
/// Steps that the usual unrest of the column counts for.
const USUAL: f64 = 8.0;
/// Most that unrest is taken for, either way: a column that hardly ever moves may jump once by any multiple of that.
const MOST: f64 = 3.0;

/// The mean size of the step from one row to the next, of each column.
#[derive(Clone, Debug)]
pub(super) struct Unrest {
    usual: Vec<f64>,
}

impl Unrest {
    /// From tables in deviations, `[column][row]`, NaN where nothing was observed.
    pub(super) fn fit(tables: &[Vec<Vec<f64>>]) -> Self {
        let columns = tables.first().map_or(0, Vec::len);
        let usual = |column: usize| {
            let all = tables.iter().flat_map(|table| steps(&table[column])).filter(|step| !step.is_nan());
            let (sum, count) = all.fold((0.0, 0.0), |(sum, count), step| (sum + step, count + 1.0));
            sum / f64::max(count, 1.0)
        };
        Self { usual: (0..columns).map(usual).collect() }
    }

    /// Logarithm of the unrest around each hole of a column, in its usual one, -3 to 3; 0 where observed.
    pub(super) fn around(&self, column: usize, values: &[f64]) -> Vec<f64> {
        let usual = self.usual[column];
        let mut around = vec![0.0; values.len()];
        if usual <= 0.0 {
            return around;
        }
        let (mut sums, mut counts) = (vec![0.0], vec![0.0]);
        for step in steps(values) {
            let (sum, count) = if step.is_nan() { (0.0, 0.0) } else { (step, 1.0) };
            sums.push(sums[sums.len() - 1] + sum);
            counts.push(counts[counts.len() - 1] + count);
        }
        let mut first = 0;
        for part in values.chunk_by(|a, b| a.is_nan() == b.is_nan()) {
            let end = first + part.len();
            if part[0].is_nan() {
                // Step n lies between rows n and n + 1.
                let (from, to) = (first.saturating_sub(AROUND), (end + AROUND).min(values.len()) - 1);
                let (sum, count) = (sums[to] - sums[from], counts[to] - counts[from]);
                around[first..end].fill(((sum / usual + USUAL) / (count + USUAL)).ln().clamp(-MOST, MOST));
            }
            first = end;
        }
        around
    }
}

fn steps(values: &[f64]) -> impl Iterator<Item = f64> {
    values.windows(2).map(|pair| (pair[1] - pair[0]).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_among_jumps_are_restless() {
        let step = |t: i32| if t < 100 { 0.1 } else { 1.0 };
        let mut values: Vec<f64> = (0..200).map(|t| if t % 2 == 0 { step(t) } else { 0.0 }).collect();
        let usual = Unrest::fit(&[vec![values.clone()]]);
        values[50..60].fill(f64::NAN);
        values[150] = f64::NAN;
        let around = usual.around(0, &values);
        // 46 steps of .1 and 8 usual ones, whose mean is .55.
        approx::assert_relative_eq!(around[55], ((46.0 * 0.1 / usual.usual[0] + 8.0) / 54.0f64).ln(), epsilon = 1e-9);
        assert!(around[55] < -1.0 && around[150] > 0.4 && around[10] == 0.0);
        let flat = Unrest::fit(&[vec![vec![1.0; 9]]]);
        assert_eq!(flat.around(0, &[1.0, f64::NAN, 1.0]), [0.0; 3]);
        assert!(usual.around(0, &[f64::NAN; 5]).iter().all(|u| *u == 0.0));
    }
}
