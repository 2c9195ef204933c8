//! A batch of molecules as tensors, padded to the largest.

use burn::tensor::{Bool, Device, Tensor, TensorData};

use crate::features::{ATOM, Features, PAIR};

/// A padded batch of molecules. `atoms` is the number of atoms of the largest.
#[derive(Clone, Debug)]
pub struct GraphBatch {
    /// Features of atoms, shape `[batch, atoms, ATOM]`.
    pub atom: Tensor<3>,
    /// Features of pairs, shape `[batch, atoms, atoms, PAIR]`.
    pub pair: Tensor<4>,
    /// 1 for an atom, 0 for padding, shape `[batch, atoms, 1]`.
    pub mask: Tensor<3>,
    /// True for padding, shape `[batch, 1, 1, atoms]`: keys that attention does not see.
    pub hidden: Tensor<4, Bool>,
    /// 1 where both atoms are real and differ, shape `[batch, atoms, atoms]`.
    pub pairs: Tensor<3>,
    /// What tells left from right; `None` when no molecule of the batch has a centre of given configuration.
    pub handed: Option<HandedBatch>,
}

/// Centres of given configuration.
#[derive(Clone, Debug)]
pub struct HandedBatch {
    /// Row `4 k + ...`: `[batch, 4 * atoms, atoms]`; rows `c * atoms + a` pick corner `c` around centre `a`, and are zero for other atoms.
    pub corners: Tensor<3>,
    /// The sign of a centre, 0 for other atoms, shape `[batch, atoms, 1]`.
    pub sign: Tensor<3>,
}

impl GraphBatch {
    /// Makes the tensors of a batch.
    pub fn new(molecules: &[&Features], device: &Device) -> Self {
        let batch = molecules.len();
        let n = molecules.iter().map(|m| m.atoms).max().unwrap_or(0);
        let mut atom = vec![0f32; batch * n * ATOM];
        let mut pair = vec![0f32; batch * n * n * PAIR];
        let mut mask = vec![0f32; batch * n];
        let mut pairs = vec![0f32; batch * n * n];
        let mut corners = vec![0f32; batch * 4 * n * n];
        let mut sign = vec![0f32; batch * n];
        for (b, m) in molecules.iter().enumerate() {
            atom[b * n * ATOM..][..m.atom.len()].copy_from_slice(&m.atom);
            mask[b * n..][..m.atoms].fill(1.0);
            for i in 0..m.atoms {
                for j in 0..m.atoms {
                    let at = (b * n + i) * n + j;
                    pairs[at] = f32::from(i != j);
                    let mut bits = m.pair[i * m.atoms + j];
                    while bits != 0 {
                        pair[at * PAIR + bits.trailing_zeros() as usize] = 1.0;
                        bits &= bits - 1;
                    }
                }
            }
            for centre in &m.centres {
                sign[b * n + centre.atom] = centre.sign;
                for (c, &q) in centre.around.iter().enumerate() {
                    corners[((b * 4 + c) * n + centre.atom) * n + q] = 1.0;
                }
            }
        }
        let handed = molecules.iter().any(|m| !m.centres.is_empty()).then(|| HandedBatch {
            corners: Tensor::from_data(TensorData::new(corners, [batch, 4 * n, n]), device),
            sign: Tensor::from_data(TensorData::new(sign, [batch, n, 1]), device),
        });
        let hidden: Vec<bool> = mask.iter().map(|&m| m == 0.0).collect();
        Self {
            atom: Tensor::from_data(TensorData::new(atom, [batch, n, ATOM]), device),
            pair: Tensor::from_data(TensorData::new(pair, [batch, n, n, PAIR]), device),
            mask: Tensor::from_data(TensorData::new(mask, [batch, n, 1]), device),
            hidden: Tensor::from_data(TensorData::new(hidden, [batch, 1, 1, n]), device),
            pairs: Tensor::from_data(TensorData::new(pairs, [batch, n, n]), device),
            handed,
        }
    }

    /// `[batch, atoms]`.
    pub fn dims(&self) -> [usize; 2] {
        let [batch, atoms, _] = self.atom.dims();
        [batch, atoms]
    }

    /// Moves the centre of every molecule's atoms to the origin and clears the padding; shape `[batch, atoms, 3]`.
    pub fn centred(&self, x: Tensor<3>) -> Tensor<3> {
        let count = self.mask.clone().sum_dim(1).clamp_min(1.0);
        let mean = (x.clone() * self.mask.clone()).sum_dim(1) / count;
        (x - mean) * self.mask.clone()
    }
}
