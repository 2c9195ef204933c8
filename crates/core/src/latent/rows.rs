//! The cross-entropy of a batch of codes from one noise level a row: what an encoder and its diffusion prior are trained on together
//! (Vahdat et al. 2021, LSGM, theorem 1 and section 3.2).

use burn::tensor::{Tensor, TensorData};

use super::cross_entropy::Ends;
use crate::{Error, schedule::Schedule};

/// An unbiased estimate of the parts of `E_q[-ln p(z_0)]` for each row, in nats; their meaning is that of
/// [`CrossEntropy`](super::CrossEntropy).
#[derive(Clone, Debug)]
pub struct CrossEntropyRows {
    /// The denoising loss at the row's one level with the likelihood weight, shape `[batch]`; differentiable in the network and the code.
    pub diffusion: Tensor<1>,
    /// Divergence of the noisiest code from the prior, shape `[batch]`; differentiable in the code.
    pub prior: Tensor<1>,
    /// Entropy of the least noise, the same for every row.
    pub start: f64,
}

impl CrossEntropyRows {
    /// The sum of the parts, shape `[batch]`. Less the entropy of the encoder it is the divergence term of the evidence bound.
    pub fn total(self) -> Tensor<1> {
        self.diffusion + self.prior + self.start
    }
}

/// Estimates the cross-entropy of codes `z0` (shape `[batch, ...]`, sampled from the encoder) over a schedule's whole span.
///
/// Each code is noised at a time of its own. `errors` are the squared errors `|F - F*|^2` of the network's output there, summed over
/// a row, shape `[batch]` ([`Dsm`](crate::loss::Dsm) makes inputs and targets). `weights` are the factors of these errors under
/// [`Weight::Likelihood`](crate::loss::Weight::Likelihood), over the density of the row's time relative to a uniform one: what
/// [`Objective::draw`](crate::recipe::Objective::draw) returns. The prior is `N(0, I)`, so the schedule should end near unit variance.
/// In f32 the errors of `eps` and `v` keep their precision at little noise, those of `x0` do not.
///
/// # Errors
/// [`Error::OutOfRange`] if an end of the span has no finite log-SNR, or for a weight that is negative or not finite;
/// [`Error::Invalid`] unless there is one error and one weight a row.
pub fn cross_entropy_rows<const D: usize>(
    schedule: &dyn Schedule,
    z0: Tensor<D>,
    errors: Tensor<1>,
    weights: &[f64],
) -> Result<CrossEntropyRows, Error> {
    let (from, to) = schedule.span();
    let ends = Ends::new(schedule, (from, to))?;
    let (batch, found) = (z0.dims()[0], errors.dims()[0]);
    if found != batch || weights.len() != batch {
        return Err(Error::Invalid { what: "batch", reason: format!("{batch} codes, {found} errors and {} weights", weights.len()) });
    }
    if let Some(&value) = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
        return Err(Error::OutOfRange { name: "weight", value, range: "0 or more" });
    }
    let dim = z0.shape().num_elements() / batch.max(1);
    // Half the integral over time is half the span times the mean.
    let factors = weights.iter().map(|w| 0.5 * (to - from) * w).collect::<Vec<_>>();
    let factors = Tensor::<1>::from_data(TensorData::new(factors, [batch]), &errors.device());
    let (of_square, offset) = ends.prior(dim);
    let squares = z0.reshape([batch, dim]).square().sum_dim(1).squeeze_dim::<1>(1);
    Ok(CrossEntropyRows { diffusion: errors * factors, prior: squares * of_square + offset, start: ends.start(dim) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Level, NoiseSource, Param, Philox,
        guide::gradient,
        latent::cross_entropy,
        loss::{Dsm, LossHistory, TimeSampler, Weight, corrupt},
        noise::stream,
        schedule::{LinearGamma, Vp},
    };
    use burn::tensor::Device;

    const ROWS: usize = 40_000;
    /// `z ~ N(0, 1)`, `x = W z + R n`, seen at `X`.
    const W: f64 = 1.5;
    const R: f64 = 0.4;
    const X: f64 = 0.8;

    /// Mean and variance of the exact encoder `p(z | x)`.
    fn encoder() -> (f64, f64) {
        let variance = 1.0 / (1.0 + W * W / (R * R));
        (variance * W * X / (R * R), variance)
    }

    fn column(values: Vec<f64>) -> Tensor<2> {
        let rows = values.len();
        Tensor::from_data(TensorData::new(values, [rows, 1]), &Device::flex())
    }

    fn normals(stream: u32) -> Vec<f64> {
        let mut z = vec![0.0; ROWS];
        Philox::new(11).fill_f64(0, 0, stream, &mut z);
        z
    }

    /// Codes of the encoder, for a given mean.
    fn codes(mean: Tensor<2>) -> Tensor<2> {
        mean + column(normals(1)) * encoder().1.sqrt()
    }

    /// The estimate for codes at times whose densities `undone` makes up for, with the exact denoiser of `N(0, 1)`: `alpha z` on variance
    /// preserving levels. `gain` multiplies its output `F`.
    fn estimate(
        schedule: &dyn Schedule,
        param: Param,
        z0: &Tensor<2>,
        (times, undone): &(Vec<f64>, Vec<f64>),
        gain: Tensor<2>,
    ) -> CrossEntropyRows {
        let (loss, eps) = (Dsm { param, weight: Weight::Likelihood }, column(normals(stream::TRAIN)));
        let levels: Vec<Level> = times.iter().map(|&t| schedule.level(t)).collect();
        let exact = |at: &Level| {
            let c = param.coef(*at);
            (at.alpha - c.skip) / (c.out * c.input)
        };
        let input = loss.inputs(corrupt(z0.clone(), eps.clone(), &levels), &levels);
        let output = input * column(levels.iter().map(exact).collect()) * gain;
        let errors = (output - loss.targets(z0.clone(), eps, &levels)).square().squeeze_dim::<1>(1);
        let weights: Vec<f64> = loss.weights(schedule, times).iter().zip(undone).map(|(w, u)| w * u).collect();
        cross_entropy_rows(schedule, z0.clone(), errors, &weights).unwrap()
    }

    fn mean_and_error(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n / n).sqrt())
    }

    fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
        x.into_data().iter::<f64>().collect()
    }

    /// Times from four densities with the weights that undo them.
    fn draws(schedule: &dyn Schedule) -> Vec<(Vec<f64>, Vec<f64>)> {
        let philox = Philox::new(5);
        let mut draws: Vec<(Vec<f64>, Vec<f64>)> = [TimeSampler::Uniform {}, TimeSampler::LowDiscrepancy {}]
            .map(|kind| (kind.times(schedule, philox, 0, ROWS), vec![1.0; ROWS]))
            .into();
        let (least, most) = schedule.span();
        let logit_normal = TimeSampler::LogitNormal { mean: 0.3, std: 1.5 }.times(schedule, philox, 0, ROWS);
        let weight = |t: &f64| {
            let s = (t - least) / (most - least);
            let z = ((s / (1.0 - s)).ln() - 0.3) / 1.5;
            s * (1.0 - s) * 1.5 * (0.5 * z * z).exp() * std::f64::consts::TAU.sqrt()
        };
        let weights = logit_normal.iter().map(weight).collect();
        draws.push((logit_normal, weights));
        let mut history = LossHistory::new(4, 1).unwrap();
        let bins = [0.1, 0.3, 0.6, 0.9].map(|s| least + s * (most - least));
        history.update(schedule, &bins, &[1.0, 2.0, 0.5, 0.7]);
        draws.push(history.times(schedule, philox, 0, ROWS));
        draws
    }

    #[test]
    fn the_mean_is_the_cross_entropy_and_the_bound_the_evidence() {
        let (mean, variance) = encoder();
        let square = mean * mean + variance;
        let z0 = codes(column(vec![mean; ROWS]));
        let tau = std::f64::consts::TAU;
        let entropy = 0.5 * (1.0 + (tau * variance).ln());
        let evidence = -0.5 * ((tau * (W * W + R * R)).ln() + X * X / (W * W + R * R));
        let reconstruction: Vec<f64> =
            host(z0.clone()).iter().map(|z| -0.5 * ((tau * R * R).ln() + (X - W * z).powi(2) / (R * R))).collect();
        // With uniform times the likelihood weight of VP rises to g^2 / sigma^2 = 1000 at its start.
        let schedules: [(&dyn Schedule, f64); 2] = [(&LinearGamma::new(-10.0, 6.0).unwrap(), 0.02), (&Vp::new(0.1, 20.0).unwrap(), 0.2)];
        for (schedule, precision) in schedules {
            // The error of the exact denoiser under this encoder is in closed form.
            let error = |at: Level| at.sigma.powi(4) * square + (at.alpha * at.sigma).powi(2);
            let exact = cross_entropy(schedule, schedule.span(), 2000, 1, square, error).unwrap();
            for (kind, times) in draws(schedule).iter().enumerate() {
                for param in [Param::Eps, Param::V] {
                    let got = estimate(schedule, param, &z0, times, column(vec![1.0]));
                    assert!((got.start - exact.start).abs() < 1e-12);
                    let (prior, prior_error) = mean_and_error(&host(got.prior.clone()));
                    assert!((prior - exact.prior).abs() < 5.0 * prior_error + 1e-6);
                    let (diffusion, error) = mean_and_error(&host(got.diffusion.clone()));
                    assert!((diffusion - exact.diffusion).abs() < 5.0 * error, "{kind} {param:?}: {diffusion} {}", exact.diffusion);
                    assert!(error < precision * exact.diffusion, "{kind} {param:?}: {error}");
                    let bound: Vec<f64> = host(got.total()).iter().zip(&reconstruction).map(|(c, r)| r + entropy - c).collect();
                    let (bound, error) = mean_and_error(&bound);
                    // The span starts with little noise, not with none: the data it then sees is that much wider.
                    assert!((bound - evidence).abs() < 5.0 * error + 1e-3, "{kind} {param:?}: {bound} {evidence} {error}");
                }
            }
        }
    }

    /// `E_q[-ln N(z; 0, 1)] = (ln tau + mean^2 + variance) / 2`, so its slope in the mean is the mean and in the log-variance half of the
    /// variance. Both reach the encoder through the code alone.
    #[test]
    fn the_encoder_and_the_network_learn_from_it() {
        let (mean, variance) = encoder();
        let schedule = LinearGamma::new(-10.0, 6.0).unwrap();
        let times = (TimeSampler::default().times(&schedule, Philox::new(9), 0, ROWS), vec![1.0; ROWS]);
        let total = |z0: Tensor<2>, gain: Tensor<2>| estimate(&schedule, Param::Eps, &z0, &times, gain).total();
        let of_codes = host(gradient(&codes(column(vec![mean; ROWS])), |z0| total(z0, column(vec![1.0]))));
        let (slope, error) = mean_and_error(&of_codes);
        assert!((slope - mean).abs() < 5.0 * error && error < 0.05, "{slope} {mean} {error}");
        let of_log_var: Vec<f64> = of_codes.iter().zip(normals(1)).map(|(g, n)| g * 0.5 * variance.sqrt() * n).collect();
        let (slope, error) = mean_and_error(&of_log_var);
        assert!((slope - 0.5 * variance).abs() < 5.0 * error && error < 0.02, "{slope} {variance} {error}");
        // In the network, beside differences: the loss is quadratic in the gain, so they are exact.
        let z0 = codes(column(vec![mean; ROWS]));
        let of_gain = gradient(&column(vec![1.2]), |gain| total(z0.clone(), gain).mean());
        let at = |gain: f64| mean_and_error(&host(total(z0.clone(), column(vec![gain])))).0;
        let expected = (at(1.3) - at(1.1)) / 0.2;
        assert!((host(of_gain)[0] / expected - 1.0).abs() < 1e-3 && expected > 0.1, "{expected}");
    }

    #[test]
    fn nonsense_is_refused() {
        let schedule = LinearGamma::new(-10.0, 6.0).unwrap();
        let run = |schedule: &dyn Schedule, errors: usize, weights: &[f64]| {
            cross_entropy_rows(schedule, column(vec![0.5, -0.5]), Tensor::ones([errors], &Device::flex()), weights)
        };
        assert!(run(&schedule, 2, &[1.0, 0.0]).is_ok());
        assert!(run(&schedule, 1, &[1.0, 1.0]).is_err() && run(&schedule, 2, &[1.0]).is_err());
        assert!(run(&schedule, 2, &[1.0, -1.0]).is_err() && run(&schedule, 2, &[1.0, f64::NAN]).is_err());
        assert!(run(&crate::schedule::Flow::new(1.0).unwrap(), 2, &[1.0, 1.0]).is_err());
    }
}
