//! Every named solver on every grid of every schedule in 1 to 50 steps: a finite sample or an error that says why not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    Error, Level, Philox, Plan,
    grid::Grid,
    mixture::GaussianMixture,
    schedule::{MonotoneGamma, Schedule, ScheduleSpec},
    solver::Solver,
    variance::{ScoreMoments, mean_square_score},
};

fn mixture() -> GaussianMixture {
    GaussianMixture::new(vec![0.6, 0.4], vec![vec![0.8], vec![-0.9]], vec![vec![vec![0.08]], vec![vec![0.04]]]).unwrap()
}

/// The mixture's own score moments: those of a perfect network.
fn moments() -> ScoreMoments {
    let level = |i: u32| Level::vp_of_lambda(5.0 - f64::from(i));
    let row = |at: Level| [at.alpha, at.sigma, at.sigma.powi(2) * mean_square_score(&mixture(), at).unwrap()];
    ScoreMoments::from_rows(&(0..=10).map(|i| row(level(i))).collect::<Vec<_>>()).unwrap()
}

/// A schedule and what its grids may refuse.
struct Case {
    name: String,
    schedule: Box<dyn Schedule + Send + Sync>,
    /// Whether its times are those of a table.
    discrete: bool,
}

impl Case {
    fn has_an_infinite_end(&self) -> bool {
        let (least, most) = self.schedule.span();
        [least, most].iter().any(|&t| !self.schedule.level(t).lambda().is_finite())
    }
}

/// Every kind that a configuration can name, tables also with pure noise at the end, and the learned ones.
fn schedules() -> Vec<Case> {
    let named = [
        r#"{"kind": "linear", "steps": 1000, "beta_start": 1e-4, "beta_end": 0.02}"#,
        r#"{"kind": "linear", "steps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "zero_terminal_snr": true}"#,
        r#"{"kind": "scaled_linear", "steps": 1000, "beta_start": 0.00085, "beta_end": 0.012}"#,
        r#"{"kind": "scaled_linear", "steps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "zero_terminal_snr": true}"#,
        r#"{"kind": "cosine", "steps": 1000, "s": 0.008, "max_beta": 0.999}"#,
        r#"{"kind": "cosine", "steps": 1000, "s": 0.008, "max_beta": 0.999, "zero_terminal_snr": true}"#,
        r#"{"kind": "sigmoid_beta", "steps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "range": 6}"#,
        r#"{"kind": "sigmoid_beta", "steps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "range": 6, "zero_terminal_snr": true}"#,
        r#"{"kind": "sigmoid_alpha_bar", "steps": 1000, "start": -3, "end": 3, "tau": 1, "max_beta": 0.999}"#,
        r#"{"kind": "sigmoid_alpha_bar", "steps": 1000, "start": -3, "end": 3, "tau": 1, "max_beta": 0.999, "zero_terminal_snr": true}"#,
        r#"{"kind": "vp", "beta_min": 0.1, "beta_max": 20}"#,
        r#"{"kind": "vp_cosine", "s": 0.008}"#,
        r#"{"kind": "vp_cosine", "s": 0}"#,
        r#"{"kind": "sub_vp", "beta_min": 0.1, "beta_max": 20}"#,
        r#"{"kind": "ve", "sigma_min": 0.01, "sigma_max": 50}"#,
        r#"{"kind": "edm", "sigma_min": 0.002, "sigma_max": 80}"#,
        r#"{"kind": "flow", "shift": 1}"#,
        r#"{"kind": "flow", "shift": 3}"#,
        r#"{"kind": "vdm", "gamma_min": -13.3, "gamma_max": 5}"#,
    ];
    let of_spec = |text: &&str| {
        let spec: ScheduleSpec = serde_json::from_str(text).unwrap();
        Case { name: (*text).to_owned(), schedule: spec.build().unwrap(), discrete: spec.table().unwrap().is_some() }
    };
    let learned = MonotoneGamma::new(-13.3, 5.0, 16, 1, &Device::flex()).unwrap().to_schedule().unwrap();
    let learned = Case { name: "learned".to_owned(), schedule: Box::new(learned), discrete: false };
    named.iter().map(of_spec).chain([learned]).collect()
}

/// Every grid by name, and those with ends of their own, which schedules of infinite noise need.
fn grids() -> Vec<(String, Grid)> {
    let (sigma_min, sigma_max) = (Some(0.05), Some(10.0));
    // `exponential` is another name of `lambda`.
    let names = Grid::NAMES.into_iter().filter(|name| *name != "exponential");
    let named = names.map(|name| (name.to_owned(), name.parse::<Grid>().unwrap()));
    assert_eq!("exponential".parse::<Grid>().unwrap(), "lambda".parse().unwrap());
    let own = [
        ("karras, own ends", Grid::Karras { rho: 7.0, sigma_min, sigma_max }),
        ("lambda, own ends", Grid::Lambda { sigma_min, sigma_max }),
        ("polyexponential, own ends", Grid::Polyexponential { rho: 1.5, sigma_min, sigma_max }),
        ("leading, offset", Grid::Leading { offset: 1 }),
    ];
    named.chain(own.map(|(name, grid)| (name.to_owned(), grid))).collect()
}

/// Runs every solver over every grid of a schedule; counts the runs. Any refusal but those that should be is a failure.
fn sweep(case: &Case, steps: &[usize], run: &(dyn Fn(&Plan, &[Level]) -> Vec<f64> + Sync)) -> usize {
    let (moments, mut runs) = (moments(), 0);
    for (grid_name, grid) in grids() {
        for &steps in steps {
            let place = format!("{}, {grid_name}, {steps} steps", case.name);
            let nodes = match grid.nodes(case.schedule.as_ref(), steps) {
                Ok(nodes) => nodes,
                Err(Error::OutOfRange { name: "sigma_min" | "sigma_max", .. }) if case.has_an_infinite_end() => continue,
                Err(Error::Invalid { reason, .. }) if !case.discrete && reason.contains("discrete spacing") => continue,
                Err(other) => panic!("{place}: {other}"),
            };
            for (name, solver) in Solver::named() {
                match solver.plan_with(&nodes, Some(&moments)) {
                    Ok(plan) => {
                        if solver.needs_moments() {
                            assert!(matches!(solver.plan(&nodes), Err(Error::Invalid { .. })), "{place}, {name}");
                        }
                        let y = run(&plan, &nodes);
                        assert!(!y.is_empty() && y.iter().all(|v| v.is_finite()), "{place}, {name}: {y:?}");
                        runs += 1;
                    }
                    Err(Error::Grid { node: 0, reason }) if nodes[0].alpha == 0.0 && reason.contains("alpha") => {}
                    Err(Error::Grid { reason, .. }) if name == "pndm" && steps < 6 && reason.contains("Runge-Kutta") => {}
                    Err(other) => panic!("{place}, {name}: {other}"),
                }
            }
        }
    }
    runs
}

/// All schedules at once.
fn sweep_all(steps: &[usize], run: &(dyn Fn(&Plan, &[Level]) -> Vec<f64> + Sync)) -> usize {
    let cases = schedules();
    std::thread::scope(|scope| {
        let threads: Vec<_> = cases.iter().map(|case| scope.spawn(move || sweep(case, steps, run))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn samples_are_finite_or_refused_with_a_reason() {
    let (mixture, steps) = (mixture(), (1..=50).collect::<Vec<_>>());
    let runs = sweep_all(&steps, &|plan, nodes| plan.run(vec![-1.3 * nodes[0].sigma], &mixture, &Philox::new(nodes.len() as u64)));
    assert!(runs > 200_000, "only {runs} runs");
}

/// The same in the arithmetic of networks.
#[test]
fn samples_are_finite_in_f32() {
    let (mixture, device) = (mixture(), Device::flex());
    let runs = sweep_all(&[1, 2, 12], &|plan, nodes| {
        let start = Tensor::<2>::from_data(TensorData::new(vec![-1.3 * nodes[0].sigma], [1, 1]), &device);
        plan.run(start, &mixture, &Philox::new(nodes.len() as u64)).into_data().iter::<f64>().collect()
    });
    assert!(runs > 10_000, "only {runs} runs");
}
