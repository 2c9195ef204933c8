//! What the network sees of positions: distances, directions and handedness, all equivariant to rotation, translation, permutation,
//! and to reflection together with a change of every sign of handedness.

use burn::tensor::{Tensor, TensorData};

use super::graph::{GraphBatch, HandedBatch};

/// Radial functions of a distance.
pub const RADIAL: usize = GAUSSIANS + 3;
/// Gaussians of equal spacing over the distances of bonds, angles, torsions and contacts.
const GAUSSIANS: usize = 29;
/// Centre of the last Gaussian, in angstrom.
const FARTHEST: f32 = 7.0;

/// Positions with what is computed from them once.
#[derive(Clone, Debug)]
pub struct Geometry {
    /// Positions in angstrom, shape `[batch, atoms, 3]`.
    pub x: Tensor<3>,
    /// Radial functions of all distances, shape `[batch, atoms, atoms, RADIAL]`.
    pub radial: Tensor<4>,
    /// `1 / (1 + d)`, 0 for padding and an atom with itself, shape `[batch, 1, atoms, atoms]`.
    pub near: Tensor<4>,
    /// Handedness, where the batch has any.
    pub handed: Option<Handedness>,
}

/// Handedness of a geometry beside the wanted one.
#[derive(Clone, Debug)]
pub struct Handedness {
    /// Bounded functions of the signed volume, positive where it is as wanted, shape `[batch, atoms, 2]`.
    pub scalar: Tensor<3>,
    /// Directions in which atoms make volumes as wanted, bounded, shape `[batch, atoms, 3]`.
    pub vector: Tensor<3>,
}

impl Geometry {
    /// Looks at positions of a batch, shape `[batch, atoms, 3]`.
    pub fn new(x: Tensor<3>, graph: &GraphBatch) -> Self {
        let [batch, n, _] = x.dims();
        let apart = x.clone().reshape([batch, n, 1, 3]) - x.clone().reshape([batch, 1, n, 3]);
        let d = (apart.square().sum_dim(3) + 1e-8).sqrt();
        let device = x.device();
        let step = FARTHEST / (GAUSSIANS as f32 - 1.0);
        let centres: Vec<f32> = (0..GAUSSIANS).map(|k| k as f32 * step).collect();
        let centres = Tensor::<1>::from_data(TensorData::new(centres, [GAUSSIANS]), &device).reshape([1, 1, 1, GAUSSIANS]);
        let gaussians = (d.clone() - centres).square().mul_scalar(-0.5 / (step * step)).exp();
        let far = (d.clone() + 1.0).log();
        let near = (d.clone() + 1.0).recip();
        let radial = Tensor::cat(vec![gaussians, far, near.clone(), (d.square() + 1.0).recip()], 3);
        let near = (near.reshape([batch, n, n]) * graph.pairs.clone()).reshape([batch, 1, n, n]);
        let handed = graph.handed.as_ref().map(|handed| Handedness::new(&x, handed));
        Self { x, radial, near, handed }
    }
}

impl Handedness {
    fn new(x: &Tensor<3>, handed: &HandedBatch) -> Self {
        let [_, n, _] = x.dims();
        let corners = handed.corners.clone().matmul(x.clone());
        let corner = |c: usize| corners.clone().narrow(1, c * n, n);
        let [a, b, c] = [1, 2, 3].map(|k| corner(k) - corner(0));
        // The volume's gradient with respect to each corner.
        let of = [cross(&b, &c), cross(&c, &a), cross(&a, &b)];
        let volume = (a * of[0].clone()).sum_dim(2) * handed.sign.clone();
        let first = (of[0].clone() + of[1].clone() + of[2].clone()).neg();
        let [p, q, r] = of;
        let gradient = Tensor::cat([first, p, q, r].into_iter().map(|g| bounded(g) * handed.sign.clone()).collect(), 1);
        let scalar = Tensor::cat(vec![(volume.clone() * 0.2).tanh(), (volume * 1.0).tanh()], 2);
        Self { scalar, vector: handed.corners.clone().swap_dims(1, 2).matmul(gradient) }
    }
}

/// `v / (1 + |v|)`.
fn bounded(v: Tensor<3>) -> Tensor<3> {
    let length = (v.clone().square().sum_dim(2) + 1e-8).sqrt();
    v / (length + 1.0)
}

/// Cross products of rows, shape `[.., 3]`.
fn cross(a: &Tensor<3>, b: &Tensor<3>) -> Tensor<3> {
    let part = |v: &Tensor<3>, k: usize| v.clone().narrow(2, k % 3, 1);
    let component = |k: usize| part(a, k + 1) * part(b, k + 2) - part(a, k + 2) * part(b, k + 1);
    Tensor::cat(vec![component(0), component(1), component(2)], 2)
}
