//! Holes to train and to measure on: random patterns on a grid, and a file's own gaps put elsewhere.
//!
//! Every mask is drawn from one address `(sample, node)` of a seed and depends on nothing else.

use langevin_core::{Philox, noise::stream};

use crate::{Frame, draws::Draws};

/// `mask[column][row]`; true is hidden.
pub type Mask = Vec<Vec<bool>>;

/// Stream of random patterns.
const PATTERN: u32 = stream::DOMAIN;
/// Stream of a file's own gaps.
const OWN: u32 = stream::DOMAIN + 1;
/// Attempts to place a gap between observed cells before it goes anywhere.
const ATTEMPTS: usize = 30;

/// A shape of holes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pattern {
    /// Each cell by itself, with this probability.
    Points {
        /// Share of cells hidden.
        share: f64,
    },
    /// Runs of rows in single columns.
    Runs {
        /// Share of cells hidden, about.
        share: f64,
        /// Rows of a run.
        length: usize,
    },
    /// Runs of rows in several columns at once.
    Blocks {
        /// Share of cells hidden, about.
        share: f64,
        /// Rows of a block.
        length: usize,
        /// Columns of a block.
        columns: usize,
    },
    /// Runs of rows in all columns.
    Blackouts {
        /// Share of cells hidden, about.
        share: f64,
        /// Rows of a blackout.
        length: usize,
    },
    /// The last rows of some columns: forecasts.
    Tail {
        /// Rows hidden.
        length: usize,
        /// Share of the columns; at least one.
        columns: f64,
    },
}

impl Pattern {
    /// Draws a pattern for training on `rows` rows: 35 % points with a share of .02 to .95, 25 % runs, 15 % blocks of columns, 15 % blackouts,
    /// 10 % tails; runs are of 2 to 64 rows and at most a quarter of the table.
    #[must_use]
    pub fn draw(rows: usize, columns: usize, noise: Philox, sample: u32, node: u32) -> Self {
        let draws = &mut Draws::new(noise, sample, node, PATTERN);
        let kind = draws.uniform();
        let longest = (rows as f64 / 4.0).clamp(2.0, 64.0);
        let length = draws.log_between(2.0, longest + 0.5).round() as usize;
        let share = draws.between(0.05, 0.5);
        if kind < 0.35 {
            Self::Points { share: draws.between(0.02, 0.95) }
        } else if kind < 0.60 {
            Self::Runs { share, length }
        } else if kind < 0.75 {
            Self::Blocks { share, length, columns: 1 + draws.below(columns) }
        } else if kind < 0.90 {
            Self::Blackouts { share: draws.between(0.05, 0.3), length }
        } else {
            Self::Tail { length, columns: draws.uniform() }
        }
    }

    /// The pattern's holes on a grid; no column is hidden whole.
    #[must_use]
    pub fn mask(self, rows: usize, columns: usize, noise: Philox, sample: u32, node: u32) -> Mask {
        let draws = &mut Draws::new(noise, sample, node, PATTERN + 2);
        let mut mask = vec![vec![false; rows]; columns];
        // Runs that cover each other make up for it by being more: 1 - e^-n cells are hidden by n per cell.
        let runs = |share: f64, length: usize, wide: usize| {
            let cells = (rows * columns) as f64 * -(1.0 - share.clamp(0.0, 0.99)).ln();
            (cells / (length.max(1) * wide.max(1)) as f64).round().max(1.0) as usize
        };
        match self {
            Self::Points { share } => mask.iter_mut().flatten().for_each(|hidden| *hidden = draws.chance(share)),
            Self::Runs { share, length } => {
                for _ in 0..runs(share, length, 1) {
                    let column = draws.below(columns);
                    hide(&mut mask, &[column], start(draws, rows, length), length);
                }
            }
            Self::Blocks { share, length, columns: wide } => {
                for _ in 0..runs(share, length, wide.min(columns)) {
                    let chosen = draws.some_of(columns, wide.max(1));
                    hide(&mut mask, &chosen, start(draws, rows, length), length);
                }
            }
            Self::Blackouts { share, length } => {
                let all: Vec<usize> = (0..columns).collect();
                for _ in 0..runs(share, length, columns) {
                    hide(&mut mask, &all, start(draws, rows, length), length);
                }
            }
            Self::Tail { length, columns: share } => {
                let wide = (share * columns as f64).ceil().max(1.0) as usize;
                let chosen = draws.some_of(columns, wide);
                hide(&mut mask, &chosen, rows.saturating_sub(length), length);
            }
        }
        for column in mask.iter_mut().filter(|column| !column.is_empty() && column.iter().all(|&hidden| hidden)) {
            column[0] = false;
        }
        mask
    }
}

/// First row of a run: every row is as likely to be inside, those at the ends too.
fn start(draws: &mut Draws, rows: usize, length: usize) -> usize {
    (draws.below(rows + length.saturating_sub(1)) + 1).saturating_sub(length)
}

fn hide(mask: &mut Mask, columns: &[usize], start: usize, length: usize) {
    for &column in columns {
        let end = (start + length).min(mask[column].len());
        mask[column][start.min(end)..end].fill(true);
    }
}

/// A gap: rows that are missing in some columns together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gap {
    columns: Vec<usize>,
    length: usize,
}

/// The gaps of a table; columns that miss the very same rows have one gap together. Gaps at the ends count as they are.
fn gaps(frame: &Frame) -> Vec<Gap> {
    let mut runs: std::collections::BTreeMap<(usize, usize), Vec<usize>> = std::collections::BTreeMap::new();
    for (column, values) in frame.values.iter().enumerate() {
        let mut row = 0;
        for part in values.chunk_by(|a, b| a.is_nan() == b.is_nan()) {
            // A column that is empty throughout says nothing of gaps.
            if part[0].is_nan() && part.len() < values.len() {
                runs.entry((row, part.len())).or_default().push(column);
            }
            row += part.len();
        }
    }
    runs.into_iter().map(|((_, length), columns)| Gap { columns, length }).collect()
}

/// Number of cells in a table's gaps, and the sum over them of the size of the gap that each lies in.
pub(crate) fn gap_sizes(frame: &Frame) -> (usize, usize) {
    let sizes = gaps(frame).into_iter().map(|gap| gap.columns.len() * gap.length);
    sizes.fold((0, 0), |(cells, sum), size| (cells + size, sum + size * size))
}

/// Observed cells to hide, about `share` of them, in gaps whose lengths and columns are those of the table's own gaps: what the file
/// misses, somewhere else.
///
/// A gap goes where all of its cells, and the cells before and after, are observed, so that its length stays; in a table that is too
/// sparse for this it goes anywhere. At least half of every column's observed cells stay. Nothing is hidden in a table without gaps.
#[must_use]
pub fn own_gaps(frame: &Frame, share: f64, noise: Philox, sample: u32, node: u32) -> Mask {
    let (rows, columns) = (frame.rows(), frame.columns());
    let mut mask = vec![vec![false; rows]; columns];
    let gaps = gaps(frame);
    let seen: Vec<usize> = frame.values.iter().map(|v| v.iter().filter(|x| !x.is_nan()).count()).collect();
    let wanted = (share * seen.iter().sum::<usize>() as f64).round() as usize;
    if gaps.is_empty() || wanted == 0 {
        return mask;
    }
    let draws = &mut Draws::new(noise, sample, node, OWN);
    let mut left: Vec<usize> = seen.iter().map(|seen| seen / 2).collect();
    let (mut hidden, mut failures) = (0, 0);
    // Each round draws one gap; a table whose gaps fit nowhere ends by failing.
    while hidden < wanted && failures < 200 {
        let gap = &gaps[draws.below(gaps.len())];
        let length = gap.length.min(rows);
        let open = |mask: &Mask, column: usize, row: usize| !frame.values[column][row].is_nan() && !mask[column][row];
        let clear = |mask: &Mask, at: usize| {
            let (from, to) = (at.saturating_sub(1), (at + length + 1).min(rows));
            gap.columns.iter().all(|&column| (from..to).all(|row| open(mask, column, row)))
        };
        let mut place = None;
        for _ in 0..ATTEMPTS {
            let at = draws.below(rows - length + 1);
            if clear(&mask, at) {
                place = Some(at);
                break;
            }
        }
        let at = place.unwrap_or_else(|| draws.below(rows - length + 1));
        let cells: Vec<(usize, Vec<usize>)> = gap
            .columns
            .iter()
            .map(|&column| (column, (at..at + length).filter(|&row| open(&mask, column, row)).collect()))
            .filter(|(_, rows): &(usize, Vec<usize>)| !rows.is_empty())
            .collect();
        let count: usize = cells.iter().map(|(_, rows)| rows.len()).sum();
        // A gap much longer than what is still wanted waits for one that fits, unless it is the first.
        let too_many = hidden > 0 && hidden + count > wanted + wanted / 4;
        if count == 0 || too_many || cells.iter().any(|(column, rows)| rows.len() > left[*column]) {
            failures += 1;
            continue;
        }
        for (column, rows) in cells {
            left[column] -= rows.len();
            rows.into_iter().for_each(|row| mask[column][row] = true);
        }
        hidden += count;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(mask: &Mask) -> f64 {
        let cells = mask.iter().map(Vec::len).sum::<usize>() as f64;
        mask.iter().flatten().filter(|&&hidden| hidden).count() as f64 / cells
    }

    fn runs(mask: &[bool]) -> Vec<usize> {
        mask.chunk_by(|a, b| a == b).filter(|part| part[0]).map(<[bool]>::len).collect()
    }

    #[test]
    fn patterns_hide_what_they_say() {
        let noise = Philox::new(7);
        for wanted in [0.05, 0.3, 0.6] {
            for pattern in [
                Pattern::Points { share: wanted },
                Pattern::Runs { share: wanted, length: 12 },
                Pattern::Blocks { share: wanted, length: 8, columns: 3 },
                Pattern::Blackouts { share: wanted, length: 10 },
            ] {
                let mean = (0..20).map(|k| share(&pattern.mask(2000, 6, noise, k, 0))).sum::<f64>() / 20.0;
                assert!((mean - wanted).abs() < 0.03 + 0.1 * wanted, "{pattern:?}: {mean}");
            }
        }
        let tail = Pattern::Tail { length: 9, columns: 0.5 }.mask(50, 4, noise, 0, 0);
        assert_eq!(tail.iter().filter(|column| column[49]).count(), 2);
        assert!(tail.iter().all(|column| !column[40] && (!column[49] || runs(column) == [9])));
        let blackout = Pattern::Blackouts { share: 0.2, length: 5 }.mask(100, 3, noise, 1, 0);
        assert!(blackout[0] == blackout[1] && blackout[1] == blackout[2] && share(&blackout) > 0.0);
    }

    #[test]
    fn kinds_are_drawn_in_their_shares_and_no_column_goes_whole() {
        let noise = Philox::new(8);
        let mut counts = [0; 5];
        for k in 0..4000 {
            let pattern = Pattern::draw(96, 5, noise, k, 0);
            counts[match pattern {
                Pattern::Points { .. } => 0,
                Pattern::Runs { .. } => 1,
                Pattern::Blocks { .. } => 2,
                Pattern::Blackouts { .. } => 3,
                Pattern::Tail { .. } => 4,
            }] += 1;
            if k < 200 {
                let mask = pattern.mask(96, 5, noise, k, 0);
                assert_eq!(mask, pattern.mask(96, 5, noise, k, 0));
                assert!(mask.iter().all(|column| column.iter().any(|hidden| !hidden)));
            }
        }
        for (count, share) in counts.into_iter().zip([0.35, 0.25, 0.15, 0.15, 0.10]) {
            assert!((f64::from(count) / 4000.0 - share).abs() < 0.03, "{counts:?}");
        }
        for (rows, columns) in [(0, 2), (1, 1), (3, 1)] {
            for k in 0..50 {
                let mask = Pattern::draw(rows, columns, noise, k, 1).mask(rows, columns, noise, k, 1);
                assert!(mask.iter().all(|column| column.len() == rows));
            }
        }
    }

    fn frame(rows: usize, holes: &[(usize, usize, usize)]) -> Frame {
        let mut values = vec![vec![1.0; rows]; 3];
        for &(column, start, length) in holes {
            values[column][start..start + length].fill(f64::NAN);
        }
        let names = ["a", "b", "c"].map(str::to_owned).to_vec().into();
        Frame { names, positions: (0..rows).map(|row| row as f64).collect(), values }
    }

    #[test]
    fn own_gaps_have_the_lengths_and_columns_of_the_file() {
        // A blackout of 5 rows in two columns, and single runs of 3 in the third.
        let table = frame(2000, &[(0, 100, 5), (1, 100, 5), (2, 300, 3), (2, 700, 3)]);
        let mask = own_gaps(&table, 0.1, Philox::new(1), 0, 0);
        let observed = 6000.0 - 16.0;
        assert!((share(&mask) * 6000.0 / observed - 0.1).abs() < 0.01, "{}", share(&mask));
        assert_eq!(mask[0], mask[1]);
        assert!(runs(&mask[0]).iter().all(|&n| n == 5) && runs(&mask[2]).iter().all(|&n| n == 3));
        // Nothing that is missing already, and nothing beside it.
        for (column, values) in mask.iter().zip(&table.values) {
            for (row, hidden) in column.iter().enumerate().take(1999).skip(1) {
                let missing = (row - 1..=row + 1).any(|row| values[row].is_nan());
                assert!(!(*hidden && missing), "row {row}");
            }
        }
        assert_ne!(mask, own_gaps(&table, 0.1, Philox::new(1), 1, 0));
    }

    #[test]
    fn own_gaps_of_extreme_tables() {
        assert_eq!(share(&own_gaps(&frame(50, &[]), 0.1, Philox::new(1), 0, 0)), 0.0);
        // Nine of ten cells missing: gaps go where there is room, and half of what is seen stays.
        let mut sparse = frame(1000, &[]);
        sparse.values.iter_mut().flatten().enumerate().filter(|(k, _)| k % 10 != 3).for_each(|(_, v)| *v = f64::NAN);
        let mask = own_gaps(&sparse, 0.2, Philox::new(2), 0, 0);
        assert!((share(&mask) - 0.02).abs() < 0.006, "{}", share(&mask));
        // One gap longer than all that is wanted is drawn all the same.
        let long = own_gaps(&frame(100, &[(1, 60, 30)]), 0.02, Philox::new(3), 0, 0);
        assert!(long[1].iter().filter(|&&hidden| hidden).count() > 0);
    }
}
