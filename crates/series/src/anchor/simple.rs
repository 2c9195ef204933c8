//! Estimates from a column by itself: what everyone would try first.

use super::kalman;

/// Nearest observed rows before and after each row of a column, `None` beyond the ends; an observed row is its own neighbour.
pub(super) fn neighbours(values: &[f64]) -> Vec<(Option<usize>, Option<usize>)> {
    let mut found = vec![(None, None); values.len()];
    let mut last = None;
    for (row, value) in values.iter().enumerate() {
        if !value.is_nan() {
            last = Some(row);
        }
        found[row].0 = last;
    }
    let mut next = None;
    for (row, value) in values.iter().enumerate().rev() {
        if !value.is_nan() {
            next = Some(row);
        }
        found[row].1 = next;
    }
    found
}

/// Rows to the nearest observed one; `usize::MAX` in an empty column.
pub(crate) fn distances(values: &[f64]) -> Vec<usize> {
    let near = |(row, (before, after)): (usize, (Option<usize>, Option<usize>))| {
        before.map_or(usize::MAX, |at| row - at).min(after.map_or(usize::MAX, |at| at - row))
    };
    neighbours(values).into_iter().enumerate().map(near).collect()
}

/// Straight lines between observations, at the rows' positions; the nearest observation beyond the ends; 0 in an empty column.
pub(super) fn linear(values: &[f64], positions: &[f64]) -> Vec<f64> {
    let fill = |(row, (before, after)): (usize, (Option<usize>, Option<usize>))| match (before, after) {
        (Some(a), Some(b)) if a < b => {
            let share = (positions[row] - positions[a]) / (positions[b] - positions[a]);
            (values[b] - values[a]).mul_add(share, values[a])
        }
        (Some(at), _) | (None, Some(at)) => values[at],
        (None, None) => 0.0,
    };
    neighbours(values).into_iter().enumerate().map(fill).collect()
}

/// The last observation; the first one before it; 0 in an empty column.
pub(super) fn locf(values: &[f64]) -> Vec<f64> {
    neighbours(values).into_iter().map(|(before, after)| before.or(after).map_or(0.0, |at| values[at])).collect()
}

/// The observed mean, which is 0 in deviations.
pub(super) fn mean(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&v| if v.is_nan() { 0.0 } else { v }).collect()
}

/// The season's profile, and straight lines between what observations differ from it.
pub(super) fn seasonal(values: &[f64], positions: &[f64], profile: &[f64]) -> Vec<f64> {
    let left: Vec<f64> = values.iter().zip(profile).map(|(v, p)| v - p).collect();
    linear(&left, positions).iter().zip(profile).map(|(l, p)| l + p).collect()
}

/// Smoothed by a structural model of the column: a level that wanders, and noise.
pub(super) fn kalman(values: &[f64]) -> Vec<f64> {
    kalman::smooth(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: f64 = f64::NAN;

    #[test]
    fn lines_follow_the_time_axis() {
        let positions = [0.0, 1.0, 4.0, 5.0, 6.0];
        assert_eq!(linear(&[0.0, N, N, 10.0, N], &positions), [0.0, 2.0, 8.0, 10.0, 10.0]);
        assert_eq!(linear(&[N, N], &positions[..2]), [0.0, 0.0]);
        assert_eq!(locf(&[N, 1.0, N, 3.0, N]), [1.0, 1.0, 1.0, 3.0, 3.0]);
        assert_eq!(distances(&[N, 1.0, N, N, 4.0]), [1, 0, 1, 1, 0]);
        assert_eq!(distances(&[N, N]), [usize::MAX; 2]);
    }

    #[test]
    fn a_season_is_followed_through_a_gap() {
        let profile: Vec<f64> = (0..24).map(|i| f64::from(i % 4)).collect();
        let mut values: Vec<f64> = profile.iter().map(|p| p + 10.0).collect();
        values[5..15].fill(N);
        let positions: Vec<f64> = (0..24).map(f64::from).collect();
        for (filled, p) in seasonal(&values, &positions, &profile).iter().zip(&profile) {
            approx::assert_relative_eq!(*filled, p + 10.0);
        }
    }
}
