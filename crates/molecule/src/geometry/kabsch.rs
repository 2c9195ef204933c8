//! Superposition of two sets of points by a proper rotation (Kabsch, Acta Cryst. A 32 (1976) 922).

use super::vector::{add, cross, dot, norm, scale, sub, unit};
use crate::Point;

/// A rigid motion `x -> rotation x + translation`, never a reflection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rigid {
    /// Rows of the rotation; its determinant is 1.
    pub rotation: [Point; 3],
    /// Translation, angstrom.
    pub translation: Point,
}

impl Rigid {
    /// The motion that moves nothing.
    pub const IDENTITY: Self = Self { rotation: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], translation: [0.0; 3] };

    /// Moves one point.
    pub fn apply(&self, point: Point) -> Point {
        add(self.rotation.map(|row| dot(row, point)), self.translation)
    }
}

/// The motion that brings `mobile` as near as possible to `fixed` in the (weighted) least-squares sense.
///
/// Points correspond by index; of slices of unequal length the common part counts. Without points, or with weights that add up to
/// nothing, the identity.
pub fn align(mobile: &[Point], fixed: &[Point], weights: Option<&[f64]>) -> Rigid {
    let weight = |i: usize| weights.map_or(1.0, |w| w.get(i).copied().unwrap_or(0.0));
    let n = mobile.len().min(fixed.len());
    let total: f64 = (0..n).map(weight).sum();
    if total.is_nan() || total <= 0.0 {
        return Rigid::IDENTITY;
    }
    let mean = |points: &[Point]| {
        let sum = points[..n].iter().enumerate().fold([0.0; 3], |sum, (i, &p)| add(sum, scale(p, weight(i))));
        scale(sum, 1.0 / total)
    };
    let (from, to) = (mean(mobile), mean(fixed));
    let mut covariance = [[0.0; 3]; 3];
    for i in 0..n {
        accumulate(&mut covariance, sub(mobile[i], from), scale(sub(fixed[i], to), weight(i)));
    }
    let rotation = decompose(covariance).rotation();
    let turned = rotation.map(|row| dot(row, from));
    Rigid { rotation, translation: sub(to, turned) }
}

/// Root-mean-square distance of corresponding points after the best superposition, angstrom; 0 without points.
pub fn rmsd(mobile: &[Point], fixed: &[Point]) -> f64 {
    let n = mobile.len().min(fixed.len());
    let (mobile, fixed) = (centred(&mobile[..n]), centred(&fixed[..n]));
    let mut covariance = [[0.0; 3]; 3];
    for (&m, &f) in mobile.iter().zip(&fixed) {
        accumulate(&mut covariance, m, f);
    }
    residual(square(&mobile) + square(&fixed), covariance, n)
}

/// Points moved so that their mean is the origin.
pub(crate) fn centred(points: &[Point]) -> Vec<Point> {
    let sum = points.iter().fold([0.0; 3], |sum, &p| add(sum, p));
    let mean = scale(sum, 1.0 / points.len().max(1) as f64);
    points.iter().map(|&p| sub(p, mean)).collect()
}

/// Sum of squared distances from the origin.
pub(crate) fn square(points: &[Point]) -> f64 {
    points.iter().map(|&p| dot(p, p)).sum()
}

/// Adds one pair of centred points to the covariance `sum fixed mobile^T`, kept by columns.
#[inline]
pub(crate) fn accumulate(covariance: &mut [Point; 3], mobile: Point, fixed: Point) {
    for (column, m) in covariance.iter_mut().zip(mobile) {
        for (sum, f) in column.iter_mut().zip(fixed) {
            *sum += f * m;
        }
    }
}

/// RMSD of `n` centred pairs from the sum of both sets' squares and their covariance.
pub(crate) fn residual(squares: f64, covariance: [Point; 3], n: usize) -> f64 {
    ((squares - 2.0 * decompose(covariance).trace()).max(0.0) / n.max(1) as f64).sqrt()
}

/// Singular vectors of a 3x3 matrix with proper rotations on both sides: `A = sum_k value[k] left[k] right[k]^T`, where the last value is
/// negative if the determinant is.
struct Svd {
    left: [Point; 3],
    right: [Point; 3],
    values: [f64; 3],
}

impl Svd {
    fn rotation(&self) -> [Point; 3] {
        let mut rotation = [[0.0; 3]; 3];
        for (l, r) in self.left.iter().zip(&self.right) {
            for (row, &a) in rotation.iter_mut().zip(l) {
                *row = add(*row, scale(*r, a));
            }
        }
        rotation
    }

    fn trace(&self) -> f64 {
        self.values.iter().sum()
    }
}

/// One-sided Jacobi: columns are turned in pairs until they are orthogonal. Unlike eigenvalues of `A^T A` this is exact to rounding for
/// points on a plane or a line too. Only two singular pairs are needed, the third are cross products, which fixes the determinants.
fn decompose(mut columns: [Point; 3]) -> Svd {
    let mut right = Rigid::IDENTITY.rotation;
    for _sweep in 0..30 {
        let mut turned = false;
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            let (a, b) = (columns[p], columns[q]);
            let (alpha, beta, gamma) = (dot(a, a), dot(b, b), dot(a, b));
            if gamma.abs() <= 1e-15 * (alpha * beta).sqrt() || gamma == 0.0 {
                continue;
            }
            turned = true;
            let zeta = (beta - alpha) / (2.0 * gamma);
            let t = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
            let c = 1.0 / (1.0 + t * t).sqrt();
            let s = c * t;
            for set in [&mut columns, &mut right] {
                let (u, v) = (set[p], set[q]);
                set[p] = sub(scale(u, c), scale(v, s));
                set[q] = add(scale(u, s), scale(v, c));
            }
        }
        if !turned {
            break;
        }
    }
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| norm(columns[b]).total_cmp(&norm(columns[a])));
    let [first, second, _] = order;
    let (r0, r1) = (right[first], right[second]);
    let r2 = cross(r0, r1);
    let l0 = unit(columns[first]).unwrap_or(r0);
    // A column that is only rounding has no direction of its own.
    let own = norm(columns[second]) > 1e-14 * norm(columns[first]);
    let l1 = if own { unit(sub(columns[second], scale(l0, dot(l0, columns[second])))) } else { None };
    let l1 = l1.unwrap_or_else(|| perpendicular(l0));
    let l2 = cross(l0, l1);
    // `right[k]` holds column k of V, so the last column of A V is the third of `order` up to the sign that r2 may have changed.
    let third = columns[order[2]];
    let sign = dot(r2, right[order[2]]).signum();
    Svd { left: [l0, l1, l2], right: [r0, r1, r2], values: [norm(columns[first]), norm(columns[second]), sign * dot(l2, third)] }
}

/// Some unit vector at a right angle.
fn perpendicular(a: Point) -> Point {
    let least = (0..3).min_by(|&i, &j| a[i].abs().total_cmp(&a[j].abs())).unwrap_or(0);
    let mut axis = [0.0; 3];
    axis[least] = 1.0;
    unit(cross(a, axis)).unwrap_or([1.0, 0.0, 0.0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::vector::distance;
    use proptest::prelude::*;

    fn turn(points: &[Point], angles: Point) -> Vec<Point> {
        let ([sx, sy, sz], [cx, cy, cz]) = (angles.map(f64::sin), angles.map(f64::cos));
        let about_x = |[x, y, z]: Point| [x, cx * y - sx * z, sx * y + cx * z];
        let about_y = |[x, y, z]: Point| [cy * x + sy * z, y, cy * z - sy * x];
        let about_z = |[x, y, z]: Point| [cz * x - sz * y, sz * x + cz * y, z];
        points.iter().map(|&p| add(about_z(about_y(about_x(p))), [3.0, -2.0, 7.0])).collect()
    }

    /// The oracle: nalgebra's SVD with the textbook's correction.
    fn by_nalgebra(mobile: &[Point], fixed: &[Point]) -> f64 {
        let (m, f) = (centred(mobile), centred(fixed));
        let mut h = nalgebra::Matrix3::<f64>::zeros();
        for (a, b) in m.iter().zip(&f) {
            h += nalgebra::Vector3::from(*a) * nalgebra::Vector3::from(*b).transpose();
        }
        let svd = h.svd(true, true);
        let (u, vt) = (svd.u.expect("asked"), svd.v_t.expect("asked"));
        let d = (vt.transpose() * u.transpose()).determinant().signum();
        let r = vt.transpose() * nalgebra::Matrix3::from_diagonal(&nalgebra::Vector3::new(1.0, 1.0, d)) * u.transpose();
        let sum: f64 = m.iter().zip(&f).map(|(a, b)| (r * nalgebra::Vector3::from(*a) - nalgebra::Vector3::from(*b)).norm_squared()).sum();
        (sum / m.len() as f64).sqrt()
    }

    fn points(n: usize) -> impl Strategy<Value = Vec<Point>> {
        proptest::collection::vec([-5.0..5.0, -5.0..5.0, -5.0..5.0f64], n)
    }

    proptest! {
        #[test]
        fn agrees_with_nalgebra(a in points(7), b in points(7)) {
            let wanted = by_nalgebra(&a, &b);
            prop_assert!((rmsd(&a, &b) - wanted).abs() < 1e-9);
            let motion = align(&a, &b, None);
            let sum: f64 = a.iter().zip(&b).map(|(&p, &q)| distance(motion.apply(p), q).powi(2)).sum();
            prop_assert!(((sum / 7.0).sqrt() - wanted).abs() < 1e-9);
            let [x, y, z] = motion.rotation;
            prop_assert!((dot(x, cross(y, z)) - 1.0).abs() < 1e-9);
        }

        #[test]
        fn finds_a_motion_again(n in 1usize..9, flat in 0usize..3, all in points(9), angles in [-3.0..3.0, -3.0..3.0, -3.0..3.0f64]) {
            // On a line and on a plane too, where singular values vanish.
            let mobile: Vec<Point> = all[..n].iter().map(|&[x, y, z]| [x, if flat > 1 { 2.0 * x } else { y }, if flat > 0 { x } else { z }]).collect();
            let fixed = turn(&mobile, angles);
            prop_assert!(rmsd(&mobile, &fixed) < 1e-6);
            let motion = align(&mobile, &fixed, None);
            for (&p, &q) in mobile.iter().zip(&fixed) {
                prop_assert!(distance(motion.apply(p), q) < 1e-6);
            }
        }
    }

    #[test]
    fn a_mirror_image_is_another_thing() {
        let hand = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]];
        let mirrored = hand.map(|[x, y, z]| [x, y, -z]);
        assert!(rmsd(&hand, &mirrored) > 0.3);
    }

    #[test]
    fn a_weight_of_nothing_frees_a_point() {
        let fixed = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [9.0, 9.0, 9.0]];
        let mut mobile = turn(&fixed, [0.3, 0.2, 0.1]);
        mobile[3] = [100.0, 0.0, 0.0];
        let motion = align(&mobile, &fixed, Some(&[1.0, 1.0, 1.0, 0.0]));
        assert!((0..3).all(|i| distance(motion.apply(mobile[i]), fixed[i]) < 1e-9));
        assert_eq!(align(&mobile, &fixed, Some(&[0.0; 4])), Rigid::IDENTITY);
        assert_eq!(rmsd(&[], &[]), 0.0);
    }
}
