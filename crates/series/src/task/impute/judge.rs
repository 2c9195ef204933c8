//! The backtest: which method fills gaps of which length, and how wide its bands have to be.

use std::collections::BTreeSet;

use super::{
    Method,
    bands::{Bands, LEVELS, Prediction},
    windows::Draws,
};
use crate::{
    anchor::{Trial, half_of},
    metrics::{self, BIN_LABELS, BINS, bin_of, pinball},
    report::{Backtest, BandScores, BinReport, DIFFUSION, MethodScores},
};

/// Independent cells that a gap counts for at most: bands of outages cover .93 with this in the mean of three quarters of weather and of three
/// stretches of ETTh1, and .94 with half of it.
const PER_GAP: f64 = 12.0;
/// Held-out cells below which gaps of a length are filled as all are.
const FEW: usize = 30;
/// By how much of the CRPS a method has to be better than the anchor to be used in its place.
const BETTER: f64 = 0.01;

/// What fills a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    Linear,
    Seasonal,
    /// The anchor, or the one simple method that was asked for.
    Anchor,
    Diffusion,
}

impl Candidate {
    pub(super) fn name(self, asked: Method) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Seasonal => "seasonal",
            Self::Anchor => match asked {
                Method::Auto | Method::Diffusion => "ridge",
                named => named.name(),
            },
            Self::Diffusion => DIFFUSION,
        }
    }
}

/// A hidden cell, and what each candidate says of it.
struct Tried {
    column: usize,
    bin: usize,
    half: usize,
    truth: f64,
    /// Whether the network was tried on it: a few windows tell enough, and cost less.
    drawn: bool,
    predictions: Vec<Prediction>,
}

impl Tried {
    /// Whether the cell says something of a candidate.
    fn tells(&self, candidate: Candidate) -> bool {
        self.drawn || candidate != Candidate::Diffusion
    }
}

/// Lengths of the gaps that cells lie in, `[column][row]`; 0 where observed.
pub(in crate::task) fn gap_lengths(values: &[Vec<f64>]) -> Vec<Vec<usize>> {
    let of = |column: &Vec<f64>| {
        let holes: Vec<bool> = column.iter().map(|v| v.is_nan()).collect();
        let mut lengths = vec![0; column.len()];
        metrics::gaps(&holes).into_iter().for_each(|gap| lengths[gap.clone()].fill(gap.len()));
        lengths
    };
    values.iter().map(of).collect()
}

/// The choice and the bands.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    /// Per bin of gap lengths.
    pub(super) chosen: Vec<Candidate>,
    /// Bands of what was chosen, per bin.
    pub(super) bands: Vec<Bands>,
    /// Mean absolute error of each column's hidden cells, in deviations.
    pub(super) errors: Vec<Option<f64>>,
}

impl Verdict {
    /// One candidate everywhere, believed as it is.
    pub(super) fn plain(candidate: Candidate, columns: usize) -> Self {
        let bins = BINS.len();
        Self { chosen: vec![candidate; bins], bands: vec![Bands::plain(bins); bins], errors: vec![None; columns] }
    }
}

/// Judges candidates by the hidden cells of a trial. `truth` are the frames' values in deviations, `centres` replaces the anchor's estimates
/// where one simple method was asked for, `holes` counts the table's holes by bin.
pub(super) fn judge(
    trial: &Trial,
    truth: &[Vec<Vec<f64>>],
    centres: Option<&[Vec<Vec<f64>>]>,
    draws: &Draws,
    asked: Method,
    holes: [usize; BINS.len()],
) -> Option<(Verdict, Backtest)> {
    let columns = truth.first()?.len();
    let candidates: Vec<Candidate> = match asked {
        Method::Auto => vec![Candidate::Linear, Candidate::Seasonal, Candidate::Anchor, Candidate::Diffusion],
        Method::Diffusion => vec![Candidate::Linear, Candidate::Anchor, Candidate::Diffusion],
        _ => vec![Candidate::Linear, Candidate::Anchor],
    };
    let drawn = |n: usize, column: usize, row: usize| draws.of(n, column, row);
    let any_drawn = trial.hidden.iter().enumerate().any(|(n, mask)| {
        mask.iter().enumerate().any(|(c, rows)| rows.iter().enumerate().any(|(row, &hidden)| hidden && drawn(n, c, row).is_some()))
    });
    let candidates: Vec<Candidate> = candidates.into_iter().filter(|&c| c != Candidate::Diffusion || any_drawn).collect();
    let mut cells = Vec::new();
    for (n, mask) in trial.hidden.iter().enumerate() {
        let lengths = gap_lengths(&trial.masked[n].values);
        for (column, rows) in mask.iter().enumerate() {
            for row in (0..rows.len()).filter(|&row| rows[row]) {
                let residuals = drawn(n, column, row);
                let (mean, scale) = (trial.anchored[n].mean[column][row], trial.anchored[n].scale[column][row]);
                let predict = |candidate: &Candidate| match candidate {
                    Candidate::Linear => Prediction::Normal { centre: trial.lines[n][0][column][row], scale },
                    Candidate::Seasonal => Prediction::Normal { centre: trial.lines[n][1][column][row], scale },
                    Candidate::Anchor => Prediction::Normal { centre: centres.map_or(mean, |c| c[n][column][row]), scale },
                    Candidate::Diffusion => match residuals {
                        Some(residuals) => Prediction::drawn(mean, scale, residuals),
                        None => Prediction::Normal { centre: mean, scale },
                    },
                };
                let predictions = candidates.iter().map(predict).collect();
                let bin = bin_of(lengths[column][row]);
                cells.push(Tried {
                    column,
                    bin,
                    half: half_of(n, row),
                    truth: truth[n][column][row],
                    drawn: !any_drawn || residuals.is_some(),
                    predictions,
                });
            }
        }
    }
    if cells.len() < FEW {
        return None;
    }
    let independent = independent(trial);
    let scored: Vec<Scored> = (0..candidates.len()).map(|at| Scored::new(&cells, at, candidates[at], &independent)).collect();
    let overall = choose(&candidates, &scored, asked, |n| cells[n].drawn);
    let chosen: Vec<usize> = (0..BINS.len())
        .map(|bin| {
            let keep = |n: usize| cells[n].bin == bin && cells[n].drawn;
            if (0..cells.len()).filter(|&n| keep(n)).count() < FEW { overall } else { choose(&candidates, &scored, asked, keep) }
        })
        .collect();
    let all = |at: usize| {
        let told = cells.iter().filter(|cell| cell.tells(candidates[at]));
        Bands::fit(told.map(|cell| (cell.bin, &cell.predictions[at], cell.truth)), &independent)
    };
    let bands: Vec<Bands> = chosen.iter().map(|&at| all(at)).collect();
    let mut errors = vec![(0.0, 0usize); columns];
    for (n, cell) in cells.iter().enumerate() {
        errors[cell.column].0 += scored[chosen[cell.bin]].cells[n].error;
        errors[cell.column].1 += 1;
    }
    let methods = |keep: &dyn Fn(usize) -> bool| -> Vec<MethodScores> {
        // All methods on the same cells.
        let keep = |n: usize| keep(n) && cells[n].drawn;
        let of = |(candidate, scored): (&Candidate, &Scored)| MethodScores {
            method: candidate.name(asked).to_owned(),
            mae: scored.mean(&keep, |s| s.error),
            crps: matches!(candidate, Candidate::Anchor | Candidate::Diffusion).then(|| scored.mean(&keep, |s| s.crps)),
        };
        candidates.iter().zip(&scored).map(of).collect()
    };
    let used = |keep: &dyn Fn(usize) -> bool| {
        let picked = |value: fn(&Score) -> f64| {
            let (sum, count) = (0..cells.len())
                .filter(|&n| keep(n) && cells[n].tells(candidates[chosen[cells[n].bin]]))
                .fold((0.0, 0.0), |(sum, count), n| (sum + value(&scored[chosen[cells[n].bin]].cells[n]), count + 1.0));
            sum / f64::max(count, 1.0)
        };
        BandScores {
            mae: picked(|s| s.error),
            crps: picked(|s| s.crps),
            coverage_50_raw: picked(|s| s.inside[0]),
            coverage_50: picked(|s| s.inside[1]),
            coverage_90_raw: picked(|s| s.inside[2]),
            coverage_90: picked(|s| s.inside[3]),
        }
    };
    let bins = (0..BINS.len()).filter(|&bin| cells.iter().any(|cell| cell.bin == bin));
    let bins = bins
        .map(|bin| {
            let keep = |n: usize| cells[n].bin == bin;
            BinReport {
                rows: BIN_LABELS[bin].to_owned(),
                holes: holes[bin],
                held_out: cells.iter().filter(|cell| cell.bin == bin).count(),
                methods: methods(&keep),
                chosen: candidates[chosen[bin]].name(asked).to_owned(),
                used: used(&keep),
            }
        })
        .collect();
    let report = Backtest { held_out: cells.len(), methods: methods(&|_| true), used: used(&|_| true), bins };
    let chosen = chosen.into_iter().map(|at| candidates[at]).collect();
    let errors = errors.into_iter().map(|(sum, count)| (count > 0).then(|| sum / count as f64)).collect();
    Some((Verdict { chosen, bands, errors }, report))
}

/// Share of the hidden cells in gaps of each bin of lengths that count as independent, and last that of all: cells of one gap err together,
/// those far apart in it less so. Columns that are hidden in the same rows have one gap.
fn independent(trial: &Trial) -> [f64; BINS.len() + 1] {
    let (mut cells, mut gaps) = ([0.0; BINS.len()], vec![BTreeSet::new(); BINS.len()]);
    for (n, mask) in trial.hidden.iter().enumerate() {
        let lengths = gap_lengths(&trial.masked[n].values);
        for (lengths, hidden) in lengths.iter().zip(mask) {
            for gap in metrics::gaps(hidden) {
                let bin = bin_of(lengths[gap.start]);
                cells[bin] += gap.len() as f64;
                gaps[bin].insert((n, gap.start, gap.len()));
            }
        }
    }
    let counts: Vec<f64> = cells.iter().zip(&gaps).map(|(cells, gaps)| f64::min(PER_GAP * gaps.len() as f64, *cells)).collect();
    let share = |count: f64, cells: f64| if cells > 0.0 { count / cells } else { 1.0 };
    let mut shares = [share(counts.iter().sum(), cells.iter().sum()); BINS.len() + 1];
    (0..BINS.len()).for_each(|bin| shares[bin] = share(counts[bin], cells[bin]));
    shares
}

/// Scores of one candidate at one cell, with bands fitted to the other half.
#[derive(Clone, Copy, Debug)]
struct Score {
    error: f64,
    crps: f64,
    /// Inside the 50 % band before and after calibration, inside the 90 % band before and after.
    inside: [f64; 4],
}

struct Scored {
    cells: Vec<Score>,
}

impl Scored {
    fn new(cells: &[Tried], at: usize, candidate: Candidate, independent: &[f64; BINS.len() + 1]) -> Self {
        let other = |half: usize| {
            let part: Vec<&Tried> = cells.iter().filter(|cell| cell.half != half && cell.tells(candidate)).collect();
            Bands::fit(part.iter().map(|cell| (cell.bin, &cell.predictions[at], cell.truth)), independent)
        };
        let bands = [other(0), other(1)];
        let plain = Bands::plain(BINS.len());
        let score = |cell: &Tried| {
            let (prediction, bands) = (&cell.predictions[at], &bands[cell.half]);
            let crps =
                LEVELS.iter().map(|&level| 2.0 * pinball(cell.truth, level, bands.quantile(cell.bin, prediction, level))).sum::<f64>();
            let inside = |bands: &Bands, low: f64| {
                let [low, high] = [low, 1.0 - low].map(|level| bands.quantile(cell.bin, prediction, level));
                f64::from(u8::from((low..=high).contains(&cell.truth)))
            };
            Score {
                error: (cell.truth - prediction.median()).abs(),
                crps: crps / LEVELS.len() as f64,
                inside: [inside(&plain, 0.25), inside(bands, 0.25), inside(&plain, 0.05), inside(bands, 0.05)],
            }
        };
        Self { cells: cells.iter().map(score).collect() }
    }

    fn mean(&self, keep: &dyn Fn(usize) -> bool, value: fn(&Score) -> f64) -> f64 {
        let (sum, count) =
            (0..self.cells.len()).filter(|&n| keep(n)).fold((0.0, 0.0), |(sum, count), n| (sum + value(&self.cells[n]), count + 1.0));
        sum / f64::max(count, 1.0)
    }
}

/// Number of the candidate that fills the kept cells: what was asked for, or the anchor unless another one is better by more than chance.
fn choose(candidates: &[Candidate], scored: &[Scored], asked: Method, keep: impl Fn(usize) -> bool) -> usize {
    let anchor = candidates.iter().position(|&c| c == Candidate::Anchor).expect("the anchor is always a candidate");
    if asked != Method::Auto {
        return candidates.iter().position(|&c| asked == Method::Diffusion && c == Candidate::Diffusion).unwrap_or(anchor);
    }
    let mut best = anchor;
    for at in 0..candidates.len() {
        let better = |value: fn(&Score) -> f64, by: f64| scored[at].mean(&keep, value) < (1.0 - by) * scored[best].mean(&keep, value);
        if at != best && better(|s| s.crps, BETTER) && better(|s| s.error, -BETTER) {
            best = at;
        }
    }
    best
}
