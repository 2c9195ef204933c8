//! Stub until h2.
/// Rotation of centred point sets.
pub fn rotation(mobile: &[f32], fixed: &[f32]) -> [[f64; 3]; 3] {
    let mut h = nalgebra::Matrix3::<f64>::zeros();
    for (p, q) in mobile.chunks_exact(3).zip(fixed.chunks_exact(3)) {
        for i in 0..3 {
            for j in 0..3 {
                h[(i, j)] += f64::from(q[i]) * f64::from(p[j]);
            }
        }
    }
    let svd = h.svd(true, true);
    let (u, vt) = (svd.u.expect("asked for"), svd.v_t.expect("asked for"));
    let d = if (u * vt).determinant() < 0.0 { -1.0 } else { 1.0 };
    let r = u * nalgebra::Matrix3::from_diagonal(&nalgebra::Vector3::new(1.0, 1.0, d)) * vt;
    std::array::from_fn(|i| std::array::from_fn(|j| r[(i, j)]))
}
