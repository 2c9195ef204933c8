//! A whole pre-norm transformer block in one operation, for sampling: its intermediate results stay in the caches and are never tensors.
//!
//! Under autodiff and on other devices the block is composed from the other fused operations.

use std::{borrow::Cow, cell::RefCell};

use burn::{
    backend::{DispatchTensor, flex::FlexTensor},
    nn::Linear,
    tensor::{Bool, Tensor},
};

use super::{
    activation::Activation,
    attention::{self, check, forwards, hidden, self_attention},
    factor::Configured,
    gemm::Right,
    host::{self, each, first, into_plain, owned, plain, shape, values},
    linear::{linear, linear_activated, linear_added, place},
    norm::{Affine, Norm, Rows},
};

/// Rows that one part makes: whole items, as many as fit. Longer items are left to the single operations, which cut them. Sixteen
/// molecules of 20 atoms fit: every part reads all weights once.
const ROWS: usize = 320;

/// Items of `rows` rows that one part makes.
fn items(rows: usize) -> usize {
    (ROWS / rows).max(1)
}

/// The layers of a pre-norm transformer block (Vaswani et al. 2017; norms first as in Xiong et al. 2020, arXiv:2002.04745):
/// `x += mix(attention(attend(norm(x)))); x += contract(activation(expand(norm(x))))`.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// From rows to queries, keys and values one after the other.
    pub attend: &'a Linear,
    /// From the heads' results to rows.
    pub mix: &'a Linear,
    /// From rows to the hidden layer.
    pub expand: &'a Linear,
    /// From the hidden layer to rows.
    pub contract: &'a Linear,
    /// Attention heads.
    pub heads: usize,
    /// Of both norms.
    pub norm: Norm,
    /// Of the hidden layer.
    pub activation: Activation,
}

impl Block<'_> {
    /// The block's result for `x` of shape `[batch, rows, width]`, in the same shape. `affine` is what follows the norms before the
    /// attention and before the hidden layer; `bias` and `mask` are those of [`self_attention`].
    ///
    /// # Panics
    /// When layers, norms, bias or mask do not fit `x` or one another.
    #[must_use]
    pub fn forward(self, x: Tensor<3>, affine: [Affine; 2], bias: Option<Tensor<4>>, mask: Option<Tensor<4, Bool>>) -> Tensor<3> {
        let [batch, rows, width] = x.dims();
        if x.is_autodiff() || batch * rows * width == 0 || rows > ROWS {
            return self.composed(x, affine, bias, mask);
        }
        check(bias.as_ref().map(Tensor::dims), [batch, self.heads, rows, rows]);
        check(mask.as_ref().map(Tensor::dims), [batch, self.heads, rows, rows]);
        affine.iter().for_each(|affine| affine.check(batch * rows, width));
        let hidden = mask.as_ref().map(|mask| hidden(mask, &x).into_dispatch());
        let (x, bias) = (x.into_dispatch(), bias.map(Tensor::into_dispatch));
        // Each where it stays: small networks notice when so much is moved about.
        let count = (items(rows) * rows).min(batch * rows);
        let layers = [Layer::of(self.attend), Layer::of(self.mix), Layer::of(self.expand), Layer::of(self.contract)];
        let ready = [layers[0].ready(count), layers[1].ready(count), layers[2].ready(count), layers[3].ready(count)];
        let scalings = [Scaling::of(self.norm, &affine[0], width), Scaling::of(self.norm, &affine[1], width)];
        let are_plain = [Some(&x), bias.as_ref(), hidden.as_ref()].into_iter().flatten().all(|part| plain(part).is_some());
        if let ([Some(attend), Some(mix), Some(expand), Some(contract)], [Some(before_attention), Some(before_hidden)], true) =
            (&ready, &scalings, are_plain)
        {
            let ready = [attend, mix, expand, contract];
            self.check_layers(width, ready.map(|layer| [layer.inputs, layer.outputs]));
            let added = [bias, hidden].map(|part| part.map(|part| forwards(into_plain(part))));
            let y = run(into_plain(x), self.heads, &added, [before_attention, before_hidden], ready, self.activation);
            return Tensor::from_dispatch(host::from_plain(y));
        }
        self.check_layers(width, [self.attend, self.mix, self.expand, self.contract].map(|layer| layer.weight.dims()));
        self.composed(Tensor::from_dispatch(x), affine, bias.map(Tensor::from_dispatch), mask)
    }

    /// The same from the single operations.
    pub(super) fn composed(self, x: Tensor<3>, affine: [Affine; 2], bias: Option<Tensor<4>>, mask: Option<Tensor<4, Bool>>) -> Tensor<3> {
        let [before_attention, before_hidden] = affine;
        let qkv = linear(self.attend, self.norm.with(x.clone(), before_attention));
        let x = linear_added(self.mix, self_attention(qkv, self.heads, bias, mask), x);
        let hidden = linear_activated(self.expand, self.activation, self.norm.with(x.clone(), before_hidden));
        linear_added(self.contract, hidden, x)
    }

    /// Refuses layers of `[inputs, outputs]` that make no block.
    fn check_layers(self, width: usize, dims: [[usize; 2]; 4]) {
        let [[from_rows, seen], [mixed, to_rows], [from_inner, wide], [hidden, to_inner]] = dims;
        assert!(
            [from_rows, to_rows, from_inner, to_inner] == [width; 4] && seen == 3 * mixed && wide == hidden,
            "layers of {dims:?} make no block of width {width}"
        );
        assert!(
            hidden > 0 && mixed > 0 && self.heads > 0 && mixed.is_multiple_of(self.heads),
            "{mixed} numbers a row are not those of {} heads",
            self.heads
        );
    }
}

/// A linear layer's weights, held for as long as they are read.
struct Layer {
    weight: DispatchTensor,
    bias: Option<DispatchTensor>,
}

impl Layer {
    fn of(layer: &Linear) -> Self {
        Self { weight: layer.weight.val().into_dispatch(), bias: layer.bias.as_ref().map(|bias| bias.val().into_dispatch()) }
    }

    /// `None` when its weights are not plain, or run backwards.
    fn ready(&self, rows: usize) -> Option<Ready<'_>> {
        let weight = plain(&self.weight).filter(|weight| weight.layout().has_positive_strides())?;
        let bias = match &self.bias {
            Some(bias) => Some(values(plain(bias).filter(|bias| bias.is_contiguous())?)),
            None => None,
        };
        let [inputs, outputs] = [0, 1].map(|dim| weight.layout().shape()[dim]);
        Some(Ready { right: Right::weight([rows, outputs, inputs], weight, place(weight)), bias, inputs, outputs })
    }
}

/// A linear layer laid out for products.
struct Ready<'a> {
    right: Right<'a>,
    bias: Option<&'a [f32]>,
    inputs: usize,
    outputs: usize,
}

impl Ready<'_> {
    /// `out = x weight + bias`, or `out += x weight + bias`.
    fn apply(&self, x: &[f32], out: &mut [f32], add: bool) {
        self.right.layer([out.len() / self.outputs, self.outputs, self.inputs], x, out, add, self.bias);
    }
}

/// Intermediate results of a part, kept from block to block.
#[derive(Default)]
struct Room {
    /// Normalised rows, then the heads' results.
    narrow: Vec<f32>,
    /// Queries, keys and values, then the hidden layer.
    wide: Vec<f32>,
    scores: Vec<f32>,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// A norm with the coefficients of its groups.
struct Scaling<'a> {
    rows: Rows,
    gain: Cow<'a, [f32]>,
    shift: Cow<'a, [f32]>,
}

impl<'a> Scaling<'a> {
    /// `None` when gain or shift is not plain.
    fn of(norm: Norm, affine: &'a Affine, width: usize) -> Option<Self> {
        let rows = Rows { norm, plus_one: affine.plus_one };
        let (gain, shift) = (affine.gain.as_ref().map(plain), affine.shift.as_ref().map(plain));
        let are_plain = [gain, shift].into_iter().flatten().all(|part| part.is_some());
        let [gain, shift] = are_plain.then(|| rows.coefficients(gain.flatten(), shift.flatten(), width))?;
        Some(Self { rows, gain, shift })
    }

    /// Normalises rows from row `first` of `all` on.
    fn apply(&self, first: usize, all: usize, width: usize, x: &[f32], out: &mut [f32]) {
        self.rows.run(first, all / (self.gain.len() / width), (&self.gain, &self.shift), width, x, out);
    }
}

/// The block on host memory; `added` to the scores are a bias and what hides keys.
fn run(
    x: FlexTensor,
    heads: usize,
    added: &[Option<FlexTensor>; 2],
    scalings: [&Scaling<'_>; 2],
    [attend, mix, expand, contract]: [&Ready<'_>; 4],
    activation: Activation,
) -> FlexTensor {
    let mut x = owned(x);
    let dims = shape(&x);
    let [rows, width] = [dims[1], dims[2]];
    let all = dims[0] * rows;
    let items = items(rows);
    each(x.storage_mut::<f32>().chunks_mut(items * rows * width).enumerate(), |(part, x)| {
        let (first_item, count) = (part * items, x.len() / width);
        let _for_all_products = Configured::ahead();
        ROOM.with_borrow_mut(|Room { narrow, wide, scores }| {
            let normal = first(narrow, count * width);
            scalings[0].apply(first_item * rows, all, width, x, normal);
            let qkv = first(wide, count * attend.outputs);
            attend.apply(normal, qkv, false);
            let mixed = first(narrow, count * mix.inputs);
            let problem = attention::Rows { qkv, heads, rows, width: mix.inputs / heads, added: added.each_ref(), first: first_item };
            problem.mix(scores, mixed);
            mix.apply(mixed, x, true);
            let normal = first(narrow, count * width);
            scalings[1].apply(first_item * rows, all, width, x, normal);
            let hidden = first(wide, count * expand.outputs);
            expand.apply(normal, hidden, false);
            activation.forward_slice(hidden);
            contract.apply(hidden, x, true);
        });
    });
    x
}
