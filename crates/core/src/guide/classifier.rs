//! Guidance by the gradient of a log probability: of a class, of a similarity, of anything that can be differentiated.

use burn::tensor::Tensor;

use crate::{Denoiser, Level, State};

/// Adds `w grad log p(y | x)` to the score: `D += w (sigma^2 / alpha) grad` (Dhariwal & Nichol 2021, algorithm 1).
///
/// `grad` sees the noised state and its level. A class gives classifier guidance; the similarity of `x` with a text or another
/// sample gives semantic guidance (Liu et al. 2021). At `alpha = 0` the state holds nothing about `y` and the base is unchanged.
#[derive(Clone, Debug)]
pub struct ScoreShift<D, G> {
    /// The denoiser to guide.
    pub base: D,
    /// `grad log p(y | x)` of a state at a level.
    pub grad: G,
    /// Guidance weight; 1 is Bayes' rule, 0 is unguided and costs no gradient.
    pub w: f64,
}

impl<S: State, D: Denoiser<S>, G: Fn(&S, Level) -> S> Denoiser<S> for ScoreShift<D, G> {
    fn denoise(&self, x: &S, at: Level, node: u32) -> S {
        let base = self.base.denoise(x, at, node);
        if self.w == 0.0 || at.alpha == 0.0 {
            return base;
        }
        let grad = (self.grad)(x, at);
        S::lincomb(&[(1.0, &base), (self.w * at.sigma * at.sigma / at.alpha, &grad)])
    }
}

/// Gradient of `sum f(x)`, same shape as `x`, without a graph. With rows that do not mix in `f` it is the gradient of each row.
///
/// The graph is built for this call alone: burn keeps none between two backward passes.
pub fn gradient<const D: usize>(x: &Tensor<D>, f: impl FnOnce(Tensor<D>) -> Tensor<1>) -> Tensor<D> {
    let leaf = x.clone().inner().autodiff().require_grad();
    let sum = f(leaf.clone()).sum();
    // A function that ignores its argument has no graph to go back through.
    let grad = if sum.is_tracked() { leaf.grad_remove(&mut sum.backward()) } else { None };
    grad.unwrap_or_else(|| x.clone().inner().zeros_like())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::GaussianMixture;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn bayes_rule_makes_the_conditional_denoiser() {
        let identity = vec![vec![0.1, 0.0], vec![0.0, 0.2]];
        let means = vec![vec![1.0, 0.0], vec![-1.0, 0.5], vec![0.0, -1.0]];
        let mixture = GaussianMixture::new(vec![0.2, 0.3, 0.5], means, vec![identity; 3]).unwrap();
        let labels = [0, 1, 1];
        let class = mixture.of_class(&labels, 1).unwrap();
        // grad log p(class | x) by differences of the closed form posterior.
        let grad = |x: &Vec<f64>, at: Level| -> Vec<f64> {
            let log = |x: &[f64]| mixture.class_posterior(x, at, &labels).unwrap()[1].ln();
            let slope = |j: usize| {
                let (mut a, mut b) = (x.clone(), x.clone());
                a[j] += 1e-5;
                b[j] -= 1e-5;
                (log(&a) - log(&b)) / 2e-5
            };
            (0..2).map(slope).collect()
        };
        let guided = ScoreShift { base: &mixture, grad, w: 1.0 };
        for at in [Level::vp(0.7), Level::vp(0.05), Level::ve(2.0), Level::flow(0.5)] {
            let x = vec![0.4, 0.1];
            let (got, exact) = (guided.denoise(&x, at, 0), class.mean_x0(&x, at));
            assert!(got.iter().zip(&exact).all(|(g, e)| (g - e).abs() < 1e-7), "{got:?} {exact:?}");
        }
        let noise = Level::new(0.0, 1.0);
        assert_eq!(guided.denoise(&vec![0.4, 0.1], noise, 0), mixture.mean_x0(&[0.4, 0.1], noise));
    }

    #[test]
    fn gradients_are_those_of_the_rows_and_leave_no_graph() {
        let x = Tensor::<2>::from_data(TensorData::new(vec![1f32, 2.0, -3.0, 0.5], [2, 2]), &Device::flex());
        let grad = gradient(&x, |x| x.powf_scalar(3.0).sum_dim(1).reshape([2]));
        assert!(!grad.is_autodiff());
        let got: Vec<f64> = grad.into_data().iter::<f64>().collect();
        assert!(got.iter().zip([3.0, 12.0, 27.0, 0.75]).all(|(g, e)| (g - e).abs() < 1e-5), "{got:?}");
        let none = gradient(&x, |_| Tensor::<1>::ones([1], &Device::flex()));
        assert!(none.into_data().iter::<f64>().all(|g| g == 0.0));
    }
}
