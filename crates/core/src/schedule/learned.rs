//! The learned noise schedule of variational diffusion: a monotone network (Kingma et al. 2021, appendix H).

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData, activation},
};

use super::{Schedule, above};
use crate::{Error, Level, NoiseSource, Philox, noise::stream};

/// `gamma(t)` as a network: `u = a t`, `y = u + sum_h c_h sigmoid(b_h u + d_h)` with positive `a, b, c`, scaled to its end points.
#[derive(Module, Debug)]
pub struct MonotoneGamma {
    /// `gamma` at `t = 0` and `t = 1`, shape `[2]`.
    ends: Param<Tensor<1>>,
    /// `a` before its softplus, shape `[1, 1]`.
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
        let param = |values: Vec<f32>, shape: [usize; 2]| Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device));
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
        let n = t.dims()[0];
        let ends = Tensor::from_data(TensorData::new(vec![0f32, 1.0], [2]), &t.device());
        let all = Tensor::cat(vec![ends, t], 0).reshape([n + 2, 1]);
        let positive = |p: &Param<Tensor<2>>| activation::softplus(p.val(), 1.0);
        let u = all.matmul(positive(&self.slope));
        let hidden = activation::sigmoid(u.clone().matmul(positive(&self.rates)) + self.shifts.val());
        let y = (u + hidden.matmul(positive(&self.heights))).reshape([n + 2]);
        let (low, high) = (y.clone().narrow(0, 0, 1), y.clone().narrow(0, 1, 1));
        let share = (y.narrow(0, 2, n) - low.clone()) / (high - low);
        let gamma = self.ends.val();
        let (min, max) = (gamma.clone().narrow(0, 0, 1), gamma.narrow(0, 1, 1));
        share * (max - min.clone()) + min
    }

    /// The curve as a schedule for sampling, in f64.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if training has moved the end points out of order, or a weight is not finite.
    pub fn to_schedule(&self) -> Result<LearnedGamma, Error> {
        let host = |p: &Param<Tensor<2>>| p.val().into_data().iter::<f64>().collect::<Vec<_>>();
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
        let mut curve = LearnedGamma { ends: (ends[0], ends[1]), slope, units, raw: (0.0, 1.0) };
        curve.raw = (curve.curve(0.0).0, curve.curve(1.0).0);
        Ok(curve)
    }
}

/// A trained [`MonotoneGamma`], frozen, on `[0, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedGamma {
    ends: (f64, f64),
    slope: f64,
    units: Vec<[f64; 3]>,
    /// The unscaled curve at 0 and 1.
    raw: (f64, f64),
}

impl LearnedGamma {
    /// The unscaled curve and its slope.
    fn curve(&self, t: f64) -> (f64, f64) {
        let u = self.slope * t;
        let (mut y, mut dy) = (u, 1.0);
        for [rate, shift, height] in &self.units {
            let s = 1.0 / (1.0 + (-(rate * u + shift)).exp());
            y += height * s;
            dy += height * rate * s * (1.0 - s);
        }
        (y, dy * self.slope)
    }

    /// `gamma(t)` and its slope.
    fn gamma(&self, t: f64) -> (f64, f64) {
        let (y, dy) = self.curve(t);
        let scale = (self.ends.1 - self.ends.0) / (self.raw.1 - self.raw.0);
        (self.ends.0 + (y - self.raw.0) * scale, dy * scale)
    }
}

impl Schedule for LearnedGamma {
    fn level(&self, t: f64) -> Level {
        Level::vp_of_lambda(-0.5 * self.gamma(t).0)
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        let wanted = -2.0 * lambda;
        let (mut low, mut high) = (0.0, 1.0);
        let mut t = ((wanted - self.ends.0) / (self.ends.1 - self.ends.0)).clamp(0.0, 1.0);
        // Newton's method, kept inside a bracket that each evaluation shrinks.
        for _ in 0..100 {
            let (gamma, slope) = self.gamma(t);
            if gamma < wanted {
                low = t;
            } else {
                high = t;
            }
            let newton = t - (gamma - wanted) / slope;
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            if (next - t).abs() < 1e-15 {
                return next;
            }
            t = next;
        }
        t
    }

    fn g2(&self, t: f64) -> f64 {
        self.gamma(t).1 * self.level(t).sigma.powi(2)
    }

    fn drift(&self, t: f64) -> f64 {
        -0.5 * self.g2(t)
    }

    fn span(&self) -> (f64, f64) {
        (0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{guide::gradient, latent::cross_entropy, loss::Weight, schedule::LinearGamma};

    fn bent() -> MonotoneGamma {
        let mut network = MonotoneGamma::new(-12.0, 5.0, 16, 3, &Device::flex()).unwrap();
        let high = Tensor::<2>::ones([16, 1], &Device::flex()).mul_scalar(2.0);
        let steep = network.rates.val().mul_scalar(4.0).add_scalar(3.0);
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

    #[test]
    fn nonsense_is_refused() {
        let device = Device::flex();
        assert!(MonotoneGamma::new(5.0, -12.0, 16, 0, &device).is_err() && MonotoneGamma::new(-12.0, 5.0, 0, 0, &device).is_err());
        let mut network = bent();
        network.ends = Param::from_tensor(Tensor::from_data(TensorData::new(vec![1f32, -1.0], [2]), &device));
        assert!(network.to_schedule().is_err());
    }
}
