//! Special functions that the standard library lacks, in f64.

/// `ln(1 / (1 + exp(-x)))` without overflow.
pub(crate) fn log_sigmoid(x: f64) -> f64 {
    if x >= 0.0 { -(-x).exp().ln_1p() } else { x - x.exp().ln_1p() }
}

/// The complementary error function, relative error about 1e-15 on both sides.
pub(crate) fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    let square = (-x * x).exp();
    if x < 1.5 {
        // erf(x) = 2/sqrt(pi) exp(-x^2) sum 2^n x^(2n+1) / (2n+1)!!: all terms are positive.
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term > 1e-17 * sum {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return 1.0 - std::f64::consts::FRAC_2_SQRT_PI * square * sum;
    }
    // sqrt(pi) exp(x^2) erfc(x) = 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + ...)))), from the inside out.
    let mut tail = x;
    for n in (1..=120).rev() {
        tail = x + 0.5 * f64::from(n) / tail;
    }
    square / (tail * std::f64::consts::PI.sqrt())
}

/// The standard normal's probability between two points, without cancellation in either tail.
pub(crate) fn normal_between(low: f64, high: f64) -> f64 {
    let upper = |x: f64| 0.5 * erfc(x * std::f64::consts::FRAC_1_SQRT_2);
    if low > 0.0 { upper(low) - upper(high) } else { upper(-high) - upper(-low) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erfc_has_its_published_values() {
        // Abramowitz & Stegun, table 7.1, and Wolfram's values for the tails.
        for (x, value) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (2.0, 0.004_677_734_981_047_266),
            (3.0, 2.209_049_699_858_544e-5),
            (5.0, 1.537_459_794_428_034_8e-12),
            (10.0, 2.088_487_583_762_545e-45),
            (-1.0, 1.842_700_792_949_715),
        ] {
            assert!((erfc(x) / value - 1.0).abs() < 4e-15, "{x}: {:e}", erfc(x) / value - 1.0);
        }
        assert!((erfc(1.5 - 1e-12) / erfc(1.5) - 1.0).abs() < 1e-11);
    }

    #[test]
    fn tails_keep_their_precision() {
        assert!((normal_between(-1.0, 1.0) - 0.682_689_492_137_085_9).abs() < 1e-15);
        assert!((normal_between(9.0, 40.0) / 1.128_588_405_953_840_7e-19 - 1.0).abs() < 1e-13);
        assert_eq!(normal_between(8.0, 9.0), normal_between(-9.0, -8.0));
        assert_eq!((log_sigmoid(-800.0), log_sigmoid(800.0)), (-800.0, 0.0));
    }
}
