//! The categorical process with every kernel.

use langevin_core::{
    Philox,
    process::{
        Process,
        categorical::{Chain, Form, kernel, schedule},
    },
};

use super::{CHAINS, DRAWS, LIMIT, STREAM, SWEEPS, add, largest_z, over_sweeps};

/// Classes of the chain; with a mask it is the last of them.
const CLASSES: usize = 4;
const STEPS: usize = 5;
const T: usize = 4;
const S: usize = 2;

struct Case {
    name: &'static str,
    chain: Chain,
    /// Distribution of the data's classes.
    data: Vec<f64>,
}

fn cases(form: Form) -> Vec<Case> {
    let betas = schedule::linear(0.1, 0.45, STEPS);
    let (four, three) = (vec![0.1, 0.45, 0.15, 0.3], vec![0.2, 0.5, 0.3]);
    let case = |name, data: &[f64], of: &dyn Fn(f64) -> nalgebra::DMatrix<f64>| Case {
        name,
        chain: Chain::new(betas.iter().map(|&b| of(b)).collect(), form).unwrap(),
        data: data.to_vec(),
    };
    vec![
        case("uniform", &four, &|b| kernel::uniform(CLASSES, b)),
        case("absorbing", &three, &|b| kernel::absorbing(CLASSES, 3, b)),
        case("mask and replace", &three, &|b| kernel::mask_and_replace(CLASSES, 3, 0.5 * b, b)),
        case("gaussian", &four, &|b| kernel::gaussian(CLASSES, b)),
        case("band", &four, &|b| kernel::band(CLASSES, 1, 2.0 * b)),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    /// The estimate is that of the step before.
    EstimateTime,
    /// The estimate takes all classes for equally likely.
    EstimateData,
    /// The posterior is that of a later time.
    PosteriorTime,
    /// The forward process stops a step early.
    CorruptTime,
}

/// `p(x0 | x_t = class)` by Bayes' rule.
fn estimate(case: &Case, class: u32, t: usize, bug: Bug) -> Vec<f64> {
    let t = if bug == Bug::EstimateTime { t - 1 } else { t };
    let data = if bug == Bug::EstimateData { &vec![1.0; case.data.len()] } else { &case.data };
    let joint: Vec<f64> = data.iter().enumerate().map(|(i, p)| p * case.chain.marginal(t)[(i, class as usize)]).collect();
    let total: f64 = joint.iter().sum();
    joint.iter().map(|j| if total > 0.0 { j / total } else { 1.0 / joint.len() as f64 }).collect()
}

fn draw(p: &[f64], mut u: f64) -> u32 {
    let chosen = p.iter().position(|p| {
        u -= p;
        u < 0.0
    });
    chosen.unwrap_or(p.len() - 1) as u32
}

/// Indicators of each class, and of each pair.
fn indicators(x: [u32; 3]) -> Vec<f64> {
    let mut out = vec![0.0; 3 * CLASSES + 3 * CLASSES * CLASSES];
    for (k, (i, j)) in [(0, 1), (0, 2), (1, 2)].into_iter().enumerate() {
        out[k * CLASSES + x[k] as usize] = 1.0;
        out[3 * CLASSES + k * CLASSES * CLASSES + x[i] as usize * CLASSES + x[j] as usize] = 1.0;
    }
    out
}

fn rows<'a>(x0: &'a [u32], xs: &'a [u32], xt: &'a [u32]) -> impl Iterator<Item = Vec<f64>> + 'a {
    (0..x0.len()).map(|i| indicators([x0[i], xs[i], xt[i]]))
}

/// The sweep's way down is one draw of `p(x_s | x_t)`: of the chain's reverse step with the exact estimate, or with a draw of `x0`
/// from it, for which both forms are exact.
fn chain(case: &Case, known: bool, bug: Bug) -> f64 {
    let (chain, philox) = (&case.chain, Philox::new(29));
    let x0: Vec<u32> = (0..DRAWS as u32).map(|i| draw(&case.data, philox.uniform(i, 0, STREAM))).collect();
    let xs = chain.corrupt(&x0, S, &philox, 1_000_000);
    let up = chain.between(S, T);
    let row = |c: u32| up.row(c as usize).iter().copied().collect::<Vec<_>>();
    let xt: Vec<u32> = xs.iter().enumerate().map(|(i, &c)| draw(&row(c), philox.uniform(i as u32, 1, STREAM))).collect();

    let estimates = |x: &[u32], t: usize| x.iter().map(|&c| estimate(case, c, t, bug)).collect::<Vec<_>>();
    let from = if bug == Bug::PosteriorTime { T + 1 } else { T };
    let end = if bug == Bug::CorruptTime { T - 1 } else { T };
    let mut x = xt[..CHAINS].to_vec();
    let mut sums = vec![Vec::new(); CHAINS];
    for sweep in 0..SWEEPS as u32 {
        let mut soft = estimates(&x, T);
        if known {
            for (i, p) in soft.iter_mut().enumerate() {
                let class = draw(p, philox.uniform(i as u32, sweep + 2, STREAM)) as usize;
                *p = (0..case.data.len()).map(|j| f64::from(j == class)).collect();
            }
        }
        let below = Process::posterior(chain, &x, &soft, from, S, &philox, 2 * sweep);
        let clean = Process::posterior(chain, &below, &estimates(&below, S), S, 0, &philox, 2 * sweep + 1);
        add(&mut sums, rows(&clean, &below, &x));
        x = chain.corrupt(&clean, end, &philox, sweep);
    }
    largest_z(rows(&x0, &xs, &xt), over_sweeps(sums))
}

#[test]
fn every_kernel_leaves_the_joint_distribution() {
    for (form, known) in [(Form::Mixture, false), (Form::Product, true)] {
        for case in cases(form) {
            let z = chain(&case, known, Bug::None);
            assert!(z < LIMIT, "{}, {form:?}, {known}: {z}", case.name);
            for bug in [Bug::EstimateTime, Bug::EstimateData, Bug::PosteriorTime, Bug::CorruptTime] {
                let z = chain(&case, known, bug);
                // A mask says as much of its token at all times, so that for absorbing chains this one is no error.
                let harmless = bug == Bug::EstimateTime && case.name == "absorbing";
                assert_eq!(z < LIMIT, harmless, "{bug:?} planted in {}, {form:?}, {known}: {z}", case.name);
            }
        }
    }
}

/// The product form with a soft estimate is another reverse step, except for absorbing chains, where both forms are one.
#[test]
fn the_product_form_is_exact_for_absorbing_chains_alone() {
    for case in cases(Form::Product) {
        let z = chain(&case, false, Bug::None);
        assert_eq!(z < LIMIT, case.name == "absorbing", "{}: {z}", case.name);
    }
}
