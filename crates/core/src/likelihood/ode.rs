//! Exact likelihood by the probability-flow ODE (Song et al. 2021, section 4.3).
//!
//! With `y = x / alpha` and `u = ln(sigma / alpha)` the ODE of every schedule is `dy/du = y - D`, and
//! `d ln p(y) / du = -(d - tr dD/dy)`. It is smooth in `u`, so a fixed grid of RK4 steps is enough.

use burn::tensor::{Device, Tensor, TensorData};

use crate::{Denoiser, Error, Level, mixture::GaussianMixture, schedule::Schedule};

/// A denoiser whose derivative can be traced.
pub trait Field {
    /// Dimension of a point.
    fn dim(&self) -> usize;

    /// For packed points: `E[x0 | x]`, and for each point `v . (dD/dx) v` of its probe, or the exact trace where there is none.
    ///
    /// # Errors
    /// Where a trace cannot be had without probes.
    fn denoise_and_trace(&self, x: &[f64], at: Level, probes: Option<&[f64]>) -> Result<(Vec<f64>, Vec<f64>), Error>;
}

/// The mixture's derivative is `alpha Cov[x0 | x] / sigma^2`.
impl Field for GaussianMixture {
    fn dim(&self) -> usize {
        self.dim()
    }

    fn denoise_and_trace(&self, x: &[f64], at: Level, probes: Option<&[f64]>) -> Result<(Vec<f64>, Vec<f64>), Error> {
        let (d, factor) = (self.dim(), at.alpha / (at.sigma * at.sigma));
        let cov = self.cov_x0(x, at);
        let trace = |(i, cov): (usize, &[f64])| match probes {
            None => (0..d).map(|j| cov[j * d + j]).sum::<f64>() * factor,
            Some(v) => {
                let v = &v[i * d..(i + 1) * d];
                (0..d * d).map(|k| v[k / d] * cov[k] * v[k % d]).sum::<f64>() * factor
            }
        };
        Ok((self.mean_x0(x, at), cov.chunks_exact(d * d).enumerate().map(trace).collect()))
    }
}

/// A differentiable denoiser of batches of shape `[batch, dim]`, traced with probes by one backward pass each (Hutchinson's trick).
#[derive(Clone, Debug)]
pub struct Traced<'a, B> {
    /// The denoiser; its rows do not mix.
    pub base: B,
    /// Dimension of a point.
    pub dim: usize,
    /// Where it runs.
    pub device: &'a Device,
}

impl<B: Denoiser<Tensor<2>>> Field for Traced<'_, B> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn denoise_and_trace(&self, x: &[f64], at: Level, probes: Option<&[f64]>) -> Result<(Vec<f64>, Vec<f64>), Error> {
        let Some(probes) = probes else {
            return Err(Error::Invalid { what: "likelihood", reason: "a network's divergence needs probes".into() });
        };
        let tensor = |v: &[f64]| Tensor::<2>::from_data(TensorData::new(v.to_vec(), [v.len() / self.dim, self.dim]), self.device);
        let (points, probe) = (tensor(x), tensor(probes));
        let mut estimate = Vec::new();
        let grad = crate::guide::gradient(&points, |x| {
            let d = self.base.denoise(&x, at, 0);
            estimate = d.to_data().iter::<f64>().collect();
            (d * probe.clone()).sum()
        });
        let traces = (grad * probe).sum_dim(1);
        Ok((estimate, traces.into_data().iter::<f64>().collect()))
    }
}

/// The likelihood of a batch of points.
#[derive(Clone, Debug, PartialEq)]
pub struct Likelihood {
    /// Log density of the points under the model, in nats: `prior_log_p + divergence`.
    pub log_p: Vec<f64>,
    /// Where the ODE takes the points, packed.
    pub latent: Vec<f64>,
    /// Integral of the divergence of the ODE in `x`, in nats.
    pub divergence: Vec<f64>,
    /// Log density of the latents under the prior, in nats.
    pub prior_log_p: Vec<f64>,
    /// What the prior misses: `KL(q(x_T | x) || prior)` of each point, in nats.
    pub prior_mismatch: Vec<f64>,
}

impl Likelihood {
    /// Bits per dimension of each point.
    pub fn bits_per_dim(&self, dim: usize) -> Vec<f64> {
        self.log_p.iter().map(|l| -l / (dim as f64 * std::f64::consts::LN_2)).collect()
    }
}

/// Likelihood of packed points at the time `from` of a schedule, with the ODE run to the time `to` in `steps` steps of RK4.
///
/// `prior_std` is that of the zero-mean normal prior: 1 for variance preserving schedules, `sigma(to)` for exploding ones. `probes`
/// are packed like the points (Rademacher or normal); without them the divergence is exact.
///
/// # Errors
/// [`Error::OutOfRange`] for no steps, a `prior_std` that is not positive or times with an infinite log-SNR;
/// [`Error::Invalid`] for points or probes that do not fit the field, or a trace it cannot give.
pub fn likelihood(
    field: &impl Field,
    schedule: &dyn Schedule,
    x: &[f64],
    (from, to): (f64, f64),
    steps: usize,
    prior_std: f64,
    probes: Option<&[f64]>,
) -> Result<Likelihood, Error> {
    let d = field.dim();
    if steps == 0 {
        return Err(Error::OutOfRange { name: "steps", value: 0.0, range: "1 or more" });
    }
    if !(prior_std > 0.0 && prior_std.is_finite()) {
        return Err(Error::OutOfRange { name: "prior_std", value: prior_std, range: "a positive number" });
    }
    if d == 0 || !x.len().is_multiple_of(d) || probes.is_some_and(|p| p.len() != x.len()) {
        return Err(Error::Invalid { what: "likelihood", reason: "points and probes should be packed alike, in whole points".into() });
    }
    let (start, end) = (schedule.level(from), schedule.level(to));
    for (name, level) in [("from", start), ("to", end)] {
        if !level.lambda().is_finite() {
            return Err(Error::OutOfRange { name, value: level.lambda(), range: "a time of finite log-SNR" });
        }
    }
    let (u0, u1) = (-start.lambda(), -end.lambda());
    // The grid's ends are the levels themselves, not what the inverse of the schedule makes of them.
    let level = |k: usize| match k {
        0 => start,
        _ if k == 2 * steps => end,
        _ => schedule.level(schedule.t_of_lambda(-(u0 + (u1 - u0) * k as f64 / (2 * steps) as f64))),
    };
    let slope = |y: &[f64], at: Level| -> Result<(Vec<f64>, Vec<f64>), Error> {
        let x: Vec<f64> = y.iter().map(|y| at.alpha * y).collect();
        let (estimate, traces) = field.denoise_and_trace(&x, at, probes)?;
        let flow = y.iter().zip(estimate).map(|(y, d)| y - d).collect();
        let of_identity = |i: usize| probes.map_or(d as f64, |v| v[i * d..(i + 1) * d].iter().map(|v| v * v).sum());
        let divergence = traces.iter().enumerate().map(|(i, trace)| of_identity(i) - at.alpha * trace).collect();
        Ok((flow, divergence))
    };
    let h = (u1 - u0) / steps as f64;
    let mut y: Vec<f64> = x.iter().map(|x| x / start.alpha).collect();
    let mut integral = vec![0.0; x.len() / d];
    for i in 0..steps {
        let shifted = |k: &[f64], by: f64| -> Vec<f64> { y.iter().zip(k).map(|(y, k)| y + by * k).collect() };
        let (k1, d1) = slope(&y, level(2 * i))?;
        let (k2, d2) = slope(&shifted(&k1, 0.5 * h), level(2 * i + 1))?;
        let (k3, d3) = slope(&shifted(&k2, 0.5 * h), level(2 * i + 1))?;
        let (k4, d4) = slope(&shifted(&k3, h), level(2 * i + 2))?;
        for j in 0..y.len() {
            y[j] += h / 6.0 * (k1[j] + 2.0 * k2[j] + 2.0 * k3[j] + k4[j]);
        }
        for j in 0..integral.len() {
            integral[j] += h / 6.0 * (d1[j] + 2.0 * d2[j] + 2.0 * d3[j] + d4[j]);
        }
    }
    // From y to x: ln p(x) = ln p(y) - d ln alpha, at both ends. A probe's own length takes the place of d in its estimate.
    let stretch = (end.alpha / start.alpha).ln();
    let of_identity = |i: usize| probes.map_or(d as f64, |v| v[i * d..(i + 1) * d].iter().map(|v| v * v).sum());
    let divergence: Vec<f64> = integral.iter().enumerate().map(|(i, s)| s + of_identity(i) * stretch).collect();
    let latent: Vec<f64> = y.iter().map(|y| end.alpha * y).collect();
    let variance = prior_std * prior_std;
    let log_normal = |z: &[f64]| {
        let norm = (std::f64::consts::TAU * variance).ln() * d as f64;
        -0.5 * (z.iter().map(|z| z * z).sum::<f64>() / variance + norm)
    };
    let prior_log_p: Vec<f64> = latent.chunks_exact(d).map(log_normal).collect();
    let share = end.sigma * end.sigma / variance;
    let mismatch = |x: &[f64]| {
        let distance = x.iter().map(|x| (end.alpha / start.alpha * x).powi(2)).sum::<f64>() / variance;
        0.5 * (distance + d as f64 * (share - 1.0 - share.ln()))
    };
    Ok(Likelihood {
        log_p: prior_log_p.iter().zip(&divergence).map(|(p, s)| p + s).collect(),
        prior_mismatch: x.chunks_exact(d).map(mismatch).collect(),
        latent,
        divergence,
        prior_log_p,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        latent::cross_entropy,
        schedule::{Flow, LinearGamma, Ve, Vp},
    };

    fn example() -> GaussianMixture {
        let covs = vec![vec![vec![0.1, -0.06], vec![-0.06, 0.08]], vec![vec![0.05, 0.0], vec![0.0, 0.3]]];
        GaussianMixture::new(vec![0.3, 0.7], vec![vec![1.0, -0.5], vec![-1.0, 0.5]], covs).unwrap()
    }

    /// The change of log density along the flow is exact for every schedule.
    #[test]
    fn divergence_carries_the_density() {
        let (mixture, x) = (example(), [0.3, -0.4, 1.2, 0.0]);
        let schedules: [(&dyn Schedule, f64, f64); 4] = [
            (&Vp::new(0.1, 20.0).unwrap(), 1e-3, 1.0),
            (&Ve::new(0.01, 50.0).unwrap(), 0.0, 1.0),
            (&Flow::new(1.0).unwrap(), 0.01, 0.99),
            (&LinearGamma::new(-10.0, 5.0).unwrap(), 0.0, 1.0),
        ];
        for (schedule, from, to) in schedules {
            let got = likelihood(&mixture, schedule, &x, (from, to), 400, 1.0, None).unwrap();
            let before = mixture.log_p(&x, schedule.level(from));
            let after = mixture.log_p(&got.latent, schedule.level(to));
            for i in 0..2 {
                assert!((before[i] - after[i] - got.divergence[i]).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn probes_along_the_axes_sum_to_the_trace() {
        let (mixture, schedule) = (example(), Vp::new(0.1, 20.0).unwrap());
        let run =
            |probes: Option<&[f64]>| likelihood(&mixture, &schedule, &[0.3, -0.4], (1e-3, 1.0), 100, 1.0, probes).unwrap().divergence[0];
        assert!((run(Some(&[1.0, 0.0])) + run(Some(&[0.0, 1.0])) - run(None)).abs() < 1e-10);
        assert!(likelihood(&mixture, &schedule, &[0.3], (1e-3, 1.0), 100, 1.0, None).is_err());
        assert!(likelihood(&mixture, &schedule, &[0.3, 0.1], (0.0, 1.0), 100, 1.0, None).is_err());
        assert!(likelihood(&mixture, &schedule, &[0.3, 0.1], (1e-3, 1.0), 0, 1.0, None).is_err());
    }

    struct Normal(f64);

    impl Denoiser<Tensor<2>> for Normal {
        fn denoise(&self, x: &Tensor<2>, at: Level, _: u32) -> Tensor<2> {
            x.clone().mul_scalar(at.alpha * self.0 / (at.alpha * at.alpha * self.0 + at.sigma * at.sigma))
        }
    }

    #[test]
    fn a_differentiated_network_agrees_with_the_closed_form() {
        let (device, schedule) = (Device::flex(), Vp::new(0.1, 20.0).unwrap());
        let field = Traced { base: Normal(0.4), dim: 2, device: &device };
        let probes = [1.0, -1.0, 1.0, 1.0];
        let got = likelihood(&field, &schedule, &[0.3, -0.4, 0.1, 0.9], (1e-3, 1.0), 100, 1.0, Some(&probes)).unwrap();
        let normal = GaussianMixture::new(vec![1.0], vec![vec![0.0; 2]], vec![vec![vec![0.4, 0.0], vec![0.0, 0.4]]]).unwrap();
        let exact = normal.log_p(&[0.3, -0.4, 0.1, 0.9], schedule.level(1e-3));
        assert!(got.log_p.iter().zip(exact).all(|(g, e)| (g - e).abs() < 1e-3), "{:?}", got.log_p);
        assert!(likelihood(&field, &schedule, &[0.3, -0.4], (1e-3, 1.0), 1, 1.0, None).is_err());
    }

    /// With `g^2` the loss of any denoiser bounds the mean NLL from above, and the exact denoiser's bound is an equality.
    #[test]
    fn the_likelihood_weighted_loss_is_a_bound() {
        let (mixture, schedule) = (example(), Vp::new(0.1, 20.0).unwrap());
        let (from, to) = (1e-2, 1.0);
        // E |x0 - c D|^2 = E |x0 - D|^2 + (1 - c)^2 E |D|^2: the scaled denoiser is worse.
        let error = |at: Level, scale: f64| {
            let cov = |x: &[f64]| mixture.cov_x0(x, at).iter().step_by(3).sum::<f64>();
            let extra = |x: &[f64]| mixture.mean_x0(x, at).iter().map(|d| ((1.0 - scale) * d).powi(2)).sum::<f64>();
            mixture.expect(at, |x| cov(x) + extra(x)).unwrap()
        };
        let square = mixture.expect(Level::clean(), |x| x.iter().map(|v| v * v).sum()).unwrap();
        let bound = |scale: f64| cross_entropy(&schedule, (from, to), 60, 2, square, |at| error(at, scale)).unwrap().total();
        let nll = mixture.expect(schedule.level(from), |x| -mixture.log_p(x, schedule.level(from))[0]).unwrap();
        let exact = bound(1.0);
        // The exact denoiser: the bound is the NLL of the model whose prior is N(0, I), above that of the data by its mismatch.
        assert!(exact >= nll - 1e-6 && exact < nll + 1e-3, "{exact} {nll}");
        assert!(bound(0.9) > nll + 0.01);
    }
}
