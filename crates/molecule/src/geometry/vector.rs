//! Vectors of three numbers.

use crate::Point;

pub(crate) fn add(a: Point, b: Point) -> Point {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(crate) fn sub(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(crate) fn scale(a: Point, by: f64) -> Point {
    [a[0] * by, a[1] * by, a[2] * by]
}

pub(crate) fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Point, b: Point) -> Point {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(crate) fn norm(a: Point) -> f64 {
    dot(a, a).sqrt()
}

pub(crate) fn distance(a: Point, b: Point) -> f64 {
    norm(sub(a, b))
}

/// The same direction with length 1, `None` for (nearly) nothing.
pub(crate) fn unit(a: Point) -> Option<Point> {
    let length = norm(a);
    (length > 1e-12).then(|| scale(a, 1.0 / length))
}

/// Angle `a-b-c` in radians, 0..=pi.
pub(crate) fn angle(a: Point, b: Point, c: Point) -> f64 {
    let (u, v) = (sub(a, b), sub(c, b));
    norm(cross(u, v)).atan2(dot(u, v))
}

/// Dihedral angle `a-b-c-d` in radians, -pi..=pi, 0 for cis.
pub(crate) fn dihedral(a: Point, b: Point, c: Point, d: Point) -> f64 {
    let (b1, b2, b3) = (sub(b, a), sub(c, b), sub(d, c));
    let (n1, n2) = (cross(b1, b2), cross(b2, b3));
    (norm(b2) * dot(b1, n2)).atan2(dot(n1, n2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_worked_by_hand() {
        let (x, y, o) = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0; 3]);
        assert!((angle(x, o, y) - std::f64::consts::FRAC_PI_2).abs() < 1e-15);
        // Looking down z from the first atom to the last, the far bond is turned by +90 degrees (clockwise).
        let d = dihedral(x, o, [0.0, 0.0, 1.0], [0.0, 1.0, 1.0]);
        assert!((d.abs() - std::f64::consts::FRAC_PI_2).abs() < 1e-15, "{d}");
        assert!(dihedral(x, o, [0.0, 0.0, 1.0], [1.0, 0.0, 1.0]).abs() < 1e-15);
        assert!((dihedral(x, o, [0.0, 0.0, 1.0], [-1.0, 0.0, 1.0]).abs() - std::f64::consts::PI).abs() < 1e-15);
        assert_eq!(unit([0.0; 3]), None);
    }
}
