//! The certificate of one-step denoised smoothing: no perturbation shorter than a radius changes the decision (Cohen et al. 2019,
//! arXiv:1902.02918; Carlini et al. 2023, arXiv:2206.10550).

use crate::vote::lower_bound;

/// What is certain of one input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Certificate {
    /// The class, or none when too few draws agree.
    pub class: Option<usize>,
    /// Lower bound of its probability.
    pub bound: f64,
    /// Euclidean length, data units, below which no perturbation changes the class of the smoothed classifier; 0 when it abstains.
    pub radius: f64,
}

/// The certificate from the classes of two independent sets of noised draws: the first chooses the class, the second bounds it with
/// confidence `1 - alpha` (Cohen et al. 2019, algorithm 1). `R = sigma * Phi^-1(bound)`.
pub fn certificate(choose: &[usize], bound: &[usize], sigma: f64, alpha: f64) -> Certificate {
    let vote = crate::vote::Vote::new(choose, alpha);
    let agree = bound.iter().filter(|&&class| class == vote.class).count();
    let probability = lower_bound(agree, bound.len(), alpha);
    if probability > 0.5 {
        Certificate { class: Some(vote.class), bound: probability, radius: sigma * normal_quantile(probability) }
    } else {
        Certificate { class: None, bound: probability, radius: 0.0 }
    }
}

/// The normal distribution's quantile, by bisection of its distribution function.
pub fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-9.0, 9.0);
    for _ in 0..80 {
        let x = 0.5 * (low + high);
        if normal(x) < p { low = x } else { high = x }
    }
    0.5 * (low + high)
}

/// The normal distribution function: a series near 0, a continued fraction beyond (Abramowitz & Stegun 26.2.11 and 26.2.14).
fn normal(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if x.abs() < 4.0 {
        let (mut term, mut sum) = (x, x);
        for k in 1..100 {
            term *= x * x / f64::from(2 * k + 1);
            sum += term;
        }
        return 0.5 + density * sum;
    }
    let tail = density / (1..60).rev().fold(x.abs(), |below, k| x.abs() + f64::from(k) / below);
    if x < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (p, x) in [(0.5, 0.0), (0.975, 1.959_963_984_540_054), (0.999, 3.090_232_306_167_813), (1e-6, -4.753_424_308_822_899)] {
            assert!((normal_quantile(p) - x).abs() < 1e-8, "{p}: {}", normal_quantile(p));
        }
    }

    #[test]
    fn a_radius_grows_with_agreement_and_doubt_has_none() {
        // 1000 of 1000 at 0.001: p = 0.001^(1/1000) = 0.99312, Phi^-1 = 2.463.
        let sure = certificate(&[4; 100], &[4; 1000], 0.25, 0.001);
        assert_eq!(sure.class, Some(4));
        assert!((sure.radius - 0.25 * 2.463).abs() < 1e-3, "{sure:?}");
        let unsure = certificate(&[4; 100], &[4, 5].repeat(500), 0.25, 0.001);
        assert_eq!((unsure.class, unsure.radius), (None, 0.0));
    }
}
