//! Every hole of every table is filled with a number, whatever the table looks like.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use langevin_series::{
    Frame,
    task::{ImputeSettings, Imputer, Method, PointOf},
};
use proptest::prelude::*;

const METHODS: [Method; 6] = [Method::Ridge, Method::Seasonal, Method::Linear, Method::Locf, Method::Mean, Method::Kalman];
const LEVELS: [f64; 3] = [0.05, 0.5, 0.95];

fn settings(method: Method, columns: usize, backtest: f64, periods: Vec<usize>) -> ImputeSettings {
    ImputeSettings {
        method,
        samples: 4,
        sampling: None,
        quantiles: LEVELS.to_vec(),
        point: PointOf::Median,
        longest: None,
        limits: vec![(None, None); columns],
        backtest,
        periods,
        panel: true,
        seed: 1,
    }
}

/// Values that tables have: numbers of any usual size, constants, ties, holes.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => Just(f64::NAN),
        3 => -10.0..10.0_f64,
        1 => Just(0.0),
        1 => Just(7.0),
        1 => (-1.0..1.0_f64).prop_map(|x| x * 1e12),
        1 => (-1.0..1.0_f64).prop_map(|x| x * 1e-12),
    ]
}

/// Steps between rows, how each column is, and its values.
type Parts = (Vec<f64>, Vec<(u8, f64)>, Vec<Vec<f64>>);

/// Series with the same columns, at equal steps or not, with at least one number in every column.
fn frames() -> impl Strategy<Value = Vec<Frame>> {
    (1..5_usize, any::<bool>()).prop_flat_map(|(columns, regular)| {
        let series = (1..60_usize).prop_flat_map(move |rows| {
            let steps = prop::collection::vec(if regular { (1.0..=1.0_f64).boxed() } else { (0.01..9.0_f64).boxed() }, rows);
            let kinds = prop::collection::vec((0..4_u8, value()), columns);
            (steps, kinds, prop::collection::vec(prop::collection::vec(value(), rows), columns))
        });
        prop::collection::vec(series, 1..4).prop_map(move |series| {
            let names: Arc<[String]> = (0..columns).map(|k| format!("c{}", (k * 3) % 5)).collect();
            let frame = |(steps, kinds, mut values): Parts| {
                let positions = steps.iter().scan(-1.0, |at, step| {
                    *at += step;
                    Some(*at)
                });
                for (column, (kind, constant)) in values.iter_mut().zip(kinds) {
                    match kind {
                        // Nothing observed, or one value throughout.
                        0 => column.fill(f64::NAN),
                        1 => column.iter_mut().filter(|v| !v.is_nan()).for_each(|v| *v = constant),
                        _ => {}
                    }
                }
                Frame { names: names.clone(), positions: positions.collect(), values }
            };
            let mut frames: Vec<Frame> = series.into_iter().map(frame).collect();
            for column in 0..columns {
                if frames.iter().all(|f| f.values[column].iter().all(|v| v.is_nan())) {
                    frames[0].values[column][0] = 3.5;
                }
            }
            frames
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_hole_is_filled_with_a_number(frames in frames(), backtest in prop::bool::ANY, period in 0..12_usize, paths: bool) {
        let columns = frames[0].columns();
        for method in METHODS {
            let periods = if period > 1 { vec![period] } else { Vec::new() };
            let settings = settings(method, columns, if backtest { 0.1 } else { 0.0 }, periods);
            let (imputer, report) = Imputer::fit(&frames, None, settings, &|_| None).unwrap().unwrap();
            prop_assert!(report.is_none() || backtest);
            for (series, frame) in frames.iter().enumerate() {
                let filled = imputer.fill(frame, 0..frame.rows(), series, paths, &|_| None).unwrap().unwrap();
                for column in 0..columns {
                    for row in 0..frame.rows() {
                        let point = filled.point[column][row];
                        let quantiles: Vec<f64> = (0..LEVELS.len()).map(|l| filled.quantiles[l][column][row]).collect();
                        let hole = frame.values[column][row].is_nan();
                        prop_assert_eq!(hole, point.is_finite(), "{:?} column {} row {}: {}", method, column, row, point);
                        prop_assert!(quantiles.iter().all(|q| q.is_finite() == hole), "{:?} {:?}", method, quantiles);
                        prop_assert!(!hole || quantiles.windows(2).all(|w| w[0] <= w[1]), "{:?} {:?}", method, quantiles);
                        let drawn = &filled.paths[column][row];
                        prop_assert!(drawn.len() == if hole && paths { 4 } else { 0 } && drawn.iter().all(|v| v.is_finite()), "{:?}", drawn);
                    }
                }
            }
        }
    }

    #[test]
    fn stretches_are_filled_as_the_whole_is_asked_for(frames in frames(), cut in any::<prop::sample::Index>()) {
        let frame = &frames[0];
        let settings = settings(Method::Ridge, frame.columns(), 0.1, Vec::new());
        let (imputer, _) = Imputer::fit(&frames, None, settings, &|_| None).unwrap().unwrap();
        let fill = |rows: std::ops::Range<usize>| imputer.fill(frame, rows, 0, false, &|_| None).unwrap().unwrap().point;
        let cut = cut.index(frame.rows() + 1);
        let (whole, first, second) = (fill(0..frame.rows()), fill(0..cut), fill(cut..frame.rows()));
        for column in 0..frame.columns() {
            let joined: Vec<u64> = first[column].iter().chain(&second[column]).map(|v| v.to_bits()).collect();
            prop_assert_eq!(joined, whole[column].iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        }
    }
}

/// Columns of values of all sizes, some nearly constant, in one table.
fn wild() -> impl Strategy<Value = Frame> {
    (1..5_usize, 20..160_usize).prop_flat_map(|(columns, rows)| {
        let column = (0..4_u8, prop::collection::vec((value(), 0..20_u8), rows));
        prop::collection::vec(column, columns).prop_map(move |columns| {
            let of = |(kind, cells): (u8, Vec<(f64, u8)>)| -> Vec<f64> {
                let rarely = |(v, k): (f64, u8)| if kind == 0 && k > 0 && !v.is_nan() { 3.0 } else { v };
                let mut values: Vec<f64> = cells.into_iter().map(rarely).collect();
                if values.iter().all(|v| v.is_nan()) {
                    values[0] = 3.5;
                }
                values
            };
            let names: Arc<[String]> = (0..columns.len()).map(|k| format!("c{k}")).collect();
            Frame { names, positions: (0..rows).map(|row| row as f64).collect(), values: columns.into_iter().map(of).collect() }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Regressions, kriging and bands of bent columns may say anything far from their data; nothing of that is written.
    #[test]
    fn nothing_is_filled_in_far_from_what_was_observed(frame in wild(), backtest in prop::bool::weighted(0.8)) {
        let settings = settings(Method::Ridge, frame.columns(), if backtest { 0.1 } else { 0.0 }, Vec::new());
        let (imputer, _) = Imputer::fit(std::slice::from_ref(&frame), None, settings, &|_| None).unwrap().unwrap();
        let filled = imputer.fill(&frame, 0..frame.rows(), 0, false, &|_| None).unwrap().unwrap();
        for (column, values) in frame.values.iter().enumerate() {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let more = 10.001 * (high - low) + 1e-9 * high.abs();
            for row in (0..frame.rows()).filter(|&row| values[row].is_nan()) {
                let all = [filled.point[column][row], filled.quantiles[0][column][row], filled.quantiles[2][column][row]];
                prop_assert!(all.iter().all(|v| (low - more..=high + more).contains(v)), "column {} row {}: {:?} of {} to {}", column, row, all, low, high);
            }
        }
    }
}

#[test]
fn a_table_without_a_number_is_refused() {
    let frame = Frame { names: vec!["x".to_owned()].into(), positions: vec![0.0, 1.0], values: vec![vec![f64::NAN; 2]] };
    let refused = Imputer::fit(&[frame], None, settings(Method::Ridge, 1, 0.1, Vec::new()), &|_| None);
    assert!(refused.unwrap_err().to_string().contains("no observed number"));
}

#[test]
fn diffusion_needs_a_network() {
    let frame = Frame { names: vec!["x".to_owned()].into(), positions: vec![0.0, 1.0], values: vec![vec![1.0, f64::NAN]] };
    let refused = Imputer::fit(&[frame], None, settings(Method::Diffusion, 1, 0.1, Vec::new()), &|_| None);
    assert!(refused.unwrap_err().to_string().contains("checkpoint"));
}

#[test]
fn sites_of_very_different_levels_stay_at_their_own() {
    let noise = |k: usize| ((k.wrapping_mul(2_654_435_761) >> 7) % 10_007) as f64 / 10_007.0 - 0.5;
    let sites: [(f64, f64); 3] = [(10.0, 1.0), (5000.0, 1.0), (50.0, 200.0)];
    let truth = |site: usize, t: usize| {
        let (level, spread) = sites[site];
        spread.mul_add(2.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin() + 0.3 * noise(t + 9000 * site), level)
    };
    let frame = |site: usize| Frame {
        names: vec!["x".to_owned()].into(),
        positions: (0..600).map(f64::from).collect(),
        values: vec![(0..600).map(|t| if (t + 7 * site) % 60 < 12 { f64::NAN } else { truth(site, t) }).collect()],
    };
    let frames = [frame(0), frame(1), frame(2)];
    let (imputer, _) = Imputer::fit(&frames, None, settings(Method::Ridge, 1, 0.1, vec![24]), &|_| None).unwrap().unwrap();
    for (site, frame) in frames.iter().enumerate() {
        let filled = imputer.fill(frame, 0..600, site, false, &|_| None).unwrap().unwrap();
        let holes: Vec<usize> = (0..600).filter(|&row| frame.values[0][row].is_nan()).collect();
        let error = holes.iter().map(|&row| (filled.point[0][row] - truth(site, row)).abs()).sum::<f64>() / holes.len() as f64;
        let inside = |row: &&usize| (filled.quantiles[0][0][**row]..=filled.quantiles[2][0][**row]).contains(&truth(site, **row));
        let covered = holes.iter().filter(inside).count() as f64 / holes.len() as f64;
        assert!(error < 0.3 * sites[site].1 && covered > 0.8, "site {site}: {error} {covered}");
    }
}
