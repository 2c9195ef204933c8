//! Solvers that must be one another, and every solver on every grid.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    Error, Level, NoiseSource, Philox, State,
    drive::invert,
    grid::Grid,
    mixture::GaussianMixture,
    noise::stream,
    plan::Op,
    schedule::{Flow, LinearGamma, Schedule, SubVp, Table, Ve, Vp, VpCosine, betas},
    solver::{Ddim, Ddpm, Deis, DpmPp, Edm, Lms, Sa, Solver, UniPc},
    variance::{ScoreMoments, mean_square_score},
};

fn mixture() -> GaussianMixture {
    let cov = |a: f64, b: f64, c: f64| vec![vec![a, b], vec![b, c]];
    GaussianMixture::new(vec![0.6, 0.4], vec![vec![0.8, -0.3], vec![-0.9, 0.4]], vec![cov(0.08, 0.02, 0.05), cov(0.04, -0.01, 0.09)])
        .unwrap()
}

/// The mixture's own score moments: those of a perfect network.
fn moments() -> ScoreMoments {
    let level = |i: u32| Level::vp_of_lambda(5.0 - f64::from(i));
    let row = |at: Level| [at.alpha, at.sigma, at.sigma.powi(2) * mean_square_score(&mixture(), at).unwrap()];
    ScoreMoments::from_rows(&(0..=10).map(|i| row(level(i))).collect::<Vec<_>>()).unwrap()
}

fn vp_nodes(steps: usize) -> Vec<Level> {
    (0..steps).map(|i| Level::vp_of_lambda(-4.0 + 8.0 * i as f64 / steps as f64)).chain([Level::clean()]).collect()
}

fn ve_nodes(steps: usize) -> Vec<Level> {
    (0..steps).map(|i| Level::ve(40.0 * (0.02f64 / 40.0).powf(i as f64 / steps as f64))).chain([Level::clean()]).collect()
}

/// Eight points at the first node.
fn start(nodes: &[Level]) -> Vec<f64> {
    let mut z = vec![0.0; 16];
    Philox::new(2).fill_f64(0, 0, stream::PRIOR, &mut z);
    z.iter().map(|z| nodes[0].sigma * z).collect()
}

fn sample(solver: Solver, nodes: &[Level]) -> Vec<f64> {
    solver.plan(nodes).unwrap().run(start(nodes), &mixture(), &Philox::new(7))
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn same(a: Solver, b: Solver, nodes: &[Level]) {
    let (x, y) = (sample(a, nodes), sample(b, nodes));
    assert!(distance(&x, &y) < 1e-11, "{a:?} and {b:?} differ by {:e}", distance(&x, &y));
}

fn named(name: &str) -> Solver {
    Solver::from_name(name).unwrap()
}

#[test]
fn first_order_methods_are_one() {
    let unip = Solver::Unipc(UniPc { order: 1, corrector: false, ..UniPc::default() });
    let deis = Solver::Deis(Deis { order: 1, ..Deis::default() });
    let lms = Solver::Lms(Lms { order: 1 });
    let adams = Solver::Sa(Sa { predictor: 1, corrector: 0, tau: 0.0, ..Sa::default() });
    let edm = Solver::Edm(Edm { second_order: false, ..Edm::default() });
    for nodes in [vp_nodes(12), ve_nodes(12)] {
        for other in [named("euler"), named("dpmpp1m"), named("dpm1m"), unip, deis, lms, adams, edm] {
            same(named("ddim"), other, &nodes);
        }
    }
}

#[test]
fn euler_is_a_straight_line_of_the_flow() {
    let nodes: Vec<Level> = (0..=9).map(|i| Level::flow(1.0 - f64::from(i) / 9.0)).collect();
    let mut x = start(&nodes);
    for pair in nodes.windows(2) {
        let x0 = mixture().mean_x0(&x, pair[0]);
        // flow = eps - x0 = (x - x0) / s where alpha = 1 - s.
        x = x.iter().zip(&x0).map(|(x, d)| x + (pair[1].sigma - pair[0].sigma) * (x - d) / pair[0].sigma).collect();
    }
    assert!(distance(&x, &sample(named("euler"), &nodes)) < 1e-13);
}

#[test]
fn stochastic_pairs() {
    same(named("euler-a"), named("sde-dpmpp1m"), &ve_nodes(15));
    same(Solver::Ddim(Ddim { eta: 1.0, ..Ddim::default() }), named("ddpm"), &vp_nodes(15));
    let adams = Solver::Sa(Sa { predictor: 1, corrector: 0, tau: 1.0, ..Sa::default() });
    same(adams, named("sde-dpmpp1m"), &vp_nodes(15));
    same(Solver::Edm(Edm::default()), named("heun"), &ve_nodes(9));
}

/// On the whole table DDIM with `eta = 1` is the ancestral sampler with the table's own posterior variance.
#[test]
fn full_noise_on_the_full_grid_is_ddpm() {
    let table = Table::from_betas(&betas::linear(1e-3, 0.2, 100)).unwrap();
    let nodes: Vec<Level> = (0..100).rev().map(|t| table.level(f64::from(t))).chain([Level::clean()]).collect();
    same(Solver::Ddim(Ddim { eta: 1.0, ..Ddim::default() }), Solver::Ddpm(Ddpm::default()), &nodes);
    let plan = named("ddpm").plan(&nodes).unwrap();
    let widths: Vec<f64> =
        plan.ops.iter().filter_map(|op| if let Op::Lin { terms, .. } = op { Some(terms.last()?.0) } else { None }).collect();
    for (i, t) in (1..100usize).rev().enumerate() {
        assert!((widths[i] - table.posterior_variance(t).sqrt()).abs() < 1e-13, "t = {t}");
    }
}

#[test]
fn inversion_and_sampling_return_the_input() {
    // Ends below the clean level, where DDIM can be undone.
    let mut nodes = vp_nodes(40);
    nodes.pop();
    let x: Vec<f64> = sample(named("ddim"), &vp_nodes(40)).iter().map(|v| v * nodes[39].alpha).collect();
    let upward: Vec<Level> = nodes.iter().rev().copied().collect();
    let noise = Philox::new(0);
    let back = |refinements| {
        let latent = invert(&upward, refinements).unwrap().run(x.clone(), &mixture(), &noise);
        named("ddim").plan(&nodes).unwrap().run(latent, &mixture(), &noise)
    };
    let (plain, refined) = (distance(&x, &back(0)), distance(&x, &back(60)));
    assert!(plain < 0.3, "without refinement {plain}");
    assert!(refined < 1e-8, "with refinement {refined:e}");
    assert!(invert(&nodes, 0).is_err());
}

/// The highest order into `sigma = 0`, and into a node where `lambda` is infinite, is where formulas divide by zero.
#[test]
fn the_last_step_is_the_estimate() {
    for name in ["dpmpp3m", "unipc3", "unipc3-bh1", "deis3", "dpmpp2s", "dpmpp-single3", "heun", "dpm2", "sde-dpm2m", "sa"] {
        for steps in 1..6 {
            let nodes = vp_nodes(steps);
            let plan = named(name).plan(&nodes).unwrap();
            let Some(Op::Lin { terms, .. }) = plan.ops.last() else { panic!("{name} ends in no combination") };
            assert_eq!(terms.len(), 1, "{name} in {steps} steps");
            assert_eq!(terms[0].0, 1.0, "{name} in {steps} steps");
        }
    }
}

#[test]
fn a_step_goes_to_the_next_listed_node() {
    let nodes = [Level::vp(0.05), Level::vp(0.4), Level::vp(0.5), Level::clean()];
    let plan = named("ddim").plan(&nodes).unwrap();
    let at: Vec<Level> = plan.ops.iter().filter_map(|op| if let Op::Eval { at, .. } = op { Some(*at) } else { None }).collect();
    assert_eq!(at, nodes[..3]);
    let Op::Lin { terms, .. } = &plan.ops[1] else { panic!("a combination follows the evaluation") };
    assert!((terms[0].0 - nodes[1].sigma / nodes[0].sigma).abs() < 1e-15);
}

#[test]
fn pure_noise_is_a_start_or_an_error() {
    let nodes = [Level::new(0.0, 1.0), Level::flow(0.7), Level::flow(0.4), Level::flow(0.1), Level::clean()];
    let mut starts = 0;
    for (name, solver) in Solver::named() {
        match solver.plan(&nodes) {
            Ok(plan) => {
                starts += 1;
                assert!(plan.run(start(&nodes), &mixture(), &Philox::new(1)).iter().all(|v| v.is_finite()), "{name}");
            }
            Err(Error::Grid { reason, .. }) => assert!(reason.contains("alpha") || reason.contains("six intervals"), "{name}: {reason}"),
            Err(other) => panic!("{name}: {other}"),
        }
    }
    assert!(starts >= 15, "only {starts} solvers start at pure noise");
}

#[test]
fn grids_that_cannot_be_walked_are_refused() {
    let solver = named("dpmpp2m");
    let refused: [&[Level]; 6] = [
        &[],
        &[Level::ve(1.0)],
        &[Level::ve(1.0), Level::ve(1.0)],
        &[Level::ve(1.0), Level::ve(2.0)],
        &[Level::ve(f64::NAN), Level::clean()],
        &[Level::ve(1.0), Level::clean(), Level::clean()],
    ];
    for nodes in refused {
        assert!(matches!(solver.plan(nodes), Err(Error::Grid { .. })), "{nodes:?}");
    }
    for bad in [
        Solver::Dpmpp(DpmPp { order: 4, ..DpmPp::default() }),
        Solver::Dpmpp(DpmPp { order: 0, ..DpmPp::default() }),
        Solver::Ddim(Ddim { eta: 1.5, ..Ddim::default() }),
        Solver::Ddim(Ddim { eta: f64::NAN, ..Ddim::default() }),
        Solver::Edm(Edm { s_churn: -1.0, ..Edm::default() }),
        Solver::Sa(Sa { tau: f64::INFINITY, ..Sa::default() }),
        Solver::Lms(Lms { order: 5 }),
    ] {
        assert!(matches!(bad.plan(&vp_nodes(4)), Err(Error::OutOfRange { .. })), "{bad:?}");
    }
}

#[test]
fn names_and_configs() {
    for (name, solver) in Solver::named() {
        assert_eq!(name.parse::<Solver>().unwrap(), solver);
        let text = serde_json::to_string(&solver).unwrap();
        assert_eq!(serde_json::from_str::<Solver>(&text).unwrap(), solver, "{text}");
    }
    assert_eq!(named("DPM++2M-SDE"), named("sde-dpmpp2m"));
    let error = Solver::from_name("rk45").unwrap_err().to_string();
    assert!(error.contains("rk45") && error.contains("dpmpp2m"), "{error}");
    assert!(serde_json::from_str::<Solver>(r#"{"kind":"ddim","etta":0.5}"#).is_err());
    assert_eq!(serde_json::from_str::<Solver>(r#"{"kind":"dpmpp","order":3}"#).unwrap(), named("dpmpp3m"));
}

/// The same plan on the host and on a device; a sample does not depend on its batch.
#[test]
fn a_row_does_not_depend_on_its_batch() {
    let device = Device::flex();
    let nodes = vp_nodes(6);
    let noise = Philox::new(12);
    for name in ["ddpm", "sde-dpmpp2m", "unipc3", "sa", "consistency"] {
        let plan = named(name).plan(&nodes).unwrap();
        let run = |rows: usize| {
            let x = Tensor::<2>::zeros([rows, 2], &device).noise_like(&noise, 0, stream::PRIOR);
            plan.run(x, &mixture(), &noise).to_data().try_to_vec::<f32>().unwrap()
        };
        assert_eq!(run(2), run(5)[..4], "{name}");
        let mut z = vec![0.0; 2];
        noise.fill_f64(0, 0, stream::PRIOR, &mut z);
        let host = plan.run(z, &mixture(), &noise);
        let first: Vec<f64> = run(1).into_iter().map(f64::from).collect();
        assert!(distance(&host, &first) < 1e-4, "{name}: {:e}", distance(&host, &first));
    }
    // The tensor that a plan starts from is not changed.
    let x = Tensor::<2>::from_data(TensorData::new(vec![1f32, 2.0], [1, 2]), &device);
    named("ddim").plan(&nodes).unwrap().run(x.clone(), &mixture(), &noise);
    assert_eq!(x.to_data().try_to_vec::<f32>().unwrap(), [1.0, 2.0]);
}

#[test]
fn every_solver_on_every_grid_is_finite() {
    let schedules: Vec<(&str, Box<dyn Schedule>)> = vec![
        ("vp", Box::new(Vp::new(0.1, 20.0).unwrap())),
        ("cosine", Box::new(VpCosine::new(0.008).unwrap())),
        ("sub-vp", Box::new(SubVp::new(0.1, 20.0).unwrap())),
        ("ve", Box::new(Ve::new(0.01, 50.0).unwrap())),
        ("flow", Box::new(Flow::new(3.0).unwrap())),
        ("vdm", Box::new(LinearGamma::new(-13.3, 5.0).unwrap())),
        ("table", Box::new(Table::from_betas(&betas::linear(1e-4, 0.02, 1000)).unwrap())),
        ("zero terminal", Box::new(Table::from_betas(&betas::scaled_linear(0.000_85, 0.012, 1000)).unwrap().zero_terminal_snr().unwrap())),
    ];
    let (mixture, moments) = (mixture(), moments());
    let (mut runs, mut refused) = (0usize, Vec::new());
    for (schedule_name, schedule) in &schedules {
        for grid_name in Grid::NAMES {
            let grid: Grid = grid_name.parse().unwrap();
            for steps in 1..=50 {
                let Ok(nodes) = grid.nodes(schedule.as_ref(), steps) else { continue };
                let x = start(&nodes);
                for (name, solver) in Solver::named() {
                    match solver.plan_with(&nodes, Some(&moments)) {
                        Ok(plan) => {
                            let y = plan.run(x[..4].to_vec(), &mixture, &Philox::new(steps as u64));
                            assert!(y.iter().all(|v| v.is_finite()), "{name}, {schedule_name}, {grid_name}, {steps} steps: {y:?}");
                            runs += 1;
                        }
                        Err(Error::Grid { .. }) => refused.push((name, *schedule_name)),
                        Err(error) => panic!("{name}, {schedule_name}, {grid_name}, {steps} steps: {error}"),
                    }
                }
            }
        }
    }
    assert!(runs > 20_000, "only {runs} runs");
    // Refusals are of pure noise, or of a Runge-Kutta start that does not fit.
    refused.retain(|(name, schedule)| !matches!(*schedule, "flow" | "zero terminal" | "cosine") && *name != "pndm");
    assert!(refused.is_empty(), "{refused:?}");
}
