//! Spherical interpolation: a path between two draws of noise that looks like noise everywhere.

use crate::State;

/// `sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b`, with `w` the angle between `a` and `b` (Song et al. 2021, DDIM, eq. 67).
///
/// `cosine` is the cosine of that angle, `a.b / (|a| |b|)`, over whatever part of the state is to turn together. Nearly parallel
/// states are interpolated linearly, where the two agree; opposite ones have no shortest path and are too.
pub fn slerp<S: State>(a: &S, b: &S, cosine: f64, t: f64) -> S {
    let angle = cosine.clamp(-1.0, 1.0).acos();
    let sine = angle.sin();
    let (of_a, of_b) = if sine < 1e-8 { (1.0 - t, t) } else { (((1.0 - t) * angle).sin() / sine, (t * angle).sin() / sine) };
    S::lincomb(&[(of_a, a), (of_b, b)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_kept_and_the_angle_is_divided() {
        let (a, b) = (vec![2.0, 0.0], vec![0.0, 2.0]);
        let middle = slerp(&a, &b, 0.0, 1.0 / 3.0);
        let third = std::f64::consts::FRAC_PI_6;
        assert!((middle[0] - 2.0 * third.cos()).abs() < 1e-14 && (middle[1] - 2.0 * third.sin()).abs() < 1e-14);
        assert!(slerp(&a, &b, 0.0, 0.0).iter().zip(&a).all(|(x, y)| (x - y).abs() < 1e-15));
        assert!(slerp(&a, &b, 0.0, 1.0).iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-15));
    }

    #[test]
    fn parallel_states_do_not_divide_by_zero() {
        assert_eq!(slerp(&vec![1.0], &vec![1.0], 1.0 + 1e-16, 0.25), vec![1.0]);
    }
}
