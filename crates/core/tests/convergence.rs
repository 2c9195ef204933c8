//! Orders of convergence on a mixture, against an adaptive solution of the same ODE.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use langevin_core::{
    Level, Philox,
    drive::Adaptive,
    mixture::GaussianMixture,
    solver::{Deis, DpmPp, Solver, UniPc},
};

const MAX: f64 = 80.0;
const MIN: f64 = 0.02;

fn mixture() -> GaussianMixture {
    let cov = |a: f64, b: f64, c: f64| vec![vec![a, b], vec![b, c]];
    GaussianMixture::new(
        vec![0.5, 0.3, 0.2],
        vec![vec![1.0, 0.5], vec![-1.0, 0.75], vec![0.25, -1.25]],
        vec![cov(0.09, 0.01, 0.05), cov(0.1, -0.06, 0.08), cov(0.05, 0.0, 0.05)],
    )
    .unwrap()
}

/// Starting points spread over the prior.
fn points() -> Vec<f64> {
    let mut z = vec![0.0; 48];
    langevin_core::NoiseSource::fill_f64(&Philox::new(6), 0, 0, 0, &mut z);
    z.iter().map(|z| z * MAX).collect()
}

fn nodes(steps: usize) -> Vec<Level> {
    (0..=steps).map(|i| Level::ve(MAX * (MIN / MAX).powf(i as f64 / steps as f64))).collect()
}

fn rms(x: &[f64]) -> f64 {
    (x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64).sqrt()
}

#[test]
fn orders_are_those_of_the_methods() {
    let (mixture, x) = (mixture(), points());
    let tight = Adaptive { tolerance: 1e-12, most_evaluations: 1_000_000 };
    let most = |x: &Vec<f64>| x.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let (exact, cost) = tight.solve(&x, Level::ve(MAX), Level::ve(MIN), &mixture, most).unwrap();
    assert!(cost.accepted > 50);
    let named = |name: &str| Solver::from_name(name).unwrap();
    let unip = Solver::Unipc(UniPc { corrector: false, lower_order_final: false, ..UniPc::default() });
    let unipc = Solver::Unipc(UniPc { lower_order_final: false, ..UniPc::default() });
    let deis = Solver::Deis(Deis { order: 2, lower_order_final: false });
    let sde_free = Solver::Dpmpp(DpmPp { lower_order_final: false, ..DpmPp::default() });
    let methods = [
        ("ddim", named("ddim"), 1.0),
        ("heun", named("heun"), 2.0),
        ("dpm2", named("dpm2"), 2.0),
        ("dpmpp2s", named("dpmpp2s"), 2.0),
        ("dpmpp2m", sde_free, 2.0),
        ("deis2", deis, 2.0),
        ("unip2", unip, 2.0),
        ("unipc2", unipc, 3.0),
        ("lms", named("lms"), 4.0),
    ];
    let mut wrong = Vec::new();
    for (name, solver, expected) in methods {
        let error = |steps: usize| {
            let y = solver.plan(&nodes(steps)).unwrap().run(x.clone(), &mixture, &Philox::new(0));
            rms(&y.iter().zip(&exact).map(|(a, b)| a - b).collect::<Vec<_>>())
        };
        let order = (error(256) / error(512)).log2();
        eprintln!("{name}: order {order:.3}, expected {expected}");
        if (order - expected).abs() > 0.25 {
            wrong.push(format!("{name}: order {order:.3}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn more_steps_bring_the_sde_closer_to_the_data() {
    // Mean and covariance of the mixture, by hand from its weights.
    let data = mixture();
    let (mean, cov) = (data.mean(Level::clean()), data.covariance(Level::clean()));
    let points = 4000;
    let noise = Philox::new(21);
    let mut x = vec![0.0; 2 * points];
    langevin_core::NoiseSource::fill_f64(&noise, 0, 0, 0, &mut x);
    x.iter_mut().for_each(|v| *v *= MAX);
    for name in ["euler-a", "sde-dpmpp2m", "ddpm", "dpm2-a", "sa"] {
        let error = |steps: usize| {
            let mut grid = nodes(steps - 1);
            grid.push(Level::clean());
            let y = Solver::from_name(name).unwrap().plan(&grid).unwrap().run(x.clone(), &data, &noise);
            let at = |k: usize| y.iter().skip(k).step_by(2).sum::<f64>() / points as f64;
            let m = [at(0), at(1)];
            let moment = |a: usize, b: usize| y.chunks(2).map(|p| (p[a] - m[a]) * (p[b] - m[b])).sum::<f64>() / points as f64;
            let diff = [moment(0, 0) - cov[0], moment(0, 1) - cov[1], moment(1, 1) - cov[3], m[0] - mean[0], m[1] - mean[1]];
            diff.iter().fold(0.0f64, |w, d| w.max(d.abs()))
        };
        let (coarse, fine) = (error(10), error(100));
        // 4000 points: five standard errors of a variance near 0.8 are 0.09.
        assert!(fine < 0.12 && fine < coarse + 0.05, "{name}: {coarse} with 10 steps, {fine} with 100");
    }
}
