//! The conformer network: a pair-biased transformer over atoms with a channel of vectors.
//!
//! Equivariant to rotation, translation and permutation, and to reflection together with a change of every sign of handedness, by
//! construction: scalars only ever meet distances, products of vectors and signed volumes times the wanted sign. Dense and padded, made
//! of matrix products; no scatter.

use burn::{module::Module, nn::Linear, tensor::Tensor};
use langevin_nn::{
    Init, TimeEmbedding,
    fused::{Activation, Norm, attention, linear, linear_activated, linear_added},
};

use super::{
    geometry::{Geometry, RADIAL},
    graph::GraphBatch,
};
use crate::{
    config::ConformerConfig,
    features::{ATOM, PAIR},
};

const TIME_FEATURES: usize = 64;
const NORM: Norm = Norm::Layer { epsilon: 1e-5 };

/// `F(x, sigma, molecule, level of theory)`.
#[derive(Module, Debug)]
pub struct ConformerNet {
    atom: Linear,
    pair: Linear,
    time: Linear,
    level: burn::nn::Embedding,
    mix: Linear,
    rounds: Vec<Round>,
}

/// Blocks between two looks at positions: the first round sees the noised ones, each later one also the estimate of the round before.
#[derive(Module, Debug)]
struct Round {
    radial: Linear,
    handed: Linear,
    modulate: Linear,
    blocks: Vec<Block>,
    gate: Linear,
    output: Linear,
}

#[derive(Module, Debug)]
struct Block {
    modulate: Linear,
    qkv: Linear,
    vectors: Linear,
    pairs: Linear,
    project: Linear,
    gather: Linear,
    products: Linear,
    expand: Linear,
    contract: Linear,
    turn: Linear,
    pair_atoms: Linear,
    pair_expand: Linear,
    pair_contract: Linear,
    heads: usize,
    directions: usize,
}

/// What flows through the blocks.
struct Streams {
    /// Atoms, `[batch, atoms, width]`.
    h: Tensor<3>,
    /// Pairs, `[batch, atoms, atoms, pair width]`.
    p: Tensor<4>,
    /// Vectors of atoms, `[batch, atoms, 3, vectors]`.
    v: Tensor<4>,
}

/// Estimates of every round.
#[derive(Debug)]
pub struct Output {
    /// The network's raw output `F` of each round, shape `[batch, atoms, 3]`, centred, zero in the padding; the last is the result.
    pub rounds: Vec<Tensor<3>>,
}

/// Coefficients `(skip, out, input)` of the preconditioning, one a row.
pub type Preconditioning = (f32, f32, f32);

impl ConformerNet {
    /// A network with initial weights for a checked config.
    pub fn new(config: &ConformerConfig, init: &mut Init<'_>) -> Self {
        Self {
            atom: init.linear(ATOM, config.width, 2.0),
            pair: init.linear(PAIR, config.pair, 2.0),
            time: init.linear(TIME_FEATURES, config.condition, 1.0),
            level: init.embedding(config.levels.len(), config.condition, 0.5),
            mix: init.linear(config.condition, config.condition, 1.0),
            rounds: (0..config.rounds).map(|_| Round::new(config, init)).collect(),
        }
    }

    /// Raw outputs at noised positions `x` (angstrom, centred, shape `[batch, atoms, 3]`), whose rows have noise input `c_noise` and
    /// preconditioning `c`, of molecules at levels of theory `levels`.
    pub fn forward(&self, x: &Tensor<3>, c_noise: &[f32], c: &[Preconditioning], graph: &GraphBatch, levels: &[usize]) -> Output {
        let device = x.device();
        let rows = c.len();
        let factor = |of: fn(&Preconditioning) -> f32| {
            Tensor::<3>::from_data(burn::tensor::TensorData::new(c.iter().map(of).collect::<Vec<_>>(), [rows, 1, 1]), &device)
        };
        let (skip, out, input) = (factor(|c| c.0), factor(|c| c.1), factor(|c| c.2));
        let time = TimeEmbedding::new(TIME_FEATURES, 1000.0, 16.0).forward(c_noise, &device);
        let ids = Tensor::from_data(burn::tensor::TensorData::new(levels.iter().map(|&l| l as i64).collect::<Vec<_>>(), [rows]), &device);
        let condition = linear_activated(&self.time, Activation::Silu, time) + self.level.weight.val().select(0, ids);
        let condition = linear_activated(&self.mix, Activation::Silu, condition);
        let [batch, n] = graph.dims();
        let width = self.atom.weight.dims()[1];
        let h = linear(&self.atom, graph.atom.clone());
        debug_assert_eq!(h.dims(), [batch, n, width]);
        let vectors = self.rounds[0].blocks[0].vectors.weight.dims()[0];
        let mut streams = Streams { h, p: linear(&self.pair, graph.pair.clone()), v: Tensor::zeros([batch, n, 3, vectors], &device) };
        let mut seen = Geometry::new(x.clone(), graph);
        let mut rounds = Vec::with_capacity(self.rounds.len());
        for (k, round) in self.rounds.iter().enumerate() {
            if k > 0 {
                // The estimate so far; its own loss teaches it, so no gradient flows back through distances.
                let last: &Tensor<3> = &rounds[k - 1];
                let estimate = x.clone() * skip.clone() + last.clone().detach() * out.clone();
                seen = Geometry::new(estimate, graph);
            }
            let output = round.forward(&mut streams, &seen, &input, &condition, graph);
            rounds.push(graph.centred(output));
        }
        Output { rounds }
    }
}

impl Round {
    fn new(config: &ConformerConfig, init: &mut Init<'_>) -> Self {
        Self {
            radial: init.linear(RADIAL, config.pair, 1.0),
            handed: init.linear(2, config.width, 1.0),
            modulate: init.linear(config.condition, 2 * config.width, 0.0),
            blocks: (0..config.blocks).map(|_| Block::new(config, init)).collect(),
            gate: init.linear(config.width, config.vectors, 0.0),
            output: Linear { bias: None, ..init.linear(config.vectors, 1, 0.1) },
        }
    }

    fn forward(&self, s: &mut Streams, seen: &Geometry, input: &Tensor<3>, condition: &Tensor<2>, graph: &GraphBatch) -> Tensor<3> {
        s.p = linear_added(&self.radial, seen.radial.clone(), s.p.clone());
        if let Some(handed) = &seen.handed {
            s.h = linear_added(&self.handed, handed.scalar.clone(), s.h.clone());
        }
        for block in &self.blocks {
            block.forward(s, seen, input, condition, graph);
        }
        let [shift, scale] = split(&linear(&self.modulate, condition.clone()));
        let gate = linear(&self.gate, NORM.modulated(s.h.clone(), scale, shift)) + 1.0;
        let [batch, n, _, _] = s.v.dims();
        let v = unit(s.v.clone()) * gate.unsqueeze_dim::<4>(2);
        linear(&self.output, v).reshape([batch, n, 3])
    }
}

impl Block {
    fn new(config: &ConformerConfig, init: &mut Init<'_>) -> Self {
        let (width, heads, vectors, directions, pair) = (config.width, config.heads, config.vectors, config.heads, config.pair);
        let plain = |layer: Linear| Linear { bias: None, ..layer };
        Self {
            modulate: init.linear(config.condition, 4 * width, 0.0),
            qkv: init.linear(width, 3 * width, 1.0),
            vectors: plain(init.linear(vectors, vectors, 1.0)),
            pairs: init.linear(pair, heads + directions, 1.0),
            project: init.linear(width, width, 0.5),
            gather: plain(init.linear(vectors + heads + directions + 1, vectors, 1.0)),
            products: plain(init.linear(vectors, 2 * vectors, 1.0)),
            expand: init.linear(width + 2 * vectors, config.hidden, 1.0),
            contract: init.linear(config.hidden, width + vectors, 0.5),
            turn: plain(init.linear(2 * vectors, vectors, 0.5)),
            pair_atoms: init.linear(width, pair, 1.0),
            pair_expand: init.linear(pair, pair, 1.0),
            pair_contract: init.linear(pair, pair, 0.5),
            heads,
            directions,
        }
    }

    fn forward(&self, s: &mut Streams, seen: &Geometry, input: &Tensor<3>, condition: &Tensor<2>, graph: &GraphBatch) {
        let [batch, n, width] = s.h.dims();
        let [.., vectors] = s.v.dims();
        let (heads, directions) = (self.heads, self.directions);
        let (head, share) = (width / heads, vectors / heads);
        let [shift, scale, shift_inside, scale_inside] = split(&linear(&self.modulate, condition.clone()));

        // Attention hands on scalars, vectors and positions with the same weights.
        let qkv = linear(&self.qkv, NORM.modulated(s.h.clone(), scale, shift));
        let part = |k: usize| qkv.clone().narrow(2, k * width, width).reshape([batch, n, heads, head]);
        let of_pairs = linear(&self.pairs, NORM.apply(s.p.clone())).permute([0, 3, 1, 2]);
        let bias = of_pairs.clone().narrow(1, 0, heads);
        let v = linear(&self.vectors, unit(s.v.clone()));
        let v = v.reshape([batch, n, 3, heads, share]).permute([0, 1, 3, 2, 4]).reshape([batch, n, heads, 3 * share]);
        let x = (seen.x.clone() * input.clone()).reshape([batch, n, 1, 3]);
        let value = Tensor::cat(vec![part(2), v, x.clone().expand([batch, n, heads, 3])], 3);
        let [query, key, value] = [part(0), part(1), value].map(|part| part.swap_dims(1, 2));
        let given = attention(query, key, value, Some(bias), Some(graph.hidden.clone())).swap_dims(1, 2);
        let scalars = given.clone().narrow(3, 0, head).reshape([batch, n, width]);
        let of_vectors = given.clone().narrow(3, head, 3 * share).reshape([batch, n, heads, 3, share]);
        let of_vectors = of_vectors.permute([0, 1, 3, 2, 4]).reshape([batch, n, 3, vectors]);
        let pulls = (given.narrow(3, head + 3 * share, 3) - x).swap_dims(2, 3);

        // Sums of directions to other atoms, weighted by pairs, not normalised: what bonds and contacts push.
        let gates = of_pairs.narrow(1, heads, directions) * seen.near.clone();
        let of_x = gates.clone().matmul(seen.x.clone().reshape([batch, 1, n, 3]).expand([batch, directions, n, 3]));
        let pushes = of_x - gates.sum_dim(3) * seen.x.clone().reshape([batch, 1, n, 3]);
        let pushes = pushes.permute([0, 2, 3, 1]);
        let turned = match &seen.handed {
            Some(handed) => handed.vector.clone().reshape([batch, n, 3, 1]),
            None => Tensor::zeros([batch, n, 3, 1], &s.h.device()),
        };
        s.v = linear_added(&self.gather, Tensor::cat(vec![of_vectors, pulls, pushes, turned], 3), s.v.clone());
        s.h = linear_added(&self.project, scalars, s.h.clone());

        // Vectors meet scalars through their products, and handed centres through products that reflections turn round.
        let both = linear(&self.products, unit(s.v.clone()));
        let [a, b] = [0, 1].map(|k| both.clone().narrow(3, k * vectors, vectors));
        let dot = (a.clone() * b.clone()).sum_dim(2).reshape([batch, n, vectors]);
        let length = (a.clone().square().sum_dim(2) + 1e-6).sqrt().reshape([batch, n, vectors]);
        let inside = NORM.modulated(s.h.clone(), scale_inside, shift_inside);
        let inside = linear_activated(&self.expand, Activation::Silu, Tensor::cat(vec![inside, dot, length], 2));
        let out = linear(&self.contract, inside);
        s.h = s.h.clone() + out.clone().narrow(2, 0, width);
        let gate = out.narrow(2, width, vectors).reshape([batch, n, 1, vectors]);
        let odd = match &graph.handed {
            Some(handed) => cross(&a, &b) * handed.sign.clone().reshape([batch, n, 1, 1]),
            None => a.zeros_like(),
        };
        s.v = linear_added(&self.turn, Tensor::cat(vec![a * gate, odd], 3), s.v.clone());

        // Pairs learn of their atoms.
        let atoms = linear(&self.pair_atoms, s.h.clone());
        let (rows, columns) = (atoms.clone().unsqueeze_dim::<4>(2), atoms.unsqueeze_dim::<4>(1));
        let inside = linear_added(&self.pair_expand, NORM.apply(s.p.clone()), rows + columns);
        s.p = linear_added(&self.pair_contract, Activation::Silu.apply(inside), s.p.clone());
    }
}

/// Vectors divided by the root of the mean square length of an atom's vectors; shape `[batch, atoms, 3, vectors]`.
fn unit(v: Tensor<4>) -> Tensor<4> {
    let size = v.clone().square().sum_dim(2).mean_dim(3);
    v / (size + 1e-4).sqrt()
}

/// Cross products over dimension 2 of `[batch, atoms, 3, vectors]`.
fn cross(a: &Tensor<4>, b: &Tensor<4>) -> Tensor<4> {
    let part = |v: &Tensor<4>, k: usize| v.clone().narrow(2, k % 3, 1);
    let component = |k: usize| part(a, k + 1) * part(b, k + 2) - part(a, k + 2) * part(b, k + 1);
    Tensor::cat(vec![component(0), component(1), component(2)], 2)
}

/// Equal parts of the last dimension.
fn split<const N: usize>(x: &Tensor<2>) -> [Tensor<2>; N] {
    let [rows, width] = x.dims();
    let part = width / N;
    std::array::from_fn(|k| x.clone().slice([0..rows, k * part..(k + 1) * part]))
}
