use langevin_core::drive::RePaint;

use super::*;
use crate::{data::stand_in::waves, task::csdi::sample::tests::model};

fn settings() -> ImputeSettings {
    ImputeSettings {
        method: crate::task::Method::Diffusion,
        samples: 5,
        sampling: None,
        quantiles: vec![0.05, 0.5, 0.9],
        point: PointOf::Median,
        longest: None,
        limits: vec![(None, None); 3],
        backtest: 0.0,
        periods: Vec::new(),
        panel: false,
        seed: 3,
    }
}

/// Thirty rows of the model's columns, in another order and with one between that it does not know.
fn frame() -> Frame {
    let mut frame = waves(30, 3, 5);
    frame.names = ["c1", "x", "c0"].map(str::to_owned).into();
    frame.positions.iter_mut().for_each(|position| *position += 100.0);
    for (column, rows) in [(0, 13..16), (1, 2..3), (2, 5..6), (2, 29..30)] {
        frame.values[column][rows].fill(f64::NAN);
    }
    frame
}

fn imputer<'m>(model: &'m CsdiModel, names: &[String], settings: ImputeSettings) -> CsdiImputer<'m> {
    let method = match model.config.unconditional {
        true => Method::Repaint(RePaint { jump_length: 4, jump_samples: 2, eta: 1.0 }),
        false => Method::Solver(model.published()),
    };
    CsdiImputer::new(model, method, names, settings).unwrap()
}

fn ran(job: &CsdiJob<'_>) -> Option<Vec<CsdiDraws>> {
    let one = |k: u32| match job.sample(k..k + 1, &|| ControlFlow::Continue(())) {
        ControlFlow::Continue(mut drawn) => drawn.pop(),
        ControlFlow::Break(()) => None,
    };
    (0..job.len() as u32).map(one).collect()
}

fn filled(model: &CsdiModel, frame: &Frame, rows: Range<usize>, settings: ImputeSettings) -> Filled {
    imputer(model, &frame.names, settings).fill(frame, rows, 0, true, &ran).unwrap()
}

#[test]
fn windows_hold_the_wanted_holes() {
    let (model, frame) = (model(false), frame());
    let windows = |frame: &Frame, rows: Range<usize>, longest: Option<usize>| {
        let imputer = imputer(&model, &frame.names, ImputeSettings { longest, ..settings() });
        CsdiJob::new(&imputer, frame, &rows, 0).windows
    };
    assert_eq!(windows(&frame, 0..30, None), [(0, 0..12), (12, 12..24), (18, 24..30)]);
    // The gap of three rows is not wanted.
    assert_eq!(windows(&frame, 0..30, Some(2)), [(0, 0..12), (18, 24..30)]);
    assert_eq!(windows(&frame, 6..29, None), [(6, 6..18)]);
    let mut short = frame.clone();
    short.positions.truncate(7);
    short.values.iter_mut().for_each(|column| column.truncate(7));
    assert_eq!(windows(&short, 0..7, None), [(0, 0..7)]);
    assert_eq!(windows(&short, 0..5, None), []);
}

#[test]
fn holes_of_known_columns_are_filled_from_the_samples_of_their_window() {
    for unconditional in [false, true] {
        let (model, frame) = (model(unconditional), frame());
        // More samples than the network draws together.
        let wanted = ImputeSettings { samples: 35, ..settings() };
        let filled = filled(&model, &frame, 0..30, wanted.clone());
        for column in 0..3 {
            for row in 0..30 {
                let hole = column != 1 && frame.values[column][row].is_nan();
                assert_eq!(filled.point[column][row].is_finite(), hole, "{column}, {row}");
                let mut samples = filled.paths[column][row].clone();
                assert_eq!(samples.len(), if hole { 35 } else { 0 });
                samples.sort_by(f64::total_cmp);
                samples.dedup();
                assert!(!hole || samples.len() == 35);
                for (level, values) in [0.05, 0.5, 0.9].into_iter().zip(&filled.quantiles) {
                    assert!(if hole { values[column][row] == quantile(&samples, level) } else { values[column][row].is_nan() });
                }
                assert!(!hole || filled.point[column][row] == filled.quantiles[1][column][row]);
            }
        }
        // By the definition: the last twelve rows in the model's order, with the noise of their place.
        let imputer = imputer(&model, &frame.names, wanted);
        let job = CsdiJob::new(&imputer, &frame, &(0..30), 0);
        let window: Vec<Vec<f64>> = [2, 0].map(|column: usize| frame.values[column][18..].to_vec()).into();
        let noise = job.noise(18).rows_from(33);
        let ControlFlow::Continue(one) = model.fill(&window, 1, &imputer.method, &noise, &|| ControlFlow::Continue(())).unwrap() else {
            panic!("nobody stopped it")
        };
        let (path, one) = (filled.paths[2][29][33], one[0][0][11]);
        assert!((path - one).abs() < 1e-4 * one.abs().max(1.0), "{path} not {one}");
    }
}

#[test]
fn neither_the_order_of_columns_nor_the_cut_matters_but_the_series_does() {
    let (model, frame) = (model(false), frame());
    let whole = filled(&model, &frame, 0..30, settings());
    let order = [2, 0];
    let turned = Frame {
        names: order.map(|c: usize| frame.names[c].clone()).into(),
        positions: frame.positions.clone(),
        values: order.map(|c| frame.values[c].clone()).into(),
    };
    let of_turned = filled(&model, &turned, 0..30, settings());
    let parts = [filled(&model, &frame, 0..12, settings()), filled(&model, &frame, 12..30, settings())];
    for (to, from) in order.into_iter().enumerate() {
        assert_eq!(of_turned.paths[to], whole.paths[from]);
        assert_eq!([&parts[0].paths[from][..], &parts[1].paths[from]].concat(), whole.paths[from]);
    }
    let imputer = imputer(&model, &frame.names, settings());
    let second = imputer.fill(&frame, 0..30, 1, true, &ran).unwrap();
    assert_ne!(second.paths[2][5], whole.paths[2][5]);
    assert!(imputer.fill(&frame, 0..30, 1, true, &|_| None).is_none());
}

#[test]
fn limits_and_the_mean_are_honoured() {
    let (model, frame) = (model(false), frame());
    let free = filled(&model, &frame, 0..30, ImputeSettings { point: PointOf::Mean, ..settings() });
    let (mean, paths) = (free.point[0][14], &free.paths[0][14]);
    approx::assert_relative_eq!(mean, paths.iter().sum::<f64>() / 5.0, epsilon = 1e-9);
    let limits = vec![(Some(mean + 100.0), Some(mean + 101.0)), (None, None), (None, None)];
    let bound = filled(&model, &frame, 0..30, ImputeSettings { limits, ..settings() });
    let inside = |x: &f64| (mean + 100.0..=mean + 101.0).contains(x);
    assert!(bound.paths[0][14].iter().all(inside) && inside(&bound.point[0][14]) && inside(&bound.quantiles[0][0][14]));
}

#[test]
fn tables_and_methods_that_do_not_fit_are_refused() {
    let (given, without) = (model(false), model(true));
    let refused = |model: &CsdiModel, method: Method, names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        CsdiImputer::new(model, method, &names, settings()).unwrap_err().to_string()
    };
    let error = refused(&given, Method::Solver(given.published()), &["x", "y"]);
    assert!(error.contains("has columns x, y, and this CSDI knows only those it was trained on: c0, c1."), "{error}");
    assert!(refused(&given, Method::Repaint(RePaint::default()), &["c0", "c1"]).contains("leave --repaint away"));
    assert!(refused(&without, Method::Solver(without.published()), &["c0", "c1"]).contains("give --repaint"));
}
