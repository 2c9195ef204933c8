//! A Gaussian mixture seen through any noise level: the one data set for which everything is known in closed form.
//!
//! If `x0 ~ sum_k w_k N(m_k, S_k)` then `x = alpha x0 + sigma eps ~ sum_k w_k N(alpha m_k, C_k)` with
//! `C_k = alpha^2 S_k + sigma^2 I`. The eigenbasis of `S_k` diagonalises `C_k` at every level, so it is found once.
//!
//! Points are packed row-major in slices of `f64`: `n` points of dimension `d` are `n * d` numbers. A remainder shorter than a
//! point is ignored.

mod quadrature;

use burn::tensor::{Tensor, TensorData};
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use serde::{Deserialize, Serialize};

use crate::{Denoiser, Error, Level, noise::NoiseSource};

/// Mixture of Gaussians with exact scores, denoisers and posteriors at every [`Level`], `alpha = 0` included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct GaussianMixture {
    raw: Raw,
    parts: Vec<Part>,
    dim: usize,
}

/// The mixture as a file has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    weights: Vec<f64>,
    means: Vec<Vec<f64>>,
    covs: Vec<Vec<Vec<f64>>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Part {
    log_weight: f64,
    mean: DVector<f64>,
    /// Columns are eigenvectors of the covariance.
    basis: DMatrix<f64>,
    /// Variances along them.
    variances: DVector<f64>,
}

/// One component at one point and level, in the component's eigenbasis.
struct View {
    log_density: f64,
    /// Coordinates of `x - alpha m`.
    offset: DVector<f64>,
    /// Eigenvalues of `C_k`.
    spread: DVector<f64>,
}

impl Part {
    fn view(&self, x: &DVector<f64>, at: Level) -> View {
        let offset = self.basis.tr_mul(&(x - at.alpha * &self.mean));
        let spread = self.variances.map(|v| at.alpha * at.alpha * v + at.sigma * at.sigma);
        let log_density = -0.5 * offset.zip_map(&spread, |y, c| y * y / c + (std::f64::consts::TAU * c).ln()).sum();
        View { log_density, offset, spread }
    }

    /// `grad log N(x; alpha m, C)`.
    fn score(&self, view: &View) -> DVector<f64> {
        -(&self.basis * view.offset.component_div(&view.spread))
    }

    /// `E[x0 | x, component]`.
    fn mean_x0(&self, view: &View, at: Level) -> DVector<f64> {
        let gain = self.variances.component_div(&view.spread) * at.alpha;
        &self.mean + &self.basis * gain.component_mul(&view.offset)
    }

    fn in_basis(&self, diagonal: &DVector<f64>) -> DMatrix<f64> {
        &self.basis * DMatrix::from_diagonal(diagonal) * self.basis.transpose()
    }
}

impl GaussianMixture {
    /// A mixture from weights (positive, summing to 1), means and symmetric positive definite covariances.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what is wrong: lengths that differ, weights that do not sum to 1, a covariance that is not
    /// symmetric positive definite, a number that is not finite.
    pub fn new(weights: Vec<f64>, means: Vec<Vec<f64>>, covs: Vec<Vec<Vec<f64>>>) -> Result<Self, Error> {
        Raw { weights, means, covs }.try_into()
    }

    /// Dimension of a point.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Always false: a mixture has at least one component.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Weights of the components.
    pub fn weights(&self) -> &[f64] {
        &self.raw.weights
    }

    /// Log density in nats of each point of `x` at a level.
    pub fn log_p(&self, x: &[f64], at: Level) -> Vec<f64> {
        self.points(x).map(|x| log_sum_exp(&self.joint(&x, at))).collect()
    }

    /// `grad log p(x)` at a level, packed like `x`.
    pub fn score(&self, x: &[f64], at: Level) -> Vec<f64> {
        self.average(x, at, |part, view| part.score(view))
    }

    /// The denoiser `E[x0 | x]` at a level, packed like `x`.
    pub fn mean_x0(&self, x: &[f64], at: Level) -> Vec<f64> {
        self.average(x, at, |part, view| part.mean_x0(view, at))
    }

    /// Hessian of `log p` at a level: `d * d` numbers a point, row-major.
    pub fn hessian(&self, x: &[f64], at: Level) -> Vec<f64> {
        self.spread_of(x, at, |part, view| {
            let score = part.score(view);
            (score, -part.in_basis(&view.spread.map(|c| 1.0 / c)))
        })
    }

    /// `Cov[x0 | x]` at a level: `d * d` numbers a point, row-major.
    pub fn cov_x0(&self, x: &[f64], at: Level) -> Vec<f64> {
        self.spread_of(x, at, |part, view| {
            let left = part.variances.zip_map(&view.spread, |v, c| v * at.sigma * at.sigma / c);
            (part.mean_x0(view, at), part.in_basis(&left))
        })
    }

    /// `p(component | x)` at a level: `len()` numbers a point.
    pub fn responsibilities(&self, x: &[f64], at: Level) -> Vec<f64> {
        self.points(x).flat_map(|x| softmax(&self.joint(&x, at))).collect()
    }

    /// `p(class | x)` at a level, given the class of each component: `max(labels) + 1` numbers a point.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there is one label for each component.
    pub fn class_posterior(&self, x: &[f64], at: Level, labels: &[usize]) -> Result<Vec<f64>, Error> {
        if labels.len() != self.len() {
            return Err(invalid(format!("{} labels for {} components", labels.len(), self.len())));
        }
        let classes = labels.iter().max().map_or(0, |m| m + 1);
        let mut sums = Vec::new();
        for of_point in self.responsibilities(x, at).chunks_exact(self.len()) {
            let start = sums.len();
            sums.resize(start + classes, 0.0);
            labels.iter().zip(of_point).for_each(|(label, r)| sums[start + label] += r);
        }
        Ok(sums)
    }

    /// The mixture of the components with a label: `p(x0 | class)`.
    ///
    /// `grad log p(class | x)` is the difference of its score and that of the whole mixture.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the labels do not match the components or none of them is `class`.
    pub fn of_class(&self, labels: &[usize], class: usize) -> Result<Self, Error> {
        if labels.len() != self.len() {
            return Err(invalid(format!("{} labels for {} components", labels.len(), self.len())));
        }
        let kept: Vec<usize> = (0..self.len()).filter(|&k| labels[k] == class).collect();
        let total: f64 = kept.iter().map(|&k| self.raw.weights[k]).sum();
        Self::new(
            kept.iter().map(|&k| self.raw.weights[k] / total).collect(),
            kept.iter().map(|&k| self.raw.means[k].clone()).collect(),
            kept.iter().map(|&k| self.raw.covs[k].clone()).collect(),
        )
    }

    /// Mean of the mixture at a level, `d` numbers.
    pub fn mean(&self, at: Level) -> Vec<f64> {
        (self.data_mean() * at.alpha).as_slice().to_vec()
    }

    /// Covariance of the mixture at a level, `d * d` numbers, row-major.
    pub fn covariance(&self, at: Level) -> Vec<f64> {
        let mean = self.data_mean();
        let mut cov = DMatrix::zeros(self.dim, self.dim);
        for part in &self.parts {
            let offset = &part.mean - &mean;
            cov += part.log_weight.exp() * (part.in_basis(&part.variances) + &offset * offset.transpose());
        }
        cov *= at.alpha * at.alpha;
        for j in 0..self.dim {
            cov[(j, j)] += at.sigma * at.sigma;
        }
        cov.as_slice().to_vec()
    }

    /// `n` exact samples of the data and their components. Point `i` is sample `i` of the source, whatever `n` is.
    pub fn sample(&self, source: &dyn NoiseSource, n: usize, node: u32, stream: u32) -> (Vec<f64>, Vec<usize>) {
        let (mut points, mut chosen) = (Vec::with_capacity(n * self.dim), Vec::with_capacity(n));
        let mut z = vec![0.0; self.dim + 2];
        for i in 0..n {
            source.fill_f64(i as u32, node, stream, &mut z);
            // exp(-(a^2 + b^2) / 2) of two normals is uniform: one source of normals is enough.
            let uniform = (-0.5 * (z[0] * z[0] + z[1] * z[1])).exp();
            let mut below = 0.0;
            let k = self.raw.weights.iter().position(|w| {
                below += w;
                uniform < below
            });
            let k = k.unwrap_or(self.len() - 1);
            let part = &self.parts[k];
            let spread = part.variances.zip_map(&DVector::from_column_slice(&z[2..]), |v, z| v.sqrt() * z);
            points.extend((&part.mean + &part.basis * spread).iter());
            chosen.push(k);
        }
        (points, chosen)
    }

    fn data_mean(&self) -> DVector<f64> {
        self.parts.iter().fold(DVector::zeros(self.dim), |sum, p| sum + p.log_weight.exp() * &p.mean)
    }

    fn points<'a>(&self, x: &'a [f64]) -> impl Iterator<Item = DVector<f64>> + use<'a> {
        x.chunks_exact(self.dim).map(DVector::from_column_slice)
    }

    /// `log (w_k N_k(x))` for each component.
    fn joint(&self, x: &DVector<f64>, at: Level) -> Vec<f64> {
        self.parts.iter().map(|p| p.log_weight + p.view(x, at).log_density).collect()
    }

    /// Mean over components, weighted by responsibility, of one vector a component.
    fn average(&self, x: &[f64], at: Level, of: impl Fn(&Part, &View) -> DVector<f64>) -> Vec<f64> {
        let mut out = Vec::with_capacity(x.len());
        for x in self.points(x) {
            let weights = softmax(&self.joint(&x, at));
            let mut sum = DVector::zeros(self.dim);
            for (part, w) in self.parts.iter().zip(weights) {
                sum += w * of(part, &part.view(&x, at));
            }
            out.extend(sum.iter());
        }
        out
    }

    /// Law of total covariance over components that each have a (mean, covariance).
    fn spread_of(&self, x: &[f64], at: Level, of: impl Fn(&Part, &View) -> (DVector<f64>, DMatrix<f64>)) -> Vec<f64> {
        let mut out = Vec::with_capacity(x.len() * self.dim);
        for x in self.points(x) {
            let weights = softmax(&self.joint(&x, at));
            let terms: Vec<_> = self.parts.iter().map(|part| of(part, &part.view(&x, at))).collect();
            let mean = terms.iter().zip(&weights).fold(DVector::zeros(self.dim), |sum, ((m, _), w)| sum + *w * m);
            let mut total = DMatrix::zeros(self.dim, self.dim);
            for ((m, cov), w) in terms.into_iter().zip(weights) {
                let offset = m - &mean;
                total += w * (cov + &offset * offset.transpose());
            }
            // Symmetric, so column-major storage is row-major too.
            out.extend(total.iter());
        }
        out
    }
}

impl Denoiser<Vec<f64>> for GaussianMixture {
    fn denoise(&self, x: &Vec<f64>, at: Level, _node: u32) -> Vec<f64> {
        self.mean_x0(x, at)
    }
}

/// Shape `[batch, d]`; arithmetic is f64 on the host.
impl Denoiser<Tensor<2>> for GaussianMixture {
    fn denoise(&self, x: &Tensor<2>, at: Level, _node: u32) -> Tensor<2> {
        let host: Vec<f64> = x.to_data().iter::<f64>().collect();
        Tensor::from_data(TensorData::new(self.mean_x0(&host, at), x.shape()), &x.device())
    }
}

impl TryFrom<Raw> for GaussianMixture {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self, Error> {
        let (n, dim) = (raw.weights.len(), raw.means.first().map_or(0, Vec::len));
        if n == 0 || dim == 0 || raw.means.len() != n || raw.covs.len() != n {
            return Err(invalid(format!("{n} weights, {} means and {} covariances", raw.means.len(), raw.covs.len())));
        }
        let total: f64 = raw.weights.iter().sum();
        if raw.weights.iter().any(|&w| !(w > 0.0 && w.is_finite())) || (total - 1.0).abs() > 1e-9 {
            return Err(invalid(format!("weights should be positive and sum to 1, but their sum is {total}")));
        }
        let mut parts = Vec::with_capacity(n);
        for k in 0..n {
            let (mean, cov) = (&raw.means[k], &raw.covs[k]);
            if mean.len() != dim || cov.len() != dim || cov.iter().any(|row| row.len() != dim) {
                return Err(invalid(format!("component {k} does not have dimension {dim}")));
            }
            let matrix = DMatrix::from_fn(dim, dim, |i, j| cov[i][j]);
            if mean.iter().chain(matrix.iter()).any(|v| !v.is_finite()) {
                return Err(invalid(format!("component {k} holds a number that is not finite")));
            }
            if (&matrix - matrix.transpose()).amax() > 1e-12 * matrix.amax() || matrix.clone().cholesky().is_none() {
                return Err(invalid(format!("the covariance of component {k} is not symmetric positive definite")));
            }
            let eigen = SymmetricEigen::new(matrix);
            parts.push(Part {
                log_weight: raw.weights[k].ln(),
                mean: DVector::from_column_slice(mean),
                basis: eigen.eigenvectors,
                variances: eigen.eigenvalues,
            });
        }
        Ok(Self { raw, parts, dim })
    }
}

impl From<GaussianMixture> for Raw {
    fn from(mixture: GaussianMixture) -> Self {
        mixture.raw
    }
}

fn invalid(reason: String) -> Error {
    Error::Invalid { what: "mixture", reason }
}

fn log_sum_exp(logs: &[f64]) -> f64 {
    let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    max + logs.iter().map(|l| (l - max).exp()).sum::<f64>().ln()
}

fn softmax(logs: &[f64]) -> Vec<f64> {
    let total = log_sum_exp(logs);
    logs.iter().map(|l| (l - total).exp()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Philox;
    use proptest::prelude::*;

    fn example() -> GaussianMixture {
        serde_json::from_str(
            r#"{"weights": [0.5, 0.3, 0.2], "means": [[1, 0.5], [-1, 0.75], [0.25, -1.25]],
                "covs": [[[0.09, 0.01], [0.01, 0.04]], [[0.1, -0.06], [-0.06, 0.08]], [[0.05, 0], [0, 0.05]]]}"#,
        )
        .unwrap()
    }

    /// Central differences of `f` along each axis at `x`.
    fn slopes(f: impl Fn(&[f64]) -> Vec<f64>, x: &[f64]) -> Vec<Vec<f64>> {
        let h = 1e-5;
        let along = |j: usize| {
            let shifted = |by: f64| {
                let mut y = x.to_vec();
                y[j] += by;
                f(&y)
            };
            shifted(h).iter().zip(shifted(-h)).map(|(a, b)| (a - b) / (2.0 * h)).collect()
        };
        (0..x.len()).map(along).collect()
    }

    proptest! {
        #[test]
        fn derivatives_and_tweedie_agree(a in 0.05..1.0f64, s in 0.05..2.0f64, x in prop::array::uniform2(-2.0..2.0f64)) {
            let (mixture, at) = (example(), Level::new(a, s));
            let score = mixture.score(&x, at);
            let slope = slopes(|y| mixture.log_p(y, at), &x);
            prop_assert!((0..2).all(|j| (slope[j][0] - score[j]).abs() < 1e-5 * (1.0 + score[j].abs())));
            let hessian = mixture.hessian(&x, at);
            let slope = slopes(|y| mixture.score(y, at), &x);
            prop_assert!((0..4).all(|k| (slope[k / 2][k % 2] - hessian[k]).abs() < 1e-4 * (1.0 + hessian[k].abs())));
            // Tweedie: x = alpha E[x0|x] - sigma^2 score, and alpha^2 Cov = sigma^2 (I + sigma^2 Hessian).
            let (mean, cov) = (mixture.mean_x0(&x, at), mixture.cov_x0(&x, at));
            prop_assert!((0..2).all(|j| (a * mean[j] - s * s * score[j] - x[j]).abs() < 1e-9));
            let identity = [1.0, 0.0, 0.0, 1.0];
            prop_assert!((0..4).all(|k| (a * a * cov[k] - s * s * (identity[k] + s * s * hessian[k])).abs() < 1e-8));
        }
    }

    #[test]
    fn ends_of_the_process_are_exact() {
        let (mixture, x) = (example(), [0.3, -0.4]);
        let clean = mixture.mean_x0(&x, Level::clean());
        assert!(clean.iter().zip(&x).all(|(c, x)| (c - x).abs() < 1e-12));
        let noise = Level::new(0.0, 2.0);
        assert!(mixture.mean_x0(&x, noise).iter().zip(mixture.mean(Level::clean())).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(mixture.cov_x0(&x, noise).iter().zip(mixture.covariance(Level::clean())).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(mixture.log_p(&[1e6, 1e6], Level::vp(0.5))[0].is_finite());
    }

    #[test]
    fn classes_split_the_score() {
        let (mixture, at, x, labels) = (example(), Level::vp(0.6), [0.2, 0.1], [0, 1, 0]);
        let posterior = mixture.class_posterior(&x, at, &labels).unwrap();
        assert!((posterior.iter().sum::<f64>() - 1.0).abs() < 1e-14);
        let (whole, part) = (mixture.score(&x, at), mixture.of_class(&labels, 1).unwrap().score(&x, at));
        let log = |y: &[f64]| vec![mixture.class_posterior(y, at, &labels).unwrap()[1].ln()];
        for (j, slope) in slopes(log, &x).iter().enumerate() {
            assert!((slope[0] - (part[j] - whole[j])).abs() < 1e-6);
        }
        assert!(mixture.class_posterior(&x, at, &[0]).is_err() && mixture.of_class(&labels, 7).is_err());
    }

    #[test]
    fn samples_have_the_moments_and_do_not_depend_on_how_many_there_are() {
        let (mixture, n) = (example(), 40_000);
        let (x, labels) = mixture.sample(&Philox::new(6), n, 0, 0);
        assert_eq!(mixture.sample(&Philox::new(6), 3, 0, 0).0, x[..6]);
        let share = labels.iter().filter(|&&k| k == 1).count() as f64 / n as f64;
        assert!((share - 0.3).abs() < 5.0 * (0.21 / n as f64).sqrt());
        let (mean, cov) = (mixture.mean(Level::clean()), mixture.covariance(Level::clean()));
        for j in 0..2 {
            let got = x.chunks(2).map(|p| p[j]).sum::<f64>() / n as f64;
            assert!((got - mean[j]).abs() < 5.0 * (cov[3 * j] / n as f64).sqrt());
        }
        let got = x.chunks(2).map(|p| (p[0] - mean[0]) * (p[1] - mean[1])).sum::<f64>() / n as f64;
        assert!((got - cov[1]).abs() < 0.02, "{got} {}", cov[1]);
    }

    #[test]
    fn tensors_are_denoised_like_host_points() {
        let (mixture, at) = (example(), Level::ve(0.7));
        let host = vec![0.5, -0.5, 1.5, 2.0];
        let tensor = Tensor::<2>::from_data(TensorData::new(host.clone(), [2, 2]), &burn::tensor::Device::flex());
        let got: Vec<f64> = mixture.denoise(&tensor, at, 0).into_data().iter::<f64>().collect();
        assert!(got.iter().zip(mixture.denoise(&host, at, 0)).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn bad_mixtures_are_refused() {
        let read = |text: &str| serde_json::from_str::<GaussianMixture>(text);
        for text in [
            r#"{"weights": [0.5, 0.4], "means": [[0], [1]], "covs": [[[1]], [[1]]]}"#,
            r#"{"weights": [1], "means": [[0, 0]], "covs": [[[1, 2], [2, 1]]]}"#,
            r#"{"weights": [1], "means": [[0, 0]], "covs": [[[1, 0.5], [0, 1]]]}"#,
            r#"{"weights": [1], "means": [[0, 0]], "covs": [[[1, 0]]]}"#,
            r#"{"weights": [], "means": [], "covs": []}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let mixture = example();
        let text = serde_json::to_string(&mixture).unwrap();
        assert_eq!(read(&text).unwrap(), mixture);
    }
}
