//! Weighted integrals of Lagrange polynomials: the weights of linear multistep methods.

/// Abscissas (positive half) and weights of the 8-point Gauss-Legendre rule on `[-1, 1]`.
const GAUSS_8: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_27),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
    (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
];

/// The same of the 16-point rule.
const GAUSS_16: [(f64, f64); 8] = [
    (0.095_012_509_837_637_44, 0.189_450_610_455_068_5),
    (0.281_603_550_779_258_9, 0.182_603_415_044_923_6),
    (0.458_016_777_657_227_4, 0.169_156_519_395_002_54),
    (0.617_876_244_402_643_7, 0.149_595_988_816_576_73),
    (0.755_404_408_355_003, 0.124_628_971_255_533_87),
    (0.865_631_202_387_831_7, 0.095_158_511_682_492_78),
    (0.944_575_023_073_232_6, 0.062_253_523_938_647_89),
    (0.989_400_934_991_649_9, 0.027_152_459_411_754_095),
];

/// `integral from a to b of e^{rate u} L_j(u) du` for each Lagrange polynomial `L_j` of up to four nodes.
///
/// Right to rounding for `|rate (b - a)| < 10`; for `rate = 0`, exact.
pub(super) fn integrals(nodes: &[f64], a: f64, b: f64, rate: f64) -> Vec<f64> {
    let (middle, half) = (0.5 * (a + b), 0.5 * (b - a));
    // Over a short interval the exponential is a polynomial of low degree.
    let rule: &[(f64, f64)] = if (rate * half).abs() < 0.5 { &GAUSS_8 } else { &GAUSS_16 };
    if nodes.len() == 1 {
        // From the finite end: the other may be at minus infinity.
        let whole = if rate == 0.0 { b - a } else { -(rate * b).exp() * (rate * (a - b)).exp_m1() / rate };
        return vec![whole];
    }
    let mut sums = vec![0.0; nodes.len()];
    let center = half * (rate * middle).exp();
    for (x, w) in rule {
        let growth = (rate * half * x).exp();
        for (u, factor) in [(middle - half * x, w * center / growth), (middle + half * x, w * center * growth)] {
            for (j, sum) in sums.iter_mut().enumerate() {
                let mut value = factor;
                for (k, node) in nodes.iter().enumerate() {
                    if k != j {
                        value *= u - node;
                    }
                }
                *sum += value;
            }
        }
    }
    for (j, sum) in sums.iter_mut().enumerate() {
        let others = nodes.iter().enumerate().filter(|(k, _)| *k != j);
        *sum /= others.map(|(_, node)| nodes[j] - node).product::<f64>();
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adams_bashforth_weights() {
        // Equal steps of 1, from 0 to 1: 23/12, -16/12, 5/12.
        let w = integrals(&[0.0, -1.0, -2.0], 0.0, 1.0, 0.0);
        for (w, e) in w.iter().zip([23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0]) {
            assert!((w - e).abs() < 1e-14);
        }
    }

    #[test]
    fn exponential_weight_in_closed_form() {
        // L_0 = 1 + u on nodes 0 and -1; integral of e^u (1 + u) = u e^u.
        for b in [-0.01, -0.9, -1.0, -1.1, -8.0] {
            let w = integrals(&[0.0, -1.0], 0.0, b, 1.0);
            assert!((w[0] - b * b.exp()).abs() < 1e-13, "{b}");
        }
    }
}
