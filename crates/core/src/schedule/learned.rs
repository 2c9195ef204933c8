//! The learned noise schedule of variational diffusion: a monotone network (Kingma et al. 2021, appendix H), trained for the least
//! variance of the loss (section 5.1).

mod curve;

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData, activation},
};

pub use curve::LearnedGamma;

use super::above;
use crate::{Error, NoiseSource, Philox, noise::stream};

/// What one unit of a stored number stands for. Adam moves every number by its learning rate, whatever its size: stored this way the
/// curve finds its shape as fast as a denoiser beside it learns (measured: 1400 steps at 1e-3).
const PACE: f64 = 30.0;

/// `gamma(t)` as a network: `u = a t`, `y = u + sum_h c_h sigmoid(b_h u + d_h)` with positive `a, b, c`, scaled to its end points.
#[derive(Module, Debug)]
pub struct MonotoneGamma {
    /// `gamma` at `t = 0` and `t = 1`, shape `[2]`.
    ends: Param<Tensor<1>>,
    /// `a` before its softplus (this and the following over `PACE`), shape `[1, 1]`.
    slope: Param<Tensor<2>>,
    /// `b` before its softplus, shape `[1, hidden]`.
    rates: Param<Tensor<2>>,
    /// `d`, shape `[1, hidden]`.
    shifts: Param<Tensor<2>>,
    /// `c` before its softplus, shape `[hidden, 1]`.
    heights: Param<Tensor<2>>,
}

impl MonotoneGamma {
    /// A network of `hidden` units (the paper has 1024) whose curve starts near the linear one.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `gamma_min < gamma_max` and there is a hidden unit.
    pub fn new(gamma_min: f64, gamma_max: f64, hidden: usize, seed: u64, device: &Device) -> Result<Self, Error> {
        super::LinearGamma::new(gamma_min, gamma_max)?;
        if !(1..=1_000_000).contains(&hidden) {
            return Err(Error::OutOfRange { name: "hidden", value: hidden as f64, range: "between 1 and 1000000" });
        }
        let mut normals = vec![0f32; 2 * hidden];
        Philox::new(seed).fill(0, 0, stream::INIT, &mut normals);
        let param = |values: Vec<f32>, shape: [usize; 2]| {
            let stored: Vec<f32> = values.into_iter().map(|v| v / PACE as f32).collect();
            Param::from_tensor(Tensor::from_data(TensorData::new(stored, shape), device))
        };
        let (rates, shifts) = normals.split_at(hidden);
        // softplus(height) is about 1 / (10 hidden): the hidden units start as a small correction.
        let height = ((0.1 / hidden as f64).exp_m1()).ln() as f32;
        Ok(Self {
            ends: Param::from_tensor(Tensor::from_data(TensorData::new(vec![gamma_min, gamma_max], [2]), device)),
            slope: param(vec![1.0], [1, 1]),
            rates: param(rates.to_vec(), [1, hidden]),
            shifts: param(shifts.to_vec(), [1, hidden]),
            heights: param(vec![height; hidden], [hidden, 1]),
        })
    }

    /// `gamma` at times in `[0, 1]`, shape `[n]`; differentiable in the network.
    pub fn forward(&self, t: Tensor<1>) -> Tensor<1> {
        self.curve(t, self.ends.val()).0
    }

    /// `gamma` and its slope in time between `ends` (shape `[2]`) at times in `[0, 1]`, shape `[n]` each.
    fn curve(&self, t: Tensor<1>, ends: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
        let n = t.dims()[0];
        let unit = Tensor::from_data(TensorData::new(vec![0f32, 1.0], [2]), &t.device());
        let all = Tensor::cat(vec![unit, t], 0).reshape([n + 2, 1]);
        let positive = |p: &Param<Tensor<2>>| activation::softplus(p.val() * PACE, 1.0);
        let (a, b, c) = (positive(&self.slope), positive(&self.rates), positive(&self.heights));
        let u = all.matmul(a.clone());
        let hidden = activation::sigmoid(u.clone().matmul(b.clone()) + self.shifts.val() * PACE);
        let y = (u + hidden.clone().matmul(c.clone())).reshape([n + 2]);
        // dy/dt = a (1 + sum_h c_h b_h s_h (1 - s_h)).
        let rise = hidden.clone() * (-hidden + 1.0) * b;
        let dy = ((rise.matmul(c) + 1.0) * a).reshape([n + 2]).narrow(0, 2, n);
        let (low, high) = (y.clone().narrow(0, 0, 1), y.clone().narrow(0, 1, 1));
        let (min, max) = (ends.clone().narrow(0, 0, 1), ends.narrow(0, 1, 1));
        let scale = (max - min.clone()) / (high - low.clone());
        ((y.narrow(0, 2, n) - low) * scale.clone() + min, dy * scale)
    }

    /// What to minimise so that the Monte Carlo estimate of the loss gets the least variance; shape `[1]`. Its value is 0, its
    /// gradient is that of `ln E[L^2]` in the curve between its ends, which stay.
    ///
    /// `losses` are the rows' own terms `L(t) = gamma'(t) err(gamma(t)) / 2` of the bound (weight
    /// [`Likelihood`](crate::loss::Weight::Likelihood), half of it) at `times`, which should cover `[0, 1]` uniformly, best
    /// stratified; for a part of such a batch see [`variance_loss_about`](Self::variance_loss_about). The mean of `L` does not depend
    /// on the curve, so the variance falls with `E[L^2] = 1/4 int err^2 / p dgamma`, where `p = 1 / gamma'` is the density of sampled
    /// `gamma`: its gradient is `-E[L^2 d ln p(gamma_i)]` at fixed `gamma_i`. Unlike the form of appendix I.2 it needs no gradient
    /// through the denoiser. The mean of `L^2` is the unit, and the baseline: `E[d ln p] = 0`.
    ///
    /// An unpaired time or loss is ignored; without a pair, or when every loss is 0, the gradient is 0.
    pub fn variance_loss(&self, times: &[f64], losses: &[f64]) -> Tensor<1> {
        let n = times.len().min(losses.len());
        self.variance_loss_about(times, losses, losses[..n].iter().map(|l| l * l).sum::<f64>() / n as f64)
    }

    /// As [`variance_loss`](Self::variance_loss) with a given `mean_square` of `L`, of earlier steps for instance: then the mean over
    /// the parts of a batch is the batch's, whichever times a part holds. Without a positive one the gradient is 0.
    pub fn variance_loss_about(&self, times: &[f64], losses: &[f64], mean_square: f64) -> Tensor<1> {
        let ends = self.ends.val().detach();
        let n = times.len().min(losses.len());
        if n == 0 || mean_square <= 0.0 {
            return Tensor::zeros([1], &ends.device());
        }
        let row = |values: Vec<f64>| Tensor::<1>::from_data(TensorData::new(values, [n]), &ends.device());
        let weights = row(losses[..n].iter().map(|l| (l * l / mean_square - 1.0) / n as f64).collect());
        let t = row(times[..n].to_vec());
        // The time at which the curve passes a fixed gamma, to first order in the network: dt = -dgamma / gamma'.
        let (gamma, slope) = self.curve(t.clone(), ends.clone());
        let t = t - (gamma.clone() - gamma.detach()) / slope.detach();
        let minus_log_density = self.curve(t, ends).1.log();
        let surrogate = (minus_log_density * weights).sum();
        surrogate.clone() - surrogate.detach()
    }

    /// The curve as a schedule for sampling, in f64.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if training has moved the end points out of order, or a weight is not finite.
    pub fn to_schedule(&self) -> Result<LearnedGamma, Error> {
        let host = |p: &Param<Tensor<2>>| p.val().into_data().iter::<f64>().map(|v| PACE * v).collect::<Vec<_>>();
        let softplus = |x: f64| if x > 30.0 { x } else { x.exp().ln_1p() };
        let ends: Vec<f64> = self.ends.val().into_data().iter::<f64>().collect();
        above("gamma_min", ends[0], f64::NEG_INFINITY, "a finite number")?;
        above("gamma_max", ends[1], ends[0], "greater than gamma_min")?;
        let (rates, shifts, heights) = (host(&self.rates), host(&self.shifts), host(&self.heights));
        let units: Vec<[f64; 3]> = (0..rates.len()).map(|h| [softplus(rates[h]), shifts[h], softplus(heights[h])]).collect();
        let slope = softplus(host(&self.slope)[0]);
        if let Some(&value) = units.iter().flatten().chain([&slope]).find(|v| !v.is_finite()) {
            return Err(Error::OutOfRange { name: "weight of the schedule", value, range: "a finite number" });
        }
        Ok(LearnedGamma::new((ends[0], ends[1]), slope, units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Level,
        guide::gradient,
        latent::cross_entropy,
        loss::{TimeSampler, Weight},
        mixture::GaussianMixture,
        schedule::{LinearGamma, Schedule},
    };
    use burn::optim::{AdamConfig, GradientsParams};

    fn bent() -> MonotoneGamma {
        let mut network = MonotoneGamma::new(-12.0, 5.0, 16, 3, &Device::flex()).unwrap();
        let high = Tensor::<2>::ones([16, 1], &Device::flex()).mul_scalar(2.0 / PACE);
        let steep = network.rates.val().mul_scalar(4.0).add_scalar(3.0 / PACE);
        network.heights = Param::from_tensor(high);
        network.rates = Param::from_tensor(steep);
        network
    }

    #[test]
    fn the_network_and_its_schedule_agree() {
        let network = bent();
        let schedule = network.to_schedule().unwrap();
        let times: Vec<f64> = (0..=20).map(|i| f64::from(i) / 20.0).collect();
        let tensor = Tensor::<1>::from_data(TensorData::new(times.clone(), [21]), &Device::flex());
        let got: Vec<f64> = network.forward(tensor.clone()).into_data().iter::<f64>().collect();
        for (t, g) in times.iter().zip(&got) {
            assert!((g + 2.0 * schedule.level(*t).lambda()).abs() < 1e-4);
            assert!((schedule.t_of_lambda(schedule.level(*t).lambda()) - t).abs() < 1e-10);
        }
        assert!(got.windows(2).all(|w| w[1] > w[0]));
        assert!((got[0] + 12.0).abs() < 1e-5 && (got[20] - 5.0).abs() < 1e-5);
        // The curve is bent, and its slope is what the device differentiates.
        assert!((got[10] + 3.5).abs() > 0.1);
        let slopes: Vec<f64> = gradient(&tensor, |t| network.forward(t)).into_data().iter::<f64>().collect();
        for (t, s) in times.iter().zip(slopes) {
            let (g2, sigma2) = (schedule.g2(*t), schedule.level(*t).sigma.powi(2));
            assert!((g2 / sigma2 / s - 1.0).abs() < 1e-3);
        }
    }

    /// The loss in continuous time is the same for every curve between the same end points.
    #[test]
    fn the_bound_does_not_see_the_shape() {
        let error = |at: Level| 0.7 * at.sigma.powi(2) / (0.7 * at.alpha.powi(2) + at.sigma.powi(2));
        // Half the integral of the likelihood-weighted loss over each curve's own time, by Simpson's rule.
        let loss = |s: &dyn Schedule| {
            let n = 4000;
            let term = |k: u32| {
                let t = f64::from(k) / f64::from(n);
                let simpson = if k == 0 || k == n { 1.0 } else { f64::from(2 + 2 * (k % 2)) };
                simpson / f64::from(6 * n) * Weight::Likelihood.factor(crate::Param::X0, s.level(t), s.g2(t)) * error(s.level(t))
            };
            (0..=n).map(term).sum::<f64>()
        };
        let (line, curve) = (LinearGamma::new(-12.0, 5.0).unwrap(), bent().to_schedule().unwrap());
        let exact = cross_entropy(&line, (0.0, 1.0), 2000, 1, 0.7, error).unwrap().diffusion;
        assert!((loss(&line) / exact - 1.0).abs() < 1e-7 && (loss(&curve) / exact - 1.0).abs() < 1e-6);
        // The ends are exact, so the terms that depend on them alone are too.
        assert!([0.0, 1.0].iter().all(|&t| (line.level(t).lambda() - curve.level(t).lambda()).abs() < 1e-12));
    }

    /// Midpoints of `n` equal parts of the time, and the loss's terms there.
    fn terms(schedule: &LearnedGamma, n: u32, error: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<f64>) {
        let times: Vec<f64> = (0..n).map(|i| (f64::from(i) + 0.5) / f64::from(n)).collect();
        let losses = times.iter().map(|&t| schedule.gamma(t)).map(|(gamma, slope)| 0.5 * slope * error(gamma)).collect();
        (times, losses)
    }

    /// Mean of the loss's terms and of their squares over uniform times.
    fn moments(schedule: &LearnedGamma, error: impl Fn(f64) -> f64) -> (f64, f64) {
        let (_, losses) = terms(schedule, 20_000, error);
        let mean = |power: i32| losses.iter().map(|l| l.powi(power)).sum::<f64>() / losses.len() as f64;
        (mean(1), mean(2))
    }

    #[test]
    fn its_gradient_is_that_of_the_second_moment() {
        // The error of the noise of data with variance 0.7, with a bump.
        let error = |gamma: f64| 1.0 / (1.0 + gamma.exp() / 0.7) * (1.0 + 0.5 * (-(gamma + 3.0).powi(2)).exp());
        let network = bent();
        let (times, losses) = terms(&network.to_schedule().unwrap(), 4096, error);
        let trained = network.clone().train();
        let loss = trained.variance_loss(&times, &losses);
        let grads = loss.backward();
        assert_eq!(loss.into_scalar::<f32>(), 0.0);
        assert!(trained.ends.val().grad(&grads).is_none());
        type Field = fn(&mut MonotoneGamma) -> &mut Param<Tensor<2>>;
        let fields: [Field; 4] = [|n| &mut n.slope, |n| &mut n.rates, |n| &mut n.shifts, |n| &mut n.heights];
        let mut largest = 0f64;
        for field in fields {
            let got: Vec<f64> = field(&mut trained.clone()).val().grad(&grads).unwrap().into_data().iter::<f64>().collect();
            for (k, got) in got.into_iter().enumerate() {
                let h = 0.01 / PACE;
                let shifted = |by: f64| {
                    let mut moved = network.clone();
                    let param = field(&mut moved);
                    let (mut values, shape): (Vec<f64>, _) = (param.val().into_data().iter::<f64>().collect(), param.val().dims());
                    values[k] += by;
                    *param = Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), &Device::flex()));
                    moments(&moved.to_schedule().unwrap(), error).1.ln()
                };
                let expected = (shifted(h) - shifted(-h)) / (2.0 * h);
                assert!((got - expected).abs() < 2e-4 * (0.05 * PACE + expected.abs()), "value {k}: {got} {expected}");
                largest = largest.max(expected.abs());
            }
        }
        assert!(largest > 0.05 * PACE, "{largest}");
    }

    #[test]
    fn the_parts_of_a_batch_add_up() {
        let network = bent().train();
        let (times, losses) = terms(&network.to_schedule().unwrap(), 12, |gamma| 1.0 / (1.0 + gamma.exp()));
        let gradient =
            |loss: Tensor<1>| -> Vec<f64> { network.rates.val().grad(&loss.backward()).unwrap().into_data().iter::<f64>().collect() };
        let mean = losses.iter().map(|l| l * l).sum::<f64>() / 12.0;
        let part = |rows: std::ops::Range<usize>| gradient(network.variance_loss_about(&times[rows.clone()], &losses[rows], mean));
        let (whole, first, second) = (gradient(network.variance_loss(&times, &losses)), part(0..3), part(3..12));
        assert!(whole.iter().any(|g| g.abs() > 1e-3));
        assert!(whole.iter().zip(first.iter().zip(&second)).all(|(w, (a, b))| (w - 0.25 * a - 0.75 * b).abs() < 1e-6));
    }

    /// From a variance of 0.36 to less than 0.018 squared means at a denoiser's learning rate, on batches of 32 rows.
    #[test]
    fn its_steps_lower_the_variance_and_not_the_mean() {
        let mixture = GaussianMixture::new(vec![0.4, 0.6], vec![vec![1.0], vec![-0.6]], vec![vec![vec![0.02]]; 2]).unwrap();
        let (low, high) = (-9.0, 3.0);
        // The closed form on a grid, with straight lines between its points.
        let of_noise = |gamma: f64| {
            let at = Level::vp_of_lambda(-0.5 * gamma);
            at.snr() * mixture.expect(at, |x| mixture.cov_x0(x, at)[0]).unwrap()
        };
        let grid: Vec<f64> = (0..=240).map(|i| of_noise(low + (high - low) * f64::from(i) / 240.0)).collect();
        let error = |gamma: f64| {
            let x = ((gamma - low) / (high - low) * 240.0).clamp(0.0, 239.999_999);
            grid[x as usize] + x.fract() * (grid[x as usize + 1] - grid[x as usize])
        };
        let mut network = MonotoneGamma::new(low, high, 32, 1, &Device::flex()).unwrap().train();
        let first = moments(&network.to_schedule().unwrap(), error);
        let mut adam = AdamConfig::new().init();
        for step in 0..3000 {
            let schedule = network.to_schedule().unwrap();
            let times = TimeSampler::default().times(&schedule, Philox::new(7), step, 32);
            let losses: Vec<f64> = times.iter().map(|&t| schedule.gamma(t)).map(|(gamma, slope)| 0.5 * slope * error(gamma)).collect();
            let grads = GradientsParams::from_grads(network.variance_loss(&times, &losses).backward(), &network);
            network = adam.step(3e-3, network, grads);
        }
        let last = moments(&network.to_schedule().unwrap(), error);
        let spread = |(mean, square): (f64, f64)| square / (mean * mean) - 1.0;
        assert!((last.0 / first.0 - 1.0).abs() < 1e-4);
        assert!(spread(last) < 0.05 * spread(first) && spread(last) >= 0.0, "{} {}", spread(first), spread(last));
    }

    #[test]
    fn nonsense_is_refused() {
        let device = Device::flex();
        assert!(MonotoneGamma::new(5.0, -12.0, 16, 0, &device).is_err() && MonotoneGamma::new(-12.0, 5.0, 0, 0, &device).is_err());
        let mut network = bent();
        for (times, losses) in [(vec![], vec![]), (vec![0.5], vec![]), (vec![0.2, 0.7], vec![0.0, 0.0])] {
            assert_eq!(network.variance_loss(&times, &losses).into_scalar::<f32>(), 0.0);
        }
        network.ends = Param::from_tensor(Tensor::from_data(TensorData::new(vec![1f32, -1.0], [2]), &device));
        assert!(network.to_schedule().is_err());
    }
}
