//! Functions of one number without branches, and loops over slices compiled for the widest vectors the processor has.

/// Compiles a function over slices for AVX-512, AVX2 and the baseline, and calls the widest that the processor has.
///
/// Fused multiply-add stays unused, so all three give the same bits.
macro_rules! wide {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(unsafe_code, reason = "run-time choice of vector width; no pointers involved")]
        $vis fn $name($($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            fn body($($arg: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
                fn with_avx512($($arg: $type),*) $(-> $result)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn with_avx2($($arg: $type),*) $(-> $result)? {
                    body($($arg),*)
                }
                match $crate::fused::vector::width() {
                    // SAFETY: `width` asked the processor for exactly these features.
                    $crate::fused::vector::Width::Avx512 => return unsafe { with_avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::fused::vector::Width::Avx2 => return unsafe { with_avx2($($arg),*) },
                    $crate::fused::vector::Width::Baseline => {}
                }
            }
            body($($arg),*)
        }
    };
}
pub(super) use wide;

/// Widest vectors of this processor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Width {
    /// 16 numbers.
    Avx512,
    /// 8 numbers.
    Avx2,
    /// Whatever the compilation target has.
    Baseline,
}

/// Asks the processor; the answer is remembered by the standard library.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn width() -> Width {
    use std::arch::is_x86_feature_detected as has;
    if has!("avx512f") && has!("avx512dq") && has!("avx512vl") && has!("avx512bw") {
        Width::Avx512
    } else if has!("avx2") {
        Width::Avx2
    } else {
        Width::Baseline
    }
}

/// Arguments outside of which the power of two in [`exp`] would not be a normal number.
const SMALLEST: f32 = -87.33;
const LARGEST: f32 = 88.37;

/// `e^x`, relative error below 2e-7; 0 below `e^-87.33` and infinity above `e^88.37`, a little inside the range of normal numbers.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let value = exp_below(if x > LARGEST { LARGEST } else { x });
    if x > LARGEST { f32::INFINITY } else { value }
}

/// [`exp`] of numbers that are not above its range.
#[inline(always)]
pub(super) fn exp_below(x: f32) -> f32 {
    // x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, the first short enough that n times it is exact.
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to a whole number in the low bits
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    let inside = if x < SMALLEST { SMALLEST } else { x };
    let shifted = inside * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = inside - n * HIGH - n * LOW;
    // Least largest relative error of 1 + r + r^2 q(r), 3e-9 before rounding.
    let q = (((1.381_445_5e-3 * r + 8.368_786e-3) * r + 4.166_839_5e-2) * r + 0.166_665_2) * r + 0.499_999_93;
    let mantissa = r * r * q + r + 1.0;
    // The low bits of `shifted` are n: this adds it to the exponent.
    let value = f32::from_bits(mantissa.to_bits().wrapping_add(shifted.to_bits() << 23));
    if x < SMALLEST { 0.0 } else { value }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `ln(1 + e^x)`, relative error below 4e-7.
#[inline(always)]
pub(super) fn softplus(x: f32) -> f32 {
    // ln(1 + e) = 2 artanh(s), s = e / (2 + e); e is at most 1, so s at most 1/3, where the odd series to s^11 leaves 1e-7.
    let e = exp(-x.abs());
    let s = e / (2.0 + e);
    let z = s * s;
    let series = 1.0 + z * (1.0 / 3.0 + z * (0.2 + z * (1.0 / 7.0 + z * (1.0 / 9.0 + z * (1.0 / 11.0)))));
    x.max(0.0) + 2.0 * s * series
}

/// Hyperbolic tangent: an odd series near 0, where the quotient would cancel.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let square = x * x;
    let near = x + x * square * (-1.0 / 3.0 + square * (2.0 / 15.0));
    let far = 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
    if square < 0.01 { near } else { far }
}

/// Distribution function and density of the standard normal.
///
/// The tail is `density(0) e^(-x^2/2)` times a polynomial in `t = 1 / (1 + .3 |x|)`, fitted here for least relative error over
/// `|x| <= 9`, 5e-8: small tails keep their digits.
#[inline(always)]
pub(super) fn normal(x: f32) -> (f32, f32) {
    const DENSITY: f32 = 0.398_942_3;
    let bell = exp_below(-0.5 * x * x);
    let t = 1.0 / (1.0 + 0.3 * x.abs());
    let p = 0.037_535_785 * t - 0.165_019_99;
    let p = ((p * t + 0.219_971_9) * t - 0.066_403_25) * t + 0.135_420_56;
    let p = ((p * t + 0.097_783_82) * t + 0.121_105_72) * t + 0.119_605_49;
    let tail = bell * (p * t);
    let below = if x < 0.0 { tail } else { 1.0 - tail };
    (below, DENSITY * bell)
}

/// Distribution function of the standard normal to 3e-7, for half the price of [`normal`], which keeps the digits of small tails.
///
/// `1/2 + x P(x^2) / Q(x^2)`, fitted here for least absolute error over `x^2 <= 29.5`, 6e-9 before rounding. Beyond it is 0 or 1.
#[inline(always)]
pub(super) fn normal_below(x: f32) -> f32 {
    let u = x * x;
    let p = ((2.318_587_6e-8 * u + 6.355_862e-6) * u + 1.656_373e-4) * u + 4.658_500_7e-3;
    let p = (p * u + 3.351_432_5e-2) * u + 0.398_942_23;
    let q = ((1.210_462_5e-6 * u + 7.275_557_4e-5) * u + 1.866_407_3e-3) * u + 2.845_730_3e-2;
    let q = (q * u + 0.250_674) * u + 1.0;
    let inside = x * (p / q);
    (if u > 29.5 { 0.5f32.copysign(x) } else { inside }) + 0.5
}

/// Sum of `f` over a slice, in an order that does not depend on the vectors' width.
#[inline(always)]
pub(super) fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    sum2(values, values, |a, _| f(a))
}

/// Sum of `f` over pairs, in the same order as [`sum`].
#[inline(always)]
pub(super) fn sum2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0f32; LANES];
    // Arrays, not slices: the loop over lanes has no bounds to check.
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(&a, &b)| f(a, b)).sum();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += f(a[lane], b[lane]);
        }
    }
    let total = folded(lanes, |a, b| a + b);
    total + rest
}

/// Largest of a slice, minus infinity when it is empty; ignores NaN.
#[inline(always)]
pub(super) fn largest(values: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    let rest = rest.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
        }
    }
    let most = folded(lanes, |a, b| if b > a { b } else { a });
    if rest > most { rest } else { most }
}

/// Sixteen numbers in one: halves upon one another, four times.
#[inline(always)]
fn folded(lanes: [f32; 16], join: impl Fn(f32, f32) -> f32 + Copy) -> f32 {
    // In one piece: what follows would else cut the vectors of the loop before it into pairs. The first step is before that, or it would
    // be made number by number.
    let lanes = std::hint::black_box(half::<16, 8>(lanes, join));
    let [a, b] = half::<4, 2>(half::<8, 4>(lanes, join), join);
    join(a, b)
}

#[inline(always)]
fn half<const N: usize, const HALF: usize>(lanes: [f32; N], join: impl Fn(f32, f32) -> f32) -> [f32; HALF] {
    let mut half = [0.0; HALF];
    for lane in 0..HALF {
        half[lane] = join(lanes[lane], lanes[lane + HALF]);
    }
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(from: f32, to: f32) -> impl Iterator<Item = f32> {
        (0..=20_000).map(move |i| from + (to - from) * i as f32 / 20_000.0)
    }

    #[test]
    fn exp_keeps_its_digits_over_the_whole_range() {
        for x in grid(-87.3, 88.3) {
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 2e-7, "{x}: {} not {exact}", exp(x));
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-100.0), 0.0);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_and_sigmoid_are_close_in_relative_terms() {
        for x in grid(-12.0, 12.0).filter(|x| *x != 0.0) {
            let x64 = f64::from(x);
            assert!((f64::from(tanh(x)) / x64.tanh() - 1.0).abs() < 1e-6, "tanh {x}");
            assert!((f64::from(sigmoid(x)) * (1.0 + (-x64).exp()) - 1.0).abs() < 4e-7, "sigmoid {x}");
        }
        assert_eq!((tanh(100.0), tanh(-100.0), tanh(0.0)), (1.0, -1.0, 0.0));
        assert_eq!((sigmoid(200.0), sigmoid(-200.0)), (1.0, 0.0));
    }

    #[test]
    fn softplus_keeps_its_digits_in_both_tails() {
        for x in grid(-80.0, 80.0).chain(grid(-1.0, 1.0)) {
            let x64 = f64::from(x);
            let exact = x64.max(0.0) + (-x64.abs()).exp().ln_1p();
            assert!((f64::from(softplus(x)) / exact - 1.0).abs() < 4e-7, "{x}: {} not {exact}", softplus(x));
        }
        assert_eq!((softplus(f32::NEG_INFINITY), softplus(f32::INFINITY)), (0.0, f32::INFINITY));
        assert!(softplus(f32::NAN).is_nan());
    }

    #[test]
    fn normal_is_the_integral_of_its_density() {
        // Simpson's rule in f64 from the left tail: the definition, not another approximation.
        let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        let (mut below, mut at) = (0.0, -14.0f64);
        for x in (-800..=800).map(|i| f64::from(i) / 100.0) {
            let pieces = 400;
            let step = (x - at) / f64::from(pieces);
            for k in 0..pieces {
                let left = at + step * f64::from(k);
                below += step / 6.0 * (density(left) + 4.0 * density(left + step / 2.0) + density(left + step));
            }
            at = x;
            let (ours, our_density) = normal(x as f32);
            // The argument's own rounding moves the tail by x^2 parts in 2^-24.
            let tolerance = 3e-7 + x * x * 1.2e-7;
            assert!((f64::from(ours) / below - 1.0).abs() < tolerance, "{x}: {ours} not {below}");
            assert!((f64::from(our_density) / density(x) - 1.0).abs() < tolerance, "{x}");
        }
    }

    #[test]
    fn the_quick_distribution_function_is_near_the_other() {
        for x in grid(-8.0, 8.0) {
            let (quick, slow) = (normal_below(x), normal(x).0);
            assert!((quick - slow).abs() < 3e-7, "{x}: {quick} not {slow}");
        }
        assert_eq!((normal_below(-6.0), normal_below(6.0), normal_below(0.0)), (0.0, 1.0, 0.5));
        assert_eq!((normal_below(f32::MIN), normal_below(f32::INFINITY)), (0.0, 1.0));
        assert!(normal_below(f32::NAN).is_nan());
    }

    #[test]
    fn sums_and_maxima_of_odd_lengths() {
        for n in [0usize, 1, 31, 32, 33, 100] {
            let values: Vec<f32> = (0..n).map(|i| i as f32 - 50.0).collect();
            assert_eq!(sum(&values, |v| v), values.iter().sum::<f32>());
            assert_eq!(largest(&values), values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
