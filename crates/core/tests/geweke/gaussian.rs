//! The Gaussian process on a mixture.

use langevin_core::{
    Level, NoiseSource, Philox,
    mixture::GaussianMixture,
    process::{Gaussian, Process},
    solver::{Reverse, Variance},
    variance::{ScoreMoments, mean_square_score},
};

use super::{CHAINS, DRAWS, LIMIT, STREAM, SWEEPS, add, largest_z, over_sweeps};

const DIM: usize = 2;

fn mixture() -> GaussianMixture {
    let covs = vec![vec![vec![0.3, -0.12], vec![-0.12, 0.2]], vec![vec![0.1, 0.05], vec![0.05, 0.4]]];
    GaussianMixture::new(vec![0.4, 0.6], vec![vec![0.8, -0.5], vec![-0.6, 0.4]], covs).unwrap()
}

fn levels() -> (Level, Level) {
    (Level::vp(0.7), Level::vp(0.35))
}

fn noisier(at: Level, factor: f64) -> Level {
    Level::new(at.alpha, at.sigma * factor.sqrt())
}

/// The numbers, their squares and all their products.
fn moments(x: &[&[f64]]) -> Vec<f64> {
    let v = x.concat();
    let products = (0..v.len()).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| v[i] * v[j]).collect::<Vec<_>>();
    [v.clone(), products].concat()
}

fn rows<'a>(x: &'a [&'a Vec<f64>]) -> impl Iterator<Item = Vec<f64>> + 'a {
    (0..x[0].len() / DIM).map(move |i| moments(&x.iter().map(|x| &x[i * DIM..(i + 1) * DIM]).collect::<Vec<_>>()))
}

/// The level that leads from `to` up to `from`: `x_t = alpha x_s + sigma eps`.
fn upward(from: Level, to: Level) -> Level {
    Level::new(from.alpha / to.alpha, Reverse::between(from, to).forward_variance.sqrt())
}

/// Exact draws of `p(x0 | x)`: a component by its responsibility, then its normal.
struct Posterior {
    mixture: GaussianMixture,
    parts: Vec<GaussianMixture>,
}

impl Posterior {
    fn new() -> Self {
        let parts = (0..2).map(|k| mixture().of_class(&[0, 1], k).unwrap()).collect();
        Self { mixture: mixture(), parts }
    }

    fn draw(&self, x: &[f64], at: Level, philox: Philox, node: u32) -> Vec<f64> {
        let responsibilities = self.mixture.responsibilities(x, at);
        // The covariance of a single normal does not depend on the point.
        let roots: Vec<[f64; 3]> = self.parts.iter().map(|p| cholesky(&p.cov_x0(&x[..DIM], at))).collect();
        let mut z = vec![0.0; x.len()];
        philox.fill_f64(0, node, STREAM, &mut z);
        let mut out = Vec::with_capacity(x.len());
        for (i, x) in x.chunks_exact(DIM).enumerate() {
            let k = usize::from(philox.uniform(i as u32, node, STREAM + 1) > responsibilities[2 * i]);
            let (mean, root, z) = (self.parts[k].mean_x0(x, at), roots[k], &z[i * DIM..]);
            out.extend([mean[0] + root[0] * z[0], mean[1] + root[1] * z[0] + root[2] * z[1]]);
        }
        out
    }
}

fn cholesky(cov: &[f64]) -> [f64; 3] {
    let a = cov[0].sqrt();
    [a, cov[1] / a, (cov[3] - cov[1] * cov[1] / cov[0]).sqrt()]
}

/// What is wrong in the second simulator: factors of variances, and levels used in the wrong place.
struct Planted {
    corrupt: f64,
    from: Level,
    variance: Variance,
    posterior_level: Level,
}

impl Planted {
    fn nothing() -> Self {
        let (s, t) = levels();
        Self { corrupt: 1.0, from: t, variance: Variance::Small, posterior_level: s }
    }
}

/// Down by `q(x_s | x_t, x0)` with an exact `x0`, to an exact `x0` of `x_s`, up by the forward process.
fn posterior_chain(planted: &Planted) -> f64 {
    let ((s, t), posterior, philox) = (levels(), Posterior::new(), Philox::new(17));
    let process = Gaussian::<Vec<f64>>::new(t, planted.variance, None).unwrap();
    let (x0, _) = mixture().sample(&philox, DRAWS, 0, STREAM);
    let xs = process.corrupt(&x0, s, &philox, 1_000_000);
    let xt = process.corrupt(&xs, upward(t, s), &philox, 1_000_001);

    let mut x = xt[..CHAINS * DIM].to_vec();
    let mut sums = vec![Vec::new(); CHAINS];
    for sweep in 0..SWEEPS as u32 {
        let estimate = posterior.draw(&x, t, philox, 2 * sweep);
        let below = process.posterior(&x, &estimate, planted.from, s, &philox, sweep);
        let clean = posterior.draw(&below, planted.posterior_level, philox, 2 * sweep + 1);
        add(&mut sums, rows(&[&clean, &below, &x]));
        x = process.corrupt(&clean, noisier(t, planted.corrupt), &philox, sweep);
    }
    largest_z(rows(&[&x0, &xs, &xt]), over_sweeps(sums))
}

#[test]
fn posteriors_and_corruption_leave_the_joint_distribution() {
    let z = posterior_chain(&Planted::nothing());
    assert!(z < LIMIT, "{z}");
    for (bug, planted) in [
        ("the noise of the forward process, 10 %", Planted { corrupt: 1.1, ..Planted::nothing() }),
        ("the same, missing", Planted { corrupt: 0.9, ..Planted::nothing() }),
        ("a posterior of another time", Planted { from: Level::vp(0.3), ..Planted::nothing() }),
        ("a variance that is not the posterior's", Planted { variance: Variance::Large, ..Planted::nothing() }),
        ("a denoiser of another level", Planted { posterior_level: Level::vp(0.75), ..Planted::nothing() }),
    ] {
        let z = posterior_chain(&planted);
        assert!(z > LIMIT, "not noticed: {bug}: {z}");
    }
}

/// Down by ancestral sampling with the exact denoiser. The reverse steps are normal, so that it is right in the limit of many.
fn ancestral_chain(steps: usize, noise: f64) -> f64 {
    let ((_, t), mixture, philox) = (levels(), mixture(), Philox::new(5));
    let process = Gaussian::<Vec<f64>>::new(t, Variance::Small, None).unwrap();
    let mut down: Vec<Level> =
        (0..steps).map(|i| Level::vp_of_lambda(t.lambda() + (4.0 - t.lambda()) * i as f64 / (steps - 1) as f64)).collect();
    down.push(Level::clean());
    let (x0, _) = mixture.sample(&philox, DRAWS, 0, STREAM);
    let xt = process.corrupt(&x0, t, &philox, 1_000_000);

    let (chains, sweeps) = (CHAINS, 12);
    let mut x = xt[..chains * DIM].to_vec();
    let mut sums = vec![Vec::new(); chains];
    for sweep in 0..sweeps {
        let mut clean = x.clone();
        for (i, pair) in down.windows(2).enumerate() {
            let estimate = mixture.mean_x0(&clean, pair[0]);
            clean = process.posterior(&clean, &estimate, pair[0], pair[1], &philox, (sweep * steps + i) as u32);
        }
        add(&mut sums, rows(&[&clean, &x]));
        x = process.corrupt(&clean, noisier(t, noise), &philox, sweep as u32);
    }
    let chains = sums.into_iter().map(|row| row.into_iter().map(|v| v / sweeps as f64).collect());
    largest_z(rows(&[&x0, &xt]), chains)
}

#[test]
fn ancestral_sampling_in_many_steps_leaves_the_joint_distribution() {
    let z = ancestral_chain(200, 1.0);
    assert!(z < LIMIT, "{z}");
    for (bug, z) in [("few steps", ancestral_chain(4, 1.0)), ("the noise of the forward process", ancestral_chain(200, 1.2))] {
        assert!(z > LIMIT, "not noticed: {bug}: {z}");
    }
}

/// The reverse steps of an isotropic normal are normal with the analytic variance: exact in a single step.
fn analytic_chain(variance: Variance, wrong: f64) -> f64 {
    let ((s, t), philox) = (levels(), Philox::new(3));
    let data = GaussianMixture::new(vec![1.0], vec![vec![0.3, -0.2]], vec![vec![vec![0.5, 0.0], vec![0.0, 0.5]]]).unwrap();
    let moments = ScoreMoments::from_rows(&[[t.alpha, t.sigma, t.sigma.powi(2) * mean_square_score(&data, t).unwrap()]]);
    let process = Gaussian::<Vec<f64>>::new(t, variance, Some(moments.unwrap())).unwrap();
    let (x0, _) = data.sample(&philox, DRAWS, 0, STREAM);
    let xs = process.corrupt(&x0, s, &philox, 1_000_000);
    let xt = process.corrupt(&xs, upward(t, s), &philox, 1_000_001);

    let mut x = xt[..CHAINS * DIM].to_vec();
    let mut sums = vec![Vec::new(); CHAINS];
    for sweep in 0..SWEEPS as u32 {
        let below = process.posterior(&x, &data.mean_x0(&x, t), t, s, &philox, sweep);
        add(&mut sums, rows(&[&below, &x]));
        x = process.corrupt(&below, noisier(upward(t, s), wrong), &philox, sweep);
    }
    largest_z(rows(&[&xs, &xt]), over_sweeps(sums))
}

#[test]
fn one_analytic_step_leaves_the_joint_distribution_of_a_normal() {
    let z = analytic_chain(Variance::Analytic, 1.0);
    assert!(z < LIMIT, "{z}");
    let planted = [analytic_chain(Variance::Small, 1.0), analytic_chain(Variance::Large, 1.0), analytic_chain(Variance::Analytic, 1.1)];
    assert!(planted.iter().all(|z| *z > LIMIT), "not noticed: {planted:?}");
}
