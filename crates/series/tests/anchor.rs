//! The anchor on whole tables: better than lines, the same in any order of columns, honest about its errors.

use langevin_core::Philox;
use langevin_series::{
    Frame,
    anchor::{Anchor, Settings, Simple},
    masks::Pattern,
    synthetic,
};

fn settings() -> Settings {
    Settings { periods: vec![24], held_out: 0.1, seed: 3 }
}

/// A seasonal table of three columns that know of one another, and a fourth that is noise.
fn plant(rows: usize) -> Frame {
    let noise = |k: usize| ((k.wrapping_mul(2_654_435_761) >> 7) % 10_007) as f64 / 10_007.0 - 0.5;
    let mut wander = 0.0;
    let drive: Vec<f64> = (0..rows)
        .map(|t| {
            wander = 0.95 * wander + noise(t);
            2.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin() + wander
        })
        .collect();
    let column = |gain: f64, lag: usize, own: f64, salt: usize| {
        (0..rows).map(|t| gain * drive[t.saturating_sub(lag)] + own * noise(t + salt) + 10.0).collect::<Vec<_>>()
    };
    Frame {
        names: ["flow", "heat", "load", "noise"].map(str::to_owned).to_vec().into(),
        positions: (0..rows).map(|t| t as f64).collect(),
        values: vec![
            column(1.0, 0, 0.2, 1_000_000),
            column(-2.0, 1, 0.3, 2_000_000),
            column(0.5, 0, 0.1, 3_000_000),
            column(0.0, 0, 1.0, 4_000_000),
        ],
    }
}

fn punched(frame: &Frame, pattern: Pattern) -> Frame {
    let mask = pattern.mask(frame.rows(), frame.columns(), Philox::new(5), 0, 0);
    let values =
        frame.values.iter().zip(&mask).map(|(v, m)| v.iter().zip(m).map(|(&v, &h)| if h { f64::NAN } else { v }).collect()).collect();
    Frame { values, ..frame.clone() }
}

/// Mean absolute error at holes, in deviations.
fn error(anchor: &Anchor, truth: &Frame, masked: &Frame, estimate: &[Vec<f64>]) -> f64 {
    let scaled = anchor.scaler().forward(truth);
    let holes = (0..truth.columns()).flat_map(|c| (0..truth.rows()).map(move |r| (c, r))).filter(|&(c, r)| masked.values[c][r].is_nan());
    let errors: Vec<f64> = holes.map(|(c, r)| (estimate[c][r] - scaled[c][r]).abs()).collect();
    errors.iter().sum::<f64>() / errors.len() as f64
}

#[test]
fn it_beats_every_simple_method_on_a_plant() {
    let truth = plant(2400);
    for pattern in [
        Pattern::Points { share: 0.2 },
        Pattern::Points { share: 0.8 },
        Pattern::Runs { share: 0.3, length: 30 },
        Pattern::Blackouts { share: 0.1, length: 24 },
    ] {
        let masked = punched(&truth, pattern);
        let (anchor, trial) = Anchor::fit(std::slice::from_ref(&masked), &settings()).expect("fits");
        assert_eq!(anchor.period(), Some(24));
        let anchored = anchor.apply(&masked);
        let own = error(&anchor, &truth, &masked, &anchored.mean);
        for simple in [Simple::Linear, Simple::Seasonal, Simple::Locf, Simple::Mean, Simple::Kalman] {
            let other = error(&anchor, &truth, &masked, &anchor.simple(&masked, simple));
            assert!(own < 0.97 * other, "{pattern:?}: {own} against {other} of {simple:?}");
        }
        assert!(trial.hidden.iter().flatten().flatten().filter(|&&h| h).count() > 100);
        // Errors are as large as they are said to be.
        let scaled = anchor.scaler().forward(&truth);
        let mut ratios = Vec::new();
        for (c, column) in masked.values.iter().enumerate() {
            for (r, value) in column.iter().enumerate() {
                assert_eq!(value.is_nan(), anchored.scale[c][r] > 0.0);
                if value.is_nan() {
                    ratios.push((anchored.mean[c][r] - scaled[c][r]).abs() / anchored.scale[c][r]);
                } else {
                    assert_eq!(anchored.mean[c][r], anchor.scaler().column(c).forward(*value));
                }
            }
        }
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        assert!((0.55..1.05).contains(&mean), "{pattern:?}: mean ratio {mean}");
    }
}

/// Short series whose levels differ much more than their rows do.
fn panel(sites: usize, rows: usize) -> Vec<Frame> {
    let noise = |k: usize| ((k.wrapping_mul(2_654_435_761) >> 7) % 10_007) as f64 / 10_007.0 - 0.5;
    let series = |site: usize| {
        let level = 20.0 * noise(site + 77);
        let column = |salt: usize| (0..rows).map(|t| level + noise(salt + site * rows + t)).collect::<Vec<_>>();
        Frame {
            names: ["x", "y"].map(str::to_owned).to_vec().into(),
            positions: (0..rows).map(|t| t as f64).collect(),
            values: vec![column(1_000_000), column(2_000_000)],
        }
    };
    (0..sites).map(series).collect()
}

#[test]
fn series_of_a_panel_keep_their_levels_and_tell_how_wrong_they_are() {
    let truth = panel(60, 40);
    let masked: Vec<Frame> = (truth.iter().zip(0..))
        .map(|(frame, n)| {
            let mask = Pattern::Blackouts { share: 0.3, length: 6 }.mask(40, 2, Philox::new(n), 0, 0);
            let hide = |(v, m): (&Vec<f64>, &Vec<bool>)| v.iter().zip(m).map(|(&v, &h)| if h { f64::NAN } else { v }).collect();
            Frame { values: frame.values.iter().zip(&mask).map(hide).collect(), ..frame.clone() }
        })
        .collect();
    let (anchor, trial) = Anchor::fit(&masked, &Settings { periods: Vec::new(), ..settings() }).expect("fits");
    let (mut own, mut lines, mut ratios, mut count) = (0.0, 0.0, 0.0, 0.0);
    for (truth, masked) in truth.iter().zip(&masked) {
        let (anchored, line) = (anchor.apply(masked), anchor.simple(masked, Simple::Linear));
        let scaled = anchor.scaler().forward(truth);
        for (c, r) in (0..2).flat_map(|c| (0..40).map(move |r| (c, r))).filter(|&(c, r)| masked.values[c][r].is_nan()) {
            let error = (anchored.mean[c][r] - scaled[c][r]).abs();
            own += error;
            lines += (line[c][r] - scaled[c][r]).abs();
            ratios += error / anchored.scale[c][r];
            count += 1.0;
        }
    }
    // Rows of a series are white noise around its level: its mean is the best there is, and lines are worse by about a fifth.
    assert!(own < 0.92 * lines, "{own} against {lines}");
    assert!((0.65..1.0).contains(&(ratios / count)), "mean ratio {}", ratios / count);
    // The trial was as right about itself: both halves learned from the other one.
    let (mut sum, mut hidden) = (0.0, 0.0);
    for (n, frame) in masked.iter().enumerate() {
        let scaled = anchor.scaler().forward(frame);
        for (c, r) in (0..2).flat_map(|c| (0..40).map(move |r| (c, r))).filter(|&(c, r)| trial.hidden[n][c][r]) {
            sum += (trial.anchored[n].mean[c][r] - scaled[c][r]).abs() / trial.anchored[n].scale[c][r];
            hidden += 1.0;
        }
    }
    assert!((0.6..1.05).contains(&(sum / hidden)), "mean ratio of the trial {}", sum / hidden);
}

#[test]
fn the_order_of_columns_changes_nothing() {
    let masked = punched(&plant(700), Pattern::Points { share: 0.3 });
    let order = [2, 0, 3, 1];
    let turned = Frame {
        names: order.map(|c: usize| masked.names[c].clone()).to_vec().into(),
        positions: masked.positions.clone(),
        values: order.map(|c| masked.values[c].clone()).to_vec(),
    };
    let fill = |frame: &Frame| Anchor::fit(std::slice::from_ref(frame), &settings()).expect("fits").0.apply(frame);
    let (one, other) = (fill(&masked), fill(&turned));
    for (at, &column) in order.iter().enumerate() {
        let same = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same(&one.mean[column], &other.mean[at]) && same(&one.scale[column], &other.scale[at]), "column {column}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let masked = punched(&plant(1500), Pattern::Runs { share: 0.3, length: 12 });
    let fill = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
        pool.install(|| Anchor::fit(std::slice::from_ref(&masked), &settings()).expect("fits").0.apply(&masked))
    };
    assert_eq!(fill(1), fill(3));
}

#[test]
fn odd_tables_are_filled_with_numbers() {
    let nan = f64::NAN;
    let table = |values: Vec<Vec<f64>>| Frame {
        names: (0..values.len()).map(|k| format!("c{k}")).collect(),
        positions: (0..values[0].len()).map(|t| t as f64).collect(),
        values,
    };
    let tables = [
        table(vec![vec![1.0, nan]]),
        table(vec![vec![nan, nan, 3.0]]),
        table(vec![vec![1.0; 40], [vec![nan; 39], vec![2.0]].concat()]),
        table(vec![vec![5.0, nan, 5.0, nan, 5.0, 5.0], vec![nan; 6]]),
        table(vec![vec![1e300, nan, -1e300, 4.0]]),
        synthetic::table(60, 1, 4),
    ];
    for frame in tables {
        let (anchor, _) = Anchor::fit(std::slice::from_ref(&frame), &settings()).expect("fits");
        let anchored = anchor.apply(&frame);
        for (c, column) in anchored.mean.iter().enumerate() {
            for (r, value) in column.iter().enumerate() {
                assert!(value.is_finite() && anchored.scale[c][r].is_finite(), "{frame:?}");
            }
        }
    }
    assert!(Anchor::fit(&[table(vec![vec![nan; 5]])], &settings()).is_err());
    assert!(Anchor::fit(&[table(vec![vec![1.0, nan]])], &Settings { held_out: 0.9, ..settings() }).is_err());
}

#[test]
fn few_long_outages_are_tried_on_more_of_the_table() {
    let truth = plant(2000);
    let tried = |share: f64, length: usize| {
        let masked = punched(&truth, Pattern::Blackouts { share, length });
        let (_, trial) = Anchor::fit(std::slice::from_ref(&masked), &settings()).unwrap();
        let hidden = &trial.hidden[0];
        let outages = hidden[0].chunk_by(|a, b| a == b).filter(|part| part[0]).count();
        let known = masked.values.iter().flatten().filter(|v| !v.is_nan()).count() as f64;
        (outages, hidden.iter().flatten().filter(|&&h| h).count() as f64 / known)
    };
    // A tenth of the table would be eight outages; a quarter is the most that is hidden.
    let (outages, share) = tried(0.1, 24);
    assert!(outages >= 16 && share < 0.27, "{outages} {share}");
    // Of short gaps a tenth is enough; there cells are as many as were wanted before.
    let (outages, share) = tried(0.1, 2);
    assert!(outages > 40 && share < 0.26, "{outages} {share}");
}
