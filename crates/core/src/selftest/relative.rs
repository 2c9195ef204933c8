//! Comparison relative to the expected number itself, for tables whose entries span many orders of magnitude; and the line through
//! numbers.

use super::report::Compare;

/// Tolerance of tables in f64.
pub(super) const TABLE: f64 = 1e-12;

/// Compares two lists: each difference at most `tolerance * |expected| + slack(i)`.
pub(super) fn numbers(compare: &mut Compare, what: &str, ours: &[f64], expected: &[f64], tolerance: f64, slack: impl Fn(usize) -> f64) {
    if ours.len() != expected.len() {
        compare.fail(format!("{what}: {} numbers, expected {}", ours.len(), expected.len()));
        return;
    }
    for (i, (a, b)) in ours.iter().zip(expected).enumerate() {
        let allowed = tolerance * b.abs() + slack(i);
        compare.to(allowed / b.abs().max(1.0), || format!("{what}[{i}]"), *a, *b);
    }
}

/// Least squares `y = a u + b v` of rows `[u, v, y]`.
pub(super) fn fit(rows: impl Iterator<Item = [f64; 3]>) -> (f64, f64) {
    let (mut uu, mut uv, mut vv, mut uy, mut vy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for [u, v, y] in rows {
        uu += u * u;
        uv += u * v;
        vv += v * v;
        uy += u * y;
        vy += v * y;
    }
    let det = uu * vv - uv * uv;
    ((uy * vv - vy * uv) / det, (vy * uu - uy * uv) / det)
}
